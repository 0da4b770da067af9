"""How flowers stand on a plant: alone on a stalk, along a spike, in a cluster, on a twig, a vine or the water."""

import numpy as np

from flowers_core.garden import leaves
from flowers_core.garden.heads import flower
from flowers_core.garden.mesh import Mesh, bezier, facing, merge, spiral, tube, turn
from flowers_core.garden.petals import draw_from
from flowers_core.garden.traits import Form, Traits

UP = np.array([0.0, 1.0, 0.0])


def plant(rng: np.random.Generator, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """A flower, spike or cluster around the origin.

    size: radius of what is seen, in picture units; unit: pixels per picture unit.
    """
    return HABITS[traits.habit](rng, traits, form, size, unit)


def axis(rng: np.random.Generator, tilt) -> np.ndarray:
    """The direction in which a flower looks; tilt in degrees from the viewer, up (or down if negative)."""
    t, sideways = np.radians(draw_from(rng, tilt)), rng.normal(0, 0.5)
    return np.array([np.sin(t) * np.sin(sideways), np.sin(t) * np.cos(sideways), np.cos(t)])


def _head(rng, traits, form, size, unit):
    """A turned and scaled flower, and the direction in which it looks."""
    towards = axis(rng, traits.tilt)
    return flower(rng, traits, form, size * unit).turned(facing(towards)).scaled(size), towards


def stalk(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """One flower on a stem that leaves the picture at the bottom, now and then with leaves."""
    head, towards = _head(rng, traits, form, size, unit)
    foot = np.array([rng.normal(0, 0.3), -1.2, -0.5])
    knee = -towards * size * 1.2 + [0, -0.3, 0]
    path = bezier(-towards * size * 0.04, knee, foot, 12)
    parts = [head, tube(path, size * 0.032 + 0.004, ("#64843e", "#4c6c30"), sides=8, gloss=0.15)]
    for _ in range(int(rng.integers(traits.carpet[0], traits.carpet[1] + 1))):
        reach = size * rng.uniform(0.6, 0.9)
        blade = leaves.leaf(rng, traits.leaf, reach * unit).scaled(reach)
        lying = facing([rng.normal(0, 0.3), 1.0, rng.uniform(0.6, 1.6)]) @ turn("z", rng.normal(-90, 50))
        parts.append(blade.turned(lying).moved((rng.normal(0, size), size * rng.uniform(-1.5, -0.9), -0.3)))
    grows_at_the_foot = traits.leaf in ("grass", "sword", "heart", "marbled", "paddle")
    if not grows_at_the_foot and rng.random() < 0.5:
        parts += [_leaf_at(rng, traits.leaf, path[i], size * rng.uniform(0.5, 0.9), unit) for i in (6, 8)]
    return merge(parts)


def bare(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """One flower whose stalk is hidden, as on a vine."""
    return _head(rng, traits, form, size, unit)[0]


def twig(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """One flower at the end of a woody branch."""
    head, towards = _head(rng, traits, form, size, unit)
    side = rng.choice([-1, 1])
    foot = np.array([side * rng.uniform(0.2, 0.9), -1.1, -0.4])
    path = bezier(-towards * size * 0.05, -towards * size * 0.7 + [0, -0.15, 0], foot, 10)
    thick = size * (0.08 if traits.leaf == "bud" else 0.05)
    parts = [head, tube(path, np.linspace(thick, thick + 0.014, 10), leaves.BARK, sides=10)]
    if traits.leaf == "bud":
        for i in (4, 6):
            sprig = np.array([rng.choice([-1, 1]) * rng.uniform(0.5, 1), 1.0, 0.2])
            parts.append(bud(form, size * rng.uniform(0.3, 0.5), sprig).moved(path[i]))
    return merge(parts)


def cluster(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """Flowers crowded on a dome."""
    count = int(rng.integers(traits.flowers[0], traits.flowers[1] + 1))
    if count == 1:
        return bare(rng, traits, form, size, unit)
    each = size * 0.98 / count**0.34
    moulds = [flower(rng, traits, form, each * unit) for _ in range(min(count, 4))]
    parts = []
    angle, distance = spiral(count)
    turned = rng.uniform(0, 6.28)
    for i in range(count):
        d = distance[i] * rng.normal(1, 0.08)
        at = np.array([np.cos(angle[i] + turned) * d, np.sin(angle[i] + turned) * d, 0.7 * (1 - d * d)])
        at = at * (size - 0.45 * each)
        at[2] -= 0.15 * each * i  # neighbours overlap instead of cutting through each other
        towards = axis(rng, traits.tilt) * 0.7 + at / size * 0.6
        bloom = moulds[i % len(moulds)]
        if not any(shape.freckled for shape in traits.whorls):  # freckles belong above
            bloom = bloom.turned(turn("z", rng.uniform(0, 360)))
        parts.append(bloom.turned(facing(towards)).scaled(each * rng.normal(1, 0.05)).moved(at))
    return merge(parts)


def umbel(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """A cluster on a stalk of its own."""
    head = cluster(rng, traits, form, size, unit)
    path = bezier((0, 0, 0), (rng.normal(0, 0.1), -0.5, -0.1), (rng.normal(0, 0.2), -1.2, -0.4), 10)
    return merge([head, tube(path, size * 0.035 + 0.004, ("#6c8c48", "#587838"), sides=8)])


def spike(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """Flowers along an upright stem that runs out of the picture below; smaller ones and buds at the tip."""
    each = size * traits.bloom
    lean = rng.normal(0, 0.1)
    top = rng.uniform(0.25, 0.5)
    along = np.array([lean, 1.0, 0.0])
    moulds = [flower(rng, traits, form, each * unit) for _ in range(4)]
    stem_path = bezier(along * top, along * (top - 0.5), (-lean, -1.1, 0), 9)
    parts = [tube(stem_path, np.linspace(each * 0.05, each * 0.12, 9), ("#7c9c50", "#5c7c38"), sides=7)]
    turned = rng.choice([-1, 1])
    height = top
    for i in range(28):
        young = np.clip(0.22 + 0.09 * i, 0.2, 1.0) * rng.normal(1, 0.05)
        height -= each * traits.spacing * young
        if height < -0.75:
            break
        around = i * 2.2 + rng.normal(0, 0.2)
        if traits.one_sided:
            around = turned * 0.3 + (1 if i % 2 else -1) * rng.uniform(0.15, 0.75)
        outward = np.array([np.sin(around), 0.0, np.cos(around)])
        at = along * height + outward * each * traits.stand_off * young
        tilt = np.radians(draw_from(rng, traits.tilt)) + 0.5 * (1 - young)
        towards = outward * np.cos(tilt) + UP * np.sin(tilt)
        if young < 0.55:
            parts.append(bud(form, (0.5 + young) * each, outward * 0.6 + UP * np.sign(0.1 + tilt)).moved(at))
        else:
            parts.append(moulds[i % 4].turned(facing(towards)).scaled(each * young).moved(at))
    return merge(parts)


def bud(form: Form, length: float, towards: np.ndarray) -> Mesh:
    """A closed flower: green at the base, in the colour of the petals at the tip."""
    tip = towards / np.linalg.norm(towards) * length
    t = np.linspace(0, 1, 14)
    colours = ("#6c9044", "#84a458", form.petals[0].along[-1], form.petals[0].along[-1])
    radius = (0.03 + 0.15 * np.sin(np.pi * t**0.8)) * (1 - t**6) * length
    return tube(t[:, None] * tip, radius, colours, sides=12, glow=0.3)


def floating(rng, traits: Traits, form: Form, size: float, unit: float) -> Mesh:
    """A flower on the water with a pad or two under it."""
    head, _ = _head(rng, traits, form, size, unit)
    parts = [head]
    for i in range(int(rng.integers(1, 4))):
        reach = size * rng.uniform(0.9, 1.5)
        x, y = rng.normal(0, size), rng.uniform(-0.8, 0.3) * size
        at = (x, y, -((0.55 + 0.06 * i) * size + 0.88 * y) / 0.47)  # in the plane of the water, below the flower
        parts.append(leaves.leaf(rng, traits.leaf, reach * unit).scaled(reach).turned(turn("x", -62)).moved(at))
    return merge(parts)


def _leaf_at(rng, name: str, at, size: float, unit: float) -> Mesh:
    """A leaf that grows to the left or the right from a place on a stem."""
    blade = leaves.leaf(rng, name, size * unit).scaled(size)
    sideways = turn("z", rng.choice([20, 160]) + rng.normal(0, 25))
    return blade.turned(facing([rng.normal(0, 0.3), rng.normal(0.2, 0.3), 1.0]) @ sideways).moved(at)


HABITS = {
    "stalk": stalk,
    "vine": bare,
    "twig": twig,
    "cluster": cluster,
    "umbel": umbel,
    "spike": spike,
    "water": floating,
}
