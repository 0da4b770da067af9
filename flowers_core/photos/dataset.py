"""Decoded photos with a split, as batches of tensors."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from flowers_core.errors import DataError
from flowers_core.images import SIDE
from flowers_core.photos.cache import SQUARE_BYTES, DecodedSource, read_rows
from flowers_core.sources import Photo
from flowers_core.sources.records import first_few

CPU = torch.device("cpu")


RESIDENT_SHARE = 0.25
"""Of a GPU's free memory, what photos may take for the length of a training: 60,000 of them on one with 48 GB."""

READ_AT_ONCE = 1024
"""Photos on their way to a GPU: 200 MB."""


@dataclass(frozen=True)
class Split:
    """The photos of one split (or any other selection).

    Args:
        photos: what each row is.
        labels: (n,) int64.
        aspects: (n,) float32, width over height.
        rows: (n,) where each photo lies in `pixels`.
        pixels: the source's squares, shared by all splits.
        device: where squares are loaded to.
        resident: (n, 256, 256, 3) all squares on the device, where it has room.
    """

    photos: tuple[Photo, ...]
    labels: Tensor
    aspects: Tensor
    rows: np.ndarray
    pixels: np.ndarray
    device: torch.device = CPU
    resident: Tensor | None = None

    def __len__(self) -> int:
        return len(self.photos)

    def thinned(self, most: int) -> "Split":
        """A part of about `most` photos: the same share of each kind, evenly spaced, and at least one."""
        labels, share = self.labels.numpy(), min(1.0, most / max(1, len(self)))
        kept = []
        for label in np.unique(labels):
            own = np.flatnonzero(labels == label)
            kept.append(own[_spaced(len(own), max(1, round(share * len(own))))])
        chosen = torch.from_numpy(np.sort(np.concatenate(kept)))
        photos = tuple(self.photos[i] for i in chosen)
        rows = self.rows[chosen.numpy()]
        return Split(photos, self.labels[chosen], self.aspects[chosen], rows, self.pixels, self.device)

    def on(self, device: torch.device) -> "Split":
        """Itself, with squares on that device. A GPU with room to spare takes all of them in at once."""
        if device.type == "cpu":
            return self
        resident, size = None, len(self) * SQUARE_BYTES
        if size < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            resident = torch.empty(len(self), SIDE, SIDE, 3, dtype=torch.uint8, device=device)
            for start in range(0, len(self), READ_AT_ONCE):
                part = slice(start, start + READ_AT_ONCE)
                resident[part] = torch.from_numpy(read_rows(self.pixels, self.rows[part]))
        return replace(self, device=device, resident=resident)

    def load(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The chosen photos: squares (n, 256, 256, 3) uint8 on the device, aspects (n,), labels (n,)."""
        if self.resident is not None:
            squares = self.resident[indices.to(self.device, non_blocking=True)]
        else:
            squares = torch.from_numpy(read_rows(self.pixels, self.rows[indices.numpy()])).to(self.device)
        return squares, self.aspects[indices], self.labels[indices]


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
        hint = "Add photos to their training folders, or remove the folders."
        raise DataError(f"No readable training photos of: {first_few(missing)}", root, hint)
