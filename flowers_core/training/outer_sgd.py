"""SGD that never forms the fully connected layers' gradients: less to move through memory, and less to keep in it.

AlexNet's fully connected layers hold 57 of its 60 million weights. A step of ordinary SGD reads and writes them, their
gradients and their momentum, some two gigabytes, and at small batches that takes longer than the arithmetic. But a
linear layer's gradient is the product of two small matrices: what the loss wants of its outputs (batch, outputs), and
what came in (batch, inputs). So the pairs of the last steps are kept as they are, the layer's output is corrected
by them, and only when some hundred rows have gathered are they multiplied out and added to the weights.

These weights have no momentum. A momentum m makes of every gradient a push of 1 / (1 - m) over the next steps; they get
that push at once.
"""

import torch
from torch import Tensor, nn

from flowers_core.training.distributed import gathered, world

MOST_ROWS = 512
"""Photos whose products are gathered before they are added: more save memory traffic, and cost arithmetic."""

PAST = {"scale": "kept", "step_sizes": "push", "grads": "wanted", "inputs": "came"}
"""What a lagging layer holds besides its weights, and its name in saved states, where it can't change any more."""

BLOCK = 256
"""Rows of weights that are updated together: few enough to stay in the processor's cache."""


class LaggingLinear(nn.Linear):
    """A linear layer that is some steps behind: its weights are `weight * scale + (grads * step_sizes).T @ inputs`.

    Args:
        layer: whose parameters it shares.
        number_format: of the arithmetic; the weights stay float32.
    """

    def __init__(self, layer: nn.Linear, number_format: torch.dtype):
        super().__init__(layer.in_features, layer.out_features, device="meta")
        self.weight, self.bias, self.number_format = layer.weight, layer.bias, number_format
        self.weight.requires_grad_(False)
        self.last: tuple[Tensor, Tensor] | None = None
        """Gradient by the outputs, and inputs, of the last backward pass."""
        self.drop_pending()

    def drop_pending(self) -> None:
        """Empties what was gathered, and takes the weights as they are now."""
        empty = {"dtype": self.number_format, "device": self.weight.device}
        self.scale, self.step_sizes = 1.0, torch.zeros(0, device=self.weight.device)
        self.grads, self.inputs = torch.zeros(0, self.out_features, **empty), torch.zeros(0, self.in_features, **empty)
        self.round_weights()

    def round_weights(self) -> None:
        """Rounds the weights for the arithmetic: in bfloat16 there are half as many bytes to read."""
        self.rounded = self.weight.detach().to(self.number_format)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, inputs) to (batch, outputs), in the layer's number format."""
        return _Lagging.apply(inputs.to(self.number_format), self.bias, self)

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float) -> None:
        """Gathers one step against the gradient of the last backward pass."""
        grad, inputs = self.last
        self.last = None
        decay = 1 - lr * weight_decay
        self.scale *= decay
        self.step_sizes = torch.cat([self.step_sizes * decay, self.step_sizes.new_full((len(grad),), -lr)])
        self.grads, self.inputs = torch.cat([self.grads, grad]), torch.cat([self.inputs, inputs])

    @torch.no_grad()
    def apply_pending(self) -> None:
        """Adds what was gathered to the weights."""
        if not len(self.step_sizes):
            return
        pushed = (self.grads * self.step_sizes[:, None]).to(self.number_format).T
        rounded = self.rounded
        for start in range(0, self.out_features, BLOCK):
            weights, rows = self.weight[start : start + BLOCK], pushed[start : start + BLOCK]
            if self.number_format == torch.float32:
                weights.addmm_(rows, self.inputs, beta=self.scale)
            else:
                rounded[start : start + BLOCK] = weights.mul_(self.scale).add_(rows @ self.inputs)
        self.scale, self.step_sizes, self.grads, self.inputs = 1.0, self.step_sizes[:0], self.grads[:0], self.inputs[:0]

    @torch.no_grad()
    def with_pending(self) -> Tensor:
        """A float16 copy of the weights with what was gathered; they themselves stay."""
        copy = torch.empty(self.weight.shape, dtype=torch.float16)
        for start in range(0, self.out_features, BLOCK):
            part = slice(start, start + BLOCK)
            pushed = (self.grads[:, part] * self.step_sizes[:, None]).to(self.number_format).T
            copy[part] = self.weight[part] * self.scale + (pushed @ self.inputs).float()
        return copy


class _Lagging(torch.autograd.Function):
    """The product of inputs and lagging weights, whose backward pass notes down the gradient's two factors."""

    @staticmethod
    def forward(ctx, inputs: Tensor, bias: Tensor, layer: LaggingLinear) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.layer = layer
        outputs = inputs @ layer.rounded.T
        if len(layer.step_sizes):
            late = (inputs @ layer.inputs.T) * layer.step_sizes
            outputs = outputs.mul_(layer.scale).addmm_(late.to(outputs.dtype), layer.grads)
        return outputs.add_(bias.to(outputs.dtype))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (inputs,), layer = ctx.saved_tensors, ctx.layer
        layer.last = grad.detach(), inputs.detach()
        back = None
        if ctx.needs_input_grad[0]:
            back = grad @ layer.rounded
            if len(layer.step_sizes):
                late = (grad @ layer.grads.T) * layer.step_sizes
                back = back.mul_(layer.scale).addmm_(late.to(back.dtype), layer.inputs)
        return back, grad.float().sum(0), None


