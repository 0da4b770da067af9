"""Frozen convolutions are asked once per view; a resumed run finds the same bits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowers_core import alexnet, checkpoint, config, frozen, runs, starts, train
from flowers_core.cache import DecodedSource, decode_source
from flowers_core.sources import open_source

FROZEN = replace(
    config.preset("quick"), features_lr=0.0, epochs=5, batch_size=5, precision="float32", threads=1, mixup=0.2
)


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(frozen, "MOST_VIEWS", 2)


@pytest.fixture
def decoded(three_kinds: Path) -> DecodedSource:
    return decode_source(open_source(three_kinds))


def trained(settings: config.TrainConfig, decoded: DecodedSource, folder: Path, stop_at: int = -1) -> runs.Run:
    run = runs.create(settings, folder)
    steps = iter(range(1000))
    if stop_at >= 0:
        assert train.fit(settings, decoded, run, lambda: "stop" if next(steps) == stop_at else "").phase == "stopped"
    assert train.fit(settings, decoded, run).phase == "finished"
    return run


def test_every_view_is_computed_once(decoded, tmp_path: Path, monkeypatch) -> None:
    seen = []
    embed = alexnet.AlexNet.embed
    monkeypatch.setattr(
        alexnet.AlexNet,
        "embed",
        lambda self, images: (self.training and seen.append(len(images)), embed(self, images))[1],
    )
    run = trained(FROZEN, decoded, tmp_path / "run")
    assert sum(seen) == 2 * 12, "two views of twelve photos, in five epochs"
    epochs = [record for record in run.metrics()[0] if record["kind"] == "epoch"]
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    start = alexnet.build("2014", 3)
    starts.start_weights(start, "imagenet")
    kept = checkpoint.load(run.checkpoint_path)[0].features.state_dict()
    assert all(torch.equal(kept[name], weight.half().float()) for name, weight in start.features.state_dict().items())


def test_a_stopped_and_resumed_run_ends_with_the_same_bits(decoded, tmp_path: Path) -> None:
    whole, parts = trained(FROZEN, decoded, tmp_path / "whole"), trained(FROZEN, decoded, tmp_path / "parts", stop_at=4)
    assert parts.metrics() == whole.metrics()
    ours, theirs = (checkpoint.load(run.checkpoint_path)[0].state_dict() for run in (parts, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_without_room_for_one_view_photos_are_varied_anew_each_time(decoded, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(frozen, "MOST_BYTES", 1000)
    loop = train._Fit(FROZEN, decoded, runs.create(FROZEN, tmp_path / "run"), lambda: "")
    assert loop.frozen.count == 0
    assert loop._batch(0)[0].shape == (5, 3, 224, 224)
