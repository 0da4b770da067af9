"""Flowers that are more than rings of petals: spathe, funnel, bell, lips and crest, facing +z, radius about 1."""

import numpy as np

from flowers_core.garden import centres
from flowers_core.garden.mesh import Mesh, bezier, grains, grid, merge, ramp, rgb, smooth, tube, turn
from flowers_core.garden.petals import Paint, Whorl, whorl

CALYX = Whorl((5, 5), (0.34, 0.4), (0.5, 0.6), (0.6, 0.8, 0.0), (62, 74), (0, 10), lift=-0.9)
UPPER_LIP = Whorl((2, 2), (0.95, 1.05), (0.95, 1.15), (0.6, 0.28, 0.08), (52, 64), (-75, -50), ruffle=0.06, untidy=0.2)
LOWER_LIP = Whorl((3, 3), (0.85, 0.95), (0.8, 0.95), (0.7, 0.28, 0.08), (44, 56), (-125, -95), ruffle=0.05, untidy=0.2)
SEPAL = Whorl((1, 1), (0.95, 1.15), (0.17, 0.24), (0.6, 0.8, 0.0), (82, 96), (-14, 14), 0.1, fold=0.45)
BILL = (0.07, 0.1, 0.115, 0.12, 0.115, 0.105, 0.092, 0.077, 0.06, 0.043, 0.026, 0.004)
ARROW = (0.02, 0.022, 0.022, 0.024, 0.026, 0.07, 0.066, 0.045, 0.02, 0.003)


def _steps(detail: float, pixels: float, least: int, most: int) -> int:
    """How many grid lines a part gets so that one lies about every so many pixels."""
    return int(np.clip(detail / pixels, least, most))


def spathe(rng, traits, form, detail: float) -> Mesh:
    """An anthurium: a glossy heart (tip down) and the spadix that stands out of it; eye: spadix base, tip."""
    rows, columns = _steps(detail, 5, 6, 28), 2 * _steps(detail, 3, 10, 48)
    u, v = np.linspace(0, 1, rows + 1)[:, None], np.linspace(-1, 1, columns + 1)[None, :]
    # a heart as rays from the point where the stalk joins: v turns round it, u runs outwards
    angle = v * np.pi
    reach = 0.64 + 0.2 * np.cos(angle) - 0.06 * np.cos(2 * angle) + 0.34 * np.exp(-np.abs(v) / 0.08)
    reach = reach * (1 - 0.6 * np.exp(-(((np.abs(v) - 1) / 0.13) ** 2)))
    x, y = u * reach * np.sin(angle) * rng.uniform(0.95, 1.2), -u * reach * np.cos(angle)
    cup, wavy = rng.uniform(0.05, 0.3), rng.uniform(0, 0.05)
    z = cup * (x**2 - 0.4 * np.maximum(-y, 0) ** 2) + wavy * u**3 * np.sin(angle * 3 + rng.uniform(0, 6.28))
    groove = np.exp(-((x / 0.09) ** 2)) * smooth(-y, 0, 0.2)
    z = z - 0.015 * groove + 0.008 * np.sin(7 * angle + 9 * u) * u
    vein = np.maximum(np.cos(angle * 4) ** 12 * 0.7, groove) * 0.16 * (1 - 0.6 * u)
    paint = form.petals[0]
    colour = ramp(u + 0 * v, paint.along) * (1 - vein[..., None])
    heart = grid(np.stack([x, y, z], axis=-1)[None], colour[None], paint.gloss, 0.3)
    lean = np.array([rng.normal(0, 0.15), rng.uniform(-0.55, 0.3), rng.uniform(0.3, 0.5)])
    tip = lean / np.linalg.norm(lean) * rng.uniform(0.55, 0.75)
    path = bezier((0, 0, 0.0), tip * [0.2, 0.2, 0.6], tip, 9)
    spike = tube(path, [0.06, 0.072, 0.07, 0.068, 0.064, 0.06, 0.054, 0.045, 0.005], form.eye, sides=10)
    count = 90
    t, around = rng.uniform(0.05, 0.96, count), rng.uniform(0, 6.28, count)
    at = np.stack([np.interp(t, np.linspace(0, 1, 9), path[:, i]) for i in range(3)], axis=1)
    side = np.stack([np.cos(around), np.sin(around), 0.3 + 0 * around], axis=1)
    tone = ramp(t, form.eye) * rng.normal(1.02, 0.07, (count, 1))
    beads = grains(at + side * 0.058, 0.018, tone, direction=side, detail=detail)
    return merge([heart, spike, beads]).turned(turn("z", rng.normal(0, 25)))


