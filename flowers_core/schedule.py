"""How weights are stepped: the optimiser of a config, and its learning rate over time."""

import math

import torch

from flowers_core.alexnet import AlexNet
from flowers_core.config import TrainConfig
from flowers_core.outer_sgd import MOST_ROWS, OuterSGD


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate at a step: climbing in a line during warm-up, then along the schedule."""
    warmup = int(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule != "cosine":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def make_optimizer(
    config: TrainConfig, network: AlexNet, number_format: str = "float32"
) -> torch.optim.Optimizer | OuterSGD:
    """The optimiser with groups for convolutions, at `features_lr` times the rate, and for fully connected layers.

    Args:
        config: settings.
        network: with its first weights; its fully connected layers may be replaced by others of the same weights.
        number_format: in which it will compute.
    """
    network.features.requires_grad_(config.features_lr > 0)
    groups = [{"params": list(network.classifier.parameters()), "share": 1.0}]
    if config.features_lr > 0:
        groups.append({"params": list(network.features.parameters()), "share": config.features_lr})
    if config.optimizer == "sgd":
        kind = getattr(torch, number_format)
        return OuterSGD(groups, network, config.lr, config.momentum, config.weight_decay, kind, MOST_ROWS)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return torch.optim.SGD(groups, config.lr, config.momentum, weight_decay=config.weight_decay, fused=True)


def clip(optimizer: torch.optim.Optimizer | OuterSGD, network: AlexNet, longest: float) -> None:
    """Shortens the gradient of all weights together to this length."""
    if isinstance(optimizer, OuterSGD):
        optimizer.clip(longest)
    else:
        torch.nn.utils.clip_grad_norm_(network.parameters(), longest)
