"""Convolutions in integers answer as those in float32 do, on every processor, and only where they are faster."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from flowers_core import garden
from flowers_core.evaluation.predict import Classifier, Square
from flowers_core.network import alexnet, int8
from flowers_core.network.int8 import Int8Conv
from flowers_core.network.prepacked import PrepackedConv
from flowers_core.storage import REPOSITORY

SHIPPED = REPOSITORY / "checkpoints" / "flowers30.safetensors"


def channels_last(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_every_variant_sees_nearly_the_same(variant: str) -> None:
    torch.manual_seed(0)
    network = alexnet.build(variant, 5).eval().requires_grad_(False)
    images = channels_last(3, 3, 224, 224) * 4 - 2
    exact = network.feature_maps(images)
    quantized = int8.converted(network)
    assert sum(isinstance(layer, Int8Conv) for layer in quantized.features) == 4
    assert quantized.classifier is network.classifier
    assert all(torch.equal(*pair) for pair in zip(network.feature_maps(images), exact, strict=True)), "it is as it was"
    for mine, theirs in zip(quantized.feature_maps(images), exact, strict=True):
        assert torch.linalg.norm(mine - theirs) < 0.03 * torch.linalg.norm(theirs)


def test_the_largest_sums_of_two_products_do_not_saturate() -> None:
    usual = nn.Conv2d(64, 16, 3, padding=1).requires_grad_(False)
    usual.weight.copy_(torch.where(torch.arange(16) % 2 == 0, 0.5, -0.25)[:, None, None, None].expand_as(usual.weight))
    images = torch.full((1, 64, 13, 13), 3.0).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(Int8Conv(usual)(images), usual(images), rtol=1e-5, atol=1e-4)


def test_a_picture_is_seen_as_if_it_were_alone() -> None:
    layer = Int8Conv(nn.Conv2d(48, 32, 5, padding=2, groups=2).requires_grad_(False))
    images = channels_last(3, 48, 27, 27) * torch.tensor([0.01, 1.0, 100.0])[:, None, None, None]
    together = layer(images)
    assert all(torch.equal(together[i : i + 1], layer(images[i : i + 1])) for i in range(3))


def test_darkness_is_the_bias_and_the_format_stays() -> None:
    usual = nn.Conv2d(8, 4, 3).requires_grad_(False)
    dark = torch.zeros(1, 8, 9, 9)
    torch.testing.assert_close(Int8Conv(usual)(dark), usual(dark))
    half = Int8Conv(usual.bfloat16())(dark.bfloat16())
    assert half.dtype == torch.bfloat16


def test_the_built_in_model_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("rose", "lotus", "sunflower", "azalea", "magnolia", "daffodil", "foxglove")
    photos = [Square.of(garden.draw(kind, seed, 128), kind) for kind in kinds for seed in (9, 10)]
    squares, aspects = np.stack([photo.pixels for photo in photos]), np.ones(len(photos))
    said, seen = {}, {}
    for wanted in (False, True):
        monkeypatch.setattr(int8, "is_faster", lambda number_format, wanted=wanted: wanted)
        said[wanted], seen[wanted] = Classifier(SHIPPED).see(squares, aspects)
    assert not np.array_equal(said[False], said[True]), "the same to the bit: nothing was quantized"
    for answers in (said, seen):
        assert np.linalg.norm(answers[True] - answers[False]) < 0.03 * np.linalg.norm(answers[False])


@pytest.mark.parametrize(("gain", "chosen"), [(1.05, False), (2.0, True)])
def test_only_what_is_clearly_faster_is_chosen(gain: float, chosen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        return now

    def takes(seconds: float):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            nonlocal now
            now += seconds
            return images

        return forward

    monkeypatch.setattr(int8.time, "perf_counter", clock)
    monkeypatch.setattr(PrepackedConv, "forward", takes(gain))
    monkeypatch.setattr(Int8Conv, "forward", takes(1.0))
    assert int8.is_faster.__wrapped__(torch.float32) is chosen


def test_a_torch_without_it_stays_with_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not int8.is_faster.__wrapped__(torch.float32)


def test_models_of_ones_own_answer_as_they_were_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "is_faster", lambda number_format: True)
    copy = tmp_path / "best.safetensors"
    copy.write_bytes(SHIPPED.read_bytes())
    layers = {path: Classifier(path).network.features for path in (copy, SHIPPED)}
    assert [sum(isinstance(layer, Int8Conv) for layer in layers[path]) for path in (copy, SHIPPED)] == [0, 4]


def test_weights_are_packed_once_for_each_size_and_number_of_threads() -> None:
    """Packed for other ones, oneDNN reorders them for every picture: 15 ms in place of 1."""
    layer, threads = Int8Conv(nn.Conv2d(64, 192, 5, padding=2)), torch.get_num_threads()
    answers = []
    try:
        for number in (1, 2, 1):
            torch.set_num_threads(number)
            answers += [layer(torch.ones(2, 64, side, side)).mean(1).shape for side in (27, 13)]
    finally:
        torch.set_num_threads(threads)
    assert len(layer.packed) == 4
    assert answers[:2] == answers[2:4]
