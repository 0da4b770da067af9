"""The decoded cache: every photo of a source once as a square of uint8, memory-mapped, known by its file's state."""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock

from flowers_core.errors import DataError, ImageError
from flowers_core.images import DECODER_VERSION, SIDE, decode_sized, read_file, to_square
from flowers_core.sources import Photo, Source
from flowers_core.sources.records import Problem
from flowers_core.storage import data_dir, explain_disk_errors, read_json, write_json

SQUARE_BYTES = SIDE * SIDE * 3
SAVE_EVERY_S = 5.0
"""Seconds of decoding that a killed process loses at most."""

GONE, CLOSED = "gone", "closed"
"""Stamps of files that are not there, or that we may not read."""


@dataclass(frozen=True)
class Entry:
    """What the cache knows of one file.

    Args:
        stamp: "size:mtime" of the file when it was decoded, GONE or CLOSED; another stamp means decode again.
        row: its place in the pixel file; -1 when it could not be read.
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
        texts, numbers = (self.stamp, self.digest, self.reason), (self.row, self.width, self.height)
        if not all(type(text) is str for text in texts) or not all(type(number) is int for number in numbers):
            return False
        return self.row == -1 if self.reason else 0 <= self.row < rows and min(self.width, self.height) > 0


@dataclass(frozen=True)
class DecodedSource:
    """A source whose readable photos have pixels.

    Args:
        source: with the unreadable photos taken out of `photos` and added to `problems`.
        entries: one for each photo of the source, in its order.
        pixels: (rows, SIDE, SIDE, 3) uint8, memory-mapped and read-only; `entries[i].row` says which row.
    """

    source: Source
    entries: tuple[Entry, ...]
    pixels: np.ndarray

    def square(self, index: int) -> np.ndarray:
        """The pixels of photo `index`: (SIDE, SIDE, 3) uint8."""
        return self.pixels[self.entries[index].row]

    @property
    def fingerprint(self) -> str:
        """Names exactly these photos in these classes and splits; equal on every machine."""
        digest = hashlib.blake2b(repr(self.source.classes).encode(), digest_size=8)
        rows = zip(self.source.photos, self.entries, strict=True)
        for line in sorted(f"{entry.digest} {photo.label} {photo.split}\n" for photo, entry in rows):
            digest.update(line.encode())
        return digest.hexdigest()


def decode_source(source: Source, progress: Callable[[str, int, int], None] | None = None) -> DecodedSource:
    """Decodes what is new or changed since last time, with all cores, and opens the cache.

    Can be killed at any time: the next call goes on from what was saved. Of several processes one decodes
    and the others wait.

    Raises:
        DataError: not one photo could be read.
        StorageError: the disk is full or read-only.
    """
    folder = data_dir() / "cache" / source.key
    with explain_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            index = _Index(folder)
            stamps = {photo.name: _stamp(photo.path) for photo in source.photos}
            todo = [photo for photo in source.photos if not index.knows(photo.name, stamps[photo.name])]
            if todo and index.is_mostly_stale(stamps):
                index.start_anew()
                todo = list(source.photos)
            if todo:
                _decode_into(index, todo, stamps, progress)
            entries = {photo.name: index.entries[photo.name] for photo in source.photos}
            pixels = index.open_pixels()
    kept = tuple(photo for photo in source.photos if not entries[photo.name].reason)
    problems = [Problem(name, entry.reason) for name, entry in entries.items() if entry.reason]
    if not kept:
        detail = f" ({problems[0].path}: {problems[0].reason})" if problems else ""
        hint = "Copy the photos again, or choose another folder."
        raise DataError(f"None of {len(problems)} photos could be read{detail}", source.root, hint)
    cleaned = Source(source.name, source.root, source.classes, kept, (*source.problems, *problems), source.split_origin)
    return DecodedSource(cleaned, tuple(entries[photo.name] for photo in kept), pixels)


class _Index:
    """What is in the pixel file, as saved beside it."""

    def __init__(self, folder: Path):
        self.path, self.pixel_path = folder / "index.json", folder / "pixels.u8"
        self.version = {"decoder": DECODER_VERSION, "side": SIDE}
        self.rows, self.entries = 0, {}
        saved = read_json(self.path)
        with suppress(TypeError, LookupError, AttributeError):  # none, or damaged
            rows, entries = saved["rows"], {name: Entry(*fields) for name, fields in saved["entries"].items()}
            if saved["version"] == self.version and self._holds(rows):
                self.rows, self.entries = rows, {name: e for name, e in entries.items() if e.is_sound(rows)}

    def _holds(self, rows: int) -> bool:
        size = self.pixel_path.stat().st_size if self.pixel_path.exists() else 0
        return type(rows) is int and 0 <= rows * SQUARE_BYTES <= size

    def knows(self, name: str, stamp: str) -> bool:
        return name in self.entries and self.entries[name].stamp == stamp

    def is_mostly_stale(self, stamps: dict[str, str]) -> bool:
        """Does more than half of the pixel file belong to files that are gone or have changed, or is there none?"""
        fresh = sum(self.knows(name, stamp) for name, stamp in stamps.items())
        return self.rows == 0 or self.rows > 2 * fresh + 100

    def start_anew(self) -> None:
        self.rows, self.entries = 0, {}
        self.save()  # first, so that after a kill no index speaks of the rows of another pixel file
        self.pixel_path.unlink(missing_ok=True)  # not cut short: another process may still look at it

    def save(self) -> None:
        entries = {n: [e.stamp, e.row, e.width, e.height, e.digest, e.reason] for n, e in self.entries.items()}
        write_json(self.path, {"version": self.version, "rows": self.rows, "entries": entries})

    def open_pixels(self) -> np.ndarray:
        if self.rows == 0:
            return np.zeros((0, SIDE, SIDE, 3), np.uint8)
        return np.memmap(self.pixel_path, np.uint8, "r", shape=(self.rows, SIDE, SIDE, 3))


def _decode_into(index: _Index, todo: list[Photo], stamps: dict[str, str], progress) -> None:
    saved_at = time.monotonic()
    with open(index.pixel_path, "ab") as file:
        file.truncate(index.rows * SQUARE_BYTES)  # rows of a killed run that no saved index speaks of
        for done, (photo, (square, width, height, digest, reason)) in enumerate(_decoded(todo)):
            if progress and done % 20 == 0:
                progress("Reading the photos", done, len(todo))
            row = -1
            if square is not None:
                file.write(square.data)
                row, index.rows = index.rows, index.rows + 1
            settled = digest or stamps[photo.name] in (GONE, CLOSED)  # else it is tried again next time
            index.entries[photo.name] = Entry(stamps[photo.name] if settled else "", row, width, height, digest, reason)
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                _sync(file)
                index.save()
                saved_at = time.monotonic()
        _sync(file)
        index.save()
    if progress:
        progress("Reading the photos", len(todo), len(todo))


def _decoded(photos: list[Photo]) -> Iterator[tuple[Photo, tuple]]:
    """Each photo with its decoded parts, in order. Threads suffice: Pillow decodes without Python's lock.

    Only a few dozen photos are in flight, so that memory stays small whatever the source's size.
    """
    workers = os.cpu_count() or 1
    queue = iter(photos)
    pool = ThreadPoolExecutor(workers)
    try:
        pending = deque((photo, pool.submit(_decode_one, photo.path)) for photo in islice(queue, 8 * workers))
        while pending:
            photo, future = pending.popleft()
            for following in islice(queue, 1):
                pending.append((following, pool.submit(_decode_one, following.path)))
            yield photo, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(path: Path) -> tuple[np.ndarray | None, int, int, str, str]:
    digest = ""
    try:
        content = read_file(path)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        image, (width, height) = decode_sized(content, want=SIDE)
    except ImageError as error:
        return None, 0, 0, digest, error.what
    return np.ascontiguousarray(to_square(image)), width, height, digest, ""


def _stamp(path: Path) -> str:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return GONE
    return f"{state.st_size}:{state.st_mtime_ns}" if os.access(path, os.R_OK) else CLOSED


def _sync(file) -> None:
    file.flush()
    os.fsync(file.fileno())
