"""How good a network is while it learns, and how much of that is luck."""

import math

import torch
from torch import nn

from flowers_core import precision
from flowers_core.augment import EvalTransform, eval_views
from flowers_core.dataset import Split


@torch.inference_mode()
def score(
    network: nn.Module,
    split: Split,
    transform: EvalTransform,
    device: torch.device,
    number_format: str,
    batch: int = 128,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a network on photos; leaves it in training mode."""
    network.eval()
    loss, hits = 0.0, 0
    for chosen in torch.arange(len(split)).split(batch):
        squares, aspects, labels = split.load(chosen)
        with precision.autocast(device, number_format):
            views = [network(view.to(device)).float().softmax(1) for view in eval_views(squares, aspects, transform)]
        probabilities = torch.stack(views).mean(0).cpu()
        loss -= probabilities.gather(1, labels[:, None]).clamp(min=1e-12).log().sum().item()
        hits += (probabilities.argmax(1) == labels).sum().item()
    network.train()
    return loss / len(split), hits / len(split)


def standard_error(accuracy: float, n: int) -> float:
    """Of an accuracy measured on n photos (binomial); 0 when there are none.

    The epoch that is kept is the latest one within a standard error of the highest accuracy. With 30 validation
    photos one epoch beats another by luck, and the later one, at a lower learning rate, is the better bet; with
    thousands of photos the rule comes down to keeping the best.
    """
    return math.sqrt(accuracy * (1 - accuracy) / n) if n else 0.0
