"""Zips of every layout are read; hostile, damaged and half ones are refused and leave nothing behind."""

import io
import random
import shutil
import struct
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from source_trees import NAMES, PAIR, reasons, splits_of, zipped

from flowers_core.errors import DataError, StorageError
from flowers_core.sources import archive, open_source


def leftovers(home: Path) -> list[str]:
    return [path.name for path in (home / "data/imports").glob("*")] if (home / "data/imports").exists() else []


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("wrapper", ["", "flowers/", "a/b c/"])
def test_a_zip_of_split_folders_is_read(wrapper, method, tmp_path):
    litter = ("__MACOSX/Train/rose/._1.jpg", f"{wrapper}.DS_Store", f"{wrapper}Train/", f"{wrapper}Train/rose/")
    path = zipped(tmp_path / "My flowers.zip", *(wrapper + name for name in PAIR), *litter, method=method)
    source = open_source(path)
    assert (source.name, source.classes, source.problems) == ("My flowers", ("rose", "tulip"), ())
    assert source.counts() == {"train": 2, "valid": 2, "test": 0}
    assert all(photo.path.read_bytes() == f"photo {wrapper}{photo.name}".encode() for photo in source.photos)


def test_a_zip_of_kinds_and_one_with_odd_names_are_read(tmp_path):
    names = [f"{kind}/{i}{name}" for kind in ("rose", "lily", "pivoine é", "🌹") for i, name in enumerate(NAMES[:8])]
    assert len(open_source(zipped(tmp_path / ("x" * 240 + ".zip"), *names)).photos) == 32
    clock = zipped(tmp_path / "clock.zip", "rose/at 12:30.jpg", "lily/C:x.jpg", "./oak//1.jpg")
    assert set(splits_of(open_source(clock))) == {"rose/at 12:30.jpg", "lily/C:x.jpg", "oak/1.jpg"}


def test_names_in_old_windows_spelling_are_read(tmp_path):
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("Train\\", "Train\\rose\\", *(name.replace("/", "\\") for name in PAIR)):
            info = zipfile.ZipInfo("x")
            info.filename = name
            file.writestr(info, b"photo")
        info = zipfile.ZipInfo("x")
        info.filename, info.flag_bits = "Valid/rose/r\u00e9sum\u00e9.jpg", 0
        file.writestr(info, b"photo")
    content = path.read_bytes().replace("r\u00e9sum\u00e9".encode(), b"r\x82sum\x82xx")
    path.write_bytes(content.replace(b"\x00\x08\x00\x00\x00\x00", b"\x00\x00\x00\x00\x00\x00"))
    assert len(open_source(path).photos) == 5


def test_of_two_files_with_one_name_the_last_counts(tmp_path):
    path = zipped(tmp_path / "twice.zip", *PAIR)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("Train/rose/1.jpg", b"the second")
    source = open_source(path)
    assert (len(source.photos), source.photos[0].path.read_bytes()) == (4, b"the second")


def test_names_that_other_systems_take_for_one_are_told_apart_and_no_photo_is_lost(tmp_path):
    names = ["Rose/1.jpg", "rose/1.jpg", "rose/1.JPG", "rose/1 2.jpg", "lily/\u00e9.jpg", "lily/e\u0301.jpg"]
    source = open_source(zipped(tmp_path / "x.zip", *names))
    assert source.classes == ("lily", "rose")
    assert {photo.path.read_bytes() for photo in source.photos} == {b"photo " + name.encode() for name in names}
    stored = [unicodedata.normalize("NFC", photo.name).casefold() for photo in source.photos]
    assert len(set(stored)) == len(names)


def test_utf_8_names_are_read_whether_or_not_the_zip_says_that_they_are(tmp_path):
    names = ["g\u00e4nsebl\u00fcmchen/1.jpg", "\u7261\u4e39/1.jpg"]
    path = zipped(tmp_path / "mac.zip", *names)
    content = path.read_bytes()
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for name in names:
            at = content.rindex(magic, 0, content.index(name.encode(), content.index(magic)) + 1)
            content = content[: at + flags + 1] + b"\0" + content[at + flags + 2 :]
    path.write_bytes(content)
    assert not any(member.flag_bits & 0x800 for member in zipfile.ZipFile(path).infolist())
    assert set(splits_of(open_source(path))) == set(names)


def test_zips_inside_of_a_zip_are_never_passed_over_in_silence(tmp_path):
    inner = zipped(tmp_path / "inner.zip", "1.jpg").read_bytes()
    beside = open_source(zipped(tmp_path / "beside.zip", *PAIR, content={"more.zip": inner, "Train/all.ZIP": inner}))
    assert reasons(beside) == dict.fromkeys(("more.zip", "Train/all.ZIP"), "is packed, so unpack it first")
    with pytest.raises(DataError, match=r"No photos found \(rose.zip: is packed, so unpack it first\)"):
        open_source(zipped(tmp_path / "each.zip", content={"rose.zip": inner, "tulip.zip": inner}))


