"""The training loop: it learns, obeys, fails with reasons, and a resumed run ends with the same bits."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import draw_set

from flowers_core import runs
from flowers_core.errors import CheckpointError, DataError, DivergedError, RunError, StorageError
from flowers_core.evaluation import evaluate
from flowers_core.machine import precision
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.photos.cache import decode_source
from flowers_core.runs import Run
from flowers_core.settings import config
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import open_source
from flowers_core.training import keeping, seeds, train
from flowers_core.training.schedule import learning_rate
from flowers_core.training.train import fit

QUICK = replace(
    config.preset("quick"), epochs=2, batch_size=5, views="centre", precision="float32", features_lr=0.3
)  # fmt: skip
"""12 photos in batches of 5, 5, 2: three steps an epoch, the last one short."""


def new_run(settings: TrainConfig, folder: Path) -> Run:
    return runs.create(settings, folder)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of 64 instead of 4096: the loop is the same, and a step takes a tenth of the time."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)


@pytest.fixture
def decoded(three_kinds: Path):
    return decode_source(open_source(three_kinds))


def weights(run: Run) -> dict[str, torch.Tensor]:
    network, _ = checkpoint.load(run.checkpoint_path)
    return network.state_dict()


def test_it_learns_three_kinds_and_says_so(decoded, tmp_path: Path) -> None:
    run = new_run(replace(QUICK, epochs=6, lr=0.01), tmp_path / "run")
    result = fit(run.config(), decoded, run)
    records = run.metrics()[0]
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert (result.phase, result.epochs) == ("finished", 6)
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in records if record["kind"] == "step"] == list(range(1, 19))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert result.best_accuracy >= 0.5, "chance is a third"
    status = run.status()
    assert (status.phase, status.step, status.steps) == ("finished", 18, 18)
    card = checkpoint.read_card(run.checkpoint_path)
    assert card.classes == decoded.source.classes
    assert card.results["valid_accuracy"] == result.best_accuracy
    assert card.data["fingerprint"] == decoded.fingerprint
    assert not run.resume_path.exists(), "a finished run needs no half a gigabyte to go on"


def stopping_after(steps: int) -> Iterator[str]:
    """A request to stop before step number `steps`; the last wishes repeat."""
    for _ in range(steps):
        yield ""
    while True:
        yield "stop"


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"optimizer": "adamw", "lr": 1e-4, "mixup": 0.4, "averaging": 0.9},
        {"schedule": "plateau", "clip": 0.0},
    ],
    ids=["sgd, two threads", "adamw, mixup, averaging", "plateau"],
)
def test_a_stopped_and_resumed_run_ends_with_the_same_bits(decoded, tmp_path: Path, changes: dict) -> None:
    settings = replace(QUICK, **changes)
    whole = new_run(settings, tmp_path / "whole")
    fit(settings, decoded, whole)
    parts = new_run(settings, tmp_path / "parts")
    for pause_at in (2, 2):  # in the middle of an epoch, and across its end
        wishes = stopping_after(pause_at)
        assert fit(settings, decoded, parts, lambda wishes=wishes: next(wishes)).phase == "stopped"
        assert parts.resume_path.exists()
    parts.log({"kind": "step", "step": 99, "epoch": 9, "loss": 1, "lr": 1})  # as of a process killed before saving
    assert fit(settings, decoded, parts).phase == "finished"
    assert parts.metrics() == whole.metrics()
    ours, theirs = weights(parts), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_head_start_leaves_every_layer_to_be_trained(decoded, tmp_path: Path) -> None:
    settings = replace(QUICK, head="least-squares", features_lr=1.0)
    loop = train._Fit(settings, decoded, new_run(settings, tmp_path / "run"), lambda: "")
    before = {name: weight.clone() for name, weight in loop.state.network.state_dict().items()}
    for _ in range(2):
        loop._train_step()
    loop.state.apply_pending()
    assert all(not torch.equal(weight, before[name]) for name, weight in loop.state.network.state_dict().items())


def test_a_start_that_brings_hidden_layers_keeps_them(decoded, tmp_path: Path) -> None:
    """A model of other kinds starts this one: its output layer is fitted anew, the layers before stay."""
    first = train._Fit(QUICK, decoded, new_run(QUICK, tmp_path / "first"), lambda: "")
    card = checkpoint.Card("2014", ("a", "b", "c"), asdict(first.base))
    checkpoint.save(tmp_path / "others.safetensors", checkpoint.shrink(first.state.network), card)
    known = checkpoint.load(tmp_path / "others.safetensors")[0].state_dict()
    settings = replace(QUICK, head="least-squares", init=str(tmp_path / "others.safetensors"))
    begun = train._Fit(settings, decoded, new_run(settings, tmp_path / "run"), lambda: "").state.network.state_dict()
    for name, weight in begun.items():
        assert torch.equal(weight.cpu(), known[name]) == (not name.startswith(starts.OUTPUT_LAYER)), name


def test_emulated_bfloat16_is_not_waited_for(monkeypatch) -> None:
    """On a processor that emulates it, the large products would take seconds at every start."""
    asked = []
    monkeypatch.setattr(precision, "_gain_of_bfloat16", lambda size, rounds: asked.append(size) or 0.06)
    assert precision._faster_on_cpu.__wrapped__() == "float32"
    assert len(asked) == 1
    assert asked[0] <= 128
    monkeypatch.setattr(precision, "_gain_of_bfloat16", lambda size, rounds: {512: 7.0}.get(size, 0.8))
    assert precision._faster_on_cpu.__wrapped__() == "bfloat16"


def test_the_number_format_is_timed_once_so_that_a_busy_machine_changes_nothing(monkeypatch) -> None:
    cpu = torch.device("cpu")
    first = precision.choose("auto", cpu)
    monkeypatch.setattr(precision.time, "perf_counter", None)
    assert precision.choose("auto", cpu) == first
    assert precision.choose("bfloat16", cpu) == "bfloat16"


def test_every_step_has_chance_of_its_own() -> None:
    """Torch's generator reads 32 bits of a seed: seeds that differ only above them repeat the same step for ever."""
    draws = {
        torch.rand(4, generator=seeds.generator(seed, purpose, count)).numpy().tobytes()
        for seed in (1, 2)
        for purpose in ("order", "augment")
        for count in range(500)
    }
    assert len(draws) == 2000


