"""A head start for the fully connected layers: solved by least squares from the training photos, then trained on.

With a handful of photos per kind, 57 million random numbers behind good convolutions learn those photos by heart
before they learn what the kinds have in common. A regularised linear classifier on the same convolutions does not, and
has a closed form. So the hidden layers start as random projections of such a classifier's scores, and the output layer
as the classifier on top of them: training begins where the linear classifier ends.
"""

import torch
from torch import Tensor, nn

from flowers_core import precision
from flowers_core.alexnet import AlexNet
from flowers_core.augment import EvalTransform, TrainTransform, eval_views, train_batch
from flowers_core.dataset import Split

MOST_ROWS = 3000
"""Views of photos in the least-squares problem at most: its cost grows with their cube."""

VIEWS = 10
"""Views of each photo at most: three plain ones with their mirror images, the others varied as in training."""

RIDGE_SCORES = 1.0
RIDGE_OUTPUT = 0.3
"""Strength of the two regularisations, relative to the mean squared length of a row."""

SCORES_SHARE = 0.9
"""Share of the first hidden layer that projects the classifier's scores; the others project the features themselves."""

SHARPNESS = 8.0
"""Factor from the output's least-squares fit of 0 and 1 to logits."""


@torch.inference_mode()
def apply(
    network: AlexNet,
    split: Split,
    base: EvalTransform,
    transform: TrainTransform,
    generator: torch.Generator,
    device: torch.device,
    number_format: str,
) -> None:
    """Sets the three fully connected layers of `network`, in place.

    Args:
        network: its convolutions are used as they are.
        split: the training photos.
        base: input size and normalisation.
        transform: how photos are varied in training.
        generator: the only source of chance.
        device, number_format: where and how the features are computed.
    """
    features, labels = _features(network, split, base, transform, generator, device, number_format)
    targets = nn.functional.one_hot(labels, network.classes).float()
    hidden, second, output = (layer for layer in network.classifier if isinstance(layer, nn.Linear))
    width = hidden.out_features

    lengths = features.norm(dim=1, keepdim=True)
    scores, _ = _ridge(features / lengths, targets, RIDGE_SCORES)
    scores /= lengths.mean() * (features @ scores / lengths.mean()).std(0).mean()
    guided = int(SCORES_SHARE * width)
    spread = (features - features.mean(0)).pow(2).sum(1).mean().sqrt()
    first = torch.cat(
        [
            torch.randn(guided, network.classes, generator=generator) / network.classes**0.5 @ scores.T,
            torch.randn(width - guided, features.shape[1], generator=generator) / spread,
        ]
    )
    _set(hidden, first, -first @ features.mean(0))
    inside = torch.relu(features @ first.T + hidden.bias.cpu())

    # He et al. 2015: a normal distribution of variance 2 / fan-in keeps the size of what passes through a ReLU.
    projection = torch.randn(width, width, generator=generator) * (2 / width) ** 0.5
    _set(second, projection, -projection @ inside.mean(0))
    inside = torch.relu(inside @ projection.T + second.bias.cpu())

    weight, bias = _ridge(inside, targets, RIDGE_OUTPUT)
    _set(output, SHARPNESS * weight.T, SHARPNESS * bias)


def _features(network, split, base, transform, generator, device, number_format) -> tuple[Tensor, Tensor]:
    """What the convolutions see in several views of each photo: (rows, filters * 36), and the rows' labels."""
    views = max(1, min(VIEWS, MOST_ROWS // len(split)))
    chosen = torch.randperm(len(split), generator=generator)[: MOST_ROWS // views]
    rows, labels = [], []
    was_training = network.training
    network.eval()
    for indices in chosen.split(64):
        squares, aspects, batch_labels = split.load(indices)
        batches = eval_views(squares, aspects, EvalTransform(base.size, base.window, "scales", base.mean, base.std))
        while len(batches) < views:
            batches.append(train_batch(squares, aspects, transform, base, generator))
        for images in batches[:views]:
            with precision.autocast(device, number_format):
                rows.append(network.embed(images.to(device)).float().cpu())
            labels.append(batch_labels)
    network.train(was_training)
    return torch.cat(rows), torch.cat(labels)


def _ridge(rows: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Least squares with a penalty on the weights' length: weight (columns, classes) and bias (classes,).

    Solved in its dual form, since there are fewer rows than columns.
    """
    mean, share = rows.mean(0), targets.mean(0)
    centred = rows - mean
    kernel = centred @ centred.T
    penalty = strength * kernel.diagonal().mean()
    weight = centred.T @ torch.linalg.solve(kernel + penalty * torch.eye(len(rows)), targets - share)
    return weight, share - mean @ weight


def _set(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
