"""Plain SGD that never holds a gradient of the fully connected layers: for machines with little memory.

A linear layer's gradient is the product of two small matrices: what the loss wants of its outputs (batch, outputs) and
what came in (batch, inputs). Adding that product to the weights at once needs none of the 228 MB that gradients take,
and none of the 228 MB of a momentum. Its length follows from the two matrices' inner products alone.
"""

import torch
from torch import Tensor, nn


class LeanSGD:
    """SGD without momentum over all parameters of a network, with the methods of torch's optimisers.

    It is none of them by class: theirs import torch's compiler at the first step, which takes 80 MB and a second.

    Args:
        groups: parameters with their learning rates, as for torch's optimisers.
        network: its linear layers are watched from now on, and autograd computes no gradients of their weights.
        lr: learning rate of groups that name none.
        weight_decay: pull of every weight towards zero, per unit of learning rate.
    """

    def __init__(self, groups: list[dict], network: nn.Module, lr: float, weight_decay: float):
        self.param_groups = [{"lr": lr, "weight_decay": weight_decay, **group} for group in groups]
        self.seen: dict[nn.Linear, tuple[Tensor, Tensor]] = {}
        self.of_weight = {}
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.requires_grad_(False)
                layer.register_forward_hook(self._remember)
                self.of_weight[layer.weight] = layer

    def _remember(self, layer: nn.Linear, inputs: tuple[Tensor], output: Tensor) -> None:
        if output.requires_grad:
            came_in = inputs[0].detach()
            output.register_hook(lambda wanted: self.seen.update({layer: (wanted.float(), came_in.float())}))

    def clip(self, longest: float) -> None:
        """Shortens the whole gradient to this length."""
        squares = [p.grad.square().sum() for group in self.param_groups for p in group["params"] if p.grad is not None]
        # The squared length of a product A'B is the sum over (AA') * (BB').
        squares += [((wanted @ wanted.T) * (came @ came.T)).sum() for wanted, came in self.seen.values()]
        factor = min(1.0, longest / (torch.stack(squares).sum().sqrt().item() + 1e-6))
        for wanted, _ in self.seen.values():
            wanted.mul_(factor)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of the last backward pass."""
        self.seen.clear()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict:
        """Nothing: it remembers nothing from step to step."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Takes back what `state_dict` gave."""

    @torch.no_grad()
    def step(self) -> None:
        """One step against the gradients of the last backward pass."""
        for group in self.param_groups:
            lr, kept = group["lr"], 1 - group["lr"] * group["weight_decay"]
            for parameter in group["params"]:
                if parameter in self.of_weight:
                    wanted, came_in = self.seen.pop(self.of_weight[parameter])
                    parameter.addmm_(wanted.T, came_in, beta=kept, alpha=-lr)
                elif parameter.grad is not None:
                    parameter.mul_(kept).add_(parameter.grad, alpha=-lr)
