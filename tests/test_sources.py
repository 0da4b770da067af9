"""Sources: folders, zips and Flowers-102 as people really have them are read rightly, or refused with a reason."""

import io
import json
import os
import random
import shutil
import struct
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from flowers_core.errors import DataError, StorageError
from flowers_core.sources import Photo, Source, archive, library, open_source, splits
from flowers_core.sources.records import class_key, class_name, natural_order, printable
from flowers_core.species import SPECIES

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


# Folders


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        ("Train", "Valid"),
        ("train", "valid"),
        ("TRAIN", "VALID"),
        ("tRaIn", "VaLiD"),
        ("training", "validation"),
        ("Training", "val"),
        ("Train ", " Valid"),
    ],
)
def test_split_folders_are_known_by_many_names(train, valid, tmp_path):
    tree(tmp_path, f"{train}/rose/1.jpg", f"{train}/lily/1.JPG", f"{valid}/rose/1.jpeg", f"{valid}/lily/1.webp")
    source = open_source(tmp_path)
    assert source.counts() == {"train": 2, "valid": 2, "test": 0}
    assert source.classes == ("lily", "rose")
    assert source.split_origin == "the folders"


def test_two_folders_of_one_split_are_joined(tmp_path):
    tree(tmp_path, *PAIR, "training/rose/3.jpg", "Test/rose/4.jpg", "TESTING/tulip/5.jpg")
    assert open_source(tmp_path).counts() == {"train": 3, "valid": 2, "test": 2}


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["Train/rose/%d.jpg", "Train/lily/%d.jpg"], {"train": 8, "valid": 2, "test": 0}),
        (["Train/rose/%d.jpg", "Train/lily/%d.jpg", "Valid/"], {"train": 8, "valid": 2, "test": 0}),
        (["Train/rose/%d.jpg", "Train/lily/%d.jpg", "Valid/rose/"], {"train": 8, "valid": 2, "test": 0}),
        (["Train/rose/%d.jpg", "Train/lily/%d.jpg", "Test/rose/%d.jpg"], {"train": 8, "valid": 2, "test": 5}),
        (["Test/rose/%d.jpg", "Test/lily/%d.jpg"], {"train": 0, "valid": 0, "test": 10}),
        (["Valid/rose/%d.jpg", "Valid/lily/%d.jpg"], {"train": 0, "valid": 10, "test": 0}),
        (["rose/%d.jpg", "lily/%d.jpg"], {"train": 6, "valid": 2, "test": 2}),
        (["a wrapper/rose/%d.jpg", "a wrapper/lily/%d.jpg"], {"train": 6, "valid": 2, "test": 2}),
        (["a/b/Train/rose/%d.jpg", "a/b/Train/lily/0.jpg", "a/b/Valid/rose/0.jpg"], {"train": 6, "valid": 1, "test": 0}),
        (["x/Train/rose/%d.jpg", "x/Train/lily/0.jpg", "x/Val/rose/0.jpg", "docs/"], {"train": 6, "valid": 1, "test": 0}),
    ],
)  # fmt: skip
def test_missing_splits_are_made_and_wrappers_are_gone_through(names, counts, tmp_path):
    for name in names:
        tree(tmp_path, *([name % i for i in range(5)] if "%" in name else [name]))
    source = open_source(tmp_path)
    assert source.counts() == counts
    assert source.classes == ("lily", "rose")


def test_a_kind_of_only_one_split_is_kept(tmp_path):
    tree(tmp_path, *PAIR, "Train/only train/1.jpg", "Valid/only valid/1.jpg", "Train/empty/")
    source = open_source(tmp_path)
    assert source.classes == ("empty", "only train", "only valid", "rose", "tulip")
    assert Counter(kinds_of(source).values()) == {"only train": 1, "only valid": 1, "rose": 2, "tulip": 2}


def test_numbered_kinds_and_photos_come_in_their_natural_order(tmp_path):
    tree(
        tmp_path,
        *(f"{split}/{kind}/{n}.jpg" for split in ("Train", "Valid") for kind in (1, 2, 10, 101) for n in (2, 11)),
    )
    source = open_source(tmp_path)
    assert source.classes == ("1", "2", "10", "101")
    assert all(kind == name.split("/")[1] for name, kind in kinds_of(source).items())
    assert [photo.name for photo in source.photos][:3] == ["Train/1/2.jpg", "Train/1/11.jpg", "Train/2/2.jpg"]


