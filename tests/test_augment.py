"""Windows cut from squeezed squares are the photo's own; chance is seeded, per photo, and stays in bounds."""

import numpy as np
import pytest
import torch
from PIL import Image

from flowers_core import garden
from flowers_core.images import to_square
from flowers_core.images.augment import (
    STRENGTHS,
    EvalTransform,
    TrainTransform,
    cut,
    denormalise,
    eval_views,
    stacked_views,
    train_batch,
)

PLAIN = EvalTransform(views="centre", window=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def squares_of(*pictures: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    squares = torch.from_numpy(np.stack([to_square(picture) for picture in pictures]))
    return squares, torch.tensor([p.width / p.height for p in pictures])


def as_array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=np.float32) / 255


def test_the_centre_view_is_what_pillow_would_cut_whatever_the_photos_shape() -> None:
    flower = garden.draw("daffodil", 1, 256)
    for width, height in [(256, 256), (400, 256), (256, 400)]:
        photo = flower.resize((width, height), Image.Resampling.BICUBIC)
        (view,) = eval_views(*squares_of(photo), PLAIN)
        left, top = (width - 256) // 2, (height - 256) // 2
        expected = photo.crop((left, top, left + 256, top + 256)).resize((224, 224), Image.Resampling.BILINEAR)
        difference = np.abs(view[0].permute(1, 2, 0).numpy() - as_array(expected))
        assert difference.mean() < 0.02, (width, height)


def test_a_circle_stays_a_circle_in_a_wide_photo() -> None:
    wide = Image.new("RGB", (512, 256), "black")
    wide.paste("white", (206, 78, 306, 178))
    (view,) = eval_views(*squares_of(wide), PLAIN)
    lit = view[0, 0] > 0.5
    assert lit.any(0).sum().item() == pytest.approx(lit.any(1).sum().item(), abs=2)


def test_mirroring_mirrors_and_turning_turns() -> None:
    photo = Image.new("RGB", (256, 256), "black")
    photo.paste("white", (0, 0, 128, 128))  # the left upper quarter
    squares, aspects = squares_of(photo)
    one, zero = torch.ones(1), torch.zeros(1)

    def quarter(**changes: torch.Tensor) -> tuple[int, int]:
        window = {"width": one, "height": one, "centre_x": zero, "centre_y": zero, "angle": zero, **changes}
        image = cut(squares, aspects, size=64, **window)[0, 0]
        halves = image.reshape(2, 32, 2, 32).mean((1, 3))
        return divmod(int(halves.argmax()), 2)

    assert quarter() == (0, 0)
    assert quarter(width=-one) == (0, 1)
    assert quarter(angle=torch.tensor([torch.pi])) == (1, 1)


def test_ten_views_are_the_papers_centre_corners_and_mirror_images() -> None:
    squares, aspects = squares_of(garden.draw("rose", 1, 256))
    views = eval_views(squares, aspects, EvalTransform(views="ten"))
    assert len(views) == 10
    for view, mirrored in zip(views[::2], views[1::2], strict=True):
        torch.testing.assert_close(view, mirrored.flip(3), atol=1e-4, rtol=0)
    assert len({round(float(view.sum()), 1) for view in views[::2]}) == 5


@pytest.mark.parametrize("name", STRENGTHS)
def test_batches_are_seeded_bounded_and_channels_last(name: str) -> None:
    squares, aspects = squares_of(*(garden.draw("rose", seed, 128) for seed in range(4)))
    base = EvalTransform()

    def batch(seed: int) -> torch.Tensor:
        return train_batch(squares, aspects, STRENGTHS[name], base, torch.Generator().manual_seed(seed))

    images = batch(1)
    assert images.shape == (4, 3, 224, 224)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, batch(1))
    assert (name == "none") == torch.equal(images, batch(2))
    mean, std = torch.tensor(base.mean)[:, None, None], torch.tensor(base.std)[:, None, None]
    pixels = images * std + mean
    assert pixels.min() > -1e-4
    assert pixels.max() < 1 + 1e-4


def test_every_photo_of_a_batch_gets_its_own_variation() -> None:
    squares, aspects = squares_of(*[garden.draw("rose", 1, 128)] * 3)
    images = train_batch(squares, aspects, STRENGTHS["strong"], EvalTransform(), torch.Generator().manual_seed(0))
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])


def test_the_window_stays_inside_the_photo_unless_it_is_larger() -> None:
    photo = Image.new("RGB", (300, 200), "white")
    transform = TrainTransform(window_low=0.5, window_high=1.0)
    images = train_batch(*squares_of(*[photo] * 32), transform, PLAIN, torch.Generator().manual_seed(0))
    assert images.min() > 0.999


def test_the_papers_crops_stay_in_the_central_square() -> None:
    photo = Image.new("RGB", (512, 256), "black")
    photo.paste("white", (128, 0, 384, 256))
    images = train_batch(*squares_of(*[photo] * 32), STRENGTHS["paper"], PLAIN, torch.Generator().manual_seed(0))
    assert (images[:, :, :, 4:-4].mean((1, 2, 3)) > 0.9).all()


def test_denormalise_gives_back_what_a_person_would_see() -> None:
    squares, aspects = squares_of(garden.draw("sunflower", 1, 256))
    base = EvalTransform(views="centre", window=1.0)
    (normalised,) = eval_views(squares, aspects, base)
    (plain,) = eval_views(squares, aspects, PLAIN)
    shown = denormalise(normalised, base)
    assert shown.dtype == torch.uint8
    assert (shown[0].permute(2, 0, 1) / 255 - plain[0]).abs().max() < 0.01


@pytest.mark.parametrize("name", STRENGTHS)
def test_bfloat16_is_the_same_rounded(name: str) -> None:
    photos = squares_of(*(Image.effect_noise((90, 70 + n), 60).convert("RGB") for n in range(11)))  # more than a chunk
    exact, coarse = (
        train_batch(*photos, STRENGTHS[name], EvalTransform(), torch.Generator().manual_seed(1), dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert coarse.is_contiguous(memory_format=torch.channels_last)
    if STRENGTHS[name].blur:  # which computes in it, too
        torch.testing.assert_close(coarse.float(), exact, rtol=0.02, atol=0.03)
    else:
        assert torch.equal(coarse, exact.bfloat16())


@pytest.mark.parametrize("views", ["centre", "ten", "scales"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stacked_views_are_all_photos_first_views_then_their_second(views: str, dtype: torch.dtype) -> None:
    photos = squares_of(*(Image.effect_noise((90, 70 + n), 60).convert("RGB") for n in range(3)))
    transform = EvalTransform(views=views)
    apart = eval_views(*photos, transform)
    assert torch.equal(stacked_views(*photos, transform, dtype), torch.cat(apart).to(dtype))
    nothing = photos[0][:0], photos[1][:0]
    assert [len(view) for view in eval_views(*nothing, transform)] == [0] * len(apart)
