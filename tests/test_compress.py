"""A network made small answers as before, is saved and loaded small, and can be trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowers_core.evaluation.predict import Classifier
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.network.alexnet import build
from flowers_core.network.checkpoint import Card
from flowers_core.network.compress import compress

CLASSES = ("daffodil", "rose", "sunflower")
TRANSFORM = {
    "size": 224,
    "window": 0.875,
    "views": "centre",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 48)


@pytest.fixture
def network() -> alexnet.AlexNet:
    torch.manual_seed(0)
    return build("2014", 3).eval()


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand(80, 9216, generator=torch.Generator().manual_seed(1))


def test_the_higher_the_rank_the_closer_the_answers(network, features) -> None:
    with torch.inference_mode():
        full = network.classifier(features)
        errors = [
            (compress(network, features, rank).classifier(features) - full).abs().max().item() for rank in (4, 16, 48)
        ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4 < errors[0]


def test_it_is_small_on_disk_and_answers_the_same_after_loading(network, features, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    small = compress(network, features, 8)
    checkpoint.save(path, checkpoint.shrink(small), Card("2014", CLASSES, TRANSFORM))
    checkpoint.save(tmp_path / "full.safetensors", checkpoint.shrink(network), Card("2014", CLASSES, TRANSFORM))
    assert (tmp_path / "full.safetensors").stat().st_size - path.stat().st_size > 2 * 9216 * (48 - 10)
    loaded, _ = checkpoint.load(path)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert torch.allclose(loaded(images), small(images), atol=2e-3)
    picture = Image.fromarray(np.full((80, 120, 3), 90, np.uint8))
    assert len(Classifier(path).classify(picture).top) == 3


def test_a_training_can_start_from_it_with_full_layers(network, features, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    small = compress(network, features, 8)
    checkpoint.save(path, checkpoint.shrink(small), Card("2014", CLASSES, TRANSFORM))
    fresh = build("2014", 3).eval()
    assert starts.start_weights(fresh, str(path), CLASSES)
    with torch.inference_mode():
        assert torch.allclose(fresh.classifier(features), small.classifier(features), atol=5e-3)


def test_a_product_whose_parts_do_not_fit_is_refused(network, features, tmp_path: Path) -> None:
    weights = checkpoint.shrink(compress(network, features, 8))
    weights["classifier.1.up.weight"] = weights["classifier.1.up.weight"][:, :5].contiguous()
    checkpoint.save(tmp_path / "odd.safetensors", weights, Card("2014", CLASSES, TRANSFORM))
    with pytest.raises(checkpoint.CheckpointError, match="don't fit"):
        checkpoint.load(tmp_path / "odd.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match="lacks weights"):
        starts.start_weights(build("2014", 3), str(tmp_path / "odd.safetensors"), CLASSES)
