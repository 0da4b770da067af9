"""Fetches public folders and files from Google Drive, by the package gdown."""

import errno
import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urlsplit

from flowers_core.errors import DataError
from flowers_core.sources.archive import MAX_BYTES
from flowers_core.sources.download import MEGABYTE, NO_NETWORK, TIMEOUT_S
from flowers_core.sources.records import printable

_ID = r"[A-Za-z0-9_-]{10,100}"
_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
_SHARE = "In Google Drive choose Share, set General access to Anyone with the link, copy the link, and try again."
_AS_A_ZIP = "Download the folder as a zip, and add that."
_LONGEST = 200
"""Bytes of a name that are kept: systems take 255, and gdown adds a few while it fetches."""

_QUOTA = "Too many people fetched it lately. Try again in a day, or make a copy in a Drive of your own and share that."


@dataclass(frozen=True)
class Link:
    """What a link leads to.

    Args:
        id: of the file or folder in Google Drive.
        is_folder: which of them.
    """

    id: str
    is_folder: bool

    def __str__(self) -> str:
        kind = "drive/folders/" if self.is_folder else "file/d/"
        return f"https://drive.google.com/{kind}{self.id}"


def is_link(text: str) -> bool:
    """Was this meant as an address in the web? (A path is not, even a long one.)"""
    return bool(re.match(r"\s*(https?://|(drive|docs)\.google\.com/)", text, re.IGNORECASE))


def parse(text: str) -> Link:
    """The link in a person's spelling, cleaned. Only its id is kept: nothing else of the text is ever fetched.

    Raises:
        DataError: not a link to a file or a folder in Google Drive.
    """
    address = text.strip()
    hint = "A link begins with https://drive.google.com/drive/folders/ or https://drive.google.com/file/d/."
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        host, query = parts.hostname, parse_qs(parts.query)
    except ValueError as error:
        raise DataError("This is not a link to Google Drive", printable(address[:200]), hint) from error
    if parts.scheme.casefold() not in ("http", "https") or host not in _HOSTS:
        raise DataError("This is not a link to Google Drive", printable(address[:200]), hint)
    folder = re.fullmatch(rf"/drive/(?:u/\d+/)?(?:mobile/)?folders/({_ID})/?", parts.path)
    file = re.fullmatch(rf"/file/(?:u/\d+/)?d/({_ID})(?:/[a-z]*)?/?", parts.path)
    if folder or file:
        return Link((folder or file)[1], bool(folder))
    ids = query.get("id", [])
    by_id = parts.path in ("/open", "/uc", "/download", "/folderview", "/embeddedfolderview")
    if by_id and len(ids) == 1 and re.fullmatch(_ID, ids[0]):
        return Link(ids[0], "folder" in parts.path)
    raise DataError("This link leads to no file or folder in Google Drive", printable(address[:200]), hint)


def fetch_file(link: Link, folder: Path, progress=None) -> Path:
    """Downloads the file into `folder`; its path there.

    Raises:
        DataError: private, gone, over Google's quota, too large, no network, or not a file with contents.
        OSError: the disk is full or read-only.
    """
    import gdown

    def fetched(output: str) -> Path:
        return Path(gdown.download(
            id=link.id, output=output, quiet=True, use_cookies=False, timeout=TIMEOUT_S, retries=2,
            progress=_reporter("Downloading from Google Drive (MB)", progress),
        ))  # fmt: skip

    with _explain(link):
        try:
            return fetched(f"{folder}/")
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        return fetched(str(folder / "photos.zip"))


