"""Petals, sepals, bracts and leaves: whorls of blades, each a curved and painted surface."""

from dataclasses import dataclass

import numpy as np

from flowers_core.garden.mesh import GOLDEN_ANGLE, Mesh, grains, grid, merge, ramp, rgb, smooth

Range = tuple[float, float]


@dataclass(frozen=True)
class Whorl:
    """The shape of one ring of petals. Pairs are ranges from which every flower, or petal, draws.

    count: petals in the ring, lowest and highest.
    length: in head radii, 0..1.5.
    width: greatest width / length, 0.05..1.5.
    outline: (base, tip, blunt): width at u (0 base, 1 tip) is u**base * (1-u)**tip, so the widest place is at
        base / (base + tip); a small tip exponent is round, 1 is pointed; blunt 0..0.3 cuts the very end off.
    rise: degrees that the petal's base stands above the flower's plane; 90 is straight up, below 0 hangs back.
    curl: degrees by which the tip bends further up (negative: back).
    cup: how far the sides stand above the middle, in half widths; fold: the same as a sharp keel.
    ruffle: waves of the margin, in petal lengths; waves: how many of them along a side.
    notch: depth of the cut in the tip's middle, in lengths; teeth: depth of a fringe along the tip.
    wrap: how far the petal follows a circle around the axis instead of lying flat, 0..1, as in a cup.
    roll: degrees each petal is turned about its own axis, so that one side overlaps the next petal; twist: how
        many more by its tip.
    start: distance of the base from the axis; lift: its height above the flower's plane, both in head radii.
    spiral: whether petals follow the golden angle instead of even spacing.
    untidy: scatter of direction and rise, 0 (drawn with compasses) .. 1.
    phase: degrees of the first petal, counter-clockwise from the right; None turns the ring at random.
    spread: degrees from one petal to the next; None spaces them evenly.
    freckled: number of dots per petal. leafy: a ring of green leaves or sepals, whatever the flower's colour.
    """

    count: tuple[int, int]
    length: Range
    width: Range
    outline: tuple[float, float, float] = (0.8, 0.45, 0.0)
    rise: Range = (5, 25)
    curl: Range = (-30, 10)
    cup: float = 0.15
    fold: float = 0.0
    ruffle: float = 0.02
    waves: float = 1.5
    notch: float = 0.0
    teeth: float = 0.0
    wrap: float = 0.0
    roll: float = 0.0
    twist: float = 0.0
    start: float = 0.05
    lift: float = 0.0
    spiral: bool = False
    untidy: float = 0.3
    phase: float | None = None
    spread: float | None = None
    freckled: int = 0
    leafy: bool = False


@dataclass(frozen=True)
class Paint:
    """The colours of a petal, as "#rrggbb".

    along: colours spread evenly from base to tip. margin: colour of the rim; margin_width 0..1 of the half width.
    rib: colour of a stripe along the middle; rib_width likewise.
    vein: colour of the veins; veins: their strength 0..1; freckles: colour of the dots
    near the base, if the whorl has any. gloss, glow: as in Mesh.
    """

    along: tuple[str, ...]
    margin: str = ""
    margin_width: float = 0.25
    rib: str = ""
    rib_width: float = 0.25
    vein: str = ""
    veins: float = 0.0
    freckles: str = ""
    gloss: float = 0.08
    glow: float = 0.4


def draw_from(rng: np.random.Generator, bounds: Range) -> float:
    return rng.uniform(bounds[0], bounds[1])


