"""Finds out how the photos in a folder are laid out, and reads them so."""

from pathlib import Path

from flowers_core.sources import flowers102, folder
from flowers_core.sources.records import Source, making_many


def read(path: Path, name: str, kinds: str = "", *, divide: bool = True) -> Source:
    """The photos in a folder of any layout that is known.

    Args:
        path: the folder.
        name: of the source; Flowers-102 has its own.
        kinds: which of Flowers-102's are wanted; see `flowers102.read`.
        divide: see `folder.read`.

    Raises:
        DataError: no known layout, or no photos.
    """
    root = flowers102_root(path)
    with making_many():
        return flowers102.read(root, kinds) if root else folder.read(path, name, divide=divide)


def flowers102_root(path: Path) -> Path | None:
    """The folder in or at `path` that holds Oxford Flowers-102, if any does."""
    if not path.is_dir():
        return None
    places = (path, path / "flowers-102", folder.unwrapped(path))
    return next((place for place in places if flowers102.is_layout(place)), None)
