"""The training photos that look most alike to the network: an album of their features, built once and kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowers_core.network.checkpoint import file_key
from flowers_core.photos.features import sampled_evenly
from flowers_core.sources import SPLITS
from flowers_core.storage import data_dir, explain_disk_errors, keep_newest, replacing

if TYPE_CHECKING:
    from flowers_core.evaluation.predict import Classifier
    from flowers_core.photos.cache import DecodedSource

DIMENSIONS = 64
MOST_PHOTOS = 3000
"""Photos in an album at most, evenly from all kinds."""

BATCH = 32
KEPT = 50
"""Albums of models and sets of one's own that are kept; the oldest go."""


@dataclass(frozen=True)
class Album:
    """What the second hidden layer made of the training photos, turned to its main directions.

    Args:
        features: (n, dimensions) float32, rows of length 1.
        mean, directions: (hidden,) and (hidden, dimensions) float32, what turns a photo's features into such a row.
        kinds: each photo's kind.
        names: each photo's name in its source.
    """

    features: np.ndarray
    mean: np.ndarray
    directions: np.ndarray
    kinds: tuple[str, ...]
    names: tuple[str, ...]

    def nearest(self, hidden: np.ndarray, count: int = 6) -> list["Neighbour"]:
        """The most similar photos to one with these features (hidden,), the most similar first."""
        row = _unit((hidden - self.mean)[None] @ self.directions)[0]
        similarity = self.features @ row
        order = np.argsort(-similarity, kind="stable")[:count]
        return [Neighbour(self.kinds[i], self.names[i], float(similarity[i])) for i in order]


@dataclass(frozen=True)
class Neighbour:
    """A training photo: its kind, its name in the source, and the cosine of the angle between its features and the
    asked photo's, from -1 to 1."""

    kind: str
    name: str
    similarity: float


def hidden_features(classifier: "Classifier", squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
    """What the layer before the output makes of photos' centre views: (n, 4096) float32.

    Args:
        classifier: the model.
        squares: (n, 256, 256, 3) uint8.
        aspects: (n,) width over height.
    """
    import torch

    from flowers_core.images.augment import eval_views

    network = classifier.network
    transform = replace(classifier.transform, views="centre")
    with torch.inference_mode():
        pixels = torch.from_numpy(np.require(squares, requirements="W"))
        (view,) = eval_views(pixels, torch.from_numpy(aspects.astype(np.float32)), transform)
        seen = network.pooled_features(view.to(classifier.device, classifier.dtype))
        return network.classifier[:-1](seen).float().cpu().numpy()


def build(
    classifier: "Classifier", decoded: "DecodedSource", progress: Callable[[str, int, int], None] | None = None
) -> Album:
    """An album of a source's training photos, which must hold at least one."""
    photos = decoded.source.photos
    train = np.flatnonzero(decoded.splits == SPLITS.index("train"))
    chosen = train[sampled_evenly(decoded.labels[train], MOST_PHOTOS)].tolist()
    rows = []
    for start in range(0, len(chosen), BATCH):
        if progress:
            progress("Remembering the training photos", start, len(chosen))
        batch = chosen[start : start + BATCH]
        aspects = np.array([decoded.entries[i].aspect for i in batch])
        rows.append(hidden_features(classifier, np.stack([decoded.square(i) for i in batch]), aspects))
    hidden = np.concatenate(rows)
    mean = hidden.mean(0)
    centred = hidden - mean
    # Principal components from the photos' inner products: there are fewer photos than hidden units.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    kept = [i for i in np.argsort(-values)[:DIMENSIONS] if values[i] > 1e-6 * max(float(values.max()), 1e-12)]
    directions = centred.T @ vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-12))
    return Album(
        _unit(centred @ directions).astype(np.float32), mean.astype(np.float32), directions.astype(np.float32),
        tuple(decoded.source.classes[photos[i].label] for i in chosen), tuple(photos[i].name for i in chosen),
    )  # fmt: skip


def save(album: Album, path: Path) -> None:
    """Writes the album whole, as a safetensors file of float16.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(getattr(album, name), np.float16) for name in _ARRAYS}
    metadata = {"kinds": json.dumps(album.kinds), "names": json.dumps(album.names)}
    with explain_disk_errors(path), replacing(path) as temporary:
        save_file(arrays, temporary, metadata)
    if path.parent == _own_folder():
        keep_newest(path.parent, KEPT)


def load(path: Path) -> Album | None:
    """The album, or None when there is none or it is damaged: it can be built again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name).astype(np.float32) for name in _ARRAYS}
            kinds, names = (tuple(json.loads(file.metadata()[name])) for name in ("kinds", "names"))
    except (OSError, SafetensorError, ValueError, TypeError, LookupError):
        return None
    features, mean, directions = (arrays[name] for name in _ARRAYS)
    fits = features.shape == (len(names), directions.shape[-1]) and directions.shape[:1] == mean.shape
    return Album(features, mean, directions, kinds, names) if fits and len(kinds) == len(names) else None


def shipped_path(checkpoint: Path) -> Path:
    """Where an album lies that comes with a checkpoint whose photos can't."""
    return checkpoint.with_name(f"{checkpoint.stem}.album.safetensors")


def own_path(checkpoint: Path, decoded: "DecodedSource") -> Path:
    """Where an album is kept that was made here, for this very file and these very photos under these names."""
    return _own_folder() / f"{file_key(checkpoint)}-{decoded.order}.safetensors"


def _own_folder() -> Path:
    return data_dir() / "albums"


_ARRAYS = ("features", "mean", "directions")


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
