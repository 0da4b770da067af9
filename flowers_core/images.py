"""Bytes to RGB: the only decoder. Photos of any size and format leave here in one."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from flowers_core.errors import ImageError

SIDE = 256
"""Width and height in pixels that every photo is brought to."""

DECODER_VERSION = 1
"""Goes up when the pixels that `to_square` gives for the same file change; caches of other versions are rebuilt."""

MAX_PIXELS = 200_000_000
"""A photo with more is refused: decoding it would take more memory than small hosts have (3 bytes a pixel)."""

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of file names that are taken for photos."""

Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is checked below, with a message for people instead of a warning


def decode(source: Path | bytes, want: int | None = None) -> Image.Image:
    """One photo, upright, as 8-bit RGB.

    Phones' orientation marks are obeyed, transparency lies on white, the first frame of an animation is
    taken, 16-bit and CMYK pictures are converted.

    Args:
        source: a file's path, or its bytes.
        want: side in pixels that the caller will shrink to; lets JPEG skip detail it won't need.

    Raises:
        ImageError: empty, not a picture, cut off, damaged, or larger than MAX_PIXELS.
    """
    _register_heif()
    where = source if isinstance(source, Path) else None
    try:
        if (where.stat().st_size if where is not None else len(source)) == 0:
            raise ImageError("The file is empty", where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no reason to worry a reader of the log
            with Image.open(source if where is not None else io.BytesIO(source)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ImageError(f"The picture is too large ({width} x {height} pixels)", where)
                if want is not None and image.format == "JPEG":
                    image.draft("RGB", (2 * want, 2 * want))
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise ImageError("Not a picture in a known format", where) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, ZeroDivisionError, MemoryError) as error:
        raise ImageError(_reason(error), where) from error
    except Exception as error:  # decoders raise nearly anything on hostile bytes; one file must not stop the rest
        raise ImageError(f"The picture is damaged ({type(error).__name__})", where) from error


def to_square(image: Image.Image) -> np.ndarray:
    """The whole photo as (SIDE, SIDE, 3) uint8, its longer side squeezed.

    Nothing is cut away here: transforms work on the square together with the photo's aspect ratio and
    undo the squeeze, so a crop may lie anywhere in the photo.
    """
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0))


def from_square(square: np.ndarray, aspect: float, longest: int = SIDE) -> Image.Image:
    """The photo that `to_square` squeezed, in its own shape again, `longest` pixels on its longer side."""
    width, height = (longest, longest / aspect) if aspect >= 1 else (longest * aspect, longest)
    return Image.fromarray(square).resize((max(1, round(width)), max(1, round(height))), Image.Resampling.BICUBIC)


def to_jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """An RGB picture as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 or 32 bits of grey: stretch what is there to 8 bits
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I;16") or values.max() > 255 else 255.0
        if values.max() > top or values.min() < 0 or not np.isfinite(values).all():
            raise ImageError("The picture's brightness values are out of range")
        return Image.fromarray((values * (255.0 / top)).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, FileNotFoundError):
        return "The file is gone"
    if isinstance(error, PermissionError):
        return "No permission to read the file"
    if isinstance(error, IsADirectoryError):
        return "This is a folder, not a picture"
    if "truncated" in text or isinstance(error, EOFError):
        return "The picture is cut off (the file is not complete)"
    if isinstance(error, MemoryError):
        return "Not enough memory to decode the picture"
    return "The picture is damaged"


def _register_heif() -> None:
    if "HEIF" in Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except ImportError:  # without it, iPhone photos are reported as not a known format
        return
    register_heif_opener()