def test_every_epoch_shows_all_photos_in_an_order_of_its_own(decoded, tmp_path: Path) -> None:
    loop = train._Fit(QUICK, decoded, new_run(QUICK, tmp_path / "run"), lambda: "")
    epochs = [[loop._batch(step) for step in range(3 * epoch, 3 * epoch + 3)] for epoch in range(3)]
    labels = [torch.cat([targets for _, targets in epoch]).argmax(1) for epoch in epochs]
    assert all(shown.bincount().tolist() == [4, 4, 4] for shown in labels)
    assert len({tuple(shown.tolist()) for shown in labels}) == 3
    sums = {round(float(image.sum()), 2) for epoch in epochs for images, _ in epoch for image in images}
    assert len(sums) == 36, "every photo is varied anew each time"


def test_another_seed_gives_another_run(decoded, tmp_path: Path) -> None:
    first, second = (new_run(replace(QUICK, epochs=1, seed=seed), tmp_path / str(seed)) for seed in (1, 2))
    for run in (first, second):
        fit(run.config(), decoded, run)
    assert first.metrics() != second.metrics()


def test_a_pause_saves_and_waits(decoded, tmp_path: Path) -> None:
    run = new_run(replace(QUICK, epochs=1), tmp_path / "run")
    seen = []

    def wishes() -> Iterator[str]:
        yield ""
        yield "pause"
        yield "pause"
        seen.append((run.status().phase, run.resume_path.exists(), run.checkpoint_path.exists()))
        while True:
            yield ""

    request = wishes()
    assert fit(run.config(), decoded, run, lambda: next(request)).phase == "finished"
    assert seen == [("paused", True, True)]


