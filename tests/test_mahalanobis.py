"""What is none of the kinds is told by convolutions and logits together, in a model file as in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flowers_core import runs
from flowers_core.errors import CheckpointError
from flowers_core.evaluation.predict import Classifier
from flowers_core.network import alexnet, calibrate, checkpoint, mahalanobis, starts
from flowers_core.photos.cache import decode_source
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.storage import shipped_dir
from flowers_core.training import train


def clouds(random: np.random.Generator, n: int, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % len(middles)
    return (middles[labels] + random.normal(0, 0.1, (n, middles.shape[1]))) ** 2, labels


def test_photos_of_the_kinds_score_higher_than_strange_ones() -> None:
    random = np.random.default_rng(0)
    middles = random.uniform(1, 2, (4, 16))
    features, labels = clouds(random, 400, middles)
    space = mahalanobis.fit(features, labels, 4)
    new, _ = clouds(random, 400, middles)
    strange, _ = clouds(random, 400, random.uniform(1, 2, (40, 16)))
    silent = np.zeros((400, 4))
    limit = np.quantile(space.scores(new, silent, 1.0), 1 - calibrate.ACCEPTED)
    assert (space.scores(strange, silent, 1.0) >= limit).mean() < 0.02
    flat = np.full((5, 16), 1.5**2)
    assert (space.scores(flat, silent[:5], 1.0) < limit).all(), "flowers in general are none of the kinds"


def test_logits_count_where_they_speak_for_the_kind_that_a_photo_lies_near() -> None:
    random = np.random.default_rng(0)
    middles = random.uniform(1, 2, (4, 16))
    features, labels = clouds(random, 400, middles)
    space = mahalanobis.fit(features, labels, 4)
    speaks_for = {offset: np.eye(4)[(labels + offset) % 4] for offset in (0, 1)}
    alone, agreed, opposed = (
        space.scores(features, logits, 12.0) for logits in (np.zeros((400, 4)), speaks_for[0], speaks_for[1])
    )
    assert np.allclose(agreed - alone, 12.0)
    assert ((opposed - alone) < 6.0).mean() > 0.9, "another kind's voice helps little"
    assert np.allclose(space.scores(features, speaks_for[0], 0.0), alone)


def test_a_kind_of_one_photo_and_directions_without_any_spread_do_no_harm() -> None:
    features = np.ones((3, 8), np.float32)
    features[:, 0] = [1, 4, 9]
    space = mahalanobis.fit(features, np.array([0, 1, 2]), 3)
    assert np.isfinite(space.scores(features, np.zeros((3, 3)), 1.0)).all()


def test_kinds_of_one_picture_each_can_be_stored() -> None:
    """As drawn icons or plain colours are: float16 holds nothing above 65,504."""
    features = np.repeat(np.random.default_rng(0).uniform(0, 5, (2, 512)), 10, axis=0)
    space = mahalanobis.fit(features, np.repeat([0, 1], 10), 2)
    assert all(np.isfinite(array.astype(np.float16)).all() for array in space.to_dict().values())
    scores = space.scores(np.concatenate([features, features[:1] * 0.2]), np.zeros((21, 2)), 12.0)
    assert scores[:20].min() > scores[20]


@pytest.fixture
def trained(three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(calibrate, "LEAST_PHOTOS", 5)
    settings = replace(config.preset("quick"), epochs=1, data=str(three_kinds))
    run = runs.create(settings, tmp_path / "run")
    train.fit(settings, decode_source(open_source(three_kinds)), run)
    return run.checkpoint_path


def test_a_training_with_enough_photos_leaves_a_model_that_knows_its_kinds(trained: Path, tmp_path: Path) -> None:
    network, card = checkpoint.load(trained)
    assert card.rejection["score"] == "kinds"
    assert set(card.rejection) == {"score", "threshold", "logit_weight", "accepted", "energy"}
    assert card.rejection["logit_weight"] * card.temperature == pytest.approx(mahalanobis.LOGIT_WEIGHT)
    assert network.mahalanobis.means.shape == (3, 512)
    other = checkpoint.with_kinds(checkpoint.shrink(network), network.mahalanobis)
    checkpoint.save(tmp_path / "copy.safetensors", other, card)
    again, _ = checkpoint.load(tmp_path / "copy.safetensors")
    assert np.array_equal(again.mahalanobis.means, network.mahalanobis.means)
    started = alexnet.build("2014", 3)
    assert starts.start_weights(started, str(trained), card.classes), "it can start another training"


def test_distances_of_another_shape_are_refused(trained: Path, tmp_path: Path) -> None:
    network, card = checkpoint.load(trained)
    tensors = checkpoint.with_kinds(checkpoint.shrink(network), network.mahalanobis)
    tensors["kinds.means"] = torch.zeros(2, 256)
    checkpoint.save(tmp_path / "odd.safetensors", tensors, card)
    with pytest.raises(CheckpointError, match="knows of its kinds"):
        checkpoint.load(tmp_path / "odd.safetensors")


def test_the_shipped_model_takes_no_noise_for_a_flower() -> None:
    classifier = Classifier(shipped_dir() / "flowers30.safetensors")
    random = np.random.default_rng(1)
    coarse = np.repeat(np.repeat(random.integers(0, 256, (12, 16, 16, 3), np.uint8), 16, 1), 16, 2)
    fine = random.integers(0, 256, (12, 256, 256, 3), np.uint8)
    plain = np.broadcast_to(random.integers(0, 256, (12, 1, 1, 3), np.uint8), (12, 256, 256, 3))
    squares = np.concatenate([coarse, fine, plain])
    assert classifier.knows(*classifier.see(squares, np.ones(len(squares)))).mean() <= 0.2
