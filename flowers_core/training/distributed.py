"""One training in several processes, as `torchrun` starts them: who one is, what all agree on, who takes what."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from flowers_core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, device, nn

T = TypeVar("T")


def world() -> int:
    """How many processes train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0")) if world() > 1 else 0


def neighbours() -> int:
    """How many of them share this machine and its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world() > 1 else 1


def is_first() -> bool:
    """Is this the one that writes to the run's folder and listens to requests? The others follow it."""
    return rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Within, all processes are connected: over NCCL between GPUs, over Gloo otherwise. Alone, nothing happens.

    An error leaves without a word to the others: torchrun sees the exit code and ends them.
    """
    if world() == 1:
        yield
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # A run may wait for days in the queue, or be paused; who has died is torchrun's to notice.
    torch.distributed.init_process_group(backend, timeout=timedelta(days=7))
    yield
    torch.distributed.barrier()  # one that leaves while another still works can be aborted in its threads' midst
    torch.distributed.destroy_process_group()


def agree(value: T) -> T:
    """The first process's value, in every process."""
    if world() == 1:
        return value
    import torch

    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def agreed(request: Callable[[], str]) -> Callable[[], str]:
    """A request that all processes see at the same step: the first one's."""
    return request if world() == 1 else lambda: agree(request() if is_first() else "")


def require_same_photos(fingerprint: str, place: object) -> None:
    """Every process must have the photos that the first one has.

    Raises:
        DataError: it has others.
    """
    if agree(fingerprint) != fingerprint:
        hint = "Copy the same folders to every machine."
        raise DataError(f"Process {rank()} has other photos than the first one", place, hint)


def total(*values: float) -> list[float]:
    """Each value's sum over all processes."""
    if world() == 1:
        return list(values)
    import torch

    sums = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(sums)
    return sums.tolist()


def gathered(rows: "Tensor") -> "Tensor":
    """The rows of all processes, one below the other; each may have another number of them."""
    import torch

    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(world())]
    torch.distributed.all_gather(counts, torch.tensor([len(rows)]))
    padded = rows.new_zeros(max(map(int, counts)), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    torch.distributed.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


@dataclass
class Share:
    """Which photos of the common batch are this process's.

    Args:
        whole: photos in the batch of all processes together.
        part: this process's, a slice of at least one.
        weight: factor for the loss, so that the mean over processes is the mean over photos even where a batch
            can't be shared out evenly; 0 where there were too few photos and one of another's is computed in vain.
    """

    whole: int = 0
    part: slice = field(default_factory=lambda: slice(None))
    weight: float = 1.0

    def of(self, photos: int) -> "Share":
        """Itself, for a batch of so many photos."""
        self.whole = photos
        if world() > 1:
            low, high = photos * rank() // world(), photos * (rank() + 1) // world()
            self.weight = (high - low) * world() / photos
            self.part = slice(low, high) if high > low else slice(0, 1)
        return self


def wrap(network: "nn.Module", device: "device") -> "nn.Module":
    """The network as it is called in training: its gradients become the mean over all processes, and the weights
    begin as the first one's."""
    if world() == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def share_dropout(network: "nn.Module", share: Share) -> None:
    """Lets every process draw the whole batch's dropout and take its own rows of it, so that several processes drop
    what one would."""
    if world() == 1:
        return
    from torch import nn

    for place, layer in enumerate(network.classifier):
        if isinstance(layer, nn.Dropout):
            network.classifier[place] = _shared_dropout(layer.p, share)


def _shared_dropout(p: float, share: Share) -> "nn.Module":
    from flowers_core.network.alexnet import Dropout

    class SharedDropout(Dropout):
        def forward(self, inputs: "Tensor") -> "Tensor":
            if not self.training or p == 0:
                return inputs
            return inputs * self.factors(inputs.new_empty(share.whole, *inputs.shape[1:]))[share.part]

    return SharedDropout(p)
