"""Train and evaluation transforms as values that a checkpoint can store, and their work on whole batches.

Every photo arrives as a 256 x 256 square with its aspect ratio (see `images.to_square`). A transform chooses
a window in the photo (centre, size, rotation, mirror), one `grid_sample` cuts all windows of a batch at once
and undoes the squeeze, and colours are changed after. Chance is drawn on the CPU, so that a GPU shows the same; the
rest is computed where the squares lie.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flowers_core.images import LUMA
from flowers_core.settings.config import TrainConfig

# Principal components of the colours of ImageNet's photos (in units of 0 to 1): columns are the components.
# The 2012 paper, section 4.1, shifts each photo along them; the values are those of its widely used re-computation.
_PCA_VALUES = (0.2175, 0.0188, 0.0045)
_PCA_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))

BLUR = 4
"""Standard deviation of the strongest blur, in pixels of the network's input."""

CHUNK = 8
"""Photos that are cut and coloured together on a CPU: more would not fit its caches. A GPU takes whole batches."""


@dataclass(frozen=True)
class EvalTransform:
    """How a photo becomes the network's input when nothing is left to chance.

    Args:
        size: side of the network's input, pixels.
        window: side of the window as a share of the photo's shorter side (0.875 is 224 of 256).
        views: "centre" takes one window; "ten" takes the centre, four corners and their mirror images, and
            averages the probabilities (the 2012 paper, section 4.1); "scales" takes the centre and its mirror
            image at three window sizes, the largest being the whole shorter side.
        mean, std: per channel, for pixels of 0 to 1.
    """

    size: int = 224
    window: float = 0.875
    views: str = "scales"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class TrainTransform:
    """How a photo is varied before each step. All ranges are drawn for every photo anew.

    Args:
        window_low, window_high: side of the window as a share of the photo's shorter side; above 1 the flower
            gets smaller and the photo's edge is mirrored outward.
        place: where the window may lie: anywhere in the "photo", in its central "square" (the 2012 paper), or at
            its "centre".
        stretch: window's width over height, drawn from 1/(1+stretch) to 1+stretch.
        rotation: degrees to either side.
        mirror: left and right swapped for half of the photos.
        brightness, contrast, saturation: factor drawn from 1-x to 1+x.
        pca_sd: standard deviation of the shift along the colours' principal components (the 2012 paper: 0.1).
        erase: probability that a rectangle of 2 to 20 % of the picture is greyed out.
        blur: probability that the picture is blurred, by a standard deviation of up to BLUR pixels.
    """

    window_low: float = 0.875
    window_high: float = 0.875
    place: str = "photo"
    stretch: float = 0.0
    rotation: float = 0.0
    mirror: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    pca_sd: float = 0.0
    erase: float = 0.0
    blur: float = 0.0


STRENGTHS: dict[str, TrainTransform] = {
    "none": TrainTransform(place="centre", mirror=False),
    "paper": TrainTransform(place="square", pca_sd=0.1),
    "light": TrainTransform(
        window_low=0.7, window_high=1.0, stretch=0.1, rotation=5.0,
        brightness=0.1, contrast=0.1, saturation=0.1,
    ),
    "standard": TrainTransform(
        window_low=0.45, window_high=1.05, stretch=0.2, rotation=15.0,
        brightness=0.25, contrast=0.25, saturation=0.25, pca_sd=0.1,
    ),
    "strong": TrainTransform(
        window_low=0.3, window_high=1.5, stretch=0.3, rotation=40.0,
        brightness=0.5, contrast=0.4, saturation=0.4, pca_sd=0.1, erase=0.2, blur=0.3,
    ),
}  # fmt: skip
"""What "augmentation" means on the page and on the command line."""


def input_transform(config: TrainConfig) -> EvalTransform:
    """What the variant's network expects: ImageNet's normalisation, or for 2012 the mean alone taken off."""
    if config.variant == "2012":
        # The 2012 paper trains on raw values of 0 to 255 minus the mean; its small weights (sd 0.01) count on that.
        return EvalTransform(views=config.views, std=(1 / 255, 1 / 255, 1 / 255))
    return EvalTransform(views=config.views)


