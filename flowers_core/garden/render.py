"""From meshes to pixels: light, projection, painting back to front, and shade from the depth of what was painted."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flowers_core.garden.mesh import Mesh, cross

NEAREST, FARTHEST = 255, 30  # depths in the fourth channel; 0 means that nothing was painted
DEPTH_RANGE = 0.9  # picture units between them
DISTANCE = 3.0  # picture units from the viewer to the origin
MARGIN = 0.08  # picture units; no quad is larger
SHADOW_CELL = 0.024  # picture units
SKYLIGHT = np.array([0.99, 0.99, 1.02])


@dataclass(frozen=True)
class Light:
    """One sun and a sky.

    direction: unit vector towards the sun; warmth: RGB factors of sunlight around 1; strength: sun against sky,
    0 (overcast) .. 1 (noon); exposure: brightness of the whole picture around 1.
    """

    direction: np.ndarray
    warmth: np.ndarray
    strength: float
    exposure: float


def shade(mesh: Mesh, normal: np.ndarray, shadow: np.ndarray, light: Light) -> np.ndarray:
    """Colours (n, 3) of the quads as the viewer sees them.

    normal: (n, 3) unit vectors; shadow: (n,) share of the sun that something else takes, 0..1.
    """
    normal = normal * np.where(normal[:, 2:] < 0, -1.0, 1.0)
    towards_sun = normal @ light.direction
    lit = np.maximum(towards_sun + 0.2, 0) / 1.2
    through = np.maximum(-towards_sun, 0) * mesh.glow
    sky = 0.74 + 0.13 * (1 + normal[:, 1])
    ambient = (0.76 - 0.32 * light.strength) * (sky + 0.12 * mesh.glow) + 0.1 * normal[:, 2]
    sun = light.strength * (0.8 * lit + 0.65 * through) * (1 - 0.7 * shadow)
    light_on = ambient[:, None] * SKYLIGHT + sun[:, None] * light.warmth
    # light that bounced between petals has taken on their colour: shade is more saturated, not only darker
    bounced = 0.5 * np.clip(1 - light_on, 0, 1)
    colour = 255 * (mesh.colour / 255) ** (1 + bounced) * light_on
    half = light.direction + np.array([0.0, 0.0, 1.0])
    shine = np.maximum(normal @ (half / np.linalg.norm(half)), 0) ** 24 * mesh.gloss
    return np.clip(colour + (shine * (80 + 120 * light.strength))[:, None] * light.warmth, 0, 255)


def cast_shadow(corners: np.ndarray, asked: np.ndarray, normal: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """How much of the sun some quads miss behind others, in 0..1: a shadow map with soft edges.

    corners: (n, 4, 3), of the quads; asked: (n,) whether the answer is wanted for a quad; normal: (k, 3), of those
    that are; one value for each of them.
    """
    side = np.cross(direction, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    to_light = np.stack([side, np.cross(direction, side), direction], axis=1)
    centre = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) / 4
    # corners stop the light too: centres alone would leave holes between large quads
    x, y, nearness = (np.concatenate([centre, corners[:, 0], corners[:, 2]]) @ (to_light / SHADOW_CELL)).T
    x, y = x - x.min() + 2, y - y.min() + 2
    nearest = np.full((int(y.max()) + 3, int(x.max()) + 3), -np.inf)
    np.maximum.at(nearest, (y.astype(int), x.astype(int)), nearness)
    # the nine cells around each quad, weighted by a quadratic spline, and each compared with the plane in which
    # the quad lies: the cells' edges would show, and slanted petals would shade themselves
    x, y, nearness = (values[: len(centre)][asked] for values in (x, y, nearness))
    column, row = x.astype(int), y.astype(int)
    x, y = x - column - 0.5, y - row - 0.5
    a, b, c = (normal @ to_light).T
    c = np.where(c < 0, np.minimum(c, -0.25), np.maximum(c, 0.25))
    missed = np.zeros(len(x))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            weight = _spline(y, i) * _spline(x, j)
            plane = nearness - (a * (j - x) + b * (i - y)) / c
            behind = nearest[row + i, column + j] - plane
            missed += weight * np.clip((behind - 0.8) / 3, 0, 1)
    return missed


def _spline(offset: np.ndarray, cell: int) -> np.ndarray:
    """Weight of a cell -1, 0 or 1 away for a place -0.5..0.5 from the middle of its own."""
    return 0.75 - offset**2 if cell == 0 else (0.5 + cell * offset) ** 2 / 2


def project(corners: np.ndarray, size: tuple[int, int], unit: float) -> np.ndarray:
    """Whole pixel coordinates (n, 4, 2) on a canvas of this size; the centre of the picture is the origin."""
    xy = corners[..., :2] * (unit / (1 - corners[..., 2:] / DISTANCE))
    return (np.array(size) / 2 + xy * [1, -1] + 0.5).astype(np.int64)


def with_depth(picture: Image.Image) -> Image.Image:
    """The RGB picture as an RGBX canvas with nothing painted yet.

    RGBX and not RGBA, which Pillow multiplies by its fourth channel when it resizes.
    """
    return Image.merge("RGBX", (*picture.split(), Image.new("L", picture.size)))


def paint(canvas: Image.Image, mesh: Mesh, light: Light, unit: float) -> None:
    """Paint the quads back to front on an RGBX canvas whose fourth channel keeps their depth.

    unit: pixels per picture unit (the shorter side).
    """
    corners = mesh.corners
    centre = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) / 4
    normal = cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    half = np.array(canvas.size) / unit / 2 + MARGIN
    in_frame = np.abs(centre[:, :2]) < half * (1 - centre[:, 2:] / DISTANCE)
    seen = in_frame[:, 0] & in_frame[:, 1] & (mesh.face * normal[:, 2] >= 0)
    if not seen.any():
        return
    normal, depth = normal[seen], centre[seen, 2]
    normal /= np.sqrt((normal * normal).sum(axis=1, keepdims=True)) + 1e-12
    shadow = cast_shadow(corners, seen, normal, light.direction)
    colour = shade(mesh.only(seen), normal, shadow, light).round().astype(np.int64)
    level = np.maximum(NEAREST - (depth.max() - depth) / DEPTH_RANGE * (NEAREST - FARTHEST), FARTHEST)
    # Pillow takes a colour as one integer, little end first: much faster than a tuple per quad
    ink = colour[:, 0] | colour[:, 1] << 8 | colour[:, 2] << 16 | level.astype(np.int64) << 24
    ink = ink.astype(np.uint32).view(np.int32)
    # rounding keeps the order, and so the picture, the same where the last bits of a sine differ
    order = np.argsort(depth.round(6), kind="stable")
    # and a polygon as the bytes of floats, a third faster than a list of numbers
    outlines = project(corners[seen][order], canvas.size, unit).reshape(-1, 8).astype(np.float32).view("V32")
    polygon = ImageDraw.Draw(canvas).draw.draw_polygon  # `polygon` without its checks, a third of its time
    for outline, fill in zip(outlines.ravel().tolist(), ink[order].tolist(), strict=True):
        polygon(outline, fill, 1)


def occlusion(depth: np.ndarray, radius: float, strength: float) -> np.ndarray:
    """Factors 0..1 that darken places lying behind their surroundings.

    Unsharp masking of the depth buffer, after Luft, Colditz and Deussen (2006). depth: (h, w) in 0..255.
    """
    near = np.asarray(Image.fromarray(depth).filter(ImageFilter.BoxBlur(radius)), np.float32)
    behind = (near - depth) * (depth >= FARTHEST)
    dark = Image.fromarray((255 * strength * np.clip(behind / 24, 0, 1)).astype(np.uint8))
    # blurred, because at edges depth has steps that the picture hasn't
    return 1 - np.asarray(dark.filter(ImageFilter.BoxBlur(1)), np.float32) / 255
