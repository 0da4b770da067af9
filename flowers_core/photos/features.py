"""What ImageNet's convolutions see in each photo, as a short vector: computed once, stored, searched, and mapped."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from flowers_core.photos.cache import DecodedSource
from flowers_core.storage import data_dir, explain_disk_errors, read_json, write_json

WIDTH = 256
"""Numbers per photo: one per filter of the last convolution."""

VERSION = 2
"""Goes up when the same photo would get another vector."""

BATCH = 32
CHUNK = 8192
"""Photos compared at once: memory stays small whatever the set's size."""

DIGEST_BYTES = 32

MAP_PHOTOS = 2000
"""Photos on the map at most: more would hide each other, and t-SNE's time grows with them."""

PCA_COMPONENTS = 50
"""Principal components that t-SNE starts from."""


@dataclass(frozen=True)
class Features:
    """The vectors of a source's photos.

    Args:
        vectors: (rows, WIDTH) float16 of length 1, memory-mapped; their products are between 0 and 1, and the
            nearer to 1, the more alike two photos are to the network.
        rows: (n,) where each photo's vector is.
    """

    vectors: np.ndarray
    rows: np.ndarray

    def of(self, indices: np.ndarray | slice) -> np.ndarray:
        """(k, WIDTH) float32: the vectors of the chosen photos."""
        return self.vectors[self.rows[indices]].astype(np.float32)

    def nearest(self, index: int, count: int = 8) -> list[tuple[int, float]]:
        """The photos most alike to one, and how much (0 to 1), most alike first; without itself."""
        own = self.of(np.array([index]))[0]
        parts = [self.of(slice(start, start + CHUNK)) @ own for start in range(0, len(self.rows), CHUNK)]
        alike = np.concatenate(parts)
        alike[index] = -1
        best = np.argsort(-alike, kind="stable")[: min(count, len(alike) - 1)]
        return [(int(i), float(alike[i])) for i in best]


def stored(decoded: DecodedSource) -> Features | None:
    """The vectors, when every photo has one."""
    vectors, row_of = _open(_folder(decoded))
    rows = [row_of.get(entry.digest) for entry in decoded.entries]
    return None if None in rows else Features(vectors, np.array(rows, np.int64))


def saved_rows(decoded: DecodedSource) -> int:
    """How many vectors are on disk, for this source's photos now and before."""
    try:
        return _digest_path(_folder(decoded)).stat().st_size // DIGEST_BYTES
    except OSError:
        return 0


def missing(decoded: DecodedSource) -> int:
    """How many photos have no vector yet."""
    _, row_of = _open(_folder(decoded))
    return len({entry.digest for entry in decoded.entries if entry.digest not in row_of})


def compute(decoded: DecodedSource, progress: Callable[[str, int, int], None] | None = None) -> Features:
    """The vectors of all photos; computes what is missing. Can be killed at any time and goes on from there.

    Each is the mean of the last convolution's maps over the whole photo, one number per filter, as square roots
    (they tell the nearest photo better), scaled to length 1.

    Raises:
        StorageError: the disk is full or read-only.
    """
    folder = _folder(decoded)
    with explain_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "features.lock"):
            vectors, row_of = _open(folder)
            first = {entry.digest: i for i, entry in enumerate(decoded.entries) if entry.digest not in row_of}
            todo = list(first.values())
            if todo:
                _compute_into(folder, len(vectors), decoded, todo, progress)
    found = stored(decoded)
    assert found is not None
    return found


