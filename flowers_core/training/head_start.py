"""A head start for the fully connected layers: solved by least squares from the training photos, then trained on.

With a handful of photos per kind, 57 million random numbers behind good convolutions learn those photos by heart
before they learn what the kinds have in common. A regularised linear classifier on the same convolutions does not, and
has a closed form. So both hidden layers start as random mixtures of that classifier's scores, lifted by a bias so that
hardly any falls below the ReLU's zero, and the output layer reads the scores back: training begins where the linear
classifier ends, with the same answers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowers_core.machine import precision
from flowers_core.network.alexnet import AlexNet, LowRank
from flowers_core.training.views import Progress, Views, choose, ignore, part_of

MOST_ROWS = 4000
LEAN_ROWS = 360
"""Views of photos in the least-squares problem, about, and where memory is short: its cost grows with their cube."""

VIEWS = 14
"""Views of each photo at most: three plain ones with their mirror images, the others varied as in training."""

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 2.0)
"""Regularisations to choose from, relative to the mean squared length of a row."""

FOLDS = 5
"""Parts of the photos that are left out in turn while choosing."""

SHARPNESS = tuple(2.0 ** (step / 2) for step in range(2, 12))
"""Factors to choose from that turn the fit of 0 and 1 into logits: 2 to 45."""

LIFT = 3.0
"""Bias of the hidden units in standard deviations of what they carry: one in 700 falls below zero."""


@dataclass(frozen=True)
class LinearClassifier:
    """Logits = features @ weight + bias, and how it was chosen.

    Args:
        weight: (columns, classes).
        bias: (classes,).
        strength: the regularisation, one of STRENGTHS.
        accuracy: share of views named rightly by a fit that knew no view of their photo.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    accuracy: float


@torch.no_grad()
def apply(
    views: Views, generator: torch.Generator, keep_hidden: bool = False, progress: Progress = ignore
) -> LinearClassifier:
    """Sets the three fully connected layers of a network, in place, to a linear classifier on its convolutions.

    Or the output layer alone, to one on what the hidden layers make of them.

    Args:
        views: the training photos as the network sees them.
        generator: the only source of chance besides.
        keep_hidden: both hidden layers have learned something already, and stay.
        progress: told how many looks at photos are done, of how many.
    """
    features, photos, labels = _features(views, keep_hidden, progress)
    targets = nn.functional.one_hot(labels, views.network.classes).float().to(features.device)
    with precision.exact_products():
        return _set_layers(views.network, features, targets, photos.to(features.device), generator, keep_hidden)


def _set_layers(
    network: AlexNet, features: Tensor, targets: Tensor, photos: Tensor, generator: torch.Generator, keep_hidden: bool
) -> LinearClassifier:
    """Finds the linear classifier on `features`, and sets the layers to it."""
    classifier = solve(features, targets, photos)
    if keep_hidden:
        _set(network.classifier[-1], classifier.weight.T, classifier.bias)
        return classifier
    hidden, second, output = (layer for layer in network.classifier if isinstance(layer, nn.Linear | LowRank))

    spread = (features @ classifier.weight).std(0).mean().clamp(min=1e-6)
    first, then = (
        torch.randn(layer.out_features, network.classes, generator=generator).to(features.device)
        for layer in (hidden, second)
    )
    inside = _carry(hidden, features, first, (classifier.weight / spread).T, generator)
    # Through the pseudo-inverse all units vote on each score, so that dropout's noise averages out.
    inside = _carry(second, inside, then, torch.linalg.pinv(first), generator)
    # The hidden layers are nearly linear, so a weak regularisation reads the logits back nearly exactly.
    mean = inside.mean(0)
    inside -= mean
    dual, share = _ridge(inside @ inside.T, features @ classifier.weight + classifier.bias, 1e-4)
    read = inside.T @ dual
    _set(output, read.T, share - mean @ read)
    return classifier


