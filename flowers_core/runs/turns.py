"""Who trains next: one run at a time, the others wait in the order they were started."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from flowers_core.runs import Run, Status, active_runs
from flowers_core.storage import runs_dir


@contextmanager
def training_slot(run: Run, waiting: Status, request: Callable[[], str] | None = None) -> Iterator[None]:
    """Held while training, so that one run trains at a time; others wait here in the order they were started.

    Args:
        run: that is to train.
        waiting: its status, for as long as it waits.
        request: asked while it waits; None asks the run.

    Raises:
        InterruptedError: the request was to stop.
    """
    lock = FileLock(runs_dir() / ".slot.lock")
    runs_dir().mkdir(parents=True, exist_ok=True)
    while True:
        ahead = before(run)
        if not ahead:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                pass
        if (request or run.request)() == "stop":
            raise InterruptedError
        first = holder(run)
        what = f"“{first.name}”" if first else "another training, a search or a learning-rate test"
        message = f"Waiting for {what} to end."
        run.write_status(Status(**{**waiting.__dict__, "phase": "queued", "message": message}))
        time.sleep(0.5)
    try:
        yield
    finally:
        lock.release()


def holder(run: Run) -> Run | None:
    """The run that a waiting one waits for: the one whose turn it is; None when that is no run of this home."""
    others = [other for other in active_runs() if other.id != run.id]
    return next((other for other in others if other.state() not in ("queued", "starting")), None)


def before(run: Run) -> list[Run]:
    """The living runs that were started before this one, the first of them first; none for one that lies elsewhere."""
    if run.folder.parent != runs_dir():
        return []
    return [other for other in active_runs() if (other.started, other.id) < (run.started, run.id)]