class PlainSGD:
    """SGD with Nesterov's momentum. Torch's own imports a compiler when it is made: 80 MB and up to two seconds."""

    def __init__(self, groups: list[dict], lr: float, momentum: float, weight_decay: float):
        self.param_groups = [{"lr": lr, "weight_decay": weight_decay, **group} for group in groups]
        self.momentum = momentum
        self.momentum_buffers: dict[int, Tensor] = {}
        """What is left of past gradients, by the place of the parameter among all."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of the last backward pass."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step against the gradients of the last backward pass."""
        places = ((group, parameter) for group in self.param_groups for parameter in group["params"])
        for place, (group, parameter) in enumerate(places):
            if parameter.grad is None:
                continue
            gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
            if self.momentum:
                push = self.momentum_buffers.get(place)
                push = gradient.clone() if push is None else push.mul_(self.momentum).add_(gradient)
                self.momentum_buffers[place] = push
                gradient.add_(push, alpha=self.momentum)
            parameter.sub_(gradient, alpha=group["lr"])

    def state_dict(self) -> dict:
        """What later steps depend on besides the parameters."""
        return {"pushes": dict(self.momentum_buffers)}

    def load_state_dict(self, state: dict) -> None:
        """Takes back what `state_dict` gave."""
        self.momentum_buffers = dict(state["pushes"])


class OuterSGD:
    """SGD over all parameters of a network, with the methods of torch's optimisers.

    Args:
        groups: parameters with their `share` of the learning rate, as for torch's optimisers.
        network: whose fully connected layers are replaced by lagging ones, in place.
        lr: learning rate of groups that name none.
        momentum: Nesterov's, of all parameters but the fully connected layers' weights.
        weight_decay: pull of every weight towards zero, per unit of learning rate.
        number_format: of the fully connected layers' arithmetic.
        most_rows: photos whose products are gathered at most; 0 adds each step at once, which needs least memory.
    """

    def __init__(
        self,
        groups: list[dict],
        network: nn.Module,
        lr: float,
        momentum: float,
        weight_decay: float,
        number_format: torch.dtype = torch.float32,
        most_rows: int = MOST_ROWS,
    ):
        self.most_rows, self.layers = most_rows, []
        shares = {id(p): group["share"] for group in groups for p in group["params"]}
        for place, layer in enumerate(network.classifier):
            if isinstance(layer, nn.Linear):
                network.classifier[place] = LaggingLinear(layer, number_format)
                self.layers.append(network.classifier[place])
        weights = {id(layer.weight) for layer in self.layers}
        rest = [{**group, "params": [p for p in group["params"] if id(p) not in weights]} for group in groups]
        self.rest = PlainSGD(rest, lr, momentum, weight_decay)
        share = shares[id(self.layers[0].weight)] / (1 - momentum)
        self.outer = {"params": [], "lr": lr, "share": share, "weight_decay": weight_decay}
        self.is_gathered = world() == 1

    @property
    def param_groups(self) -> list[dict]:
        """Learning rates, for a schedule to set."""
        return [*self.rest.param_groups, self.outer]

    def clip(self, longest: float) -> None:
        """Shortens the whole gradient to this length."""
        self._gather()
        gradients = [p.grad for group in self.rest.param_groups for p in group["params"] if p.grad is not None]
        squares = [gradient.square().sum() for gradient in gradients]
        for layer in self.layers:
            # The squared length of a product A'B is the sum over (AA') * (BB').
            grad, inputs = (half.float() for half in layer.last)
            squares.append(((grad @ grad.T) * (inputs @ inputs.T)).sum())
        factor = min(1.0, longest / (torch.stack(squares).sum().sqrt().item() + 1e-6))
        if factor < 1:
            for gradient in gradients:
                gradient.mul_(factor)
            for layer in self.layers:
                grad, inputs = layer.last
                layer.last = grad * factor, inputs

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of the last backward pass."""
        self.rest.zero_grad(set_to_none)
        for layer in self.layers:
            layer.last = None
        self.is_gathered = world() == 1

    def step(self) -> None:
        """One step against the gradients of the last backward pass."""
        self._gather()
        self.rest.step()
        for layer in self.layers:
            layer.step(self.outer["lr"], self.outer["weight_decay"])
            if len(layer.step_sizes) >= self.most_rows:
                layer.apply_pending()

    def apply_pending(self) -> None:
        """Adds all steps so far to the weights, for whoever reads them."""
        for layer in self.layers:
            layer.apply_pending()

    def refresh(self) -> None:
        """Takes note that the weights have been changed by others."""
        for layer in self.layers:
            layer.round_weights()

    def _gather(self) -> None:
        """Of several processes that train as one, each gets the factors of all; their gradient is the mean."""
        if not self.is_gathered:
            for layer in self.layers:
                grad, inputs = map(gathered, layer.last)
                layer.last = grad / world(), inputs
            self.is_gathered = True

    def state_dict(self) -> dict:
        """What later steps depend on besides the network's parameters."""
        past = [{saved: getattr(layer, name) for name, saved in PAST.items()} for layer in self.layers]
        return {"rest": self.rest.state_dict(), "past": past}

    def load_state_dict(self, state: dict) -> None:
        """Takes back what `state_dict` gave, after the network took back its parameters."""
        self.rest.load_state_dict(state["rest"])
        for layer, past in zip(self.layers, state["past"], strict=True):
            layer.drop_pending()
            for name, saved in PAST.items():
                setattr(layer, name, past[saved])