def whorl(
    rng: np.random.Generator,
    shape: Whorl,
    paint: Paint,
    detail: float,
    *,
    azimuth: np.ndarray | None = None,
) -> Mesh:
    """One ring of petals around +z.

    detail: pixels per head radius, sets how fine the grid is.
    azimuth: radians of each petal, instead of a ring of shape.count.
    """
    count = int(rng.integers(shape.count[0], shape.count[1] + 1))
    untidy = shape.untidy
    if azimuth is None:
        step = GOLDEN_ANGLE if shape.spiral else 2 * np.pi / count
        step = step if shape.spread is None else np.radians(shape.spread)
        first = rng.uniform(0, 2 * np.pi) if shape.phase is None else np.radians(shape.phase)
        azimuth = np.arange(count) * step + first
        azimuth = azimuth + rng.normal(0, 0.25 * untidy * 2 * np.pi / count, count)
    n = len(azimuth)
    points, u, v = _blades(rng, shape, detail, azimuth)
    colour = _colours(rng, paint, n, u, v)
    # the bottom of a cup is in the shade
    closed = max(0.0, np.sin(np.radians(np.mean(shape.rise) + 0.5 * np.mean(shape.curl))))
    colour = colour * (1 - 0.5 * closed * (1 - u) ** 1.5)[None, :, None, None]
    mesh = grid(points, colour, paint.gloss, paint.glow)
    if shape.freckled:
        mesh = merge([mesh, _freckles(rng, shape, paint, points)])
    return mesh


def _blades(rng, shape: Whorl, detail: float, azimuth: np.ndarray):
    """Points (petals, rows, columns, 3), with u (rows,) from base to tip and v (columns,) from side to side."""
    n = len(azimuth)

    def each(mean, scatter):
        """One value per petal."""
        return (mean + rng.normal(0, 1, n) * scatter)[:, None, None]

    untidy = shape.untidy
    length = each(draw_from(rng, shape.length), 0) * (1 + each(0, 0.08 * untidy))
    width = length * draw_from(rng, shape.width) * (1 + each(0, 0.12 * untidy))
    rise = np.radians(each(draw_from(rng, shape.rise), 14 * untidy))
    curl = np.radians(each(draw_from(rng, shape.curl), 18 * untidy))
    roll = np.radians(each(shape.roll, 8 * untidy))
    lean = each(0, 0.10 * untidy)
    wave = rng.uniform(0, 2 * np.pi, (3, n, 1, 1))
    waves = shape.waves * (1 + each(0, 0.15))

    pixels = detail * float(length.mean())
    across = pixels * float(np.mean(shape.width)) * (1.15 if shape.teeth else 1)
    rows = int(np.clip(pixels / 4, 3, 32))
    columns = 2 * int(np.clip(across / 8, 1, 16))
    u = np.linspace(0, 1, rows + 1) ** 0.85
    v = np.linspace(-1, 1, columns + 1)
    uu, vv = u[None, :, None], v[None, None, :]

    # flat: how wide, and how far from the base
    base, tip, blunt = shape.outline
    profile = _outline(0.03 + u * (0.97 - blunt), base, tip)[None, :, None]
    half = width / 2 * profile
    reach = 1 - shape.notch * np.exp(-((vv / 0.28) ** 2)) * uu**4
    if shape.notch or blunt:
        reach = reach - 0.6 * blunt * vv**2 * uu**3
    if shape.teeth:
        saw = np.abs(((vv * 3.5 + wave[0]) % 1.0) - 0.5) * 2
        reach = reach * (1 - shape.teeth * saw * uu**5)

    # bent: the middle line's distance from the axis and height
    angle = rise + curl * uu**1.4
    step = np.diff(u, prepend=0)[None, :, None] * length
    middle = (angle + np.concatenate([angle[:, :1], angle[:, :-1]], axis=1)) / 2
    radial = np.cumsum(np.cos(middle) * step, axis=1) * reach + shape.start
    height = np.cumsum(np.sin(middle) * step, axis=1) * reach + shape.lift

    # curved across: sideways, and out of the surface
    out = (shape.cup * vv**2 + shape.fold * np.abs(vv)) * half
    ripple = np.sin(2 * np.pi * waves * uu + wave[1] + np.sign(vv) * wave[2]) * np.abs(vv) ** 1.5 * smooth(uu, 0.1, 0.7)
    ripple = ripple + 0.6 * np.sin(np.pi * waves * vv + wave[2]) * uu**3
    out = out + shape.ruffle * length * ripple
    side = half * vv
    roll = roll + np.radians(each(shape.twist, 0.5 * shape.twist)) * uu
    side, out = side * np.cos(roll) - out * np.sin(roll), side * np.sin(roll) + out * np.cos(roll)
    side = side + lean * length * uu**2

    # set around the axis
    radial = radial - np.sin(angle) * out
    height = height + np.cos(angle) * out
    azimuth = azimuth[:, None, None]
    if shape.wrap:
        azimuth = azimuth + shape.wrap * side / (np.maximum(radial, 0) + 0.12)
        side = (1 - shape.wrap) * side
    c, s = np.cos(azimuth), np.sin(azimuth)
    points = np.stack([radial * c - side * s, radial * s + side * c, height], axis=-1)
    return points, u, v


