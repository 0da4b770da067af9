"""The decoded cache: every photo of a source once as a square of uint8, memory-mapped, known by its file's state."""

import hashlib
import mmap
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from flowers_core.errors import DataError, ImageError
from flowers_core.images import DECODER_VERSION, SIDE, decode_sized, looks, read_file, to_square
from flowers_core.machine.parallel import in_order
from flowers_core.photos import likeness
from flowers_core.sources import Photo, Source, edits, splits
from flowers_core.sources.edits import Edit
from flowers_core.sources.records import SPLITS, Problem, making_many
from flowers_core.storage import data_dir, explain_disk_errors, read_json, remove_tree, write_json

SQUARE_BYTES = SIDE * SIDE * 3
SAVE_EVERY_S = 5.0
"""Seconds of decoding that a killed process loses at most, as long as saving takes a small share of them."""

SAVE_SHARE = 25
"""Times what the last save cost that pass before the next one."""

CHECKED_ROWS = 16
"""Rows whose checksum is compared at each opening."""

GONE, CLOSED = "gone", "closed"
"""Stamps of files that are not there, or that we may not read."""


class Entry(NamedTuple):
    """What the cache knows of one file. A tuple, because there may be a hundred thousand.

    Args:
        stamp: "size:mtime" of the file when it was decoded, GONE or CLOSED; another stamp means decode again.
        row: its place in the pixel file, which copies of one file share; -1 when it could not be read.
        width, height: pixels of the upright photo.
        digest: hash of the file's bytes; equal for copies of one file.
        reason: why it could not be read, "" when it could.
    """

    stamp: str
    row: int
    width: int
    height: int
    digest: str
    reason: str

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def is_sound(self, rows: int) -> bool:
        """Can this be an entry of a pixel file with so many rows? An index on disk may be damaged."""
        _, row, width, height, _, reason = self
        if [*map(type, self)] != [str, int, int, int, str, str]:
            return False
        return row == -1 if reason else 0 <= row < rows and width > 0 and height > 0


def _are_sound(columns: list[list], rows: int) -> bool:
    """Are all entries of these columns `is_sound`, without a reason? Quicker than to ask one after the other."""
    if [set(map(type, column)) for column in columns] != [{str}, {int}, {int}, {int}, {str}, {str}]:
        return False
    _, places, widths, heights, _, reasons = columns
    in_file = min(places) >= 0 and max(places) < rows
    return in_file and min(widths) > 0 and min(heights) > 0 and not any(reasons)


