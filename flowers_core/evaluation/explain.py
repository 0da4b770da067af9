"""Why a network gave its answer: where it looked, and what happens to the answer when a part of the photo is hidden."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from flowers_core.evaluation.predict import Classifier
from flowers_core.images import LUMA, SIDE, from_square
from flowers_core.images.augment import eval_views, placed_windows, reach
from flowers_core.network.alexnet import AlexNet

PATCH = 0.25
"""Side of the patch that hides a part, as a share of the photo's shorter side."""

PLACES = 9
"""Places of the patch along each side of what the network sees."""

LEAST_DROP = 0.05
"""Of probability, for `occlusion`: below, no single part matters, and the map stays dim instead of being stretched."""

BATCH = 16

_COLOURS = np.array(
    [[26, 10, 60], [90, 20, 110], [180, 50, 90], [240, 110, 50], [255, 190, 60], [255, 245, 170]], np.float32
)
"""From cold to hot, for photos in any colour: lightness grows with heat, so that it reads without colours too."""


@dataclass(frozen=True)
class HeatMap:
    """Heat over a photo's square (see `images.to_square`).

    Args:
        values: (256, 256) float32, from 0 to 1 where it is hottest; all 0 when nothing speaks for the answer, and
            less than 1 everywhere when a part's hiding costs less than LEAST_DROP.
        seen: (256, 256) bool, whether the network looks there at all.
        peak: what the hottest stands for: for `occlusion` the drop in probability, for `grad_cam` what a place adds to
            the logit.
    """

    values: np.ndarray
    seen: np.ndarray
    peak: float


def grad_cam(classifier: Classifier, square: np.ndarray, aspect: float, label: int) -> HeatMap:
    """Where the last convolution found what speaks for a class: the mean over the views that the answer is made of.

    Selvaraju et al. 2017, Grad-CAM, with the gradient of each place in place of its mean over a map: Draelos and Carin
    2020, HiResCAM. What speaks against the class is left out. A mean gradient would not see the second
    reader's half: raising a whole map leaves its standard deviation as it was.

    Args:
        classifier: the model.
        square: (256, 256, 3) uint8.
        aspect: width over height of the photo.
        label: index of the class to explain.
    """
    network = classifier.network
    photo, shape = torch.from_numpy(np.array(square[None])), torch.tensor([aspect], dtype=torch.float32)
    images = torch.cat(eval_views(photo, shape, classifier.transform)).to(classifier.device, classifier.dtype)
    heat = evidence(network, images, label).clamp(min=0).cpu()
    first, stride = cell_centres(network.features[: network.convolving])
    total, weights_there = torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for view, window in zip(heat, placed_windows(shape, classifier.transform), strict=True):
        placed, weight = _lay_over(view, shape, window, first, stride, classifier.transform.size)
        total += weight * placed
        weights_there += weight
    return _heat_map((total / weights_there.clamp(min=1e-9)).numpy(), (weights_there > 0).numpy())


def evidence(network: AlexNet, images: Tensor, label: int) -> Tensor:
    """What each place of the last convolution's maps adds to a class's logit, by all paths from there: its activations
    times the logit's gradient with respect to them.

    Args:
        network: what answers, with its second reader where it has one.
        images: normalised, (batch, 3, 224, 224).
        label: index of the class.

    Returns:
        (batch, height, width) float32, negative where it speaks against the class.
    """
    with torch.no_grad():
        maps = network.feature_maps(images)
    with torch.enable_grad():
        last = maps[-1].requires_grad_(True)
        logits, _ = network.logits_from(maps)
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), last)
    # A map of zeros adds nothing, but the square root of its mean has no gradient there.
    return (gradient.float() * last.detach().float()).nan_to_num(0, 0, 0).sum(1)


def occlusion(
    classifier: Classifier,
    square: np.ndarray,
    aspect: float,
    label: int,
    progress: Callable[[int, int], None] | None = None,
) -> HeatMap:
    """How much the probability of a class falls when a grey patch hides a place (Zeiler and Fergus 2014, section 4.2).

    Args:
        classifier: the model.
        square: (256, 256, 3) uint8.
        aspect: width over height of the photo.
        label: index of the class.
        progress: told how many of how many places are done.
    """
    shape = torch.tensor([aspect], dtype=torch.float32)
    left, top, right, bottom = seen_box(classifier, aspect)
    width, height = (PATCH * SIDE / float(side) for side in reach(shape))
    grey = np.round(np.array(classifier.transform.mean) * 255).astype(np.uint8)
    corners = [
        (round(x), round(y))
        for y in np.linspace(top * SIDE, max(top * SIDE, bottom * SIDE - height), PLACES)
        for x in np.linspace(left * SIDE, max(left * SIDE, right * SIDE - width), PLACES)
    ]
    before = float(classifier.probabilities(square[None], np.array([aspect]))[0, label])
    total, covered = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for start in range(0, len(corners), BATCH):
        if progress:
            progress(start, len(corners))
        some = corners[start : start + BATCH]
        hidden = np.repeat(square[None], len(some), 0)
        areas = [np.s_[y : y + round(height), x : x + round(width)] for x, y in some]
        for picture, area in zip(hidden, areas, strict=True):
            picture[area] = grey
        after = classifier.probabilities(hidden, np.full(len(some), aspect))[:, label]
        for area, probability in zip(areas, after, strict=True):
            total[area] += before - probability
            covered[area] += 1
    if progress:
        progress(len(corners), len(corners))
    drop = np.maximum(total / np.maximum(covered, 1), 0).astype(np.float32)
    return _heat_map(drop, _box_mask(left, top, right, bottom), LEAST_DROP)


