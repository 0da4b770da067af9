"""The drawn garden: pictures of the 30 kinds, made from a table of botanical traits, so that nothing is downloaded."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from flowers_core.garden.scene import photograph
from flowers_core.garden.traits import TRAITS

JPEG_QUALITY = 90


def draw(kind: str, seed: int, size: int = 256) -> Image.Image:
    """One RGB picture, size x size pixels, of a species by its common name.

    The same kind, seed (0 or more) and size give the same bytes everywhere; another size gives the same scene.
    Raises ValueError for a kind that the garden doesn't grow.
    """
    return photograph(kind, _generator(kind, seed), size, size)


def grow(
    folder: Path,
    *,
    train: int = 4,
    valid: int = 1,
    test: int = 5,
    seed: int = 0,
    size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write train, valid and test pictures of every kind as folder/Train/<kind>/<kind>-0001.jpg and so on.

    size: pixels of the shorter side; width / height varies between 3:4 and 4:3 as in photos. Pictures that are
    there already stay as they are, so a garden grows when called again with larger counts. A picture's seed
    depends on the garden's seed, its split and its number alone, and no two splits share one.
    progress(done, total) is called after every picture.
    """
    counts = {"Train": train, "Valid": valid, "Test": test}
    total, done = sum(counts.values()) * len(TRAITS), 0
    for offset, (split, count) in enumerate(counts.items()):
        for kind in TRAITS:
            for number in range(count):
                path = Path(folder) / split / kind / f"{kind}-{number + 1:04}.jpg"
                if not _complete(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(_jpeg(kind, (seed << 32) + number * len(counts) + offset, size))
                done += 1
                if progress:
                    progress(done, total)


def _generator(kind: str, seed: int) -> np.random.Generator:
    if kind not in TRAITS:
        known = ", ".join(list(TRAITS)[:3])
        raise ValueError(
            f"the garden grows no {kind!r}; it has {len(TRAITS)} kinds such as {known} (flowers_core.species)"
        )
    return np.random.default_rng(np.random.SeedSequence([zlib.crc32(kind.encode()), seed]))


def _jpeg(kind: str, seed: int, size: int) -> bytes:
    rng = _generator(kind, seed)
    stretch = 2 ** rng.uniform(-0.415, 0.415)  # up to 4:3 either way
    width, height = (round(size * stretch), size) if stretch > 1 else (size, round(size / stretch))
    buffer = io.BytesIO()
    photograph(kind, rng, width, height).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _complete(path: Path) -> bool:
    """Whether the picture is there to its end: an interrupted write left no end-of-image marker."""
    return path.exists() and path.read_bytes()[-2:] == b"\xff\xd9"