def read_rows(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of memory-mapped pixels: (n, SIDE, SIDE, 3) uint8.

    The disk is asked for all of them at once. Read page by page as they are touched, they would take several times as
    long.
    """
    if hasattr(mmap, "MADV_WILLNEED") and isinstance(pixels.base, mmap.mmap):  # Windows has no such advice
        for row in rows.tolist():
            pixels.base.madvise(mmap.MADV_WILLNEED, row * SQUARE_BYTES, SQUARE_BYTES)
    return pixels[rows]


@dataclass(frozen=True)
class DecodedSource:
    """A source whose readable photos have pixels.

    Args:
        source: with the unreadable photos taken out of `photos` and added to `problems`.
        entries: one for each photo of the source, in its order.
        pixels: (rows, SIDE, SIDE, 3) uint8, memory-mapped and read-only; `entries[i].row` says which row.
        records: (rows,) looks.LOOK, memory-mapped and read-only, like `pixels`.
        edits: what people changed (see `sources.edits`), already applied.
        unedited: the same without the edits; None when there are none.
    """

    source: Source
    entries: tuple[Entry, ...]
    pixels: np.ndarray
    records: np.ndarray
    edits: tuple[Edit, ...] = ()
    unedited: "DecodedSource | None" = None

    def square(self, index: int) -> np.ndarray:
        """The pixels of photo `index`: (SIDE, SIDE, 3) uint8."""
        return self.pixels[self.entries[index].row]

    def squares(self, indices: np.ndarray) -> np.ndarray:
        """The pixels of several photos: (n, SIDE, SIDE, 3) uint8."""
        return read_rows(self.pixels, self.rows[indices])

    @property
    def original(self) -> "DecodedSource":
        """All readable photos as the source has them, before any edit."""
        return self.unedited or self

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) int32: each photo's class."""
        return np.fromiter((photo.label for photo in self.source.photos), np.int32, len(self.entries))

    @cached_property
    def splits(self) -> np.ndarray:
        """(n,) int8: each photo's split as an index into SPLITS."""
        number = {split: n for n, split in enumerate(SPLITS)}
        return np.fromiter((number[photo.split] for photo in self.source.photos), np.int8, len(self.entries))

    @cached_property
    def rows(self) -> np.ndarray:
        """(n,) int64: each photo's row in `pixels` and `records`."""
        return np.fromiter((entry.row for entry in self.entries), np.int64, len(self.entries))

    @cached_property
    def sizes(self) -> np.ndarray:
        """(n, 2) int32: each photo's width and height in pixels."""
        sides = (side for entry in self.entries for side in (entry.width, entry.height))
        return np.fromiter(sides, np.int32, 2 * len(self.entries)).reshape(-1, 2)

    @cached_property
    def counts(self) -> np.ndarray:
        """(classes, splits): how many photos each kind has in each split."""
        places = self.labels.astype(np.int64) * len(SPLITS) + self.splits
        shape = len(self.source.classes), len(SPLITS)
        return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)

    @cached_property
    def fingerprint(self) -> str:
        """Names exactly these photos in these classes and splits; equal on every machine."""
        digest = hashlib.blake2b(repr(self.source.classes).encode(), digest_size=8)
        rows = zip(self.source.photos, self.entries, strict=True)
        for line in sorted(f"{entry.digest} {photo.label} {photo.split}\n" for photo, entry in rows):
            digest.update(line.encode())
        return digest.hexdigest()

    @cached_property
    def order(self) -> str:
        """Names exactly these photos in this order, which renaming a file changes: what holds indices goes by it."""
        digest = hashlib.blake2b(repr(self.source.classes).encode(), digest_size=8)
        digest.update("/".join(photo.name for photo in self.source.photos).encode(errors="surrogateescape"))
        digest.update("".join(entry.digest for entry in self.entries).encode())
        digest.update(self.labels.tobytes() + self.splits.tobytes())
        return digest.hexdigest()


def decode_source(source: Source, progress: Callable[[str, int, int], None] | None = None) -> DecodedSource:
    """Decodes what is new or changed since last time, with all cores, opens the cache, and applies people's edits.

    Can be killed at any time: the next call goes on from what was saved. Of several processes one decodes
    and the others wait.

    Raises:
        DataError: not one photo could be read, or the edits leave none.
        StorageError: the disk is full or read-only.
    """
    return edited(decode_original(source, progress), edits.load(source.key))


def edited(original: DecodedSource, changes: tuple[Edit, ...]) -> DecodedSource:
    """The photos after what people changed about them.

    Raises:
        DataError: every photo is excluded.
    """
    if not changes:
        return original
    source, entries = original.source, original.entries
    kept = edits.apply(changes, source.photos, [entry.digest for entry in entries], source.classes)
    if not kept:
        hint = "Undo some of the changes: on the page Photos, or with the command photos DATA undo."
        raise DataError("Every photo of this set has been excluded", source.root, hint)
    photos = tuple(photo for _, photo in kept)
    return DecodedSource(
        replace(source, photos=photos), tuple(entries[i] for i, _ in kept), original.pixels, original.records,
        changes, original,
    )  # fmt: skip


