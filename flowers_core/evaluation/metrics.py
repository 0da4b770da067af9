"""Confusion matrix, per-class figures, calibration, intervals: pure functions over arrays."""

from dataclasses import dataclass

import numpy as np

Z = 1.959964
"""Half the width of a 95% interval in standard deviations of the normal distribution."""


@dataclass(frozen=True)
class Proportion:
    """A share of n cases with its 95% interval (Wilson's score interval; sound for small n too)."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if self.n == 0:
            return "-"
        return f"{self.value:.1%} ({self.low:.0%} to {self.high:.0%})"


def proportion(hits: int, n: int) -> Proportion:
    """hits out of n. With n = 0 nothing is known: 0 with an interval from 0 to 1.

    Wilson 1927, as scipy.stats.binomtest has it; importing that takes 22 MB and 0.4 s of every start.
    """
    if n == 0:
        return Proportion(0.0, 0.0, 1.0, 0)
    share, n = float(hits / n), int(n)
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    return Proportion(share, 0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half, n)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts: rows are the true class, columns the predicted one."""
    pairs = np.asarray(true) * classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class ClassFigures:
    """How one class did. Precision: of the photos called so, how many were. Recall: of its photos, how many
    were called so. F1: the harmonic mean of both, 0 when nothing was right."""

    precision: Proportion
    recall: Proportion
    f1: float


def per_class(confusion: np.ndarray) -> list[ClassFigures]:
    """Figures for each class of a confusion matrix, in its order."""
    figures = []
    for index in range(len(confusion)):
        hits, called, real = confusion[index, index], confusion[:, index].sum(), confusion[index].sum()
        f1 = 2 * hits / (called + real) if called + real else 0.0
        figures.append(ClassFigures(proportion(hits, called), proportion(hits, real), float(f1)))
    return figures


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that have photos: every kind counts the same, however many photos it has."""
    scores = [c.f1 for c in per_class(confusion) if c.recall.n > 0]
    return float(np.mean(scores)) if scores else 0.0


def macro_f1_interval(confusion: np.ndarray) -> tuple[float, float]:
    """95% interval of macro F1: a bootstrap's, but never narrower about the figure than accuracy's (Wilson's).

    The bootstrap alone would be certain of what it never saw: "0 to 0" where nothing was right.
    """
    f1, present = _bootstrap_f1(confusion)
    if not len(f1):
        return 0.0, 1.0
    low, high = np.percentile((f1 * present).sum(axis=1) / present.sum(axis=1), [2.5, 97.5])
    figure, right = macro_f1(confusion), proportion(confusion.trace(), confusion.sum())
    low, high = min(low, figure + right.low - right.value), max(high, figure + right.high - right.value)
    return max(0.0, float(low)), min(1.0, float(high))


def per_class_f1_intervals(confusion: np.ndarray) -> list[tuple[float, float]]:
    """95% interval of each class's F1.

    Of the photos that are of the class or were called so, the share J that is both has Wilson's interval, and F1 is
    2 J / (1 + J): so a class with one photo and no hit gets "0 to 88%", which its recall says too.
    """
    hits = confusion.diagonal()
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    shares = [proportion(*counts) for counts in zip(hits, either, strict=True)]
    return [(2 * share.low / (1 + share.low), 2 * share.high / (1 + share.high)) for share in shares]


def _bootstrap_f1(confusion: np.ndarray, draws: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap: F1 of every class, and whether it has photos, each (draws, classes); as many photos drawn anew
    (with a fixed seed), `draws` times. Empty when there are no photos."""
    total = int(confusion.sum())
    if total == 0:
        return np.zeros((0, len(confusion))), np.zeros((0, len(confusion)), bool)
    drawn = np.random.default_rng(0).multinomial(total, confusion.ravel() / total, size=draws)
    drawn = drawn.reshape(draws, *confusion.shape)
    hits, called, real = drawn.diagonal(axis1=1, axis2=2), drawn.sum(axis=1), drawn.sum(axis=2)
    return 2 * hits / np.maximum(called + real, 1), real > 0


def expected_calibration_error(probabilities: np.ndarray, true: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from accuracy, 0 to 1: the mean gap over equal bins of the highest probability,
    weighted by photos (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3)."""
    if len(true) == 0:
        return 0.0
    return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == true, bins)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """The same from each photo's highest probability and whether it was right."""
    if len(right) == 0:
        return 0.0
    return float(_gaps(confidence[None], right[None], bins)[0])


def calibration_error_interval(
    confidence: np.ndarray, right: np.ndarray, bins: int = 15, draws: int = 1000
) -> tuple[float, float]:
    """95% bootstrap interval of the calibration error, which holds the figure itself.

    With few photos per bin chance alone makes gaps, so the figure errs upward and figures of drawn photos do so twice.
    The interval is therefore the basic one, mirrored at the figure (Davison and Hinkley 1997, section 5.2). It is
    somewhat narrow all the same: of 200 made-up models on 400 photos it held the truth of 175.
    """
    n = len(right)
    if n == 0:
        return 0.0, 1.0
    figure, chance, drawn = calibration_error(confidence, right, bins), np.random.default_rng(0), []
    for _ in range(10):  # in parts, so that memory stays small with many photos
        chosen = chance.integers(n, size=(draws // 10, n))
        drawn.append(_gaps(confidence[chosen], right[chosen], bins))
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return max(0.0, min(figure, float(2 * figure - high))), min(1.0, max(figure, float(2 * figure - low)))


def _gaps(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """The calibration error of each row of photos: (rows, n) to (rows,)."""
    rows, n = confidence.shape
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1) + bins * np.arange(rows)[:, None]
    gaps = np.bincount(bin_of.ravel(), weights=(right - confidence).ravel(), minlength=rows * bins)
    return np.abs(gaps.reshape(rows, bins)).sum(axis=1) / n


def most_confused(confusion: np.ndarray, limit: int = 5) -> list[tuple[int, int, int]]:
    """The commonest mistakes as (true, predicted, count), most first."""
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    pairs = [(int(i // len(confusion)), int(i % len(confusion))) for i in order]
    return [(t, p, int(mistakes[t, p])) for t, p in pairs if mistakes[t, p] > 0]
