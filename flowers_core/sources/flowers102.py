"""Oxford Flowers-102 as its authors and torchvision lay it out, complete or not; and its download."""

import tarfile
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.sources import download
from flowers_core.sources.flowers102_names import NAMES
from flowers_core.sources.matlab import read_numbers
from flowers_core.sources.records import Photo, Problem, Source, natural_order, printable
from flowers_core.species import SPECIES

TERMS = (
    "Oxford Flowers-102 (Nilsback and Zisserman, 2008) holds 8,189 photos of 102 kinds, with a split of its own. "
    "Its authors collected them from the web and state no licence: the photos belong to whoever took them. They stay "
    "with their source and are for your own study. It is a download of 345 MB from the authors' site."
)
"""What whoever downloads the set agrees to."""

KINDS = {"": "The 30 default kinds", "all": "All 102 kinds"}
"""What of the set is wanted, and how that is said."""

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
FILES = {
    "102flowers.tgz": (344_862_509, "52808999861908f626f3c1f4e79d11fa"),
    "imagelabels.mat": (502, "e0620be6f572b9609742df49c70aed4d"),
    "setid.mat": (14_989, "a5357ecc9cb78c4bef273ce3793fc85c"),
}
"""Bytes and MD5 of each file there, as torchvision's loader checks them too."""

PHOTOS = 8189

_SPLIT_KEYS = {"trnid": "train", "valid": "valid", "tstid": "test"}
_AGAIN = "Download the set again."


def is_layout(root: Path) -> bool:
    """Does the folder hold Flowers-102's photos, and its labels or its splits? One of them may have got lost."""
    return (root / "jpg").is_dir() and any((root / name).is_file() for name in ("imagelabels.mat", "setid.mat"))


def read(root: Path, kinds: str = "") -> Source:
    """The photos that are there of the 30 default kinds, or of all 102, with the official splits.

    Args:
        root: the folder with `jpg`, `imagelabels.mat` and `setid.mat`.
        kinds: a key of KINDS.

    Raises:
        DataError: a file of labels or splits is missing or damaged, or none of the kinds has a photo.
    """
    labels, splits = _load(root / "imagelabels.mat"), _load(root / "setid.mat")
    if "labels" not in labels or not splits.keys() >= _SPLIT_KEYS.keys():
        raise DataError("Flowers-102's files of labels and splits are not as its authors made them", root, _AGAIN)
    number_of = labels["labels"]
    split_of = {index: split for key, split in _SPLIT_KEYS.items() for index in splits[key]}
    name_of = dict(enumerate(NAMES, 1)) if kinds == "all" else {kind.flowers102: kind.name for kind in SPECIES}
    names = tuple(sorted(name_of.values(), key=natural_order))
    label_of = {number: names.index(name) for number, name in name_of.items()}
    photos, problems = [], []
    for path in sorted((root / "jpg").iterdir()):
        digits = path.stem.removeprefix("image_")
        index = int(digits) if digits.isdecimal() else 0
        if path.name.startswith("."):
            continue
        if index not in split_of or not 1 <= index <= len(number_of) or path.name != f"image_{index:05}.jpg":
            problems.append(Problem(f"jpg/{printable(path.name)}", "not one of Flowers-102's photos"))
        elif number_of[index - 1] in label_of:
            photos.append(Photo(f"jpg/{path.name}", str(path), label_of[number_of[index - 1]], split_of[index]))
    if not photos:
        raise DataError(f"None of the {len(names)} kinds' photos are there", root / "jpg", _AGAIN)
    name = f"Flowers-102 ({len(names)} kinds)"
    return Source(name, root, names, tuple(photos), tuple(problems), "Flowers-102")


def fetch(place: Path, downloads: Path, progress=None) -> None:
    """Downloads the set from its authors' site and unpacks it into `place`, which is there and empty.

    Args:
        place: gets `jpg`, `imagelabels.mat` and `setid.mat`.
        downloads: a folder where what has arrived stays, for the caller to remove: a killed download goes on there.
        progress: told about both.

    Raises:
        DataError: no network, the site doesn't answer, or what came is not the set.
        OSError: the disk is full or read-only.
    """
    for name in sorted(FILES, key=lambda name: FILES[name][0]):  # the small ones first: a wrong address shows at once
        size, md5 = FILES[name]
        download.to_file(URL + name, downloads / name, size, md5, "Downloading Flowers-102", progress)
        if name.endswith(".mat"):
            (place / name).write_bytes((downloads / name).read_bytes())
    _unpack(downloads / "102flowers.tgz", place, progress)


def _unpack(path: Path, place: Path, progress) -> None:
    """Only plain files with the names of the set's photos leave the archive, whatever else it may hold."""
    (place / "jpg").mkdir()
    count = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                if not (member.isreg() and name.startswith("image_") and name.endswith(".jpg")):
                    continue
                (place / "jpg" / name).write_bytes(archive.extractfile(member).read())
                count += 1
                if progress and count % 20 == 0:
                    progress("Unpacking the photos", count, PHOTOS)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"Flowers-102's archive is damaged ({error})", path, _AGAIN) from error
    if not count:
        raise DataError("Flowers-102's archive holds no photos", path, _AGAIN)


def _load(path: Path) -> dict[str, list[int]]:
    try:
        return read_numbers(path)
    except FileNotFoundError as error:
        raise DataError("A file of Flowers-102 is missing", path, _AGAIN) from error
    except ValueError as error:
        raise DataError(f"A file of Flowers-102 is damaged ({error})", path, _AGAIN) from error
