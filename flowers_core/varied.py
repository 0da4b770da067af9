"""Several views of each training photo, for what is solved in closed form and not by many small steps."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flowers_core import precision
from flowers_core.alexnet import AlexNet
from flowers_core.augment import EvalTransform, TrainTransform, eval_views, train_batch
from flowers_core.dataset import Split

PLAIN = (2, 5, 0, 3, 4, 1)
"""Places of the plain views among those of three sizes with their mirror images: the usual window first."""

SUMMARIES = 6000
"""Views whose summaries say what the convolutions see of the kinds, about."""

SUMMARIES_EACH = 12
"""Of each photo at most."""


def views(
    split: Split,
    base: EvalTransform,
    transform: TrainTransform,
    generator: torch.Generator,
    rows: int,
    most_each: int,
    batch: int,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Photos in random order, and the network's inputs of each: half of them plain, the others varied as in training.

    Args:
        split: the photos; some are left out when there are too many.
        base: input size and normalisation.
        transform: how photos are varied in training.
        generator: the only source of chance.
        rows: views of all photos at most.
        most_each: views of a photo at most.
        batch: photos at once.

    Yields:
        (k,) indices into the split, and for each view of these photos (k, 3, size, size).
    """
    count = max(1, min(rows // len(split), most_each))
    plain = EvalTransform(base.size, base.window, "scales", base.mean, base.std)
    for indices in torch.randperm(len(split), generator=generator)[: max(1, rows // count)].split(batch):
        squares, aspects, _ = split.load(indices)
        batches = [eval_views(squares, aspects, plain)[i] for i in PLAIN[: (count + 1) // 2]]
        while len(batches) < count:
            batches.append(train_batch(squares, aspects, transform, base, generator))
        yield indices, batches


@torch.inference_mode()
def summaries(
    network: AlexNet,
    split: Split,
    base: EvalTransform,
    transform: TrainTransform,
    generator: torch.Generator,
    device: torch.device,
    number_format: str,
    rows: int = SUMMARIES,
    batch: int = 32,
) -> tuple[Tensor, Tensor, Tensor, int]:
    """What the convolutions see of the kinds: see `AlexNet.look`; the first arguments as for `views`.

    Returns:
        (n, columns) float32, (n,) labels, (n,) which views are plain, and how many photos these are views of, some of
        every kind.
    """
    some = split.thinned(rows // 2)
    rows = max(rows, 2 * len(some))  # of kinds with few photos none is left out
    network.eval()
    seen, labels, plain = [], [], []
    for indices, batches in views(some, base, transform, generator, rows, SUMMARIES_EACH, batch):
        for place, images in enumerate(batches):
            with precision.autocast(device, number_format):
                seen.append(network.look(images.to(device))[1].cpu())
            labels.append(some.labels[indices])
            plain.append(torch.full((len(indices),), place < (len(batches) + 1) // 2))
    return torch.cat(seen), torch.cat(labels), torch.cat(plain), len(some)
