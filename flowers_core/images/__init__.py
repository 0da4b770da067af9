"""Bytes to RGB: the only decoder. Photos of any size and format leave here in one."""

import io
import stat
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from flowers_core.errors import ImageError

SIDE = 256
"""Width and height in pixels that every photo is brought to."""

DECODER_VERSION = 4
"""Goes up when the pixels that `to_square` gives for the same file change; caches of other versions are rebuilt."""

MAX_PIXELS = 200_000_000
"""A photo with more is refused: decoding it would take more memory than small hosts have (4 bytes a pixel)."""

MAX_BYTES = 2**30
"""A file with more is refused: it is read whole, and no photo of MAX_PIXELS is as large."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff"
)  # fmt: skip
"""Endings of file names that are taken for photos."""

ENDINGS = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)
"""The same without the dot, as browsers are asked for them."""

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue give to brightness (ITU-R BT.601)."""

_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "GIF", "TIFF")
"""What is decoded, whatever the file's name says. Pillow knows others, and some start programs (EPS: Ghostscript)."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture with this EXIF orientation upright."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses above twice this; some decoders take memory when opened
warnings.filterwarnings("ignore", module="PIL|pillow_heif")  # odd metadata is no reason to worry a reader of the log


def decode(source: Path | bytes, want: int | None = None) -> Image.Image:
    """One photo, upright, as 8-bit RGB.

    Phones' orientation marks are obeyed, transparency lies on white, the first frame of an animation is
    taken, 16-bit and CMYK pictures are converted.

    Args:
        source: a file's path, or its bytes.
        want: side in pixels that the caller will shrink to; lets JPEG skip detail it won't need.

    Raises:
        ImageError: no file, empty, not a picture, cut off, damaged, or larger than MAX_PIXELS.
    """
    return decode_sized(source, want)[0]


def decode_sized(source: Path | bytes, want: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Like `decode`, together with the upright photo's full width and height, which `want` may have cut down."""
    where = source if isinstance(source, Path) else None
    content = read_file(source) if isinstance(source, Path) else source
    if not content:
        raise ImageError("The file is empty", where)
    try:
        with Image.open(io.BytesIO(content), formats=_known_formats()) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if want is not None and image.format in ("JPEG", "MPO"):
                # Any size from there on will do: what JPEG leaves out is what shrinking would average away.
                image.draft("RGB", (want, want))
            image.load()
            turn = _TURNS.get(_orientation(image))
            photo = _reduced(image, want) if want is not None else image
            photo = _to_rgb(photo.transpose(turn) if turn is not None else photo)
            if (photo.width < photo.height) != (width < height):
                width, height = height, width
            return photo, (width, height)
    except ImageError as error:
        raise ImageError(error.what, where) from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"The picture is too large (over {MAX_PIXELS // 10**6} million pixels)", where) from error
    except Image.UnidentifiedImageError as error:
        raise ImageError("Not a picture in a known format", where) from error
    except Exception as error:  # decoders raise nearly anything on hostile bytes; one file must not stop the rest
        raise ImageError(_reason(error), where) from error


def read_file(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        ImageError: missing, closed to us, larger than MAX_BYTES, or no plain file (a pipe would never end).
    """
    try:
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            raise ImageError("This is a folder, not a picture", path)
        if not stat.S_ISREG(state.st_mode):
            raise ImageError("This is not a plain file", path)
        if state.st_size > MAX_BYTES:
            raise ImageError(f"The file is too large ({state.st_size / 2**30:.1f} GB)", path)
        return path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise ImageError(_reason(error), path) from error


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


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _reduced(image: Image.Image, want: int) -> Image.Image:
    """Averages blocks of pixels while plenty are left: large pictures then cost their memory once."""
    factor = min(image.size) // (2 * want)
    return image.reduce(factor) if factor > 1 and image.mode in ("L", "RGB", "RGBA", "CMYK") else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _grey_8_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image.convert("RGB")


def _grey_8_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, from black to the white that its values suggest."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):  # also when not a number
        raise ImageError("The picture's brightness values are out of range")
    white = 255 if high <= 255 else 65535
    if image.mode.startswith("I;16"):
        white = 65535
    elif image.mode == "F" and high <= 1:
        white = 1
    return Image.fromarray((values * np.float32(255 / white)).round().astype(np.uint8))


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "There is no such file"
    if isinstance(error, PermissionError):
        return "No permission to read the file"
    if isinstance(error, MemoryError):
        return "Not enough memory to decode the picture"
    if isinstance(error, OSError) and error.errno is not None:
        return f"The file can't be read ({error.strerror})"
    if "truncated" in str(error) or isinstance(error, EOFError):
        return "The picture is cut off (the file is not complete)"
    return "The picture is damaged"


@cache
def _known_formats() -> list[str]:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:  # without it, iPhone photos are reported as not a known format
        pass
    else:
        register_heif_opener()
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]
