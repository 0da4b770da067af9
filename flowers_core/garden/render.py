"""From meshes to pixels: light, projection, painting back to front, and shade from the depth of what was painted."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .mesh import Mesh, cross

NEAREST, FARTHEST = 255, 30  # depths in the fourth channel; 0 means that nothing was painted
DEPTH_RANGE = 0.9  # picture units between them
DISTANCE = 3.0  # picture units from the viewer to the origin
MARGIN = 0.08  # picture units; no quad is larger
SHADOW_CELL = 0.022  # picture units
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


def cast_shadow(centre: np.ndarray, asked: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """How much of the sun some quads miss behind others, in 0..1: a coarse shadow map.

    centre: (n, 3), of the quads; asked: (n,) whether the answer is wanted for a quad; one value for each that is.
    """
    side = np.cross(direction, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    distance = centre @ direction
    flat = np.stack([centre @ side, centre @ cross(direction[None], side[None])[0]], axis=1) / SHADOW_CELL
    flat -= flat.min(axis=0) - 1
    column, row = flat.astype(int).T
    nearest = np.full((row.max() + 2, column.max() + 2), -np.inf)
    np.maximum.at(nearest, (row, column), distance)
    # blend the four cells around each quad, or their edges would show
    flat, distance = flat[asked] - 0.5, distance[asked]
    column, row = flat.astype(int).T
    x, y = (flat - np.stack([column, row], axis=1)).T
    missed = np.zeros(len(distance))
    for i, j, weight in ((0, 0, (1 - y) * (1 - x)), (0, 1, (1 - y) * x), (1, 0, y * (1 - x)), (1, 1, y * x)):
        behind = (nearest[row + i, column + j] - distance) / SHADOW_CELL
        missed += weight * np.clip((behind - 1.6) / 3, 0, 1)
    return missed


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
    shadow = cast_shadow(centre, seen, light.direction)
    normal, depth = normal[seen], centre[seen, 2]
    normal /= np.sqrt((normal * normal).sum(axis=1, keepdims=True)) + 1e-12
    colour = shade(mesh.only(seen), normal, shadow, light).round().astype(np.int64)
    level = np.maximum(NEAREST - (depth.max() - depth) / DEPTH_RANGE * (NEAREST - FARTHEST), FARTHEST)
    # Pillow takes a colour as one integer, little end first: much faster than a tuple per quad
    ink = colour[:, 0] | colour[:, 1] << 8 | colour[:, 2] << 16 | level.astype(np.int64) << 24
    # rounding keeps the order, and so the picture, the same where the last bits of a sine differ
    order = np.argsort(depth.round(6), kind="stable")
    outlines = project(corners[seen][order], canvas.size, unit).reshape(-1, 8).tolist()
    polygon = ImageDraw.Draw(canvas).polygon
    for outline, fill in zip(outlines, ink[order].tolist(), strict=True):
        polygon(outline, fill)


def occlusion(depth: np.ndarray, radius: float, strength: float) -> np.ndarray:
    """Factors 0..1 that darken places lying behind their surroundings.

    Unsharp masking of the depth buffer, after Luft, Colditz and Deussen (2006). depth: (h, w) in 0..255.
    """
    near = np.asarray(Image.fromarray(depth).filter(ImageFilter.BoxBlur(radius)), np.float32)
    behind = (near - depth) * (depth >= FARTHEST)
    return 1 - strength * np.clip(behind / 24, 0, 1)
