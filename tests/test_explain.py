"""Explanations under test: heat lies on the flower, hiding it costs the answer, and views lie where they were cut."""

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import KINDS, draw_set
from PIL import Image, ImageFilter

from flowers_core import garden
from flowers_core.evaluation import explain, similar
from flowers_core.evaluation.predict import Classifier
from flowers_core.images import to_square
from flowers_core.images.augment import STRENGTHS, EvalTransform
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.photos.cache import decode_source
from flowers_core.photos.dataset import select
from flowers_core.sources import open_source
from flowers_core.training import head_start
from flowers_core.training.views import Views

CORNERS = [(0.3, 0.3), (0.7, 0.3), (0.3, 0.7), (0.7, 0.7)]
VIEWS = ("centre", "ten", "scales")


@pytest.fixture(scope="module", autouse=True)
def _few_hidden_units() -> Iterator[None]:
    """Hidden layers of 512 instead of 4096: what is explained are the convolutions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alexnet, "HIDDEN", 512)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classifier]:
    """A model that knows three drawn kinds from one another: ImageNet's convolutions and least squares behind them."""
    folder = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERS_HOME", str(folder / "home"))
        decoded = decode_source(open_source(draw_set(folder / "set", {"Train": 6, "Valid": 1}, size=128)))
        network = alexnet.build("2014", len(KINDS))
        starts.start_weights(network, "imagenet")
        views = Views(network, select(decoded, "train"), EvalTransform(), STRENGTHS["light"])
        head_start.apply(views, torch.Generator().manual_seed(0))
        card = checkpoint.Card("2014", KINDS, asdict(EvalTransform(views="centre")))
        checkpoint.save(folder / "best.safetensors", checkpoint.shrink(network), card)
        yield Classifier(folder / "best.safetensors")


def planted(kind: str, seed: int, corner: tuple[float, float], aspect: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A flower on a lawn: the photo's square, and a mask of where the flower is."""
    width, height = (round(400 * aspect), 400) if aspect >= 1 else (400, round(400 / aspect))
    noise = np.random.default_rng(seed).normal(0, 14, (height, width, 1)) + np.array([78, 112, 62])
    photo = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5))
    flower = garden.draw(kind, seed, 170)
    side = min(width, height)
    left = round(width / 2 + (corner[0] - 0.5) * side - 85)
    top = round(height / 2 + (corner[1] - 0.5) * side - 85)
    photo.paste(flower, (left, top))
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + 170, left : left + 170] = 255
    return to_square(photo), np.asarray(Image.fromarray(mask).resize((256, 256), Image.Resampling.BOX)) > 127


def mass_on(mask: np.ndarray, heat: explain.HeatMap) -> float:
    """Share of the heat that lies on the mask, over the share that evenly spread heat would have there: 1 is chance."""
    even = (mask & heat.seen).sum() / heat.seen.sum()
    return float(heat.values[mask].sum() / heat.values.sum() / even)


def test_heat_lies_on_the_flower_wherever_it_stands(trained: Classifier) -> None:
    found = []
    for kind in KINDS:
        for corner in CORNERS:
            square, mask = planted(kind, 31, corner)
            heat = explain.grad_cam(trained, square, 1.0, KINDS.index(kind))
            assert heat.values.shape == (256, 256)
            assert heat.values.min() >= 0
            assert heat.values.max() == pytest.approx(1)
            found.append(mass_on(mask, heat))
    assert np.median(found) > 2
    assert min(found) > 1.2


@pytest.mark.parametrize("aspect", [0.6, 1.6])
def test_heat_lies_where_the_windows_were_cut(trained: Classifier, aspect: float) -> None:
    square, mask = planted("sunflower", 31, (0.3, 0.7), aspect)
    scales = copy.copy(trained)
    scales.transform = EvalTransform(views="scales")
    heat = explain.grad_cam(scales, square, aspect, KINDS.index("sunflower"))
    assert mass_on(mask, heat) > 1.5
    across, down = heat.seen.any(0).mean(), heat.seen.any(1).mean()
    assert (across, down) == pytest.approx((min(1, 1 / aspect), min(1, aspect)), abs=0.01)
    assert heat.values[~heat.seen].max() == 0


