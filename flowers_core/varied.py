"""Several views of each training photo, for what is solved in closed form and not by many small steps."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flowers_core.augment import EvalTransform, TrainTransform, eval_views, train_batch
from flowers_core.dataset import Split


def views(
    split: Split,
    base: EvalTransform,
    transform: TrainTransform,
    generator: torch.Generator,
    rows: int,
    most_each: int,
    batch: int,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Photos in random order, and the network's inputs of each: plain ones first, the others varied as in training.

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
        batches = eval_views(squares, aspects, plain)
        while len(batches) < count:
            batches.append(train_batch(squares, aspects, transform, base, generator))
        yield indices, batches[:count]
