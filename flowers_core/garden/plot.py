"""The garden that this installation has planted: how many pictures of each kind are in bloom, and growing more."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from flowers_core import garden
from flowers_core.errors import DataError, StorageError
from flowers_core.storage import data_dir, explain_disk_errors, free_megabytes, read_json, write_json

DEFAULT = {"train": 4, "valid": 1, "test": 5}
"""Pictures per kind and split, as the garden is first planted."""

MOST = 5000
"""Pictures per kind and split at most: with 30 kinds 150,000, which take hours to draw and gigabytes to keep."""

PICTURE_BYTES = 20_000
"""What a picture takes on the disk."""

Progress = Callable[[int, int], None]


def root() -> Path:
    """The garden's folder."""
    return data_dir() / "garden"


def counts() -> dict[str, int]:
    """Pictures per kind that are in bloom, by split."""
    saved = read_json(_counts_path())
    sound = isinstance(saved, dict) and saved.keys() == DEFAULT.keys() and all(map(_is_possible, saved.values()))
    return {split: saved[split] for split in DEFAULT} if sound else dict(DEFAULT)


def is_planted() -> bool:
    """Is the garden drawn already?"""
    return (root() / "complete").exists()


def planted(progress: Progress | None = None) -> Path:
    """The garden's folder; planted at first use."""
    with explain_disk_errors(root()):
        root().parent.mkdir(parents=True, exist_ok=True)
        if not is_planted():
            with FileLock(root().with_suffix(".lock")):
                if not is_planted():
                    garden.grow(root(), progress=progress)
                    (root() / "complete").touch()
    return root()


def grow(wanted: dict[str, int], progress: Progress | None = None) -> None:
    """Brings the garden to so many pictures per kind and split; the same numbers always give the same pictures.

    Can be ended at any time: the garden stays as it was, what is drawn already is found again the next time. Fewer
    pictures than before leave the others on disk, out of bloom.

    Raises:
        DataError: as `check`.
        StorageError: as `check`, or the disk is full or read-only.
    """
    check(wanted)
    with explain_disk_errors(root()):
        root().parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root().with_suffix(".lock")):
            garden.grow(root(), **wanted, progress=progress)
            (root() / "complete").touch()
            write_json(_counts_path(), wanted)


def check(wanted: dict[str, int]) -> None:
    """Can the garden grow so many pictures per kind and split?

    Raises:
        DataError: a split that doesn't exist, or a number outside of 1 to MOST.
        StorageError: the disk has no room for them.
    """
    if wanted.keys() != DEFAULT.keys() or not all(map(_is_possible, wanted.values())):
        asked = ", ".join(f"{str(number)[:20]} {split}" for split, number in wanted.items())
        raise DataError("The garden can't grow that", asked, f"Give 1 to {MOST:,} for each of {', '.join(DEFAULT)}.")
    need, have = new_pictures(wanted) * PICTURE_BYTES // 2**20, free_megabytes()
    if need > have:
        what = f"{new_pictures(wanted):,} new pictures take about {need:,} MB, and the disk has {have:,} MB left"
        raise StorageError(what, root(), "Free some space, or ask for fewer.")


def new_pictures(wanted: dict[str, int]) -> int:
    """How many pictures are still to be drawn for that."""
    last = list(garden.TRAITS)[-1]  # each split is drawn kind by kind, so this one is the last that is complete
    folders = {split: root() / split.capitalize() / last for split in wanted}
    drawn = {split: sum(1 for _ in folder.glob("*.jpg")) for split, folder in folders.items()}
    return sum(max(0, number - drawn[split]) for split, number in wanted.items()) * len(garden.TRAITS)


def is_in_bloom(name: str, split: str, planted_counts: dict[str, int]) -> bool:
    """Is the picture (`Train/rose/rose-0012.jpg`) among the first that are wanted?"""
    number = name.rpartition("-")[2].partition(".")[0]
    return not number.isdecimal() or int(number) <= planted_counts[split]


def _is_possible(number: object) -> bool:
    return type(number) is int and 1 <= number <= MOST


def _counts_path() -> Path:
    return data_dir() / "garden.json"