def test_hiding_the_hottest_part_costs_more_than_the_coldest(trained: Classifier) -> None:
    drops = {"hot": [], "cold": []}
    for kind in KINDS:
        for seed, corner in enumerate(CORNERS, start=31):
            square, _ = planted(kind, seed, corner)
            label = KINDS.index(kind)
            heat = explain.grad_cam(trained, square, 1.0, label)
            before = trained.probabilities(square[None], np.ones(1))[0, label]
            sums = np.asarray(Image.fromarray(heat.values).reduce(32))  # 8 x 8 places
            for which, at in (("hot", sums.argmax()), ("cold", np.where(sums >= 0, sums, 9).argmin())):
                y, x = divmod(int(at), 8)
                hidden = square.copy()
                hidden[max(0, 32 * y - 24) : 32 * y + 56, max(0, 32 * x - 24) : 32 * x + 56] = (124, 116, 104)
                drops[which].append(before - trained.probabilities(hidden[None], np.ones(1))[0, label])
    assert np.mean(drops["hot"]) > np.mean(drops["cold"]) + 0.05
    assert np.mean(np.array(drops["hot"]) > np.array(drops["cold"])) >= 0.75


def test_the_occlusion_scan_finds_the_flower_and_tells_how_far_it_is(trained: Classifier) -> None:
    told = []
    square, mask = planted("rose", 31, (0.3, 0.3), 1.4)
    label = int(trained.probabilities(square[None], np.array([1.4]))[0].argmax())
    heat = explain.occlusion(trained, square, 1.4, label, lambda done, total: told.append((done, total)))
    assert told[0] == (0, explain.PLACES**2)
    assert told[-1] == (explain.PLACES**2, explain.PLACES**2)
    assert 0 < heat.peak <= 1
    assert mass_on(mask, heat) > 1.3


def test_no_seam_shows_where_views_end(trained: Classifier) -> None:
    scales = copy.copy(trained)
    scales.transform = EvalTransform(views="scales")
    for kind in KINDS:
        square, _ = planted(kind, 31, (0.4, 0.6))
        values = explain.grad_cam(scales, square, 1.0, KINDS.index(kind)).values
        steps = max(float(np.abs(np.diff(values, axis=axis)).max()) for axis in (0, 1))
        assert steps < 0.1, "from one pixel to the next"


