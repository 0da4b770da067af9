"""The study folder: what a search for settings tries, how far it is, and what it found; readable without Optuna."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from flowers_core.errors import ConfigError, RunError
from flowers_core.machine import processes
from flowers_core.runs import STARTING_S, Run
from flowers_core.settings import config as configs
from flowers_core.settings.config import Search, TrainConfig
from flowers_core.storage import explain_disk_errors, new_folder, read_json, studies_dir, write_json

PRUNERS = ("median", "hyperband", "none")
"""What cuts hopeless trials short: being worse than the median at the same epoch, halving rounds, or nothing."""

OBJECTIVES = ("accuracy", "loss")
"""What is made best, always on the validation photos."""

MOST_WORKERS = 64
ALIVE = ("starting", "queued", "running", "stopping")
"""States of a study that a process works on."""


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Args:
        config: what all trials have in common.
        space: what is tried for each setting.
        trials: how many are to be completed or cut short, by all workers together.
        pruner: one of PRUNERS.
        objective: one of OBJECTIVES.
        workers: processes on this machine.
    """

    config: TrainConfig
    space: dict[str, Search]
    trials: int = 20
    pruner: str = "median"
    objective: str = "accuracy"
    workers: int = 1

    def check(self) -> "Plan":
        """Itself, when it can be carried out.

        Raises:
            ConfigError: with all problems in one message.
        """
        found = self.config.problems()
        if self.config.folds:
            found.append("folds must be 0: a search compares trials on the validation photos")
        if not self.space:
            found.append("no setting is left to search")
        if not 1 <= self.trials <= 10_000:
            found.append(f"trials must lie between 1 and 10000, not {self.trials}")
        if not 1 <= self.workers <= MOST_WORKERS:
            found.append(f"workers must lie between 1 and {MOST_WORKERS}, not {self.workers}")
        if self.pruner not in PRUNERS:
            found.append(f"pruner must be one of {', '.join(PRUNERS)}, not {self.pruner!r}")
        if self.objective not in OBJECTIVES:
            found.append(f"objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}")
        if found:
            raise ConfigError("This search can't be made: " + "; ".join(found))
        return self


@dataclass(frozen=True)
class Trial:
    """One trial as the summary tells it.

    Args:
        number: its place in the study, from 0.
        state: "finished", "pruned" (cut short), "stopped" (together with the search), "failed" or "running".
        settings: what was tried.
        accuracy, loss: on valid, of the epoch that was kept (finished) or reached last (pruned).
        epoch: how many epochs it took.
        why: what cut it short or made it fail.
    """

    number: int
    state: str
    settings: dict
    accuracy: float | None = None
    loss: float | None = None
    epoch: int = 0
    why: str = ""


@dataclass(frozen=True)
class Summary:
    """How far a study is, as its workers told it last.

    Args:
        trials: all of them, in order.
        best: number of the best finished trial; None before there is one.
        importance: share of the differences that each setting explains (sums to 1); empty with too few trials.
        valid_n: number of validation photos.
    """

    trials: tuple[Trial, ...] = ()
    best: int | None = None
    importance: dict[str, float] = field(default_factory=dict)
    valid_n: int = 0

    def best_trial(self) -> Trial | None:
        """The best finished trial."""
        return next((trial for trial in self.trials if trial.number == self.best), None)

    def done(self) -> int:
        """Trials that count towards the plan."""
        return sum(trial.state in ("finished", "pruned") for trial in self.trials)


