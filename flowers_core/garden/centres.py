"""What sits in the middle of a flower: discs, stamens, columns, pods, trumpets and crowns, facing +z.

Every function takes the flower's random generator, the colours of its eye ("#rrggbb", explained in each docstring)
and the detail in pixels per head radius. Lengths are in head radii, angles in degrees.
"""

import numpy as np

from flowers_core.garden.mesh import Mesh, bezier, grains, grid, merge, ramp, rgb, spiral, threads, tube, turn


def disc(rng, eye, detail, *, radius=0.3, height=0.08, count=220, size=1.25, rough=0.25) -> Mesh:
    """A dome of florets in a sunflower spiral; eye: colours from the middle to the rim.

    count: florets at full detail; size: their width, 1 just fills the disc; rough: scatter of height and colour.
    """
    scatter = rng.normal(0, 1, (2, count))  # as many numbers at every level of detail
    count = int(np.clip(count * min(1.0, (detail * radius / 26) ** 2), 24, count))
    angle, distance = spiral(count)
    distance = distance * radius
    dome = height * (1 - (distance / radius) ** 2)
    dome = dome + 0.02 * rough * scatter[0, :count]
    centres = np.stack([distance * np.cos(angle), distance * np.sin(angle), dome], axis=1)
    out = np.stack([centres[:, 0] * 2 * height, centres[:, 1] * 2 * height, np.full(count, radius**2)], axis=1)
    colour = ramp(distance / radius, eye) * (1 + (0.12 * rough + 0.03) * scatter[1, :count, None])
    beads = grains(centres, radius / count**0.5 * size, colour, direction=out, detail=detail)
    if detail * radius < 6:
        return beads
    rim = np.linspace(0, 1, 5)
    profile = np.stack([0 * rim, 0 * rim, height * (1 - rim**2) - 0.03], axis=1)
    floor = tube(profile, rim * radius * 1.02, [rgb(c) * 0.6 for c in eye], sides=14)
    return merge([floor, beads])


def stamens(
    rng,
    eye,
    detail,
    *,
    count=30,
    length=(0.25, 0.35),
    spread=(10, 60),
    curve=0.05,
    width=0.016,
    anther=0.035,
    start=0.03,
    lean=0.0,
) -> Mesh:
    """A tuft of filaments with anthers; eye: filament base, filament tip, anther.

    length, spread: ranges of the length and of the angle from the axis; curve: how far filaments bow; width: of
    a filament; anther: its radius, 0 for none; start: distance of the roots from the axis; lean: of the whole tuft.
    """
    angle = rng.uniform(0, 2 * np.pi, count)
    away = np.radians(rng.uniform(*spread, count))
    reach = rng.uniform(*length, count)
    flat = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    roots = flat * start * np.sin(away)[:, None] * 2
    tips = roots + (flat * np.sin(away)[:, None] + up * np.cos(away)[:, None]) * reach[:, None]
    bend = (up * np.sin(away)[:, None] - flat * np.cos(away)[:, None]) * -curve
    parts = [threads(roots, tips, eye[:2], width=width, bend=bend)]
    if anther:
        colour = rgb(eye[-1]) * rng.normal(1, 0.08, (count, 1))
        parts.append(
            grains(tips, anther * rng.uniform(0.7, 1.2, count), colour, direction=tips + up * 0.2, detail=detail)
        )
    return merge(parts).turned(turn("x", lean))


