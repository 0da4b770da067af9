"""Folders as people really have them are read rightly, or refused with a reason."""

import os
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_trees import NAMES, PAIR, kinds_of, reasons, splits_of, tree, zipped

from flowers_core.errors import DataError
from flowers_core.sources import archive, folder, open_source
from flowers_core.sources.records import class_key, class_name, natural_order, printable
from flowers_core.species import SPECIES


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
        (["a/b/Train/rose/%d.jpg", "a/b/Train/lily/0.jpg", "a/b/Val/rose/0.jpg"], {"train": 6, "valid": 1, "test": 0}),
        (["x/Train/rose/%d.jpg", "x/Train/lily/0.jpg", "x/Val/rose/0.jpg", "y/"], {"train": 6, "valid": 1, "test": 0}),
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


@pytest.mark.parametrize("endings", [["{:04}.jpg"], ["{}.jpg"], ["{:02}.jpg", "{:02}.JPG", "b{:03}.png"], ["٣{}.jpg"]])
def test_short_cuts_in_sorting_change_no_order(endings):
    numbers = random.Random(1).sample(range(2000), 60)
    folders = ("Train/rose 2", "Train/rose 10", "Train/rose 10/x", "Valid/Azalea")
    names = [f"{place}/{endings[n % len(endings)].format(n)}" for n in numbers for place in folders]
    rows = [("", "", "", name) for name in names]
    expected = sorted(names, key=lambda name: [natural_order(part) for part in name.rpartition("/")[::2]])
    assert [row[3] for row in folder._in_natural_order(rows)] == expected


def test_the_same_set_is_read_alike_whatever_order_the_disk_has(tmp_path):
    names = [f"{split}/{kind}/{n}" for split in ("Train", "Valid") for kind in ("Lily", "LILY", "lily", "oak")
             for n in ("a.jpg", "A.jpg", "á.jpg", "01.jpg", "1.jpg")]  # fmt: skip
    sources = []
    for seed in range(4):
        random.Random(seed).shuffle(names)
        read = open_source(tree(tmp_path / str(seed) / "set", *names))
        sources.append((read.classes, [(photo.name, photo.label, photo.split) for photo in read.photos]))
    assert all(source == sources[0] for source in sources)


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
    "data", ["", "  ", "/nowhere", "a\0b", "x" * 5000, "~nobody-here/photos", "httpx://drive.google.com/x"]
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


@pytest.mark.parametrize("data", ["garden", "a zip"])
def test_a_stop_while_photos_are_drawn_or_unpacked_is_no_error_of_theirs(data, tmp_path):
    def stop(what, done, total):
        raise InterruptedError

    place = zipped(tmp_path / "set.zip", *PAIR) if data == "a zip" else data
    with pytest.raises(InterruptedError):
        open_source(place, progress=stop)


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


def test_a_closed_kind_does_not_close_the_others(tmp_path, monkeypatch):
    tree(tmp_path, "rose/1.jpg", "rose/2.jpg", "lily/1.jpg", "lily/2.jpg", "tulip/1.jpg")
    scandir = os.scandir

    def closed(folder):
        if Path(folder).name == "tulip":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    source = open_source(tmp_path)
    assert source.classes == ("lily", "rose", "tulip")
    assert reasons(source) == {"tulip": "can't be opened (Permission denied)"}


@pytest.mark.parametrize(
    "names",
    [
        ("set/rose/1.jpg", "set/lotus/1.jpg", "docs/about.txt", "docs/more/x.txt"),
        ("a/b/c/d/e/f/rose/1.jpg", "a/b/c/d/e/f/lotus/1.jpg"),
        ("set/rose/1.jpg", "set/lotus/1.jpg", "set/cover/", "__MACOSX/rose/1.jpg"),
    ],
    ids=["beside a folder without photos", "deep", "with an empty kind"],
)
def test_whatever_wraps_the_kinds_is_never_taken_for_a_kind(names, tmp_path):
    assert {"rose", "lotus"} <= set(open_source(tree(tmp_path, *names)).classes) <= {"rose", "lotus", "cover"}


def test_a_kind_whose_photos_lie_in_folders_is_no_wrapping(tmp_path):
    source = open_source(tree(tmp_path, "rose/1.jpg", "rose/old/2.jpg", "rose/new/3.jpg", "lily/"), least_classes=1)
    assert source.classes == ("lily", "rose")


def test_what_is_closed_to_us_says_so(tmp_path, monkeypatch):
    def closed(*arguments):
        raise PermissionError(13, "Permission denied", str(tmp_path / "set.zip"))

    zipped(tmp_path / "set.zip", *PAIR)
    for place, name in ((archive, "open"), (Path, "exists")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, closed, raising=False)
            with pytest.raises(
                DataError, match=r"can't be read \(Permission denied\): .*set.zip. Check its permissions"
            ):
                open_source(tmp_path / "set.zip")


def test_the_main_jobs_real_input(real_photos):
    source = open_source(real_photos / "thirty_by_five")
    assert source.classes == tuple(kind.name for kind in SPECIES)
    assert (source.counts(), source.problems) == ({"train": 120, "valid": 30, "test": 0}, ())
