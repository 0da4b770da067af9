"""Weights in oneDNN's own order change no bit of an answer."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from browser_app import save_model
from PIL import Image
from torch import nn

from flowers_core.evaluation import explain, similar
from flowers_core.evaluation.predict import Classifier, Square
from flowers_core.machine import precision
from flowers_core.network import alexnet, prepacked
from flowers_core.network.prepacked import PrepackedConv

FORMATS = [torch.float32, torch.bfloat16] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else [torch.float32]

needs_onednn = pytest.mark.skipif(not prepacked.is_available(), reason="this torch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("variant", alexnet.VARIANTS)
@torch.inference_mode()
def test_answers_are_the_same_to_the_bit(variant: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = alexnet.build(variant, 5).eval().to(dtype=dtype, memory_format=torch.channels_last)
    other = prepacked.converted(network, 2)
    assert sum(isinstance(layer, PrepackedConv) for layer in other.features) == 5
    assert not any(isinstance(layer, PrepackedConv) for layer in network.features), "it is as it was"
    for photos, packings in ((2, 1), (3, 1), (2, 1)):
        images = torch.randn(photos, 3, 224, 224, dtype=dtype).contiguous(memory_format=torch.channels_last)
        assert torch.equal(other(images), network(images))
        assert all(len(layer.packed) == packings for layer in other.features if isinstance(layer, PrepackedConv))
    assert torch.equal(copy.deepcopy(other)(images), network(images))


@needs_onednn
def test_gradients_and_other_formats_take_the_usual_way() -> None:
    layer = PrepackedConv(nn.Conv2d(8, 4, 3).requires_grad_(False), 1)
    images = torch.rand(1, 8, 9, 9, requires_grad=True)
    layer(images).sum().backward()
    assert images.grad.abs().sum() > 0
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(images.detach().bfloat16()).dtype == torch.bfloat16
    assert not layer.packed


def test_a_torch_without_it_keeps_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    network = alexnet.build("2014", 2)
    assert prepacked.converted(network, 1) is network


@needs_onednn
@pytest.mark.parametrize(("views", "count"), [("centre", 1), ("scales", 6)])
def test_a_classifier_packs_for_the_views_of_one_photo(views: str, count: int, tmp_path: Path) -> None:
    save_model(tmp_path / "best.safetensors", {"rose": 0.7, "lotus": 0.3}, views=views)
    classifier = Classifier(tmp_path / "best.safetensors")
    assert {layer.batch for layer in classifier.network.features if isinstance(layer, nn.Conv2d)} == {count}
    assert classifier.classify(Image.new("RGB", (90, 70))).top[0] == ("rose", pytest.approx(0.7, abs=0.01))
    assert all(layer.packed for layer in classifier.network.features if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("number_format", ["float32", "bfloat16"])
@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_every_variant_answers_in_every_number_format(
    variant: str, number_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch lacks some layers in bfloat16, which processors of this year choose and those of yesterday don't."""
    monkeypatch.setattr(precision, "choose", lambda wanted, device: number_format)
    save_model(tmp_path / "best.safetensors", {"rose": 0.7, "lotus": 0.3}, variant)
    classifier = Classifier(tmp_path / "best.safetensors")
    photo = Square.of(Image.radial_gradient("L").convert("RGB"), "photo")
    assert classifier.classify_squares([photo])[0].top[0] == ("rose", pytest.approx(0.7, abs=0.01))
    heat = explain.grad_cam(classifier, photo.pixels, 1.0, 0)
    assert heat.values.shape == photo.pixels.shape[:2]
    assert similar.hidden_features(classifier, photo.pixels[None], np.ones(1)).shape == (1, alexnet.HIDDEN)
