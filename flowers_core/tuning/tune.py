"""The search for settings with Optuna: each trial is a training like any other, in a process that is no page."""

import gc
import os
import platform
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from flowers_core import runs
from flowers_core.errors import DivergedError, FlowersError, RunError, TrainingError
from flowers_core.machine import processes
from flowers_core.network import checkpoint
from flowers_core.runs import Run
from flowers_core.settings import presets
from flowers_core.sources import name_of
from flowers_core.storage import explain_disk_errors, runs_dir
from flowers_core.tuning import search, studies
from flowers_core.tuning.studies import Plan, Study, Summary, Trial, luck

if TYPE_CHECKING:
    import optuna

    from flowers_core.photos.cache import DecodedSource
    from flowers_core.training.views import Remembered

STORAGE_VARIABLE = "FLOWERS_STUDY_STORAGE"
"""Environment variable with the database's URL. A URL may hold a password, so it is never written to a file."""

LEAST_FOR_IMPORTANCE = 6
"""Finished trials below which the importance of settings would be guessed from next to nothing."""

MOST_FAILURES = 5
"""Trials that may fail in a row before the study gives up."""


class _Stopped(Exception):
    """The user asked to stop in the middle of a trial."""


# From outside: started, stopped, gone on with


def start(plan: Plan) -> Study:
    """Begins a study in processes of its own, which live on when this one ends.

    Raises:
        ConfigError, StorageError: it can't be created.
    """
    search.require_optuna()
    study = studies.create(plan)
    resume(study)
    return study


def resume(study: Study) -> None:
    """Starts the workers that are missing; a stopped, failed or interrupted study goes on where it was."""
    study.take_back_stop()
    missing = study.plan().workers - study.living_workers()
    with explain_disk_errors(study.folder):
        (study.folder / "launched").touch()
    for _ in range(missing):
        processes.launch(["tune", "--study-dir", str(study.folder.resolve())], study.log_path)


def save_best(study: Study, title: str) -> str:
    """Keeps the best trial's settings as a preset of the user's own.

    Returns:
        Its name for `--preset`.

    Raises:
        RunError: no trial has finished yet.
        ConfigError: the title can't be used.
    """
    summary, plan = study.summary(), study.plan()
    best = summary.best_trial()
    if best is None:
        raise RunError("No trial has finished yet, so there is no best one", study.id, "Wait for the first.")
    expect = (
        f"Your own: the best of {summary.done()} trials on {name_of(plan.config.data)}, right on "
        f"{best.accuracy or 0:.0%} of {summary.valid_n} validation photos."
    )
    return presets.save(title, expect, replace(plan.config, **best.settings))


def report(study: Study) -> dict:
    """A study as `tune --json` tells it."""
    summary, plan = study.summary(), study.plan()
    best = summary.best_trial()
    states = [trial.state for trial in summary.trials]
    result = {
        "study": study.id, "study_dir": str(study.folder), "state": study.state(), "trials": summary.done(),
        "planned": plan.trials, **{state: states.count(state) for state in ("finished", "pruned", "stopped", "failed")},
        "objective": plan.objective, "valid_n": summary.valid_n, "importance": summary.importance, "best": None,
    }  # fmt: skip
    if best:
        kept = study.trial(best.number).checkpoint_path
        result["best"] = {
            "trial": best.number, "valid_accuracy": best.accuracy, "valid_loss": best.loss, "settings": best.settings,
            "luck": luck(best.accuracy or 0.0, summary.valid_n), "checkpoint": str(kept) if kept.exists() else None,
        }  # fmt: skip
    return result


# Inside of a worker's process