def encrypted(path: Path) -> Path:
    content = bytearray(zipped(path, *PAIR).read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(magic)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(magic, at + 4)
    path.write_bytes(content)
    return path


def patched(path: Path, find: bytes, replacement: bytes, *names: str, content=None, method=zipfile.ZIP_STORED) -> Path:
    data = zipped(path, *names, content=content, method=method).read_bytes()
    assert find in data
    path.write_bytes(data.replace(find, replacement))
    return path


def lying(path: Path) -> Path:
    """A zip whose header says 10 bytes where 50 MB are packed."""
    size = struct.pack("<I", 50_000_000)
    content = {"Train/rose/1.jpg": bytes(50_000_000)}
    return patched(path, size, struct.pack("<I", 10), content=content, method=zipfile.ZIP_DEFLATED)


STORED, DEFLATE64 = (b"PK\x01\x02\x14\x03\x14\0\0\0" + method for method in (b"\0\0", b"\x09\0"))
HOSTILE_ZIPS = {
    "empty file": (lambda path: path.touch(), "not a zip"),
    "text": (lambda path: path.write_text("<html>"), "not a zip"),
    "no entries": (lambda path: zipped(path), "No photos found"),
    "a zip in a zip": (lambda path: zipped(path, "photos.zip", "rose/photos.zip"), r"No photos found.*\.zip"),
    "photos without folders": (lambda path: zipped(path, "1.jpg", "2.jpg"), "lies beside the kinds"),
    "up and out": (lambda path: zipped(path, *PAIR, "../../evil.jpg"), "outside of its folder"),
    "up in the middle": (lambda path: zipped(path, *PAIR, "Train/../../evil.jpg"), "outside of its folder"),
    "from the root": (lambda path: zipped(path, *PAIR, "/tmp/evil.jpg"), "outside of its folder"),
    "a drive": (lambda path: zipped(path, *PAIR, "C:\\evil.jpg"), "outside of its folder"),
    "up with backslashes": (lambda path: zipped(path, *PAIR, "..\\..\\evil.jpg"), "outside of its folder"),
    "a server": (lambda path: zipped(path, *PAIR, "\\\\server\\evil.jpg"), "outside of its folder"),
    "encrypted": (encrypted, "encrypted.*without a password"),
    "cut off": (lambda path: path.write_bytes(zipped(path, *PAIR).read_bytes()[:-30]), "not a zip|damaged"),
    "no beginning": (lambda path: path.write_bytes(zipped(path, *PAIR).read_bytes()[60:]), "damaged"),
    "changed photo": (lambda path: patched(path, b"photo Train/rose", b"phot0 Train/rose", *PAIR), "damaged"),
    "unknown packing": (lambda path: patched(path, STORED, DEFLATE64, *PAIR), "packed in a way"),
    "a bomb": (lambda path: zipped(path, content={f"rose/{i}.bmp": bytes(10**7) for i in range(3)}), "would unpack to"),
    "a lying header": (lying, "damaged"),
    "a file that is a folder too": (lambda path: zipped(path, *PAIR, "Train/rose"), "can't be stored"),
    "a folder that is a file too": (lambda path: zipped(path, "Train/rose", *PAIR), "can't be stored"),
    "a thousand folders deep": (lambda path: zipped(path, *PAIR, "Train/" + "a/" * 1500 + "1.jpg"), "in each other"),
    "a name of 300 letters": (lambda path: zipped(path, *PAIR, "Train/rose/" + "x" * 300 + ".jpg"), "can't be stored"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_and_leaves_nothing(name, tmp_path, home):
    make, message = HOSTILE_ZIPS[name]
    path = tmp_path / "in here" / "flowers.zip"
    path.parent.mkdir()
    make(path)
    with pytest.raises(DataError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value)) < 700
    assert [entry.name for entry in path.parent.iterdir()] == ["flowers.zip"]
    assert not list(tmp_path.rglob("evil*"))
    assert not [name for name in leftovers(home) if name.endswith(".tmp")]


def test_a_link_in_a_zip_becomes_a_plain_file(tmp_path):
    path = zipped(tmp_path / "links.zip", *PAIR)
    with zipfile.ZipFile(path, "a") as file:
        link = zipfile.ZipInfo("Train/rose/link.jpg")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    (found,) = [photo.path for photo in open_source(path).photos if "link" in photo.name]
    assert (found.is_symlink(), found.read_bytes()) == (False, b"/etc/passwd")


def test_damaged_zips_give_a_data_error_and_nothing_else(tmp_path, home):
    whole = zipped(tmp_path / "whole.zip", *PAIR, content={"Valid/rose/9.jpg": random.Random(0).randbytes(3000)})
    outcomes = Counter()
    for seed in range(150):
        chance = random.Random(seed)
        content = bytearray(whole.read_bytes())
        for _ in range(chance.choice([1, 2, 20])):
            content[chance.choice([-1, 1]) * chance.randrange(min(500, len(content)))] = chance.randrange(256)
        path = tmp_path / "damaged.zip"
        path.write_bytes(bytes(content[: chance.choice([len(content), chance.randrange(len(content))])]))
        try:
            open_source(path)
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 50
    assert not [name for name in leftovers(home) if name.endswith(".tmp")]


def test_a_zip_is_unpacked_once_whatever_its_name(tmp_path, home):
    told = []
    first = open_source(zipped(tmp_path / "a.zip", *PAIR), progress=lambda *what: told.append(what))
    assert told
    shutil.copy(tmp_path / "a.zip", tmp_path / "b.zip")
    told.clear()
    second = open_source(tmp_path / "b.zip", progress=lambda *what: told.append(what))
    assert not told
    assert (second.photos, second.key, second.name) == (first.photos, first.key, "b")
    assert len(leftovers(home)) == 1


def test_a_stop_or_a_full_disk_in_the_middle_leaves_nothing_half(tmp_path, home, monkeypatch):
    path = zipped(tmp_path / "a.zip", *(f"{kind}/{i}.jpg" for kind in ("rose", "lily") for i in range(60)))

    def stop(what, done, total):
        if done:
            raise InterruptedByUser

    class InterruptedByUser(Exception):
        pass

    with pytest.raises(InterruptedByUser):
        open_source(path, progress=stop)
    assert leftovers(home) == []

    class FullDisk(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_created", lambda target, where: FullDisk())
        with pytest.raises(StorageError, match="No space left"):
            open_source(path)
    assert leftovers(home) == []
    assert len(open_source(path).photos) == 120