def train_batch(
    squares: Tensor,
    aspects: Tensor,
    transform: TrainTransform,
    base: EvalTransform,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """One random variation of each photo, normalised.

    Args:
        squares: (n, 256, 256, 3) uint8, as the cache holds them.
        aspects: (n,) float, width over height of each photo.
        transform: what to vary.
        base: input size and normalisation.
        generator: the only source of chance.
        dtype: of the result; a network that computes in bfloat16 would round it to that anyway (but blur then
            computes in it, too).

    Returns:
        (n, 3, size, size) in channels-last memory.
    """
    n, t = len(squares), transform

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    side = uniform(t.window_low, t.window_high)
    stretch = torch.exp(uniform(-1.0, 1.0) * torch.log1p(torch.tensor(t.stretch)))
    width, height = side * stretch.sqrt(), side / stretch.sqrt()
    angle = torch.deg2rad(uniform(-t.rotation, t.rotation))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if t.mirror else torch.ones(n)
    reach_x, reach_y = reach(aspects)
    room_x, room_y = {"photo": (reach_x, reach_y), "square": (1.0, 1.0), "centre": (0.0, 0.0)}[t.place]
    # The centre moves as far as the window stays inside; a window larger than its room stays centred.
    centre_x = uniform(-1, 1) * (room_x - width).clamp(min=0) / reach_x
    centre_y = uniform(-1, 1) * (room_y - height).clamp(min=0) / reach_y
    jitter = None
    if t.brightness or t.contrast or t.saturation:
        jitter = [uniform(1 - x, 1 + x) for x in (t.brightness, t.contrast, t.saturation)]
    shift = torch.zeros(n, 3)
    if t.pca_sd:
        strength = t.pca_sd * torch.randn(n, 3, generator=generator) * torch.tensor(_PCA_VALUES)
        shift = strength @ torch.tensor(_PCA_VECTORS).T
    window = width * mirror, height, centre_x, centre_y, angle
    images = _room(n, base, dtype, squares.device)
    _see(squares, aspects, window, base, images, shift, jitter)
    if t.blur:
        _blur(images, t.blur, generator)
    if t.erase:
        _erase(images, t.erase, generator)
    return images


def mixup(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blends each photo, or what convolutions saw in it, with another of the batch, and their targets alike
    (Zhang et al. 2018, mixup)."""
    # Beta(alpha, alpha) from two gammas; torch's distributions take no generator, so the seed goes through numpy.
    seed = int(torch.randint(2**31, (1,), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(images))).float()
    other = torch.randperm(len(images), generator=generator)
    images = images.lerp(images[other], share.to(images).view(-1, *[1] * (images.dim() - 1)))
    if images.dim() == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, targets.lerp(targets[other], share[:, None])


def eval_views(squares: Tensor, aspects: Tensor, transform: EvalTransform, only: int | None = None) -> list[Tensor]:
    """The views of each photo, whose probabilities are averaged, or only one of them: a list of (n, 3, size, size)
    float32."""
    stack = stacked_views(squares, aspects, transform, torch.float32, only)
    views = len(view_windows(transform)) if only is None else 1
    return list(stack.unflatten(0, (views, len(squares))).unbind())


def stacked_views(
    squares: Tensor, aspects: Tensor, transform: EvalTransform, dtype: torch.dtype, only: int | None = None
) -> Tensor:
    """The same as one tensor (views * n, 3, size, size) of that type: the first view of all photos, then the second."""
    windows, zero = placed_windows(aspects, transform), torch.zeros(len(squares))
    windows = windows if only is None else windows[only : only + 1]
    stack = _room(len(windows) * len(squares), transform, dtype, squares.device)
    for window, out in zip(windows, stack.unflatten(0, (len(windows), len(squares))), strict=True):
        _see(squares, aspects, (*window, zero), transform, out)
    return stack


def placed_windows(aspects: Tensor, transform: EvalTransform) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Where each view lies in each photo: width, height, centre_x and centre_y as `cut` takes them, each (n,)."""
    full = torch.ones_like(aspects)
    reach_x, reach_y = reach(aspects)
    found = []
    for window, x, y, mirror in view_windows(transform):
        side = full * window
        centre_x, centre_y = x * (1 - side / reach_x).clamp(min=0), y * (1 - side / reach_y).clamp(min=0)
        found.append((side * mirror, side, centre_x, centre_y))
    return found


def cut(
    squares: Tensor,
    aspects: Tensor,
    width: Tensor,
    height: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
    angle: Tensor,
    size: int,
) -> Tensor:
    """Cuts one turned window out of each photo and undoes the square's squeeze.

    Args:
        squares: (n, 256, 256, 3) uint8, on any device.
        aspects: (n,) width over height.
        width, height: (n,) the window's sides as a share of the photo's shorter side; negative mirrors.
        centre_x, centre_y: (n,) from -1 (left, top) to 1 (right, bottom) of the photo.
        angle: (n,) radians.
        size: side of the result in pixels.

    Returns:
        (n, 3, size, size) float32 from 0 to 1; outside of the photo its edge is mirrored.
    """
    return _cut(squares, aspects, (width, height, centre_x, centre_y, angle), size).div_(255.0)


def _cut(squares: Tensor, aspects: Tensor, window: tuple[Tensor, ...], size: int) -> Tensor:
    """The same from 0 to 255, for whoever scales it anyway."""
    device = squares.device
    aspects = aspects.to(device, non_blocking=True)
    width, height, centre_x, centre_y, angle = (values.to(device, non_blocking=True) for values in window)
    reach_x, reach_y = reach(aspects)
    cos, sin = torch.cos(angle), torch.sin(angle)
    middles = (torch.arange(size, device=device) * 2 + 1) / size - 1
    grid = torch.empty(len(squares), size, size, 2, device=device)
    # The affine map of each pixel's middle: what depends on its column, plus what depends on its row.
    for axis, along, across, centre in (
        (0, cos * width / reach_x, -sin * height / reach_x, centre_x),
        (1, sin * width / reach_y, cos * height / reach_y, centre_y),
    ):
        columns, rows = along[:, None] * middles, across[:, None] * middles + centre[:, None]
        torch.add(columns[:, None, :], rows[:, :, None], out=grid[..., axis])
    # Channels-last input: grid_sample on the CPU is twice as fast on it.
    pixels = squares.permute(0, 3, 1, 2).float()
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def denormalise(images: Tensor, transform: EvalTransform) -> Tensor:
    """What the network sees, as a person would: (n, size, size, 3) uint8."""
    mean = torch.tensor(transform.mean)[:, None, None]
    std = torch.tensor(transform.std)[:, None, None]
    return (images * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)


def reach(aspects: Tensor) -> tuple[Tensor, Tensor]:
    """The photo's width and height in units of its shorter side."""
    return aspects.clamp(min=1.0), (1.0 / aspects).clamp(min=1.0)


def view_windows(transform: EvalTransform) -> list[tuple[float, float, float, float]]:
    """(window, x, y, mirror) of every view."""
    window = transform.window
    if transform.views == "centre":
        return [(window, 0, 0, 1)]
    if transform.views == "ten":
        places = [(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)]
        return [(window, x, y, mirror) for x, y in places for mirror in (1, -1)]
    return [(w, 0, 0, mirror) for w in (window * 0.8, window, 1.0) for mirror in (1, -1)]


def _room(photos: int, base: EvalTransform, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.empty(photos, 3, base.size, base.size, dtype=dtype, device=device, memory_format=torch.channels_last)


def _see(
    squares: Tensor,
    aspects: Tensor,
    window: tuple[Tensor, ...],
    base: EvalTransform,
    out: Tensor,
    shift: Tensor | None = None,
    jitter: list[Tensor] | None = None,
) -> None:
    """One window of each photo with its colours changed, normalised.

    Args:
        squares, aspects: the photos.
        window: width, height, centre_x, centre_y and angle as `cut` takes them.
        base: input size and normalisation.
        out: (n, 3, size, size) of any type, where the result goes.
        shift: (n, 3) what is added to each channel in the end, for pixels of 0 to 1; None changes no colours.
        jitter: (n,) factors of brightness, then of contrast around the picture's mean grey, then of saturation around
            each pixel's grey.
    """
    n, device = len(squares), squares.device
    if shift is not None:
        shift = shift.to(device, non_blocking=True)
        jitter = jitter and [values.to(device, non_blocking=True) for values in jitter]
    chunk = CHUNK if device.type == "cpu" else max(1, n)
    for part in (slice(start, start + chunk) for start in range(0, n, chunk)):
        images = _cut(squares[part], aspects[part], tuple(values[part] for values in window), base.size)
        if shift is None:
            images = _scaled(images, base)
        else:
            images = _coloured(images, base, shift[part], jitter and [values[part] for values in jitter])
        out[part].copy_(images)


def _scaled(images: Tensor, base: EvalTransform) -> Tensor:
    """Pixels of 0 to 255, normalised."""
    mean, std = (_row(values, images.device)[:, None, None] for values in (base.mean, base.std))
    return torch.addcmul(-mean / std, images, 1 / (255 * std), out=images)


def _coloured(images: Tensor, base: EvalTransform, shift: Tensor, jitter: list[Tensor] | None) -> Tensor:
    """Pixels of 0 to 255 with their colours changed, normalised, in as few passes over memory as can be.

    All changes together are, for each picture, a factor, a share of each pixel's grey, and a constant.
    """
    mean, std = _row(base.mean, images.device), _row(base.std, images.device)

    def each(values: Tensor) -> Tensor:
        return values[:, :, None, None]

    constant, factor = shift - mean, (1 / (255 * std))[None]
    if jitter is None:
        images = torch.addcmul(each(constant / std), images, each(factor))
    else:
        brightness, contrast, saturation = (values[:, None] for values in jitter)
        grey = (_row(LUMA, images.device) @ images.flatten(2)).view(len(images), 1, *images.shape[2:])
        constant = constant + (1 - contrast) * brightness * grey.mean((2, 3)) / 255
        factor = brightness * contrast * factor
        images = torch.addcmul(each(constant / std), images, each(factor * saturation))
        images.addcmul_(grey, each(factor * (1 - saturation)))
    torch.maximum(images, (-mean / std)[:, None, None], out=images)
    return torch.minimum(images, ((1 - mean) / std)[:, None, None], out=images)


@cache
def _row(values: tuple[float, ...], device: torch.device) -> Tensor:
    """These numbers on that device: each copy to a GPU waits for it. Not to be changed."""
    return torch.tensor(values, device=device)


def _blur(images: Tensor, probability: float, generator: torch.Generator) -> None:
    """Blurs some pictures, in place: cameras miss the focus, and hands shake. Each is shrunk and enlarged again, which
    costs a tenth of a Gaussian; by a factor of f it blurs like one with a standard deviation of f / 2."""
    draws = torch.rand(len(images), 2, generator=generator).tolist()
    for image, (chance, share) in zip(images, draws, strict=True):
        if chance < probability:
            side = round(image.shape[1] / (1 + (2 * BLUR - 1) * share))
            small = functional.interpolate(image[None], size=(side, side), mode="area")
            image.copy_(functional.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0])


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> None:
    """Greys out a rectangle in some pictures, in place, so that no single petal decides (Zhong et al. 2017)."""
    n, _, size, _ = images.shape
    draws = torch.rand(n, 5, generator=generator).tolist()
    for image, (chance, area, shape, x, y) in zip(images, draws, strict=True):
        if chance < probability:
            side = (0.02 + 0.18 * area) ** 0.5
            shape = 0.5 * 4.0**shape
            width, height = min(size, int(size * side * shape**0.5)), min(size, int(size * side / shape**0.5))
            left, top = int(x * (size - width)), int(y * (size - height))
            image[:, top : top + height, left : left + width] = 0.0
