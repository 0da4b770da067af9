"""Where photos come from: every source becomes a list of `Photo` records with classes and a split."""

from collections.abc import Callable
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.sources import archive, flowers102, folder
from flowers_core.sources.records import SPLITS, Photo, Problem, Source
from flowers_core.storage import data_dir

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
    """
    text = str(data).strip()
    if text == "garden":
        source = folder.read(_planted_garden(progress), name="garden")
    elif text == "flowers102":
        source = flowers102.read(flowers102.downloaded(data_dir(), progress))
    else:
        path = Path(text).expanduser()
        if not text or not path.exists():
            hint = "Give a folder, a zip file, or one of the names garden and flowers102."
            raise DataError("There is no such folder or file", text or "(empty)", hint)
        source = _read_path(path, progress)
    if len(source.classes) < least_classes:
        hint = "Make one folder per kind of flower, with its photos inside."
        raise DataError(f"Found {len(source.classes)} kind(s), {least_classes} are needed", source.root, hint)
    return source


def _read_path(path: Path, progress: Progress | None) -> Source:
    name = path.resolve().stem if path.is_file() else path.resolve().name
    if path.is_file():
        path = archive.unpacked(path, progress)
    for root in (path, path / "flowers-102"):
        if flowers102.is_layout(root):
            return flowers102.read(root)
    return folder.read(path, name=name)


def _planted_garden(progress: Progress | None) -> Path:
    """The folder of the built-in drawn data set; grown at first use."""
    from filelock import FileLock

    from flowers_core import garden  # numpy and Pillow's drawing: only who asks for the garden pays for them

    root = data_dir() / "garden"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if not (root / "complete").exists():
            report = (lambda done, total: progress("Planting the garden", done, total)) if progress else None
            garden.grow(root, progress=report)
            (root / "complete").touch()
    return root
