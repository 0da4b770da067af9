"""Which photos are copies or near copies of each other, by difference hashes of their decoded squares."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowers_core.storage import data_dir, explain_disk_errors, replacing

if TYPE_CHECKING:
    from flowers_core.cache import DecodedSource

BITS = 128
MAX_DISTANCE = 10
"""Bits in which near copies may differ. In Flowers-102 resized or recompressed copies and shots of one moment differ
in 0 to 9; different photos in 18 and more."""

_BANDS = MAX_DISTANCE + 1
_MAX_BUCKET = 2000
_AT_ONCE = 256
_CELLS, _CELL = 9, 7


def groups(decoded: "DecodedSource") -> dict[str, int]:
    """A group's number for each photo's name that has a copy or a near copy; photos without one are left out.

    Near is transitive: where a is near b and b near c, all three are one group.
    """
    photos = decoded.source.photos
    digests = np.array([entry.digest for entry in decoded.entries], "S32")
    path = data_dir() / "cache" / decoded.source.key / "groups.npz"
    state = np.frombuffer(hashlib.blake2b(digests.tobytes(), digest_size=16).digest(), np.uint8)
    saved = _load(path, "state", "rows", "numbers")
    if saved and np.array_equal(saved[0], state) and len(saved[1]) == len(saved[2]):
        _, rows, numbers = saved
    else:
        number = _connected(hash_photos(decoded))
        rows = np.flatnonzero(np.bincount(number)[number] > 1) if len(number) else number
        numbers = number[rows]
        _save(path, state=state, rows=rows, numbers=numbers)
    return {photos[row].name: int(number) for row, number in zip(rows, numbers, strict=True)}


def _connected(hashes: np.ndarray) -> np.ndarray:
    """(n,) a number for each row, equal for those that near pairs connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = near_pairs(hashes)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(hashes), len(hashes)))
    return connected_components(graph, directed=False)[1]


def hash_photos(decoded: "DecodedSource") -> np.ndarray:
    """(photos, 2) uint64: for each photo, which of neighbouring cells of a 9 x 9 grid is brighter.

    The classic difference hash (dHash), both across and down. Saved by the content of the photos' files, so that
    only new photos cost time (20,000 a second).
    """
    path = data_dir() / "cache" / decoded.source.key / "likeness.npz"
    known, values = _load(path, "digests", "hashes") or (np.zeros(0, "S32"), np.zeros((0, 2), np.uint64))
    digests = np.array([entry.digest for entry in decoded.entries], "S32")
    place = np.searchsorted(known, digests)
    found = known[np.minimum(place, len(known) - 1)] == digests if len(known) else np.zeros(len(digests), bool)
    result = np.zeros((len(digests), 2), np.uint64)
    result[found] = values[place[found]]
    missing = np.flatnonzero(~found)
    for start in range(0, len(missing), _AT_ONCE):
        part = missing[start : start + _AT_ONCE]
        # Green alone, every fourth pixel: as good for this as true brightness, and ten times as fast.
        squares = np.stack([decoded.square(i)[2:254:4, 2:254:4, 1] for i in part])
        result[part] = hash_squares(squares)
    if len(missing):
        digests, firsts = np.unique(digests, return_index=True)
        _save(path, digests=digests, hashes=result[firsts])
    return result


def hash_squares(squares: np.ndarray) -> np.ndarray:
    """(n, 2) uint64 of (n, 63, 63) brightnesses."""
    cells = squares.reshape(-1, _CELLS, _CELL, _CELLS, _CELL).sum((2, 4), dtype=np.uint32)
    across = cells[:, :8, 1:] > cells[:, :8, :-1]
    down = cells[:, 1:, :8] > cells[:, :-1, :8]
    bits = np.concatenate([across.reshape(-1, 64), down.reshape(-1, 64)], axis=1)
    return np.packbits(bits, axis=1).view(np.uint64)


def near_pairs(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows (i, j), i < j, of (n, 2) hashes that differ in at most MAX_DISTANCE bits.

    Cut into more bands than bits may differ, two such hashes agree in at least one band whole, so only rows that
    share a band are compared: time grows little faster than n. Where more than 2000 rows share one (plain
    backgrounds), those of them that are alike from the first bit on are still found, for others it is luck.
    """
    n = len(hashes)
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(n, 16), axis=1)
    pairs = [np.zeros(0, np.int64)]
    for band in range(_BANDS):  # every eleventh bit, because neighbouring bits go together and tell rows apart badly
        part = bits[:, band::_BANDS]
        key = part @ (1 << np.arange(part.shape[1]))
        order = np.lexsort((hashes[:, 1], hashes[:, 0], key))
        key, sorted_hashes = key[order], hashes[order]
        row = np.arange(n)
        for step in range(1, _MAX_BUCKET):  # each row with the one `step` places on, as long as that shares its band
            row = row[: np.searchsorted(row, n - step)]
            row = row[key[row] == key[row + step]]
            if not len(row):
                break
            near = row[_distances(sorted_hashes[row], sorted_hashes[row + step]) <= MAX_DISTANCE]
            a, b = order[near], order[near + step]
            pairs.append(np.minimum(a, b) * n + np.maximum(a, b))
    found = np.unique(np.concatenate(pairs))
    return found // max(1, n), found % max(1, n)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.bitwise_count(a[:, 0] ^ b[:, 0]) + np.bitwise_count(a[:, 1] ^ b[:, 1])


def _load(path: Path, *names: str) -> list[np.ndarray] | None:
    """The file's arrays; None when there is none yet, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except Exception:  # NumPy and zipfile raise nearly anything on a damaged file
        return None


def _save(path: Path, **arrays: np.ndarray) -> None:
    with explain_disk_errors(path), replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
