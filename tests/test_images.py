"""The decoder: every format and mode comes out upright as RGB, and hostile bytes give an ImageError, nothing else."""

import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from flowers_core.errors import ImageError
from flowers_core.images import SIDE, decode, decode_sized, from_square, to_jpeg, to_square

ROOT = Path(__file__).parent.parent
RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (120, 120, 120)
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pytest takes away the filter that images.py sets

pillow_heif.register_heif_opener()


def corners(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green / blue, grey quarters: any turn or mirroring shows."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(GREY, (width // 2, height // 2, width, height))
    return image


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    if format == "JPEG":
        options = {"quality": 95, "subsampling": 0, **options}
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def quarters(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middles of the four quarters: top left, top right, bottom left, bottom right."""
    w, h = image.size
    return [image.getpixel((x, y)) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


def near(found, expected, tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= tolerance)


def png(width: int, height: int, rows: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says what we like."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    """A GIF of one pixel on a huge canvas that is to be cleared: Pillow fills it when the file is opened."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    control = b"\x21\xf9\x04" + bytes([2 << 2, 0, 0, 0]) + b"\x00"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + control + frame + control + frame + b";"


# What is decoded


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_decoded_whatever_its_name_says(format, tmp_path):
    path = tmp_path / "flower.jpg"
    path.write_bytes(encoded(corners(), format))
    image = decode(path)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert near(quarters(image), [RED, GREEN, BLUE, GREY], 40 if format in ("WEBP", "GIF", "AVIF") else 12)


GREY_RAMP = np.linspace(0, 65535, 64 * 48).reshape(48, 64)
MODES = {
    "black and white": (Image.new("1", (9, 7), 1), "PNG", (255, 255, 255)),
    "grey": (Image.new("L", (9, 7), 100), "PNG", (100, 100, 100)),
    "grey, half transparent": (Image.new("LA", (9, 7), (0, 128)), "PNG", (127, 127, 127)),
    "fully transparent": (Image.new("RGBA", (9, 7), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
    "half transparent": (Image.new("RGBA", (9, 7), (255, 0, 0, 128)), "WEBP", (255, 127, 127)),
    "palette": (Image.new("RGB", (9, 7), BLUE).quantize(4), "PNG", BLUE),
    "print colours": (Image.new("CMYK", (9, 7), (0, 255, 255, 0)), "JPEG", (254, 0, 0)),
    "print colours, TIFF": (Image.new("CMYK", (9, 7), (0, 255, 255, 0)), "TIFF", (254, 0, 0)),
    "video colours": (Image.new("YCbCr", (9, 7), (76, 85, 255)), "TIFF", (254, 0, 0)),
    "16-bit grey": (Image.fromarray(np.full((7, 9), 25700, np.uint16)), "PNG", (100, 100, 100)),
    "16-bit grey, dark": (Image.fromarray(np.full((7, 9), 200, np.uint16)), "PNG", (1, 1, 1)),
    "16-bit grey, TIFF": (Image.fromarray(np.full((7, 9), 65535, np.uint16)), "TIFF", (255, 255, 255)),
    "32-bit grey, small": (Image.fromarray(np.full((7, 9), 100, np.int32)), "TIFF", (100, 100, 100)),
    "32-bit grey, large": (Image.fromarray(np.full((7, 9), 25700, np.int32)), "TIFF", (100, 100, 100)),
    "float grey of 0 to 1": (Image.fromarray(np.full((7, 9), 0.5, np.float32)), "TIFF", (128, 128, 128)),
    "float grey of 0 to 255": (Image.fromarray(np.full((7, 9), 100.2, np.float32)), "TIFF", (100, 100, 100)),
    "float black": (Image.fromarray(np.zeros((7, 9), np.float32)), "TIFF", (0, 0, 0)),
}


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("want", [None, SIDE])
def test_every_mode_becomes_rgb(name, want):
    image, format, expected = MODES[name]
    result = decode(encoded(image, format), want)
    assert (result.mode, result.size) == ("RGB", (9, 7))
    assert near(result.getpixel((4, 3)), expected, 3)


def test_a_transparent_palette_colour_lies_on_white():
    image = Image.new("P", (9, 7), 1)
    image.putpalette([*RED, *GREEN])
    assert decode(encoded(image, "PNG", transparency=1)).getpixel((4, 3)) == (255, 255, 255)
    assert decode(encoded(image, "GIF", transparency=0)).getpixel((4, 3)) == GREEN


def test_a_large_transparent_or_16_bit_picture_keeps_its_look_when_shrunk():
    clear = Image.new("RGBA", (2300, 1700), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (1150, 0, 2300, 1700))
    assert near(to_square(decode(encoded(clear, "PNG", compress_level=1), SIDE))[128, [20, 235]], [[255] * 3, BLUE], 40)
    ramp = Image.fromarray(np.resize(np.arange(65536, dtype=np.uint16), (1700, 65536))[:, ::28].copy())
    row = to_square(decode(encoded(ramp, "PNG", compress_level=1), SIDE))[128, :, 0]
    assert near(row, np.arange(256), 2)


@pytest.mark.parametrize("value", [-1, 70_000, float("nan"), float("inf")])
def test_brightness_without_a_white_is_refused(value):
    values = np.full((7, 9), value, np.float32)
    with pytest.raises(ImageError, match="brightness"):
        decode(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation_is_taken(format):
    frames = [Image.new("RGB", (64, 48), colour) for colour in (RED, GREEN, BLUE)]
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert near(decode(content).getpixel((30, 20)), RED, 25)


def test_heic_from_a_phone_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(corners(), "HEIF", exif=exif.tobytes())  # turns the pixels, as phones do
    assert near(quarters(decode(content)), [BLUE, RED, GREY, GREEN], 20)


TURNED = {
    1: [RED, GREEN, BLUE, GREY],
    2: [GREEN, RED, GREY, BLUE],
    3: [GREY, BLUE, GREEN, RED],
    4: [BLUE, GREY, RED, GREEN],
    5: [RED, BLUE, GREEN, GREY],
    6: [BLUE, RED, GREY, GREEN],
    7: [GREY, GREEN, BLUE, RED],
    8: [GREEN, GREY, RED, BLUE],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pixels_are_turned_as_the_orientation_mark_says(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(corners(2048, 1536), format, exif=exif)
    for want in (None, 256):
        image, size = decode_sized(content, want)
        assert size == ((2048, 1536) if orientation <= 4 else (1536, 2048))
        assert (image.width > image.height) == (orientation <= 4)
        assert near(quarters(image), TURNED[orientation], 40)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + bytes(20),
        b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 40,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\0\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
        b"Exif\0\0" + b"A" * 60_000,
    ],
    ids=["zeros", "offsets outside", "a huge text", "orientation 99", "60 kB of A"],
)
def test_a_damaged_exif_block_does_not_cost_the_photo(exif):
    plain = encoded(corners(), "JPEG")
    assert near(quarters(decode(encoded(corners(), "JPEG", exif=exif))), quarters(decode(plain)), 0)


def test_colour_profiles_and_comments_do_no_harm():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (profile, b"not a profile", b"\0" * 200_000):
        assert near(quarters(decode(encoded(corners(), "JPEG", icc_profile=icc))), [RED, GREEN, BLUE, GREY])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (20000, 3), (3, 20000), (257, 255)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_any_shape_becomes_a_square_and_back(size, format):
    image = decode(encoded(Image.new("RGB", size, GREEN), format), SIDE)
    assert image.size == size
    square = to_square(image)
    assert (square.shape, square.dtype) == ((SIDE, SIDE, 3), np.uint8)
    back = from_square(square, size[0] / size[1])
    assert max(back.size) == SIDE
    assert min(back.size) >= 1
    assert near(back.getpixel((0, 0)), GREEN)


@given(width=st.integers(1, 700), height=st.integers(1, 700), longest=st.integers(1, 600))
@settings(max_examples=40, deadline=None)
def test_from_square_undoes_to_square(width, height, longest):
    back = from_square(to_square(corners(max(width, 2), max(height, 2))), width / height, longest)
    assert max(back.size) == longest
    exact = (longest, longest * height / width) if width >= height else (longest * width / height, longest)
    assert all(abs(side - max(1, wanted)) <= 0.5 for side, wanted in zip(back.size, exact, strict=True))
    if min(width, height, longest) > 100 and 0.5 < width / height < 2:
        assert near(quarters(back), [RED, GREEN, BLUE, GREY])


@given(
    size=st.tuples(st.integers(1, 1400), st.integers(1, 1400)),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"]),
    format=st.sampled_from(["TIFF", "PNG", "JPEG", "WEBP", "GIF", "BMP"]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_pillow_can_write_is_read_with_its_size(size, mode, format):
    try:
        content = encoded(Image.new(mode, size), format)
    except (OSError, KeyError, ValueError):
        return
    image, full = decode_sized(content, SIDE)
    assert (image.mode, full) == ("RGB", size)
    assert min(image.size) >= min(SIDE, *size)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_skipping_detail_gives_nearly_the_same_picture_and_the_full_size(format):
    photo = noise(160, 120).resize((2400, 1800), Image.Resampling.BICUBIC)
    content = encoded(photo, format)
    quick, size = decode_sized(content, SIDE)
    assert size == (2400, 1800)
    assert quick.size == (600, 450) if format == "JPEG" else quick.width < 2400
    difference = np.abs(to_square(quick).astype(int) - to_square(decode(content)))
    assert difference.mean() < 2


def test_to_jpeg_writes_what_decode_reads():
    assert near(quarters(decode(to_jpeg(corners()))), [RED, GREEN, BLUE, GREY], 20)


# What is refused


HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
REFUSED = {
    "nothing": (b"", "empty"),
    "text": (b"this is not a photo", "known format"),
    "a web page": (HTML, "known format"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "known format"),
    "a drawing as SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "known format"),
    "a program in PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "known format"),
    "zeros": (bytes(5000), "known format"),
    "a JPEG's first two bytes": (b"\xff\xd8", "known format"),
    "a PNG's signature alone": (b"\x89PNG\r\n\x1a\n", "known format"),
    "half a JPEG": (encoded(noise(), "JPEG")[:3000], "cut off"),
    "half a PNG": (encoded(noise(), "PNG")[:3000], "cut off|damaged"),
    "a PNG that claims 50000 x 50000": (png(50_000, 50_000), "too large"),
    "a PNG that claims 2^31 x 2^31": (png(2**31 - 1, 2**31 - 1), "too large"),
    "a PNG without width": (png(0, 10), "damaged|known format"),
    "a PNG without pixels": (png(10, 10), "cut off|damaged"),
    "a GIF that claims 65535 x 65535": (gif(65535, 65535), "too large"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("as_file", [False, True])
def test_what_is_no_photo_is_refused_with_its_reason(name, as_file, tmp_path):
    content, reason = REFUSED[name]
    source = content
    if as_file:
        source = tmp_path / "flower.jpg"
        source.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        decode(source, SIDE)
    assert caught.value.where == (source if as_file else None)


def links_and_pipes(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "endless.jpg").symlink_to("/dev/zero")
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "huge.jpg").touch()
    os.truncate(folder / "huge.jpg", 5 * 2**30)
    return {
        "folder.jpg": (folder / "folder.jpg", "folder"),
        "pipe.jpg": (folder / "pipe.jpg", "not a plain file"),
        "endless.jpg": (folder / "endless.jpg", "not a plain file"),
        "dangling.jpg": (folder / "dangling.jpg", "no such file"),
        "loop.jpg": (folder / "loop.jpg", "can't be read"),
        "huge.jpg": (folder / "huge.jpg", r"too large \(5.0 GB\)"),
        "missing": (folder / "missing.jpg", "no such file"),
        "below a file": (folder / "huge.jpg" / "x.jpg", "no such file"),
        "a name that is too long": (folder / ("x" * 5000), "can't be read"),
        "a zero in the name": (folder / "a\0b.jpg", "damaged"),
    }


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path):
    for path, reason in links_and_pipes(tmp_path).values():
        with pytest.raises(ImageError, match=reason):
            decode(path)


def test_a_link_to_a_photo_is_a_photo(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(corners(), "JPEG"))
    (tmp_path / "link.jpg").symlink_to(tmp_path / "photo.jpg")
    assert decode(tmp_path / "link.jpg").size == (64, 48)


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path):
    """In a process of its own with 700 MB of address space above what the imports took."""
    rows = zlib.compressobj(1)
    line = bytes(1 + 3 * 30_000)
    packed = b"".join(rows.compress(line) for _ in range(10_000)) + rows.flush()
    bomb = png(30_000, 10_000)
    empty = zlib.compress(b"")
    chunk = struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    bomb = bomb.replace(
        struct.pack(">I", len(empty)) + b"IDAT" + empty + struct.pack(">I", zlib.crc32(b"IDAT" + empty)), chunk
    )
    (tmp_path / "real.png").write_bytes(bomb)
    (tmp_path / "canvas.gif").write_bytes(gif(65535, 65535))
    program = """if True:
        import resource, sys
        from pathlib import Path
        from flowers_core import images
        images.decode(images.to_jpeg(images.Image.new("RGB", (9, 9))))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 700 * 2**20,) * 2)
        for path in sys.argv[1:]:
            try:
                images.decode(Path(path), 256)
            except images.ImageError as error:
                print(error.what)
    """
    paths = [str(tmp_path / "real.png"), str(tmp_path / "canvas.gif")]
    done = subprocess.run([sys.executable, "-c", program, *paths], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["The picture is too large (over 200 million pixels)"] * 2
    assert done.stderr == ""


def fuzzed(seed: int) -> bytes:
    """A valid picture with bytes changed, cut out, doubled or cut off."""
    chance = random.Random(seed)
    format = chance.choice(FORMATS)
    options = {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}
    if format in ("GIF", "WEBP", "PNG", "TIFF") and chance.random() < 0.3:
        options = {"save_all": True, "append_images": [corners()]}
    if format == "TIFF":
        options["compression"] = chance.choice(["raw", "tiff_deflate", "tiff_lzw", "jpeg", "packbits"])
    content = bytearray(encoded(noise(), format, **options if format not in ("BMP", "GIF") else {}))
    for _ in range(chance.choice([1, 3, 30])):
        reach = chance.choice([60, 400, len(content)])  # headers are where the harm is
        at = chance.randrange(min(reach, len(content)))
        deed = chance.randrange(5)
        if deed <= 1:
            content[at] = chance.choice([0, 255, 127, 128, chance.randrange(256)])
        elif deed == 2:
            content[at : at + 4] = chance.randbytes(4)
        elif deed == 3:
            del content[at : at + chance.randrange(1, 50)]
        else:
            content[at:at] = content[at : at + chance.randrange(1, 50)]
        if not content:
            break
    return bytes(content)


def survives(content: bytes) -> bool:
    """Decodes to a sound picture, or is refused."""
    try:
        image = decode(content, SIDE)
    except ImageError:
        return False
    assert image.mode == "RGB"
    assert to_square(image).shape == (SIDE, SIDE, 3)
    return True


@pytest.mark.timeout(120)
@pytest.mark.parametrize("start", range(0, 400, 100))
def test_damaged_bytes_give_an_image_error_and_nothing_else(start, capfd):
    outcomes = [survives(fuzzed(seed)) for seed in range(start, start + 100)]
    assert 0 < sum(outcomes) < len(outcomes)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("format", FORMATS)
def test_files_cut_off_anywhere_give_an_image_error_and_nothing_else(format):
    content = encoded(noise(), format)
    cuts = sorted({*range(1, 40), *np.linspace(40, len(content) - 1, 40).astype(int)})
    outcomes = [survives(content[:cut]) for cut in cuts]
    assert not any(outcomes[:40]), "a picture's first bytes are no picture"
    assert survives(content)


def test_decoding_in_threads_leaves_pythons_warnings_as_they_were():
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(survives, [fuzzed(seed) for seed in range(40)]))
    assert warnings.filters == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_closed_to_us_says_so(tmp_path):
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(corners(), "JPEG"))
    path.chmod(0)
    with pytest.raises(ImageError, match="No permission"):
        decode(path)
