"""Composition: how many flowers, where, from which side, in which light; and the photo that results."""

import numpy as np
from PIL import Image, ImageFilter

from flowers_core.garden import leaves
from flowers_core.garden.backdrop import backdrop, grain_texture
from flowers_core.garden.mesh import Mesh, merge
from flowers_core.garden.petals import draw_from
from flowers_core.garden.plants import plant
from flowers_core.garden.render import Light, occlusion, paint, with_depth
from flowers_core.garden.traits import TRAITS, Form, Traits

FINER = 3  # times as many pixels a side are painted as the picture has: smooth edges
SHOULDER, SHOULDER_CUT = 200, 0.45  # brighter than this, a pixel keeps the rest of its excess: soft highlights


def photograph(kind: str, rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """One RGB picture of a species. Its shorter side is 1 unit long; all positions are from the centre."""
    traits = TRAITS[kind]
    form = traits.forms[rng.integers(len(traits.forms))]
    unit = min(width, height)
    light = _light(rng)
    water = traits.habit == "water"
    layers = _compose(rng, traits, form, unit)

    back = backdrop(rng, (width + 1) // 2, (height + 1) // 2, water)
    canvas = _layer(back, layers["far"], light, unit / 2, blur=unit * rng.uniform(0.008, 0.02))
    canvas = canvas.resize((width, height), Image.Resampling.BILINEAR)
    canvas = _layer(canvas, layers["near"], light, unit, blur=unit * rng.uniform(0.002, 0.008))
    canvas = with_depth(canvas).resize((FINER * width, FINER * height), Image.Resampling.NEAREST)
    paint(canvas, merge(layers["sharp"]), light, FINER * unit)
    depth = np.asarray(canvas.resize((width, height), Image.Resampling.NEAREST).getchannel("X"))
    return _develop(rng, canvas.reduce(FINER).convert("RGB"), depth, light, unit)


def _light(rng) -> Light:
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.1)
    direction = np.array([np.cos(angle), 0.35 + 0.65 * abs(np.sin(angle)), height])
    warm = rng.normal(0, 0.05)
    return Light(
        direction / np.linalg.norm(direction),
        np.array([1.04 + warm, 1.0, 0.94 - warm]),
        float(rng.uniform(0.25, 0.95)),
        float(np.exp(rng.normal(0.03, 0.12))),
    )


def _layer(back: Image.Image, meshes: list[Mesh], light: Light, unit: float, blur: float) -> Image.Image:
    if not meshes:
        return back
    canvas = with_depth(back)
    paint(canvas, merge(meshes), light, unit)
    return canvas.convert("RGB").filter(ImageFilter.GaussianBlur(blur))


def _compose(rng, traits: Traits, form: Form, unit: int) -> dict[str, list[Mesh]]:
    """Meshes per layer, in picture units."""
    layers = {"far": [], "near": [], "sharp": []}
    count = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.12, 0.08]))
    biggest = {1: (0.32, 0.54), 2: (0.27, 0.38), 3: (0.24, 0.33), 4: (0.2, 0.29)}[count]
    for i, at in enumerate(_places(rng, count)):
        size = draw_from(rng, biggest) * (1 if i == 0 else rng.uniform(0.7, 1.0))
        blurred = i > 0 and rng.random() < 0.35
        mesh = plant(rng, traits, form, size, unit * (0.6 if blurred else 1)).moved((*at, -0.22 * i))
        layers["near" if blurred else "sharp"].append(mesh)
    _surround(rng, layers, traits, unit, -0.22 * count)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.45, 0.25, 0.2, 0.1]))):
        at = (rng.uniform(-0.6, 0.6), rng.uniform(-0.4, 0.5), -0.8)
        layers["far"].append(plant(rng, traits, form, rng.uniform(0.12, 0.25), unit * 0.22).moved(at))
    return layers


def _surround(rng, layers, traits: Traits, unit: int, behind: float) -> None:
    """Leaves, most of them of the kind: behind the flowers, and now and then in front of them.

    behind: z of the rearmost flower.
    """
    name, leafy = traits.leaf, traits.habit in ("vine", "cluster", "umbel", "twig")
    if traits.habit == "water":
        layers["near"].append(leaves.pads(rng, name, unit, int(rng.integers(1, 6))))
        return
    if name == "bud":
        layers["far"].append(leaves.twigs(rng, int(rng.integers(2, 7)), (-0.9, -0.6)))
        layers["near"].append(leaves.twigs(rng, int(rng.integers(1, 5)), (-0.6, -0.4)))
        return
    if rng.random() < 0.75:
        neighbour = name if rng.random() < 0.6 else str(rng.choice(leaves.COMMON))
        count = int(rng.integers(3, 9)) + 4 * leafy
        layers["far"].append(leaves.scattered(rng, neighbour, count, 0.4, unit / 4, depth=(-0.9, -0.6)))
    if rng.random() < (0.9 if leafy else 0.55):
        count = int(rng.integers(2, 7)) + 3 * leafy
        layers["near"].append(leaves.scattered(rng, name, count, 0.36, unit / 2, depth=(-0.6, -0.4)))
    if rng.random() < (0.6 if leafy else 0.25):
        count = int(rng.integers(1, 4)) + 2 * leafy
        layers["sharp"].append(leaves.scattered(rng, name, count, 0.32, unit, depth=(behind - 0.25, behind - 0.1)))
    if rng.random() < 0.15:
        count = int(rng.integers(1, 3))
        layers["sharp"].append(leaves.scattered(rng, name, count, 0.3, unit, depth=(0.35, 0.45), edge=True))


def _places(rng, count: int) -> np.ndarray:
    """Centres of the main flowers, (count, 2), spread over the picture."""
    if count == 1:
        return rng.normal(0, 0.07, (1, 2))
    angle = rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.3, count)
    reach = rng.uniform(0.2, 0.36, count)
    return np.stack([np.cos(angle) * reach, np.sin(angle) * reach], axis=1) + rng.normal(0, 0.04, 2)


def _develop(rng, picture: Image.Image, depth: np.ndarray, light: Light, unit: int) -> Image.Image:
    """Shade between petals, automatic exposure, vignette, soft highlights and sensor noise."""
    height, width = depth.shape
    shade = occlusion(depth, unit / 42, 0.4)
    pixels = np.array(picture, np.float32)
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1 - float(rng.uniform(0.02, 0.14)) * (x * x + y * y)
    exposure = light.exposure * _metered(pixels, shade, depth)
    pixels *= (shade * vignette * exposure)[..., None]
    pixels -= SHOULDER_CUT * np.maximum(pixels - SHOULDER, 0)
    top, left = rng.integers(0, 512, 2)
    noise = grain_texture().take(np.arange(top, top + height), axis=0, mode="wrap")
    pixels += noise.take(np.arange(left, left + width), axis=1, mode="wrap") * float(rng.uniform(0.8, 3.5))
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


def _metered(pixels: np.ndarray, shade: np.ndarray, depth: np.ndarray) -> float:
    """The factor by which a camera's automatic exposure brightens or darkens for what is in focus."""
    seen = (pixels[::4, ::4].max(axis=2) * shade[::4, ::4])[depth[::4, ::4] > 0]
    bright = np.percentile(seen, 85) if len(seen) else 200.0
    return float(np.clip(244 / bright, 0.85, 1.8))
