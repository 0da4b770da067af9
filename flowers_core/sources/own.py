"""My own set: photos that are added one by one, each to a kind, and can be taken back."""

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from flowers_core.errors import DataError
from flowers_core.images import decode, to_jpeg
from flowers_core.sources import library
from flowers_core.sources.folder import SPLIT_NAMES, is_litter
from flowers_core.sources.library import KnownSet
from flowers_core.sources.records import class_key, class_name, natural_order, printable
from flowers_core.storage import append_jsonl, data_dir, explain_disk_errors, read_jsonl, write_bytes, write_json

LONGEST = 1600
"""Pixels of the longer side that are kept: plenty for training, and a phone's photos stay small."""

NAME = "My own set"

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Addition:
    """One photo that was added; the handle to take it back.

    Args:
        photo: its id, which is also its file's name without the ending.
        kind: the kind it was added to, as shown.
        folder: that kind's folder.
        before: the folder of the kind it was in until then, "" when it is new.
        time: seconds since 1970.
    """

    photo: str
    kind: str
    folder: str
    before: str
    time: float


def add(content: bytes, kind: str) -> Addition:
    """Adds a photo to My own set, and makes the set and the kind where they are new.

    The photo is stored anew, upright, as JPEG of at most LONGEST pixels: without its file's name, place and camera.
    A photo that is there already stays one photo: it moves to the kind that was named last.

    Args:
        content: the bytes of a photo's file, of any format the app reads.
        kind: the kind's name, one of the set's or a new one.

    Raises:
        ImageError: not a photo, or damaged.
        DataError: the kind's name can't be used.
        StorageError: the disk is full or read-only.
    """
    image = decode(content, want=LONGEST)
    image.thumbnail((LONGEST, LONGEST))
    photo = hashlib.blake2b(content, digest_size=8).hexdigest()
    with _changing():
        folder = _folder_of(kind)
        before = next((path.parent.name for path in _photos().glob(f"*/{photo}.jpg")), "")
        addition = Addition(photo, class_name(folder), folder, before, time.time())
        if before != folder:
            _ensure_card()
            write_bytes(_photos() / folder / f"{photo}.jpg", to_jpeg(image, quality=92))
            if before:
                _remove(before, photo)
            append_jsonl(_journal(), asdict(addition))
    return addition


def undo(addition: Addition) -> None:
    """Takes a photo out of the set again, or puts it back to the kind it was in before.

    Raises:
        DataError: it is not there any more, as after another undo.
        StorageError: the disk is full or read-only.
    """
    path = photo_path(addition)
    hint = "It may have been taken back already, or added again to another kind."
    with _changing():
        if addition not in additions():
            raise DataError("This photo is not in the set any more", addition.kind, hint)
        if addition.before:
            write_bytes(_photos() / addition.before / path.name, path.read_bytes())
        _remove(addition.folder, addition.photo)
        append_jsonl(_journal(), {"undone": addition.photo, "time": addition.time})


def additions(most: int | None = None) -> list[Addition]:
    """What was added and not taken back, newest first; of each photo the last word on its kind."""
    records, _ = read_jsonl(_journal())
    undone = {(row.get("undone"), row.get("time")) for row in records}
    found: dict[str, Addition] = {}
    for row in reversed(records):
        if row.keys() == Addition.__dataclass_fields__.keys() and (row["photo"], row["time"]) not in undone:
            addition = Addition(**row)
            if photo_path(addition).exists():
                found.setdefault(addition.photo, addition)
    return list(found.values())[:most]


def kinds() -> list[str]:
    """The kinds of the set as shown, in their order."""
    if not _photos().is_dir():
        return []
    return sorted({class_name(path.parent.name) for path in _photos().glob("*/*.jpg")}, key=natural_order)


def known() -> KnownSet | None:
    """My own set as it can be chosen; None before the first photo."""
    return next((known for known in library.known_sets() if known.id == library.OWN), None)


def photo_path(addition: Addition) -> Path:
    """Where the photo lies."""
    return _photos() / addition.folder / f"{addition.photo}.jpg"


def checked_kind(kind: str) -> str:
    """A kind's name that can be a folder's on every system.

    Raises:
        DataError: it can't.
    """
    name = " ".join(kind.split())
    hint = "It can't hold any of / \\ : * ? \" < > | nor begin or end with a dot."
    if not name or len(name.encode(errors="replace")) > 200 or len(name) > 60:
        raise DataError("A kind's name has 1 to 60 characters", printable(name[:80]) or "(empty)", hint)
    if re.search(r'[/\\:*?"<>|]', name) or name != printable(name) or name[0] == "." or name[-1] == ".":
        raise DataError("This can't be the name of a kind", printable(name), hint)
    if name.casefold() in (*SPLIT_NAMES, *_RESERVED, "__macosx"):
        raise DataError("This name has another meaning, so no kind can have it", name, "Choose another name.")
    return name


def _folder_of(kind: str) -> str:
    """The folder of the kind: the one that is there under any of its names, else a new one's name."""
    name = class_name(checked_kind(kind))
    if _photos().is_dir():
        for path in _photos().iterdir():
            if path.is_dir() and class_key(path.name) == class_key(name):
                return path.name
    return checked_kind(name)


def _ensure_card() -> None:
    path = _home() / "card.json"
    if not path.exists():
        with explain_disk_errors(_photos()):
            _photos().mkdir(parents=True, exist_ok=True)
        card = {"name": NAME, "origin": "Added one by one", "licence": "", "kinds": "", "added": time.time()}
        write_json(path, card | {"folder": "my-own-set"})


def _remove(folder: str, photo: str) -> None:
    place = _photos() / folder
    with explain_disk_errors(place):
        (place / f"{photo}.jpg").unlink(missing_ok=True)
        if all(is_litter(path.name) for path in place.iterdir()):  # an empty kind would keep the set from training
            shutil.rmtree(place)


@contextmanager
def _changing() -> Iterator[None]:
    """One writer at a time, or one photo could end up in two kinds."""
    lock = data_dir() / "own.lock"
    with explain_disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield


def _journal() -> Path:
    return _home() / "additions.jsonl"


def _photos() -> Path:
    return _home() / "my-own-set"


def _home() -> Path:
    return data_dir() / "sets" / library.OWN
