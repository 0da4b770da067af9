"""Whole flower heads, facing +z with a radius of about 1: rings of petals around a centre."""

import numpy as np

from flowers_core.garden import centres
from flowers_core.garden.leaves import foliage
from flowers_core.garden.mesh import Mesh, bezier, grains, merge, rgb, threads, tube
from flowers_core.garden.petals import whorl
from flowers_core.garden.shaped import bell, crest, funnel, lips, spathe
from flowers_core.garden.traits import Form, Traits


def flower(rng: np.random.Generator, traits: Traits, form: Form, detail: float) -> Mesh:
    """One flower of a species in one of its colour forms; detail: pixels per head radius."""
    return HEADS[traits.head](rng, traits, form, detail)


def rosette(rng, traits: Traits, form: Form, detail: float) -> Mesh:
    """Whorls of petals around a centre."""
    paint = form.petals[0]
    parts = [whorl(rng, shape, foliage(rng) if shape.leafy else paint, detail) for shape in traits.whorls]
    if traits.centre:
        build = centres.CENTRES[traits.centre]
        centre = build(rng, form.eye, detail * traits.centre_size, **traits.centre_shape)
        parts.append(centre.scaled(traits.centre_size))
    return merge(parts)


def iris(rng, traits: Traits, form: Form, detail: float) -> Mesh:
    """Three falls with beards and three standards; the axis is the stem, so the flower is seen from the side."""
    parts = [whorl(rng, shape, paint, detail) for shape, paint in zip(traits.whorls, form.petals, strict=True)]
    count = 26
    for angle in np.radians(traits.whorls[0].phase) + np.arange(3) * 2 * np.pi / 3:
        u = np.linspace(0.06, 0.46, count)
        at = np.stack([np.cos(angle) * u, np.sin(angle) * u, 0.06 + 0.22 * u - 0.45 * u**2], axis=1)
        at = at + rng.normal(0, 0.016, (count, 3))
        tips = at + np.array([np.cos(angle) * 0.02, np.sin(angle) * 0.02, 0.08]) + rng.normal(0, 0.02, (count, 3))
        parts.append(threads(at, tips, (form.eye[0], form.eye[0]), width=0.02, rows=1))
        parts.append(grains(tips, 0.02, rgb(form.eye[0]) * rng.normal(1, 0.1, (count, 1))))
    return merge(parts)


def nodding(rng, traits: Traits, form: Form, detail: float) -> Mesh:
    """A cyclamen: petals swept back from a dark, round mouth; the stalk ends among them."""
    mouth = tube(
        [(0, 0, -0.12), (0, 0, -0.02), (0, 0, 0.04), (0, 0, 0.0)],
        [0.18, 0.24, 0.22, 0.1],
        [rgb(form.eye[0]) * f for f in (1.0, 1.0, 0.9, 0.5)],
        sides=12,
    )
    style = tube(bezier((0, 0, 0), (0, 0, 0.05), (0, 0, 0.1), 3), 0.015, (form.eye[1], form.eye[1]))
    petals = whorl(rng, traits.whorls[0], form.petals[0], detail)
    return merge([petals, mouth, style]).moved((0, 0, 0.5))


HEADS = {f.__name__: f for f in (rosette, iris, nodding, spathe, funnel, bell, lips, crest)}
