"""Where photos come from: every source becomes a list of `Photo` records with classes and a split."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.sources import archive, drive, folder, imports, layout, library
from flowers_core.sources.library import FLOWERS102, KnownSet
from flowers_core.sources.records import SPLITS, Photo, Problem, Source, SplitPlan, printable

__all__ = ["SPLITS", "Photo", "Problem", "Source", "SplitPlan", "lasting_name", "name_of", "open_source"]

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much is done, and out of how much."""


def open_source(data: str | Path, *, least_classes: int = 2, progress: Progress | None = None) -> Source:
    """Finds out how the photos under `data` are laid out, and lists them. Decodes nothing yet.

    Args:
        data: a folder (Train/Valid[/Test], class folders, or Flowers-102's), a zip of one, the name or id of an
            added set, a link to Google Drive (imported at first use), or a built-in name: "garden" (drawn
            flowers) or "flowers102" (Oxford Flowers-102, once somebody who agreed to its terms has imported it).
        least_classes: fewer kinds than this are an error; training needs 2, scoring a model needs 1.
        progress: told about steps that take long (drawing the garden, unpacking, downloading); may raise to stop.

    Raises:
        DataError: nothing there, or nothing in a layout that is known; the message says what is accepted.
        StorageError: the disk is full or read-only, so that nothing can be drawn, unpacked or downloaded.
    """
    try:
        source = _opened(str(data), progress)
    except InterruptedError:  # somebody asked to stop
        raise
    except OSError as error:
        raise imports.unreadable(error, data) from error
    if len(source.classes) < least_classes:
        hint = "Make one folder per kind of flower, with its photos inside."
        raise DataError(f"Found {len(source.classes)} kind(s), {least_classes} are needed", data, hint)
    return source


def lasting_name(data: str) -> str:
    """What names the same photos from any folder and in a year: a built-in name, or a whole path.

    Raises:
        DataError: there is nothing of that name.
    """
    known = _by_name(data)
    if known:
        return known.data
    return data.strip() if data.strip() == "garden" else str(imports.existing(data).resolve())


def name_of(data: str) -> str:
    """What people call the photos under `data`: the name of the set, or else of the folder or zip."""
    known = library.of_place(Path(data)) or (library.find(data) if data == FLOWERS102 else None)
    return known.name if known and known.added else Path(data).name


def _opened(data: str, progress: Progress | None) -> Source:
    if data.strip() == "garden":
        return _garden(progress)
    known = _by_name(data)
    if known is None and data.strip() == FLOWERS102:
        raise DataError("Oxford Flowers-102 is not here", library.sets_dir() / FLOWERS102, _way_to_flowers102())
    if known is None and drive.is_link(data):
        known = imports.bring(imports.request_for(data), progress)
    if known is None:
        return _read_path(imports.existing(data), progress)
    if known.id == FLOWERS102:
        home = library.sets_dir() / FLOWERS102
        place = next((path for path in home.iterdir() if path.is_dir()), None)
        if place is None:
            hint = "Delete the set and import it again, on the page Photos or with the commands sets and import."
            raise DataError("The photos of Oxford Flowers-102 are gone, only its card is here", home, hint)
        return _named(layout.read(place, known.name, known.kinds), known)
    return _read_path(imports.existing(known.data), progress)


def _way_to_flowers102() -> str:
    if library.in_trash(FLOWERS102):
        return "It was deleted: bring it back on the page Photos, or with the command sets flowers102 --restore."
    return "Import it on the page Photos, or give the command line --accept-terms, once you agree to its terms."


def _by_name(data: str) -> KnownSet | None:
    """The added set that is meant; a folder or a file of that name here comes first."""
    text = data.strip()
    if drive.is_link(text):
        return library.find(str(drive.parse(text)))
    if text == "garden" or (text != FLOWERS102 and _exists(data)):
        return None
    known = library.find(text)
    return known if known and known.added else None


def _exists(data: str) -> bool:
    try:
        imports.existing(data)
    except DataError:
        return False
    return True


def _read_path(path: Path, progress: Progress | None) -> Source:
    known = library.of_place(path.resolve())
    kinds = known.kinds if known else ""
    if not path.is_file():
        return _named(layout.read(path, printable(path.resolve().name), kinds), known)
    root = archive.unpacked(path, progress)
    try:
        return _named(layout.read(root, printable(path.resolve().stem), kinds), known)
    except DataError as error:  # its owner knows the zip, not the folder that it was unpacked to
        raise DataError(error.what, str(error.where).replace(str(root), str(path)), error.hint) from error


def _named(source: Source, known: KnownSet | None) -> Source:
    return replace(source, name=known.name) if known else source


def _garden(progress: Progress | None) -> Source:
    """The built-in drawn data set; grown at first use. Pictures of a growth that was cut off don't belong to it."""
    from flowers_core.garden import plot  # numpy and Pillow's drawing: only who asks for the garden pays for them

    report = (lambda done, total: progress("Planting the garden, this once", done, total)) if progress else None
    source, counts = folder.read(plot.planted(report), name="garden"), plot.counts()
    return replace(source, photos=tuple(p for p in source.photos if plot.is_in_bloom(p.name, p.split, counts)))
