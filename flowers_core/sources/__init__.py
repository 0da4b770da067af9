"""Where photos come from: every source becomes a list of `Photo` records with classes and a split."""

from collections.abc import Callable
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.sources import archive, flowers102, folder
from flowers_core.sources.records import SPLITS, Photo, Problem, Source, printable
from flowers_core.storage import data_dir, explain_disk_errors

__all__ = ["SPLITS", "Photo", "Problem", "Source", "open_source"]

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much is done, and out of how much."""


def open_source(data: str | Path, *, least_classes: int = 2, progress: Progress | None = None) -> Source:
    """Finds out how the photos under `data` are laid out, and lists them. Decodes nothing yet.

    Args:
        data: a folder (Train/Valid[/Test], class folders, or torchvision's flowers-102), a zip of one, or a
            built-in name: "garden" (drawn flowers) or "flowers102" (Oxford Flowers-102, downloaded at first use).
        least_classes: fewer kinds than this are an error; training needs 2, scoring a model needs 1.
        progress: told about steps that take long (drawing the garden, unpacking, downloading).

    Raises:
        DataError: nothing there, or nothing in a layout that is known; the message says what is accepted.
        StorageError: the disk is full or read-only, so that nothing can be drawn, unpacked or downloaded.
    """
    name = str(data).strip()
    if name == "garden":
        source = folder.read(_planted_garden(progress), name="garden")
    elif name == "flowers102":
        source = flowers102.read(flowers102.downloaded(data_dir(), progress))
    else:
        try:
            source = _read_path(_existing(str(data)), progress)
        except OSError as error:
            hint = "Check its permissions, or copy the photos somewhere else."
            raise DataError(f"This can't be read ({error.strerror})", error.filename or data, hint) from error
    if len(source.classes) < least_classes:
        hint = "Make one folder per kind of flower, with its photos inside."
        raise DataError(f"Found {len(source.classes)} kind(s), {least_classes} are needed", data, hint)
    return source


def _existing(text: str) -> Path:
    for spelling in (text, text.strip()):  # a name may end in a space, and so may what somebody typed
        try:
            path = Path(spelling).expanduser()
            if spelling and path.exists():
                return path
        except PermissionError:
            raise
        except (OSError, RuntimeError):  # a name that is too long; the home of nobody
            continue
    hint = "Give a folder, a zip file, or one of the names garden and flowers102."
    raise DataError("There is no such folder or file", printable(text) or "(empty)", hint)


def _read_path(path: Path, progress: Progress | None) -> Source:
    if not path.is_file():
        return _read_folder(path, printable(path.resolve().name))
    root = archive.unpacked(path, progress)
    try:
        return _read_folder(root, printable(path.resolve().stem))
    except DataError as error:  # its owner knows the zip, not the folder that it was unpacked to
        raise DataError(error.what, str(error.where).replace(str(root), str(path)), error.hint) from error


def _read_folder(path: Path, name: str) -> Source:
    if path.is_dir():
        for root in (path, path / "flowers-102", folder.unwrapped(path)):
            if flowers102.is_layout(root):
                return flowers102.read(root)
    return folder.read(path, name=name)


def _planted_garden(progress: Progress | None) -> Path:
    """The folder of the built-in drawn data set; grown at first use."""
    from filelock import FileLock

    from flowers_core import garden  # numpy and Pillow's drawing: only who asks for the garden pays for them

    root = data_dir() / "garden"
    report = (lambda done, total: progress("Planting the garden", done, total)) if progress else None
    with explain_disk_errors(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_suffix(".lock")):
            if not (root / "complete").exists():
                garden.grow(root, progress=report)
                (root / "complete").touch()
    return root
