"""The range test: its rule on made-up curves, and that a real one trains nothing that is kept."""

import math
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from flowers_core import alexnet, config, lr_finder, runs, train
from flowers_core.cache import decode_source
from flowers_core.config import TrainConfig
from flowers_core.sources import open_source

RATES = lr_finder.rates(TrainConfig())


def test_rates_climb_evenly_in_their_logarithm() -> None:
    assert (RATES[0], RATES[-1], len(RATES)) == (1e-6, pytest.approx(1.0), lr_finder.STEPS)
    steps = {round(after / before, 6) for before, after in pairwise(RATES)}
    assert len(steps) == 1


def judged(loss_at, noise: float = 0.02) -> lr_finder.Finding:
    """What is said of a curve: its losses with some noise, until it blows up."""
    chance, losses = random.Random(3), []
    for rate in RATES:
        losses.append(loss_at(rate) + chance.gauss(0, noise))
        if lr_finder.has_blown_up(losses):
            break
    return lr_finder.judge(RATES[: len(losses)], losses)


def test_where_the_loss_falls_the_steepest_place_is_suggested() -> None:
    def falls_at_a_hundredth(rate: float) -> float:
        return 3.4 - 2 / (1 + (0.003 / rate) ** 1.5) + (100 * (rate - 0.3) if rate > 0.3 else 0)

    found = judged(falls_at_a_hundredth)
    assert 0.0015 < found.suggestion < 0.012, "the smoothing lags a little behind"
    assert 0.3 < found.diverged <= 1.0
    assert "most steeply" in found.reason


def test_never_more_than_a_tenth_of_where_it_leaves() -> None:
    found = judged(lambda rate: 3.4 - 1.5 / (1 + (0.03 / rate) ** 3) + (1000 * (rate - 0.05) if rate > 0.05 else 0))
    assert found.suggestion == pytest.approx(found.diverged / 10)
    assert "A tenth" in found.reason


def test_a_start_that_fits_already_gets_a_tenth_of_where_harm_begins() -> None:
    found = judged(lambda rate: 1.0 + (8 * (rate - 0.01) if rate > 0.01 else 0))
    assert 0.001 <= found.suggestion <= 0.006
    assert "fits already" in found.reason


def test_curves_that_say_nothing_get_no_suggestion() -> None:
    assert judged(lambda rate: 3.4).suggestion is None
    at_once = lr_finder.judge(RATES[:3], [3.0, 9.0, None])
    assert (at_once.suggestion, at_once.diverged) == (None, RATES[2])


def test_smoothing_has_no_pull_towards_its_start() -> None:
    assert lr_finder.smooth([2.0] * 30) == pytest.approx([2.0] * 30)
    assert lr_finder.smooth([0.0, 1.0])[1] > 0.5


def test_a_real_test_measures_on_a_copy_and_keeps_no_model(
    three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(lr_finder, "SETTLED", 2)
    monkeypatch.setattr(lr_finder, "rates", lambda settings: [1e-4 * 10**step for step in range(8)])
    decoded = decode_source(open_source(three_kinds))
    settings = replace(config.preset("quick"), data=str(three_kinds), batch_size=4, precision="float32", clip=0.0)
    whole = runs.create(replace(settings, epochs=1), tmp_path / "run")
    train.fit(whole.config(), decoded, whole)
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir() if path.is_file()}
    test = runs.create(settings, lr_finder.new_folder())
    found = lr_finder.measure(settings, decoded, test, lambda: "")
    assert found.diverged is not None, "a rate of 1000 leaves"
    assert lr_finder.saved(test) == found
    assert test.state() == "finished"
    assert sorted(path.suffix for path in test.folder.iterdir()) == [".json"] * 4 + [".jsonl"]
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir() if path.is_file()} == before
    assert runs.list_runs() == [], "it is no training among the trainings"
    first = train.losses_at(settings, decoded, runs.create(settings, tmp_path / "other"), [1e-4])
    assert next(first) == found.losses[0], "weights start and photos are varied as in a run"
    assert all(math.isfinite(loss) for loss in found.smoothed)
    assert torch.is_grad_enabled()


def test_a_cancelled_test_says_so(three_kinds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "losses_at", lambda *_: iter([3.0, 3.1, 3.2]))
    test = runs.create(TrainConfig(data=str(three_kinds)), lr_finder.new_folder())
    assert lr_finder.measure(test.config(), None, test, lambda: "stop") is None
    assert test.state() == "stopped"
    assert lr_finder.saved(test) is None


def test_only_a_few_tests_stay_on_disk() -> None:
    for _ in range(8):
        test = runs.create(TrainConfig(), lr_finder.new_folder())
        test.write_status(runs.Status(phase="finished"))
    assert len(list(lr_finder.folder().iterdir())) == lr_finder.KEPT
