"""Every way in for photos: a folder, a zip, a link to Google Drive, or Flowers-102 becomes a known set with a card."""

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flowers_core.errors import DataError
from flowers_core.sources import archive, drive, flowers102, layout, library
from flowers_core.sources.folder import unwrapped
from flowers_core.sources.library import KnownSet, NewSet
from flowers_core.sources.records import printable
from flowers_core.storage import data_dir, remove_tree

WAYS = {
    "zip": "A zip",
    "folder": "A folder on this computer",
    "drive": "Google Drive",
    "flowers102": "Oxford Flowers-102",
}
"""The ways in, and how they are said."""


WAITING = "Waiting for another import"


@dataclass(frozen=True)
class ImportRequest:
    """What is to be imported.

    Args:
        way: a key of WAYS.
        place: a path, a link, or "" for Flowers-102.
        name: for the set; "" takes the folder's or the file's.
        kinds: of Flowers-102, see `flowers102.KINDS`.
        shown: what errors and the card say instead of `place`; "" says `place`.
    """

    way: str
    place: str
    name: str = ""
    kinds: str = ""
    shown: str = ""


def request_for(data: str, name: str = "", kinds: str = "") -> ImportRequest:
    """The request that a person means who names a folder, a zip, a link or flowers102.

    Raises:
        DataError: there is no such folder or file, or the link leads nowhere.
    """
    text = data.strip()
    if text == "garden":
        raise DataError("The garden is built in", text, "Name it wherever photos are asked for.")
    if text == library.FLOWERS102:
        return ImportRequest("flowers102", "", name, kinds)
    if drive.is_link(text):
        return ImportRequest("drive", str(drive.parse(text)), name, kinds)
    path = existing(data)
    return ImportRequest("zip" if path.is_file() else "folder", str(path.resolve()), name, kinds)


def bring(request: ImportRequest, progress=None) -> KnownSet:
    """Imports, and gives the set. It is there whole, or not at all.

    Args:
        request: what to import.
        progress: told about each step; may raise to cancel.

    Raises:
        DataError: nothing there, no layout that is known, no network; the message says what to do.
        StorageError: the disk is full or read-only.
    """
    if request.name:
        library.checked_name(request.name)
    if request.way == "folder":
        try:
            return _link_folder(request)
        except OSError as error:
            raise unreadable(error, request.place) from error
    waiting = (lambda: progress(WAITING, 0, 1)) if progress else None
    link = drive.parse(request.place) if request.way == "drive" else None
    shown = request.shown or str(link or request.place)
    usual = {"zip": Path(shown).stem, "drive": "Google Drive photos"}.get(request.way, "Oxford Flowers-102")
    name = request.name or " ".join(printable(usual).split())[: library.NAME_LENGTH].strip() or "photos"
    set_id = library.FLOWERS102 if request.way == "flowers102" else None
    origin = flowers102.URL if set_id else str(link) if link else Path(shown).name
    with library.new_set(name, origin, set_id, waiting) as made:
        made.kinds = request.kinds
        try:
            if request.way == "flowers102":
                flowers102.fetch(made.folder, data_dir() / "downloads", progress)
                made.licence = "None stated by its authors; for study."
            elif link and link.is_folder:
                _bring_drive_folder(link, made, progress)
            elif link:
                _bring_drive_file(link, made, bool(request.name), progress)
            else:
                archive.unpack(Path(request.place), made.folder, progress)
            _check(made)
        except DataError as error:  # its owner knows the zip or the link, not the folder that it was unpacked to
            where = str(error.where).replace(str(made.folder), shown).replace(request.place or shown, shown)
            raise DataError(error.what, None if error.where is None else where, error.hint) from error
    if request.way == "flowers102":
        remove_tree(data_dir() / "downloads")  # only now: killed a moment ago, it would all be fetched again
    return made.known


ANY_WAY_IN = "Give a folder, a zip file, a link to Google Drive, an added set's name, or garden or flowers102."


def existing(text: str, hint: str = ANY_WAY_IN) -> Path:
    """The folder or file that a person named, who may have typed spaces around it.

    Args:
        text: what was typed.
        hint: what to do when there is none.

    Raises:
        DataError: there is none, or it can't be looked at.
    """
    for spelling in (text, text.strip()):  # a name may end in a space, and so may what somebody typed
        try:
            path = Path(spelling).expanduser()
            if spelling and path.exists():
                return path
        except PermissionError as error:
            raise unreadable(error, spelling) from error
        except (OSError, RuntimeError, ValueError):  # a name that is too long; the home of nobody; a zero byte
            continue
    raise DataError("There is no such folder or file", printable(text) or "(empty)", hint)


def unreadable(error: OSError, place: object) -> DataError:
    """What to say when photos can't be listed."""
    hint = "Check its permissions, or copy the photos somewhere else."
    return DataError(f"This can't be read ({error.strerror or error})", error.filename or place, hint)


def _link_folder(request: ImportRequest) -> KnownSet:
    path = Path(request.place)
    whole = path.resolve()
    wholes = [Path(whole.anchor)]
    with suppress(RuntimeError):  # a user without a home
        home = Path.home().resolve()
        wholes += [home, *home.parents]
    if whole in wholes:  # their folders would all be kinds, and every page would look there
        raise DataError("This holds much more than flowers", path, "Name the folder that holds the kinds, or Train.")
    source = layout.read(path, printable(path.name) or "photos", request.kinds, divide=False)
    name = request.name or " ".join(source.name.split())[: library.NAME_LENGTH]
    return library.remember(path, name, licence=_stated_licence(path), kinds=request.kinds)


def _bring_drive_file(link: drive.Link, made: NewSet, is_named: bool, progress) -> None:
    folder = made.folder.parent / "download"
    folder.mkdir()
    path = drive.fetch_file(link, folder, progress)
    if not zipfile.is_zipfile(path):
        hint = "Share the folder of photos itself, or a zip of it."
        raise DataError(f"The file behind the link is not a zip ({printable(path.name)})", link, hint)
    if not is_named:
        made.name = " ".join(printable(path.stem).split())[: library.NAME_LENGTH] or made.name
    archive.unpack(path, made.folder, progress)
    remove_tree(folder)


def _bring_drive_folder(link: drive.Link, made: NewSet, progress) -> None:
    drive.fetch_folder(link, made.folder, progress)
    zips = [path for path in made.folder.iterdir() if path.suffix.casefold() == ".zip"]
    if len(zips) == 1 and len(list(made.folder.iterdir())) == 1:  # a folder made to share one zip
        path = zips[0].replace(made.folder.parent / "download.zip")
        archive.unpack(path, made.folder, progress)
        remove_tree(path)


def _check(made: NewSet) -> None:
    layout.read(made.folder, made.name, made.kinds, divide=False)
    made.licence = made.licence or _stated_licence(made.folder)


def _stated_licence(root: Path) -> str:
    """The first line of a licence file that lies with the photos, or ""."""
    for folder in {root, unwrapped(root)}:
        for path in sorted(folder.iterdir()):
            if path.stem.casefold() in ("license", "licence", "copying") and path.is_file():
                with open(path, "rb") as file:
                    lines = file.read(4096).decode(errors="replace").splitlines()
                return next((printable(line.strip())[:120] for line in lines if line.strip()), "")
    return ""
