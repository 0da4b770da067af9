"""The import process: started by a page, watched, cancelled, found again, and swept up after."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from flowers_core.errors import FlowersError
from flowers_core.machine import processes
from flowers_core.photos.cache import decode_source
from flowers_core.sources import imports, library, open_source
from flowers_core.sources.imports import ImportRequest
from flowers_core.sources.library import KnownSet
from flowers_core.storage import (
    data_dir,
    explain_disk_errors,
    read_json,
    remove_tree,
    sole_maker,
    write_json,
)

STARTING_S = 30.0
"""Seconds that a new process may take until it holds its lock."""

FORGOTTEN_S = 86400.0
"""Seconds after which a job that has ended is swept away."""

DOWNLOADS_KEPT_S = 7 * 86400.0
"""Seconds that a half download waits to be gone on with."""

EVERY_S = 0.2
"""Seconds between two words on how an import goes."""

ALIVE = ("starting", "running")
ENDED = ("done", "failed", "cancelled", "interrupted")


class Cancelled(KeyboardInterrupt):
    """Somebody cancelled. No Exception, so that nobody on the way takes it for damage to a file."""


@dataclass(frozen=True)
class Status:
    """What an import says of itself.

    Args:
        phase: "starting", "running", "done", "failed" or "cancelled".
        what, done, total: the step at hand, and how far it is.
        set_id: of the set, once it is there.
        error, where, hint: of a failure.
        process: id of the import's process.
        time: when this was written (seconds since 1970).
    """

    phase: str = "starting"
    what: str = "Starting"
    done: int = 0
    total: int = 0
    set_id: str = ""
    error: str = ""
    where: str = ""
    hint: str = ""
    process: int = 0
    time: float | int = 0.0


class Job:
    """One import on disk."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def upload_path(self) -> Path:
        """A zip that was uploaded for this import; it goes when the import ends."""
        return self.folder / "upload.zip"

    def request(self) -> ImportRequest:
        """What is to be imported.

        Raises:
            TypeError: the file is damaged.
        """
        return ImportRequest(**(read_json(self.folder / "request.json") or {}))

    def status(self) -> Status:
        """What the process said last."""
        values = read_json(self.folder / "status.json")
        known = Status.__dataclass_fields__ if isinstance(values, dict) else {}
        return Status(**{name: values[name] for name, rule in known.items() if isinstance(values.get(name), rule.type)})

    def write(self, status: Status) -> None:
        write_json(self.folder / "status.json", {**asdict(status), "time": time.time()})

    def state(self) -> str:
        """A final phase; "running", "starting"; or "interrupted": its process was killed."""
        status = self.status()
        if status.phase in ENDED:
            return status.phase
        if self.is_locked():
            return "running"
        if status.set_id and any(known.id == status.set_id for known in library.known_sets()):
            return "done"  # killed while it decoded the photos of a set that was there: the page goes on with that
        if self.is_cancelled():
            return "cancelled"  # and killed before it could say so
        fresh = time.time() - self.last_sign() < STARTING_S
        return "starting" if status.phase == "starting" and fresh else "interrupted"

    def last_sign(self) -> float:
        """When anything was last heard of it (seconds since 1970)."""
        return max((path.stat().st_mtime for path in self.folder.glob("*.json")), default=0.0)

    def is_locked(self) -> bool:
        """Does its process live?"""
        return processes.is_held(self.folder / "lock")

    def cancel(self) -> None:
        """Ends the import as soon as it has tidied up: nothing of it stays but this word of it."""
        with explain_disk_errors(self.folder):
            (self.folder / "cancel").touch()
        process = self.status().process
        if os.name != "nt" and process and self.is_locked():  # whoever holds the lock wrote that number
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process, signal.SIGTERM)  # Windows would end it before it could tidy up

    def is_cancelled(self) -> bool:
        return (self.folder / "cancel").exists()

    def start(self) -> None:
        """Begins, or begins again, in a process of its own, which outlives a page and a server."""
        with explain_disk_errors(self.folder):
            (self.folder / "cancel").unlink(missing_ok=True)
        self.write(Status())
        processes.launch(["import", "--job", str(self.folder.resolve())], self.folder / "log.txt")

    def dismiss(self) -> None:
        """Forgets an import that has ended."""
        if self.state() in ENDED:
            remove_tree(self.folder)


