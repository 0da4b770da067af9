"""Convolutions whose weights lie ready for the next photo: the same answers, sooner.

oneDNN computes with weights in blocks of its own, and brings them into that order at every call. For a batch that is
nothing; for a single photo it takes a third of the convolutions' time. No bit differs, but where torch leaves a picture
of very few values to code of its own: there float32's last digit may.
"""

import torch
from torch import Tensor, nn

from flowers_core.network.alexnet import AlexNet


class PrepackedConv(nn.Conv2d):
    """A trained convolution that answers batches of one size from weights in oneDNN's order, others as usual.

    Args:
        layer: whose weights it takes over.
        batch: that size. Weights that were brought in order for another one would be slower than usual ones.
    """

    def __init__(self, layer: nn.Conv2d, batch: int):
        super().__init__(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            layer.groups, device="meta",
        )  # fmt: skip
        self.train(layer.training)
        self.weight, self.bias, self.batch = layer.weight, layer.bias, batch
        self.shape = self.padding, self.stride, self.dilation, self.groups
        self.packed: dict[tuple[int, ...], Tensor | None] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"packed": {}}  # oneDNN's tensors can be neither copied nor saved

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width), on the CPU, to what the convolution makes of them."""
        learns = torch.is_grad_enabled() and (images.requires_grad or self.weight.requires_grad)
        if learns or torch.is_autocast_enabled("cpu") or len(images) != self.batch or images.dtype != self.weight.dtype:
            return super().forward(images)
        packed = self._packed(images)
        if packed is None:
            return super().forward(images)
        return torch.ops.mkldnn._convolution_pointwise(images, packed, self.bias, *self.shape, "none", [], "")

    def _packed(self, images: Tensor) -> Tensor | None:
        """Each size of pictures, and each number of threads, has an order of its own. None where oneDNN has none: in
        bfloat16 on some processors."""
        key = (*images.shape[2:], torch.get_num_threads())
        if key not in self.packed:
            try:
                reorder = torch._C._nn.mkldnn_reorder_conv2d_weight
                self.packed[key] = reorder(self.weight.detach().to_mkldnn(), *self.shape, list(images.shape))
            except RuntimeError:
                self.packed[key] = None
        return self.packed[key]


def converted(network: AlexNet, batch: int) -> AlexNet:
    """The same trained network with such convolutions in place of usual ones, or itself where torch has none. It shares
    the other's weights, and can't be trained."""
    if network.device.type != "cpu" or not is_available():
        return network
    return network.with_convolutions(lambda layer: PrepackedConv(layer, batch) if type(layer) is nn.Conv2d else layer)


def is_available() -> bool:
    """Whether this torch was built with oneDNN, and still has what Inductor, its compiler, calls there."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )
