"""Photos that may lie in the wrong kind's folder: what a classifier says that never saw them."""

from typing import NamedTuple

import numpy as np

from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.features import Features

FOLDS = 5
RIDGE = 0.3
"""Strength of the penalty on the weights, relative to the mean squared length of a row."""

OWN_MOST = 0.01
OTHER_LEAST = 0.7
"""A photo is suspected when its own kind gets less, another one more. On 2,192 of Flowers-102's photos, which are
labelled well, 13 are suspected (0.6 %); of 65 labels changed at random among them 47 are found."""

LEAST_PER_KIND = 3
"""Photos without which a kind can't be told; its photos are left out."""


class Suspect(NamedTuple):
    """A photo whose label is doubted, and the kind it looks like, with the probabilities of both."""

    index: int
    label: int
    own: float
    other: float


def find(decoded: DecodedSource, features: Features) -> list[Suspect]:
    """Suspected label errors, the surest first.

    Works before anything is trained: a linear classifier on ImageNet's convolutions answers for each photo after
    learning from the others (cross-validation). Confident learning (Northcutt et al. 2021, as cleanlab has it) then
    weighs how far each kind's answers can be trusted.
    """
    counts = np.bincount(decoded.labels, minlength=len(decoded.source.classes))
    classes = np.flatnonzero(counts >= LEAST_PER_KIND)
    photos = np.flatnonzero(np.isin(decoded.labels, classes))
    if len(classes) < 2:
        return []
    from cleanlab.filter import find_label_issues

    labels = np.searchsorted(classes, decoded.labels[photos])
    chances = out_of_fold(features, photos, labels, len(classes))
    doubted = find_label_issues(
        labels, chances, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    suspects = []
    for i in doubted:
        own, other = chances[i, labels[i]], chances[i].max()
        if own < OWN_MOST and other > OTHER_LEAST:
            suspects.append(Suspect(int(photos[i]), int(classes[chances[i].argmax()]), float(own), float(other)))
    return suspects


def out_of_fold(features: Features, photos: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(n, classes) probabilities of each photo by a ridge classifier that learned from the other folds.

    The normal equations are summed up fold by fold, so that memory doesn't grow with the number of photos. One
    factor for all turns scores into probabilities: the one under which the true labels are likeliest.

    Args:
        features: of the whole source.
        photos: (n,) which of its photos.
        labels: (n,) 0 to classes - 1; each at least twice.
        classes: how many.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, softmax
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, np.bincount(labels).min())
    parts = [part for _, part in StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels)]
    sums = [_sums(features, photos[part], labels[part], classes) for part in parts]
    scores = np.zeros((len(labels), classes), np.float32)
    for part, own in zip(parts, sums, strict=True):
        n, total, squares, per_class, products = (sum(s[k] for s in sums) - own[k] for k in range(5))
        mean, share = total / n, per_class / n
        centred = squares - n * np.outer(mean, mean)
        penalty = RIDGE * np.trace(centred) / n
        weight = np.linalg.solve(centred + penalty * np.eye(len(mean)), products - n * np.outer(mean, share))
        for start in range(0, len(part), 4096):
            some = part[start : start + 4096]
            scores[some] = (features.of(photos[some]) - mean) @ weight + share

    def unlikeliness(log_factor: float) -> float:
        return -log_softmax(np.exp(log_factor) * scores, axis=1)[np.arange(len(labels)), labels].mean()

    return softmax(np.exp(minimize_scalar(unlikeliness, bounds=(-1, 5), method="bounded").x) * scores, axis=1)


def _sums(features: Features, photos: np.ndarray, labels: np.ndarray, classes: int) -> tuple:
    """What a fold adds to the normal equations: count, sum, products of the columns, and both per class."""
    width = features.vectors.shape[1]
    total, squares, products = np.zeros(width), np.zeros((width, width)), np.zeros((width, classes))
    for start in range(0, len(photos), 4096):
        rows, targets = features.of(photos[start : start + 4096]), labels[start : start + 4096]
        total += rows.sum(0)
        squares += rows.T @ rows
        products += rows.T @ np.eye(classes, dtype=np.float32)[targets]
    return len(photos), total, squares, np.bincount(labels, minlength=classes).astype(float), products
