"""Leaves and twigs, typical of the kind."""

import numpy as np

from flowers_core.garden.mesh import Mesh, bezier, facing, grid, merge, ramp, rgb, tube, turn
from flowers_core.garden.petals import Paint, Whorl, whorl

GREENS = (
    ("#2c4a1c", "#3f6628", "#4d7630"),
    ("#3a5c22", "#557c30", "#6a9040"),
    ("#24401e", "#345a2a", "#406a34"),
    ("#4a6a3c", "#648650", "#789a60"),
)

BARK = ("#54443a", "#44362e")

# one blade each, as a petal of length 1
SHAPES = {
    "ovate": Whorl((1, 1), (1, 1), (0.45, 0.6), (0.6, 0.75, 0), (0, 25), (-40, 0), 0.1, fold=0.12, ruffle=0.02),
    "lance": Whorl((1, 1), (1, 1), (0.2, 0.3), (0.6, 0.8, 0), (0, 30), (-50, 0), 0.1, fold=0.15),
    "sword": Whorl((1, 1), (2.2, 3.0), (0.055, 0.08), (0.15, 0.4, 0), (60, 85), (-25, 10), 0.0, fold=0.3),
    "grass": Whorl((1, 1), (1.2, 1.8), (0.04, 0.06), (0.2, 0.6, 0), (50, 80), (-60, 10), 0.0, fold=0.3),
    "paddle": Whorl((1, 1), (1.5, 2.0), (0.28, 0.36), (0.6, 0.6, 0), (30, 70), (-30, 10), 0.05, fold=0.25, ruffle=0.02),
    "lobed": Whorl(
        (1, 1), (1, 1.3), (0.4, 0.5), (0.5, 0.5, 0), (0, 30), (-45, 0), 0.05, fold=0.15, ruffle=0.035, waves=3
    ),
    "round": Whorl((1, 1), (0.9, 1.1), (1.1, 1.3), (0.5, 0.3, 0.1), (0, 25), (-25, 10), 0.1, ruffle=0.03, waves=2),
    "feather": Whorl((1, 1), (0.9, 1.3), (0.05, 0.07), (0.3, 0.6, 0), (30, 75), (-50, 20)),
    "poinsettia": Whorl((1, 1), (1, 1.2), (0.5, 0.6), (0.7, 0.85, 0), (0, 20), (-35, 0), 0.08, fold=0.1),
    "bud": Whorl((1, 1), (0.3, 0.5), (0.3, 0.4), (0.6, 0.75, 0), (30, 60), (-10, 20), 0.2),
}

COMMON = ("ovate", "lance", "grass", "heart", "lobed")


