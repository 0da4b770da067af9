"""How good a network is while it learns, and how much of that is luck."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowers_core.images.augment import EvalTransform, eval_views
from flowers_core.machine import precision
from flowers_core.network.alexnet import AlexNet
from flowers_core.photos.dataset import Split


def view_logits(
    network: nn.Module,
    split: Split,
    transform: EvalTransform,
    device: torch.device,
    number_format: str,
    batch: int = 128,
) -> Tensor:
    """What a network says of every view of photos: (n, views, classes) float32; leaves it in training mode."""
    return _of_views(network, split, transform, device, number_format, batch, lambda view: network(view).float().cpu())


def view_looks(
    network: AlexNet,
    split: Split,
    transform: EvalTransform,
    device: torch.device,
    number_format: str,
    batch: int = 128,
) -> tuple[Tensor, Tensor, Tensor]:
    """What both readers of a network say, one by one, and what they saw; leaves it in training mode.

    Returns:
        (n, views, classes) logits of the fully connected layers; the same of `network.reader`; (n, columns) mean over
        the views of the convolutions' summary; float32.
    """
    summaries = []

    def look(view: Tensor) -> Tensor:
        logits, summary = network.fc_logits_and_summary(view)
        summaries.append(summary.cpu())
        return torch.stack([logits.float(), network.reader(summary)], 1).cpu()

    both = _of_views(network, split, transform, device, number_format, batch, look)
    views = both.shape[1]
    by_batch = [torch.stack(summaries[i : i + views]).mean(0) for i in range(0, len(summaries), views)]
    return both[:, :, 0], both[:, :, 1], torch.cat(by_batch)


@torch.inference_mode()
def _of_views(network, split, transform, device, number_format, batch, ask: Callable[[Tensor], Tensor]) -> Tensor:
    """(n, views, ...) what is answered to every view of photos."""
    network.eval()
    answers = []
    for chosen in torch.arange(len(split)).split(batch):
        squares, aspects, _ = split.load(chosen)
        with precision.autocast(device, number_format):
            views = [ask(view.to(device)) for view in eval_views(squares, aspects, transform)]
        answers.append(torch.stack(views, 1))
    network.train()
    return torch.cat(answers)


def score(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> tuple[Tensor, float]:
    """Cross-entropy of each photo, (n,), and accuracy, from logits (n, views, classes); views are averaged."""
    probabilities = (logits / temperature).softmax(2).mean(1)
    losses = -probabilities.gather(1, labels[:, None])[:, 0].clamp(min=1e-12).log()
    return losses, (probabilities.argmax(1) == labels).float().mean().item()


def rise(now: Tensor, before: Tensor) -> tuple[float, float]:
    """How much the same photos' mean loss has risen, and the standard error of that (photo by photo, as in a paired
    t-test: photos that are hard at both times say nothing about a change); (n,) each."""
    difference = now - before
    error = difference.std(correction=min(1, len(difference) - 1)).item() / math.sqrt(len(difference))
    return difference.mean().item(), error


def standard_error(accuracy: float, n: int) -> float:
    """Of an accuracy measured on n photos (binomial); 0 when there are none.

    The epoch that is kept is the latest one within a standard error of the highest accuracy. With 30 validation
    photos one epoch beats another by luck, and the later one, at a lower learning rate, is the better bet; with
    thousands of photos the rule comes down to keeping the best.
    """
    return math.sqrt(accuracy * (1 - accuracy) / n) if n else 0.0