def _compute_into(folder: Path, rows: int, decoded: DecodedSource, todo: list[int], progress) -> None:
    import torch

    from flowers_core.images.augment import EvalTransform, eval_views
    from flowers_core.machine import precision
    from flowers_core.network import alexnet, int8, starts

    network = alexnet.build("2014", 1).eval()
    starts.start_weights(network, "imagenet")
    device = precision.device()
    number_format = precision.choose("auto", device)
    convolutions = int8.if_faster(network.to(device), getattr(torch, number_format)).features
    whole = EvalTransform(views="centre", window=1.0)
    with open(folder / f"features-{VERSION}.f16", "ab") as vectors, open(_digest_path(folder), "ab") as digests:
        vectors.truncate(rows * WIDTH * 2)
        digests.truncate(rows * DIGEST_BYTES)
        for start in range(0, len(todo), BATCH):
            if progress:
                progress("Looking with the network", start, len(todo))
            batch = todo[start : start + BATCH]
            squares = torch.from_numpy(decoded.pixels[decoded.rows[batch]]).to(device)
            aspects = torch.tensor([decoded.entries[i].aspect for i in batch], dtype=torch.float32)
            with torch.inference_mode(), precision.autocast(device, number_format):
                maps = convolutions(eval_views(squares, aspects, whole)[0])
                means = maps.float().mean((2, 3)).clamp(min=0).sqrt()
                rows_now = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
            vectors.write(rows_now.astype(np.float16).tobytes())
            vectors.flush()  # before the digests that speak of it
            names = [decoded.entries[i].digest.encode() for i in batch]
            digests.write(b"".join(name.ljust(DIGEST_BYTES)[:DIGEST_BYTES] for name in names))
            digests.flush()
    if progress:
        progress("Looking with the network", len(todo), len(todo))


def mapped(
    decoded: DecodedSource, features: Features, progress: Callable[[str, int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A flat map of the photos on which neighbours look alike to the network.

    Principal components, then t-SNE (van der Maaten and Hinton 2008). Of more than MAP_PHOTOS every kind gives the
    same share, evenly spread over its photos. Stored: the same photos have the same map.

    Returns:
        (k,) indices of the photos on the map and (k, 2) their places.
    """
    chosen = sampled_evenly(decoded.labels, MAP_PHOTOS)
    names = "".join(sorted(decoded.entries[i].digest for i in chosen))
    path = _folder(decoded) / f"map-{VERSION}-{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}.json"
    saved = read_json(path)
    by_digest = saved if isinstance(saved, dict) else {}
    if not all(entry in by_digest for entry in {decoded.entries[i].digest for i in chosen}):
        if progress:
            progress("Drawing the map", 0, 1)
        places = _flattened(features.of(chosen))
        rows = zip(chosen, places.round(2).tolist(), strict=True)
        by_digest = {decoded.entries[i].digest: place for i, place in rows}
        write_json(path, by_digest, indent=None)
    return chosen, np.array([by_digest[decoded.entries[i].digest] for i in chosen], float).reshape(-1, 2)


def _flattened(vectors: np.ndarray) -> np.ndarray:
    """(n, width) to (n, 2)."""
    n = len(vectors)
    if n < 3:
        return np.array([[i, 0.0] for i in range(n)]).reshape(-1, 2)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = PCA(min(PCA_COMPONENTS, n - 1, vectors.shape[1]), random_state=0).fit_transform(vectors)
    if n < 10:  # too few neighbours for t-SNE
        return components[:, :2] * 10
    neighbours = min(30, (n - 1) / 3)
    return TSNE(2, perplexity=neighbours, init="pca", random_state=0, max_iter=500).fit_transform(components)


def sampled_evenly(labels: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most `most` photos, evenly from all kinds; all of them when there are fewer."""
    if len(labels) <= most:
        return np.arange(len(labels))
    by_kind = np.argsort(labels, kind="stable")
    return np.sort(by_kind[np.linspace(0, len(labels) - 1, most).astype(int)])


def _open(folder: Path) -> tuple[np.ndarray, dict[str, int]]:
    """The vectors on disk, and the row of each photo's; a torn end (its writer was killed) is left out."""
    path = folder / f"features-{VERSION}.f16"
    try:
        names = _digest_path(folder).read_bytes()
        rows = min(path.stat().st_size // (WIDTH * 2), len(names) // DIGEST_BYTES)
    except OSError:
        rows, names = 0, b""
    if rows == 0:
        return np.zeros((0, WIDTH), np.float16), {}
    digests = np.frombuffer(names, f"S{DIGEST_BYTES}", rows).astype(str).tolist()
    return np.memmap(path, np.float16, "r", shape=(rows, WIDTH)), dict(zip(digests, range(rows), strict=True))


def _digest_path(folder: Path) -> Path:
    return folder / f"features-{VERSION}.digests"


def _folder(decoded: DecodedSource) -> Path:
    return data_dir() / "cache" / decoded.source.key