def _outline(u: np.ndarray, base: float, tip: float) -> np.ndarray:
    peak = base / (base + tip)
    return (np.maximum(u, 0) ** base * (1 - u) ** tip) / (peak**base * (1 - peak) ** tip)


def _colours(rng, paint: Paint, n: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Colours at the points of _blades, (n, rows, columns, 3)."""
    uu, vv = u[None, :, None], v[None, None, :]
    shift = rng.normal(0, 0.03, (n, 1, 1))
    streaks = 1 + 0.035 * np.sin(v * rng.uniform(9, 15) + rng.uniform(0, 6.3, (n, 1)))[:, None, :]
    colour = ramp(np.clip(uu + shift + 0 * vv, 0, 1), paint.along)
    if paint.rib:
        amount = smooth(paint.rib_width - np.abs(vv) * (0.5 + 0.5 * uu), -0.1, 0.15) * (1 - 0.35 * uu)
        colour = colour + (rgb(paint.rib) - colour) * amount[..., None]
    if paint.veins:
        fan = np.cos(vv * np.pi * 5 * (1 - 0.25 * uu) + 0.3) ** 8 * smooth(uu, 0.02, 0.3)
        fan = np.maximum(fan, np.exp(-((vv / 0.09) ** 2))) * paint.veins * (1 - 0.5 * uu)
        colour = colour + (rgb(paint.vein) - colour) * fan[..., None]
    if paint.margin:
        to_edge = np.maximum(np.abs(vv), smooth(uu, 0.6, 1.0))
        rim = smooth(to_edge, 1 - 1.3 * paint.margin_width, 1 - 0.3 * paint.margin_width)
        colour = colour + (rgb(paint.margin) - colour) * rim[..., None]
    brightness = 1 + rng.normal(0, 0.035, (n, 1, 1)) + 0.07 * smooth(np.abs(vv), 0.75, 1.0)
    return colour * (streaks * brightness)[..., None]


def _freckles(rng, shape: Whorl, paint: Paint, points: np.ndarray) -> Mesh:
    n, rows, columns, _ = points.shape
    k = shape.freckled
    at_u = rng.uniform(0.12, 0.6, (n, k)) * (rows - 1)
    at_v = (0.5 + rng.uniform(-0.33, 0.33, (n, k))) * (columns - 1)
    i, j = at_u.astype(int), at_v.astype(int)
    a, b = (at_u - i)[..., None], (at_v - j)[..., None]
    petal = np.arange(n)[:, None]
    spot = (points[petal, i, j] * (1 - a) + points[petal, i + 1, j] * a) * (1 - b) + (
        points[petal, i, j + 1] * (1 - a) + points[petal, i + 1, j + 1] * a
    ) * b
    normal = np.cross(points[petal, i + 1, j] - points[petal, i, j], points[petal, i, j + 1] - points[petal, i, j])
    normal = normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12)
    size = rng.uniform(0.014, 0.026, n * k)
    spot, normal = spot.reshape(-1, 3), normal.reshape(-1, 3)
    return grains(spot + normal * 0.012, size, rgb(paint.freckles), direction=normal, gloss=0.0)
