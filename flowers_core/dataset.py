"""Decoded photos with a split, as batches of tensors."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowers_core.cache import DecodedSource, read_rows
from flowers_core.errors import DataError
from flowers_core.sources import Photo


@dataclass(frozen=True)
class Split:
    """The photos of one split (or any other selection).

    Args:
        photos: what each row is.
        labels: (n,) int64.
        aspects: (n,) float32, width over height.
        rows: (n,) where each photo lies in `pixels`.
        pixels: the source's squares, shared by all splits.
    """

    photos: tuple[Photo, ...]
    labels: Tensor
    aspects: Tensor
    rows: np.ndarray
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.photos)

    def thinned(self, most: int) -> "Split":
        """At most so many of the photos of each kind's share, evenly spaced; every kind keeps at least one."""
        labels, share = self.labels.numpy(), min(1.0, most / max(1, len(self)))
        kept = []
        for label in np.unique(labels):
            own = np.flatnonzero(labels == label)
            kept.append(own[_spaced(len(own), max(1, round(share * len(own))))])
        chosen = torch.from_numpy(np.sort(np.concatenate(kept)))
        photos = tuple(self.photos[i] for i in chosen)
        return Split(photos, self.labels[chosen], self.aspects[chosen], self.rows[chosen.numpy()], self.pixels)

    def load(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The chosen photos: squares (n, 256, 256, 3) uint8, aspects (n,), labels (n,)."""
        squares = read_rows(self.pixels, self.rows[indices.numpy()])
        return torch.from_numpy(squares), self.aspects[indices], self.labels[indices]


def _spaced(n: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def select(decoded: DecodedSource, split: str) -> Split:
    """The photos of "train", "valid" or "test", or of "all"; perhaps none."""
    photos = decoded.source.photos
    chosen = [i for i, photo in enumerate(photos) if split in ("all", photo.split)]
    entries = [decoded.entries[i] for i in chosen]
    return Split(
        tuple(photos[i] for i in chosen),
        torch.tensor([photos[i].label for i in chosen], dtype=torch.int64),
        torch.tensor([entry.aspect for entry in entries], dtype=torch.float32),
        np.array([entry.row for entry in entries], dtype=np.int64),
        decoded.pixels,
    )


def require_photos_of_every_class(split: Split, classes: tuple[str, ...], root: object) -> None:
    """Training can't learn a class that it has no photo of.

    Raises:
        DataError: names the classes without photos.
    """
    present = set(split.labels.tolist())
    missing = [name for label, name in enumerate(classes) if label not in present]
    if missing:
        names = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        hint = "Add photos to their training folders, or remove the folders."
        raise DataError(f"No readable training photos of: {names}", root, hint)
