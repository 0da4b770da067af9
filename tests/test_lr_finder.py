"""The range test: its rule on made-up curves, and that a real one trains nothing that is kept."""

import math
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from flowers_core import runs
from flowers_core.network import alexnet
from flowers_core.photos.cache import decode_source
from flowers_core.settings import config
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import open_source
from flowers_core.training import lr_finder, status_reporter, train

RATES = lr_finder.rates(TrainConfig(), photos=10_000)
FEW = lr_finder.rates(TrainConfig(), photos=120)


def test_rates_climb_evenly_in_their_logarithm() -> None:
    assert (RATES[0], RATES[-1], len(RATES)) == (1e-6, pytest.approx(1.0), lr_finder.MOST)
    for rates in (RATES, FEW):
        assert len({round(after / before, 6) for before, after in pairwise(rates)}) == 1


def test_small_sets_are_asked_in_fewer_steps() -> None:
    counts = [len(lr_finder.rates(TrainConfig(batch_size=32), photos)) for photos in (2, 120, 1200, 10_000)]
    assert counts == [60, 60, 76, 100]
    assert (lr_finder.lag(FEW), lr_finder.lag(RATES)) == (6, 10), "both look back over as much of the rate"


def judged(loss_at, noise: float = 0.02, rates: list[float] = RATES, seed: int = 3) -> lr_finder.RangeTest:
    """What is said of a curve: its losses with some noise, until it blows up."""
    chance, losses = random.Random(seed), []
    for rate in rates:
        losses.append(loss_at(rate) + chance.gauss(0, noise))
        if lr_finder.has_blown_up(losses, lr_finder.lag(rates)):
            break
    return lr_finder.judge(rates[: len(losses)], losses, kinds=30)


def falls_at_a_hundredth(rate: float) -> float:
    return 3.4 - 2 / (1 + (0.003 / rate) ** 1.5) + (100 * (rate - 0.3) if rate > 0.3 else 0)


@pytest.mark.parametrize(
    "loss_at", [falls_at_a_hundredth, lambda rate: 1.0 + (8 * (rate - 0.01) if rate > 0.01 else 0)],
    ids=["falls", "fits already"],
)  # fmt: skip
def test_fewer_steps_suggest_as_well(loss_at) -> None:
    good = {}
    for rates in (RATES, FEW):
        found = [judged(loss_at, 0.1, rates, seed).suggestion for seed in range(100)]
        good[len(rates)] = sum(0.0008 < (rate or 0) < 0.02 for rate in found)
    assert good[60] >= 95
    assert good[60] >= good[100] - 2


def test_where_the_loss_falls_the_steepest_place_is_suggested() -> None:
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


def test_a_start_that_guesses_and_learns_nothing_is_not_said_to_fit() -> None:
    found = judged(lambda rate: 3.43 + (8 * (rate - 0.02) if rate > 0.02 else 0))
    assert found.suggestion is None
    assert "learned nothing" in found.reason


def test_small_losses_that_double_by_chance_are_no_divergence() -> None:
    blamed = 0
    for seed in range(200):
        chance, losses = random.Random(seed), []
        for rate in RATES:
            losses.append(0.02 * chance.lognormvariate(0, 0.8) + (8 * (rate - 0.01) if rate > 0.01 else 0))
            if lr_finder.has_blown_up(losses, lr_finder.lag(RATES)):
                break
        blamed += "mistakes" in lr_finder.judge(RATES[: len(losses)], losses, kinds=30).reason
    assert blamed <= 4


def test_curves_that_say_nothing_get_no_suggestion() -> None:
    assert judged(lambda rate: 3.4).suggestion is None
    at_once = lr_finder.judge(RATES[:3], [3.0, 9.0, None], kinds=30)
    assert (at_once.suggestion, at_once.diverged) == (None, RATES[2])


def test_smoothing_has_no_pull_towards_its_start() -> None:
    assert lr_finder.smooth([2.0] * 30, 10) == pytest.approx([2.0] * 30)
    assert lr_finder.smooth([0.0, 1.0], 10)[1] > 0.5


def test_a_real_test_measures_on_a_copy_and_keeps_no_model(
    three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(lr_finder, "rates", lambda *_: [1e-4 * 10**step for step in range(8)])
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
    assert test.status().seconds > 0, "from which the time that is left follows"
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
    decoded = decode_source(open_source(three_kinds))
    assert lr_finder.measure(test.config(), decoded, test, lambda: "stop") is None
    assert test.state() == "stopped"
    assert lr_finder.saved(test) is None


def test_a_test_can_be_cancelled_before_its_first_step(
    three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 16)
    monkeypatch.setattr(status_reporter, "EVERY_S", 0.0)
    settings = replace(config.preset("quick"), data=str(three_kinds), head="least-squares", features_lr=0.0)
    test = runs.create(settings, tmp_path / "test")
    assert lr_finder.measure(settings, decode_source(open_source(three_kinds)), test, lambda: "stop") is None
    assert (test.state(), test.metrics()[0], lr_finder.saved(test)) == ("stopped", [], None)


def test_only_a_few_tests_stay_on_disk() -> None:
    for _ in range(8):
        test = runs.create(TrainConfig(), lr_finder.new_folder())
        test.write_status(runs.Status(phase="finished"))
    assert len(list(lr_finder.folder().iterdir())) == lr_finder.KEPT
