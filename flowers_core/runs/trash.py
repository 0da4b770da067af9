"""Deleting runs, and taking it back: a deleted run lies in the trash until that is emptied."""

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flowers_core.errors import RunError
from flowers_core.runs import ACTIVE, Run
from flowers_core.storage import explain_disk_errors, runs_dir

KEPT_DAYS = 7
"""Days that a run lies in the trash before it is removed for good."""


@dataclass(frozen=True)
class DeletedRun:
    """A run in the trash: what is left of it, and when it was deleted (seconds since 1970)."""

    run: Run
    when: float


def folder() -> Path:
    """Where deleted runs lie: on the disk of the runs, so that deleting is a rename."""
    return runs_dir() / ".trash"


def delete(run: Run) -> Run:
    """Moves a run into the trash, its model with it; the run as it lies there, where it may have another id.

    Raises:
        RunError: its process lives.
        StorageError: it can't be moved.
    """
    if run.state() in ACTIVE:
        raise RunError("This training is going on, so it can't be deleted", run.name, "Stop it first.")
    empty(KEPT_DAYS)
    with explain_disk_errors(run.folder):
        folder().mkdir(parents=True, exist_ok=True)
        os.utime(run.folder)  # a rename doesn't say when it was
        place, count = folder() / run.id, 1
        while place.exists():  # another one in the same folder was deleted before
            count += 1
            place = folder() / f"{run.id}~{count}"
        run.folder.replace(place)
    return Run(place)


def restore(run_id: str) -> Run:
    """Brings a deleted run back.

    Raises:
        RunError: it is not in the trash, or a run of its name is back already.
        StorageError: it can't be moved.
    """
    deleted = next((each.run for each in content() if each.run.id == run_id), None)
    if deleted is None:
        raise RunError("There is no such training in the trash", run_id, "It may have been emptied.")
    back = runs_dir() / re.sub(r"~\d+$", "", run_id)
    if back.exists():
        raise RunError("A training of this name is there already", back.name, "Delete or move that one first.")
    with explain_disk_errors(back):
        deleted.folder.replace(back)
    return Run(back)


def content() -> list[DeletedRun]:
    """What lies in the trash, the latest first."""
    deleted = [DeletedRun(Run(path.parent), path.parent.stat().st_mtime) for path in folder().glob("*/config.json")]
    return sorted(deleted, key=lambda each: -each.when)


def megabytes() -> int:
    """Room that emptying the trash would free."""
    size = 0
    for path in folder().rglob("*"):
        with suppress(OSError):  # somebody restores it or removes it for good
            size += path.stat().st_size
    return size // 2**20


def empty(older_than_days: float = 0.0) -> int:
    """Removes what was deleted longer ago than that for good; how many runs it was."""
    gone = [each for each in content() if time.time() - each.when >= older_than_days * 86_400]
    remove_for_good(gone)
    return len(gone)


def remove_for_good(gone: list[DeletedRun]) -> None:
    """Removes runs that lie in the trash; one that was brought back meanwhile stays."""
    for each in gone:
        shutil.rmtree(each.run.folder, ignore_errors=True)
