"""Disturbed photos: each change against what it must do to a known picture, and what it must leave alone."""

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image, ImageDraw

from flowers_core import garden
from flowers_core.images import to_square
from flowers_core.images.disturb import AS_IT_IS, Disturbance, disturb

ASPECTS = (0.6, 1.0, 1.5)
EACH = (
    Disturbance(mirror=True), Disturbance(turn=30), Disturbance(scale=0.5), Disturbance(scale=2),
    Disturbance(move_x=0.2), Disturbance(move_y=-0.2), Disturbance(exposure=-1), Disturbance(blur=2),
    Disturbance(jpeg=20),
)  # fmt: skip


def dot(aspect: float, x: float, y: float, size: float = 0.06) -> np.ndarray:
    """The square of a black photo with a white disc at a place given in shares of its width and height."""
    width, height = (round(400 * aspect), 400) if aspect >= 1 else (400, round(400 / aspect))
    photo = Image.new("RGB", (width, height))
    radius = size * 400
    box = (x * width - radius, y * height - radius, x * width + radius, y * height + radius)
    ImageDraw.Draw(photo).ellipse(box, fill="white")
    return to_square(photo)


def place(square: np.ndarray) -> tuple[float, float]:
    """The middle of what is bright, in shares of width and height."""
    light = square.astype(float).mean(2)
    ys, xs = np.mgrid[0:256, 0:256]
    return ((xs + 0.5) * light).sum() / light.sum() / 256, ((ys + 0.5) * light).sum() / light.sum() / 256


def changed(square: np.ndarray, aspect: float, **change: float) -> np.ndarray:
    return disturb(square[None], np.array([aspect]), [Disturbance(**change)])[0]


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize(
    ("change", "x", "y"),
    [
        ({"mirror": True}, 0.4, 0.5),
        ({"move_x": 0.15, "move_y": -0.2}, 0.75, 0.3),
        ({"turn": 180}, 0.4, 0.5),
        ({"scale": 2}, 0.7, 0.5),
        ({"mirror": True, "scale": 2, "move_y": 0.25}, 0.3, 0.75),
        ({"turn": 180, "move_x": 0.2}, 0.6, 0.5),
    ],
    ids=str,
)
def test_what_is_at_a_place_goes_where_it_should(aspect: float, change: dict, x: float, y: float) -> None:
    assert place(changed(dot(aspect, 0.6, 0.5), aspect, **change)) == pytest.approx((x, y), abs=0.006)


def test_shrinking_shows_the_surroundings_mirrored() -> None:
    smaller = changed(dot(1.5, 0.6, 0.5), 1.5, scale=0.5)
    photo = np.zeros_like(smaller)
    photo[64:192, 64:192] = smaller[64:192, 64:192]
    assert place(photo) == pytest.approx((0.55, 0.5), abs=0.006)
    assert (smaller[64:192, :64] == smaller[64:192, 64:128][:, ::-1]).all()


@pytest.mark.parametrize("aspect", ASPECTS)
def test_a_turn_is_clockwise_and_rigid_in_photos_of_any_shape(aspect: float) -> None:
    width, height = max(1, aspect), max(1, 1 / aspect)  # in units of the shorter side
    for mirror, y in ((False, 0.5 + 0.2 / height), (True, 0.5 - 0.2 / height)):
        turned = changed(dot(aspect, 0.5 + 0.2 / width, 0.5), aspect, turn=90, mirror=mirror)
        strip = slice(round((y - 0.15) * 256), round((y + 0.15) * 256))  # mirrored edges show the disc again, elsewhere
        alone = np.zeros_like(turned)
        alone[strip, 80:176] = turned[strip, 80:176]
        assert place(alone) == pytest.approx((0.5, y), abs=0.006)


def test_a_disc_stays_round_and_grows_by_its_scale() -> None:
    before = dot(1.5, 0.5, 0.5).astype(float)
    after = changed(dot(1.5, 0.5, 0.5), 1.5, scale=2, turn=45).astype(float)
    assert after.sum() / before.sum() == pytest.approx(4, rel=0.02)
    xs, ys = (np.ptp(np.nonzero(after.mean(2).max(axis) > 128)[0]) for axis in (0, 1))
    assert ys / xs == pytest.approx(1.5, rel=0.05)  # squeezed along x, as the square is


def test_exposure_doubles_light_per_stop() -> None:
    grey = np.full((1, 256, 256, 3), 118, np.uint8)  # 18 % of the light
    for stops, value in ((1, 162), (-1, 85), (3, 255), (-12, 0)):
        assert disturb(grey, np.array([1.0]), [Disturbance(exposure=stops)]).max().item() == pytest.approx(value, abs=1)


def test_blur_is_as_wide_as_it_says_in_both_directions_of_the_photo() -> None:
    aspect, sd = 1.6, 6
    blurred = changed(dot(aspect, 0.5, 0.5, 0.01), aspect, blur=sd).astype(float).mean(2)
    sharp = dot(aspect, 0.5, 0.5, 0.01).astype(float).mean(2)
    for axis, squeeze in ((0, aspect), (1, 1.0)):
        variance = []
        for picture in (blurred, sharp):
            line = picture.sum(axis)
            middle = (np.arange(256) * line).sum() / line.sum()
            variance.append(((np.arange(256) - middle) ** 2 * line).sum() / line.sum())
        assert (variance[0] - variance[1]) ** 0.5 * squeeze == pytest.approx(sd, rel=0.12)


def test_lower_quality_differs_more() -> None:
    square = to_square(garden.draw("rose", 1, 256))
    gaps = [np.abs(changed(square, 1.0, jpeg=quality).astype(int) - square).mean() for quality in (95, 50, 10)]
    assert 0 < gaps[0] < gaps[1] < gaps[2] < 20


def test_nothing_to_do_leaves_every_bit_and_the_input_is_never_changed() -> None:
    squares = np.stack([to_square(garden.draw("rose", seed, 128)) for seed in range(3)])
    before = squares.copy()
    assert (disturb(squares, np.array(ASPECTS), [AS_IT_IS] * 3) == before).all()
    assert (disturb(squares, np.array(ASPECTS), [Disturbance(mirror=True)] * 3) == before[:, :, ::-1]).all()
    assert (squares == before).all()


def test_a_photo_is_changed_alike_alone_and_among_others() -> None:
    squares = np.stack([to_square(garden.draw("rose", seed, 128)) for seed in range(len(EACH))])
    aspects = np.linspace(0.6, 1.7, len(EACH))
    together = disturb(squares, aspects, EACH)
    for i, change in enumerate(EACH):
        assert (disturb(squares[i : i + 1], aspects[i : i + 1], [change])[0] == together[i]).all(), change
        assert (together[i] != squares[i]).any(), change
    assert {f.name for f in fields(Disturbance)} == {
        f.name for f in fields(Disturbance) if any(getattr(c, f.name) != f.default for c in EACH)
    }, "every field is tried"
