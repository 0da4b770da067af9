"""The search for settings: it learns from its trials, survives its workers, and keeps the best model only."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from conftest import draw_set
from filelock import FileLock

from flowers_core import runs
from flowers_core.__main__ import build_parser
from flowers_core.errors import ConfigError, DivergedError, RunError, TrainingError
from flowers_core.images.augment import EvalTransform
from flowers_core.machine import processes
from flowers_core.network import alexnet, checkpoint
from flowers_core.settings import config, presets
from flowers_core.training import train
from flowers_core.training.train import Result
from flowers_core.tuning import search, studies, tune
from flowers_core.tuning.studies import Plan, Search, Study

EPOCHS = 8
LR = {"lr": Search(1e-4, 1e-1, log=True)}


@pytest.fixture(autouse=True)
def small_and_tame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow networks; and the process under test keeps its own signals."""
    monkeypatch.setattr(alexnet, "HIDDEN", 16)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.fixture
def base(three_kinds: Path) -> config.TrainConfig:
    return replace(config.preset("quick"), data=str(three_kinds), epochs=EPOCHS, features_lr=0.0, threads=1)


def pretend(monkeypatch: pytest.MonkeyPatch, accuracy_at: Callable[[config.TrainConfig, int], float]) -> list[float]:
    """Puts a training in `fit`'s place that reaches `accuracy_at(settings, epoch)` at once; the rates that it met."""
    met: list[float] = []

    def fit(settings, decoded, run, request, resumable, remembered):
        assert not resumable, "a trial saves no 700 MB to go on from"
        met.append(settings.lr)
        for epoch in range(1, settings.epochs + 1):
            request()
            reached = accuracy_at(settings, epoch)
            run.log({"kind": "epoch", "epoch": epoch, "valid_accuracy": reached, "valid_loss": 1 - reached})
        network = alexnet.build("2014", 3)
        card = checkpoint.Card("2014", decoded.source.classes, asdict(EvalTransform()),
                               results={"valid_accuracy": reached, "valid_loss": 1 - reached})  # fmt: skip
        checkpoint.save(run.checkpoint_path, checkpoint.shrink(network), card)
        return Result("finished", settings.epochs, reached, settings.epochs, 1.0, 1.0)

    monkeypatch.setattr(train, "fit", fit)
    return met


def near_a_hundredth(settings: config.TrainConfig, epoch: int) -> float:
    """Best at a rate of 0.01, and visibly so from the first epoch on."""
    distance = abs(torch.tensor(settings.lr).log10().item() + 2)
    return max(0.0, (1 - 0.45 * distance) * (0.5 + 0.5 * epoch / settings.epochs))


def kept(study: Study) -> list[str]:
    return [path.parent.name for path in study.folder.glob("*/best.safetensors")]


def test_a_study_goes_on_under_its_name_only_with_the_same_search() -> None:
    settings = config.preset("quick", data="garden")
    space = config.search_space(settings)
    first = studies.create(studies.Plan(settings, space, trials=5), "mine")
    assert studies.create(studies.Plan(settings, space, trials=9), "mine").plan().trials == 9
    assert studies.create(studies.Plan(settings, space, trials=3), "mine").plan().trials == 9
    for other in (
        studies.Plan(replace(settings, data="other"), space, trials=50),
        studies.Plan(settings, dict([*space.items()][:1])),
    ):
        with pytest.raises(ConfigError, match="searches something else"):
            studies.create(other, "mine")
    assert first.plan().config.data == "garden"


