"""The records that every source is read into."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from flowers_core import species

SPLITS = ("train", "valid", "test")
"""Train fits the weights, valid chooses between runs and epochs, test is opened once at the end."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a source.

    Args:
        name: path below the source's root, with forward slashes; unique there. Text for people, never a path to open.
        path: where the file is.
        label: index into the source's classes.
        split: one of SPLITS.
    """

    name: str
    path: Path
    label: int
    split: str

    @property
    def id(self) -> str:
        """A short name that is safe in links and as a file name."""
        return hashlib.blake2b(self.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Problem:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """Photos of several kinds of flowers, with a split.

    Args:
        name: short name for people.
        root: the folder it was read from.
        classes: names of the kinds in the order of their labels.
        photos: sorted by name.
        problems: files left out.
        split_origin: who decided the split, for people ("the folders", "Flowers-102", "this app (seed 0)").
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...]
    split_origin: str

    def counts(self) -> dict[str, int]:
        """Photos per split, in the order of SPLITS."""
        return {split: sum(photo.split == split for photo in self.photos) for split in SPLITS}

    @property
    def key(self) -> str:
        """Names the source's saved state (decoded cache, split): two folders never share it."""
        return hashlib.blake2b(str(self.root.resolve()).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def printable(name: str) -> str:
    """A file's name as text that can be shown on one line and saved: no control characters, no broken encoding."""
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)


def class_name(folder: str) -> str:
    """How a class folder's name is shown: underscores are spaces, and the 30 default kinds are spelled alike."""
    words = _words(folder)
    known = species.find(words)
    return known.name if known and class_key(known.name) == _plain(words) else printable(words)


def class_key(name: str) -> str:
    """Equal for names that mean the same kind: case, punctuation, and friendlier or Latin names don't matter."""
    words = _words(name)
    known = species.find(words)
    return _plain(known.name if known else words) or words


def natural_order(name: str) -> tuple:
    """Sorts by letters without case, and numbers by their size: 2 before 10. Different names never tie."""
    parts = re.split(r"(\d+)", _composed(name).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], name


def _words(name: str) -> str:
    return " ".join(_composed(name).replace("_", " ").split()) or name


def _plain(name: str) -> str:
    """Letters, marks, digits and symbols (a flower may be named by its emoji); the rest is space."""
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in _composed(name.casefold()))
    return " ".join("".join(kept).split())


def _composed(name: str) -> str:
    """Accents joined with their letters: a Mac's zip has them apart, and is to mean the same."""
    return unicodedata.normalize("NFC", name)
