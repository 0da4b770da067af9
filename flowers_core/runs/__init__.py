"""The run folder: the only channel between a training process and everybody who watches or steers it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from flowers_core.errors import FlowersError, RunError
from flowers_core.machine import processes
from flowers_core.settings import config as configs
from flowers_core.settings.config import TrainConfig
from flowers_core.storage import (
    append_jsonl,
    explain_disk_errors,
    new_folder,
    read_json,
    read_jsonl,
    runs_dir,
    tail,
    truncate,
    write_json,
)

FINAL = ("finished", "stopped", "failed")
"""Phases after which nothing happens by itself."""

FIRST_LOOKS, NO_LOOKS_S = 0.3, 1.0
"""Share of a training that the looks before its first step count for, however long they take, so that progress never
goes back; and the seconds below which there were none to speak of."""

ACTIVE = ("starting", "queued", "preparing", "training", "paused", "stalled")
"""States of a run whose process lives."""

STALE_S = 60.0
"""Seconds without a heartbeat after which a living process counts as stalled."""

STARTING_S = 30.0
"""Seconds that a new process may take until it holds its lock."""


MOST_NAME, MOST_NOTE = 80, 4000
"""Characters of a run's name and note at most."""


@dataclass(frozen=True)
class Status:
    """What a run says of itself, replaced whole about twice a second while it trains.

    Args:
        phase: what the process was doing when it last spoke.
        message: one sentence for people.
        part: how much of what the message names is done, 0..1; 0 where that is not known.
        hint: what to do next after a failure.
        cause: "diverged" when the loss was not finite any more: going on would end the same way.
        epoch, epochs, step, steps: progress.
        seconds: time spent training, pauses left out.
        images_per_second: over the last seconds.
        setup_seconds: before the first step, once photos were read: the head start above all.
        best_accuracy, best_epoch: on valid, of the epoch that is kept; None and 0 before the first epoch's end.
        fold, folds: which training of a cross-validation this is, from 1 on, and how many there are before the last
            one, on all photos, which is fold 0; both 0 without cross-validation.
        process: id of the training process.
        time: when it was written (seconds since 1970).
    """

    phase: str = "starting"
    message: str = ""
    part: float | int = 0.0
    hint: str = ""
    cause: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    seconds: float | int = 0.0
    images_per_second: float | int = 0.0
    setup_seconds: float | int = 0.0
    best_accuracy: float | int | None = None
    best_epoch: int = 0
    fold: int = 0
    folds: int = 0
    process: int = 0
    time: float | int = 0.0

    @property
    def epoch_now(self) -> tuple[int, int]:
        """The epoch that goes on, from 1, and how many there are: of a cross-validation, in this of its trainings."""
        epochs = self.epochs // (self.folds + 1)
        before = (self.fold - 1 if self.fold else self.folds) * epochs
        return max(1, min(self.epoch - before + 1, epochs)), epochs

    @property
    def share_done(self) -> float:
        """How much of the training is done, 0..1, with the first looks at the photos; never less than before."""
        if not self.step:
            return FIRST_LOOKS * min(1.0, self.part)
        looks = FIRST_LOOKS if self.setup_seconds >= NO_LOOKS_S else 0.0
        return looks + (1 - looks) * min(1.0, self.step / max(1, self.steps))

    @property
    def seconds_in_all(self) -> float:
        """With what came before the first step; of a run that was resumed, before the first one of its last start."""
        return self.seconds + self.setup_seconds

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None while too little is known."""
        if self.step < 3 or self.steps <= self.step or self.seconds <= 0:
            return None
        return self.seconds / self.step * (self.steps - self.step)


class Run:
    """One training run on disk."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    @property
    def id(self) -> str:
        """The folder's name; sorts by time."""
        return self.folder.name

    @property
    def started(self) -> datetime:
        """When it was created."""
        return datetime.fromtimestamp(_changed(self.folder / "config.json"))

    @property
    def name(self) -> str:
        """What people call it: the name they gave it, or when it began, on what, and which network."""
        return self.label()[0] or self.usual_name

    @property
    def usual_name(self) -> str:
        """Its name as long as nobody gave it one."""
        try:
            config = self.config()
            what = f"{self.facts().get('data') or Path(config.data).name}, {self.recipe()}"
        except FlowersError:
            what = "unknown settings"
        return f"{self.started:%d %b %H:%M:%S}: {what}"

    def recipe(self) -> str:
        """Which settings and which network it learns with, in a few words.

        Raises:
            RunError, ConfigError: the settings are missing, damaged or of a newer version.
        """
        variant, preset = self.config().variant, self.facts().get("preset")
        if not preset:
            return f"AlexNet {variant}"
        return preset if variant == TrainConfig().variant else f"{preset}, AlexNet {variant}"

    def label(self) -> tuple[str, str]:
        """The name and the note that people gave it, "" each where they did not."""
        values = read_json(self.folder / "label.json")
        values = values if isinstance(values, dict) else {}
        name, note = (text if isinstance(text := values.get(key), str) else "" for key in ("name", "note"))
        return name, note

    def set_label(self, name: str, note: str) -> None:
        """Gives it a name (one line) and a note; "" takes them away.

        Raises:
            RunError: too long.
            StorageError: it can't be written.
        """
        name, note = " ".join(name.split()), note.strip()
        for what, text, most in (("name", name, MOST_NAME), ("note", note, MOST_NOTE)):
            if len(text) > most:
                raise RunError(f"The {what} has {len(text)} characters, at most {most} fit", self.id, "Shorten it.")
        write_json(self.folder / "label.json", {"name": name, "note": note})

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    @property
    def resume_path(self) -> Path:
        return self.folder / "resume.pt"

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "best.safetensors"

    # What it is

    def config(self) -> TrainConfig:
        """The run's settings.

        Raises:
            RunError: they are missing or damaged.
        """
        values = read_json(self.folder / "config.json")
        if not isinstance(values, dict):
            raise RunError("This folder holds no training run", self.folder, "Choose a folder with a config.json.")
        return configs.from_dict(values)

    def data(self) -> str:
        """What it learns from, as `open_source` takes it; "" where its settings can't be read."""
        with suppress(FlowersError):
            return self.config().data
        return ""

    def facts(self) -> dict:
        """What was recorded when training began: data, versions, machine. Before that its names."""
        facts = read_json(self.folder / "run.json")
        return facts if isinstance(facts, dict) else {}

    def record_facts(self, facts: dict) -> None:
        """Adds to them."""
        write_json(self.folder / "run.json", self.facts() | facts)

    # How it goes

    def status(self) -> Status:
        """What the process said last; the defaults where it said nothing, or the file is damaged."""
        values = read_json(self.folder / "status.json")
        known = Status.__dataclass_fields__ if isinstance(values, dict) else {}
        said = {name: values[name] for name, rule in known.items() if isinstance(values.get(name, ...), rule.type)}
        return Status(**said) if said.get("phase") in (*FINAL, *ACTIVE) else Status()

    def write_status(self, status: Status) -> None:
        """Replaces the status, which also counts as a heartbeat.

        Raises:
            StorageError: the disk is full or read-only.
        """
        write_json(self.folder / "status.json", {**status.__dict__, "time": time.time()})

    def require_unfinished(self) -> None:
        """Ends well when it makes sense to go on with this run.

        Raises:
            RunError: it has finished, or its loss was not finite any more.
        """
        if self.state() == "finished":
            hint = "Start a new one from its checkpoint (--init on the command line)."
            raise RunError("This run has finished", self.id, hint)
        if self.status().cause == "diverged":
            hint = "Start a new run with a smaller learning rate."
            raise RunError("This run would end the same way again: its loss was not finite", self.id, hint)

    def state(self) -> str:
        """What is true now: a final phase, a phase of a living process, "stalled", or "interrupted" (it died)."""
        status = self.status()
        if status.phase in FINAL:
            return status.phase
        if self.is_locked():
            return (
                "stalled"
                if status.time and time.time() - _changed(self.folder / "status.json") > STALE_S
                else status.phase
            )
        last_sign = max(status.time, _changed(self.folder / "config.json"))
        return "starting" if status.phase == "starting" and time.time() - last_sign < STARTING_S else "interrupted"

    def beat(self) -> None:
        """Shows that the process lives, without a word."""
        with suppress(OSError):
            os.utime(self.folder / "status.json")

    def is_locked(self) -> bool:
        """Does a process hold the run's lock?"""
        return processes.is_held(self.folder / "lock")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by the training process for as long as it lives; the system lets go of it whatever kills it.

        Raises:
            RunError: another process trains this run.
        """
        try:
            with FileLock(self.folder / "lock", timeout=5):
                yield
        except Timeout as error:
            raise RunError("This run is already being trained", self.id, "Wait for it, or stop it.") from error

    def metrics(self, start: int = 0) -> tuple[list[dict], int]:
        """Records from byte `start` on, and where to go on reading next time."""
        return read_jsonl(self.metrics_path, start)

    def log(self, record: dict) -> None:
        append_jsonl(self.metrics_path, record)

    def cut_log(self, size: int) -> None:
        """Cuts the metrics back to so many bytes: to where a resumed run goes on."""
        truncate(self.metrics_path, size)

    def log_tail(self, lines: int = 12) -> str:
        """The log's last lines."""
        return tail(self.log_path, lines)

    # How it is steered: files that the process looks for at every batch

    def ask(self, request: str) -> None:
        """Asks the process to "pause" or "stop"."""
        with explain_disk_errors(self.folder):
            (self.folder / request).touch()

    def take_back(self, request: str) -> None:
        """Undoes `ask`."""
        with explain_disk_errors(self.folder):
            (self.folder / request).unlink(missing_ok=True)

    def request(self) -> str:
        """What the process is asked to do: "stop", "pause" or ""."""
        return next((request for request in ("stop", "pause") if (self.folder / request).exists()), "")


