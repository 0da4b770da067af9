"""Unpacks zip files of photos: complete or not at all, and nothing outside of its folder."""

import errno
import hashlib
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flowers_core.errors import DataError
from flowers_core.sources.records import printable
from flowers_core.storage import data_dir, explain_disk_errors, replacing_folder, sole_maker

MAX_BYTES = 20 * 2**30
"""Unpacked size above which a zip is refused."""

MAX_RATIO = 200
"""Unpacked over packed size above which a zip is taken for a bomb; photos hardly shrink."""

MAX_FILES = 500_000
MAX_DEPTH = 64
"""Folders in each other above which a zip is refused; no system takes a thousand."""

CHUNK_BYTES = 2**20

_BAD_NAME = {errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EILSEQ}
"""The disk's complaints that mean the name of a file in the zip, not the disk."""

_UTF8 = 0x800
"""The bit that says that a name is in UTF-8."""

_HINT = "Give a zip file of photos in class folders, or the folder itself."


def unpacked(path: Path, progress=None) -> Path:
    """The folder with the zip's contents; unpacked at first use, found again by the file's content.

    Raises:
        DataError: not a zip, damaged, encrypted, too large, or reaching outside of its folder.
        StorageError: the disk is full or read-only.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError("This file is not a zip, or it is cut off", path, _HINT)
        file.seek(0)
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    folder = data_dir() / "imports" / digest
    if folder.is_dir():
        return folder
    with explain_disk_errors(folder), sole_maker(folder.parent), replacing_folder(folder) as place:
        unpack(path, place, progress)
    return folder


def unpack(path: Path, place: Path, progress=None) -> None:
    """Unpacks the zip into a folder that is there and empty. What is half unpacked is the caller's to remove.

    Raises:
        DataError: as `unpacked`.
        OSError: the disk is full or read-only.
    """
    try:
        with open(path, "rb") as file:
            is_zip = zipfile.is_zipfile(file)
    except OSError as error:  # told here, or it would be taken for a disk that can't be written
        raise DataError(f"This zip can't be read ({error.strerror})", path, "Check its permissions.") from error
    if not is_zip:
        raise DataError("This file is not a zip, or it is cut off", path, _HINT)
    with _explain_zip_errors(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = _checked(archive, path)
        for done, (name, member) in enumerate(members.items()):
            if progress and done % 20 == 0:
                progress("Unpacking the photos", done, len(members))
            _unpack(archive, member, place.joinpath(*name.parts), path)


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files in the zip by where they belong below its folder; of several with one name the last."""
    members = {}
    for member in archive.infolist():
        name = _name(member)
        if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
            raise DataError("The zip holds a file that would land outside of its folder", _where(path, name), _HINT)
        if len(PurePosixPath(name).parts) > MAX_DEPTH:
            raise DataError(f"The zip holds more than {MAX_DEPTH} folders in each other", _where(path, name), _HINT)
        if member.flag_bits & 1:
            raise DataError("The zip is encrypted", path, "Make a zip without a password.")
        if PurePosixPath(name).parts and not name.endswith("/") and "__MACOSX" not in PurePosixPath(name).parts:
            members[PurePosixPath(name)] = member
    size = sum(member.file_size for member in members.values())
    if size > MAX_BYTES or size > MAX_RATIO * path.stat().st_size or len(members) > MAX_FILES:
        what = f"The zip would unpack to {len(members)} files of {size / 2**30:.1f} GB together"
        raise DataError(what, path, "Make smaller zips of it.")
    return _told_apart(members)


def _name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not member.flag_bits & _UTF8 and not name.isascii():  # Macs write UTF-8 and don't say so
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")  # old Windows programs write them so


def _told_apart(members: dict[PurePosixPath, zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Names that Windows and Macs take for one, as Rose/1.jpg and rose/1.jpg, get a number: no photo is lost there."""
    apart, taken = {}, set()
    for name, member in members.items():
        new, number = name, 1
        while (key := unicodedata.normalize("NFC", str(new)).casefold()) in taken:
            number += 1
            new = name.with_name(f"{name.stem} {number}{name.suffix}")
        taken.add(key)
        apart[new] = member
    return apart


def _where(path: Path, name: str) -> str:
    return f"{path}: {printable(name[:200])}"


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """One file. Never more bytes than its header says: zipfile stops there and finds the checksum wrong."""
    with _explain_zip_errors(path):
        packed = archive.open(member)
    with packed, _created(target, _where(path, _name(member))) as file:
        chunk = b"..."
        while chunk:
            with _explain_zip_errors(path):
                chunk = packed.read(CHUNK_BYTES)
            file.write(chunk)


def _created(target: Path, where: str) -> BinaryIO:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return open(target, "wb")
    except OSError as error:
        if error.errno not in _BAD_NAME:
            raise
        hint = "Rename it, and make the zip again."
        raise DataError(f"The zip holds a file that can't be stored ({error.strerror})", where, hint) from error


@contextmanager
def _explain_zip_errors(path: Path) -> Iterator[None]:
    """Around reading alone, so that a full disk or a caller's own error is not taken for a damaged zip."""
    try:
        yield
    except NotImplementedError as error:
        hint = "Make the zip again with the usual compression (Deflate)."
        raise DataError(f"The zip is packed in a way that this app can't read ({error})", path, hint) from error
    except Exception as error:  # zipfile raises nearly anything on a damaged file
        raise DataError(f"The zip is damaged ({error})", path, _HINT) from error