def work(study: Study, say: Callable[[str], None], storage: str | None = None) -> None:
    """Makes trials until the study has as many as planned, or is asked to stop.

    Args:
        study: what to work on; any number of processes may, on any machine that reaches the database.
        say: told one line at each turn of events.
        storage: URL of the database; $FLOWERS_STUDY_STORAGE or SQLite in the study's folder when None.

    Raises:
        ConfigError: the database can't be used.
        DataError, StorageError, CheckpointError: the photos, the disk or the start can't be used.
    """
    search.require_optuna()
    with study.worker() as lock:
        try:
            study.tell("running", "Looking for photos.")
            worker_ = _Worker(study, say, lock)
            worker_.open(storage or os.environ.get(STORAGE_VARIABLE) or study.database)
            phase = worker_.work()
        except FlowersError as error:
            study.tell("failed", f"{error.what}.", error.hint)
            raise
        except BaseException as error:
            say(traceback.format_exc())
            study.tell(
                "failed", f"Unexpected: {type(error).__name__}: {error}", "The log says more. Go on to try again."
            )
            raise
    if phase == "finished" or not study.living_workers():
        study.tell(phase)


class _Worker:
    """One process that makes trials."""

    def __init__(self, study: Study, say: Callable[[str], None], lock: Path):
        self.study, self.say, self.plan = study, say, study.plan()
        self.owner = f"{platform.node()}:{lock.resolve()}"
        self.is_alone = self.plan.workers == 1
        self.signals: list[int] = []
        self.importance: tuple[int, dict[str, float]] = (0, {})
        self.remembered: Remembered | None = None
        self.last = -1
        """Number of this worker's latest trial: others work on theirs meanwhile."""
        for name in ("SIGTERM", "SIGINT"):
            signal.signal(getattr(signal, name), lambda number, frame: self.signals.append(number))
        if os.environ.get("FLOWERS_WORKER") and hasattr(os, "nice"):
            os.nice(5)  # the pages stay quick while trials take every core
        if self.plan.workers > 1 and not self.plan.config.threads:
            from flowers_core.machine.parallel import usable_cores

            threads = max(1, usable_cores() // self.plan.workers)
            self.plan = replace(self.plan, config=replace(self.plan.config, threads=threads))
        self.turn = _Turn(study, self.is_stopping)

    def is_stopping(self) -> bool:
        return bool(self.signals) or self.study.is_asked_to_stop()

    def open(self, url: str) -> None:
        """Opens the photos and the database."""
        from flowers_core.photos.cache import decode_source
        from flowers_core.sources import open_source

        self.decoded: DecodedSource = decode_source(open_source(self.plan.config.data))
        self.optuna = search.open_search(self.study, self.plan, url, self.is_alone)
        known = self.optuna.user_attrs.get("fingerprint")
        if known is None:
            self.optuna.set_user_attr("fingerprint", self.decoded.fingerprint)
        elif known != self.decoded.fingerprint:
            hint = "Trials on other photos can't be compared: begin a new study."
            raise RunError("The photos are others than when this study began", self.study.id, hint)
        if not self.decoded.source.counts()["valid"]:
            hint = "Add photos to Valid: trials are compared on photos that they have not learned from."
            raise RunError("There are no validation photos to choose by", self.plan.config.data, hint)

    def work(self) -> str:
        """Trial after trial; "finished" or "stopped"."""
        failures = 0
        while not self.is_stopping():
            self._bury_the_dead()
            self._publish()
            states = [trial.state.name for trial in self.optuna.get_trials(deepcopy=False)]
            done = states.count("COMPLETE") + states.count("PRUNED")
            if done >= self.plan.trials:
                return "finished"
            if done + states.count("RUNNING") >= self.plan.trials:
                time.sleep(0.5)  # others are at the last ones; if one of them dies, its trial is ours
                continue
            try:
                with self.turn.trial():
                    self.study.tell("running")
                    self.optuna.optimize(self._trial, n_trials=1, catch=(_Stopped, OSError, ValueError, RuntimeError))
            except InterruptedError:
                break
            gc.collect()  # a network of 57 million weights must be gone before the next one comes
            last = self.optuna.get_trials(deepcopy=False)[self.last]
            failures = failures + 1 if last.state.name == "FAIL" and not self.is_stopping() else 0
            if failures >= MOST_FAILURES:
                hint = "The log says what happened in each."
                raise TrainingError(f"{failures} trials in a row failed: {last.user_attrs.get('why', '')}", None, hint)
        self._publish()
        return "stopped"

    def _trial(self, trial: "optuna.Trial") -> float:
        """Trains with the settings that Optuna suggests; its figure, higher is better."""
        import optuna

        from flowers_core.training.train import fit
        from flowers_core.training.views import Remembered

        if not self.remembered and not self.plan.config.is_lean:
            self.remembered = Remembered()
        chosen = {name: search.suggest(trial, name, rule) for name, rule in self.plan.space.items()}
        trial.set_user_attr("owner", self.owner)
        self.last = trial.number
        settings = replace(self.plan.config, **chosen)
        run = self.study.trial(trial.number)
        shutil.rmtree(run.folder, ignore_errors=True)
        run = runs.create(settings, run.folder)
        self._publish()
        words = ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                          for name, value in chosen.items())  # fmt: skip
        self.say(f"Trial {trial.number + 1}: {words}")
        watch = _Watch(trial, run, self.plan.objective, self.is_stopping)
        try:
            with run.locked():
                fit(settings, self.decoded, run, watch, resumable=False, remembered=self.remembered)
            watch.report()
            results = checkpoint.read_card(run.checkpoint_path).results
            if "valid_accuracy" not in results:
                raise DivergedError("No epoch's weights were small enough to be stored")
            trial.set_user_attr("accuracy", results["valid_accuracy"])
            trial.set_user_attr("loss", results["valid_loss"])
            return results["valid_accuracy"] if self.plan.objective == "accuracy" else -results["valid_loss"]
        except optuna.TrialPruned:
            self._end(trial, run, "stopped", "Behind the others at the same epoch.")
            raise
        except DivergedError as error:  # a rate too high is a result too, and the search must learn from it
            self._end(trial, run, "failed", f"{error.what}.")
            raise optuna.TrialPruned from error
        except _Stopped:
            self._end(trial, run, "stopped", "Stopped; it is tried again when the study goes on.")
            trial.set_user_attr("stopped", True)
            self._again(trial)
            raise
        except BaseException as error:
            self._end(trial, run, "failed", str(error))
            raise

    def _end(self, trial: "optuna.Trial", run: Run, phase: str, why: str) -> None:
        self.say(f"Trial {trial.number + 1}: {why}")
        trial.set_user_attr("why", why)
        with suppress(FlowersError):
            run.write_status(replace(run.status(), phase=phase, message=why))

    def _again(self, trial: "optuna.Trial | optuna.trial.FrozenTrial") -> None:
        """Lets a trial that was cut off be made once more; one that dies twice is likely to blame itself."""
        if "again" not in trial.user_attrs:
            self.optuna.enqueue_trial(trial.params, user_attrs={"again": trial.number})

    def _bury_the_dead(self) -> None:
        """Marks trials failed whose process died on this machine; those of other machines fail by their heartbeat."""
        import optuna

        for trial in self.optuna.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            host, _, lock = trial.user_attrs.get("owner", "").partition(":")
            mine = trial.user_attrs.get("owner") == self.owner  # between two trials, so it is of a worker before us
            if host == platform.node() and (mine or not processes.is_held(Path(lock))):
                self.optuna.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
                self._again(trial)

    def _publish(self) -> None:
        """Writes the summary, and keeps the weights of the best trial only."""
        with FileLock(self.study.folder / "summary.lock"):
            summary = self._summarise()
            self.study.write_summary(summary)
            for trial in summary.trials:
                run = self.study.trial(trial.number)
                if trial.state != "running" and trial.number != summary.best:
                    run.checkpoint_path.unlink(missing_ok=True)

    def _summarise(self) -> Summary:
        words = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
        rows = []
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.state.name not in words:
                continue
            known, reached = trial.user_attrs, trial.intermediate_values.get(trial.last_step)
            by_accuracy = self.plan.objective == "accuracy"
            rows.append(
                Trial(
                    trial.number,
                    "stopped" if "stopped" in known else words[trial.state.name],
                    dict(trial.params),
                    known.get("accuracy", reached if by_accuracy else None),
                    known.get("loss", -reached if reached is not None and not by_accuracy else None),
                    trial.last_step or 0,
                    known.get("why", "Its process died." if trial.state.name == "FAIL" else ""),
                )
            )
        finished = [row for row in rows if row.state == "finished"]
        by_loss = self.plan.objective == "loss"
        best = max(finished, key=lambda row: (0 if by_loss else row.accuracy, -row.loss), default=None)
        enough = max(LEAST_FOR_IMPORTANCE, 1.2 * self.importance[0])  # it takes a second: not after every trial
        enough = LEAST_FOR_IMPORTANCE if len(rows) >= self.plan.trials else enough
        if len(finished) >= enough and len(finished) != self.importance[0]:
            self.importance = (len(finished), search.importance(self.optuna))
        number = best.number if best else None
        return Summary(tuple(rows), number, self.importance[1], self.decoded.source.counts()["valid"])


