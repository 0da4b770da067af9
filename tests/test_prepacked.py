"""Weights in oneDNN's own order change no answer, and every variant answers in every number format."""

import copy
import os
import platform
import subprocess
import sys
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
from flowers_core.storage import REPOSITORY

needs_onednn = pytest.mark.skipif(not prepacked.is_available(), reason="this torch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("variant", alexnet.VARIANTS)
@torch.inference_mode()
def test_answers_stay_the_same(variant: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = alexnet.build(variant, 5).eval().to(dtype=dtype, memory_format=torch.channels_last)
    for batch in (1, 6):
        other = prepacked.converted(network, batch)
        layers = [layer for layer in other.features if isinstance(layer, PrepackedConv)]
        assert len(layers) == 5
        assert not other.training
        assert not any(isinstance(layer, PrepackedConv) for layer in network.features), "it is as it was"
        for photos in (batch, 3, batch):
            images = torch.randn(photos, 3, 224, 224, dtype=dtype).contiguous(memory_format=torch.channels_last)
            mine, theirs = other(images), network(images)
            if batch > 1 or dtype == torch.bfloat16:
                assert torch.equal(mine, theirs)
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
            assert all(len(layer.packed) == 1 for layer in layers), "packed once, and for that batch alone"
        assert torch.equal(copy.deepcopy(other)(images), mine)


@needs_onednn
def test_a_copy_has_weights_of_its_own() -> None:
    layer = PrepackedConv(nn.Conv2d(8, 4, 3).requires_grad_(False), 1)
    images = torch.rand(1, 8, 30, 30)
    before = layer(images)
    other = copy.deepcopy(layer)
    other.weight.zero_()
    assert torch.equal(other(images), other.bias.view(1, 4, 1, 1).expand_as(before))
    assert torch.equal(layer(images), before)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="only there oneDNN can play another processor"
)
def test_a_processor_without_bfloat16_computes_it_as_usual() -> None:
    program = (
        "import torch\n"
        "from flowers_core.network import int8\n"
        "from flowers_core.network.prepacked import PrepackedConv\n"
        "usual = torch.nn.Conv2d(64, 32, 3).bfloat16().requires_grad_(False)\n"
        "images = torch.rand(1, 64, 13, 13).bfloat16()\n"
        "assert torch.equal(PrepackedConv(usual, 1)(images), usual(images))\n"
        "int8.is_faster(torch.bfloat16)\n"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=environment).returncode == 0


@needs_onednn
def test_gradients_and_other_formats_take_the_usual_way() -> None:
    layer = PrepackedConv(nn.Conv2d(8, 4, 3), 1)
    layer(torch.rand(1, 8, 9, 9)).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
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