def green(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    tone = rng.normal(1, 0.1) * rng.normal(1, 0.04, 3)
    return tuple(rgb(c) * tone for c in GREENS[rng.integers(len(GREENS))])


def foliage(rng: np.random.Generator) -> Paint:
    """The paint of one plant's leaves."""
    return Paint(green(rng), veins=0.3, vein="#90a860", gloss=0.25, glow=0.35)


def leaf(rng: np.random.Generator, name: str, detail: float) -> Mesh:
    """One leaf of length 1 (blades of grass and swords are longer), growing along +x from the origin."""
    if name in ("pad", "lotus_pad"):
        return pad(rng, detail, cupped=name == "lotus_pad")
    if name in ("heart", "marbled"):
        return heart(rng, detail, marbled=name == "marbled")
    many = {"feather": 9, "bud": 2}.get(name, 1)
    azimuth = rng.normal(0, 0.5, many) if many > 1 else np.zeros(1)
    return whorl(rng, SHAPES[name], foliage(rng), detail, azimuth=azimuth)


def pad(rng, detail: float, cupped: bool = False) -> Mesh:
    """A floating leaf of radius 1: notched for a water lily, whole and dished for a lotus."""
    colours = green(rng)
    u = np.linspace(0.02, 1, int(np.clip(detail / 5, 5, 26)))[:, None]
    gap = 0.0 if cupped else rng.uniform(0.12, 0.35)
    turned = rng.uniform(0, 6.28)
    a = np.linspace(gap, 2 * np.pi - gap, 9 * int(np.clip(detail / 10, 3, 14)) + 1)[None, :] + turned
    wave = 0.03 * np.sin(a * 5 + rng.uniform(0, 6.28)) * u**2 + (0.16 * u**2 if cupped else 0)
    points = np.stack([u * np.cos(a), u * np.sin(a), wave], axis=-1)
    colour = ramp(u + 0 * a, (colours[2], colours[1], colours[1]))
    colour = colour * (1 + 0.13 * np.cos((a - turned) * 4.5) ** 8 * (1 - 0.6 * u))[..., None]
    return grid(points[None], colour[None], 0.35, 0.1)


def heart(rng, detail: float, marbled: bool = False) -> Mesh:
    """A heart whose stalk joins it at the origin, between the lobes; marbled with silver for a cyclamen."""
    colours = green(rng)
    fine = detail / (3.5 if marbled else 7)
    u = np.linspace(0.02, 1, int(np.clip(fine, 5, 24)))[:, None]
    a = np.linspace(-np.pi, np.pi, 2 * int(np.clip(fine, 9, 36)) + 1)[None, :]
    tip, cleft = np.exp(-np.abs(a) / 0.35), np.exp(-(((np.abs(a) - np.pi) / 0.22) ** 2))
    reach = (0.56 + 0.18 * np.cos(a) + 0.26 * tip) * (1 - 0.75 * cleft)
    x, y = u * reach * np.cos(a), u * reach * np.sin(a) * (1.25 if marbled else 1.1)
    z = rng.uniform(0.1, 0.5) * y**2 - rng.uniform(0, 0.35) * np.maximum(x, 0) ** 2 + 0.1 * np.abs(y)
    veins = np.cos(a * 4) ** 12 * (1 - u) * u
    colour = ramp(u + 0 * a, (colours[1], colours[0], colours[1]) if marbled else colours)
    if marbled:
        silver = np.exp(-(((u - 0.62 + 0.1 * np.cos(a * 8)) / 0.13) ** 2))
        colour = colour + (rgb("#a8bca4") - colour) * 0.75 * silver[..., None]
    points = np.stack([x, y, z + 0.02 * np.sin(a * 7) * u**2], axis=-1)
    return grid(points[None], (colour * (1 + 0.9 * veins)[..., None])[None], 0.2, 0.3)


def scattered(rng, name: str, count: int, size: float, detail: float, *, depth, edge: bool = False) -> Mesh:
    """Leaves of this length around the picture, tilted out of its plane; blades of grass stand up from below.

    depth: range of z; edge: whether to keep them away from the picture's middle.
    """
    moulds = [leaf(rng, name, detail * size) for _ in range(min(count, 2))]
    parts = []
    for i in range(count):
        x, y = rng.uniform(-0.65, 0.65), rng.uniform(-0.7, 0.5)
        if edge:
            x, y = np.array([x, y]) * rng.uniform(0.5, 0.62) / (np.hypot(x, y) + 1e-9)
        at = np.array([x, y, rng.uniform(*depth)])
        if name in ("sword", "grass"):
            turned = turn("z", 90 + rng.normal(0, 12)) @ turn("x", rng.uniform(0, 360)) @ turn("y", 70)
            at[1] = rng.uniform(-0.9, -0.5)
        else:
            turned = facing([rng.normal(0, 0.45), rng.normal(0.15, 0.45), 1.0]) @ turn("z", rng.uniform(0, 360))
        blade = moulds[i % len(moulds)].tinted(rng.normal(1, 0.12))
        parts.append(blade.turned(turned * size * rng.uniform(0.75, 1.25)).moved(at))
    return merge(parts)


def twigs(rng, count: int, depth) -> Mesh:
    """Bare branches across the picture."""
    parts = []
    for _ in range(count):
        x, lean = rng.uniform(-0.6, 0.6), rng.normal(0, 0.5)
        foot, tip = (x - lean, -0.9, rng.uniform(*depth)), (x + lean, rng.uniform(0.1, 0.9), rng.uniform(*depth))
        path = bezier(foot, (x + rng.normal(0, 0.15), 0.0, np.mean(depth)), tip, 8)
        parts.append(tube(path, np.linspace(rng.uniform(0.012, 0.025), 0.004, 8), BARK, sides=6))
    return merge(parts)


def pads(rng, name: str, unit: float, count: int) -> Mesh:
    """Floating leaves, seen from above the water at a low angle."""
    parts = []
    for _ in range(count):
        size = rng.uniform(0.2, 0.42)
        at = (rng.uniform(-0.6, 0.6), rng.uniform(-0.5, 0.35), -0.7)
        blade = leaf(rng, name, size * unit).scaled(size)
        parts.append(blade.turned(turn("x", rng.uniform(-68, -45))).moved(at))
    return merge(parts)
