"""Convolutions in 8-bit integers, for answers: the same names, in half the time where a processor is good at it.

Weights are quantized once, with a scale per filter, and what comes into a layer as it comes, with a scale per picture:
so no pictures are needed to learn scales from, and no answer depends on what is asked together with it.
(Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", sections 2 and 3.)
"""

import time
from functools import cache

import torch
from torch import Tensor, nn

from flowers_core.network.alexnet import AlexNet

WEIGHT_LEVELS, ACTIVATION_LEVELS = 127, 129
"""The largest quantized numbers. Processors that know 8 bits only halfway (AVX2) add products in pairs in 16 bits: the
sum of two such products just fits. Activations could have 255 elsewhere, but the weights' rounding is what costs more."""

WORTH_IT = 1.2
"""Times as fast as usual that quantized convolutions must be to be chosen."""


class Int8Conv(nn.Conv2d):
    """A trained convolution, computed in integers. Its input must not be negative, as behind a ReLU.

    Args:
        layer: whose weights it takes over.
    """

    def __init__(self, layer: nn.Conv2d):
        super().__init__(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            layer.groups, device="meta",
        )  # fmt: skip
        self.weight, self.bias = layer.weight, layer.bias
        weight = layer.weight.detach().float()
        largest = weight.abs().amax((1, 2, 3)).clamp(min=1e-12)
        quantized = (weight * (WEIGHT_LEVELS / largest)[:, None, None, None]).round().to(torch.int8)
        self.scales = largest / (WEIGHT_LEVELS * ACTIVATION_LEVELS)
        self.zeros = torch.zeros(layer.out_channels, dtype=torch.int32)
        self.shift = layer.bias.detach().float()[:, None, None]
        self.shape = [*map(list, (self.stride, self.padding, self.dilation)), self.groups]
        self.packed = torch.ops.onednn.qconv_prepack(quantized, self.scales, 1.0, 0, *self.shape, None)

    def __deepcopy__(self, memo: dict) -> "Int8Conv":
        return self  # what it computes with never changes, and oneDNN's tensors can't be copied

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width), 0 or more, on the CPU, to what the convolution makes of them."""
        brightest = images.amax((1, 2, 3), keepdim=True).float().clamp(min=1e-12)
        quantized = (images * (ACTIVATION_LEVELS / brightest)).round_().to(torch.uint8)
        sums = torch.ops.onednn.qconv2d_pointwise(
            quantized, 1.0, 0, self.packed, self.scales, self.zeros, None, *self.shape,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self.shift, sums, brightest).to(images.dtype)


def convert(network: AlexNet) -> None:
    """Lets a trained network, on the CPU, compute its convolutions in integers, all but the first one, which sees
    pixels. It can't be trained any more."""
    places = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)]
    for i in places[1:]:
        network.features[i] = Int8Conv(network.features[i])


@cache
@torch.inference_mode()
def is_faster(number_format: torch.dtype) -> bool:
    """Whether this processor computes such convolutions faster than in that number format: timed once per process, in
    turns, on a small one."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")):
        return False
    usual = nn.Conv2d(192, 192, 3, padding=1).to(number_format, memory_format=torch.channels_last)
    images = torch.ones(1, 192, 13, 13, dtype=number_format).contiguous(memory_format=torch.channels_last)
    try:
        quantized = Int8Conv(usual)
        quantized(images)
    except RuntimeError:  # built without it
        return False
    seconds = {}
    for _ in range(5):
        for layer in (usual, quantized):
            started = time.perf_counter()
            layer(images)
            taken = time.perf_counter() - started
            seconds[layer] = min(taken, seconds.get(layer, taken))
    return seconds[usual] > WORTH_IT * seconds[quantized]
