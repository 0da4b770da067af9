"""Processes of our own: begun, and known to be alive."""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from flowers_core.storage import REPOSITORY, explain_disk_errors, home

_children: list[subprocess.Popen] = []


def launch(arguments: list[str], log_path: Path) -> None:
    """Starts a command of `python -m flowers_core` that lives on when this process ends; it writes to that log.

    Raises:
        StorageError: the log can't be written.
    """
    _children[:] = [child for child in _children if child.poll() is None]  # ended ones are zombies until asked
    apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    # It starts in another folder, from which a relative home would be another one.
    ours = {"PYTHONUNBUFFERED": "1", "FLOWERS_WORKER": "1", "FLOWERS_HOME": str(home())}
    with explain_disk_errors(log_path), open(log_path, "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "flowers_core", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **ours},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **apart,
        )
    _children.append(child)


def is_held(lock: Path) -> bool:
    """Does a process hold this lock? (A process id would prove nothing: zombies still have one.)"""
    if not lock.parent.exists():  # to look would make the folder of what was deleted again
        return False
    try:
        # A moment's patience: somebody else may be looking just now, which takes the lock for an instant.
        with FileLock(lock, timeout=0.03, poll_interval=0.01):
            return False
    except Timeout:
        return True