def test_a_search_trains_compares_and_keeps_the_best_model_only(base) -> None:
    plan = Plan(replace(base, epochs=1, views="centre"), config.search_space(base), trials=2)
    study = studies.create(plan)
    tune.work(study, print)
    summary, report = study.summary(), tune.report(study)
    assert study.state() == "finished"
    assert [trial.number for trial in summary.trials] == [0, 1]
    assert summary.trials[0].settings["lr"] == base.lr, "the preset itself is the first trial"
    accuracies = [trial.accuracy for trial in summary.trials if trial.state == "finished"]
    assert report["best"]["valid_accuracy"] == max(accuracies)
    assert kept(study) == [study.trial(summary.best).id]
    assert not list(study.folder.glob("*/resume.pt"))
    card = checkpoint.read_card(Path(report["best"]["checkpoint"]))
    assert card.results["valid_accuracy"] == report["best"]["valid_accuracy"]
    assert Path(report["best"]["checkpoint"]) in checkpoint.find_checkpoints()
    assert runs.list_runs() == [], "trials don't crowd the list of trainings"


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_search_finds_the_rate_and_cuts_hopeless_trials_short(base, monkeypatch, pruner: str) -> None:
    met = pretend(monkeypatch, near_a_hundredth)
    wide = LR | {"dropout": Search(0.2, 0.7)}
    # Hyperband deals trials out by the study's name: with a name of its own each day, so would be the outcome.
    study = studies.create(Plan(replace(base, lr=1e-3), wide, trials=20, pruner=pruner), f"by-{pruner}")
    tune.work(study, lambda line: None)
    summary = study.summary()
    assert len(met) == summary.done() == 20
    states = [trial.state for trial in summary.trials]
    assert states.count("pruned") >= 4
    assert all(trial.epoch < EPOCHS for trial in summary.trials if trial.state == "pruned")
    best = summary.best_trial()
    assert 0.004 < best.settings["lr"] < 0.025
    assert best.accuracy > summary.trials[0].accuracy or summary.best == 0
    assert max(summary.importance, key=summary.importance.get) == "lr"
    assert sum(summary.importance.values()) == pytest.approx(1)
    assert kept(study) == [study.trial(summary.best).id]


def test_without_a_pruner_every_trial_is_trained_to_its_end(base, monkeypatch) -> None:
    pretend(monkeypatch, near_a_hundredth)
    study = studies.create(Plan(base, LR, trials=6, pruner="none", objective="loss"))
    tune.work(study, lambda line: None)
    summary = study.summary()
    assert {trial.state for trial in summary.trials} == {"finished"}
    assert summary.best_trial().loss == min(trial.loss for trial in summary.trials)


def test_a_trial_whose_loss_explodes_counts_as_a_bad_one(base, monkeypatch) -> None:
    def accuracy(settings: config.TrainConfig, epoch: int) -> float:
        if settings.lr > 0.01:
            raise DivergedError("The loss stopped being a finite number")
        return 0.5

    pretend(monkeypatch, accuracy)
    study = studies.create(Plan(replace(base, lr=0.05), LR, trials=3))
    tune.work(study, lambda line: None)
    first = study.summary().trials[0]
    assert (first.state, first.why) == ("pruned", "The loss stopped being a finite number.")


def test_a_stopped_search_goes_on_with_the_trial_that_was_cut_off(base, monkeypatch) -> None:
    study = studies.create(Plan(base, LR, trials=4))
    stops = [True]

    def accuracy(settings: config.TrainConfig, epoch: int) -> float:
        if epoch == 3 and stops and len(study.summary().trials) == 2:
            stops.pop()
            study.ask_to_stop()
        return 0.5

    met = pretend(monkeypatch, accuracy)
    tune.work(study, lambda line: None)
    assert study.state() == "stopped"
    assert [trial.state for trial in study.summary().trials] == ["finished", "stopped"]
    study.take_back_stop()
    tune.work(study, lambda line: None)
    assert study.state() == "finished"
    assert met[2] == met[1], "the same settings once more"
    assert study.summary().done() == 4


def test_a_search_gives_up_when_nothing_works(base, monkeypatch) -> None:
    def accuracy(settings: config.TrainConfig, epoch: int) -> float:
        raise RuntimeError("no wings")

    pretend(monkeypatch, accuracy)
    study = studies.create(Plan(base, LR, trials=30))
    with pytest.raises(TrainingError, match=r"in a row failed: no wings"):
        tune.work(study, lambda line: None)
    assert study.state() == "failed"
    assert len(study.summary().trials) == tune.MOST_FAILURES


def test_a_worker_gives_up_while_others_still_try(base, monkeypatch) -> None:
    """The study's last trial is then somebody else's, and goes on."""
    begun = []

    def accuracy(settings: config.TrainConfig, epoch: int) -> float:
        begun.append(searches[0].ask())
        raise RuntimeError("no memory")

    pretend(monkeypatch, accuracy)
    searches, usual = [], search.open_search
    monkeypatch.setattr(search, "open_search", lambda *given: searches.append(usual(*given)) or searches[0])
    study = studies.create(Plan(base, LR, trials=30))
    with pytest.raises(TrainingError, match=r"in a row failed: no memory"):
        tune.work(study, lambda line: None)
    assert len(begun) == tune.MOST_FAILURES