def solve(features: Tensor, targets: Tensor, photos: Tensor) -> LinearClassifier:
    """Ridge regression, its strength and the sharpness of its logits chosen by cross-validation over photos.

    Args:
        features: (rows, columns), one row per view of a photo.
        targets: (rows, classes), one-hot.
        photos: (rows,) which photo each row shows; all its views are left out together.
    """
    labels = targets.argmax(1)
    mean = features.mean(0)
    centred = features - mean
    # Everything below needs the rows' inner products only, which are worked out once.
    products = centred @ centred.T
    best: tuple[float, float, float, float] | None = None
    for strength in STRENGTHS:
        left_out = torch.empty_like(targets)
        for fold in range(FOLDS):
            away = photos % FOLDS == fold
            known = products[~away][:, ~away]
            dual, share = _ridge(known, targets[~away], strength)
            left_out[away] = (products[away][:, ~away] - known.mean(0)) @ dual + share
        losses = [nn.functional.cross_entropy(left_out * sharpness, labels).item() for sharpness in SHARPNESS]
        if best is None or min(losses) < best[0]:
            accuracy = (left_out.argmax(1) == labels).float().mean().item()
            best = min(losses), strength, SHARPNESS[losses.index(min(losses))], accuracy
    _, strength, sharpness, accuracy = best
    dual, share = _ridge(products, targets, strength)
    weight = centred.T @ dual
    return LinearClassifier(weight * sharpness, (share - mean @ weight) * sharpness, strength, accuracy)


def _features(views: Views, keep_hidden: bool, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
    """What the layers before those to be set make of several views of each photo.

    Returns:
        (rows, columns) float32 on the device; (rows,) which photo each shows; (rows,) labels.
    """
    photos, asked = choose(views.split, LEAN_ROWS if views.is_lean else MOST_ROWS, VIEWS)
    if photos is not views.split:
        views = views.of(photos)
    network, rows = views.network, None
    was_training = network.training
    network.eval()
    for place, view in enumerate(asked):
        seen = views.features(view, part_of(progress, place, asked, photos))
        if keep_hidden:
            with precision.autocast(views.device, views.number_format):
                seen = network.classifier[:-1](seen)
        if rows is None:
            rows = torch.empty(len(asked), *seen.shape, device=seen.device)
        rows[place] = seen
    network.train(was_training)
    return rows.flatten(0, 1), torch.arange(len(photos)).repeat(len(asked)), photos.labels.repeat(len(asked))


def _ridge(products: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Least squares with a penalty on the weights' length, in its dual form: there are fewer rows than columns.

    Args:
        products: (rows, rows) the rows' inner products; they need not be centred.
        targets: (rows, classes).
        strength: of the penalty, relative to the mean squared length of a centred row.

    Returns:
        The weights as a mixture of the rows, (rows, classes), whose columns sum to 0; and the targets' mean.
    """
    share, middle = targets.mean(0), products.mean(0)
    kernel = products - middle - middle[:, None] + middle.mean()
    kernel.diagonal().add_(strength * kernel.diagonal().mean())
    return torch.cholesky_solve(targets - share, torch.linalg.cholesky(kernel)), share


def _carry(layer: nn.Linear | LowRank, rows: Tensor, left: Tensor, right: Tensor, generator: torch.Generator) -> Tensor:
    """Sets a hidden layer to carry `rows @ (left @ right).T`, scaled to a spread of 1 and lifted; returns its outputs.

    Directions that a product has beyond those of `right` look at random, and add nothing until they have learned to.
    """
    carried = rows @ right.T @ left.T
    scale = carried.std().clamp(min=1e-6)
    carried = carried.sub_(carried.mean(0)).div_(scale).add_(LIFT)
    bias = LIFT - left @ (right @ rows.mean(0)) / scale
    if isinstance(layer, LowRank):
        spare = torch.randn(layer.rank - len(right), layer.in_features, generator=generator).to(right.device)
        down, mix = torch.linalg.qr(torch.cat([right, spare]).T)
        layer.down.weight.copy_(down.T)
        _set(layer.up, (left / scale) @ mix[:, : len(right)].T, bias)
    else:
        _set(layer, (left / scale) @ right, bias)
    return torch.relu(carried)


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
