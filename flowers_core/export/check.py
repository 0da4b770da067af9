"""What an exported network answers differently from the one it was made from, on pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flowers_core import garden, species
from flowers_core.errors import FlowersError
from flowers_core.export.layers import Layer, answer
from flowers_core.images import SIDE, decode, to_square
from flowers_core.images.augment import eval_views
from flowers_core.network.checkpoint import Card

MOST_PICTURES = 240
MOST_CHANGED = 0.005
"""Share of changed first answers beyond which people are warned: half a point of accuracy at worst."""

BATCH = 24


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same pictures.

    Args:
        n: pictures.
        pictures: what they were.
        changed: pictures whose first answer is another one now.
        largest: the largest difference of any probability.
    """

    n: int
    pictures: str
    changed: int
    largest: float

    @property
    def is_close(self) -> bool:
        """May the one stand for the other?"""
        return self.changed <= MOST_CHANGED * self.n

    def to_dict(self) -> dict:
        return {"n": self.n, "pictures": self.pictures, "changed": self.changed, "largest": round(self.largest, 4)}

    def __str__(self) -> str:
        same = f"gives the same first answer as the full model on {self.n - self.changed} of {self.n} {self.pictures}"
        return f"Shrunk for the page; {same}. Probabilities differ by {self.largest:.3f} at most."


def compare(full: list[Layer], small: list[Layer], card: Card) -> Comparison:
    """How far the small network's answers are from the full one's, one view of each picture.

    The pictures are those that the model learned from, spread over their kinds and splits, where they are still in
    place; else drawn flowers. No labels are looked at, so the test split stays closed.
    """
    squares, aspects, pictures = _pictures(card)
    transform = card.eval_transform()
    changed, largest = 0, 0.0
    with torch.inference_mode():
        for start in range(0, len(squares), BATCH):
            part = slice(start, start + BATCH)
            view = eval_views(torch.from_numpy(squares[part]), torch.from_numpy(aspects[part]), transform)[0]
            one, other = (answer(layers, view).softmax(1) for layers in (full, small))
            changed += int((one.argmax(1) != other.argmax(1)).sum())
            largest = max(largest, float((one - other).abs().max()))
    return Comparison(len(squares), pictures, changed, largest)


def _pictures(card: Card) -> tuple[np.ndarray, np.ndarray, str]:
    images = []
    data = card.config.get("data")
    if isinstance(data, str) and data not in ("garden", "flowers102") and Path(data).is_dir():
        for photo in _photos(data):
            try:
                images.append(decode(photo, want=SIDE))
            except FlowersError:
                continue
    if images:
        pictures = "photos of the set it learned from"
    else:
        pictures = "drawn flowers"
        kinds = [kind.name for kind in species.SPECIES]
        count = min(MOST_PICTURES, 2 * len(kinds))
        images = [garden.draw(kinds[i % len(kinds)], i // len(kinds), SIDE) for i in range(count)]
    aspects = np.array([image.width / image.height for image in images], np.float32)
    return np.stack([to_square(image) for image in images]), aspects, pictures


def _photos(data: str) -> list[Path]:
    from flowers_core.sources import open_source

    try:
        paths = [photo.path for photo in open_source(data, least_classes=1).photos]
    except FlowersError:
        return []
    return [Path(paths[i]) for i in np.linspace(0, len(paths) - 1, min(MOST_PICTURES, len(paths))).round().astype(int)]
