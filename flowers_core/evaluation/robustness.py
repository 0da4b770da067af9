"""How well a model holds when photos are disturbed: accuracy per disturbance, and along one for a photo."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flowers_core.evaluation import metrics
from flowers_core.evaluation.evaluate import match_classes, photos_of
from flowers_core.images.disturb import AS_IT_IS, Disturbance, disturb
from flowers_core.photos.cache import DecodedSource

if TYPE_CHECKING:
    from flowers_core.evaluation.predict import Classifier

BATCH = 16
"""Photos asked about at once: each is several views, and memory is short on small hosts."""

DIRECTIONS = tuple((round(float(np.cos(a)), 6), round(float(np.sin(a)), 6)) for a in np.arange(8) * np.pi / 4)


@dataclass(frozen=True)
class Condition:
    """One disturbance of the table.

    Args:
        name: what is done, for people.
        amount: how much, for people; "" for all or nothing.
        change: what is done. Photos take turns in the direction of what has one: a turn goes right and left, a
            move in eight directions.
    """

    name: str
    amount: str
    change: Disturbance

    def of(self, number: int) -> Disturbance:
        """What is done to the photo of this number."""
        x, y = DIRECTIONS[number % len(DIRECTIONS)]
        turn = self.change.turn * (-1) ** number
        return replace(self.change, turn=turn, move_x=self.change.move_x * x, move_y=self.change.move_x * y)


CONDITIONS = (
    Condition("As it is", "", AS_IT_IS),
    Condition("Mirrored", "", Disturbance(mirror=True)),
    *(Condition("Moved", f"{share:.0%}", Disturbance(move_x=share)) for share in (0.1, 0.2, 0.3)),
    *(Condition("Turned", f"{angle}°", Disturbance(turn=angle)) for angle in (15, 30, 45, 90, 180)),
    *(Condition("Scaled", f"{scale:.0%}", Disturbance(scale=scale)) for scale in (0.5, 0.7, 1.4, 2.0)),
    *(Condition("Exposure", f"{stops:+d} stops", Disturbance(exposure=stops)) for stops in (-3, -2, -1, 1, 2)),
    *(Condition("Blurred", f"{sd} px of 256", Disturbance(blur=sd)) for sd in (1, 2, 4)),
    *(Condition("JPEG", f"quality {quality}", Disturbance(jpeg=quality)) for quality in (50, 20, 10)),
)
"""The rows of the table. "Moved" by a share of the photo's width and height, in turn to all sides."""


@dataclass(frozen=True)
class Row:
    """One line of the table: how many were right under this condition, and the mean probability of the right kind."""

    name: str
    amount: str
    top1: metrics.Proportion
    mean_probability: float


@dataclass(frozen=True)
class Robustness:
    """The table for one checkpoint on one split; `n` photos were asked, of `of` there are."""

    checkpoint: str
    data: str
    split: str
    n: int
    of: int
    rows: tuple[Row, ...]

    def to_dict(self) -> list[dict]:
        """As `evaluate --disturb --json` prints it, and as a card keeps it."""
        return [
            {"name": row.name, "amount": row.amount, "n": row.top1.n, "top1": row.top1.value,
             "top1_interval": [row.top1.low, row.top1.high], "mean_probability": row.mean_probability}
            for row in self.rows
        ]  # fmt: skip


def robustness(
    classifier: "Classifier",
    decoded: DecodedSource,
    split: str,
    progress: Callable[[str, int, int], None] | None = None,
    limit: int | None = None,
) -> Robustness:
    """Accuracy under every one of CONDITIONS.

    Args:
        classifier: the model.
        decoded: the photos; those of some of the classes are enough.
        split: one of SPLITS, or "all".
        progress: told what is going on.
        limit: ask about no more photos than this, drawn with a fixed seed.

    Raises:
        DataError: the split is empty, or a kind is not one that the model knows.
    """
    label_of = match_classes(decoded.source, classifier.classes)
    photos, every = decoded.source.photos, photos_of(decoded.source, split)
    chosen = every
    if limit is not None and limit < len(every):
        chosen = sorted(np.random.default_rng(0).choice(every, limit, replace=False).tolist())
    hits = np.zeros(len(CONDITIONS), int)
    probability = np.zeros(len(CONDITIONS))
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        squares = np.stack([decoded.square(i) for i in batch])
        aspects = np.array([decoded.entries[i].aspect for i in batch])
        true = np.array([label_of[photos[i].label] for i in batch])
        for row, condition in enumerate(CONDITIONS):
            if progress:
                done = start * len(CONDITIONS) + row * len(batch)
                progress("Asking about changed photos", done, len(chosen) * len(CONDITIONS))
            changes = [condition.of(start + place) for place in range(len(batch))]
            answers = classifier.probabilities(disturb(squares, aspects, changes), aspects)
            hits[row] += int((answers.argmax(1) == true).sum())
            probability[row] += float(answers[np.arange(len(batch)), true].sum())
    rows = tuple(
        Row(condition.name, condition.amount, metrics.proportion(hits[row], len(chosen)),
            round(float(probability[row] / len(chosen)), 4))
        for row, condition in enumerate(CONDITIONS)
    )  # fmt: skip
    return Robustness(str(classifier.path), decoded.source.name, split, len(chosen), len(every), rows)


def sweep(classifier: "Classifier", square: np.ndarray, aspect: float, changes: list[Disturbance]) -> np.ndarray:
    """The answer to one photo under many changes, in batches.

    Args:
        classifier: the model.
        square: (256, 256, 3) uint8, from `images.to_square`.
        aspect: width over height.
        changes: what to do to it.

    Returns:
        (len(changes), classes) float32 probabilities.
    """
    answers = []
    for start in range(0, len(changes), BATCH):
        some = changes[start : start + BATCH]
        aspects = np.full(len(some), aspect)
        answers.append(classifier.probabilities(disturb(np.repeat(square[None], len(some), 0), aspects, some), aspects))
    return np.concatenate(answers)
