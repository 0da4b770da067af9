"""Starts, steers and is the training process. Nothing here needs torch until training really begins."""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowers_core import runs
from flowers_core.errors import ConfigError, DivergedError, FlowersError
from flowers_core.machine import processes
from flowers_core.runs import Run, Status, trash, turns
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import name_of
from flowers_core.training import distributed, lr_finder

if TYPE_CHECKING:
    from flowers_core.photos.cache import DecodedSource
    from flowers_core.training.lr_finder import RangeTest
    from flowers_core.training.train import Result

BEAT_EVERY_S = 5.0
PARTING_S = 20
"""Seconds that a following process waits after a signal for the first one to end the training."""


def start(config: TrainConfig, preset: str = "") -> Run:
    """Begins a new run in a process of its own, which lives on when this one ends.

    Args:
        config: its settings.
        preset: what people call them.

    Raises:
        ConfigError, StorageError: the run can't be created.
    """
    run = runs.create(config)
    run.record_facts({"data": name_of(config.data), "preset": preset})  # what it is called by, from now on
    _launch(run)
    return run


def start_lr_test(config: TrainConfig) -> Run:
    """Begins a learning-rate range test in a process of its own. Older tests are removed but for a few.

    Raises:
        ConfigError, StorageError: it can't be created.
    """
    run = runs.create(config, lr_finder.new_folder())
    _launch(run, "find-lr")
    return run


def resume(run: Run) -> None:
    """Goes on with a paused, stopped, failed or interrupted run.

    Raises:
        RunError: it has finished, or its loss was not finite any more.
    """
    state = run.state()
    run.take_back("pause")
    if state in runs.ACTIVE:
        return
    run.require_unfinished()
    run.take_back("stop")
    run.write_status(replace(run.status(), phase="starting", message="", hint=""))
    _launch(run)


def pause(run: Run) -> None:
    """The process saves its state and waits."""
    run.ask("pause")


def stop(run: Run) -> None:
    """The process saves its state and its best model, and ends."""
    run.ask("stop")


def kill(run: Run) -> None:
    """Ends a process that no longer listens. What was saved last stays, and the run can be resumed."""
    process = run.status().process
    if process and run.is_locked():  # whoever holds the lock wrote that number, so it can't be somebody else's
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _launch(run: Run, command: str = "train") -> None:
    processes.launch([command, "--run-dir", str(run.folder.resolve()), "--resume"], run.log_path)


def train_here(run: Run, say: Callable[[str], None]) -> "Result | None":
    """Trains a run in this process: waits for its turn, reads the photos, fits. None when stopped before it began.

    With folds in its settings, it cross-validates them. Whatever happens, the run's status tells it; errors are
    raised again for the caller to report.

    Args:
        run: created, perhaps begun before.
        say: told one line at each turn of events.
    """
    return _work_here(run, say, _fit)


def find_lr_here(run: Run, say: Callable[[str], None]) -> "RangeTest | None":
    """The learning-rate range test in this process, as `train_here` trains. None when stopped."""
    return _work_here(run, say, lr_finder.measure)


def _work_here(run: Run, say: Callable[[str], None], work: Callable):
    last = replace(run.status(), message="", hint="", cause="", process=os.getpid())
    stop_asked: list[int] = []
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda number, frame: stop_asked.append(number))
    if os.environ.get("FLOWERS_WORKER") and hasattr(os, "nice"):
        os.nice(5)  # the pages stay quick while training takes every core

    def request() -> str:
        return "stop" if stop_asked else run.request()

    with run.locked(), _heart(run):
        try:
            run.write_status(replace(last, phase="preparing", message="Starting."))
            runs.tidy()
            trash.empty(trash.KEPT_DAYS)
            with turns.training_slot(run, last, request):
                result = _prepare_and_work(run, request, last, say, work)
        except InterruptedError:
            run.write_status(replace(last, phase="stopped", message="Stopped while waiting."))
            return None
        except FlowersError as error:
            cause = "diverged" if isinstance(error, DivergedError) else ""
            run.write_status(replace(_failed(run, last, f"{error.what}.", error.hint), cause=cause))
            raise
        except MemoryError:
            hint = "Choose a smaller batch size, or close other programs."
            run.write_status(_failed(run, last, "The machine ran out of memory.", hint))
            raise
        except BaseException as error:
            say(traceback.format_exc())
            hint = "The log below says more. What was saved last is kept: resume to try again."
            run.write_status(_failed(run, last, f"Unexpected: {type(error).__name__}: {error}", hint))
            raise
    return result


def follow(config: TrainConfig, folder: Path) -> None:
    """Trains along with the first of several processes, which alone writes to the run's folder and obeys requests."""
    for name in ("SIGINT", "SIGTERM"):  # the first one saves and stops all; who is left alone ends by itself
        signal.signal(getattr(signal, name), lambda *_: signal.alarm(PARTING_S) if hasattr(signal, "alarm") else None)
    from flowers_core.photos.cache import decode_source
    from flowers_core.sources import open_source
    from flowers_core.training.train import fit

    fit(config, decode_source(open_source(config.data)), Run(folder), lambda: "")


@contextmanager
def _heart(run: Run) -> Iterator[None]:
    """Beats while the process lives, also through a download or a long computation."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_EVERY_S):
            run.beat()

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _prepare_and_work(run: Run, request: Callable[[], str], last: Status, say: Callable[[str], None], work: Callable):
    from flowers_core.photos.cache import decode_source
    from flowers_core.sources import open_source

    config = run.config()

    def report(what: str, done: int, total: int) -> None:
        run.write_status(replace(last, phase="preparing", message=f"{what}: {done} of {total}."))
        if request() == "stop":
            raise InterruptedError

    say(f"Opening {config.data}")
    report("Looking for photos", 0, 1)
    source = open_source(config.data, progress=report)
    decoded = decode_source(source, report)
    counts = ", ".join(f"{count} {split}" for split, count in decoded.source.counts().items())
    say(f"{decoded.source.name}: {len(source.classes)} kinds, {counts}, {len(decoded.source.problems)} left out")
    run.write_status(replace(last, phase="preparing", message="Setting up the network."))
    result = work(config, decoded, run, request)
    say(f"{run.status().phase.capitalize()}.")
    return result


def _fit(config: TrainConfig, decoded: "DecodedSource", run: Run, request: Callable[[], str]) -> "Result":
    if config.folds:
        if distributed.world() > 1:
            raise ConfigError("A cross-validation trains in one process only", None, "Start it without torchrun.")
        from flowers_core.training.cross_validate import cross_validate

        return cross_validate(config, decoded, run, request)
    from flowers_core.training.train import fit

    return fit(config, decoded, run, request)


def _failed(run: Run, last: Status, message: str, hint: str) -> Status:
    reached = replace(run.status(), process=last.process)
    return replace(reached, phase="failed", message=message, hint=hint)
