"""Where state lies on disk, and how it gets there: whole files by rename, logs by append."""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from flowers_core.errors import StorageError

TAIL_BYTES = 8192
"""Of a log's end that are looked at for its last lines."""

IS_WINDOWS = os.name == "nt"

PATIENCE_S = 3.0
"""Seconds that a file waits on Windows until it can take the place of one that somebody has open."""

REPOSITORY = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder that holds `data/` and `checkpoints/runs/`: $FLOWERS_HOME, or the repository."""
    return Path(os.environ.get("FLOWERS_HOME") or REPOSITORY).absolute()


def data_dir() -> Path:
    """Imported sets, decoded caches, saved splits."""
    return home() / "data"


def runs_dir() -> Path:
    """One folder per training run."""
    return home() / "checkpoints" / "runs"


def studies_dir() -> Path:
    """One folder per search for settings."""
    return home() / "checkpoints" / "studies"


def presets_dir() -> Path:
    """Presets of the user's own."""
    return home() / "checkpoints" / "presets"


def free_megabytes() -> int:
    """Room left on the disk that holds our state."""
    place = home()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free // 2**20


def shipped_dir() -> Path:
    """The models that come with the project."""
    return REPOSITORY / "checkpoints"


@contextmanager
def explain_disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError while writing `path` into a StorageError that says what to do."""
    try:
        yield
    except InterruptedError:  # somebody asked to stop; the disk is well
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "Free some space and try again." if is_full else "Check the folder's permissions."
        raise StorageError(f"Could not write ({reason})", path, hint) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes its place when the block ends well.

    A reader sees the old file or the new one, never half of either, even after a power cut. When the
    block fails, the old file stays and the temporary one is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files private; a shared folder has other readers
        _fsync(temporary)
        _rename(temporary, path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Removes what a killed writer of `path` left beside it; only for files that have one writer at a time."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def keep_newest(folder: Path, most: int) -> None:
    """Removes the oldest files of a folder whose files can all be made again; not one that is just being written."""
    written = {}
    for path in folder.glob("[!.]*"):
        with suppress(OSError):  # gone since it was listed
            written[path] = path.stat().st_mtime
    for path in sorted(written, key=written.__getitem__)[:-most]:
        path.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like `replacing`, for a whole folder that must not exist yet: it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if not path.exists():  # another process may have made the same folder meanwhile
            _rename(temporary, path)
            _fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def sole_maker(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Held while one process makes files and folders in `folder` by `replacing` and `replacing_folder`.

    Nobody else is at it then, so whatever is half made there was left by a process that was killed: it is removed.

    Args:
        folder: need not exist yet.
        waiting: called twice a second while another process holds it; may raise to give up.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    patience = 0.0  # a first look that is in vain is told at once
    while True:
        try:
            lock.acquire(timeout=patience)
            break
        except Timeout:
            if waiting:
                waiting()
            patience = 0.5
    try:
        for left in folder.glob(".*.tmp"):
            remove_tree(left)
        yield
    finally:
        lock.release()


def remove_tree(path: Path) -> None:
    """Removes a file or a folder with all that is in it; what can't be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces the file whole.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    with explain_disk_errors(path), replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """Replaces the file whole with `value` as JSON. NaN is refused: it is not JSON.

    Args:
        indent: for people; None is ten times as fast, for tables.
    """
    write_bytes(path, _to_json(value, indent))


def read_json(path: Path, default: object = None) -> object:
    """The file's value; `default` when it is missing or not JSON (an older or damaged file)."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return default


def append_jsonl(path: Path, record: dict) -> None:
    """Adds one record as one line, in a single write."""
    line = _to_json(record) + b"\n"
    with explain_disk_errors(path), open(path, "ab") as file:
        file.write(line)


def read_jsonl(path: Path, start: int = 0) -> tuple[list[dict], int]:
    """The records from byte `start` on, and the byte after the last whole one.

    A torn last line (its writer was killed, or is still writing) is left for the next read.
    """
    try:
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read()
    except FileNotFoundError:
        return [], 0
    whole = content[: content.rfind(b"\n") + 1]
    records = []
    for line in whole.split(b"\n"):
        with suppress(ValueError):  # a power cut may leave a line of zeros; the others still count
            if isinstance(record := json.loads(line), dict):
                records.append(record)
    return records, start + len(whole)


def tail(path: Path, lines: int) -> str:
    """A log's last lines, "" when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def new_folder(parent: Path, *words: str) -> Path:
    """Where a new run or search may lie: called by the time and these words, for which no file system is too strict."""
    plain = (re.sub(r"[^a-z0-9]+", "-", word.casefold()).strip("-")[:24] or "data" for word in words)
    name = "-".join((datetime.now().strftime("%Y%m%d-%H%M%S"), *plain))
    folder, count = parent / name, 1
    while folder.exists():
        count += 1
        folder = parent / f"{name}-{count}"
    return folder


def sync(path: Path) -> None:
    """Waits until the file is on the disk itself, before another file that counts on it."""
    with explain_disk_errors(path):
        _fsync(path)


def truncate(path: Path, size: int) -> None:
    """Cuts an append-only log back to `size` bytes, to where a resumed run goes on."""
    with explain_disk_errors(path), open(path, "ab") as file:
        file.truncate(size)


def _to_json(value: object, indent: int | None = None) -> bytes:
    # File names that are not UTF-8 hold lone surrogates: as escapes they are valid JSON and come back the same.
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")


def _rename(temporary: Path, path: Path) -> None:
    """Puts it in its place; on Windows as soon as nobody reads what is there, or scans it for viruses."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if not IS_WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _fsync(path: Path) -> None:
    if IS_WINDOWS and path.is_dir():  # Windows can't open a folder to sync it
        return
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