def decode_original(source: Source, progress: Callable[[str, int, int], None] | None = None) -> DecodedSource:
    """Like `decode_source`, without the edits."""
    folder = data_dir() / "cache" / source.key
    with explain_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            with making_many():
                index = _Index(folder)
                stamps = {photo.name: _stamp(photo.file) for photo in source.photos}
            states = zip(source.photos, stamps.values(), map(index.entries.get, stamps), strict=True)
            todo = [photo for photo, stamp, entry in states if entry is None or entry.stamp != stamp]
            if (todo and index.is_mostly_stale(stamps)) or index.is_damaged():
                index.start_anew()
                todo = list(source.photos)
            if todo:
                _decode_into(index, todo, stamps, progress)
            entries = [index.entries[name] for name in stamps]
            pixels, records = index.open_pixels(), index.open_records()
    kept = tuple(photo for photo, entry in zip(source.photos, entries, strict=True) if not entry.reason)
    problems = [Problem(name, entry.reason) for name, entry in zip(stamps, entries, strict=True) if entry.reason]
    if not kept:
        detail = f" ({problems[0].path}: {problems[0].reason})" if problems else ""
        hint = "Copy the photos again, or choose another folder."
        raise DataError(f"None of {len(problems)} photos could be read{detail}", source.root, hint)
    cleaned = replace(source, photos=kept, problems=(*source.problems, *problems))
    decoded = DecodedSource(cleaned, tuple(entry for entry in entries if not entry.reason), pixels, records)
    if source.plan is None:
        return decoded
    return replace(decoded, source=splits.keep_together(cleaned, likeness.groups(decoded)))


class _Index:
    """What is in the files of pixels and records, as saved beside them."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "index.json"
        self.version = {"decoder": DECODER_VERSION, "side": SIDE, "looks": looks.LOOKS_VERSION}
        self.beginning, self.rows, self.entries = "", 0, {}
        saved = read_json(self.path)
        with suppress(TypeError, LookupError, ValueError):  # none, or damaged
            self.beginning = str(saved["beginning"])
            rows, columns = saved["rows"], saved["columns"]
            named = zip(saved["names"], map(Entry._make, zip(*columns, strict=True)), strict=True)
            if saved["version"] == self.version and self._holds(rows):
                sound = _are_sound(columns, rows)
                self.rows, self.entries = rows, dict(named if sound else (e for e in named if e[1].is_sound(rows)))

    @property
    def pixel_path(self) -> Path:
        return self.folder / f"pixels-{self.beginning}.u8"

    @property
    def record_path(self) -> Path:
        return self.folder / f"looks-{self.beginning}.bin"

    def _holds(self, rows: int) -> bool:
        sizes = (self.pixel_path, SQUARE_BYTES), (self.record_path, looks.LOOK.itemsize)
        return type(rows) is int and all(
            0 <= rows * each <= (path.stat().st_size if path.exists() else 0) for path, each in sizes
        )

    def knows(self, name: str, stamp: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.stamp == stamp

    def is_mostly_stale(self, stamps: dict[str, str]) -> bool:
        """Does more than half of the pixel file belong to files that are gone or have changed, or is there none?"""
        fresh = len({self.entries[name].row for name, stamp in stamps.items() if self.knows(name, stamp)})
        return self.rows == 0 or self.rows > 2 * fresh + 100

    def is_damaged(self) -> bool:
        """Do some of the pixels differ from what was written? Looks at a few rows, the last one among them."""
        if not self.rows:
            return False
        pixels, records = self.open_pixels(), self.open_records()
        some = np.unique(np.linspace(0, self.rows - 1, CHECKED_ROWS).astype(int))
        return any(looks.checksum(pixels[row]) != records[row]["checksum"] for row in some)

    def start_anew(self) -> None:
        """Begins other files: this one may be open elsewhere, so that it can't be cut short, nor removed on Windows."""
        old = [*self.folder.glob("pixels*"), *self.folder.glob("looks*")]
        self.beginning, self.rows, self.entries = f"{time.time_ns():x}", 0, {}
        self.save()  # first, so that after a kill no index speaks of the rows of another pixel file
        for path in old:
            remove_tree(path)

    def save(self) -> None:
        # In columns, which are read in two thirds of the time.
        columns = [*zip(*self.entries.values(), strict=True)]
        index = {"version": self.version, "beginning": self.beginning, "rows": self.rows}
        write_json(self.path, {**index, "names": [*self.entries], "columns": columns}, indent=None)

    def open_pixels(self) -> np.ndarray:
        if self.rows == 0:
            return np.zeros((0, SIDE, SIDE, 3), np.uint8)
        return np.memmap(self.pixel_path, np.uint8, "r", shape=(self.rows, SIDE, SIDE, 3))

    def open_records(self) -> np.ndarray:
        if self.rows == 0:
            return np.zeros(0, looks.LOOK)
        return np.memmap(self.record_path, looks.LOOK, "r", shape=(self.rows,))