@pytest.mark.parametrize(
    "spellings",
    [
        ("Rose", "rose", "ROSE"),
        ("rose", "rose ", " rose"),
        ("black-eyed susan", "Black_Eyed_Susan", "black eyed  susan"),
        ("sword lily", "Gladiolus", "sword-lily"),
        ("caf\u00e9", "cafe\u0301", "CAFE\u0301"),
    ],
)
def test_spellings_of_one_kind_are_one_class(spellings, tmp_path):
    tree(tmp_path, *(f"Train/{name}/{i}.jpg" for i, name in enumerate(spellings)), "Train/zinnia/1.jpg")
    source = open_source(tmp_path)
    assert len(source.classes) == 2
    assert len(source.photos) == 4


@pytest.mark.parametrize(
    "kinds",
    [
        ("🌹", "🌻"),
        ("!!!", "???"),
        ("कमल", "कमला"),
        ("กุหลาบ", "กหลาบ"),
        ("rose 1", "rose 2"),
        ("a" * 250, "a" * 249 + "b"),
        ("1", "01"),
        ("牡丹", "芍薬"),
        (" ", "  "),
        ("9" * 250, "9" * 249 + "8"),
    ],
)
def test_kinds_that_differ_stay_apart(kinds, tmp_path):
    tree(tmp_path, *(f"Train/{kind}/1.jpg" for kind in kinds))
    source = open_source(tmp_path)
    assert len(source.classes) == 2
    assert all(source.classes)


def test_the_same_set_is_read_alike_whatever_order_the_disk_has(tmp_path, monkeypatch):
    names = [f"{split}/{kind}/{n}" for split in ("Train", "Valid") for kind in ("Lily", "LILY", "lily", "oak")
             for n in ("a.jpg", "A.jpg", "á.jpg", "01.jpg", "1.jpg")]  # fmt: skip
    sources = []
    for seed in range(4):
        random.Random(seed).shuffle(names)
        read = open_source(tree(tmp_path / str(seed) / "set", *names))
        sources.append((read.classes, [(photo.name, photo.label, photo.split) for photo in read.photos]))
    assert all(source == sources[0] for source in sources)


NAMES = [
    "täglich.jpg", "e\u0301.jpg", "🌹.jpg", "new\nline.jpg", "tab\t.jpg", "quote'\".jpg", "%20 #?.jpg", "a..jpg.jpg",
    "x" * 250 + ".jpg", "`rm -rf`.jpg", "<b>.jpg", "back\\slash.jpg", os.fsdecode(b"\xff\xfe.jpg"), "ends in dot..jpg",
]  # fmt: skip


def test_any_file_name_is_read_and_can_be_shown_and_saved(tmp_path):
    bad_kind = os.fsdecode(b"kind \xe9")
    tree(tmp_path, *(f"{kind}/{name}" for kind in ("rose", "lily\n2", bad_kind) for name in NAMES))
    source = open_source(tmp_path)
    assert len(source.photos) == 3 * len(NAMES)
    assert len(set(splits_of(source))) == len({photo.id for photo in source.photos}) == 3 * len(NAMES)
    assert source.classes == ("kind \\udce9", "lily 2", "rose")
    for text in (*splits_of(source), *source.classes):
        assert text.encode().decode().splitlines() == [text]
    assert splits_of(open_source(tmp_path)) == splits_of(source)
    assert all(photo.path.exists() for photo in source.photos)


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)


@given(TEXT, TEXT)
@settings(max_examples=200, deadline=None)
def test_names_of_kinds_are_always_text_and_keys_mean_the_same_for_any_spelling(a, b):
    assert printable(class_name(a)).encode()
    assert class_key(class_name(a)) == class_key(a) or not class_name(a).strip()
    assert class_key(unicodedata.normalize("NFD", a)) == class_key(a) or not class_key(a).strip()
    assert (natural_order(a) == natural_order(b)) == (a == b)


def test_litter_is_passed_over_and_the_rest_listed_with_its_reason(tmp_path):
    tree(
        tmp_path, *PAIR, "Train/rose/.DS_Store", "Train/rose/Thumbs.db", "Train/rose/._1.jpg", "desktop.ini",
        "__MACOSX/Train/rose/._1.jpg", ".git/config", "Train/.ipynb_checkpoints/1.jpg", "Train/rose/notes.txt",
        "Train/rose/noending", "Train/loose.jpg", "loose.png", "extra/1.jpg", "Train/rose/clip.mp4", "Valid/readme.md",
    )  # fmt: skip
    source = open_source(tmp_path)
    assert len(source.photos) == 4
    assert reasons(source) == {
        "Train/rose/notes.txt": "not a photo (.txt)",
        "Train/rose/noending": "not a photo (no ending)",
        "Train/rose/clip.mp4": "not a photo (.mp4)",
        "Train/loose.jpg": "lies beside the kinds' folders, so its kind is unknown",
        "loose.png": "lies beside the kinds' folders, so its kind is unknown",
        "extra": "not a Train, Valid or Test folder, so left out",
    }


