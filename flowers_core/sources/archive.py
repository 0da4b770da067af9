"""Unpacks zip files of photos: complete or not at all, and nothing outside of its folder."""

import hashlib
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from flowers_core.errors import DataError
from flowers_core.storage import data_dir, explain_disk_errors, replacing_folder

MAX_BYTES = 20 * 2**30
"""Unpacked size above which a zip is refused."""

MAX_RATIO = 200
"""Unpacked over packed size above which a zip is taken for a bomb; photos hardly shrink."""


def unpacked(path: Path, progress=None) -> Path:
    """The folder with the zip's contents; unpacked at first use, found again by the file's content.

    Raises:
        DataError: not a zip, damaged, encrypted, too large, or reaching outside of its folder.
    """
    hint = "Give a zip file of photos in class folders, or the folder itself."
    if not zipfile.is_zipfile(path):
        raise DataError("This file is not a zip", path, hint)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    folder = data_dir() / "imports" / digest / path.stem
    if folder.is_dir():
        return folder
    try:
        with zipfile.ZipFile(path) as archive:
            members = [_checked(member, path) for member in archive.infolist() if not member.is_dir()]
            size = sum(member.file_size for member in members)
            if size > MAX_BYTES or size > MAX_RATIO * max(1, path.stat().st_size):
                raise DataError(f"The zip would unpack to {size / 2**30:.1f} GB", path, "Make smaller zips of it.")
            with explain_disk_errors(folder), replacing_folder(folder) as place:
                for done, member in enumerate(members):
                    if progress and done % 50 == 0:
                        progress("Unpacking the photos", done, len(members))
                    target = place.joinpath(*PurePosixPath(member.filename).parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as packed, open(target, "wb") as file:
                        shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
        raise DataError(f"The zip is damaged or encrypted ({error})", path, hint) from error
    return folder


def _checked(member: zipfile.ZipInfo, path: Path) -> zipfile.ZipInfo:
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or any(":" in part for part in parts):
        raise DataError("The zip holds a file that would land outside of its folder", f"{path}: {name!r}")
    if member.flag_bits & 1:
        raise DataError("The zip is encrypted", path, "Make a zip without a password.")
    member.filename = name
    return member
