"""What people change about a set's photos without touching a file: exclude, move, relabel, or accept as they are.

An edit knows its photo by content, so that it holds when files are renamed, moved or listed anew. Copies of one file
have the same content; the photo's name tells them apart.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from flowers_core.errors import DataError
from flowers_core.sources.records import SPLITS, Photo, class_key
from flowers_core.storage import data_dir, explain_disk_errors, read_json, write_json

EXCLUDE, MOVE, RELABEL, ACCEPT = "exclude", "move", "relabel", "accept"
ACTIONS = (EXCLUDE, MOVE, RELABEL, ACCEPT)


@dataclass(frozen=True)
class Edit:
    """One change to one photo. Of several to one photo the later one counts.

    Args:
        digest: hash of the file's bytes.
        name: of the photo, as it was.
        action: EXCLUDE leaves it out, MOVE puts it into another split, RELABEL gives it another kind; ACCEPT
            changes nothing and says that a problem found with it is none.
        value: the split, the kind's name, or for ACCEPT the sort of problem; "" for EXCLUDE.
        copies: names that photos with the same content had then; the others among them are not meant.
        id: names the edit.
    """

    digest: str
    name: str
    action: str
    value: str = ""
    copies: tuple[str, ...] = ()
    id: str = ""

    @property
    def in_words(self) -> str:
        """What it did to its photo."""
        return {
            EXCLUDE: "excluded",
            MOVE: f"moved to {self.value}",
            RELABEL: f"relabelled as {self.value}",
            ACCEPT: "said to be fine",
        }[self.action]

    def is_sound(self) -> bool:
        """Can this be an edit? A file on disk may be damaged."""
        texts = (self.digest, self.name, self.action, self.value, self.id, *self.copies)
        return all(type(text) is str for text in texts) and self.action in ACTIONS


def load(source_key: str) -> tuple[Edit, ...]:
    """The edits of a source, oldest first."""
    saved = read_json(saved_path(source_key))
    found = []
    with suppress(TypeError, LookupError, AttributeError):  # none, damaged, or of another version
        copies = {digest: tuple(names) for digest, names in saved["copies"].items()}
        for row in saved["edits"]:
            with suppress(TypeError, LookupError):
                edit = Edit(**row, copies=copies.get(row["digest"], ()))
                if edit.is_sound():
                    found.append(edit)
    return tuple(found)


def add(source_key: str, new: Sequence[Edit]) -> tuple[str, ...]:
    """Saves edits; the ids that they got. An edit that is in force already keeps its id, so that it can be undone.

    Raises:
        DataError: an action or a split that doesn't exist.
        StorageError: the disk is full or read-only.
    """
    for edit in new:
        if edit.action not in ACTIONS:
            raise DataError("There is no such edit", edit.action, f"Choose one of {', '.join(ACTIONS)}.")
        if edit.action == MOVE and edit.value not in SPLITS:
            raise DataError("There is no such split", edit.value, f"Choose one of {', '.join(SPLITS)}.")
    ids = []
    with _changing(source_key) as edits:
        in_force = {_subject(edit): edit for edit in edits}
        for edit in new:
            known = in_force.get(_subject(edit))
            if known is None or known.value != edit.value:
                known = replace(edit, id=secrets.token_hex(4))
                edits.append(known)
            ids.append(known.id)
    return tuple(ids)


def _subject(edit: Edit) -> tuple[str, ...]:
    """What an edit decides; of those with the same subject the last one holds."""
    return edit.digest, edit.name, edit.action, edit.value if edit.action == ACCEPT else ""


def undo(source_key: str, ids: Sequence[str]) -> None:
    """Takes edits back, as if they had never been made."""
    gone = set(ids)
    with _changing(source_key) as edits:
        edits[:] = [edit for edit in edits if edit.id not in gone]


def version(source_key: str) -> tuple[int, int] | None:
    """Changes whenever the edits do; None before the first."""
    try:
        state = saved_path(source_key).stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino


def apply(
    edits: Sequence[Edit], photos: Sequence[Photo], digests: Sequence[str], classes: Sequence[str]
) -> list[tuple[int, Photo]]:
    """The photos that remain, each with its index among `photos`, in their splits and classes after the edits."""
    label_of = {class_key(name): label for label, name in enumerate(classes)}
    changed: dict[int, Photo | None] = {}
    for edit, index in zip(edits, targets(edits, photos, digests), strict=True):
        photo = changed.get(index, photos[index]) if index is not None else None
        if photo is None:
            continue
        if edit.action == EXCLUDE:
            changed[index] = None
        elif edit.action == MOVE and edit.value in SPLITS:
            changed[index] = replace(photo, split=edit.value)
        elif edit.action == RELABEL and class_key(edit.value) in label_of:
            changed[index] = replace(photo, label=label_of[class_key(edit.value)])
    if not changed:
        return list(enumerate(photos))
    after = ((i, changed.get(i, photo)) for i, photo in enumerate(photos))
    return [(i, photo) for i, photo in after if photo is not None]


def targets(edits: Sequence[Edit], photos: Sequence[Photo], digests: Sequence[str]) -> list[int | None]:
    """For each edit the index of the photo that it means; None when that photo is gone or has other content now."""
    wanted = {edit.digest for edit in edits}
    places: dict[str, dict[str, int]] = {}
    for index, digest in enumerate(digests):
        if digest in wanted:
            places.setdefault(digest, {})[photos[index].name] = index
    found = []
    for edit in edits:
        same = places.get(edit.digest, {})
        renamed = (index for name, index in same.items() if name not in edit.copies)
        found.append(same.get(edit.name, next(renamed, None)))
    return found


@contextmanager
def _changing(source_key: str) -> Iterator[list[Edit]]:
    """The edits as a list whose changes are saved; one writer at a time."""
    path = saved_path(source_key)
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            edits = list(load(source_key))
            yield edits
            copies: dict[str, tuple[str, ...]] = {}  # once per content: of one file there may be thousands
            for edit in edits:
                known = copies.setdefault(edit.digest, edit.copies)
                if known is not edit.copies and known != edit.copies:
                    copies[edit.digest] = tuple(sorted({*known, *edit.copies}))
            rows = [{key: getattr(edit, key) for key in ("digest", "name", "action", "value", "id")} for edit in edits]
            write_json(path, {"edits": rows, "copies": copies}, indent=None)


def saved_path(source_key: str) -> Path:
    """The file with a source's edits."""
    return data_dir() / "edits" / f"{source_key}.json"