def column(rng, eye, detail, *, length=1.0) -> Mesh:
    """The staminal column of a hibiscus; eye: column base, column tip, anthers, stigmas."""
    tip = np.array([rng.normal(0, 0.2), rng.normal(-0.25, 0.15), length])
    path = bezier((0, 0, 0), (tip[0] * 0.2, tip[1] * 0.1, length * 0.6), tip, 9)
    parts = [tube(path, np.linspace(0.045, 0.022, 9), eye[:2], sides=7)]
    count = 46
    where = rng.uniform(0.42, 0.96, count)
    at = np.stack([np.interp(where, np.linspace(0, 1, 9), path[:, i]) for i in range(3)], axis=1)
    angle = rng.uniform(0, 2 * np.pi, count)
    side = np.stack([np.cos(angle), np.sin(angle), rng.uniform(0, 0.5, count)], axis=1)
    ends = at + side * rng.uniform(0.06, 0.11, (count, 1))
    parts.append(threads(at, ends, eye[1:2] * 2, width=0.01, rows=1))
    parts.append(grains(ends, 0.026, rgb(eye[2]) * rng.normal(1, 0.08, (count, 1)), direction=side))
    fan = np.arange(5) * 2 * np.pi / 5
    stigma = tip + np.stack([np.cos(fan) * 0.07, np.sin(fan) * 0.07, np.full(5, 0.08)], axis=1)
    parts.append(threads(np.repeat(tip[None], 5, 0), stigma, eye[3:] * 2, width=0.015, rows=1))
    parts.append(grains(stigma, 0.03, rgb(eye[3])))
    return merge(parts)


def pod(rng, eye, detail) -> Mesh:
    """The lotus' flat-topped seed pod in its ring of stamens; eye: pod side, pod top, holes, stamens."""
    path = np.array([(0, 0, 0.0), (0, 0, 0.12), (0, 0, 0.24), (0, 0, 0.27), (0, 0, 0.275), (0, 0, 0.275)])
    cone = tube(path, [0.07, 0.13, 0.2, 0.205, 0.15, 0.0], (eye[0], eye[0], eye[1], eye[1], eye[1], eye[1]), sides=16)
    angle, distance = spiral(14)
    seeds = np.stack([np.cos(angle) * distance * 0.17, np.sin(angle) * distance * 0.17, np.full(14, 0.28)], axis=1)
    holes = grains(seeds, 0.022, rgb(eye[2]), gloss=0.0)
    tuft = stamens(
        rng,
        (eye[3], eye[3], eye[3]),
        detail,
        count=70,
        length=(0.26, 0.36),
        spread=(38, 78),
        curve=0.04,
        anther=0.022,
        start=0.06,
    )
    return merge([cone, holes, tuft])


def trumpet(rng, eye, detail, *, length=(0.3, 0.75), flare=(0.3, 0.44)) -> Mesh:
    """The daffodil's corona; eye: throat, wall, rim, stamens."""
    deep, wide = rng.uniform(*length), rng.uniform(*flare)
    t = np.linspace(0, 1, int(np.clip(detail / 8, 8, 20)))
    angle = np.linspace(0, 2 * np.pi, int(np.clip(detail / 2, 25, 97)))
    lobes, phase = rng.integers(6, 12), rng.uniform(0, 6.28)
    frill = (t**6)[:, None] * np.sin(angle * lobes + phase)
    radius = (0.15 + (wide - 0.15) * (0.55 * t + 0.45 * t**5))[:, None] * (1 + 0.13 * frill)
    height = (deep * t)[:, None] + 0.04 * frill * np.cos(angle * 2 + phase)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)[None]
    flutes = 1 + 0.05 * np.sin(angle * lobes * 2)[None, :, None] * (t > 0.2)[:, None, None]
    colour = np.broadcast_to(ramp(t, eye[:3])[:, None], points.shape[1:]) * flutes
    wall = grid(points, colour[None], 0.08, 0.45)
    floor = tube([(0, 0, 0.05), (0, 0, 0.09)], [0.17, 0.0], (rgb(eye[0]) * 0.6, rgb(eye[0]) * 0.5), sides=16)
    tuft = stamens(
        rng,
        (eye[3],) * 3,
        detail,
        count=6,
        length=(deep * 0.5, deep * 0.75),
        spread=(4, 16),
        width=0.03,
        anther=0.045,
    )
    return merge([wall, floor, tuft])