class _Watch:
    """A trial's request: passes on the figures of every new epoch, and cuts short what lags behind."""

    def __init__(self, trial: "optuna.Trial", run: Run, objective: str, is_stopping: Callable[[], bool]):
        self.trial, self.run, self.objective, self.is_stopping = trial, run, objective, is_stopping
        self.read = 0

    def __call__(self) -> str:
        import optuna

        if self.is_stopping():
            raise _Stopped
        if self.report() and self.trial.should_prune():
            raise optuna.TrialPruned
        return ""

    def report(self) -> bool:
        """Tells Optuna of epochs that have ended since; was there one?"""
        records, self.read = self.run.metrics(self.read)
        epochs = [record for record in records if record["kind"] == "epoch"]
        for record in epochs:
            value = record["valid_accuracy"] if self.objective == "accuracy" else -record["valid_loss"]
            self.trial.report(value, record["epoch"])
        return bool(epochs)


class _Turn:
    """One training at a time on this machine; workers of one study share the turn, each a trial of its own.

    Whoever took the turn keeps it while any of them trains. A training that waits goes first, once the trials that
    are going on have ended.
    """

    def __init__(self, study: Study, is_stopping: Callable[[], bool]):
        self.study, self.is_stopping = study, is_stopping
        self.slot = FileLock(runs_dir() / ".slot.lock")
        self.ours = FileLock(study.folder / f"turn-{os.getpid()}.lock")
        self.looking = FileLock(study.folder / "looking.lock")
        """Held while one looks at the others' locks and takes its own, or two might each take the other for first."""

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Held during a trial.

        Raises:
            InterruptedError: asked to stop while waiting.
        """
        runs_dir().mkdir(parents=True, exist_ok=True)
        while not self._begin():
            self.study.tell("queued", "Waiting for a training to end.")
            if self.is_stopping():
                self._give_way()
                raise InterruptedError
            time.sleep(0.5)
        try:
            yield
        finally:
            self._give_way(self.ours)

    def _begin(self) -> bool:
        if any(run.state() == "queued" for run in runs.active_runs()):
            self._give_way()
            return False
        with self.looking, suppress(Timeout):
            if self.slot.is_locked or self._others_train() or self.slot.acquire(timeout=0):
                self.ours.acquire()
                return True
        return False

    def _give_way(self, trained: FileLock | None = None) -> None:
        """Lets go of the turn, unless another worker still trains in it."""
        with self.looking:
            if trained:
                trained.release()
            if self.slot.is_locked and not self._others_train():
                self.slot.release()

    def _others_train(self) -> bool:
        locks = self.study.folder.glob("turn-*.lock")
        return any(processes.is_held(lock) for lock in locks if lock != Path(self.ours.lock_file))
