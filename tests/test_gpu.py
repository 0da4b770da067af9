"""What a GPU does differently, where there is one: the same pictures, the same losses, the same bits after a break."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flowers_core import runs
from flowers_core.errors import ConfigError, TrainingError
from flowers_core.evaluation import predict
from flowers_core.images import augment
from flowers_core.machine import precision
from flowers_core.network import alexnet, checkpoint
from flowers_core.photos import dataset
from flowers_core.photos.cache import decode_source
from flowers_core.photos.dataset import select
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.training import train
from flowers_core.training.train import fit, losses_at

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CPU, QUICK = torch.device("cpu"), replace(config.preset("quick"), epochs=4, batch_size=5, views="centre")


@pytest.fixture
def decoded(three_kinds: Path):
    return decode_source(open_source(three_kinds))


@pytest.fixture
def gpu() -> torch.device:
    return precision.device()


@pytest.mark.parametrize("strength", augment.STRENGTHS)
def test_photos_are_varied_as_on_the_cpu(decoded, gpu: torch.device, strength: str) -> None:
    photos, base = select(decoded, "train"), augment.EvalTransform()
    seen = []
    for split in (photos, photos.on(gpu)):
        squares, aspects, _ = split.load(torch.arange(len(photos)))
        draws = torch.Generator().manual_seed(3)
        seen.append(augment.train_batch(squares, aspects, augment.STRENGTHS[strength], base, draws))
    assert seen[1].device.type == "cuda"
    # A rounded border of an erased or blurred part may differ by a pixel.
    assert ((seen[0] - seen[1].cpu()).abs() > 0.02).float().mean() < 1e-4


def test_the_first_steps_lose_as_much_as_on_the_cpu(decoded, tmp_path: Path, monkeypatch) -> None:
    for variant in ("2014", "2012", "readme"):
        settings = replace(QUICK, variant=variant, init="scratch", head="random", precision="float32", dropout=0.0)
        losses = []
        for name in ("gpu", "cpu"):
            with monkeypatch.context() as patch:
                if name == "cpu":
                    patch.setattr(precision, "device", lambda: CPU)
                run = runs.create(settings, tmp_path / f"{variant} {name}")
                losses.append(list(losses_at(settings, decoded, run, [0.01] * 5)))
        assert losses[0][:3] == pytest.approx(losses[1][:3], rel=5e-3), variant
        assert losses[0] == pytest.approx(losses[1], rel=0.05), f"{variant}: small differences grow"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": "strong", "averaging": 0.9},
        {"init": "scratch", "head": "random", "variant": "2012", "optimizer": "sgd-2012"},
        {"optimizer": "adamw", "lr": 1e-4, "mixup": 0.4, "averaging": 0.9, "augmentation": "strong"},
        {"features_lr": 0.0},
    ],
    ids=["sgd", "strong, averaging", "2012", "adamw, mixup, averaging", "frozen"],
)
def test_a_stopped_and_resumed_run_ends_with_the_same_bits(decoded, tmp_path: Path, monkeypatch, changes: dict) -> None:
    monkeypatch.setattr(train, "AVERAGE_EVERY", 2)
    settings = replace(QUICK, **changes)
    whole = runs.create(settings, tmp_path / "whole")
    fit(settings, decoded, whole)
    parts = runs.create(settings, tmp_path / "parts")
    wishes = iter([""] * 7)
    assert fit(settings, decoded, parts, lambda: next(wishes, "stop")).phase == "stopped"
    assert fit(settings, decoded, parts).phase == "finished"
    assert parts.metrics() == whole.metrics()
    ours, theirs = (checkpoint.load(run.checkpoint_path)[0].state_dict() for run in (parts, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_photos_that_do_not_fit_are_sent_batch_by_batch(decoded, gpu: torch.device, monkeypatch) -> None:
    split = select(decoded, "train")
    resident = split.on(gpu)
    monkeypatch.setattr(dataset, "RESIDENT_SHARE", 0.0)
    sent = split.on(gpu)
    assert (resident.resident is None, sent.resident is None) == (False, True)
    some = torch.tensor([7, 2, 2])
    assert all(torch.equal(a, b) for a, b in zip(resident.load(some), sent.load(some), strict=True))


def test_the_built_in_model_answers_as_on_the_cpu(decoded, monkeypatch) -> None:
    squares = decoded.squares(range(6))
    aspects = np.array([entry.aspect for entry in decoded.entries[:6]])
    from flowers_core.storage import REPOSITORY

    there = predict.Classifier(REPOSITORY / "checkpoints" / "flowers30.safetensors")
    monkeypatch.setattr(precision, "device", lambda: CPU)
    here = predict.Classifier(there.path)
    assert (there.device.type, here.device.type) == ("cuda", "cpu")
    np.testing.assert_allclose(there.probabilities(squares, aspects), here.probabilities(squares, aspects), atol=0.02)


def test_too_large_a_batch_is_an_error_with_a_way_out(decoded, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        torch.empty(2**50, device="cuda")

    monkeypatch.setattr(alexnet.AlexNet, "forward", full)
    settings = replace(QUICK, features_lr=1.0, head="random")
    with pytest.raises(TrainingError, match=r"memory.*smaller batch") as error:
        fit(settings, decoded, runs.create(settings, tmp_path / "run"))
    assert "GPU" in error.value.what


def test_more_processes_than_gpus_are_turned_away(monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(torch.cuda.device_count()))
    with pytest.raises(ConfigError, match="no GPU of its own"):
        precision.device()
