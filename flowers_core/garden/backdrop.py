"""What lies far behind the flowers: out-of-focus foliage, soil, sky, wall or water."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flowers_core.garden.mesh import rgb

TILE = 64  # pixels a side of the small picture that is enlarged


@dataclass(frozen=True)
class Place:
    """A kind of background.

    colours: from dark to light; share: how often it is met; cells: range of blotches along a side;
    contrast: 1 uses all colours; slope: how much lighter the top is, -1..1.
    """

    colours: tuple[str, str, str, str]
    share: float
    cells: tuple[int, int]
    contrast: float = 1.0
    slope: float = 0.0


WATER = Place(("#0a1312", "#16262a", "#2a4246", "#6d8a90"), 0.0, (4, 9))
PLACES = (
    Place(("#16240f", "#2f4a1c", "#4f7030", "#8fae58"), 0.26, (5, 12), slope=0.2),
    Place(("#1a2e16", "#34552a", "#557a3c", "#a0b868"), 0.12, (3, 6), 0.8, slope=0.3),
    Place(("#070a06", "#121c0d", "#223218", "#3c5226"), 0.17, (5, 12)),
    Place(("#3c5a28", "#6d8f3f", "#a4bf62", "#dce3a4"), 0.14, (4, 9), slope=0.2),
    Place(("#2a2019", "#4a3a2c", "#6e5a46", "#97836a"), 0.12, (6, 12)),
    Place(("#5f86b8", "#86a9d2", "#b4cde6", "#e8f0f6"), 0.08, (3, 6), 0.8, slope=-0.25),
    Place(("#6f675f", "#968d82", "#bdb4a8", "#dcd6cc"), 0.06, (2, 4), 0.6, slope=0.2),
    Place(("#4a3c34", "#6c5a4e", "#8c7868", "#ac9a88"), 0.05, (2, 4), 0.6),
)


def backdrop(rng: np.random.Generator, width: int, height: int, water: bool) -> Image.Image:
    """An RGB picture of blurred shapes in the colours of one place."""
    chosen = int(rng.choice(len(PLACES), p=[place.share for place in PLACES]))
    place = WATER if water else PLACES[chosen]
    palette = np.array([rgb(colour) for colour in place.colours]) * rng.normal(1, 0.05, 3)
    cells = int(rng.integers(place.cells[0], place.cells[1] + 1))
    tone = 0.78 * _blotches(rng, cells, cells) + 0.22 * _blotches(rng, 3 * cells, 3 * cells)
    if water:  # ripples lie across
        tone = 0.55 * tone + 0.45 * _blotches(rng, 14, 3)
    rise = rng.uniform(0, 1.5) * place.slope
    tone = 0.5 + (tone - 0.5) * place.contrast + np.linspace(rise, -rise, TILE)[:, None] / 2
    knots = np.linspace(0.08, 0.92, len(palette))
    image = np.stack([np.interp(tone, knots, palette[:, i]) for i in range(3)], axis=-1)
    picture = Image.fromarray(image.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    if rng.random() < 0.5:
        _lights(rng, picture, palette[-1])
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _blotches(rng, rows: int, columns: int) -> np.ndarray:
    noise = Image.fromarray(rng.random((rows, columns)).astype(np.float32))
    return np.asarray(noise.resize((TILE, TILE), Image.Resampling.BICUBIC))


def _lights(rng, picture: Image.Image, colour: np.ndarray) -> None:
    """Discs of light that a lens makes of far, bright points."""
    layer = Image.new("L", (4 * TILE, 4 * TILE))
    pen = ImageDraw.Draw(layer)
    radius, count = rng.uniform(5, 16), int(rng.integers(1, 10))
    for x, y, strength in zip(*rng.uniform(0, layer.width, (2, count)), rng.integers(30, 130, count), strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(strength))
    mask = layer.filter(ImageFilter.GaussianBlur(1.5)).reduce(4)
    picture.paste(tuple((colour * 0.6 + 100).clip(0, 255).astype(int).tolist()), mask=mask)


@cache
def grain_texture() -> np.ndarray:
    """Sensor noise, (512, 512, 3), mean 0: mostly in brightness, less in colour."""
    noise = np.random.default_rng(7).normal(0, 1, (512, 512, 3)).astype(np.float32)
    return 0.5 * noise + 0.85 * noise.mean(axis=2, keepdims=True)
