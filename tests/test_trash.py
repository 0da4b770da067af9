"""Trainings that are over: names, notes, deleting and taking it back, comparing; and whose turn it is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from flowers_core import runs
from flowers_core.errors import DataError, RunError
from flowers_core.machine import processes
from flowers_core.runs import Run, Status, trash, turns
from flowers_core.settings.config import TrainConfig
from flowers_core.training import compare, worker


def ended(name: str, **settings: object) -> Run:
    """A run that has finished, after two epochs."""
    run = runs.create(replace(TrainConfig(), **settings), runs.runs_dir() / name)
    run.record_facts({"counts": {"train": 120, "valid": 30, "test": 0}, "fingerprint": "f", "precision": "float32"})
    for epoch in (1, 2):
        run.log({"kind": "epoch", "epoch": epoch, "step": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.5,
                 "valid_loss": 2 / epoch, "valid_accuracy": 0.4 * epoch})  # fmt: skip
    run.write_status(Status(phase="finished", epoch=2, epochs=2, best_accuracy=0.8, best_epoch=2, seconds=60))
    run.checkpoint_path.write_bytes(b"model")
    return run


def test_a_deleted_run_is_gone_and_comes_back_whole() -> None:
    run, other = ended("1"), ended("2")
    run.set_label("First try", "Too long.")
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    trash.delete(run)
    assert runs.list_runs()[0].id == other.id
    assert len(runs.list_runs()) == 1
    assert runs.find_run(run.id) is None
    run.state()
    assert not run.folder.exists(), "asking for its state must not bring the folder back"
    assert [each.run.name for each in trash.content()] == ["First try"]
    back = trash.restore(run.id)
    assert {path.name: path.read_bytes() for path in back.folder.iterdir()} == before
    assert trash.content() == []


def test_two_runs_of_one_folder_lie_in_the_trash_beside_each_other() -> None:
    gone = []
    for name in ("First", "Second"):
        ended("mine").set_label(name, "")
        gone.append(trash.delete(Run(runs.runs_dir() / "mine")))
    assert sorted(each.run.name for each in trash.content()) == ["First", "Second"]
    assert trash.restore(gone[1].id).folder == runs.runs_dir() / "mine"
    assert Run(runs.runs_dir() / "mine").name == "Second"
    with pytest.raises(RunError, match="there already: mine"):
        trash.restore(gone[0].id)
    odd = ended("a~b")
    assert trash.restore(trash.delete(odd).id).folder == odd.folder


def test_who_began_first_trains_first_whatever_folders_are_called() -> None:
    late, early = ended("a-late-one"), ended("z-early-one")
    for run, when in ((early, 1_700_000_000), (late, 1_700_000_100)):
        run.write_status(Status(phase="queued"))
        os.utime(run.folder / "config.json", (when, when))
    with late.locked(), early.locked():
        assert [run.id for run in turns.before(late)] == [early.id]
        assert turns.before(early) == []
        asked = iter(["", "stop"])
        with pytest.raises(InterruptedError), turns.training_slot(late, Status(), lambda: next(asked)):
            pass


def test_to_look_at_what_was_deleted_brings_nothing_back(tmp_path: Path) -> None:
    assert not processes.is_held(tmp_path / "gone" / "lock")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("phase", ["training", "paused", "queued", "preparing"])
def test_a_living_run_is_not_deleted(phase: str) -> None:
    run = ended("1")
    run.write_status(Status(phase=phase))
    with run.locked(), pytest.raises(RunError, match="going on"):
        trash.delete(run)
    assert runs.find_run("1") is not None


def test_a_run_that_was_just_started_counts_as_living() -> None:
    run = runs.create(TrainConfig())
    with pytest.raises(RunError, match="going on"):
        trash.delete(run)


def test_the_trash_is_emptied_by_age_and_at_once() -> None:
    for name in "123":
        trash.delete(ended(name))
    (old,) = [each for each in trash.content() if each.run.id == "1"]
    past = old.when - trash.KEPT_DAYS * 86_400 - 60
    os.utime(old.run.folder, (past, past))
    trash.delete(ended("4"))
    assert {each.run.id for each in trash.content()} == {"2", "3", "4"}
    (old,) = [each for each in trash.content() if each.run.id == "2"]
    os.utime(old.run.folder, (past, past))
    with pytest.raises(DataError, match="no such folder"):
        worker.train_here(runs.create(TrainConfig(data="nowhere")), print)
    assert {each.run.id for each in trash.content()} == {"3", "4"}, "a training makes room too"
    assert trash.empty() == 2
    assert trash.content() == []


def test_nothing_is_restored_over_a_run_nor_from_outside_the_trash() -> None:
    trash.delete(ended("1"))
    ended("1")
    with pytest.raises(RunError, match="there already"):
        trash.restore("1")
    with pytest.raises(RunError, match="no such training"):
        trash.restore("../2")


def test_names_are_one_line_and_notes_are_kept() -> None:
    run = ended("1", data="/photos/meadow")
    assert run.name.endswith("meadow, AlexNet 2014")
    run.set_label("  Less\n dropout ", "First line\nsecond line\n")
    assert (run.name, run.label()) == ("Less dropout", ("Less dropout", "First line\nsecond line"))
    assert (runs.summary(run)["name"], runs.summary(run)["note"]) == run.label()
    run.set_label("", "")
    assert run.name.endswith("meadow, AlexNet 2014")
    with pytest.raises(RunError, match="81 characters, at most 80"):
        run.set_label("x" * 81, "")
    (run.folder / "label.json").write_text("[")
    assert run.label() == ("", "")


def test_differences_are_those_settings_only_that_differ() -> None:
    first, second = ended("1"), ended("2", lr=0.01, dropout=0.2)
    assert compare.differences([first, second]) == {"lr": [0.001, 0.01], "dropout": [0.5, 0.2]}
    assert compare.differences([first, ended("3")]) == {}
    (second.folder / "config.json").write_text('{"wings": 2}')
    assert compare.differences([first, second])["lr"] == [0.001, None]
    other = ended("4")
    other.record_facts({"counts": {"train": 120, "valid": 30}, "fingerprint": "g", "precision": "float32"})
    assert list(compare.differences([first, other])) == ["photos"], "other photos, though as many"


def test_what_a_run_reached_comes_with_its_interval() -> None:
    found = compare.reached(ended("1"))
    assert (found.accuracy.value, found.accuracy.n, found.kept_epoch, found.valid_loss) == (0.8, 30, 2, 1.0)
    assert found.accuracy.low < 0.7 < 0.8 < found.accuracy.high
    assert compare.reached(runs.create(TrainConfig())).accuracy is None


def test_a_waiting_run_knows_for_whom() -> None:
    first, second, third = (ended(name) for name in "123")
    first.set_label("Break", "")
    waiting = [Status(phase="queued"), Status(phase="paused"), Status(phase="queued")]
    for run, status in zip((first, second, third), waiting, strict=True):
        run.write_status(status)
    with first.locked(), second.locked(), third.locked():
        assert turns.holder(third).id == second.id, "not the first in the list, but the one whose turn it is"
        assert [run.id for run in turns.before(third)] == ["1", "2"]
        third.ask("stop")
        with pytest.raises(InterruptedError), turns.training_slot(third, Status()):
            pass
        assert turns.before(Run(third.folder.parent.parent / "elsewhere")) == []
