"""Probabilities that mean something: a temperature for the logits, and a score for photos of something else."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp, softmax

from flowers_core.network import mahalanobis

LEAST_PHOTOS = 20
"""Below so many validation photos a temperature is a guess, and no threshold can be had: logits stay as they are."""

ACCEPTED = 0.95
"""Share of photos of the known kinds that the threshold lets pass on average, at least: 0.95 to 0.975."""


@dataclass(frozen=True)
class Calibration:
    """A temperature, and thresholds of `scores` and of Mahalanobis distances, below which a photo is none of the kinds.

    None: not known.
    """

    temperature: float = 1.0
    threshold: float | None = None
    mahalanobis_threshold: float | None = None

    @property
    def logit_weight(self) -> float:
        """What a unit of a logit counts, in units of squared distance."""
        return mahalanobis.LOGIT_WEIGHT / self.temperature

    @property
    def rejection(self) -> dict:
        """As a checkpoint's card holds it."""
        if self.threshold is None:
            return {}
        if self.mahalanobis_threshold is None:
            return {"score": "energy", "threshold": self.threshold, "accepted": ACCEPTED}
        return {
            "score": "kinds", "threshold": self.mahalanobis_threshold, "logit_weight": self.logit_weight,
            "accepted": ACCEPTED, "energy": self.threshold,
        }  # fmt: skip


@dataclass(frozen=True)
class FoldSummary:
    """What the folds tell of the model that learns from all photos afterwards, and has none left to be asked about.

    Args:
        folds: how many there are.
        photos: that they answer for together.
        fingerprint: of the set with the splits that it came with.
        accuracy: their share of right answers; None before all folds have answered.
        calibration: by their answers; None before, or when it is not known.
    """

    folds: int
    photos: int
    fingerprint: str
    accuracy: float | None = None
    calibration: Calibration | None = None


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n, views, classes) logits to (n, classes): the views' probabilities, averaged."""
    return softmax(np.asarray(logits, np.float64) / temperature, axis=2).mean(1)


def scores(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """How much a photo looks like any of the kinds: (n, views, classes) logits to (n,), higher is more.

    The negative energy (Liu et al. 2020, "Energy-based out-of-distribution detection"), averaged over the views:
    unlike the highest probability it falls when all logits are low, as they are for what was never seen.
    """
    return temperature * logsumexp(np.asarray(logits, np.float64) / temperature, axis=2).mean(1)


def loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean cross-entropy of answers, arguments as for `fit`."""
    right = probabilities(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def fit(
    logits: np.ndarray, labels: np.ndarray, mahalanobis_scores: Callable[[float], np.ndarray] | None = None
) -> Calibration:
    """From photos that the network was not trained on.

    Args:
        logits: (n, views, classes).
        labels: (n,) true classes.
        mahalanobis_scores: (n,) of Mahalanobis distances for a weight of the logits; None where there are none.

    Returns:
        The temperature of the least cross-entropy (Guo et al. 2017, "On calibration of modern neural networks"),
        and the thresholds that ACCEPTED of such photos pass.
    """
    from scipy.optimize import minimize_scalar  # who only asks a model is spared its 0.3 seconds

    n = len(labels)
    if n < LEAST_PHOTOS:
        return Calibration()

    def pulled_loss(log_temperature: float) -> float:
        # A weak pull to 1, worth one photo: with everything right the best temperature would be zero.
        return loss(logits, labels, np.exp(log_temperature)) + log_temperature**2 / n

    found = minimize_scalar(pulled_loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    temperature = float(np.exp(found.x))
    fitted = Calibration(temperature, _threshold(scores(logits, temperature)))
    if mahalanobis_scores is None:
        return fitted
    return replace(fitted, mahalanobis_threshold=_threshold(mahalanobis_scores(fitted.logit_weight)))


def _threshold(found: np.ndarray) -> float:
    """The largest that a further photo of a known kind passes with a probability of ACCEPTED, however scores are spread
    (Papadopoulos et al. 2002, "Inductive confidence machines for regression"): of 20 to 38 photos the lowest score, of
    39 to 58 the second lowest. Their quantile would turn away more: of 30 photos 12 % and not 5."""
    rank = max(1, int((1 - ACCEPTED) * (len(found) + 1) + 1e-9))
    return float(np.partition(found, rank - 1)[rank - 1])
