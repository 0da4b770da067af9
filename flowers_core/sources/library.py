"""The sets of photos that this installation knows: built in, and added by its users, each with a card."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flowers_core import runs
from flowers_core.errors import ConfigError, DataError, RunError
from flowers_core.sources import edits, layout, splits
from flowers_core.sources.records import printable, state_key
from flowers_core.storage import (
    data_dir,
    explain_disk_errors,
    read_json,
    remove_tree,
    replacing_folder,
    sole_maker,
    write_bytes,
    write_json,
)

KEEP_DELETED_S = 7 * 86400.0
"""Seconds that a deleted set can be brought back."""

NAME_LENGTH = 60


@dataclass(frozen=True)
class KnownSet:
    """A set of photos to choose, and what its card says.

    Args:
        id: short and safe in links.
        name: for people.
        data: what `open_source` takes.
        origin: where the photos come from, for people: a link, a file's name, a folder. "" when built in.
        licence: as stated by whoever made the set; "" when nothing is stated.
        kinds: which of Flowers-102's are wanted, see `flowers102.KINDS`.
        added: seconds since 1970; 0 when built in.
        is_copy: the photos are this app's own copy, and go when the set is deleted for good.
    """

    id: str
    name: str
    data: str
    origin: str = ""
    licence: str = ""
    kinds: str = ""
    added: float = 0.0
    is_copy: bool = False

    @property
    def licence_in_words(self) -> str:
        """What a card says of the licence."""
        return self.licence or ("drawn by this app" if self.id == "garden" else "none stated")


@dataclass(frozen=True)
class DeletedSet:
    """A set in the trash: its place there, its name, and when it was deleted (seconds since 1970)."""

    place: str
    name: str
    time: float

    @property
    def set_id(self) -> str:
        """The id that it had, and gets back."""
        return self.place.split(".")[0]


@dataclass
class NewSet:
    """A set in the making: photos go into `folder`; the rest becomes its card. `known` is there when it is done."""

    folder: Path
    name: str
    origin: str
    licence: str = ""
    kinds: str = ""
    known: KnownSet | None = None


FLOWERS102 = "flowers102"
OWN = "own"
"""The set that photos are added to one by one."""

BUILT_IN = (
    KnownSet("garden", "The drawn garden (built in)", "garden"),
    KnownSet(FLOWERS102, "Oxford Flowers-102 (345 MB download)", FLOWERS102),
)


def known_sets() -> list[KnownSet]:
    """Added sets, newest first, then the built-in ones."""
    # Hidden folders are sets in the making, or what a killed import left of one.
    folders = [path.parent for path in sets_dir().glob("*/card.json") if not path.parent.name.startswith(".")]
    added = [known for folder in folders if (known := _read(folder))]
    added.sort(key=lambda known: known.added, reverse=True)
    ids = {known.id for known in added}
    return [*added, *(known for known in BUILT_IN if known.id not in ids)]


def find(text: str) -> KnownSet | None:
    """The set of this id, or the newest of this name or with this origin (a link); None when there is none."""
    sets = known_sets()
    for key in ("id", "name", "origin"):
        for known in sets:
            if text and getattr(known, key) == text:
                return known
    return None


def of_place(path: Path) -> KnownSet | None:
    """The set whose photos lie at this resolved path."""
    return next((known for known in known_sets() if known.data == str(path)), None)


def remember(data: str | Path, name: str, *, licence: str = "", kinds: str = "") -> KnownSet:
    """Adds a folder or a zip where it lies, or moves it to the top when it is known. Nothing is copied.

    Raises:
        DataError: the name can't be used.
        StorageError: the disk is full or read-only.
    """
    place = str(Path(data).expanduser().resolve())
    set_id = hashlib.blake2b(place.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    card = _card(checked_name(name), place, licence, kinds) | {"place": place}
    with explain_disk_errors(sets_dir() / set_id):
        (sets_dir() / set_id).mkdir(parents=True, exist_ok=True)
    write_json(sets_dir() / set_id / "card.json", card)
    return _read(sets_dir() / set_id)


@contextmanager
def new_set(
    name: str, origin: str, set_id: str | None = None, waiting: Callable[[], None] | None = None
) -> Iterator[NewSet]:
    """Yields an empty folder for photos. The set appears, whole and with its card, when the block ends well.

    Killed at any moment it is not there at all; what is left is removed when the next set is made.

    Args:
        name, origin: as on the card; may be changed in the block.
        set_id: its id; a new one when None.
        waiting: called while another import is at work; may raise to give up.

    Raises:
        DataError: the name can't be used, or there is such a set.
        StorageError: the disk is full or read-only.
    """
    home = sets_dir() / (set_id or secrets.token_hex(4))
    with explain_disk_errors(home), sole_maker(sets_dir(), waiting):
        if home.exists():
            raise DataError("There is such a set already", name, "Delete it first.")
        with replacing_folder(home) as place:
            # Runs and models are called by their folder, so it is named for people too.
            folder = re.sub(r"[^\w\-]+", "-", checked_name(name)).strip("-_")[:40] or "photos"
            (place / folder).mkdir()
            made = NewSet(place / folder, checked_name(name), origin)
            yield made
            card = _card(checked_name(made.name), made.origin, made.licence, made.kinds) | {"folder": folder}
            write_json(place / "card.json", card)
        made.known = _read(home)


def change(set_id: str, **values: str) -> KnownSet:
    """Changes what a card says: its name, licence or kinds.

    Raises:
        DataError: no such added set, or the name can't be used.
        StorageError: the disk is full or read-only.
    """
    if "name" in values:
        values["name"] = checked_name(values["name"])
    path = sets_dir() / set_id / "card.json"
    card = read_json(path)
    _added(set_id)  # after reading, so that there was one to read
    write_json(path, card | {key: printable(value.strip()) for key, value in values.items()})
    return _added(set_id)


def delete(set_id: str) -> DeletedSet:
    """Moves a set to the trash, from where `restore` brings it back. A folder that was added stays where it is.

    Raises:
        DataError: no such added set, or a training uses it.
        StorageError: it can't be moved.
    """
    known = _added(set_id)
    for run in runs.active_runs():
        with suppress(RunError, ConfigError):  # a run of another version says nothing of its photos
            if run.config().data == known.data:
                hint = "Stop the training on the page Train, or wait for its end."
                raise DataError("A training that is running uses this set", known.name, hint)
    now = int(time.time())
    place = f"{set_id}.{now}.{secrets.token_hex(2)}"
    with explain_disk_errors(sets_dir() / set_id):
        _trash().mkdir(parents=True, exist_ok=True)
        (sets_dir() / set_id).rename(_trash() / place)
    return DeletedSet(place, known.name, float(now))


def deleted_sets() -> list[DeletedSet]:
    """What is in the trash, newest first."""
    found = []
    for path in _trash().glob("*.*.*/card.json"):
        known, when = _read(path.parent), path.parent.name.split(".")[1]
        if known and when.isdecimal():
            found.append(DeletedSet(path.parent.name, known.name, float(when)))
    return sorted(found, key=lambda row: row.time, reverse=True)


def in_trash(set_id: str) -> bool:
    """Can a set of this id be brought back?"""
    return any(deleted.set_id == set_id for deleted in deleted_sets())


def restore(deleted: DeletedSet) -> KnownSet:
    """Brings a set back from the trash. Where there is a new set to add photos to one by one, the old one comes back as
    a set beside it.

    Raises:
        DataError: it is gone for good, or there is such a set again.
        StorageError: it can't be moved.
    """
    source, set_id = _trash() / deleted.place, deleted.set_id
    if deleted not in deleted_sets():
        raise DataError("This set is not in the trash any more", deleted.name, "Add its photos again.")
    if (sets_dir() / set_id).exists():
        if set_id != OWN:
            raise DataError("There is such a set again", deleted.name, "Delete that one first.")
        set_id = secrets.token_hex(4)
        _prepare_for_another_id(source, deleted, set_id)
    with explain_disk_errors(sets_dir() / set_id):
        source.rename(sets_dir() / set_id)
    return _added(set_id)


def _prepare_for_another_id(folder: Path, deleted: DeletedSet, set_id: str) -> None:
    """Gives a set in the trash a name of its own, and what people changed about it to the id that it will have."""
    name = deleted.name
    if any(known.name == name for known in known_sets()):
        when = f" of {time.strftime('%d %b', time.localtime(deleted.time))}"
        name = name[: NAME_LENGTH - len(when)].rstrip() + when
    card_path = folder / "card.json"
    write_json(card_path, read_json(card_path) | {"name": name})
    before, after = _state_key(deleted.set_id, folder), _state_key(set_id, folder)
    for saved_path in (edits.saved_path, splits.saved_path):
        if saved_path(before).exists():
            write_bytes(saved_path(after), saved_path(before).read_bytes())


def discard(set_id: str) -> None:
    """Removes a set whose import failed, at once and for good."""
    remove_for_good([delete(set_id)])


def empty_trash(older_than_s: float = 0.0) -> None:
    """Removes what was deleted so long ago for good."""
    remove_for_good([deleted for deleted in deleted_sets() if time.time() - deleted.time >= older_than_s])


def remove_for_good(sets: list[DeletedSet]) -> None:
    """Removes deleted sets with what was saved of them: copies of photos, decoded caches, splits, edits. One that was
    brought back meanwhile stays."""
    there = deleted_sets()
    sets = [deleted for deleted in sets if deleted in there]
    in_use = {_state_key(known.id, sets_dir() / known.id) for known in known_sets() if known.added}
    for deleted in sets:
        key = _state_key(deleted.set_id, _trash() / deleted.place)
        remove_tree(_trash() / deleted.place)
        if key not in in_use:
            remove_tree(data_dir() / "cache" / key)
            remove_tree(splits.saved_path(key))
            remove_tree(edits.saved_path(key))


def _state_key(set_id: str, folder: Path) -> str:
    """What is saved of a set is kept under this key: by where its photos lie while it is not in the trash."""
    card = read_json(folder / "card.json")
    place = Path(card.get("place") or folder / card["folder"])
    root = layout.flowers102_root(place) or place
    return state_key(sets_dir() / set_id / root.relative_to(folder) if root.is_relative_to(folder) else root)


def sets_dir() -> Path:
    """One folder per added set, with its card and, where they are our copy, its photos."""
    return data_dir() / "sets"


def checked_name(name: str) -> str:
    """A set's name on one line.

    Raises:
        DataError: it is empty or longer than NAME_LENGTH.
    """
    name = printable(" ".join(name.split()))
    if not 1 <= len(name) <= NAME_LENGTH:
        hint = f"Give it a name of 1 to {NAME_LENGTH} characters."
        what = "The set's name is too long" if name else "The set's name is empty"
        raise DataError(what, name[:80] or None, hint)
    if name.casefold() in (known.name.casefold() for known in BUILT_IN):
        raise DataError("A set that is built in has this name", name, "Choose another one.")
    return name


def _card(name: str, origin: str, licence: str, kinds: str) -> dict:
    return {"name": name, "origin": printable(origin), "licence": licence, "kinds": kinds, "added": time.time()}


def _read(folder: Path) -> KnownSet | None:
    """The set in this folder; None when its card is damaged, or of another version."""
    card = read_json(folder / "card.json")
    if not isinstance(card, dict) or not isinstance(card.get("added"), int | float):
        return None
    texts = [card.get(key) for key in ("name", "origin", "licence", "kinds")]
    place = card.get("place") or card.get("folder")
    if not all(isinstance(text, str) for text in (*texts, place)):
        return None
    data = place if card.get("place") else FLOWERS102 if folder.name == FLOWERS102 else str(folder.resolve() / place)
    name, origin, licence, kinds = texts
    return KnownSet(folder.name, name, data, origin, licence, kinds, float(card["added"]), not card.get("place"))


def _added(set_id: str) -> KnownSet:
    known = next((known for known in known_sets() if known.id == set_id and known.added), None)
    if known is None:
        raise DataError("There is no added set of this id", printable(set_id), "The built-in garden can't be changed.")
    return known


def _trash() -> Path:
    return data_dir() / "trash"
