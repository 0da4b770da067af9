"""Curved surfaces of which every plant is built: petals, tubes, threads and grains, as coloured quads in space.

Axes: x to the right, y up, z towards the viewer. A flower head is built facing +z around the origin with a radius
of about 1, then turned and placed. Random numbers are drawn per petal, never per quad, so a plant keeps its
shape at every level of detail.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

COLUMNS = ("corners", "colour", "gloss", "glow", "face")
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)


@dataclass(frozen=True)
class Mesh:
    """Quads. corners: (n, 4, 3); colour: (n, 3) in 0..255; gloss, glow and face: (n,).

    gloss: strength of highlights, 0..1. glow: share of light that passes from behind, 0..1.
    face: 0 where both sides can be seen; 1 or -1 for the walls of a solid, seen only while the normal, or its
    opposite, points to the viewer (corners counter-clockwise: 1).
    """

    corners: np.ndarray
    colour: np.ndarray
    gloss: np.ndarray
    glow: np.ndarray
    face: np.ndarray

    def scaled(self, factor: float) -> "Mesh":
        return replace(self, corners=self.corners * factor)

    def moved(self, offset) -> "Mesh":
        return replace(self, corners=self.corners + np.asarray(offset, float))

    def turned(self, matrix: np.ndarray) -> "Mesh":
        return replace(self, corners=self.corners @ matrix.T)

    def only(self, chosen: np.ndarray) -> "Mesh":
        return Mesh(*(getattr(self, name)[chosen] for name in COLUMNS))

    def mirrored(self) -> "Mesh":
        return replace(self, corners=self.corners * [-1, 1, 1], face=-self.face)

    def tinted(self, factor) -> "Mesh":
        return replace(self, colour=np.clip(self.colour * factor, 0, 255))


def merge(meshes: list[Mesh]) -> Mesh:
    return Mesh(*(np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in COLUMNS))


def turn(axis: str, degrees: float) -> np.ndarray:
    """The 3x3 rotation about "x", "y" or "z", counter-clockwise seen from the axis' tip."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis])


def facing(direction) -> np.ndarray:
    """A rotation that turns +z into this direction and keeps +y as far up as it can."""
    # plain floats: numpy would spend ten times as long on three numbers
    x, y, z = (float(c) for c in direction)
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    across = math.hypot(x, z)
    if across < 1e-6:
        return turn("x", -90 if y > 0 else 90)
    a, b = z / across, -x / across
    return np.array([[a, b * y, x], [0, z * a - x * b, y], [b, -a * y, z]])


