"""AlexNet as tables of layers, and the network that is built from a table."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from flowers_core.errors import ConfigError
from flowers_core.network.local_response import LocalResponseNorm
from flowers_core.network.mahalanobis import RelativeMahalanobis

HIDDEN = 4096

NARROW = 128
"""Rank of the hidden fully connected layers where memory is short: 3 million weights in place of 55 million."""

SUMMARISED = 3
"""Convolutions, the last ones, whose maps a reader looks at."""


@dataclass(frozen=True)
class Conv:
    """One convolution and what follows it. ReLU always does; then normalisation, then pooling.

    Args:
        filters: output channels.
        kernel: width of the square kernel in pixels.
        groups: 2 splits the filters into halves that don't see each other (the two GPUs of 2012).
        normalise: local response normalisation after the ReLU.
        pool: overlapping 3x3 max pooling with stride 2.
        bias: the bias at the start.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: int = 1
    groups: int = 1
    normalise: bool = False
    pool: bool = False
    bias: float = 0.0


@dataclass(frozen=True)
class Variant:
    """One AlexNet: five convolutions, two hidden fully connected layers of 4096, one output layer.

    Args:
        title: what a person sees.
        summary: one sentence on what sets it apart.
        weight_sd: standard deviation of the normal distribution that weights start from; None for
            PyTorch's own start, uniform within +-1/sqrt(fan-in), as torchvision's AlexNet has it.
        hidden_bias: bias of the two hidden fully connected layers at the start.
    """

    title: str
    summary: str
    convolutions: tuple[Conv, ...]
    weight_sd: float | None
    hidden_bias: float


# Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks (2012), 3.5 and 5.
_PAPER_2012 = Variant(
    "AlexNet 2012",
    "The network of the paper: local response normalisation and filters in two groups, one per GPU of its day.",
    (
        Conv(96, 11, stride=4, padding=2, normalise=True, pool=True),
        Conv(256, 5, padding=2, groups=2, normalise=True, pool=True, bias=1.0),
        Conv(384, 3),
        Conv(384, 3, groups=2, bias=1.0),
        Conv(256, 3, groups=2, pool=True, bias=1.0),
    ),
    weight_sd=0.01,
    hidden_bias=1.0,
)

# Krizhevsky: One weird trick for parallelizing convolutional neural networks (2014); the same as torchvision's.
_ONE_TOWER_2014 = Variant(
    "AlexNet 2014",
    "One tower with fewer filters and no normalisation. Fastest, and it can start from ImageNet weights.",
    (
        Conv(64, 11, stride=4, padding=2, pool=True),
        Conv(192, 5, padding=2, pool=True),
        Conv(384, 3),
        Conv(256, 3),
        Conv(256, 3, pool=True),
    ),
    weight_sd=None,
    hidden_bias=0.0,
)

_README = Variant(
    "AlexNet, this project's first sketch",
    "Filters 96, 96, 256, 256, 384 with local response normalisation, as the project's first description words it.",
    (
        Conv(96, 11, stride=4, padding=2, normalise=True, pool=True),
        Conv(96, 5, padding=2, normalise=True, pool=True),
        Conv(256, 3),
        Conv(256, 3),
        Conv(384, 3, pool=True),
    ),
    weight_sd=None,
    hidden_bias=0.0,
)

VARIANTS: dict[str, Variant] = {"2012": _PAPER_2012, "2014": _ONE_TOWER_2014, "readme": _README}


class Convolutions(nn.Sequential):
    """Layers that compute as they stand, but that a ReLU right before a pooling is taken behind it: the largest of what
    ReLU leaves is what ReLU leaves of the largest, to the bit, gradients included, at a quarter of the places. (A hook
    on that ReLU sees the smaller maps.)"""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        layers = list(self)
        for place, pool in enumerate(layers[1:]):
            if isinstance(pool, nn.MaxPool2d) and isinstance(layers[place], nn.ReLU):
                layers[place : place + 2] = pool, layers[place]
        for layer in layers:
            images = layer(images)
        return images


