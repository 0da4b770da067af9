"""How weights are stepped: the optimiser of a config, and its learning rate over time."""

import math

import torch
from torch import nn

from flowers_core.network.alexnet import AlexNet
from flowers_core.settings.config import TrainConfig
from flowers_core.training.outer_sgd import MOST_ROWS, OuterSGD


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
    on_gpu = next(network.parameters()).is_cuda
    groups = [{"params": list(network.classifier.parameters()), "share": 1.0}]
    if config.features_lr > 0:
        groups.append({"params": list(network.features.parameters()), "share": config.features_lr})
    if config.optimizer == "sgd" and not on_gpu:
        kind = getattr(torch, number_format)
        return OuterSGD(groups, network, config.lr, config.momentum, config.weight_decay, kind, MOST_ROWS)
    if config.optimizer == "sgd":
        return like_outer_sgd(config, groups, network)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return torch.optim.SGD(groups, config.lr, config.momentum, weight_decay=config.weight_decay, fused=True)


def like_outer_sgd(config: TrainConfig, groups: list[dict], network: AlexNet) -> torch.optim.SGD:
    """Torch's SGD, stepping as `OuterSGD` does, whose trick a GPU's quick memory can do without: the fully connected
    layers' weights have no momentum, and steps as long as it would make theirs."""
    weights = [layer.weight for layer in network.classifier if isinstance(layer, nn.Linear)]
    apart, momentum = {id(weight) for weight in weights}, config.momentum
    rest = [{**group, "params": [p for p in group["params"] if id(p) not in apart]} for group in groups]
    share = groups[0]["share"] / (1 - momentum)
    groups = [*rest, {"params": weights, "share": share, "momentum": 0.0, "nesterov": False}]
    decay, nesterov = config.weight_decay, momentum > 0
    return torch.optim.SGD(groups, config.lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)


def clip(optimizer: torch.optim.Optimizer | OuterSGD, network: AlexNet, longest: float) -> None:
    """Shortens the gradient of all weights together to this length."""
    if isinstance(optimizer, OuterSGD):
        optimizer.clip(longest)
    else:
        torch.nn.utils.clip_grad_norm_(network.parameters(), longest)
