"""A start from nothing in which every layer passes on as much as it gets, so that all of them learn at once.

PyTorch's own random weights shrink what goes through them, layer by layer: behind AlexNet's eight, photos look all
alike. Here weights are drawn as He et al. 2015 ("Delving deep into rectifiers") have it, and then scaled by what the
training photos really do to each layer (Mishkin and Matas 2015, "All you need is a good init").
"""

import torch
from torch import nn

from flowers_core.images.augment import EvalTransform, TrainTransform, train_batch
from flowers_core.network.alexnet import AlexNet, LowRank
from flowers_core.photos.dataset import Split

PHOTOS = 32
"""Training photos that the layers are scaled by, unless memory is short."""

LOGITS_SD = 0.1
"""Spread of the first answers: none is surer than another yet."""


@torch.no_grad()
def apply(
    network: AlexNet,
    split: Split,
    transform: TrainTransform,
    base: EvalTransform,
    generator: torch.Generator,
    photos: int = PHOTOS,
) -> None:
    """Draws all weights of `network` anew, in place; biases become 0.

    Args:
        network: on the CPU.
        split: the training photos.
        transform: how they are varied in training.
        base: input size and normalisation.
        generator: the only source of chance.
        photos: how many the layers are scaled by.
    """
    chosen = torch.randperm(len(split), generator=generator)[:photos]
    squares, aspects, _ = split.load(chosen)
    shown = train_batch(squares.cpu(), aspects, transform, base, generator)
    layers = [*network.features, network.avgpool, nn.Flatten()]
    for layer in network.classifier:
        layers += layer if isinstance(layer, LowRank) else [layer]
    for layer in layers:
        if isinstance(layer, nn.Dropout):
            continue
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            layer.weight /= layer(shown).std().clamp(min=1e-6)
            if layer is layers[-1]:
                layer.weight *= LOGITS_SD
        shown = layer(shown)
