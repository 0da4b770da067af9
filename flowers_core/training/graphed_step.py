"""A training step as a CUDA graph: a fast GPU has done AlexNet's small pieces of work before Python has asked for them.

Some 500 kernels make a step. Recorded once, they are asked for all together, and their order and results are the same.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

WARM_UP = 3
"""Steps before the recording, in which libraries choose their kernels and optimisers make their state."""


class GraphedStep:
    """A training step that is recorded after some calls, and then replayed.

    Args:
        step: from a batch's images and targets, on the GPU, to a tensor of figures; it must not wait for the GPU, and
            everything else that changes from call to call must lie in tensors.
        photos: in a batch that is worth recording; others are stepped as usual.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], Tensor], photos: int):
        self.step, self.photos = step, photos
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The step's figures; they are valid until the next call."""
        if len(images) != self.photos or self.calls < 0:
            return self.step(images, targets)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._apart(images, targets)
        if self.graph is None:
            try:
                self._record(images, targets)
            except RuntimeError as error:  # no memory for a second set of activations, or an old driver
                _log.info("Training goes on without a CUDA graph: %s", error)
                self.graph, self.calls = None, -1
                return self.step(images, targets)
        self.images.copy_(images)
        self.targets.copy_(targets)
        self.graph.replay()
        return self.figures

    def _apart(self, images: Tensor, targets: Tensor) -> Tensor:
        """The step in a stream of its own, as recordings are made: what it leaves behind must not belong to another."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            figures = self.step(images, targets)
        torch.cuda.current_stream().wait_stream(stream)
        return figures

    def _record(self, images: Tensor, targets: Tensor) -> None:
        self.images, self.targets = images.clone(), targets.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.figures = self.step(self.images, self.targets)
        self.graph = graph
