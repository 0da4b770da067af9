"""The sets of photos that this installation knows: built in, and added by its users."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flowers_core.storage import data_dir, read_json, write_json


@dataclass(frozen=True)
class KnownSet:
    """A set of photos to choose.

    Args:
        id: short and safe in links.
        name: for people.
        data: what `open_source` takes.
    """

    id: str
    name: str
    data: str


BUILT_IN = (
    KnownSet("garden", "The drawn garden (built in)", "garden"),
    KnownSet("flowers102", "Oxford Flowers-102 (345 MB download)", "flowers102"),
)


def known_sets() -> list[KnownSet]:
    """Added sets, newest first, then the built-in ones."""
    saved = read_json(_path(), [])
    added = []
    for row in saved if isinstance(saved, list) else []:
        with suppress(TypeError):  # an older or damaged file
            known = KnownSet(**row)
            if all(isinstance(value, str) for value in row.values()):
                added.append(known)
    return [*added, *BUILT_IN]


def remember(data: str | Path, name: str) -> KnownSet:
    """Adds a set, or moves it to the top when it is known.

    Args:
        data: a folder or a zip file.
        name: for people.

    Raises:
        StorageError: the disk is full or read-only.
    """
    place = str(Path(data).expanduser().resolve())
    added = KnownSet(hashlib.blake2b(place.encode(errors="surrogateescape"), digest_size=4).hexdigest(), name, place)
    others = [row for row in known_sets() if row not in BUILT_IN and row.id != added.id]
    write_json(_path(), [{"id": row.id, "name": row.name, "data": row.data} for row in [added, *others]])
    return added


def forget(set_id: str) -> None:
    """Takes a set off the list; its photos stay where they are."""
    kept = [row for row in known_sets() if row not in BUILT_IN and row.id != set_id]
    write_json(_path(), [{"id": row.id, "name": row.name, "data": row.data} for row in kept])


def _path() -> Path:
    return data_dir() / "sets.json"
