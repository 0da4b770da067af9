"""Reads folders: Train/Valid[/Test] with one folder per kind in each, the other way round, or kinds alone."""

import os
from collections import defaultdict
from collections.abc import Container, Iterator
from operator import itemgetter
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

MOST_WRAPPINGS = 32
"""Folders around a set that are gone through."""

PACKED = {".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz"}
"""Endings of files that may hold photos, but not where they can be looked at."""

_ZEROS = str.maketrans("123456789", "0" * 9)

_LITTER = {"thumbs.db", "desktop.ini", "__macosx"}
_ACCEPTED = (
    "Accepted are a folder with Train and Valid (and Test) folders that hold one folder per kind of flower, "
    "or a folder that holds one folder per kind (with Train and Valid inside, if you like)."
)


def read(root: Path, name: str | None = None, *, divide: bool = True) -> Source:
    """Lists the photos below `root`. Missing splits are made (stratified, seeded) and saved.

    Args:
        root: the folder.
        name: of the source; the folder's when None.
        divide: False leaves photos without a split as they are, and saves nothing: for a look before an import.

    Raises:
        DataError: no class folders, or no photo in any of them.
    """
    if not root.is_dir():
        raise DataError("This is neither a folder nor a zip file", root, _ACCEPTED)
    inner = unwrapped(root)
    problems: list[Problem] = []
    found: list[tuple[str, str, str, str]] = []  # split ("" when unknown), class folder, file, name below root
    tops = _folders(inner)
    for split, kind, folder in _kinds(tops, inner, problems):
        found.append((split, kind, "", ""))  # remembers kinds without photos
        found += [(split, kind, file, shown) for file, shown in _photos(folder, inner, problems)]
    by_split = [top for top in tops if _split_of(top)]
    by_kind = [] if by_split else [top for top in tops if _is_divided(top)]
    for place in (inner, *by_split, *by_kind):
        what = "its kind's Train and Valid, so its split" if place in by_kind else "the kinds' folders, so its kind"
        problems += [Problem(_shown(file, inner), f"lies beside {what} is unknown") for file in _loose(place, SUFFIXES)]
        problems += [Problem(_shown(file, inner), "is packed, so unpack it first") for file in _loose(place, PACKED)]
    given = {split for split, _, _, shown in found if shown and split}
    if not any(shown for *_, shown in found):
        detail = f" ({problems[0].path}: {problems[0].reason})" if problems else ""
        raise DataError(f"No photos found{detail}", root, _ACCEPTED)

    shown_as: dict[str, str] = {}
    key_of = {kind: class_key(kind) for kind in dict.fromkeys(kind for _, kind, _, _ in found)}
    for kind, key in key_of.items():
        shown_as.setdefault(key, class_name(kind))
    classes = sorted(shown_as.values(), key=natural_order)
    label_of = {kind: classes.index(shown_as[key]) for kind, key in key_of.items()}
    photos = [
        Photo(shown, file, label_of[kind], split)
        for split, kind, file, shown in _in_natural_order([row for row in found if row[3]])
    ]
    source = Source(name or root.name, root, tuple(classes), tuple(photos), tuple(problems), "the folders")
    return assign(source, given=given) if divide else source


def _kinds(tops: list[Path], root: Path, problems: list[Problem]) -> Iterator[tuple[str, str, Path]]:
    """Each folder of photos with its split and its kind; what fits in nowhere is noted in `problems`."""
    by_split, by_kind = any(map(_split_of, tops)), any(map(_is_divided, tops))
    for top in tops:
        if by_split and not _split_of(top):
            problems.append(Problem(_shown(top, root), "not a Train, Valid or Test folder, so left out"))
        elif by_split:
            yield from ((_split_of(top), kind.name, kind) for kind in _folders(top))
        elif by_kind:
            for below in _folders(top):
                if _split_of(below):
                    yield _split_of(below), top.name, below
                else:
                    problems.append(Problem(_shown(below, root), "not a Train, Valid or Test folder, so left out"))
        else:
            yield "", top.name, top


