"""Tells whether a photo shows one of a model's kinds at all, by what the convolutions see and what the logits say.

The logits alone know little of what they were never shown: any strange thing may lie far along some kind's direction.
The relative Mahalanobis distance (Ren et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD
detection") asks instead whether a photo lies nearer to one of the kinds than to flowers in general. It knows noise and
landscapes for what they are, and the logits know other flowers better: a photo is taken for one of the kinds when both
speak for the same one (docs/experiments.md has what each lets pass).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

SHRINKAGE = 0.3
"""Added to the variance in every direction, relative to the mean variance: with few photos some would be zero."""

LAYERS = 2
"""Convolutions, the last ones, in whose maps' means it lies."""

DOUBT = 1.0
"""Added to the spread of flowers in general, in units of the spread within a kind: what lies far from all photos in a
direction that tells no kinds apart is strange, too."""


MOST_SPREAD = 60_000.0
"""Largest spread that is kept."""

LOGIT_WEIGHT = 12.0
"""What one unit of a kind's logit counts, in units of squared distance, where logits are calibrated (temperature 1)."""


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Where the kinds lie among what the convolutions see, in directions in which every kind has a spread of 1.

    Args:
        middle: (columns,) mean of the square roots of the features.
        directions: (columns, columns) rows that features are measured along.
        means: (classes, columns) where each kind lies.
        spread: (columns,) variance of flowers in general.
    """

    middle: np.ndarray
    directions: np.ndarray
    means: np.ndarray
    spread: np.ndarray

    def scores(self, features: np.ndarray, logits: np.ndarray, logit_weight: float) -> np.ndarray:
        """How much photos look like any of the kinds: (n,), higher is more.

        Args:
            features: (n, columns).
            logits: (n, classes) of the network, the mean over the views.
            logit_weight: what a unit of them counts; 0 asks for the distances alone.
        """
        return joined(self.nearness(features), logits, logit_weight)

    def nearness(self, features: np.ndarray) -> np.ndarray:
        """(n, classes) how much nearer photos lie to each kind than to flowers in general, in squared distance.

        Args:
            features: (n, columns).
        """
        place = _product(np.sqrt(np.maximum(features, 0)) - self.middle, self.directions.T)
        squares = (place**2).sum(1, keepdims=True) - 2 * _product(place, self.means.T) + (self.means**2).sum(1)
        return (place**2 / self.spread).sum(1, keepdims=True) - squares

    def to_dict(self) -> dict[str, np.ndarray]:
        """Its arrays by name, as a checkpoint keeps them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def joined(nearness: np.ndarray, logits: np.ndarray, logit_weight: float) -> np.ndarray:
    """(n,) scores of photos, from what the distances and the logits say of each kind."""
    return (nearness + logit_weight * logits).max(1)


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """By torch: the threads of NumPy's products would go on spinning while the next photos' convolutions want the
    cores, which takes as long again as these."""
    import torch

    return (torch.from_numpy(left.astype(np.float32)) @ torch.from_numpy(right)).numpy()


def columns(summary: np.ndarray, filters: Sequence[int]) -> np.ndarray:
    """The means of the last LAYERS convolutions' maps, out of what `alexnet.summarised` tells of all.

    Args:
        summary: (n, columns).
        filters: of each convolution in it.
    """
    ends = np.cumsum([2 * count for count in filters])
    parts = [summary[:, end - 2 * count : end - count] for end, count in zip(ends, filters, strict=True)]
    return np.concatenate(parts[-LAYERS:], 1)


def width(filters: Sequence[int]) -> int:
    """Number of columns that `columns` gives."""
    return sum(filters[-LAYERS:])


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> RelativeMahalanobis:
    """From the photos that a model has learned.

    Args:
        features: (n, columns) as `columns` gives them, of photos or of views of them.
        labels: (n,) 0 to classes - 1, each at least once.
        classes: how many.
    """
    roots = np.sqrt(np.maximum(features, 0)).astype(np.float64)
    middle = roots.mean(0)
    means = np.stack([roots[labels == label].mean(0) for label in range(classes)])
    share = np.bincount(labels, minlength=classes) / len(labels)
    within = roots - means[labels]
    covariance = within.T @ within / len(roots)
    usual = max(np.trace(covariance) / len(middle), 0.01 * roots.var(0).mean(), 1e-8)
    covariance += SHRINKAGE * usual * np.eye(len(middle))
    variances, axes = np.linalg.eigh(covariance)
    whitening = axes / np.sqrt(variances)
    *_, turned = np.linalg.svd(np.sqrt(share)[:, None] * ((means - middle) @ whitening), full_matrices=True)
    directions = turned @ whitening.T
    placed = (means - middle) @ directions.T
    # Photos of a kind that are all but one picture lie further apart than float16, as it is stored, can tell.
    spread = np.minimum(1 + (share[:, None] * placed**2).sum(0) + DOUBT, MOST_SPREAD)
    return RelativeMahalanobis(*(array.astype(np.float32) for array in (middle, directions, placed, spread)))
