"""Which photos are copies or near copies of each other, by what the cache knows of each: no photo is touched.

A perceptual hash proposes pairs, and the photos' miniatures decide (docs/experiments.md has the thresholds' reasons).
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowers_core.images import looks
from flowers_core.storage import data_dir, explain_disk_errors, replacing

if TYPE_CHECKING:
    from flowers_core.photos.cache import DecodedSource

MOST_BITS = 8
LEAST_ALIKE = 0.95
MOST_COLOUR = 40
"""Two photos are near copies when their hashes differ in at most so many of 63 bits, their grey miniatures correlate
at least so much, and no mean colour differs by more levels. Real pairs reach 0.967 and more, others at most 0.85."""

LEAST_CONTRAST = 1.0
"""Standard deviation of the grey levels below which a picture is of one colour, and its hash one of chance."""

CROWD = 64
"""Photos of one hash up to which all pairs are compared."""

_AT_ONCE = 8192


def groups(decoded: "DecodedSource") -> dict[str, int]:
    """A group's number for each photo's name that has a copy or a near copy; photos without one are left out.

    Near is transitive: where a is near b and b near c, all three are one group.
    """
    photos = decoded.source.photos
    digests = np.array([entry.digest for entry in decoded.entries], "S32")
    path = data_dir() / "cache" / decoded.source.key / "groups.npz"
    rules = f"{looks.LOOKS_VERSION}, {MOST_BITS}, {LEAST_ALIKE}, {MOST_COLOUR}, {LEAST_CONTRAST}".encode()
    state = np.frombuffer(hashlib.blake2b(rules + digests.tobytes(), digest_size=16).digest(), np.uint8)
    saved = _load(path, "state", "places", "numbers")
    if saved and np.array_equal(saved[0], state) and len(saved[1]) == len(saved[2]):
        _, places, numbers = saved
    else:
        rows, row = np.unique(decoded.rows, return_inverse=True)
        number = _connected(decoded.records[rows])[row]
        places = np.flatnonzero(np.bincount(number)[number] > 1) if len(number) else number
        numbers = number[places]
        _save(path, state=state, places=places, numbers=numbers)
    return {photos[place].name: int(number) for place, number in zip(places, numbers, strict=True)}


def near_copies(decoded: "DecodedSource") -> list[np.ndarray]:
    """Groups of photos, as indices in order, that look the same in different files.

    Of copies of one file, which share a row of the cache, the first stands for all.
    """
    _, first = np.unique(decoded.rows, return_index=True)
    first.sort()
    return [first[group] for group in equal(_connected(decoded.records[decoded.rows[first]]))]


def near_pairs(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places (i, j) in (n,) looks.LOOK that are near copies. Of more than CROWD with one hash not all pairs
    come: each comes with one that stands for it."""
    hashes = looks.hashes(records["grey"])
    places = np.flatnonzero(records["contrast"] >= LEAST_CONTRAST)
    _, which, counts = np.unique(hashes[places], return_inverse=True, return_counts=True)
    crowded = counts[which] > CROWD
    standing, rest = [places[~crowded]], places[crowded]
    left, right = [rest[:0]], [rest[:0]]
    while len(rest):  # of one hash the first stands for those like it; of the others again the first
        _, first, which = np.unique(hashes[rest], return_index=True, return_inverse=True)
        standing.append(rest[first])
        others = np.flatnonzero(first[which] != np.arange(len(rest)))
        a, b = rest[first[which[others]]], rest[others]
        alike = _are_alike(records, a, b)
        left.append(a[alike])
        right.append(b[alike])
        rest = b[~alike]
    places = np.sort(np.concatenate(standing))
    for a, b in _proposed(hashes[places]):
        alike = _are_alike(records, places[a], places[b])
        left.append(places[a[alike]])
        right.append(places[b[alike]])
    return np.concatenate(left), np.concatenate(right)


def equal(values: np.ndarray) -> list[np.ndarray]:
    """Indices of equal values, where there are two or more, in order."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order])) + 1
    return [group for group in np.split(order, starts) if len(group) > 1]


def _connected(records: np.ndarray) -> np.ndarray:
    """(n,) a number for each record, equal for those that near pairs connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(records):
        return np.zeros(0, np.int32)
    first, second = near_pairs(records)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(records), len(records)))
    return connected_components(graph, directed=False)[1]


def _proposed(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of hashes that differ in at most MOST_BITS bits, as two arrays of indices at a time; some come repeatedly.

    Two hashes of 63 bits that differ in 8 agree in one of nine runs of seven bits: only those that agree in a run
    are compared, a ninth of 1/128 of all pairs each.
    """
    runs = MOST_BITS + 1
    bits = 63 // runs
    for run in range(runs):
        found = []
        for group in equal((hashes >> np.uint64(run * bits)) & np.uint64(2**bits - 1)):
            near = np.bitwise_count(hashes[group][:, None] ^ hashes[group][None]) <= MOST_BITS
            found.append(group[np.argwhere(np.triu(near, 1))])
        if found:
            yield tuple(np.concatenate(found).T)


def _are_alike(records: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n,) whether the records in these places are near copies by their miniatures and colours."""
    alike = np.zeros(len(left), bool)
    for start in range(0, len(left), _AT_ONCE):
        a, b = records[left[start : start + _AT_ONCE]], records[right[start : start + _AT_ONCE]]
        same_shapes = _correlation(a["grey"].reshape(len(a), -1), b["grey"].reshape(len(b), -1)) >= LEAST_ALIKE
        apart = np.abs(a["colour"].astype(np.int16) - b["colour"].astype(np.int16)).max(1)
        alike[start : start + _AT_ONCE] = same_shapes & (apart <= MOST_COLOUR)
    return alike


def _correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    a, b = (rows - rows.mean(1, keepdims=True) for rows in (left.astype(np.float32), right.astype(np.float32)))
    return (a * b).sum(1) / np.maximum(1e-6, np.sqrt((a * a).sum(1) * (b * b).sum(1)))


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