def test_trials_on_other_photos_are_refused(base, monkeypatch, tmp_path: Path) -> None:
    pretend(monkeypatch, near_a_hundredth)
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    study = studies.create(Plan(base, LR, trials=1), "shared")
    tune.work(study, lambda line: None, url)
    other = replace(base, data=str(draw_set(tmp_path / "set", {"Train": 2, "Valid": 1})))
    (study.folder / "study.json").unlink()
    elsewhere = studies.create(Plan(other, LR, trials=2), "shared")
    with pytest.raises(RunError, match="photos are others"):
        tune.work(elsewhere, lambda line: None, url)


def test_photos_without_validation_are_refused(base, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 1})
    study = studies.create(Plan(replace(base, data=str(folder)), LR, trials=1))
    with pytest.raises(RunError, match="no validation photos"):
        tune.work(study, lambda line: None)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://ann:secret@db/flowers", "driver of this database is not installed"),
        ("mysql://ann:secret@db/flowers", "driver of this database is not installed"),
        ("flowers.db", "not the URL of a database"),
        ("abacus://ann:secret@db/flowers", "not the URL of a database"),
        ("sqlite:////no/such/folder/study.db", "database can't be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_explained_without_its_password(base, url: str, says: str) -> None:
    study = studies.create(Plan(base, LR, trials=1))
    with pytest.raises(ConfigError, match=says) as caught:
        tune.work(study, lambda line: None, url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint
    assert "secret" not in "".join(path.read_text() for path in study.folder.glob("*.json"))


def test_workers_share_a_study_and_a_killed_ones_trial_is_made_again(base) -> None:
    """Two real processes; one is killed in the middle of a trial, and the study goes on without and then with it."""
    plan = Plan(
        replace(base, epochs=12, batch_size=4), {"lr": Search(1e-4, 1e-3, log=True)}, trials=3, pruner="none", workers=2
    )
    study = tune.start(plan)

    def running() -> list[int]:
        numbers = [trial.number for trial in study.summary().trials if trial.state == "running"]
        return [number for number in numbers if study.trial(number).status().process]

    try:
        until(running, study)
        victim = running()[0]
        process = study.trial(victim).status().process
        os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
        tune.resume(study)
        until(lambda: study.state() == "finished" and not study.living_workers(), study)
    finally:
        study.ask_to_stop()
    trials = study.summary().trials
    assert trials[victim].state == "failed"
    assert [trial.state for trial in trials].count("finished") == 3, "exactly as many as planned"
    again = [trial for trial in trials if trial.settings == trials[victim].settings and trial.state == "finished"]
    assert len(again) == 1
    assert len(kept(study)) == 1


def until(condition: Callable[[], object], study: Study, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, (study.state(), study.summary(), study.log_path.read_text()[-3000:])
        time.sleep(0.05)


def test_a_waiting_training_goes_before_the_next_trial(base, monkeypatch) -> None:
    study = studies.create(Plan(base, LR, trials=1))
    run = runs.create(base)
    run.write_status(runs.Status(phase="queued"))
    with run.locked(), pytest.raises(InterruptedError), tune._Turn(study, lambda: True).trial():
        pass
    assert study.told()["phase"] == "queued"


def test_no_worker_takes_another_that_waits_for_one_that_trains(base) -> None:
    study = studies.create(Plan(base, LR, trials=2, workers=2))
    first, second = (tune._Turn(study, lambda: False) for _ in range(2))
    second.ours = FileLock(study.folder / "turn-other.lock")
    with FileLock(runs.runs_dir() / ".slot.lock"):
        with ThreadPoolExecutor(2) as workers:
            for _ in range(20):
                assert not any(workers.map(tune._Turn._begin, (first, second)))
        assert not any(processes.is_held(path) for path in study.folder.glob("turn-*.lock"))


def test_workers_share_the_turn_and_keep_it_until_the_last_of_them_ends_its_trial(base) -> None:
    study = studies.create(Plan(base, LR, trials=2, workers=2))
    first, second = (tune._Turn(study, lambda: False) for _ in range(2))
    second.ours = FileLock(study.folder / "turn-other.lock")
    slot = runs.runs_dir() / ".slot.lock"
    one, other = first.trial(), second.trial()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert processes.is_held(slot), "the other one still trains"
    with first.trial():
        other.__exit__(None, None, None)
        assert processes.is_held(slot)
    assert not processes.is_held(slot)


def test_the_best_becomes_a_preset_for_page_and_command_line(base, monkeypatch) -> None:
    pretend(monkeypatch, near_a_hundredth)
    study = studies.create(Plan(base, LR, trials=3, pruner="none"))
    with pytest.raises(RunError, match="No trial has finished"):
        tune.save_best(study, "My best")
    tune.work(study, lambda line: None)
    assert tune.save_best(study, "My best!") == "my-best"
    assert presets.every()["my-best"].title == "My best!"
    best = study.summary().best_trial().settings["lr"]
    taken = presets.take("my-best", "imagenet", epochs=3)
    assert (taken.lr, taken.epochs, taken.features_lr, taken.data) == (best, 3, 0.0, "garden")
    assert presets.take("my-best", "scratch").problems() == []
    parsed = build_parser().parse_args(["train", "garden", "--preset", "my-best"])
    assert parsed.preset == "my-best"
    presets.remove("my-best")
    assert list(presets.every()) == list(config.PRESETS)


@pytest.mark.parametrize("title", ["", "***", "standard", "Paper 2012"])
def test_a_presets_name_must_be_one(title: str) -> None:
    with pytest.raises(ConfigError):
        presets.save(title, "", config.TrainConfig())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"title": 1, "expect": "", "start": "x", "settings": {}}',
                                     b'{"title": "t", "expect": "", "start": "scratch", "settings": {"lr": -1}, "from_scratch": {}}'])  # fmt: skip # noqa: E501
