"""Folders and zips of made-up photos, for tests of the sources: nothing in them is ever decoded."""

import os
import zipfile
from pathlib import Path

from flowers_core.sources import Source

PAIR = ("Train/rose/1.jpg", "Train/tulip/1.jpg", "Valid/rose/2.jpg", "Valid/tulip/2.jpg")


def tree(folder: Path, *names: str) -> Path:
    """Files by their names; a name that ends with a slash is an empty folder. Nothing is decoded here."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"photo " + os.fsencode(name))
    return folder


def splits_of(source: Source) -> dict[str, str]:
    return {photo.name: photo.split for photo in source.photos}


def kinds_of(source: Source) -> dict[str, str]:
    return {photo.name: source.classes[photo.label] for photo in source.photos}


def reasons(source: Source) -> dict[str, str]:
    return {problem.path: problem.reason for problem in source.problems}


NAMES = [
    "täglich.jpg", "e\u0301.jpg", "🌹.jpg", "new\nline.jpg", "tab\t.jpg", "quote'\".jpg", "%20 #?.jpg", "a..jpg.jpg",
    "x" * 250 + ".jpg", "`rm -rf`.jpg", "<b>.jpg", "back\\slash.jpg", os.fsdecode(b"\xff\xfe.jpg"), "ends in dot..jpg",
]  # fmt: skip


def zipped(path: Path, *names: str, content: dict[str, bytes] | None = None, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name in names:
            file.writestr(name, b"photo " + name.encode())
        for name, data in (content or {}).items():
            file.writestr(name, data)
    return path