def _decode_into(index: _Index, todo: list[Photo], stamps: dict[str, str], progress) -> None:
    known = {entry.digest: entry for entry in index.entries.values() if entry.row >= 0}
    with open(index.pixel_path, "ab") as pixels, open(index.record_path, "ab") as records:
        pixels.truncate(index.rows * SQUARE_BYTES)  # rows of a killed run that no saved index speaks of
        records.truncate(index.rows * looks.LOOK.itemsize)

        def save() -> float:
            started = time.monotonic()
            _sync(pixels)
            _sync(records)
            index.save()
            return time.monotonic() + max(SAVE_EVERY_S, SAVE_SHARE * (time.monotonic() - started))

        save_at = time.monotonic() + SAVE_EVERY_S
        all_decoded = in_order(lambda photo: _decode_one(photo.path, known), todo)
        for done, (photo, decoded) in enumerate(zip(todo, all_decoded, strict=True)):
            if progress and done % 20 == 0:
                progress("Reading the photos", done, len(todo))
            stamp = stamps[photo.name]
            settled = decoded.is_final or stamp in (GONE, CLOSED)  # else it is tried again next time
            entry = known.get(decoded.digest)
            if entry is None:
                row = -1
                if decoded.square is not None:
                    pixels.write(decoded.square.data)
                    records.write(decoded.look.tobytes())
                    row, index.rows = index.rows, index.rows + 1
                entry = Entry("", row, decoded.width, decoded.height, decoded.digest, decoded.reason)
                if row >= 0:
                    known[decoded.digest] = entry
            index.entries[photo.name] = entry._replace(stamp=stamp if settled else "")
            if time.monotonic() > save_at:
                save_at = save()
        save()
    if progress:
        progress("Reading the photos", len(todo), len(todo))


class _Decoded(NamedTuple):
    """What became of one file: a square with its look, or a reason, or neither for a copy of a known file.

    `is_final` unless it could not be read for a reason that may pass: a disk that failed, or too little memory.
    """

    digest: str = ""
    is_final: bool = True
    square: np.ndarray | None = None
    look: np.ndarray | None = None
    width: int = 0
    height: int = 0
    reason: str = ""


def _decode_one(path: Path, known: dict[str, Entry]) -> _Decoded:
    digest = ""
    try:
        content = read_file(path)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        if digest in known:
            return _Decoded(digest)
        image, (width, height) = decode_sized(content, want=SIDE)
    except ImageError as error:
        is_final = bool(digest) and not isinstance(error.__cause__, MemoryError)
        return _Decoded(digest, is_final, reason=error.what)
    square = np.ascontiguousarray(to_square(image))
    return _Decoded(digest, True, square, looks.measure(square), width, height)


def _stamp(path: str) -> str:
    try:
        state = os.stat(path)  # noqa: PTH116 (a Path for each of a hundred thousand files takes its time)
    except (OSError, ValueError):
        return GONE
    # What everybody may read needs no second question to the system: there may be a hundred thousand files.
    closed = state.st_mode & 0o444 != 0o444 and not os.access(path, os.R_OK)
    return CLOSED if closed else f"{state.st_size}:{state.st_mtime_ns}"


def _sync(file) -> None:
    file.flush()
    os.fsync(file.fileno())