def unwrapped(root: Path) -> Path:
    """Goes through folders that only wrap the set, as zips and downloads often have them."""
    inner = root
    for _ in range(MOST_WRAPPINGS):
        inside = [folder for folder in _folders(inner) if _holds_photos(folder)]
        if any(_split_of(folder) for folder in inside):
            break
        if sum(map(_is_divided, inside)) > 1:  # kinds with Train and Valid inside each
            break
        sets = [folder for folder in inside if "train" in map(_split_of, _seen_folders(folder))]
        if len(sets) != 1:
            sets = inside
        if len(sets) != 1 or not _seen_folders(sets[0]) or _loose(sets[0], SUFFIXES):
            break
        inner = sets[0]
    return inner


def _folders(parent: Path) -> list[Path]:
    inside = (Path(entry.path) for entry in os.scandir(parent) if _is_folder(entry) and not is_litter(entry.name))
    return sorted(inside, key=lambda path: natural_order(path.name))


def _seen_folders(parent: Path) -> list[Path]:
    """The same, none where we may not look: that becomes a problem when the photos are listed."""
    try:
        return _folders(parent)
    except PermissionError:
        return []


def _holds_photos(folder: Path) -> bool:
    """Is there a photo anywhere below, or a folder that can't be looked into?"""
    closed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not is_litter(name)]
        if any(Path(place, name).suffix.casefold() in SUFFIXES and not is_litter(name) for name in files):
            return True
    return bool(closed)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_divided(folder: Path) -> bool:
    """Does the folder hold Train, Valid or Test folders?"""
    return any(map(_split_of, _seen_folders(folder)))


def _split_of(folder: Path) -> str:
    """The split that a folder's name means, or ""."""
    return SPLIT_NAMES.get(folder.name.strip().casefold(), "")


def _in_natural_order(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """The rows by their last column, a name below root: by folder, then by file.

    Where a folder's names differ in nothing but digits, a hundred thousand of them need no look at their numbers.
    """
    by_folder = defaultdict(list)
    for row in rows:
        by_folder[row[3].rpartition("/")[0]].append(row)
    ordered = []
    for folder in sorted(by_folder, key=natural_order):
        inside = by_folder[folder]
        is_numbered = len({row[3].translate(_ZEROS) for row in inside}) == 1
        by_name = itemgetter(3) if is_numbered else lambda row: natural_order(row[3].rpartition("/")[2])
        ordered += sorted(inside, key=by_name)
    return ordered


def _photos(kind: Path, root: Path, problems: list[Problem]) -> list[tuple[str, str]]:
    """The photos anywhere below a class folder, with their names below root; what is none is noted in `problems`.

    There may be a hundred thousand, so what is the same for all of a folder is computed once.
    """
    photos = []

    def note(path: str | Path, reason: str) -> None:
        problems.append(Problem(_shown(Path(path), root), reason))

    for folder, subfolders, files in os.walk(
        kind, onerror=lambda e: note(e.filename, f"can't be opened ({e.strerror})")
    ):
        subfolders[:] = sorted(name for name in subfolders if not is_litter(name))
        for name in subfolders:
            if Path(folder, name).is_symlink():
                note(Path(folder, name), "a link to a folder, so left out")
        place = Path(folder)
        below = place.relative_to(root).as_posix()
        for name in sorted(files):
            if is_litter(name):
                continue
            stem, dot, ending = name.rpartition(".")
            if stem and (dot + ending).casefold() in SUFFIXES:
                photos.append((f"{folder}{os.sep}{name}", printable(f"{below}/{name}")))
            else:
                path = place / name
                note(path, f"not a photo ({printable(path.suffix) or 'no ending'})")
    return photos


def _loose(folder: Path, endings: Container[str]) -> list[Path]:
    """Files of these endings in the folder itself."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    names = (path for path in folder.iterdir() if path.suffix.casefold() in endings and not is_litter(path.name))
    return sorted(path for path in names if not path.is_dir())


def photos_below(folder: Path) -> list[Path]:
    """The files anywhere below a folder whose names say that they are photos, in the order that people expect.

    Raises:
        DataError: there is none.
    """
    found = sorted(_photos(folder, folder, []), key=lambda photo: natural_order(photo[1]))
    if not found:
        raise DataError("There is no photo in this folder", folder)
    return [Path(file) for file, _ in found]


def is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER


def _shown(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())