def funnel(rng, traits, form, detail: float) -> Mesh:
    """Five fused petals, round as a morning glory or, with a `lobes` trait, wavy and veined as a petunia.

    eye: stamens, anthers.
    """
    paint, lobes = form.petals[0], traits.lobes
    u = np.linspace(0, 1, _steps(detail, 3, 7, 36))[:, None] ** 1.2
    angle = np.linspace(0, 2 * np.pi, 5 * _steps(detail, 6, 4, 22) + 1)[None, :]
    petal = (1 + np.cos(5 * angle)) / 2  # 1 in the middle of a petal, 0 where two are joined
    radius = 0.07 + 0.93 * u ** (0.8 + 0.15 * lobes)
    radius = radius * (1 - (rng.uniform(0.0, 0.05) + rng.uniform(0.1, 0.18) * lobes) * (1 - petal) ** 2.5 * u**3)
    deep = rng.uniform(0.25, 0.6)
    wave = rng.uniform(0.004, 0.015) + rng.uniform(0.02, 0.04) * lobes
    phase = rng.uniform(0, 6.28, 2)
    ripples = np.sin(angle * rng.integers(9, 14) + phase[0]) + 0.7 * np.sin(angle * 5 + phase[1])
    height = -deep * np.exp(-u * 5) - rng.uniform(-0.05, 0.25) * u**3
    height = height + wave * u**3 * ripples + (0.03 + 0.02 * lobes) * u**2 * (petal - 0.5)
    radius = radius * (1 + 0.6 * wave * u**4 * ripples)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
    colour = ramp(u + 0 * angle, paint.along)
    from_rib = np.abs(((angle * 5 / (2 * np.pi) + 0.5) % 1) - 0.5) * 2
    if paint.rib:
        taper = paint.rib_width * np.where(lobes > 0, 0.6 + 0.5 * u, 1.2 - 0.8 * u)
        star = smooth(from_rib, taper + 0.1, taper - 0.06) * smooth(u, 0.1, 0.35)
        colour = colour + (rgb(paint.rib) - colour) * star[..., None]
    if paint.veins:
        net = np.maximum(np.exp(-((from_rib / 0.07) ** 2)), 0.6 * np.cos(angle * 12.5) ** 8)
        net = net * paint.veins * smooth(u, 0.05, 0.25) * (1 - 0.7 * u)
        colour = colour + (rgb(paint.vein) - colour) * net[..., None]
    mouth = grid(points[None], colour[None], paint.gloss, 0.5)
    path = [(0, 0, -deep - 0.75), (0, 0, -deep - 0.3), (0, 0, -deep + 0.02)]
    neck = tube(path, [0.06, 0.075, 0.08], (paint.along[1], paint.along[2]), sides=8, glow=0.4)
    floor = grains(np.array([[0, 0, -deep - 0.06]]), 0.1, rgb(paint.along[0]) * 0.9, gloss=0.0)
    eye = (form.eye[0], form.eye[0], form.eye[1])
    tuft = centres.stamens(rng, eye, detail, count=5, length=(0.16, 0.26), spread=(2, 14), width=0.03, anther=0.03)
    return merge([mouth, neck, floor, tuft.moved((0, 0, -deep + 0.06))])


def bell(rng, traits, form, detail: float) -> Mesh:
    """A foxglove bell, freckled inside, that opens towards +z; eye: pale inner floor, inner walls."""
    paint = form.petals[0]
    u = np.linspace(0, 1, _steps(detail, 4, 5, 24))[:, None]
    angle = np.linspace(0, 2 * np.pi, _steps(detail, 1.5, 13, 72))[None, :] - np.pi / 2
    low = np.maximum(-np.sin(angle), 0)  # 1 along the lower lip
    wall = 0.12 + 0.24 * smooth(u, 0.0, 0.5) + 0.14 * smooth(u, 0.72, 1.0)
    lip = smooth(u, 0.7, 1.0) * (0.1 * np.cos(angle * 5) + 0.22 * low**2)
    radius, height = wall * (1 + 0.5 * lip), 1.5 * (u - 0.55) + lip * 0.5
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
    colour = ramp(u + 0 * angle, paint.along)
    outside = grid(points[None], colour[None], 0.12, 0.5, face=-1)
    colour = colour + (rgb(form.eye[0]) - colour) * (0.75 * low**1.5 * smooth(u, 0.2, 0.9))[..., None]
    inside = grid(points[None] * [0.97, 0.97, 1], (colour * (0.55 + 0.45 * u)[..., None])[None], 0.05, 0.4, face=1)
    count = 24
    at, around = rng.uniform(0.45, 0.98, count), -np.pi / 2 + rng.normal(0, 0.5, count)
    near = np.interp(at, u[:, 0], wall[:, 0]) * 0.9
    spots = np.stack([near * np.cos(around), near * np.sin(around), 1.5 * (at - 0.55)], axis=1)
    inward = np.stack([-np.cos(around), -np.sin(around), 0.4 + 0 * around], axis=1)
    dots = grains(spots, rng.uniform(0.02, 0.04, count), rgb(paint.freckles), direction=inward, gloss=0)
    return merge([outside, inside, dots, whorl(rng, CALYX, Paint(("#7c9c50", "#6c8c44")), detail)])