class Study:
    """One search for settings on disk."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __repr__(self) -> str:
        return f"Study({self.id!r})"

    @property
    def id(self) -> str:
        """The folder's name, and the study's name in its database."""
        return self.folder.name

    @property
    def started(self) -> datetime:
        """When it was created."""
        return datetime.fromtimestamp((self.folder / "study.json").stat().st_mtime)

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    @property
    def database(self) -> str:
        """URL of the SQLite file in its own folder."""
        return f"sqlite:///{self.folder.resolve() / 'study.db'}"

    def trial(self, number: int) -> Run:
        """The run folder of a trial."""
        return Run(self.folder / f"{self.id}-trial-{number}")

    def plan(self) -> Plan:
        """What it does.

        Raises:
            RunError: the plan is missing or damaged.
            ConfigError: it is of another version of this program.
        """
        values = read_json(self.folder / "study.json")
        try:
            space = {
                name: Search(**{**rule, "choices": tuple(rule["choices"])}) for name, rule in values["space"].items()
            }
            plan = Plan(**{**values, "config": configs.from_dict(values["config"]), "space": space})
        except (TypeError, KeyError, AttributeError) as error:
            raise RunError("This folder holds no search", self.folder, "Choose a folder with a study.json.") from error
        return plan.check()

    def summary(self) -> Summary:
        """What the workers told last; empty where they told nothing, or the file is damaged."""
        values = read_json(self.folder / "summary.json")
        try:
            return Summary(**{**values, "trials": tuple(Trial(**row) for row in values["trials"])})
        except (TypeError, KeyError):
            return Summary()

    def write_summary(self, summary: Summary) -> None:
        write_json(self.folder / "summary.json", asdict(summary))

    # How it goes

    def tell(self, phase: str, message: str = "", hint: str = "") -> None:
        """Says what goes on: "queued", "running", "failed" or "stopped"."""
        write_json(self.folder / "status.json", {"phase": phase, "message": message, "hint": hint, "time": time.time()})

    def told(self) -> dict:
        """What `tell` said last: phase, message, hint and time."""
        said = read_json(self.folder / "status.json")
        return {"phase": "", "message": "", "hint": "", "time": 0.0} | (said if isinstance(said, dict) else {})

    def state(self) -> str:
        """What is true now: one of ALIVE, "finished", "stopped", "failed", or "interrupted" (its processes died)."""
        said = self.told()
        if self.living_workers():
            if self.is_asked_to_stop():
                return "stopping"
            return "queued" if said["phase"] == "queued" else "running"
        with suppress(FileNotFoundError):
            launched = (self.folder / "launched").stat().st_mtime
            if said["time"] < launched and time.time() - launched < STARTING_S:
                return "starting"
        if said["phase"] in ("finished", "failed", "stopped"):
            return said["phase"]
        return "interrupted"

    def living_workers(self) -> int:
        """How many processes of this machine work on it. Each holds a lock that the system releases when it dies."""
        return sum(processes.is_held(path) for path in self.folder.glob("worker-*.lock"))

    @contextmanager
    def worker(self) -> Iterator[Path]:
        """Held by a process that works on the study; yields its lock's path."""
        for number in range(1, MOST_WORKERS + 1):
            path = self.folder / f"worker-{number}.lock"
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0.2)  # somebody may just be looking, which takes it for an instant
            except Timeout:
                continue
            try:
                yield path
            finally:
                lock.release()
            return
        raise RunError(f"{MOST_WORKERS} processes work on this study already", self.id, "Wait for one to end.")

    # How it is steered

    def ask_to_stop(self) -> None:
        with explain_disk_errors(self.folder):
            (self.folder / "stop").touch()

    def take_back_stop(self) -> None:
        with explain_disk_errors(self.folder):
            (self.folder / "stop").unlink(missing_ok=True)

    def is_asked_to_stop(self) -> bool:
        return (self.folder / "stop").exists()


def create(plan: Plan, name: str | None = None) -> Study:
    """A new study with its plan saved, not started yet. One of that name that searches the same goes on, with as many
    trials as were ever asked for.

    Raises:
        ConfigError: the plan or the name can't be used, or the study of that name searches something else.
        StorageError: it can't be written.
    """
    plan.check()
    if name is not None and not re.fullmatch(r"[\w][\w.-]{0,80}", name):
        raise ConfigError("A study's name may hold letters, digits, points, - and _ only", name)
    study = Study(studies_dir() / name if name else new_folder(studies_dir(), Path(plan.config.data).name))
    with explain_disk_errors(study.folder):
        study.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(study.folder / "plan.lock"):
            if (study.folder / "study.json").exists():
                before = study.plan()
                other = [name for name in ("config", "space", "pruner", "objective") if _differs(before, plan, name)]
                if other:
                    hint = f"Give the new one another name. They differ in {', '.join(other)}."
                    raise ConfigError("The study of this name searches something else", study.id, hint)
                plan = replace(before, trials=max(before.trials, plan.trials))
            write_json(study.folder / "study.json", asdict(plan))
    return study


def _differs(one: Plan, other: Plan, name: str) -> bool:
    return getattr(one, name) != getattr(other, name)


def list_studies() -> list[Study]:
    """All studies, newest first."""
    found = [Study(path.parent) for path in studies_dir().glob("*/study.json")]
    return sorted(found, key=lambda study: study.started, reverse=True)


def alive() -> list[Study]:
    """The latest studies that a process works on."""
    return [study for study in list_studies()[:5] if study.state() in ALIVE]


def find_study(study_id: str) -> Study | None:
    """The study of that id, or None; never a path outside of the studies' folder."""
    return next((study for study in list_studies() if study.id == study_id), None)


def luck(accuracy: float, n: int) -> float:
    """How far apart two accuracies on the same n photos may lie by luck alone: two standard errors of a difference.

    Counted as if the two had met different photos; on the same ones the luck is partly shared, so this is the most.
    """
    return min(1.0, 2 * math.sqrt(2 * accuracy * (1 - accuracy) / n)) if n else 1.0
