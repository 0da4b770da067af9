"""The training process: started, watched, steered, queued, killed and found again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowers_core import runs
from flowers_core.errors import FlowersError, RunError
from flowers_core.runs import Run, Status
from flowers_core.settings import config
from flowers_core.storage import REPOSITORY, write_json
from flowers_core.training import worker

WAIT_S = 120.0


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    yield
    for run in runs.list_runs():
        worker.stop(run)
        worker.kill(run)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.05)


def until_state(run: Run, *states: str) -> str:
    until(lambda: run.state() in states, f"{run} to be {' or '.join(states)}, it is {run.state()}: {run.log_tail()}")
    return run.state()


@pytest.fixture
def settings(three_kinds: Path) -> config.TrainConfig:
    """Long enough to be interrupted; a test that wants its end asks for fewer epochs."""
    return replace(config.preset("quick"), data=str(three_kinds), epochs=200, batch_size=6, features_lr=0.0, threads=1)


def test_a_run_trains_in_a_process_of_its_own_to_its_end(settings) -> None:
    run = worker.start(replace(settings, epochs=1))
    assert run.state() in ("starting", "preparing")
    assert until_state(run, "finished", "failed") == "finished"
    assert run.checkpoint_path.exists()
    assert "3 kinds, 12 train" in run.log_tail()
    with pytest.raises(RunError, match="has finished"):
        worker.resume(run)


def test_a_killed_worker_is_seen_at_once_and_resumes_to_its_end(settings) -> None:
    run = worker.start(replace(settings, epochs=40))  # the status is a glance behind: it mustn't be over by then
    until(lambda: run.status().step >= 2, "two steps")
    os.kill(run.status().process, signal.SIGKILL)
    assert until_state(run, "interrupted") == "interrupted"
    worker.resume(run)
    assert until_state(run, "finished", "failed") == "finished"
    epochs = [record["epoch"] for record in run.metrics()[0] if record["kind"] == "epoch"]
    assert epochs == [*range(1, 41)], "no epoch twice, none lost"


def test_pause_resume_and_stop_reach_the_process(settings) -> None:
    run = worker.start(settings)
    until_state(run, "training")
    worker.pause(run)
    until_state(run, "paused")
    step = run.status().step
    time.sleep(0.6)
    assert run.status().step == step
    worker.resume(run)
    until(lambda: run.status().step > step, "steps after the pause")
    worker.stop(run)
    assert until_state(run, "stopped") == "stopped"
    assert run.checkpoint_path.exists()
    assert run.resume_path.exists()


def test_the_worker_outlives_the_process_that_started_it(settings, home: Path) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from flowers_core.settings import config; from flowers_core.training import worker\n"
        f"settings = replace(config.preset('quick'), data={settings.data!r}, epochs=200, batch_size=6, threads=1)\n"
        "print(worker.start(settings).id, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "FLOWERS_HOME": str(home)}
    command = [sys.executable, "-c", code]
    server = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert server.returncode == -signal.SIGKILL
    run = runs.find_run(server.stdout.strip())
    until_state(run, "training")
    worker.stop(run)
    until_state(run, "stopped")


def test_a_second_training_waits_visibly_and_can_be_called_off(settings) -> None:
    first = worker.start(settings)
    until_state(first, "training")
    second, third = worker.start(settings), worker.start(replace(settings, epochs=1))
    until_state(second, "queued")
    until_state(third, "queued")
    assert "Waiting for" in second.status().message
    worker.stop(second)
    until_state(second, "stopped")
    worker.stop(first)
    until_state(first, "stopped")
    assert until_state(third, "finished", "failed") == "finished"


def test_a_folder_that_is_gone_is_the_runs_failure(settings, tmp_path: Path) -> None:
    run = worker.start(replace(settings, data=str(tmp_path / "nowhere")))
    assert until_state(run, "failed") == "failed"
    assert "no such folder" in run.status().message
    assert "Give a folder" in run.status().hint


def test_a_run_whose_flowers_102_was_deleted_says_so_and_downloads_nothing(settings, home: Path) -> None:
    run = runs.create(replace(settings, data="flowers102"))
    run.write_status(Status(phase="stopped"))
    worker.resume(run)
    assert until_state(run, "failed", "finished") == "failed"
    assert run.status().message == "Oxford Flowers-102 is not here."
    assert "Import it on the page Photos" in run.status().hint
    assert not (home / "data" / "downloads").exists()


def test_a_stopped_process_counts_as_stalled_and_can_be_ended(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run = worker.start(settings)
    until_state(run, "training")
    os.kill(run.status().process, signal.SIGSTOP)
    monkeypatch.setattr(runs, "STALE_S", 1.0)
    until_state(run, "stalled")
    worker.kill(run)
    until_state(run, "interrupted")


def test_a_stop_asked_while_the_process_starts_is_not_lost(settings) -> None:
    run = worker.start(settings)
    worker.stop(run)
    assert until_state(run, "stopped", "finished", "failed") == "stopped"


def test_two_processes_never_train_one_run(settings) -> None:
    run = worker.start(settings)
    until_state(run, "training")
    command = [sys.executable, "-m", "flowers_core", "train", "--run-dir", str(run.folder), "--resume"]
    second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert second.returncode == 2
    assert "already being trained" in second.stderr
    assert run.state() == "training"


def test_state_of_a_run_whose_process_never_came(settings) -> None:
    run = runs.create(settings)
    assert run.state() == "starting"
    past = time.time() - runs.STARTING_S - 5
    os.utime(run.folder / "config.json", (past, past))
    assert run.state() == "interrupted"


def test_a_damaged_status_or_config_hides_no_run(settings) -> None:
    run = runs.create(settings)
    for damage in (b"", b"{", b"[]", b'{"wings": 2}', b'{"phase": 5}'):
        (run.folder / "status.json").write_bytes(damage)
        assert run.status().step == 0
        run.state()
    (run.folder / "config.json").write_bytes(b"{}{")
    assert [found.id for found in runs.list_runs()] == [run.id]
    assert runs.summary(run)["run"] == run.id
    with pytest.raises(FlowersError):
        run.config()


def test_time_left_is_guessed_from_the_time_spent() -> None:
    assert Status(step=10, steps=40, seconds=5.0).seconds_left == pytest.approx(15.0)
    assert Status(step=0, steps=40).seconds_left is None


def test_progress_never_goes_back() -> None:
    looks = [Status(part=part, steps=40) for part in (0.0, 0.5, 1.0)]
    steps = [
        Status(step=step, steps=40, setup_seconds=20.0, part=part) for step, part in ((1, 0.0), (20, 0.3), (40, 1.0))
    ]
    shares = [status.share_done for status in (*looks, *steps)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert replace(steps[0], setup_seconds=0.2).share_done == 1 / 40, "nothing to look at before the first step"
    assert Status().share_done == 0.0


def test_only_runs_of_this_home_are_found(home: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "elsewhere" / "config.json", {})
    assert runs.find_run("../../elsewhere") is None