def lips(rng, traits, form, detail: float) -> Mesh:
    """A snapdragon: two upright lobes, three hanging ones, and the palate that closes the throat.

    eye: top of the palate, its sides.
    """
    paint = form.petals[0]
    parts = [
        whorl(rng, UPPER_LIP, paint, detail, azimuth=np.radians([58.0, 122.0])),
        whorl(rng, LOWER_LIP, paint, detail, azimuth=np.radians([215.0, 270.0, 325.0])),
    ]
    u = np.linspace(0, 1, _steps(detail, 5, 3, 9))[:, None]
    angle = np.linspace(0, 2 * np.pi, _steps(detail, 3, 7, 20))[None, :]
    # two cheeks side by side with a groove between them
    x, y = 0.38 * np.sin(u * 1.6) * np.cos(angle), 0.17 * np.sin(u * 1.6) * np.sin(angle)
    z = 0.3 + 0.16 * np.cos(u * 1.6) + 0.1 * np.abs(np.sin(x * 7)) - 0.3 * y
    colour = ramp(u + 0 * angle, (form.eye[0], form.eye[1], paint.along[1], paint.along[1]))
    palate = grid(np.stack([x, y - 0.16, z], axis=-1)[None], colour[None], 0.05, 0.4)
    path = [(0, 0.02, -0.75), (0, 0.02, -0.5), (0, 0, -0.1), (0, -0.02, 0.32)]
    body = tube(path, [0.1, 0.2, 0.24, 0.27], (paint.along[0],) * 2, sides=_steps(detail, 3, 6, 16), glow=0.3)
    return merge([*parts, palate, body])


def crest(rng, traits, form, detail: float) -> Mesh:
    """A bird of paradise in profile: beak, orange sepals fanned up, a blue arrow.

    eye: arrow, its middle, beak, the beak's blush.
    """
    blue, pale, beak, blush = form.eye
    tip = np.array([1.0, rng.uniform(0.0, 0.3), 0.0])
    path = bezier((-0.5, -0.42, 0), (-0.1, -0.14, 0), tip, 12)
    bill = tube(path, BILL, (beak, beak, blush, beak), sides=12, gloss=0.3)
    edge = tube(path + np.array([0, 0.07, 0.06]), np.linspace(0.03, 0.004, 12), (blush, "#d88050", blush), sides=5)
    parts = [bill, edge]
    root = np.array([-0.16, -0.1, 0.0])
    count = int(rng.integers(3, 7))
    for degrees in np.sort(rng.uniform(42, 138, count)) * 0.6 + np.linspace(42, 138, count) * 0.4:
        blade = whorl(rng, SEPAL, form.petals[0], detail, azimuth=np.array([rng.uniform(0, 6.28)]))
        at = root + np.array([0.2 * (1 - degrees / 90), 0, rng.uniform(-0.05, 0.05)])
        parts.append(blade.turned(turn("z", degrees - 90) @ turn("x", -90)).moved(at))
    for degrees in np.radians(rng.uniform(25, 55, int(rng.integers(1, 3)))):
        end = root + np.array([np.cos(degrees), np.sin(degrees), 0.15]) * rng.uniform(0.75, 0.95)
        along = bezier(root + np.array([0.1, 0, 0.08]), (root + end) / 2 + np.array([0, -0.04, 0.08]), end, 10)
        parts.append(tube(along, ARROW, (blue, blue, pale, blue), sides=6, gloss=0.3))
    bird = merge(parts)
    return bird.mirrored() if rng.random() < 0.5 else bird
