"""A network as a plain list of layers: what every file format is written from."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from flowers_core.errors import CheckpointError
from flowers_core.network import mahalanobis
from flowers_core.network.alexnet import SUMMARISED, AlexNet, Reader, summarised
from flowers_core.network.mahalanobis import RelativeMahalanobis


@dataclass(frozen=True)
class Layer:
    """One step of the network, in the order in which they follow each other.

    Args:
        op: "conv", "relu", "lrn", "maxpool", "avgpool" or "linear"; after these may come "read", the second reader, and
            "kinds", which tells whether a photo shows one of the kinds at all.
        name: its name in the network, such as "features.0"; weights are stored under it.
        settings: conv: stride, padding, groups; lrn: n, k, alpha, beta as in the 2012 paper (alpha multiplies the
            sum over the n channels); maxpool: kernel, stride; avgpool: side of the result, whatever comes in;
            read: how many convolutions it looks at, the last ones. Of each map after its ReLU it takes the mean and
            the standard deviation (all means of a convolution, then all deviations), the square roots of which are
            its inputs; its outputs are added to those of the layer before. kinds: how many convolutions it looks at;
            of each map it takes the mean only, over all views of a photo, and it takes the logits: see
            `RelativeMahalanobis.scores`.
        weight: conv: (filters, channels per group, height, width); linear and read: (outputs, inputs); float32.
        bias: (outputs,) float32.
        more: other float32 arrays, by name: those of a `RelativeMahalanobis`.
    """

    op: str
    name: str
    settings: dict[str, float] = field(default_factory=dict)
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    more: dict[str, np.ndarray] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """As exported files list it: everything but the weights."""
        return {"op": self.op, "name": self.name, **self.settings}


def read(network: AlexNet) -> list[Layer]:
    """The network's layers. Dropout does nothing in an answer and is left out.

    Relies on the modules following each other as they were registered, which `AlexNet` and `nn.Sequential` do;
    a fully connected layer may be a pair of thinner ones.

    Raises:
        CheckpointError: it holds a layer that no exported file can express.
    """
    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    layers = [layer for name, module in leaves if (layer := _layer(name, module)) is not None]
    space = getattr(network, "mahalanobis", None)
    return [*layers, _kinds(space)] if space else layers


def answer(layers: list[Layer], images: torch.Tensor) -> torch.Tensor:
    """Normalised images (batch, 3, side, side) to logits (batch, classes), by the list alone."""
    x, maps = images, []
    for layer in layers:
        s = layer.settings
        if layer.op == "conv":
            weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
            x = nn.functional.conv2d(x, weight, bias, s["stride"], s["padding"], groups=s["groups"])
        elif layer.op == "relu":
            x = x.relu()
            if x.ndim == 4:
                maps.append(x)
        elif layer.op == "lrn":
            x = nn.functional.local_response_norm(x, s["n"], s["alpha"] * s["n"], s["beta"], s["k"])
        elif layer.op == "maxpool":
            x = nn.functional.max_pool2d(x, s["kernel"], s["stride"])
        elif layer.op == "avgpool":
            x = nn.functional.adaptive_avg_pool2d(x, s["side"])
        elif layer.op == "linear":
            x = nn.functional.linear(x.flatten(1), torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
        elif layer.op == "read":
            roots = summarised(maps[-s["convolutions"] :]).sqrt()
            x = x + nn.functional.linear(roots, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
    return x


def _layer(name: str, module: nn.Module) -> Layer | None:
    if isinstance(module, nn.Dropout | nn.Identity | nn.Flatten):
        return None
    if isinstance(module, nn.ReLU):
        return Layer("relu", name)
    kind = type(module).__name__
    if kind == "LocalResponseNorm" and hasattr(module, "n"):
        return Layer("lrn", name, {"n": module.n, "k": module.k, "alpha": module.alpha, "beta": module.beta})
    if isinstance(module, nn.MaxPool2d) and not module.padding and not module.ceil_mode:
        return Layer("maxpool", name, {"kernel": _one(module.kernel_size), "stride": _one(module.stride)})
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return Layer("avgpool", name, {"side": _one(module.output_size)})
    weight = getattr(module, "weight", None)
    if isinstance(module, Reader):
        return Layer("read", name, {"convolutions": SUMMARISED}, _array(weight), _bias(module))
    if isinstance(module, nn.Conv2d):
        settings = {"stride": _one(module.stride), "padding": _one(module.padding), "groups": module.groups}
        return Layer("conv", name, settings, _array(weight), _bias(module))
    if isinstance(weight, torch.Tensor) and weight.ndim == 2:
        return Layer("linear", name, {}, _array(weight), _bias(module))
    raise CheckpointError(f"A layer of the kind {kind} can't be exported", name, "Export another checkpoint.")


def _kinds(space: RelativeMahalanobis) -> Layer:
    return Layer("kinds", "kinds", {"convolutions": mahalanobis.LAYERS}, more=space.to_dict())


def _one(value: int | tuple[int, int]) -> int:
    """The side of a square that PyTorch may write as a pair."""
    return value[0] if isinstance(value, tuple) else value


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _bias(module: nn.Module) -> np.ndarray:
    bias = getattr(module, "bias", None)
    return np.zeros(len(module.weight), np.float32) if bias is None else _array(bias)
