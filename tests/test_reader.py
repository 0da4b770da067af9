"""The second reader of the convolutions: solved in closed form, weighed where photos tell, kept in the model file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flowers_core import runs
from flowers_core.evaluation.predict import Classifier
from flowers_core.network import alexnet, checkpoint, reader
from flowers_core.photos.cache import decode_source
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.training import train


def clouds(n: int, middles: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Summaries whose square roots lie around a middle per kind, far wider along one direction that tells nothing."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(middles)
    roots = middles[labels] + 0.1 * torch.randn(n, middles.shape[1], generator=draws)
    roots[:, :2] += torch.randn(n, 1, generator=draws)
    return roots.clamp(min=0) ** 2, labels


def test_it_tells_kinds_apart_that_lie_nearer_than_they_vary() -> None:
    middles = 5 + 0.25 * torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    weight, bias = reader.fit(*clouds(400, middles, 1), 4, 400)
    asked, labels = clouds(400, middles, 2)
    answers = (asked.sqrt() @ weight.T + bias).argmax(1)
    assert (answers == labels).float().mean() > 0.95
    nearest = torch.cdist(asked.sqrt(), middles).argmin(1)
    assert (nearest == labels).float().mean() < 0.85, "it takes more than the nearest middle"


def test_one_photo_per_kind_and_columns_without_any_spread_do_no_harm() -> None:
    summaries = torch.ones(3, 8)
    summaries[:, 0] = torch.tensor([1.0, 4.0, 9.0])
    weight, bias = reader.fit(summaries, torch.arange(3), 3, 3)
    answers = summaries.sqrt() @ weight.T + bias
    assert answers.argmax(1).tolist() == [0, 1, 2]
    assert torch.isfinite(weight).all()


def test_its_weight_follows_from_what_it_adds() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 4
    truth = np.eye(4)[labels][:, None]
    weak = 1.5 * truth + random.normal(size=(200, 1, 4))
    assert reader.weigh(weak, 20 * random.normal(size=(200, 1, 4)), labels) == 0, "it knows nothing"
    assert reader.weigh(weak, 12 * truth + 4 * random.normal(size=(200, 1, 4)), labels) > 0
    assert reader.WEIGHTS[0] == reader.WEIGHT, "where all are as good, the usual one is taken"


def fitted(folder: Path, home: Path) -> Path:
    settings = replace(config.preset("quick"), epochs=1, data=str(folder))
    run = runs.create(settings, home / "run")
    train.fit(settings, decode_source(open_source(folder)), run)
    return run.checkpoint_path


@pytest.fixture
def trained(three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    return fitted(three_kinds, tmp_path)


def test_a_model_file_holds_it_and_the_answers_are_both_readers(trained: Path, tmp_path: Path) -> None:
    network, card = checkpoint.load(trained)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone, summary = network.fc_logits_and_summary(images)
        both, second = network(images), network.reader(summary)
    assert summary.shape == (2, 2 * (384 + 256 + 256))
    assert second.std() > 0
    assert torch.allclose(both, alone + second)
    checkpoint.save(tmp_path / "copy.safetensors", checkpoint.shrink(network), card)
    again, _ = checkpoint.load(tmp_path / "copy.safetensors", "bfloat16")
    assert torch.equal(again.reader.weight, network.reader.weight), "in float32, whatever the network computes in"
    logits, _ = Classifier(trained).see(np.full((1, 256, 256, 3), 90, np.uint8), np.ones(1))
    assert np.isfinite(logits).all()


def test_another_training_starts_from_it_with_a_reader_of_its_own(
    trained: Path, three_kinds: Path, tmp_path: Path
) -> None:
    settings = replace(config.preset("quick"), epochs=1, data=str(three_kinds), init=str(trained))
    run = runs.create(settings, tmp_path / "next")
    train.fit(settings, decode_source(open_source(three_kinds)), run)
    assert checkpoint.load(run.checkpoint_path)[0].reader is not None


def test_without_validation_photos_it_counts_as_usual(trained: Path, three_kinds: Path, tmp_path: Path) -> None:
    decoded = decode_source(open_source(three_kinds))
    photos = tuple(replace(photo, split="train") for photo in decoded.source.photos)
    decoded = replace(decoded, source=replace(decoded.source, photos=photos))
    settings = replace(config.preset("quick"), epochs=1, data=str(three_kinds))
    run = runs.create(settings, tmp_path / "all")
    train.fit(settings, decoded, run)
    network, card = checkpoint.load(run.checkpoint_path)
    assert network.reader is not None
    assert card.temperature == reader.TEMPERATURE