def rgb(colour: str) -> np.ndarray:
    """ "#rrggbb" as three floats in 0..255."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)


def ramp(t: np.ndarray, colours) -> np.ndarray:
    """Colours spread evenly over 0..1, looked up at t: shape t.shape + (3,)."""
    table = np.array([rgb(c) if isinstance(c, str) else c for c in colours])
    knots = np.linspace(0, 1, len(table))
    return np.stack([np.interp(t, knots, table[:, i]) for i in range(3)], axis=-1)


def smooth(t: np.ndarray, low: float, high: float) -> np.ndarray:
    """The smoothstep from 0 at `low` to 1 at `high`."""
    t = np.clip((t - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product of vectors (n, 3), several times as fast as numpy's."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    u, v, w = b[:, 0], b[:, 1], b[:, 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)


def grid(points: np.ndarray, colour: np.ndarray, gloss: float = 0.1, glow: float = 0.3, face: int = 0) -> Mesh:
    """Quads between the points of k grids: points (k, rows, columns, 3), colour the same at the points.

    face: as in Mesh, 1 where rows x columns is the outward direction.
    """
    corners = np.stack(
        [points[:, :-1, :-1], points[:, 1:, :-1], points[:, 1:, 1:], points[:, :-1, 1:]], axis=3
    ).reshape(-1, 4, 3)
    middle = (colour[:, :-1, :-1] + colour[:, 1:, :-1] + colour[:, 1:, 1:] + colour[:, :-1, 1:]) / 4
    n = len(corners)
    return Mesh(corners, middle.reshape(n, 3), np.full(n, gloss), np.full(n, glow), np.full(n, face))


def tube(path, radius, colours, *, sides: int = 6, gloss: float = 0.1, glow: float = 0.0) -> Mesh:
    """A round stem along `path` (rows, 3) with a radius per row (or one), coloured along its length."""
    path = np.asarray(path, float)
    radius = np.broadcast_to(np.asarray(radius, float), len(path))
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    helper = np.where(np.abs(along[:, 2:]) < 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    e1 = cross(helper, along)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True) + 1e-12
    e2 = cross(along, e1)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.cos(angle)[None, :, None] * e1[:, None] + np.sin(angle)[None, :, None] * e2[:, None]
    points = path[:, None] + ring * radius[:, None, None]
    colour = np.broadcast_to(ramp(np.linspace(0, 1, len(path)), colours)[:, None], points.shape)
    return grid(points[None], colour[None], gloss, glow, face=-1)


def bezier(start, control, end, rows: int = 7) -> np.ndarray:
    """Points of a quadratic curve, (rows, 3)."""
    t = np.linspace(0, 1, rows)[:, None]
    start, control, end = (np.asarray(p, float) for p in (start, control, end))
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end


def threads(roots: np.ndarray, tips: np.ndarray, colours, *, width: float, bend=0.0, rows: int = 3) -> Mesh:
    """Filaments as flat ribbons from roots (k, 3) to tips (k, 3), coloured along their length.

    bend: an offset of the middle, broadcastable to (k, 3).
    """
    t = np.linspace(0, 1, rows + 1)[None, :, None]
    path = roots[:, None] * (1 - t) + tips[:, None] * t + 4 * t * (1 - t) * np.broadcast_to(bend, roots.shape)[:, None]
    along = tips - roots
    side = cross(along, np.broadcast_to([0.25, 0.1, 1.0], along.shape))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-12
    half = side[:, None] * (width / 2) * (1 - 0.4 * t)
    points = np.stack([path - half, path + half], axis=2)
    colour = np.broadcast_to(ramp(t[:, :, 0], colours)[:, :, None], points.shape)
    return grid(points, colour, 0.1, 0.5)


def grains(
    centres: np.ndarray, size, colour: np.ndarray, *, direction=(0.0, 0.0, 1.0), detail=100.0, gloss=0.15
) -> Mesh:
    """Small domed beads (anthers, disc florets, seeds) around centres (k, 3).

    Each has four sloping facets, or is one flat square where it measures about a pixel.
    direction: the beads' outward axis, broadcastable to (k, 3); detail: pixels per unit of size.
    """
    out = np.broadcast_to(np.asarray(direction, float), centres.shape)
    out = out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)
    e1 = cross(out, np.broadcast_to([0.31, 0.95, 0.05], out.shape))
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True) + 1e-12
    e2 = cross(out, e1)
    size = np.broadcast_to(np.asarray(size, float), len(centres))[:, None]
    colour = np.broadcast_to(colour, centres.shape)
    if size.mean() * detail < 1.6:
        flat = np.stack([centres + size * e for e in (e1, e2, -e1, -e2)], axis=1)
        return Mesh(flat, colour, np.full(len(flat), gloss), np.zeros(len(flat)), np.zeros(len(flat)))
    rim = [centres + size * (np.cos(a) * e1 + np.sin(a) * e2) for a in np.arange(8) * np.pi / 4 + 0.3]
    top = centres + out * size * 0.8
    corners = np.stack([np.stack([top, rim[i], rim[i + 1], rim[(i + 2) % 8]], axis=1) for i in (0, 2, 4, 6)], axis=1)
    n = 4 * len(centres)
    colour = np.repeat(colour, 4, axis=0)
    return Mesh(corners.reshape(n, 4, 3), colour, np.full(n, gloss), np.zeros(n), np.ones(n))


def spiral(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Angle (radians) and distance (0..1) of each seed of a sunflower, after Vogel (1979)."""
    i = np.arange(count)
    return i * GOLDEN_ANGLE, np.sqrt((i + 0.5) / count)