def start(request: ImportRequest, upload: BinaryIO | None = None) -> Job:
    """Begins an import in a process of its own.

    Args:
        request: what to import; its place is not looked at when there is an upload.
        upload: a zip's bytes, copied before this returns.

    Raises:
        StorageError: the disk is full or read-only.
    """
    sweep()
    job = Job(jobs_dir() / f"{time.time_ns():x}-{secrets.token_hex(2)}")
    try:
        with explain_disk_errors(job.folder):
            job.folder.mkdir(parents=True)
            if upload is not None:
                with open(job.upload_path, "wb") as file:
                    shutil.copyfileobj(upload, file, 2**20)
                request = replace(request, place=str(job.upload_path.resolve()), shown=request.shown or "the zip")
        write_json(job.folder / "request.json", asdict(request))
        job.start()
    except FlowersError:
        remove_tree(job.folder)
        raise
    return job


def jobs() -> list[Job]:
    """All imports that were not dismissed yet, oldest first."""
    return [Job(path.parent) for path in sorted(jobs_dir().glob("*/request.json"))]


def find(job_id: str) -> Job | None:
    """The import of this id."""
    return next((job for job in jobs() if job.id == job_id), None)


def work(job: Job) -> KnownSet | None:
    """Does an import in this process, and tells it in the job's folder. None when it was cancelled.

    Raises:
        FlowersError: told there already.
    """
    last, told = Status(phase="running", process=os.getpid()), 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal last, told
        if job.is_cancelled():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is on its way, and would disturb the tidying up
            raise Cancelled
        if what != last.what or time.monotonic() - told >= EVERY_S:
            last, told = replace(last, what=what, done=done, total=total), time.monotonic()
            job.write(last)

    def there(known: KnownSet) -> None:
        nonlocal last
        last = replace(last, set_id=known.id)
        job.write(last)

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one is not to disturb the tidying up
        raise Cancelled

    signal.signal(signal.SIGTERM, stop)
    with FileLock(job.folder / "lock", timeout=5):
        try:
            report("Starting", 0, 1)
            known = bring(job.request(), report, there)
            job.write(replace(last, phase="done", set_id=known.id))
        except Cancelled:
            if job.request().way == "flowers102":
                _drop_half_download()
            job.write(Status(phase="cancelled"))
            return None
        except FlowersError as error:
            where = "" if error.where is None else str(error.where)
            job.write(Status(phase="failed", error=error.what, where=where, hint=error.hint))
            raise
        except BaseException as error:
            what = f"Unexpected: {type(error).__name__}: {error}"
            job.write(Status(phase="failed", error=what, hint="Try again; the photos themselves are as they were."))
            raise
        finally:
            remove_tree(job.upload_path)
    return known


def _drop_half_download() -> None:
    with suppress(_Busy), sole_maker(library.sets_dir(), _give_up):  # else it is of the import that is at work
        remove_tree(data_dir() / "downloads")


def bring(request: ImportRequest, progress=None, there: Callable[[KnownSet], None] | None = None) -> KnownSet:
    """Imports a set and decodes its photos, so that it opens at once.

    Args:
        request: what to import.
        progress: told about each step; may raise to cancel.
        there: told when the set is there, before its photos are decoded.

    Raises:
        FlowersError: as `imports.bring`; or not one photo could be read, and the set is gone again.
    """
    before = {known.id for known in library.known_sets() if known.added}
    known = imports.bring(request, progress)
    try:
        if there:
            there(known)
        decode_source(open_source(known.data, least_classes=1, progress=progress), progress)
    except BaseException:
        if known.id not in before:
            library.discard(known.id)
        raise
    return known


def sweep() -> None:
    """Removes what killed imports left half done, old jobs, half downloads and what lay in the trash long enough."""
    for folder in (library.sets_dir(), data_dir() / "imports"):
        # While an import is at work it sweeps itself; and a disk may be read-only.
        if folder.exists():
            with suppress(_Busy, OSError), sole_maker(folder, _give_up):
                pass
    for folder in jobs_dir().glob("*"):
        job = Job(folder)
        if _age(folder) > FORGOTTEN_S and time.time() - job.last_sign() > FORGOTTEN_S and not job.is_locked():
            remove_tree(folder)
    for path in (data_dir() / "downloads").glob("*"):
        if _age(path) > DOWNLOADS_KEPT_S:
            remove_tree(path)
    library.empty_trash(library.KEEP_DELETED_S)


def _age(path: Path) -> float:
    """Seconds since it was changed; 0 when it has just gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


class _Busy(Exception):
    """An import is at work."""


def _give_up() -> None:
    raise _Busy


def jobs_dir() -> Path:
    """One folder per import."""
    return data_dir() / "jobs"
