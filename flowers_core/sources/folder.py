"""Reads folders: Train/Valid[/Test] with one folder per kind in each, or folders of kinds alone."""

import os
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.images import SUFFIXES
from flowers_core.sources.records import Photo, Problem, Source, class_key, class_name, natural_order
from flowers_core.sources.splits import assign

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folder names, in any letter case, that mean a split."""

_LITTER = {"thumbs.db", "desktop.ini", "__macosx", "complete"}
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
    inner = _unwrap(root)
    problems: list[Problem] = []
    found: list[tuple[str, str, Path, str]] = []  # split ("" when unknown), class folder, file, name below root
    splits = {SPLIT_NAMES[d.name.casefold()] for d in _folders(inner) if d.name.casefold() in SPLIT_NAMES}
    for top in _folders(inner):
        split = SPLIT_NAMES.get(top.name.casefold(), "")
        if splits and not split:
            problems.append(Problem(_shown(top, inner), "not a Train, Valid or Test folder, so left out"))
            continue
        for kind in _folders(top) if split else [top]:
            found.append((split, kind.name, kind, ""))  # remembers kinds without photos
            found += [(split, kind.name, file, _shown(file, inner)) for file in _photos(kind, inner, problems)]
        if split:
            problems += [
                Problem(_shown(file, inner), "lies beside the kinds' folders, so its kind is unknown")
                for file in _loose_photos(top)
            ]
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
    return assign(source, given=splits)


def _folders(parent: Path) -> list[Path]:
    inside = (Path(entry.path) for entry in os.scandir(parent) if entry.is_dir() and not _is_litter(entry.name))
    return sorted(inside, key=lambda path: natural_order(path.name))


def _unwrap(root: Path) -> Path:
    """Goes through folders that hold nothing but one folder, as zips and downloads often have them."""
    inner = root
    for _ in range(4):
        inside = _folders(inner)
        if len(inside) != 1 or inside[0].name.casefold() in SPLIT_NAMES or not _folders(inside[0]):
            break
        inner = inside[0]
    return inner


def _photos(kind: Path, root: Path, problems: list[Problem]) -> list[Path]:
    """The photos anywhere below a class folder; what is not a photo is noted in `problems`."""
    photos = []
    for folder, subfolders, files in os.walk(kind):
        subfolders[:] = sorted(name for name in subfolders if not _is_litter(name))
        for file in files:
            path = Path(folder, file)
            if _is_litter(file):
                continue
            if path.suffix.casefold() in SUFFIXES:
                photos.append(path)
            else:
                problems.append(Problem(_shown(path, root), f"not a photo ({path.suffix or 'no ending'})"))
    return photos


def _loose_photos(top: Path) -> list[Path]:
    return [path for path in sorted(top.iterdir()) if path.is_file() and path.suffix.casefold() in SUFFIXES]


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