def test_a_class_without_training_photos_is_named(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 1, "Valid": 1})
    (folder / "Train" / "rose" / "1.jpg").unlink()
    with pytest.raises(DataError, match="No readable training photos of: rose"):
        run = new_run(QUICK, tmp_path / "run")
        fit(QUICK, decode_source(open_source(folder)), run)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_good_checkpoint(decoded, tmp_path) -> None:
    wild = replace(QUICK, lr=10.0, features_lr=10.0, warmup=0.0, clip=0.0, epochs=50)
    run = new_run(wild, tmp_path / "run")
    with pytest.raises(DivergedError, match=r"not a finite number|at step \d+ .*learning rate of 10 .*clipping is off"):
        fit(wild, decoded, run)
    assert not run.checkpoint_path.exists(), "no epoch was complete, and broken weights are no model"


@pytest.mark.parametrize("where", ["a step", "validation"])
def test_after_ruin_the_model_of_the_last_good_epoch_is_kept(
    where: str, decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(QUICK, epochs=5)
    run = new_run(settings, tmp_path / "run")
    healthy = train.learning_rate
    ruined_at = 7 if where == "a step" else 8  # of nine steps in three epochs: with 8, validation meets NaN first
    monkeypatch.setattr(train, "learning_rate", lambda c, step, n: 1e30 if step >= ruined_at else healthy(c, step, n))
    monkeypatch.setattr(keeping, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(keeping, "SAVE_SHARE", 1e9)
    with pytest.raises(DivergedError, match=r"The model of epoch [12] is kept"):
        fit(settings, decoded, run)
    network, card = checkpoint.load(run.checkpoint_path)
    assert card.results["epoch"] in (1, 2)
    assert 0 <= card.results["valid_accuracy"] <= 1
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    assert not run.resume_path.exists(), "going on would end the same way"
    assert [record["epoch"] for record in run.metrics()[0] if record["kind"] == "epoch"] == [1, 2]


@pytest.mark.parametrize("cost", [0.2, 3.0, 40.0])
def test_saving_takes_a_twentieth_of_the_time_at_most_however_slow_the_disk(
    cost: float, decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = train._Fit(QUICK, decoded, new_run(QUICK, tmp_path / "run"), lambda: "")
    loop.run.log({"kind": "step"})
    now, saved_at = 0.0, []

    def save_state(*_: object) -> None:
        nonlocal now
        now += cost
        saved_at.append(now)

    monkeypatch.setattr(keeping.time, "monotonic", lambda: now)
    monkeypatch.setattr(keeping.checkpoint, "save_state", save_state)
    monkeypatch.setattr(keeping.Keeper, "save_best", lambda self: None)
    loop.keeper.saved_at = now
    while now < 4 * 3600:
        now += 0.25  # a training step
        loop.keeper.save_if_due()
    assert len(saved_at) * cost < 0.05 * now
    assert max(later - sooner for sooner, later in pairwise(saved_at)) <= max(10, 26 * cost) + 1, "little work is lost"


def test_without_validation_photos_the_last_epoch_counts(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 1})  # too few to spare one for validation
    run = new_run(QUICK, tmp_path / "run")
    result = fit(QUICK, decode_source(open_source(folder)), run)
    assert (result.best_accuracy, result.best_epoch) == (None, 2)
    assert "valid_accuracy" not in checkpoint.read_card(run.checkpoint_path).results


def test_a_run_does_not_go_on_with_other_photos(decoded, tmp_path: Path) -> None:
    run = new_run(QUICK, tmp_path / "run")
    wishes = stopping_after(1)
    fit(QUICK, decoded, run, lambda: next(wishes))
    other = decode_source(open_source(draw_set(tmp_path / "set", {"Train": 3, "Valid": 1})))
    with pytest.raises(RunError, match="photos have changed"):
        fit(QUICK, other, run)


def test_early_stopping_ends_after_its_patience(decoded, tmp_path: Path) -> None:
    stuck = replace(QUICK, lr=1e-8, epochs=30, patience=2, warmup=0.0, schedule="constant", features_lr=0.0)
    run = new_run(stuck, tmp_path / "run")
    assert fit(stuck, decoded, run).epochs < 30


def test_a_full_disk_keeps_the_last_saved_state(decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(QUICK, tmp_path / "run")
    wishes = stopping_after(2)
    fit(QUICK, decoded, run, lambda: next(wishes))
    saved = run.resume_path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    wishes = stopping_after(1)
    with pytest.raises(StorageError, match="No space left"):
        fit(QUICK, decoded, run, lambda: next(wishes))
    assert run.resume_path.read_bytes() == saved


def test_a_run_starts_from_ones_own_checkpoint(decoded, tmp_path: Path) -> None:
    first = new_run(replace(QUICK, epochs=1), tmp_path / "first")
    fit(first.config(), decoded, first)
    begun = replace(QUICK, init=str(first.checkpoint_path), epochs=1, lr=1e-8)
    second = new_run(begun, tmp_path / "second")
    fit(begun, decoded, second)
    before, after = weights(first), weights(second)
    assert all(torch.allclose(before[name], after[name], atol=1e-3) for name in before)
    with pytest.raises(CheckpointError, match="can't start"):
        fit(replace(begun, variant="readme"), decoded, new_run(replace(begun, variant="readme"), tmp_path / "third"))


def test_the_learning_rate_climbs_and_falls_along_the_cosine() -> None:
    settings = TrainConfig(lr=1.0, warmup=0.1, schedule="cosine")
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == max(rates) == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))


def test_the_cards_accuracy_is_that_of_the_model_that_answers(decoded, tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=3, lr=0.01, views="scales")
    run = new_run(settings, tmp_path / "run")
    result = fit(settings, decoded, run)
    source = open_source(decoded.source.root)
    report = evaluate.evaluate(run.checkpoint_path, source, "valid")
    assert result.best_accuracy == run.status().best_accuracy == pytest.approx(report.top1.value)


def test_clipping_shortens_long_gradients_only(decoded, tmp_path: Path) -> None:
    """One step of plain SGD at a rate of 1 moves the weights by the gradient: its length is the step's."""

    def moved(clip: float) -> float:
        settings = replace(QUICK, optimizer="sgd-2012", momentum=0.0, weight_decay=0.0, lr=1.0, features_lr=1.0,
                           warmup=0.0, schedule="constant", clip=clip)  # fmt: skip
        loop = train._Fit(settings, decoded, new_run(settings, tmp_path / str(clip)), lambda: "")
        before = {name: tensor.clone() for name, tensor in loop.state.network.named_parameters()}
        loop._train_step()
        squares = [(tensor - before[name]).pow(2).sum() for name, tensor in loop.state.network.named_parameters()]
        return torch.stack(squares).sum().sqrt().item()

    free = moved(0.0)
    assert moved(free / 2) == pytest.approx(free / 2, rel=1e-3)
    assert moved(free * 2) == pytest.approx(free, rel=1e-3)


def test_an_epochs_rise_is_measured_photo_by_photo_from_the_best_one(decoded, tmp_path: Path) -> None:
    run = new_run(replace(QUICK, epochs=4), tmp_path / "run")
    fit(run.config(), decoded, run)
    epochs = [record for record in run.metrics()[0] if record["kind"] == "epoch"]
    best = epochs[0]["valid_loss"]
    for epoch in epochs:
        assert epoch["valid_rise"] == pytest.approx(epoch["valid_loss"] - best, abs=1e-4)
        assert epoch["valid_rise_error"] >= 0
        best = min(best, epoch["valid_loss"]) if epoch["valid_loss"] < best - train.LEAST_GAIN else best


def test_metrics_are_plain_json_lines(decoded, tmp_path: Path) -> None:
    run = new_run(replace(QUICK, epochs=1), tmp_path / "run")
    fit(run.config(), decoded, run)
    for line in run.metrics_path.read_text().splitlines():
        assert all(math.isfinite(value) for value in json.loads(line).values() if isinstance(value, float))
