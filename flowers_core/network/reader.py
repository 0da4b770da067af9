"""A second reader of the convolutions, solved in closed form, whose logits are added to the network's.

The fully connected layers see where in the picture something is; this linear classifier sees only how much of it there
is, in the last three convolutions: mean and spread of each map. It errs on other photos than they do, and both together
err less (docs/experiments.md). It costs a thousandth of the network's arithmetic.

It is Fisher's linear discriminant: every kind a normal distribution, all with the same covariance. Square roots bring
the skewed statistics of ReLUs nearer to that.
"""

import numpy as np
import torch
from torch import Tensor

from flowers_core.network import calibrate

WEIGHT = 0.25
"""What its logits count beside the network's: its normal distributions claim more certainty than they have."""

WEIGHTS = (WEIGHT, 0.5, 0.125, 0.0)
"""To choose from, where validation photos tell."""

TEMPERATURE = 1.5
"""Of both readers' logits together, where no validation photos tell."""

SHRINKAGE = 4.0
"""Added to the variance in every direction, relative to the mean variance, over the photos per kind: few photos say
little about how flowers of a kind vary."""

LEAST, MOST = 0.1, 1.0
"""Of that share."""


def fit(summaries: Tensor, labels: Tensor, classes: int, photos: int) -> tuple[Tensor, Tensor]:
    """The discriminant's weight (classes, columns) and bias (classes,), for logits of square roots of a summary.

    Args:
        summaries: (n, columns) of views of photos, 0 and more.
        labels: (n,) 0 to classes - 1, each at least once.
        classes: how many.
        photos: that the views are of.
    """
    roots = summaries.sqrt()
    means = torch.stack([roots[labels == label].mean(0) for label in range(classes)])
    middle = roots.mean(0)
    usual = roots.var(0, correction=0).mean()
    within = roots.sub_(means[labels])
    covariance = within.T @ within / len(labels)
    variance = covariance.diagonal().mean().clamp(min=0.01 * usual).clamp(min=1e-9)
    shrinkage = float(np.clip(SHRINKAGE * classes / photos, LEAST, MOST))
    covariance.diagonal().add_(shrinkage * variance)
    apart = means - middle
    weight = torch.cholesky_solve(apart.T, torch.linalg.cholesky(covariance)).T
    bias = -(weight * (apart / 2 + middle)).sum(1)
    return weight.float(), bias.float()


def weigh(alone: np.ndarray, second: np.ndarray, labels: np.ndarray) -> float:
    """Which of WEIGHTS gives the best answers, calibrated, to photos that neither reader has learned from.

    Args:
        alone, second: (n, views, classes) logits of the fully connected layers, and of this reader.
        labels: (n,) true classes.
    """

    def loss(weight: float) -> float:
        together = alone + weight * second
        return calibrate.loss(together, labels, calibrate.fit(together, labels).temperature)

    return min(WEIGHTS, key=loss)