def test_a_scan_in_which_nothing_matters_stays_dim(trained: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def hardly(self, squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
        return np.array([[0.9 + 0.01 * (square[100, 100, 0] == 200)] for square in squares])

    monkeypatch.setattr(Classifier, "probabilities", hardly)
    heat = explain.occlusion(trained, np.full((256, 256, 3), 200, np.uint8), 1.0, 0)
    assert heat.peak == pytest.approx(0.01)
    assert heat.values.max() == pytest.approx(0.2), "a fifth of what would matter"


@pytest.mark.parametrize("views", VIEWS)
def test_a_bright_cell_is_laid_over_the_pixels_that_it_saw(views: str, trained: Classifier) -> None:
    """A network whose last maps are but the local brightness: its heat must lie on a white disc, to a cell's width."""
    probe = _brightness_probe(views)
    for aspect, (x, y) in ((1.0, (0.4, 0.62)), (1.5, (0.55, 0.4)), (0.7, (0.45, 0.6))):
        square = np.zeros((256, 256, 3), np.uint8)
        ys, xs = (np.mgrid[0:256, 0:256] + 0.5) / 256
        wide, high = max(1, aspect), max(1, 1 / aspect)
        square[((xs - x) * wide) ** 2 + ((ys - y) * high) ** 2 < 0.06**2] = 255
        heat = explain.grad_cam(probe, square, aspect, 0).values
        middle = (heat * xs).sum() / heat.sum(), (heat * ys).sum() / heat.sum()
        assert middle == pytest.approx((x, y), abs=0.03), aspect  # pooling favours one of two cells as bright


def _brightness_probe(views: str) -> Classifier:
    network = alexnet.build("2014", 2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    channels = [layer for layer in network.features if isinstance(layer, torch.nn.Conv2d)]
    for layer in channels:
        middle = layer.kernel_size[0] // 2
        if layer is channels[0]:
            layer.weight.data[0] = 1 / layer.weight[0].numel()
        else:
            layer.weight.data[0, 0, middle, middle] = 1
    first, second, output = (layer for layer in network.classifier if isinstance(layer, torch.nn.Linear))
    first.weight.data[0, :36] = 1  # channel 0, every place
    second.weight.data[0, 0] = output.weight.data[0, 0] = 1
    probe = Classifier.__new__(Classifier)
    probe.network = network.eval().requires_grad_(False)
    probe.transform = EvalTransform(views=views, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    probe.device, probe.dtype = torch.device("cpu"), torch.float32
    return probe


def test_cells_of_alexnet_lie_16_pixels_apart() -> None:
    network = alexnet.build("2014", 2)
    # Worked out by hand from the table of layers.
    assert explain.cell_centres(network.features[: network.convolving]) == (15.5, 16.0)


def test_a_class_that_nothing_speaks_for_has_no_heat_and_still_a_picture() -> None:
    probe = _brightness_probe("centre")
    heat = explain.grad_cam(probe, np.full((256, 256, 3), 200, np.uint8), 1.3, 1)
    assert heat.peak == 0
    assert not heat.values.any()
    assert explain.overlay(np.full((256, 256, 3), 200, np.uint8), 1.3, heat).size == (512, 394)


def test_the_overlay_is_hot_at_the_heat_and_dark_where_nobody_looked() -> None:
    values, seen = np.zeros((256, 256), np.float32), np.zeros((256, 256), bool)
    values[100:120, 140:160], seen[:, 64:192] = 1, True
    picture = np.asarray(explain.overlay(np.full((256, 256, 3), 128, np.uint8), 2.0, explain.HeatMap(values, seen, 1)))
    assert picture.shape == (256, 512, 3)
    assert picture[110, 300, 0] > picture[200, 300, 0] + 30
    assert picture[110, 60].max() < picture[200, 300].min()


@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_every_variant_can_be_explained(variant: str) -> None:
    probe = _brightness_probe("centre")
    probe.network = alexnet.build(variant, 3).eval().requires_grad_(False)
    square = to_square(garden.draw("rose", 1, 96))
    heats = [explain.grad_cam(probe, square, 1.0, label).values for label in range(3)]
    assert np.isfinite(heats).all()
    assert np.max(heats) == pytest.approx(1), "with fresh weights, something speaks for one class or another"


# The second reader


@pytest.fixture
def read() -> alexnet.AlexNet:
    """A network with a reader; 2012's convolutions let through something of every map."""
    torch.manual_seed(0)
    network = alexnet.build("2012", 3).eval()
    network.add_reader()
    return network


def test_the_heat_is_made_of_the_gradient_of_the_logit_that_decides(read: alexnet.AlexNet) -> None:
    kept = []
    images = torch.randn(2, 3, 224, 224, requires_grad=True)
    hook = read.features[read.convolving - 1].register_forward_hook(lambda *given: kept.append(given[2]))
    logits = read(images)
    hook.remove()
    (last,) = kept
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), last)
    found = explain.evidence(read, images.detach(), 1)
    assert torch.allclose(found, (gradient * last).sum(1), rtol=1e-4, atol=1e-6)
    reader, read.reader = read.reader, None
    assert not torch.allclose(explain.evidence(read, images.detach(), 1), found, rtol=0.1)
    read.reader = reader


@pytest.mark.parametrize("spread", [False, True], ids=["mean", "standard deviation"])
def test_the_heat_sums_to_half_of_what_the_reader_says_of_these_maps(read: alexnet.AlexNet, spread: bool) -> None:
    """Square roots are homogeneous of degree 1/2: Euler's theorem. A mean gradient would say 0 of deviations."""
    torch.nn.init.zeros_(read.classifier[-1].weight)
    filters = read.summary_filters[-1]
    columns = slice(-filters, None) if spread else slice(-2 * filters, -filters)
    only = torch.zeros_like(read.reader.weight)
    only[:, columns] = read.reader.weight[:, columns].detach()
    read.add_reader(only, torch.zeros(3))
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        said = read.reader(read.fc_logits_and_summary(images)[1])[:, 2]
    assert said.abs().min() > 0.01
    assert torch.allclose(explain.evidence(read, images, 2).sum((1, 2)), said / 2, rtol=1e-3)


def test_maps_in_which_nothing_lights_up_spoil_no_heat() -> None:
    probe, square = _brightness_probe("centre"), to_square(garden.draw("rose", 1, 96))
    before = explain.grad_cam(probe, square, 1.0, 0)
    assert before.peak > 0
    probe.network.add_reader(torch.zeros(2, 2 * sum(probe.network.summary_filters)), torch.zeros(2))
    assert np.array_equal(explain.grad_cam(probe, square, 1.0, 0).values, before.values)


def test_a_model_with_a_reader_has_another_heat_map(trained: Classifier) -> None:
    square, _ = planted("rose", 31, (0.3, 0.3))
    both = copy.copy(trained)
    both.network = copy.deepcopy(trained.network)
    columns = 2 * sum(both.network.summary_filters)
    both.network.add_reader(torch.randn(3, columns, generator=torch.Generator().manual_seed(0)), torch.zeros(3))
    both.network.requires_grad_(False)
    without, joined = (explain.grad_cam(each, square, 1.0, 1).values for each in (trained, both))
    assert joined.max() == pytest.approx(1)
    assert np.abs(joined - without).max() > 0.05


# Similar photos


def test_the_most_similar_training_photo_of_a_training_photo_is_itself(trained: Classifier, tmp_path: Path) -> None:
    decoded = decode_source(open_source(draw_set(tmp_path / "set", {"Train": 3, "Valid": 2}, size=96)))
    album = similar.build(trained, decoded)
    assert len(album.names) == 9
    hits = []
    for i, photo in enumerate(decoded.source.photos):
        hidden = similar.hidden_features(trained, decoded.square(i)[None], np.ones(1))[0]
        found = album.nearest(hidden, 4)
        assert [n.similarity for n in found] == sorted((n.similarity for n in found), reverse=True)
        if photo.split == "train":
            assert (found[0].name, found[0].similarity) == (photo.name, pytest.approx(1, abs=1e-3))
            hits.append(found[1].kind == decoded.source.classes[photo.label])
    assert np.mean(hits) > 0.6, "a photo's nearest other is mostly of its kind"


def test_an_album_is_kept_and_a_damaged_one_is_none(trained: Classifier, tmp_path: Path) -> None:
    decoded = decode_source(open_source(draw_set(tmp_path / "set", {"Train": 2, "Valid": 1}, size=48)))
    album = similar.build(trained, decoded)
    path = similar.own_path(trained.path, decoded)
    similar.save(album, path)
    again = similar.load(path)
    hidden = similar.hidden_features(trained, decoded.square(0)[None], np.ones(1))[0]
    assert [n.name for n in again.nearest(hidden)] == [n.name for n in album.nearest(hidden)]
    path.write_bytes(path.read_bytes()[:-100])
    assert similar.load(path) is None
    assert similar.load(tmp_path / "none") is None
    first = decoded.source.photos[0].path
    first.rename(first.with_name(f"renamed-{first.name}"))
    assert path != similar.own_path(trained.path, decode_source(open_source(tmp_path / "set"))), "it knows names"


def test_an_album_of_many_photos_keeps_a_share_of_each_kind(
    trained: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar, "MOST_PHOTOS", 6)
    decoded = decode_source(open_source(draw_set(tmp_path / "set", {"Train": 4, "Valid": 1}, size=48)))
    album = similar.build(trained, decoded)
    assert sorted(album.kinds) == sorted([*KINDS, *KINDS])