def test_photos_in_folders_below_a_kind_belong_to_it(tmp_path):
    tree(tmp_path, *PAIR, "Train/rose/red/old/1.jpg", "Train/rose/album.jpg/7.jpg")
    assert sum(kind == "rose" for kind in kinds_of(open_source(tmp_path)).values()) == 4


def test_links_are_followed_to_photos_and_kinds_but_never_in_circles(tmp_path):
    outside = tree(tmp_path / "outside", "lily/1.jpg", "lily/2.jpg")
    root = tree(tmp_path / "set", *PAIR)
    (root / "Train/lily").symlink_to(outside / "lily")
    (root / "Train/rose/link.jpg").symlink_to(outside / "lily/1.jpg")
    (root / "Train/rose/dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "Train/rose/up").symlink_to("..")
    (root / "Train/circle").symlink_to("circle")
    (root / "circle").symlink_to("circle")
    (root / "again").symlink_to(".")
    os.mkfifo(root / "Train/rose/pipe.jpg")
    source = open_source(root)
    assert Counter(kinds_of(source).values()) == {"rose": 5, "tulip": 2, "lily": 2}
    assert reasons(source)["Train/rose/up"] == "a link to a folder, so left out"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "No photos found"),
        (["Train/"], "No photos found"),
        (["Train/rose/", "Valid/rose/"], "No photos found"),
        (["1.jpg", "2.jpg"], r"No photos found \(1.jpg: lies beside"),
        (["Train/1.jpg", "Valid/1.jpg"], "No photos found"),
        (["rose/a.txt"], r"No photos found \(rose/a.txt: not a photo"),
        (["Train/rose/1.jpg", "Valid/rose/1.jpg"], r"Found 1 kind\(s\), 2 are needed"),
        (["rose/1.jpg"], r"Found 1 kind\(s\), 2 are needed"),
    ],
)
def test_what_holds_too_little_is_refused_with_its_place_and_a_way_out(names, message, tmp_path):
    root = tree(tmp_path / "set", *names)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message) as caught:
        open_source(root)
    assert str(root) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "data", ["", "  ", "/nowhere", "a\0b", "x" * 5000, "~nobody-here/photos", "https://drive.google.com/x"]
)
def test_a_place_that_is_none_is_refused(data):
    with pytest.raises(DataError, match=r"no such|No photos|kind\(s\)"):
        open_source(data)


@pytest.mark.timeout(20)
def test_what_is_neither_folder_nor_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(DataError, match="neither a folder nor a zip"):
            open_source(place)


def test_one_kind_is_enough_for_scoring_and_spaces_around_a_path_do_no_harm(tmp_path):
    tree(tmp_path / "set ", "rose/1.jpg")
    for data in (tmp_path / "set ", str(tmp_path / "set "), f"{tmp_path}/./set "):
        assert open_source(data, least_classes=1).classes == ("rose",)
    tree(tmp_path / "other", "rose/1.jpg")
    assert open_source(f"  {tmp_path}/other\n", least_classes=1).classes == ("rose",)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    tree(tmp_path, *PAIR)
    scandir = os.scandir

    def closed(folder):
        if Path(folder).name == closed.name:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    closed.name = "tulip"
    assert reasons(open_source(tmp_path))["Train/tulip"] == "can't be opened (Permission denied)"
    closed.name = "Train"
    with pytest.raises(DataError, match=r"can't be read \(Permission denied\): .*Train"):
        open_source(tmp_path)


# Splits


def photos(n: int, label: int = 0) -> list[Photo]:
    return [Photo(f"{label}/{i}.jpg", Path("x"), label, "") for i in range(n)]


@pytest.mark.parametrize(
    ("n", "train", "valid", "test"),
    [(1, 1, 0, 0), (2, 1, 1, 0), (3, 1, 1, 1), (4, 2, 1, 1), (5, 3, 1, 1), (6, 4, 1, 1), (7, 5, 1, 1), (8, 6, 1, 1),
     (9, 7, 1, 1), (10, 6, 2, 2), (100, 70, 15, 15)],
)  # fmt: skip
def test_every_kind_is_divided_alike(n, train, valid, test):
    both = Counter(splits.divide(photos(n) + photos(n, 1), {}, make_test=True).values())
    assert both == Counter(train=2 * train, valid=2 * valid, test=2 * test)
    without_test = Counter(splits.divide(photos(n), {}, make_test=False).values())
    assert without_test == Counter(train=train + test, valid=valid)