def test_a_damaged_preset_is_left_out(content: bytes) -> None:
    presets.save("Mine", "", config.TrainConfig(lr=0.5))
    (presets.presets_dir() / "broken.json").write_bytes(content)
    assert list(presets.every()) == [*config.PRESETS, "mine"]


@pytest.mark.parametrize("name", config.PRESETS)
@pytest.mark.parametrize("init", ["imagenet", "scratch"])
def test_every_preset_lies_in_a_space_whose_every_corner_can_be_trained(name: str, init: str) -> None:
    settings = config.preset(name, init)
    space = config.search_space(settings)
    assert space["lr"].holds(settings.lr)
    for rule in ("low", "high"):
        corner = {key: rules.choices[0] if rules.choices else getattr(rules, rule) for key, rules in space.items()}
        assert replace(settings, **corner).problems() == []


def test_plans_say_all_their_problems_at_once(base) -> None:
    with pytest.raises(ConfigError, match=r"no setting.*trials.*workers.*pruner.*objective"):
        studies.create(Plan(base, {}, 0, "axe", "beauty", 0))
    with pytest.raises(ConfigError, match="name may hold"):
        studies.create(Plan(base, LR), "../elsewhere")


def test_a_study_on_disk_is_the_plan_that_was_made(base) -> None:
    plan = Plan(base, config.search_space(base), 7, "hyperband", "loss", 2)
    assert studies.create(plan).plan() == plan
    broken = studies.create(plan)
    (broken.folder / "study.json").write_bytes(b"{")
    (broken.folder / "summary.json").write_bytes(b'{"trials": [{}]}')
    assert broken.summary() == studies.Summary()
    with pytest.raises(RunError, match="holds no search"):
        broken.plan()


def test_luck_is_two_standard_errors_of_a_difference() -> None:
    assert studies.luck(0.75, 30) == pytest.approx(0.2236, abs=1e-3)
    assert studies.luck(0.75, 3000) == pytest.approx(0.02236, abs=1e-4)
    assert studies.luck(1.0, 30) == 0.0
    assert studies.luck(0.5, 0) == 1.0


def test_the_first_worker_starts_what_the_server_may_forget(base, monkeypatch) -> None:
    """A study's state comes from its files alone, so that a server that starts anew finds it."""
    monkeypatch.setattr(processes, "launch", lambda *_: None)
    study = tune.start(Plan(base, LR, trials=1))
    assert studies.find_study(study.id).state() == "starting"
    long_ago = time.time() - 1000
    os.utime(study.folder / "launched", (long_ago, long_ago))
    assert study.state() == "interrupted"
    with study.worker():
        study.tell("running")
        assert study.state() == "running"
        study.ask_to_stop()
        assert study.state() == "stopping"
