"""What a decoded photo looks like in a few numbers: enough to find twins, dark and blurred photos, and for charts."""

import zlib

import numpy as np
from PIL import Image

LOOKS_VERSION = 1
"""Goes up when `measure` gives other numbers for the same pixels; caches of other versions are rebuilt."""

TINY = 16
"""Side in pixels of the grey miniature."""

LOOK = np.dtype(
    [
        ("checksum", "<u4"),  # of the square's bytes: finds damage on disk
        ("sharpness", "<f4"),  # standard deviation of the Laplacian, in grey levels
        ("contrast", "<f4"),  # standard deviation of the grey levels
        ("white", "u1"),  # the grey level that 1 % of the pixels exceed
        ("colour", "u1", 3),  # mean red, green, blue
        ("grey", "u1", (TINY, TINY)),  # the photo as a miniature
    ]
)
"""One photo's record. Grey levels go from 0 (black) to 255."""

_KEPT = 8
"""Frequencies along each side that a hash keeps: 8 x 8 bits."""


def measure(square: np.ndarray) -> np.ndarray:
    """One photo's record: LOOK of shape ().

    Args:
        square: (256, 256, 3) uint8, as `images.to_square` gives it.
    """
    image = Image.fromarray(square)
    grey = image.convert("L")
    tiny = grey.resize((TINY, TINY), Image.Resampling.BOX)
    levels = np.asarray(grey)
    signed = levels.astype(np.int16)
    laplacian = 4 * signed[1:-1, 1:-1] - signed[:-2, 1:-1] - signed[2:, 1:-1] - signed[1:-1, :-2] - signed[1:-1, 2:]
    spread = float(np.vdot(laplacian.astype(np.float32), laplacian.astype(np.float32))) / laplacian.size
    counts = np.array(grey.histogram())
    mean = float(counts @ np.arange(256)) / levels.size
    variance = float(counts @ np.arange(256) ** 2) / levels.size - mean**2
    look = np.zeros((), LOOK)
    look["checksum"] = checksum(square)
    look["sharpness"] = spread**0.5
    look["contrast"] = max(0.0, variance) ** 0.5
    look["white"] = np.searchsorted(counts.cumsum(), 0.99 * levels.size)
    look["colour"] = np.asarray(image.resize((1, 1), Image.Resampling.BOX)).reshape(3)
    look["grey"] = np.asarray(tiny)
    return look


def checksum(square: np.ndarray) -> int:
    """CRC-32 of a square's bytes."""
    return zlib.crc32(np.ascontiguousarray(square).data)


def hashes(grey: np.ndarray) -> np.ndarray:
    """Perceptual hashes: photos that look alike differ in few bits, others in about half of the 63
    that count: the first one is always 0.

    The bits say which of the 8 x 8 lowest frequencies of the discrete cosine transform lie above their median, as
    in pHash (Zauner 2010: Implementation and benchmarking of perceptual image hash functions); the constant one is
    left out of the median.

    Args:
        grey: (n, 16, 16) uint8.

    Returns:
        (n,) uint64.
    """
    from scipy.fft import dctn

    waves = dctn(grey.astype(np.float32), axes=(1, 2))[:, :_KEPT, :_KEPT].reshape(len(grey), _KEPT**2)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
