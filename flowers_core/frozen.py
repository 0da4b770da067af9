"""What frozen convolutions see in the training photos: computed once per view, after which an epoch takes no time."""

import torch
from torch import Tensor

from flowers_core import chance, precision
from flowers_core.alexnet import AlexNet
from flowers_core.augment import EvalTransform, TrainTransform, train_batch
from flowers_core.config import TrainConfig
from flowers_core.dataset import Split

MOST_VIEWS = 16
"""Variations of each photo at most; later epochs show the same ones again."""

MOST_BYTES = 256 * 2**20
LEAN_BYTES = 32 * 2**20
"""Memory that they may take, and where memory is short."""

BATCH = 32
LEAN_BATCH = 2


class FrozenFeatures:
    """The features of every training photo in some variations. A view is computed when its first epoch asks for it.

    A view is always computed as a whole and in the same batches, so that a resumed run finds the same bits.

    Args:
        config: whose seed draws the variations.
        network: whose convolutions don't change.
        split: the training photos.
        transform: how they are varied.
        base: input size and normalisation.
        device, number_format: where and how they are computed.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: AlexNet,
        split: Split,
        transform: TrainTransform,
        base: EvalTransform,
        device: torch.device,
        number_format: str,
    ):
        self.seed, self.network, self.split, self.transform, self.base = config.seed, network, split, transform, base
        self.device, self.number_format = device, number_format
        self.is_lean = config.is_lean
        self.views: dict[int, Tensor] = {}
        columns = network.classifier[1].in_features
        a_view = len(split) * columns * (2 if number_format == "bfloat16" else 4)
        self.count = min(MOST_VIEWS, (LEAN_BYTES if self.is_lean else MOST_BYTES) // a_view)
        """How many views there are; 0 when not even one of all photos fits."""

    def of(self, epoch: int, photos: Tensor) -> Tensor:
        """(n, columns) of some photos on the device, as varied in this epoch."""
        number = epoch % self.count
        if number not in self.views:
            self.views[number] = self._view(number)
        return self.views[number][photos]

    @torch.no_grad()
    def _view(self, number: int) -> Tensor:
        draws = chance.generator(self.seed, "view", number)
        rows = []
        for chosen in torch.arange(len(self.split)).split(LEAN_BATCH if self.is_lean else BATCH):
            squares, aspects, _ = self.split.load(chosen)
            images = train_batch(squares, aspects, self.transform, self.base, draws)
            with precision.autocast(self.device, self.number_format):
                rows.append(self.network.embed(images.to(self.device)))
        return torch.cat(rows)