class ReadOnlyRun(Run):
    """The run as further processes of one training see it: all they know they keep to themselves."""

    def record_facts(self, facts: dict) -> None: ...

    def write_status(self, status: Status) -> None: ...

    def log(self, record: dict) -> None: ...

    def cut_log(self, size: int) -> None: ...


def create(config: TrainConfig, folder: Path | None = None) -> Run:
    """A new run with its settings saved, not started yet.

    Args:
        config: its settings.
        folder: where; a new folder below the runs when None.

    Raises:
        ConfigError: the settings can't be used.
        RunError: the folder already holds a run.
        StorageError: it can't be written.
    """
    config.check()
    folder = folder or new_folder(runs_dir(), Path(config.data).name, config.variant)
    if (folder / "config.json").exists():
        hint = "Add --resume to go on with it, or give another folder."
        raise RunError("The folder already holds a run", folder, hint)
    with explain_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", configs.to_dict(config))
    return Run(folder)


def list_runs() -> list[Run]:
    """All runs, newest first."""
    return [Run(path.parent) for path in sorted(runs_dir().glob("*/config.json"), reverse=True)]


def tidy() -> None:
    """Frees the disk of states to go on from whose run has finished: its process was killed just before doing so."""
    for run in list_runs():
        if run.resume_path.exists() and run.state() == "finished":
            run.resume_path.unlink(missing_ok=True)


def find_run(run_id: str) -> Run | None:
    """The run of that id, or None; never a path outside of the runs' folder."""
    return next((run for run in list_runs() if run.id == run_id), None)


def active_runs() -> list[Run]:
    """Runs whose process lives, the longest waiting first."""
    return sorted((run for run in list_runs() if run.state() in ACTIVE), key=lambda run: (run.started, run.id))


def summary(run: Run) -> dict:
    """One run as `runs --json` lists it."""
    status = run.status()
    try:
        config = run.config()
        settings = {"data": config.data, "variant": config.variant, "init": config.init, "epochs": config.epochs,
                    "folds": config.folds}  # fmt: skip
    except FlowersError:  # a run of a newer version, or a damaged one, is listed all the same
        settings = {}
    name, note = run.label()
    return {
        "run": run.id,
        "name": name,
        "note": note,
        "state": run.state(),
        **settings,
        "epoch": status.epoch,
        "best_valid_accuracy": status.best_accuracy,
        "seconds": round(status.seconds, 1),
        "checkpoint": str(run.checkpoint_path) if run.checkpoint_path.exists() else None,
    }


def _changed(path: Path) -> float:
    """When a file was last changed, seconds since 1970; 0 when it is not there (any more)."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