def fetch_folder(link: Link, folder: Path, progress=None) -> None:
    """Downloads the folder's files into `folder`, with its folders.

    Raises:
        DataError: as for `fetch_file`, or there is nothing in it.
        OSError: the disk is full or read-only.
    """
    import gdown

    if progress:
        progress("Looking through the folder", 0, 1)
    with _explain(link):
        files = gdown.download_folder(
            id=link.id, output=str(folder), quiet=True, use_cookies=False, timeout=TIMEOUT_S, skip_download=True
        )
    if not files:
        raise DataError("The folder is private or empty", link, _SHARE)
    fetched = 0
    for done, file in enumerate(files):
        if progress:
            progress("Downloading from Google Drive", done, len(files))
        target = folder.joinpath(*_safe_parts(file.path, link))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            where = f"{link}: {printable(file.path)}"
            hint = "Rename one of them in Google Drive, and try again."
            raise DataError("The folder holds a file and a folder of one name", where, hint) from error
        if target.exists():  # Drive allows two files of one name in a folder
            target = target.with_name(f"{target.stem} {done}{target.suffix}")
        with _explain(f"{link} ({printable(file.path)})"):
            gdown.download(
                id=file.id, output=str(target), quiet=True, use_cookies=False, timeout=TIMEOUT_S, retries=2,
                progress=_reporter("", lambda *_, done=done: progress and progress(
                    "Downloading from Google Drive", done, len(files)), fetched),
            )  # fmt: skip
        fetched += target.stat().st_size


def _safe_parts(name: str, link: Link) -> tuple[str, ...]:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or any(part in ("..", "/") or ":" in part for part in parts):
        where = f"{link}: {printable(name)}"
        raise DataError("The folder holds a file that would land outside of it", where, _AS_A_ZIP)
    return tuple(map(_shortened, parts))


def _shortened(name: str) -> str:
    """The name, as long as a disk takes it. Names that differ stay different, and an ending stays."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    ending = PurePosixPath(name).suffix
    ending = ending if len(ending) <= 10 else ""
    digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return f"{encoded[: _LONGEST - 30].decode(errors='ignore')} {digest}{ending}"


def _reporter(what: str, progress, before: int = 0):
    """What gdown calls with bytes so far and in all; the place where an import is cancelled, too."""

    def report(so_far: int, total: int | None) -> None:
        if before + max(so_far, total or 0) > MAX_BYTES:
            raise DataError(f"This is more than {MAX_BYTES // 2**30} GB", None, "Share a smaller set of photos.")
        if progress:
            progress(what, so_far // MEGABYTE, max(1, (total or 0) // MEGABYTE, so_far // MEGABYTE))

    return report


@contextmanager
def _explain(where: object):
    """Turns what gdown and the network say into what a person can do about it."""
    import gdown
    import requests

    try:
        yield
    except requests.exceptions.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        if code >= 500:
            raise DataError(f"Google Drive is out of order ({code})", where, "Try again in some minutes.") from error
        if code in (403, 429):
            raise DataError(f"Google refused it for now ({code})", where, _QUOTA) from error
        raise DataError(f"Google Drive has no such file, or it is private ({code})", where, _SHARE) from error
    except requests.exceptions.RequestException as error:
        raise DataError("Google Drive can't be reached", where, NO_NETWORK) from error
    except gdown.exceptions.DownloadError as error:
        text = str(error)
        if isinstance(error.__cause__, requests.exceptions.RequestException):
            raise DataError("Google Drive can't be reached", where, NO_NETWORK) from error
        if "Too many users" in text or "quota" in text.casefold():
            raise DataError("Google's download quota for it is used up", where, _QUOTA) from error
        if "incomplete" in text or "byte range" in text:
            raise DataError("The download broke off", where, "Try again.") from error
        if "structure may have changed" in text:
            raise DataError("Google's answer can't be read", where, _AS_A_ZIP) from error
        hint = f"{_SHARE} Where it is shared already, try later: Google refuses for a while what many have fetched."
        raise DataError("The link is private, or there is nothing behind it", where, hint) from error
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # gdown reads pages that are made for browsers, and trips over those that it doesn't expect
        raise DataError("Google's answer can't be read", where, _AS_A_ZIP) from error
