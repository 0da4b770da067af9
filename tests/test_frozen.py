"""Frozen convolutions are asked once per view; a resumed run finds the same bits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowers_core import runs
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.training import status_reporter, train, views

FROZEN = replace(
    config.preset("quick"), features_lr=0.0, epochs=5, batch_size=5, precision="float32", threads=1, mixup=0.2
)


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(views, "FEW_VARIED", 2)


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


def counted(monkeypatch: pytest.MonkeyPatch) -> list:
    """Grows with every picture that convolutions look at."""
    seen, convolve = [], torch.nn.Conv2d.forward

    def count(layer: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        seen.extend(images[:, 0, 0, 0] if layer.in_channels == 3 else [])
        return convolve(layer, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", count)
    return seen


@pytest.mark.parametrize("head", ["random", "least-squares"])
def test_every_view_is_computed_once(decoded, tmp_path: Path, monkeypatch, head: str) -> None:
    """For the head start, for all epochs, for validation and for the second reader together."""
    seen = counted(monkeypatch)
    run = trained(replace(FROZEN, head=head), decoded, tmp_path / "run")
    varied = {"random": 6, "least-squares": 8}[head]
    assert len(seen) == (6 + varied) * 12 + 6 + 6 * 6, "of twelve photos; six validated in each epoch, and at the end"
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


def test_trials_of_a_search_look_at_a_view_once(decoded, tmp_path: Path, monkeypatch) -> None:
    """The next one finds what the one before saw, as long as photos are varied alike, and ends with the same bits."""
    seen, remembered, validation = counted(monkeypatch), views.Remembered(), 6 + 6 * 6
    looks, epochs = [], []
    for place, changes in enumerate(({"lr": 0.01}, {}, {"augmentation": "strong"}, {}, {"seed": 2})):
        before, settings = len(seen), replace(FROZEN, head="least-squares", **changes)
        run = runs.create(settings, tmp_path / str(place))
        train.fit(settings, decoded, run, resumable=False, remembered=remembered)
        looks.append((len(seen) - before - validation) // 12)
        epochs.append(run.metrics()[0])
    assert looks == [6 + 8, 0, 8, 0, 6 + 8]
    alone = trained(replace(FROZEN, head="least-squares"), decoded, tmp_path / "alone").metrics()[0]
    assert epochs[1] == alone
    monkeypatch.setattr(views, "MOST_BYTES", 1)
    assert not remembered.of(remembered.whose).features, "it does not grow for ever"


def test_epochs_of_more_photos_show_variations_of_their_own(decoded, tmp_path: Path, monkeypatch) -> None:
    loops = []
    for few in (4, 3):  # photos per kind; there are four
        monkeypatch.setattr(views, "FEW", few)
        settings = replace(FROZEN, head="least-squares")
        loops.append(train._Fit(settings, decoded, runs.create(settings, tmp_path / str(few)), lambda: "").views)
    assert [(each.first, each.count) for each in loops] == [(0, 2), (2, views.MOST_VARIED)]
    photos = torch.arange(12)
    assert torch.equal(loops[0].in_epoch(1, photos), loops[0].in_epoch(3, photos))
    assert torch.equal(loops[1].in_epoch(0, photos), loops[1].features(views.View(True, 2)))
    assert not torch.equal(loops[1].in_epoch(0, photos), loops[0].in_epoch(0, photos))


def test_long_looks_at_photos_are_told_and_can_be_paused_and_stopped(decoded, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(status_reporter, "EVERY_S", 0.0)
    said, write = [], runs.Run.write_status
    monkeypatch.setattr(runs.Run, "write_status", lambda run, status: (said.append(status.message), write(run, status)))
    settings = replace(FROZEN, head="least-squares", epochs=1)
    run, wishes = runs.create(settings, tmp_path / "run"), iter(["", "pause", "pause", "", "stop"])
    assert train.fit(settings, decoded, run, lambda: next(wishes)).phase == "stopped"
    paused, stopped = "Paused before the first step.", "Stopped before the first step."
    looks = [f"first looks, several at each photo: {n} of 168" for n in (12, 24)]
    assert said == [looks[0], paused, paused, looks[1], stopped]
    assert not run.checkpoint_path.exists()
    assert train.fit(settings, decoded, run).phase == "finished"
    assert "first looks, several at each photo: 168 of 168" in said
    trained(replace(FROZEN, epochs=1), decoded, tmp_path / "another")
    assert said[-2] == "last looks at the photos: 144 of 144"


def test_without_room_for_one_view_photos_are_varied_anew_each_time(decoded, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(views, "MOST_BYTES", 1000)
    loop = train._Fit(FROZEN, decoded, runs.create(FROZEN, tmp_path / "run"), lambda: "")
    assert loop.views.count == 0
    assert loop._batch(0)[0].shape == (5, 3, 224, 224)
