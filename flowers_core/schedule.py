"""How weights are stepped: the optimiser of a config, and its learning rate over time."""

import math

import torch

from flowers_core.alexnet import AlexNet
from flowers_core.config import TrainConfig
from flowers_core.distributed import world
from flowers_core.errors import ConfigError
from flowers_core.lean import LeanSGD


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate at a step: climbing in a line during warm-up, then along the schedule."""
    warmup = int(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule != "cosine":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def make_optimizer(config: TrainConfig, network: AlexNet) -> torch.optim.Optimizer | LeanSGD:
    """The optimiser with two groups: convolutions at `features_lr` times the rate of the fully connected layers."""
    network.features.requires_grad_(config.features_lr > 0)
    groups = [{"params": list(network.classifier.parameters()), "share": 1.0}]
    if config.features_lr > 0:
        groups.append({"params": list(network.features.parameters()), "share": config.features_lr})
    if config.optimizer == "sgd-lean":
        if world() > 1:
            raise ConfigError("The optimizer sgd-lean trains in one process only", None, "Choose sgd under torchrun.")
        return LeanSGD(groups, network, lr=config.lr, weight_decay=config.weight_decay)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    nesterov = config.optimizer == "sgd" and config.momentum > 0
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, nesterov=nesterov, fused=True
    )


def clip(optimizer: torch.optim.Optimizer | LeanSGD, network: AlexNet, longest: float) -> None:
    """Shortens the gradient of all weights together to this length."""
    if isinstance(optimizer, LeanSGD):
        optimizer.clip(longest)
    else:
        torch.nn.utils.clip_grad_norm_(network.parameters(), longest)