def seen_box(classifier: Classifier, aspect: float) -> tuple[float, float, float, float]:
    """The part of a photo that the network's views cover: left, top, right, bottom as shares of width and height."""
    shape = torch.tensor([aspect], dtype=torch.float32)
    reach_x, reach_y = (float(side) for side in reach(shape))
    sides = []
    for width, height, x, y in placed_windows(shape, classifier.transform):
        half_x, half_y = abs(float(width)) / reach_x, float(height) / reach_y
        sides.append((float(x) - half_x, float(y) - half_y, float(x) + half_x, float(y) + half_y))
    low, high = np.min(sides, axis=0), np.max(sides, axis=0)
    left, top, right, bottom = (min(1.0, max(0.0, (edge + 1) / 2)) for edge in (*low[:2], *high[2:]))
    return left, top, right, bottom


def cell_centres(layers: nn.Sequential) -> tuple[float, float]:
    """Where the cells of the last layer's maps lie in the input: the first one's centre and their distance, pixels.

    The maps don't fill the picture: stretched to its size they would be off by up to a cell's half.
    """
    first, stride = 0.5, 1.0
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, step, padding = (
                value[0] if isinstance(value, tuple) else value
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            first += ((kernel - 1) / 2 - padding) * stride
            stride *= step
    return first, stride


def overlay(square: np.ndarray, aspect: float, heat: HeatMap, longest: int = 512) -> Image.Image:
    """The photo in its own shape with the heat laid over it, and what the network doesn't look at darkened."""
    strength = np.clip(heat.values, 0, 1)[..., None]
    step = strength[..., 0] * (len(_COLOURS) - 1)
    low = np.minimum(step.astype(int), len(_COLOURS) - 2)
    share = (step - low)[..., None]
    colours = _COLOURS[low] * (1 - share) + _COLOURS[low + 1] * share
    # A grey photo below: the colours are then the heat's alone.
    grey = square.astype(np.float32) @ np.array(LUMA, np.float32)
    below = 0.75 * grey[..., None] + 0.25 * square
    mixed = below * (1 - 0.75 * strength**0.7) + colours * 0.75 * strength**0.7
    mixed = np.where(heat.seen[..., None], mixed, 0.3 * below)
    return from_square(np.clip(mixed, 0, 255).astype(np.uint8), aspect, longest)


def _lay_over(
    cells: Tensor, aspects: Tensor, window: tuple[Tensor, ...], first: float, stride: float, size: int
) -> tuple[Tensor, Tensor]:
    """One view's cells in the photo's square, and how much they count there: less towards the view's edges, so that no
    seam shows between views, and 0 outside."""
    width, height, centre_x, centre_y = (float(value) for value in window)
    reach_x, reach_y = (float(side) for side in reach(aspects))
    places = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    across, down = (places - centre_x) * reach_x / width, (places - centre_y) * reach_y / height

    def weight(along: Tensor) -> Tensor:
        fades = (1 - along.abs()).clamp(min=0)
        return (fades**2).clamp(min=1e-3) * (along.abs() <= 1)  # at the photo's ends there may be this view alone

    def coordinates(along: Tensor, count: int) -> Tensor:
        cell = ((along + 1) / 2 * size - first) / stride
        return (cell + 0.5) * 2 / count - 1

    x, y = coordinates(across, cells.shape[1]), coordinates(down, cells.shape[0])
    grid = torch.stack([x[None].expand(SIDE, SIDE), y[:, None].expand(SIDE, SIDE)], -1)[None]
    placed = functional.grid_sample(cells[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
    return placed, weight(down)[:, None] * weight(across)[None]


def _box_mask(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[round(top * SIDE) : round(bottom * SIDE), round(left * SIDE) : round(right * SIDE)] = True
    return mask


def _heat_map(values: np.ndarray, seen: np.ndarray, least: float = 0.0) -> HeatMap:
    peak = float(values.max())
    return HeatMap((values / max(peak, least) if peak > 0 else values).astype(np.float32), seen, peak)