def test_the_split_hangs_on_the_names_alone_so_it_is_the_same_on_every_machine(tmp_path, monkeypatch):
    names = [f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(20)]
    first = splits_of(open_source(tree(tmp_path / "here", *names)))
    monkeypatch.setenv("FLOWERS_HOME", str(tmp_path / "another machine"))
    assert splits_of(open_source(tree(tmp_path / "there", *reversed(names)))) == first
    chosen = sorted(name for name, split in first.items() if split == "valid" and "rose" in name)
    assert chosen == ["rose/10.jpg", "rose/4.jpg", "rose/8.jpg"], "another choice would mix up everybody's splits"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_photos_keep_their_split_while_others_come_and_go(changes):
    present, before = {}, {}
    for label, number, add in changes:
        name = f"{label}/{number}"
        if add:
            present[name] = label
        else:
            present.pop(name, None)
        now = splits.divide([Photo(n, Path("x"), k, "") for n, k in present.items()], before, make_test=True)
        assert now.keys() == present.keys()
        moved = {n for n in now if before.get(n, now[n]) != now[n]}
        for kind in set(present.values()):
            names = [n for n in present if present[n] == kind]
            assert any(now[n] == "train" for n in names)
            assert sum(n in moved for n in names) <= 1, "only to save a kind from having no training photo"
        before |= now


def test_new_photos_fill_up_and_photos_that_were_away_come_back_to_their_split(tmp_path):
    root = tree(tmp_path / "set", *(f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(10)))
    first = splits_of(open_source(root))
    tree(root, *(f"rose/new {n}.jpg" for n in range(10)))
    grown = splits_of(open_source(root))
    assert first.items() <= grown.items()
    assert Counter(split for name, split in grown.items() if "rose" in name) == {"train": 14, "valid": 3, "test": 3}
    (root / "rose").rename(tmp_path / "away")
    tree(root, "oak/1.jpg")
    open_source(root)
    (tmp_path / "away").rename(root / "rose")
    assert grown.items() <= splits_of(open_source(root)).items()


@pytest.mark.parametrize(
    "content",
    ["", "{", "null", "[]", "7", '"x"', "{}", '{"photos": null}', '{"photos": [1]}', '{"photos": {"rose/1.jpg": 5}}',
     '{"photos": {"rose/1.jpg": ["train"], "rose/2.jpg": "nowhere", "lily/1.jpg": null}}', "\x00\xff"],
)  # fmt: skip
def test_a_damaged_split_file_is_made_anew(content, tmp_path, home):
    root = tree(tmp_path / "set", *(f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(5)))
    first = open_source(root)
    (path,) = (home / "data/splits").iterdir()
    path.write_text(content, encoding="latin-1")
    assert open_source(root) == first
    assert json.loads(path.read_text())["photos"] == splits_of(first)


def test_a_home_that_cannot_be_written_does_not_keep_a_folder_from_being_read(tmp_path, monkeypatch):
    root = tree(tmp_path / "set", *(f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(5)))
    first = open_source(root)
    (tmp_path / "a file").touch()
    monkeypatch.setenv("FLOWERS_HOME", str(tmp_path / "a file"))
    assert open_source(root) == first
    for data in ("garden", zipped(tmp_path / "set.zip", *PAIR)):
        with pytest.raises(StorageError):
            open_source(data)


# Zips