class Dropout(nn.Dropout):
    """PyTorch's, but that a CPU draws its chance eight values at a time: one by one, that takes as long as a product of
    the layer's. The probability is kept in steps of 1/256."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training and self._is_in_steps(inputs):
            return inputs * self.factors(inputs)
        return super().forward(inputs)

    def factors(self, inputs: torch.Tensor) -> torch.Tensor:
        """What each of such inputs is multiplied by, drawn from torch's random generator: 0, or about 1 / (1 - p) so
        that the mean stays."""
        if not self._is_in_steps(inputs):
            return torch.empty_like(inputs).bernoulli_(1 - self.p).div_(1 - self.p)
        kept = round(256 * (1 - self.p))
        words = torch.empty(-(-inputs.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: inputs.numel()].view(inputs.shape)
        return (drawn < kept).to(inputs.dtype).mul_(256 / kept)

    def _is_in_steps(self, inputs: torch.Tensor) -> bool:
        return inputs.device.type == "cpu" and 1 / 256 <= self.p <= 255 / 256


class LowRank(nn.Sequential):
    """A fully connected layer as the product of a narrow and a wide one: rank * (inputs + outputs) weights.

    Denton et al. 2014, "Exploiting linear structure within convolutional networks for efficient evaluation".
    """

    def __init__(self, inputs: int, outputs: int, rank: int):
        super().__init__()
        self.in_features, self.out_features, self.rank = inputs, outputs, rank
        self.add_module("down", nn.Linear(inputs, rank, bias=False))
        self.add_module("up", nn.Linear(rank, outputs))


class Reader(nn.Linear):
    """A linear classifier on the square roots of a summary of the convolutions: see `reader`. Always in float32."""

    def forward(self, summary: torch.Tensor) -> torch.Tensor:
        """(batch, columns), see `summarised`, to logits (batch, classes)."""
        with torch.autocast(summary.device.type, enabled=False):
            return nn.functional.linear(summary.sqrt(), self.weight, self.bias)


class AlexNet(nn.Module):
    """The network of one variant, with the parameter names of torchvision's AlexNet.

    Args:
        variant: a key of VARIANTS.
        classes: number of outputs.
        dropout: probability of zeroing an input of each of the first two fully connected layers.
        ranks: of the two hidden fully connected layers where they are stored as products (see `LowRank`), by their
            place in `classifier`.

    Raises:
        ConfigError: the variant is not known.
    """

    def __init__(self, variant: str, classes: int, dropout: float = 0.5, ranks: dict[int, int] | None = None):
        super().__init__()
        if variant not in VARIANTS:
            raise ConfigError("There is no such AlexNet", variant, f"Choose one of {', '.join(VARIANTS)}.")
        self.variant, self.classes, self.ranks = variant, classes, dict(ranks or {})
        self.reader: Reader | None = None
        """Adds its logits to those of the fully connected layers, where training has ended with one."""
        self.mahalanobis: RelativeMahalanobis | None = None
        """Where the kinds lie, where the checkpoint tells."""
        self.features = _feature_layers(VARIANTS[variant])
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # lets pictures of other sizes than 224 pixels through
        flat = VARIANTS[variant].convolutions[-1].filters * 6 * 6
        self.classifier = nn.Sequential(
            Dropout(dropout),
            self._hidden(1, flat),
            nn.ReLU(inplace=True),
            Dropout(dropout),
            self._hidden(4, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, classes),
        )

    def _hidden(self, place: int, inputs: int) -> nn.Module:
        rank = self.ranks.get(place)
        return LowRank(inputs, HIDDEN, rank) if rank else nn.Linear(inputs, HIDDEN)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    def with_convolutions(self, instead: Callable[[nn.Conv2d], nn.Conv2d]) -> "AlexNet":
        """The same network, sharing all weights, with another layer in each convolution's place."""
        other = copy.copy(self)
        other._modules = dict(self._modules)
        other.features = Convolutions(
            *(instead(layer) if isinstance(layer, nn.Conv2d) else layer for layer in self.features)
        ).train(self.training)
        return other

    def twin(self, weights: Mapping[str, torch.Tensor]) -> "AlexNet":
        """Another network of the same shape, without a reader, on the CPU, with these weights."""
        twin = AlexNet(self.variant, self.classes, ranks=self.ranks)
        twin.load_state_dict(weights)
        return twin

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (batch, 3, 224, 224), or their `pooled_features`, to logits (batch, classes).

        The reader, where there is one, sees whole images only: pooled features go through the fully connected layers.
        """
        if images.dim() == 2:
            return self.classifier(images)
        if self.reader is None:
            return self.classifier(self.pooled_features(images))
        return self.logits_and_summary(images)[0]

    def feature_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Normalised images (batch, 3, 224, 224) to the maps of the last SUMMARISED convolutions, behind their ReLUs,
        each (batch, filters, height, width)."""
        maps, start = [], self._summarised_from
        images = self.features[:start](images)
        for layer in self.features[start : self.convolving]:
            images = layer(images)
            if isinstance(layer, nn.ReLU):
                maps.append(images)
        return maps

    def pooled_features(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (batch, 3, 224, 224) to what the fully connected layers get: (batch, filters * 36)."""
        return self._to_fixed_size(self.features(images)).flatten(1)

    def pooled_and_summary(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`pooled_features`, and the convolutions' summary (batch, columns) float32: mean and standard deviation of
        each of the `feature_maps`."""
        return self._pooled_from(self.feature_maps(images))

    def fc_logits_and_summary(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The fully connected layers' logits (batch, classes), without the reader's, and the summary."""
        pooled, summary = self.pooled_and_summary(images)
        return self.classifier(pooled), summary

    def logits_and_summary(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits (batch, classes), the reader's added where there is one, and the summary."""
        return self.logits_from(self.feature_maps(images))

    def logits_from(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """`logits_and_summary`, from `feature_maps` on."""
        pooled, summary = self._pooled_from(maps)
        logits = self.classifier(pooled)
        return (logits if self.reader is None else logits + self.reader(summary)), summary

    def _pooled_from(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self._to_fixed_size(self.features[self.convolving :](maps[-1]))
        return pooled.flatten(1), summarised(maps)

    def _to_fixed_size(self, maps: torch.Tensor) -> torch.Tensor:
        """The usual pictures' maps have that size: averaging over one value each would only take time."""
        return maps if maps.shape[2:] == (6, 6) else self.avgpool(maps)

    def add_reader(self, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None) -> None:
        """Lets a reader join, with this weight (classes, columns) and bias (classes,), or with any."""
        like = next(self.features.parameters())
        self.reader = Reader(2 * sum(self.summary_filters), self.classes, device=like.device, dtype=torch.float32)
        if weight is not None:
            with torch.no_grad():
                self.reader.weight.copy_(weight)
                self.reader.bias.copy_(bias)

    @property
    def summary_filters(self) -> tuple[int, ...]:
        """Maps of each convolution in the summary; each has two columns, first all means, then all deviations."""
        return tuple(row.filters for row in VARIANTS[self.variant].convolutions[-SUMMARISED:])

    @property
    def convolving(self) -> int:
        """How many of `features` there are up to the last convolution's ReLU, whose maps still know where in the
        picture they look."""
        return max(i for i, layer in enumerate(self.features) if isinstance(layer, nn.ReLU)) + 1

    @property
    def _summarised_from(self) -> int:
        """Where in `features` the first convolution stands whose maps are summarised."""
        return [i for i, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d)][-SUMMARISED]


def summarised(maps: list[torch.Tensor]) -> torch.Tensor:
    """Several layers' maps, each (batch, filters, height, width), to their summary (batch, columns) float32."""
    columns = []
    for each in maps:
        places = each.permute(0, 2, 3, 1).flatten(1, 2).float()  # as they lie in memory: ten times as fast
        mean = places.mean(1)
        columns += [mean, (places - mean[:, None]).square_().mean(1).sqrt()]
    return torch.cat(columns, 1)


def build(variant: str, classes: int, dropout: float = 0.5, narrow: bool = False) -> AlexNet:
    """A network with fresh weights, drawn from torch's random generator as the variant's paper says.

    Args:
        variant, classes, dropout: as for `AlexNet`.
        narrow: both hidden fully connected layers are products, of rank NARROW or of one direction per class.
    """
    rank = min(max(NARROW, classes), HIDDEN)
    network = AlexNet(variant, classes, dropout, {1: rank, 4: rank} if narrow else None)
    table = VARIANTS[variant]
    if table.weight_sd is not None:
        _draw_weights(network, lambda weight: nn.init.normal_(weight, 0.0, table.weight_sd))
        convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
        for layer, row in zip(convolutions, table.convolutions, strict=True):
            nn.init.constant_(layer.bias, row.bias)
        *hidden, output = [layer for layer in network.classifier if isinstance(layer, nn.Linear | LowRank)]
        for layer in hidden:
            if isinstance(layer, LowRank):  # a product's deviation is sqrt(rank) times its factors' one squared
                sd = (table.weight_sd / layer.rank**0.5) ** 0.5
                _draw_weights(layer, lambda weight, sd=sd: nn.init.normal_(weight, 0.0, sd))
                layer = layer.up
            nn.init.constant_(layer.bias, table.hidden_bias)
        nn.init.zeros_(output.bias)
    return network


def _feature_layers(variant: Variant) -> Convolutions:
    layers: list[nn.Module] = []
    channels = 3
    for row in variant.convolutions:
        layers += [
            nn.Conv2d(channels, row.filters, row.kernel, row.stride, row.padding, groups=row.groups),
            nn.ReLU(inplace=True),
        ]
        if row.normalise:
            layers.append(LocalResponseNorm())
        if row.pool:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
        channels = row.filters
    return Convolutions(*layers)


def _draw_weights(network: nn.Module, draw: Callable[[torch.Tensor], object]) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight)
