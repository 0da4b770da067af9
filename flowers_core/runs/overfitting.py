"""Tells from a run's curves when it began to learn its training photos by heart, and not from a lucky epoch."""

import math
from dataclasses import dataclass

CLEAR = 3.0
"""Standard errors beyond which a difference is no chance. Three and not two, because it is asked after every epoch."""

IN_A_ROW = 3
"""Epochs that must all show it."""

STANDSTILL = 5
"""Epochs without a better validation loss that count as a standstill."""

LEAST_RISE = 0.05
"""A validation loss that rose by a smaller share than this is no news, however certain."""

LEAST_GAP = 0.1
"""Nor is an accuracy on training photos that lies by less than this above that on validation photos."""


@dataclass(frozen=True)
class Onset:
    """Training and validation have parted.

    Args:
        since: the last epoch in which validation was still at its best.
        kind: "worse" when validation losses rose, "standstill" when they stand while training goes on improving.
        train: training loss ("worse") or accuracy ("standstill") in that epoch, and in the latest.
        valid: the same of validation.
    """

    since: int
    kind: str
    train: tuple[float, float]
    valid: tuple[float, float]


def find(epochs: list[dict], train_photos: int, valid_photos: int) -> Onset | None:
    """Whether the curves have parted for good, judged by the last few epochs; None while they have not.

    With 30 validation photos a curve jumps by a tenth from one epoch to the next. So a rise counts only when it is
    clear photo by photo (`valid_rise` and `valid_rise_error`, a paired comparison with the best epoch), and a
    standstill only when training accuracy lies clearly above validation accuracy (binomial standard errors). Both
    must hold in several epochs in a row, while the training loss went on falling.

    Args:
        epochs: a run's records of kind "epoch", oldest first.
        train_photos, valid_photos: how many there are.
    """
    epochs = [epoch for epoch in epochs if "valid_loss" in epoch]
    if len(epochs) <= IN_A_ROW or not valid_photos:
        return None
    lowest = min(range(len(epochs)), key=lambda i: epochs[i]["valid_loss"])
    last, best, now = epochs[-IN_A_ROW:], epochs[lowest], epochs[-1]
    if len(epochs) - 1 - lowest < IN_A_ROW or any(epoch["train_loss"] >= best["train_loss"] for epoch in last):
        return None
    if all(_is_worse(epoch, best) for epoch in last):
        kind, figure = "worse", "loss"
    elif len(epochs) - 1 - lowest >= STANDSTILL and all(_is_apart(e, train_photos, valid_photos) for e in last):
        kind, figure = "standstill", "accuracy"
    else:
        return None
    train, valid = ((best[name], now[name]) for name in (f"train_{figure}", f"valid_{figure}"))
    return Onset(best["epoch"], kind, train, valid)


def _is_worse(epoch: dict, best: dict) -> bool:
    rise, error = epoch.get("valid_rise", 0.0), epoch.get("valid_rise_error", 0.0)
    return rise > CLEAR * error > 0 and rise > LEAST_RISE * best["valid_loss"]


def _is_apart(epoch: dict, train_photos: int, valid_photos: int) -> bool:
    train, valid = epoch["train_accuracy"], epoch["valid_accuracy"]
    error = math.sqrt(_variance(train, train_photos) + _variance(valid, valid_photos))
    return train - valid > max(LEAST_GAP, CLEAR * error)


def _variance(accuracy: float, n: int) -> float:
    """Of an accuracy on n photos; never 0, since all of a few photos right doesn't prove that all would be
    (Agresti and Coull's two added hits and misses)."""
    share = (accuracy * n + 2) / (n + 4)
    return share * (1 - share) / (n + 4)