def zipped(path: Path, *names: str, content: dict[str, bytes] | None = None, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name in names:
            file.writestr(name, b"photo " + name.encode())
        for name, data in (content or {}).items():
            file.writestr(name, data)
    return path


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


# Flowers-102


def flowers102(root: Path, kinds: int = 30, each: int = 3) -> Path:
    """The layout with `each` photos of some of our kinds and one photo of another kind."""
    numbers = [kind.flowers102 for kind in SPECIES[:kinds] for _ in range(each)] + [1]
    (root / "jpg").mkdir(parents=True)
    for index in range(1, len(numbers) + 1):
        (root / "jpg" / f"image_{index:05}.jpg").write_bytes(b"photo %d" % index)
    indices = np.arange(1, len(numbers) + 1)
    savemat(root / "imagelabels.mat", {"labels": np.array([numbers], np.uint8)})
    savemat(root / "setid.mat", {"trnid": [indices[0::3]], "valid": [indices[1::3]], "tstid": [indices[2::3]]})
    return root


def zip_of(folder: Path, path: Path, prefix: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for entry in sorted(folder.rglob("*")):
            file.write(entry, prefix + entry.relative_to(folder).as_posix())
    return path


def test_flowers_102_is_read_from_its_folder_its_parent_and_zips(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    places = [root, tmp_path, zip_of(root, tmp_path / "1.zip", ""), zip_of(root, tmp_path / "2.zip", "flowers-102/"),
              zip_of(root, tmp_path / "3.zip", "data/flowers-102/")]  # fmt: skip
    for place in places:
        source = open_source(place)
        assert source.classes == tuple(kind.name for kind in SPECIES)
        assert source.counts() == {"train": 30, "valid": 30, "test": 30}
        assert kinds_of(source)["jpg/image_00004.jpg"] == "azalea"
        assert splits_of(source)["jpg/image_00005.jpg"] == "valid"


def test_missing_photos_and_strangers_in_flowers_102_do_no_harm(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    (root / "jpg/image_00001.jpg").unlink()
    strangers = [
        "image_99999.jpg",
        "image_00000.jpg",
        "image_2.jpg",
        "image_00002 (1).jpg",
        "rose.jpg",
        "image_٠٠٠٠٣.jpg",
    ]
    tree(root / "jpg", *strangers, ".DS_Store")
    source = open_source(root)
    assert len(source.photos) == 89
    assert set(reasons(source)) == {f"jpg/{name}" for name in strangers}


KEYS = ("labels", "trnid", "valid", "tstid")


@pytest.mark.parametrize("name", ["imagelabels.mat", "setid.mat"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_bytes(b"not a mat file" * 50), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:150]), "is damaged"),
        (lambda path: savemat(path, {"other": [1]}), "not as its authors made them"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, "text")), "not as its authors made them"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, np.nan)), "not whole numbers"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, 1.5)), "not whole numbers"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, -3)), "None of the 30 kinds"),
    ],
    ids=["missing", "empty", "text", "cut off", "other names", "text inside", "not a number", "1.5", "negative"],
)
def test_damaged_label_files_are_named(name, damage, message, tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    damage(root / name)
    with pytest.raises(DataError, match=message) as caught:
        open_source(tmp_path)
    assert "flowers-102" in str(caught.value)
    assert "again" in caught.value.hint


def test_label_files_with_bytes_changed_give_a_data_error_and_nothing_else(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    whole = (root / "setid.mat").read_bytes()
    for seed in range(60):
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(5):
            content[120 + chance.randrange(len(content) - 120)] = chance.randrange(256)
        (root / "setid.mat").write_bytes(bytes(content))
        try:
            open_source(root)
        except DataError:
            continue


def test_the_official_splits_and_kinds_of_the_real_set(real_photos):
    root = real_photos / "flowers30"
    source = open_source(root)
    assert open_source(root / "flowers-102") == source
    assert source.counts() == {"train": 278, "valid": 274, "test": 1640}
    assert source.classes == tuple(kind.name for kind in SPECIES)
    numbers = loadmat(root / "flowers-102/imagelabels.mat")["labels"][0]
    number_of = {kind.name: kind.flowers102 for kind in SPECIES}
    for name, kind in kinds_of(source).items():
        assert numbers[int(name[-9:-4]) - 1] == number_of[kind], "imagelabels.mat counts photos and kinds from 1"


def test_the_main_jobs_real_input(real_photos):
    source = open_source(real_photos / "thirty_by_five")
    assert source.classes == tuple(kind.name for kind in SPECIES)
    assert (source.counts(), source.problems) == ({"train": 120, "valid": 30, "test": 0}, ())


# The list of sets


@pytest.mark.parametrize(
    "content", ["", "{}", "null", "[1, null, {}]", '[{"id": 1, "name": 2, "data": 3}]', '[{"id": "x"}]']
)
def test_a_damaged_list_of_sets_is_no_reason_to_fail(content, home, tmp_path):
    (home / "data").mkdir(parents=True)
    (home / "data/sets.json").write_text(content)
    assert library.known_sets() == list(library.BUILT_IN)
    added = library.remember(tmp_path, "mine")
    assert library.known_sets() == [added, *library.BUILT_IN]
    library.forget(added.id)
    assert library.known_sets() == list(library.BUILT_IN)
