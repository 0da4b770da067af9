"""Reads folders: Train/Valid[/Test] with one folder per kind in each, or folders of kinds alone."""

import os
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.images import SUFFIXES
from flowers_core.sources.records import Photo, Problem, Source, class_key, class_name, natural_order, printable
from flowers_core.sources.splits import assign

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folder names, in any letter case, that mean a split."""

_LITTER = {"thumbs.db", "desktop.ini", "__macosx"}
_ACCEPTED = (
    "Accepted are a folder with Train and Valid (and Test) folders that hold one folder per kind of flower, "
    "or a folder that holds one folder per kind."
)


def read(root: Path, name: str | None = None) -> Source:
    """Lists the photos below `root`. Missing splits are made (stratified, seeded) and saved.

    Raises:
        DataError: no class folders, or no photo in any of them.
    """
    if not root.is_dir():
        raise DataError("This is neither a folder nor a zip file", root, _ACCEPTED)
    inner = unwrapped(root)
    problems: list[Problem] = []
    found: list[tuple[str, str, Path, str]] = []  # split ("" when unknown), class folder, file, name below root
    tops = _folders(inner)
    splits = {_split_of(top) for top in tops if _split_of(top)}
    for top in tops:
        split = _split_of(top)
        if splits and not split:
            problems.append(Problem(_shown(top, inner), "not a Train, Valid or Test folder, so left out"))
            continue
        for kind in _folders(top) if split else [top]:
            found.append((split, kind.name, kind, ""))  # remembers kinds without photos
            found += [(split, kind.name, file, _shown(file, inner)) for file in _photos(kind, inner, problems)]
    for place in (inner, *(top for top in tops if _split_of(top))):
        problems += [
            Problem(_shown(file, inner), "lies beside the kinds' folders, so its kind is unknown")
            for file in _loose_photos(place)
        ]
    given = {split for split, _, _, shown in found if shown and split}
    if not any(shown for *_, shown in found):
        detail = f" ({problems[0].path}: {problems[0].reason})" if problems else ""
        raise DataError(f"No photos found{detail}", root, _ACCEPTED)

    shown_as: dict[str, str] = {}
    for _, kind, _, _ in found:
        shown_as.setdefault(class_key(kind), class_name(kind))
    classes = sorted(shown_as.values(), key=natural_order)
    label_of = {key: classes.index(shown) for key, shown in shown_as.items()}
    photos = [
        Photo(shown, path, label_of[class_key(kind)], split)
        for split, kind, path, shown in sorted(found, key=lambda row: natural_order(row[3]))
        if shown
    ]
    source = Source(name or root.name, root, tuple(classes), tuple(photos), tuple(problems), "the folders")
    return assign(source, given=given)


def unwrapped(root: Path) -> Path:
    """Goes through folders that only wrap the set, as zips and downloads often have them."""
    inner = root
    for _ in range(4):
        inside = _folders(inner)
        if any(_split_of(folder) for folder in inside):
            break
        sets = [folder for folder in inside if "train" in map(_split_of, _folders(folder))]
        if len(sets) != 1:
            sets = inside
        if len(sets) != 1 or not _folders(sets[0]):
            break
        inner = sets[0]
    return inner


def _folders(parent: Path) -> list[Path]:
    inside = (Path(entry.path) for entry in os.scandir(parent) if _is_folder(entry) and not _is_litter(entry.name))
    return sorted(inside, key=lambda path: natural_order(path.name))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _split_of(folder: Path) -> str:
    """The split that a folder's name means, or ""."""
    return SPLIT_NAMES.get(folder.name.strip().casefold(), "")


def _photos(kind: Path, root: Path, problems: list[Problem]) -> list[Path]:
    """The photos anywhere below a class folder; what is not a photo is noted in `problems`."""
    photos = []

    def note(path: str | Path, reason: str) -> None:
        problems.append(Problem(_shown(Path(path), root), reason))

    for folder, subfolders, files in os.walk(
        kind, onerror=lambda e: note(e.filename, f"can't be opened ({e.strerror})")
    ):
        subfolders[:] = sorted(name for name in subfolders if not _is_litter(name))
        for name in subfolders:
            if Path(folder, name).is_symlink():
                note(Path(folder, name), "a link to a folder, so left out")
        for name in sorted(files):
            path = Path(folder, name)
            if _is_litter(name):
                continue
            if path.suffix.casefold() in SUFFIXES:
                photos.append(path)
            else:
                note(path, f"not a photo ({printable(path.suffix) or 'no ending'})")
    return photos


def _loose_photos(folder: Path) -> list[Path]:
    names = (path for path in folder.iterdir() if path.suffix.casefold() in SUFFIXES and not _is_litter(path.name))
    return sorted(path for path in names if not path.is_dir())


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER


def _shown(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())
