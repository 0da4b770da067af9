"""The records that every source is read into."""

import gc
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flowers_core import species

_DIGITS = re.compile(r"(\d+)")

SPLITS = ("train", "valid", "test")
"""Train fits the weights, valid chooses between runs and epochs, test is opened once at the end."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a source.

    Args:
        name: path below the source's root, with forward slashes; unique there. Text for people, never a path to open.
        file: where it is. Text, because a hundred thousand of `Path` take a third of a second to make.
        label: index into the source's classes.
        split: one of SPLITS.
    """

    name: str
    file: str
    label: int
    split: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(self.file)

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
class SplitPlan:
    """How the app divides photos that come without a split.

    Args:
        valid, test: shares of each kind's photos (0 to 1), or with `per_kind` numbers of photos of each kind.
        per_kind: whether they are numbers.
        seed: another one gives another choice of photos.
        make_test: False where the folders decided about test photos, so that only valid is cut out of train.
    """

    valid: float = 0.15
    test: float = 0.15
    per_kind: bool = False
    seed: int = 0
    make_test: bool = True

    def wanted(self, n: int) -> dict[str, int]:
        """Photos of a kind with `n` that valid and test are to get; at least one stays for train."""
        return {"valid": self._part(self.valid, n, 2), "test": self._part(self.test, n, 3) if self.make_test else 0}

    def by(self, per_kind: bool) -> "SplitPlan":
        """The plan in shares or in photos per kind; where that is not its unit, with the usual amounts."""
        usual = 1.0 if per_kind else SplitPlan.valid
        return self if per_kind == self.per_kind else replace(self, valid=usual, test=usual, per_kind=per_kind)

    def _part(self, amount: float, n: int, least: int) -> int:
        if amount <= 0 or n < least:
            return 0
        return int(amount) if self.per_kind else max(1, round(amount * n))


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
        plan: how the app made the split, None where it was given.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...]
    split_origin: str
    plan: SplitPlan | None = None

    def counts(self) -> dict[str, int]:
        """Photos per split, in the order of SPLITS."""
        return {split: sum(photo.split == split for photo in self.photos) for split in SPLITS}

    @property
    def key(self) -> str:
        """Names the source's saved state (decoded cache, split): two folders never share it."""
        return state_key(self.root)


def state_key(root: Path) -> str:
    """The `key` of the source that is read from this folder."""
    return hashlib.blake2b(str(root.resolve()).encode(errors="surrogateescape"), digest_size=8).hexdigest()


@contextmanager
def making_many() -> Iterator[None]:
    """Around making a hundred thousand records: Python would look through all of them for garbage again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def printable(name: str) -> str:
    """A file's name as text that can be shown on one line and saved: no control characters, no broken encoding."""
    if name.isprintable():
        return name
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)


def first_few(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence: of a thousand the first ones, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
    parts = _DIGITS.split(_composed(name).casefold())  # text and digits in turns, however the name begins
    parts[1::2] = map(int, parts[1::2])
    return parts, name


def _words(name: str) -> str:
    return " ".join(_composed(name).replace("_", " ").split()) or name


def _plain(name: str) -> str:
    """Letters, marks, digits and symbols (a flower may be named by its emoji); the rest is space."""
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in _composed(name.casefold()))
    return " ".join("".join(kept).split())


def _composed(name: str) -> str:
    """Accents joined with their letters: a Mac's zip has them apart, and is to mean the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
