"""Local response normalisation, the layer that only the first AlexNet has."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = 4
"""Photos that are normalised together on a CPU: more would not fit its caches."""


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + alpha * sum of a_j^2 over the n channels around i)^beta (the 2012 paper, section 3.3).

    The paper's alpha multiplies the sum; PyTorch's divides it by n first. PyTorch's takes four times as long and more,
    and knows no bfloat16 on a CPU. Here the sum over neighbours is a 1 x 1 convolution with a band of ones, so what is
    not finite spoils all channels of its place.

    Raises:
        ValueError: n is even, and no channel is the middle one.
    """

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75):
        super().__init__()
        if n % 2 == 0:
            raise ValueError(f"n must be odd, not {n}")
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def forward(self, activations: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape and type."""
        return _Normalise.apply(activations, self.n, self.k, self.alpha, self.beta)

    def extra_repr(self) -> str:
        return f"n={self.n}, k={self.k}, alpha={self.alpha}, beta={self.beta}"


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, activations: Tensor, n: int, k: float, alpha: float, beta: float) -> Tensor:
        ctx.save_for_backward(activations)
        ctx.constants = n, k, alpha, beta
        out = torch.empty_like(activations)
        for a, b in zip(_chunks(activations), _chunks(out), strict=True):
            torch.mul(a, _power(_base(a, n, k, alpha), -beta).to(a.dtype), out=b)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Of the loss L, with s the base of the power: dL/da_i = g_i / s_i^beta - 2 alpha beta a_i sum_j g_j b_j / s_j,
        over the same neighbours, since neighbours are neighbours both ways."""
        (activations,) = ctx.saved_tensors
        n, k, alpha, beta = ctx.constants
        out = torch.empty_like(activations)
        for a, g, d in zip(_chunks(activations), _chunks(slopes), _chunks(out), strict=True):
            base = _base(a, n, k, alpha)
            direct = _power(base, -beta).mul_(g)
            around = _sum_of_neighbours((direct * a).div_(base).to(a.dtype), n)
            d.copy_(direct.sub_(a * around, alpha=2 * alpha * beta))
        return out, None, None, None, None


def _base(activations: Tensor, n: int, k: float, alpha: float) -> Tensor:
    """What is raised to the power, in float32 at least; a GPU adds up in TF32."""
    if activations.dtype == torch.float16:  # squares would overflow from 256 on
        activations = activations.float()
    sums = _sum_of_neighbours(activations.square(), n)
    return sums.to(torch.promote_types(sums.dtype, torch.float32)).mul_(alpha).add_(k)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Three times as fast as torch's; the base is greater than 0."""
    return base.log().mul_(exponent).exp_()


def _sum_of_neighbours(values: Tensor, n: int) -> Tensor:
    """Over the n channels around each one, at the edges over those that there are."""
    places = torch.arange(values.shape[1], device=values.device)
    band = ((places[:, None] - places).abs() <= n // 2).to(values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        return nn.functional.conv2d(values, band[:, :, None, None])


def _chunks(values: Tensor) -> tuple[Tensor, ...]:
    return values.split(CHUNK) if values.device.type == "cpu" else (values,)
