"""Convolutions in 8-bit integers, for answers: hardly another name, in half the time where a processor is good at it.

Weights are quantized once, with a scale per filter, and what comes into a layer as it comes, with a scale per picture:
so no pictures are needed to learn scales from, and no answer depends on what is asked together with it.
(Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", sections 2 and 3.)
"""

import time
from functools import cache

import torch
from torch import Tensor, nn

from flowers_core.network import prepacked
from flowers_core.network.alexnet import AlexNet

WEIGHT_LEVELS, ACTIVATION_LEVELS = 127, 129
"""The largest quantized numbers. Processors that know 8 bits only halfway (AVX2) add products in pairs in 16 bits: two
such products just fit. Activations could go up to 255 elsewhere, but the weights' rounding is what costs more."""

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
        self.quantized = (weight * (WEIGHT_LEVELS / largest)[:, None, None, None]).round().to(torch.int8)
        self.scales = largest / WEIGHT_LEVELS
        self.zeros = torch.zeros(layer.out_channels, dtype=torch.int32)
        self.shift = layer.bias.detach().float()
        self.half = torch.tensor(0.5)
        self.shape = [*map(list, (self.stride, self.padding, self.dilation)), self.groups]
        self.packed: dict[tuple[int, ...], Tensor] = {}

    def __deepcopy__(self, memo: dict) -> "Int8Conv":
        return self  # what it computes with never changes, and oneDNN's tensors can't be copied

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width), 0 or more, on the CPU, to what the convolution makes of them."""
        seen = [self._one(image) for image in images.split(1)]  # as fast as all at once: one picture fits the caches
        return seen[0] if len(seen) == 1 else torch.cat(seen)

    def _packed(self, image: Tensor) -> Tensor:
        """The weights in the order that oneDNN wants for pictures of this size on so many threads. In another one it
        would put them in order anew for every picture, which takes ten times as long as the convolution."""
        key = (*image.shape, torch.get_num_threads())
        if key not in self.packed:
            pack = torch.ops.onednn.qconv_prepack
            self.packed[key] = pack(self.quantized, self.scales, 1.0, 0, *self.shape, list(image.shape))
        return self.packed[key]

    def _one(self, image: Tensor) -> Tensor:
        step = max(image.max().item(), 1e-12) / ACTIVATION_LEVELS
        quantized = torch.add(self.half, image.float(), alpha=1 / step).to(torch.uint8)  # rounds, with that half
        return torch.ops.onednn.qconv2d_pointwise(
            quantized, step, 0, self._packed(image), self.scales, self.zeros, self.shift, *self.shape,
            1.0, 0, image.dtype, "none", [], "",
        )  # fmt: skip


def converted(network: AlexNet) -> AlexNet:
    """The same trained network, on the CPU, whose convolutions compute in integers, all but the first one, which sees
    pixels. It shares the other's weights, and can't be trained."""
    first = network.features[0]
    return network.with_convolutions(lambda layer: layer if layer is first else Int8Conv(layer))


def if_faster(network: AlexNet, number_format: torch.dtype) -> AlexNet:
    """`converted`, or the network itself where that is as fast, or on a GPU."""
    return converted(network) if network.device.type == "cpu" and is_faster(number_format) else network


@cache
@torch.inference_mode()
def is_faster(number_format: torch.dtype) -> bool:
    """Whether this processor computes such convolutions faster than in that number format: timed once per process, in
    turns, on a small one, and on one core: on a busy machine several wait for each other, longer than they compute."""
    if not (prepacked.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")):
        return False
    plain = nn.Conv2d(192, 192, 3, padding=1).to(number_format, memory_format=torch.channels_last)
    usual = prepacked.PrepackedConv(plain, 1)
    images = torch.ones(1, 192, 13, 13, dtype=number_format).contiguous(memory_format=torch.channels_last)
    try:
        quantized = Int8Conv(plain)
        quantized(images)
        usual(images)
    except RuntimeError:  # built without it
        return False
    seconds, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            for layer in (usual, quantized):
                started = time.perf_counter()
                layer(images)
                taken = time.perf_counter() - started
                seconds[layer] = min(taken, seconds.get(layer, taken))
    finally:
        torch.set_num_threads(threads)
    return seconds[usual] > WORTH_IT * seconds[quantized]
