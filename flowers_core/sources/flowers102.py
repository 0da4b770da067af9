"""Oxford Flowers-102 as torchvision lays it out, complete or with photos missing: the 30 default kinds of it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from flowers_core.errors import DataError
from flowers_core.sources.matlab import read_numbers
from flowers_core.sources.records import Photo, Problem, Source, printable
from flowers_core.species import SPECIES
from flowers_core.storage import explain_disk_errors, replacing_folder

_SPLIT_KEYS = {"trnid": "train", "valid": "valid", "tstid": "test"}
_AGAIN = "Download the set again."


def is_layout(root: Path) -> bool:
    """Does the folder hold Flowers-102's photos, and its labels or its splits? One of them may have got lost."""
    return (root / "jpg").is_dir() and any((root / name).is_file() for name in ("imagelabels.mat", "setid.mat"))


def read(root: Path) -> Source:
    """The photos of the 30 default kinds that are there, with the official splits.

    Raises:
        DataError: a file of labels or splits is missing or damaged, or none of the kinds has a photo.
    """
    labels, splits = _load(root / "imagelabels.mat"), _load(root / "setid.mat")
    if "labels" not in labels or not splits.keys() >= _SPLIT_KEYS.keys():
        raise DataError("Flowers-102's files of labels and splits are not as its authors made them", root, _AGAIN)
    number_of = labels["labels"]
    split_of = {index: split for key, split in _SPLIT_KEYS.items() for index in splits[key]}
    label_of = {kind.flowers102: label for label, kind in enumerate(SPECIES)}
    photos, problems = [], []
    for path in sorted((root / "jpg").iterdir()):
        digits = path.stem.removeprefix("image_")
        index = int(digits) if digits.isdecimal() else 0
        if path.name.startswith("."):
            continue
        if index not in split_of or not 1 <= index <= len(number_of) or path.name != f"image_{index:05}.jpg":
            problems.append(Problem(f"jpg/{printable(path.name)}", "not one of Flowers-102's photos"))
        elif number_of[index - 1] in label_of:
            photos.append(Photo(f"jpg/{path.name}", path, label_of[number_of[index - 1]], split_of[index]))
    if not photos:
        raise DataError("None of the 30 kinds' photos are there", root / "jpg", _AGAIN)
    names = tuple(kind.name for kind in SPECIES)
    return Source("Flowers-102 (30 kinds)", root, names, tuple(photos), tuple(problems), "Flowers-102")


def downloaded(folder: Path, progress=None) -> Path:
    """The complete set below `folder`, fetched from its authors' site (345 MB) when it is not there yet.

    The set states no licence: it is for study, and whoever downloads it decides that for themselves.

    Raises:
        DataError: the download failed; nothing of it is left behind.
    """
    root = folder / "flowers-102"
    if is_layout(root):
        return root
    if progress:
        progress("Downloading Oxford Flowers-102 (345 MB)", 0, 1)
    from flowers_core.torchvision_import import torchvision

    with explain_disk_errors(root):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".flowers-102.") as temporary:
            try:
                torchvision().datasets.Flowers102(temporary, download=True)
            except (OSError, RuntimeError) as error:
                hint = "Check the internet connection, or put the set there by hand as torchvision lays it out."
                raise DataError(f"Could not download Flowers-102 ({error})", root, hint) from error
            with replacing_folder(root) as place:
                place.rmdir()
                (Path(temporary) / "flowers-102").rename(place)
    return root


def _load(path: Path) -> dict[str, list[int]]:
    try:
        return read_numbers(path)
    except FileNotFoundError as error:
        raise DataError("A file of Flowers-102 is missing", path, _AGAIN) from error
    except ValueError as error:
        raise DataError(f"A file of Flowers-102 is damaged ({error})", path, _AGAIN) from error
