"""Photos changed as cameras and hands change them: moved, turned, scaled, mirrored, badly lit, blurred."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from flowers_core.images import SIDE, decode, from_square, to_jpeg, to_square


@dataclass(frozen=True)
class Disturbance:
    """What is done to a photo, in the order of the fields; the defaults do nothing.

    Args:
        mirror: left and right swapped.
        turn: degrees clockwise.
        scale: the flower's size as a factor; below 1 more of its surroundings show.
        move_x, move_y: to the right and down, as a share of the photo's width and height.
        exposure: stops; each one more doubles the light.
        blur: standard deviation of a Gaussian, in pixels of a photo whose shorter side has 256.
        jpeg: quality from 1 to 95 that the photo, its shorter side 256 pixels, is saved with; 0 leaves it unsaved.
    """

    mirror: bool = False
    turn: float = 0.0
    scale: float = 1.0
    move_x: float = 0.0
    move_y: float = 0.0
    exposure: float = 0.0
    blur: float = 0.0
    jpeg: int = 0

    @property
    def is_geometric(self) -> bool:
        """Does it change where things are?"""
        return any(getattr(self, name) != getattr(AS_IT_IS, name) for name in _GEOMETRY)


AS_IT_IS = Disturbance()

CHUNK = 8
"""Photos that are moved at once: a whole batch in floating point would take hundreds of megabytes."""

_GEOMETRY = ("mirror", "turn", "scale", "move_x", "move_y")


def disturb(squares: np.ndarray, aspects: np.ndarray, disturbances: Sequence[Disturbance]) -> np.ndarray:
    """Changes each photo in its own way. It keeps its shape: what comes in from outside is its mirrored edge.

    Args:
        squares: (n, 256, 256, 3) uint8, from `images.to_square`.
        aspects: (n,) width over height.
        disturbances: one for each photo.

    Returns:
        (n, 256, 256, 3) uint8; photos with nothing to do come back bit for bit.
    """
    result = np.array(squares)
    moved = [i for i, disturbance in enumerate(disturbances) if disturbance.is_geometric]
    for fine in (False, True):  # apart, so that no photo's result depends on what else is in the batch
        group = [i for i in moved if (disturbances[i].scale < 1) == fine]
        for start in range(0, len(group), CHUNK):
            rows = group[start : start + CHUNK]
            result[rows] = _placed(result[rows], np.asarray(aspects)[rows], [disturbances[i] for i in rows], fine)
    for i, disturbance in enumerate(disturbances):
        if disturbance.exposure:
            result[i] = _exposed(disturbance.exposure)[result[i]]
        if disturbance.blur:
            result[i] = _blurred(result[i], float(aspects[i]), disturbance.blur)
        if disturbance.jpeg:
            result[i] = _saved(result[i], float(aspects[i]), disturbance.jpeg)
    return result


def _placed(squares: np.ndarray, aspects: np.ndarray, disturbances: list[Disturbance], fine: bool) -> np.ndarray:
    """Mirrored, turned, scaled and moved. `fine`: averages four samples per pixel, or shrunk detail would flicker."""

    import torch  # only here: pages show what can be disturbed before anything is

    from flowers_core.images.augment import cut, reach

    def each(name: str) -> "torch.Tensor":
        return torch.tensor([float(getattr(disturbance, name)) for disturbance in disturbances])

    shapes = torch.from_numpy(np.asarray(aspects, np.float32))
    reach_x, reach_y = reach(shapes)
    # `cut` maps a place in the result to one in the photo, so everything is undone, the last change first.
    flip, angle = 1 - 2 * each("mirror"), -torch.deg2rad(each("turn"))
    width, height = reach_x / each("scale"), reach_y / each("scale")
    back_x, back_y = -2 * each("move_x") * width, -2 * each("move_y") * height
    centre_x = (torch.cos(angle) * back_x - torch.sin(angle) * back_y) * flip / reach_x
    centre_y = (torch.sin(angle) * back_x + torch.cos(angle) * back_y) / reach_y
    pixels = torch.from_numpy(np.require(squares, requirements="W"))
    images = cut(pixels, shapes, width * flip, height, centre_x, centre_y, angle * flip, 2 * SIDE if fine else SIDE)
    if fine:
        images = torch.nn.functional.avg_pool2d(images, 2)
    return images.mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _exposed(stops: float) -> np.ndarray:
    """(256,) uint8: what becomes of each value. Light is linear, sRGB's values are not (IEC 61966-2-1)."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.minimum(light * 2.0**stops, 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(value * 255).astype(np.uint8)


def _blurred(square: np.ndarray, aspect: float, sd: float) -> np.ndarray:
    """The square is squeezed along the photo's longer side, and so is the blur."""
    spread = (sd / max(1.0, aspect), sd * min(1.0, aspect))
    return np.asarray(Image.fromarray(square).filter(ImageFilter.GaussianBlur(spread)))


def _saved(square: np.ndarray, aspect: float, quality: int) -> np.ndarray:
    longest = round(SIDE * max(aspect, 1 / aspect))
    return to_square(decode(to_jpeg(from_square(square, aspect, longest), quality)))
