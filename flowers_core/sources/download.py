"""Fetches a file of known size and checksum over HTTP, going on where a killed download stopped."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from flowers_core.errors import DataError

TIMEOUT_S = 30.0
"""Seconds without a byte after which the server counts as gone."""

CHUNK_BYTES = 2**18
MEGABYTE = 10**6

NO_NETWORK = "Check the internet connection, then try again: what has arrived is kept for a week."


def to_file(url: str, path: Path, size: int, md5: str, what: str, progress=None) -> None:
    """Makes `path` hold the file. Bytes arrive in `path` with .part behind its name, which a later call goes on with.

    Args:
        url: http or https.
        path: of the whole file; when it is there already with the right size, nothing is fetched.
        size, md5: what the file must have.
        what: told to `progress`, with megabytes.

    Raises:
        DataError: no network, no such file, or twice something else came than the file.
        OSError: the disk is full or read-only.
    """
    if path.exists() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for last_try in (False, True):
        went_on = part.exists()
        _fetch(url, part, size, what, progress)
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found == md5 and part.stat().st_size == size:
            part.replace(path)
            return
        part.unlink()
        if last_try or not went_on:  # old bytes may have been of another version of the file; fresh ones were not
            break
    hint = "The site may have changed, or something in between alters downloads. Try another network."
    raise DataError("What was downloaded is not the file it should be (its checksum differs)", url, hint)


def _read(answer: http.client.HTTPResponse, count: int) -> bytes:
    try:
        return answer.read(count)
    except (OSError, http.client.HTTPException) as error:  # of the network, which the disk has no part in
        raise ConnectionError(str(error)) from error


def _fetch(url: str, part: Path, size: int, what: str, progress) -> None:
    """Appends what is missing to `part`; begins anew where the server can't go on."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:  # whole, or not ours at all: the checksum tells
        return
    headers = {"User-Agent": "alexnet-flowers"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
            goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if goes_on else 0
            with open(part, "ab" if goes_on else "wb") as file:
                while have < size and (chunk := _read(answer, min(CHUNK_BYTES, size - have))):
                    file.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(f"{what} (MB)", have // MEGABYTE, size // MEGABYTE)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file there is shorter than what we have
            part.unlink()
        raise DataError(f"The site refused the download ({error.code} {error.reason})", url, "Try later.") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"The site can't be reached ({reason or 'no answer'})", url, NO_NETWORK) from error
    if have < size:
        what = f"The download broke off after {have // MEGABYTE} of {size // MEGABYTE} MB"
        raise DataError(what, url, "Try again: it goes on from there.")