def crown(rng, eye, detail) -> Mesh:
    """The passion flower's ring of banded threads, with stamens and styles; eye: bands from the middle out."""
    parts = []
    for count, length, rise in ((70, 0.62, 8), (54, 0.46, 18), (34, 0.2, 50)):
        angle = np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.02, count)
        rise_by = np.radians(rise + rng.normal(0, 3, count))
        ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
        roots = ring * 0.12 + [0, 0, 0.04]
        reach = length * rng.normal(1, 0.05, (count, 1))
        tips = roots + ring * reach * np.cos(rise_by)[:, None]
        tips[:, 2] += reach[:, 0] * np.sin(rise_by)
        bend = np.array([0, 0, 0.04]) + rng.normal(0, 0.012, (count, 3))
        parts.append(threads(roots, tips, eye, width=0.028, bend=bend, rows=7))
    green, gold, dark = "#b9c76a", "#d9c24a", "#6b2b4f"
    stalk = np.array([(0, 0, 0.0), (0, 0, 0.14), (0, 0, 0.24)])
    parts.append(tube(stalk, [0.06, 0.035, 0.045], (green, green), sides=8))
    parts.append(grains(np.array([[0, 0, 0.27]]), 0.075, rgb(green)))
    turned = rng.uniform(0, 6.28)
    five = turned + np.arange(5) * 2 * np.pi / 5
    flat = np.stack([np.cos(five), np.sin(five), np.zeros(5)], axis=1)
    roots, tips = np.repeat([[0, 0, 0.2]], 5, 0), flat * 0.24 + [0, 0, 0.2]
    parts.append(threads(roots, tips, (green, green), width=0.04, rows=2))
    across = np.stack([-flat[:, 1], flat[:, 0], np.zeros(5)], axis=1) * 0.075
    parts.append(threads(tips - across + [0, 0, 0.02], tips + across + [0, 0, 0.02], (gold, gold), width=0.09, rows=3))
    three = turned + 0.6 + np.arange(3) * 2 * np.pi / 3
    flat = np.stack([np.cos(three), np.sin(three), np.zeros(3)], axis=1)
    roots, tips = np.repeat([[0, 0, 0.3]], 3, 0), flat * 0.26 + [0, 0, 0.38]
    parts.append(threads(roots, tips, (green, dark), width=0.035, bend=np.array([0, 0, 0.06]), rows=4))
    parts.append(grains(tips, 0.05, rgb(dark)))
    return merge(parts)


def cups(rng, eye, detail) -> Mesh:
    """Poinsettia's small true flowers; eye: cup, rim, pollen."""
    count = int(rng.integers(5, 11))
    angle, distance = spiral(count)
    at = np.stack([np.cos(angle) * distance, np.sin(angle) * distance, 0 * angle], axis=1) * 0.15
    at[:, 2] = 0.1 + rng.uniform(-0.02, 0.02, count)
    bead = grains(at, 0.052, rgb(eye[0]) * rng.normal(1, 0.06, (count, 1)))
    top = grains(at + [0, 0, 0.035], 0.026, rgb(eye[1]))
    side = at * [1.25, 1.25, 1] + [0, 0, 0.02]
    return merge([bead, top, grains(side, 0.02, rgb(eye[2]))])


def tubelets(rng, eye, detail) -> Mesh:
    """Bougainvillea's true flowers, up to three cream stars on thin tubes; eye: tube, star, heart."""
    parts = []
    for angle in rng.uniform(0, 6.28) + np.arange(int(rng.integers(1, 4))) * 2 * np.pi / 3:
        tip = np.array([np.cos(angle) * 0.17, np.sin(angle) * 0.17, 0.36 + rng.normal(0, 0.03)])
        parts.append(tube(bezier((0, 0, 0.02), tip * [0.8, 0.8, 0.4], tip, 5), 0.026, eye[:1] * 2))
        star = np.arange(10) * np.pi / 5 + rng.uniform(0, 1)
        reach = np.where(np.arange(10) % 2, 0.05, 0.095)
        rim = tip + np.stack([np.cos(star) * reach, np.sin(star) * reach, np.full(10, 0.02)], axis=1)
        parts.append(threads(np.repeat(tip[None], 10, 0), rim, (eye[2], eye[1]), width=0.06, rows=2))
    return merge(parts)


CENTRES = {f.__name__: f for f in (disc, stamens, column, pod, trumpet, crown, cups, tubelets)}
