"""Every way in gives a set with a card, whole or not at all, whatever is killed, hostile or missing on the way."""

import contextlib
import dataclasses
import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import gdown
import pytest
import requests
from browser_app import until
from conftest import draw_set
from import_stands import Stand, drive_folder, flowers102_files, redirect_drive, serving
from source_trees import PAIR, kinds_of, tree, zipped
from test_flowers102 import flowers102 as flowers102_folder

from flowers_core import garden, runs
from flowers_core.__main__ import main
from flowers_core.errors import DataError
from flowers_core.images import to_jpeg
from flowers_core.photos import importer, problems
from flowers_core.photos.cache import decode_source
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import Source, archive, drive, edits, flowers102, imports, library, open_source, own
from flowers_core.sources.flowers102_names import NAMES
from flowers_core.sources.imports import ImportRequest
from flowers_core.species import SPECIES
from flowers_core.storage import REPOSITORY, sole_maker

ID = "1aBcDeFgHiJkLmNoPqRsTuVwXyZ-0123456"
FOLDER = f"https://drive.google.com/drive/folders/{ID}"
FILE = f"https://drive.google.com/file/d/{ID}"


def half_made(home: Path) -> list[str]:
    """What lies about half made: hidden temporary folders and files."""
    return [str(path.relative_to(home)) for path in (home / "data").rglob(".*.tmp")] if home.exists() else []


def added() -> list[library.KnownSet]:
    return [known for known in library.known_sets() if known.added]


# Folder and zip


def test_a_folder_is_added_where_it_lies(tmp_path):
    root = tree(tmp_path / "Meadow in May", *PAIR)
    known = imports.bring(ImportRequest("folder", str(root)))
    assert (known.name, known.data, known.is_copy) == ("Meadow in May", str(root), False)
    assert open_source(known.id) == open_source(root)
    assert open_source("Meadow in May").root == root


@pytest.mark.parametrize("place", [Path(Path.cwd().anchor), Path.home(), Path.home().parent])
def test_a_whole_disk_is_not_taken_for_a_set(place: Path) -> None:
    with pytest.raises(DataError, match="more than flowers"):
        imports.bring(imports.request_for(str(place)))
    assert all(known.added == 0 for known in library.known_sets())


@pytest.mark.parametrize("name", ["meadow", "meadow/Train"])
def test_a_folder_that_is_closed_to_us_is_named_with_what_to_do(name, tmp_path, monkeypatch, capsys):
    root = tree(tmp_path / "meadow", *PAIR)
    scandir, closed = os.scandir, str(tmp_path / name)

    def guarded(folder):
        if str(folder) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    says = rf"can't be read \(Permission denied\): {re.escape(closed)}\. Check its permissions"
    with pytest.raises(DataError, match=says):
        imports.bring(ImportRequest("folder", str(root)))
    assert main(["import", str(root)]) == 2
    assert re.search(says, capsys.readouterr().err)
    monkeypatch.setattr(Path, "exists", lambda path: guarded(closed))
    with pytest.raises(DataError, match=says):
        imports.existing(closed)
    assert not list((tmp_path / "home/data/sets").glob("*/card.json"))


def test_an_import_on_the_command_line_says_how_many_files_were_left_out(tmp_path, capsys):
    root = draw_set(tmp_path / "meadow", {"Train": 2, "Valid": 1}, size=24)
    (root / "Train/rose/broken.jpg").write_bytes(b"no picture")
    (root / "more.zip").write_bytes(b"")
    assert main(["import", str(root)]) == 0
    (known,) = added()
    assert capsys.readouterr().out.splitlines()[1:] == [f"2 left out. See why: python -m flowers_core data {known.id}"]
    (root / "Train/rose/broken.jpg").unlink()
    (root / "more.zip").unlink()
    assert main(["import", str(root)]) == 0
    assert "left out" not in capsys.readouterr().out


@pytest.mark.parametrize("wrapper", ["", "My flowers/"])
def test_kinds_with_splits_inside_are_read(wrapper, tmp_path):
    names = [f"{wrapper}{kind}/{split}/{i}.jpg" for kind in ("rose", "tulip") for split in ("train", "Valid")
             for i in range(2)]  # fmt: skip
    litter = ("__MACOSX/rose/train/._1.jpg", f"{wrapper}.DS_Store")
    path = zipped(tmp_path / "x.zip", *names, f"{wrapper}rose/loose.jpg", f"{wrapper}rose/notes/9.jpg", *litter)
    source = open_source(path)
    assert source.classes == ("rose", "tulip")
    assert source.counts() == {"train": 4, "valid": 4, "test": 0}
    assert kinds_of(source)["rose/train/1.jpg"] == "rose"
    assert {problem.path for problem in source.problems} == {"rose/loose.jpg", "rose/notes"}


def test_a_zip_becomes_a_set_with_a_card_and_needs_its_zip_no_more(tmp_path, home):
    path = zipped(
        tmp_path / "Spring 2024.zip", *(f"w/{name}" for name in PAIR), content={"w/LICENSE.txt": b"\nCC0 1.0\n"}
    )
    known = imports.bring(ImportRequest("zip", str(path)))
    path.unlink()
    assert (known.name, known.origin, known.licence, known.is_copy) == (
        "Spring 2024",
        "Spring 2024.zip",
        "CC0 1.0",
        True,
    )
    assert Path(known.data).name == "Spring-2024"
    assert len(open_source(known.id).photos) == 4
    assert open_source(known.data).name == "Spring 2024"
    assert not half_made(home)


@pytest.mark.parametrize("name", ["../../out", "a/b\\c", "  x  ", "🌹 & <b>", "."])
def test_a_hostile_name_stays_a_name(name, tmp_path, home):
    known = imports.bring(ImportRequest("zip", str(zipped(tmp_path / "x.zip", *PAIR)), name=name))
    assert known.name == " ".join(name.split())
    assert Path(known.data).parent.parent == home / "data" / "sets"
    assert {path.name for path in tmp_path.iterdir()} == {"home", "x.zip"}


@pytest.mark.parametrize("name", ["x" * 61, " \n"])
def test_a_name_that_is_none_is_refused_before_anything_is_fetched(name, tmp_path):
    if name.strip():
        with pytest.raises(DataError, match="name is too long"):
            imports.bring(ImportRequest("zip", str(tmp_path / "nowhere.zip"), name=name))
    with pytest.raises(DataError, match="name is"):
        library.checked_name(name)


def test_a_refused_zip_leaves_no_set_and_is_called_by_the_name_it_came_with(tmp_path, home):
    path = zipped(tmp_path / "upload.zip", "1.jpg")
    with pytest.raises(DataError, match="No photos found") as caught:
        imports.bring(ImportRequest("zip", str(path), shown="roses.zip"))
    assert "roses.zip" in str(caught.value)
    assert str(home) not in str(caught.value)
    assert not added()
    assert not half_made(home)


# Google Drive


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"{FOLDER}?usp=sharing", FOLDER),
        (f"https://drive.google.com/drive/u/2/folders/{ID}", FOLDER),
        (f" drive.google.com/drive/folders/{ID} ", FOLDER),
        (f"{FILE}/view?usp=drive_link", FILE),
        (f"https://drive.google.com/open?id={ID}", FILE),
        (f"https://docs.google.com/uc?id={ID}&export=download", FILE),
        (f"https://drive.usercontent.google.com/download?id={ID}&export=download&authuser=0", FILE),
    ],
)
def test_links_are_known_in_every_spelling(text, link):
    assert str(drive.parse(text)) == link


@pytest.mark.parametrize(
    "text",
    [
        f"https://drive.google.com.evil.example/drive/folders/{ID}",
        f"https://evil.example/drive/folders/{ID}",
        f"https://drive.google.com@evil.example/file/d/{ID}",
        f"file://drive.google.com/file/d/{ID}",
        "https://drive.google.com/drive/my-drive",
        "https://drive.google.com/file/d/../../etc/passwd",
        f"https://drive.google.com/drive/folders/{ID}%2F..%2F..",
        "https://drive.google.com/open?id=" + "x" * 500,
        "https://[drive.google.com/x",
        "https://drive.google.com/open?id=a&id=b",
        "",
    ],
)
def test_hostile_links_are_refused_before_anything_is_fetched(text):
    with pytest.raises(DataError, match=r"not a link to Google Drive|leads to no file"):
        drive.parse(text)


@pytest.fixture
def google(monkeypatch):
    with serving(Stand()) as stand:
        redirect_drive(monkeypatch, stand.url)
        yield stand


def shared(stand: Stand, key: str, content: bytes, name: str) -> None:
    stand.files[f"/uc?{key}"], stand.names[f"/uc?{key}"] = content, name


def test_a_drive_folder_becomes_a_set(google):
    number = iter(range(100))

    def folder(key: str, title: str, files: list[str], folders: dict[str, str]) -> None:
        ids = {f"{ID}{next(number):02}": name for name in files}
        for photo, name in ids.items():
            shared(google, photo, b"photo " + name.encode(), name)
        google.files[f"/embeddedfolderview?{key}"] = drive_folder(title, ids, folders)

    kinds = {f"{ID}{split}{kind}": kind for split in "TV" for kind in ("rose", "tulip")}
    for key in kinds:
        folder(key, kinds[key], ["1.jpg", "1.jpg"] if key[len(ID)] == "T" else ["3.jpg"], {})
    for split in "TV":
        folder(
            f"{ID}{split}",
            {"T": "Train", "V": "Valid"}[split],
            ["loose.txt"],
            {key: kind for key, kind in kinds.items() if key[len(ID)] == split},
        )
    folder(ID, "Meadow", [], {f"{ID}T": "Train", f"{ID}V": "Valid"})
    told = []
    known = imports.bring(imports.request_for(f"{FOLDER}?usp=sharing", "Our meadow"), lambda *row: told.append(row))
    source = open_source(known.id)
    assert (known.origin, source.name) == (FOLDER, "Our meadow")
    assert source.classes == ("rose", "tulip")
    assert source.counts() == {"train": 4, "valid": 2, "test": 0}, "two files of one name are two photos"
    assert ("Downloading from Google Drive", 5, 8) in told
    google.files.clear()
    assert open_source(FOLDER) == source, "a link that was imported is not fetched again"


def test_a_drive_file_is_a_zip_or_refused(google, tmp_path, home):
    shared(google, ID, zipped(tmp_path / "x.zip", *PAIR).read_bytes(), "../../Summer walk.zip")
    source = open_source(FILE)
    assert source.name.endswith("Summer walk")
    assert len(source.photos) == 4
    library.delete(added()[0].id)
    shared(google, ID, b"%PDF", "paper.pdf")
    with pytest.raises(DataError, match=r"not a zip \(paper.pdf\)"):
        open_source(FILE)
    assert not added()
    assert not half_made(home)


QUOTA = (
    b'<html><body><p class="uc-error-subcaption">Too many users have viewed or downloaded this file.</p></body></html>'
)
REFUSALS = {
    "private": (
        FILE,
        b"<html><title>Sign in</title></html>",
        200,
        "private, or there is nothing.*Anyone with the link",
    ),
    "gone": (FILE, None, 404, r"private|no such file"),
    "quota": (FILE, QUOTA, 200, "quota for it is used up.*in a day"),
    "too often": (FILE, b"x", 429, r"refused it for now|quota|private"),
    "private folder": (FOLDER, drive_folder("Sign in", {}, {}), 200, "private or empty.*Anyone with the link"),
    "no such folder": (FOLDER, None, 404, "private, or there is nothing"),
    "a page without a title": (FOLDER, b"<html><body>Something new</body></html>", 200, "can't be read.*as a zip"),
    "quota, without its page": (FILE, b"<html>no</html>", 200, "try later: Google refuses"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_drive_refuses_is_said_clearly(name, google, home):
    link, content, code, message = REFUSALS[name]
    path = f"/{'uc' if link == FILE else 'embeddedfolderview'}?{ID}"
    google.codes[path] = code
    if content is not None:
        google.files[path] = content
    with pytest.raises(DataError, match=message) as caught:
        imports.bring(imports.request_for(link))
    assert ID in str(caught.value)
    assert caught.value.hint
    assert not added()
    assert not half_made(home)


ODD_ANSWERS = [
    KeyError("Content-Type"),
    ValueError("not a date"),
    AssertionError(),
    TypeError("None"),
    RecursionError(),
]


@pytest.mark.parametrize("error", ODD_ANSWERS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("link", [FILE, FOLDER])
def test_an_answer_that_nobody_expected_is_no_crash(link, error, home, monkeypatch):
    def trip(*arguments, **options):
        raise error

    monkeypatch.setattr(gdown, "download", trip)
    monkeypatch.setattr(gdown, "download_folder", trip)
    with pytest.raises(DataError, match=rf"Google's answer can't be read: .*{ID}.*as a zip, and add that"):
        imports.bring(imports.request_for(link))
    assert not half_made(home)


def test_a_server_of_google_that_is_out_of_order_is_not_a_private_link(monkeypatch):
    def trip(*arguments, **options):
        response = requests.Response()
        response.status_code = 503
        response.raise_for_status()

    monkeypatch.setattr(gdown, "download", trip)
    with pytest.raises(DataError, match=r"out of order \(503\): .*Try again in some minutes"):
        imports.bring(imports.request_for(FILE))


def test_names_in_drive_that_are_too_long_for_a_disk_are_cut_and_stay_apart(google, tmp_path):
    kinds = {f"{ID}{n}": "\u7261\u4e39" * 60 + str(n) for n in range(2)}
    google.files[f"/embeddedfolderview?{ID}"] = drive_folder("Meadow", {}, kinds)
    for kind in kinds:
        photos = {f"{kind}{n}": "\u82b1" * 100 + f"{n}.jpg" for n in range(2)}
        google.files[f"/embeddedfolderview?{kind}"] = drive_folder(kinds[kind], photos, {})
        for photo in photos:
            shared(google, photo, photo.encode(), "x.jpg")
    source = open_source(FOLDER)
    assert (len(source.classes), len(source.photos)) == (2, 4)
    assert len({photo.path.read_bytes() for photo in source.photos}) == 4
    shared(google, ID, zipped(tmp_path / "x.zip", *PAIR).read_bytes(), "x" * 300 + ".zip")
    assert len(open_source(FILE).photos) == 4


def test_a_file_and_a_folder_of_one_name_in_drive_are_no_trouble_with_the_disk(google, home):
    google.files[f"/embeddedfolderview?{ID}"] = drive_folder("Meadow", {f"{ID}0": "rose"}, {f"{ID}1": "rose"})
    google.files[f"/embeddedfolderview?{ID}1"] = drive_folder("rose", {f"{ID}2": "1.jpg"}, {})
    for key in (f"{ID}0", f"{ID}2"):
        shared(google, key, b"photo", "x")
    with pytest.raises(DataError, match=r"a file and a folder of one name: .*rose/1.jpg\. Rename one"):
        open_source(FOLDER)
    assert not half_made(home)


def test_without_a_network_drive_says_so(monkeypatch):
    redirect_drive(monkeypatch, "http://127.0.0.1:9/")
    monkeypatch.setattr(time, "sleep", lambda s: None)
    for link in (FILE, FOLDER):
        with pytest.raises(DataError, match=r"can't be reached.*internet connection"):
            imports.bring(imports.request_for(link))


# Oxford Flowers-102


@pytest.fixture
def oxford(tmp_path, monkeypatch):
    """A site with three photos of each of the 30 kinds, and one of another."""
    files, known = flowers102_files(flowers102_folder(tmp_path / "set"))
    with serving(Stand(files)) as stand:
        monkeypatch.setattr(flowers102, "URL", stand.url)
        monkeypatch.setattr(flowers102, "FILES", known)
        yield stand


def downloaded(progress=None) -> Source:
    """Flowers-102, as it is after somebody agreed to its terms."""
    imports.bring(imports.request_for("flowers102"), progress)
    return open_source("flowers102")


def test_opening_flowers_102_never_downloads_it(oxford, home):
    for data in ("flowers102", " flowers102\n"):
        with pytest.raises(DataError, match=r"Flowers-102 is not here: .*flowers102\. Import it .* --accept-terms"):
            open_source(data)
    assert oxford.asked == []
    downloaded()
    deleted = library.delete("flowers102")
    asked = len(oxford.asked)
    with pytest.raises(DataError, match=r"not here: .* It was deleted: bring it back on the page Photos.* --restore"):
        open_source("flowers102")
    library.restore(deleted)
    assert len(open_source("flowers102").photos) == 90
    shutil.rmtree(home / "data/sets/flowers102/Oxford-Flowers-102")
    with pytest.raises(DataError, match=r"photos of Oxford Flowers-102 are gone.* Delete the set and import it again"):
        open_source("flowers102")
    assert len(oxford.asked) == asked


def test_flowers_102_is_downloaded_checked_and_there_once(oxford, home):
    told = []
    source = downloaded(lambda *row: told.append(row))
    assert source.classes == tuple(kind.name for kind in SPECIES)
    assert source.counts() == {"train": 30, "valid": 30, "test": 30}
    assert any("Downloading" in what for what, *_ in told)
    (known,) = added()
    assert (known.id, known.data, "None stated" in known.licence) == ("flowers102", "flowers102", True)
    asked = len(oxford.asked)
    library.change("flowers102", kinds="all")
    everything = open_source("flowers102")
    assert everything.classes == tuple(sorted(NAMES))
    assert kinds_of(everything)["jpg/image_00091.jpg"] == "pink primrose"
    assert len(everything.photos) == len(source.photos) + 1
    assert len(oxford.asked) == asked
    assert not (home / "data/downloads").exists()


def test_the_real_sets_sizes_checksums_and_names_are_the_official_ones(real_photos):
    import hashlib

    for name in ("imagelabels.mat", "setid.mat"):
        content = (real_photos / "flowers30/flowers-102" / name).read_bytes()
        assert flowers102.FILES[name] == (len(content), hashlib.md5(content).hexdigest())
    for kind in SPECIES:
        assert NAMES[kind.flowers102 - 1] == kind.name


def test_a_download_that_broke_off_goes_on_where_it_was(oxford):
    size = len(oxford.files["/102flowers.tgz"])
    oxford.break_after = size // 2
    with pytest.raises(DataError, match=r"broke off after|can't be reached"):
        downloaded()
    assert not added()
    assert len(downloaded().photos) == 90
    assert ("/102flowers.tgz", f"bytes={size // 2}-") in oxford.asked


@pytest.mark.parametrize("left", [b"of another version", bytes(10**6)], ids=["short", "too long"])
@pytest.mark.parametrize("no_ranges", [False, True])
def test_a_half_download_that_is_wrong_is_begun_anew(oxford, home, left, no_ranges):
    oxford.no_ranges = no_ranges
    (home / "data/downloads").mkdir(parents=True)
    (home / "data/downloads/102flowers.tgz.part").write_bytes(left)
    assert len(downloaded().photos) == 90


def test_a_site_that_sends_something_else_is_not_believed(oxford, home):
    for name, content in (("/setid.mat", b"x" * len(oxford.files["/setid.mat"])), ("/102flowers.tgz", b"<html>")):
        whole, oxford.files[name] = oxford.files[name], content
        with pytest.raises(DataError, match=r"checksum differs|broke off"):
            downloaded()
        oxford.files[name] = whole
    oxford.codes["/102flowers.tgz"] = 503
    with pytest.raises(DataError, match="refused the download \\(503"):
        downloaded()
    assert not added()
    assert not half_made(home)


def test_without_a_network_flowers_102_says_so(monkeypatch):
    monkeypatch.setattr(flowers102, "URL", "http://127.0.0.1:9/")
    with pytest.raises(DataError, match=r"can't be reached .*internet connection"):
        downloaded()


def test_a_network_that_breaks_in_the_middle_is_no_matter_of_the_disk(oxford, monkeypatch):
    def read(answer, count=None):
        raise ssl.SSLError("record layer failure")

    monkeypatch.setattr(http.client.HTTPResponse, "read", read)
    with pytest.raises(DataError, match=r"can't be reached .*record layer failure.*internet connection"):
        downloaded()


def test_an_existing_flowers_102_folder_is_added_with_30_or_all_kinds(tmp_path):
    root = flowers102_folder(tmp_path / "flowers-102")
    known = imports.bring(ImportRequest("folder", str(root), "Oxford", "all"))
    assert len(open_source(known.data).classes) == 102
    imports.bring(ImportRequest("folder", str(root), "Oxford"))
    assert len(open_source(known.data).classes) == 30
    assert len(added()) == 1


# Killed, cancelled, swept

CHILD = """
    import sys, time
    from pathlib import Path
    from flowers_core import storage
    from flowers_core.photos import importer
    from flowers_core.sources import flowers102, imports, library
    import test_imports
    steps = 0
    def progress(what, done, total):
        global steps
        steps += 1
        if steps == {stop}:
            print("here", flush=True)
            time.sleep(60)
    library.replacing_folder  # the last step: just before the folder takes its name
    if {stop} < 0:
        write = library.write_json
        def slow(path, value):
            write(path, value)
            if path.name == "card.json":
                print("here", flush=True)
                time.sleep(60)
        library.write_json = slow
    flowers102.URL, flowers102.FILES = {url!r}, {files!r}
    imports.bring({request!r}, progress)
    print("done", flush=True)
"""


def child(request: ImportRequest, stop: int, url: str = "", files: object = None) -> subprocess.Popen:
    """An import in a process that holds still at its progress's `stop`th word, or with -1 just before its end."""
    code = "from flowers_core.sources.imports import ImportRequest\n" + textwrap.dedent(CHILD).format(
        request=request, stop=stop, url=url, files=files
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)])}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, text=True)
    process.first = process.stdout.readline().strip()
    return process


@pytest.mark.parametrize("stop", [1, 3, 5, -1])
def test_a_killed_zip_import_is_not_there_at_all_and_swept_at_the_next(stop, tmp_path, home):
    path = zipped(tmp_path / "a.zip", *(f"{kind}/{i}.jpg" for kind in ("rose", "lily") for i in range(60)))
    process = child(ImportRequest("zip", str(path)), stop)
    assert process.first == "here"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not added()
    assert half_made(home), "there is something to sweep"
    importer.sweep()
    assert not half_made(home)
    known = imports.bring(ImportRequest("zip", str(path)))
    assert len(open_source(known.id).photos) == 120
    assert not half_made(home)


@pytest.mark.parametrize("stop", [3, 5, -1])
def test_a_killed_download_of_flowers_102_goes_on_at_the_next(stop, oxford, home):
    process = child(ImportRequest("flowers102", ""), stop, flowers102.URL, flowers102.FILES)
    assert process.first == "here"
    process.kill()
    process.wait()
    assert not added()
    importer.sweep()
    assert not half_made(home)
    before = len(oxford.asked)
    assert len(downloaded().photos) == 90
    assert len(oxford.asked) - before <= 1, "what had arrived whole was not fetched again"


def test_a_sweep_leaves_an_import_that_is_at_work_alone(tmp_path, home):
    path = zipped(tmp_path / "a.zip", *(f"{kind}/{i}.jpg" for kind in ("rose", "lily") for i in range(60)))
    process = child(ImportRequest("zip", str(path)), 3)
    try:
        assert process.first == "here"
        before = half_made(home)
        importer.sweep()
        assert half_made(home) == before != []
        told = threading.Event()

        def waits(what, done, total):
            if what == "Waiting for another import":
                told.set()
                raise importer.Cancelled

        with pytest.raises(importer.Cancelled):
            imports.bring(ImportRequest("zip", str(path)), waits)
        assert told.is_set()
    finally:
        process.kill()
        process.wait()


def test_a_job_brings_a_set_and_tells_of_it(tmp_path, home):
    root = draw_set(tmp_path / "meadow", {"Train": 2, "Valid": 1}, size=24)
    path = zipped(
        tmp_path / "m.zip", content={str(p.relative_to(tmp_path)): p.read_bytes() for p in root.rglob("*.jpg")}
    )
    with open(path, "rb") as upload:
        job = importer.start(ImportRequest("zip", "", "Meadow", shown="m.zip"), upload)
    assert job.state() in ("starting", "running")
    until(lambda: job.state() in importer.ENDED, "the import to end")
    assert job.state() == "done", job.status()
    (known,) = added()
    assert (job.status().set_id, known.name, known.origin) == (known.id, "Meadow", "m.zip")
    until(lambda: not job.upload_path.exists(), "the upload to be removed")
    job.dismiss()
    assert not importer.jobs()


def test_cancel_ends_a_job_at_once_even_in_a_download_that_hangs(home):
    with serving(Stand({"/setid.mat": b"x" * 10**7}, slow_s=5)) as stand:
        code = f"""
            from flowers_core.photos import importer
            from flowers_core.sources import flowers102
            flowers102.URL, flowers102.FILES = {stand.url!r}, {{"setid.mat": (10**7, "0")}}
            importer.work(importer.jobs()[0])
        """
        job = importer.Job(importer.jobs_dir() / "1")
        importer.write_json(job.folder / "request.json", dataclasses.asdict(ImportRequest("flowers102", "")))
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY)
        until(lambda: job.is_locked() and list((home / "data").rglob("*.part")), "the download to begin")
        began = time.monotonic()
        job.cancel()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 5
    assert job.state() == "cancelled"
    assert not added()
    assert not half_made(home)
    assert not list((home / "data").rglob("*.part"))


def test_cancelling_an_import_that_waits_leaves_anothers_download_alone(home):
    arrived = home / "data" / "downloads" / "102flowers.tgz.part"
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(b"half of it")
    for way, place in (("flowers102", ""), ("zip", str(zipped(home / "x.zip", *PAIR)))):
        job = importer.Job(importer.jobs_dir() / way)
        importer.write_json(job.folder / "request.json", dataclasses.asdict(ImportRequest(way, place)))
        with sole_maker(library.sets_dir()):
            process = subprocess.Popen(
                [sys.executable, "-m", "flowers_core", "import", "--job", str(job.folder)], cwd=REPOSITORY
            )
            until(lambda job=job: job.status().what == imports.WAITING, "the import to wait")
            job.cancel()
            assert process.wait(20) == 0
        assert job.state() == "cancelled"
        assert arrived.exists()


@pytest.mark.parametrize("another_is_at_work", [True, False])
def test_cancelling_an_import_at_its_very_start_leaves_anothers_download_alone(another_is_at_work, home):
    arrived = home / "data" / "downloads" / "102flowers.tgz.part"
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(b"half of it")
    job = importer.Job(importer.jobs_dir() / "job")
    importer.write_json(job.folder / "request.json", dataclasses.asdict(ImportRequest("flowers102", "")))
    job.cancel()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with sole_maker(library.sets_dir()) if another_is_at_work else contextlib.nullcontext():
            assert importer.work(job) is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert job.state() == "cancelled"
    assert arrived.exists() == another_is_at_work


def test_an_import_that_was_dismissed_does_not_come_back_by_being_asked(home):
    job = importer.Job(importer.jobs_dir() / "gone")
    assert not job.is_locked()
    assert not job.folder.exists()


def test_the_garden_needs_no_import():
    with pytest.raises(DataError, match="built in"):
        imports.request_for("garden")


def test_a_zip_that_may_not_be_read_is_no_trouble_with_the_disk(tmp_path, monkeypatch):
    path = zipped(tmp_path / "x.zip", *PAIR)

    def closed(*arguments):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(archive, "open", closed, raising=False)
    with pytest.raises(DataError, match=r"zip can't be read \(Permission denied\)"):
        imports.bring(ImportRequest("zip", str(path)))


def test_a_failed_job_says_why_and_a_killed_one_that_it_was_killed(tmp_path):
    job = importer.start(ImportRequest("zip", str(zipped(tmp_path / "x.zip", "1.jpg"))))
    until(lambda: job.state() in importer.ENDED, "the import to end")
    assert (job.state(), job.status().error.split(" (")[0]) == ("failed", "No photos found")
    job.write(importer.Status(phase="running"))
    assert job.state() == "interrupted"
    job.cancel()
    assert job.state() == "cancelled", "killed before it could say so itself"


def test_a_job_that_saw_its_cancelling_first_minds_no_signal_while_it_tidies_up(home, monkeypatch):
    job = importer.Job(importer.jobs_dir() / "1")
    importer.write_json(job.folder / "request.json", dataclasses.asdict(ImportRequest("zip", "x.zip")))

    def bring(request, progress=None, there=None):
        (job.folder / "cancel").touch()
        progress("Reading", 1, 2)

    def write(job, status, write=importer.Job.write):
        if status.phase == "cancelled":
            os.kill(os.getpid(), signal.SIGTERM)
        write(job, status)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(importer, "bring", bring)
    monkeypatch.setattr(importer.Job, "write", write)
    try:
        assert importer.work(job) is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert job.state() == "cancelled"


def test_a_zip_whose_photos_cannot_be_read_leaves_no_set(tmp_path, home):
    path = zipped(tmp_path / "x.zip", *PAIR)
    with pytest.raises(DataError, match="None of 4 photos could be read"):
        importer.bring(ImportRequest("zip", str(path)))
    assert not added()
    assert not library.deleted_sets()


# Cards, names, the trash


def test_a_set_is_renamed_deleted_and_brought_back(tmp_path, home):
    known = imports.bring(ImportRequest("zip", str(zipped(tmp_path / "x.zip", *PAIR))))
    renamed = library.change(known.id, name=" Late  summer ", licence="CC BY 4.0\n")
    assert (renamed.name, renamed.licence, renamed.data) == ("Late summer", "CC BY 4.0", known.data)
    photos = open_source(known.id).photos
    deleted = library.delete(known.id)
    assert not added()
    with pytest.raises(DataError, match="no such folder"):
        open_source("Late summer")
    assert library.restore(deleted) == renamed
    assert open_source(known.id).photos == photos
    with pytest.raises(DataError, match="not in the trash"):
        library.restore(deleted)
    library.delete(known.id)
    library.empty_trash(older_than_s=60)
    assert library.deleted_sets()
    library.empty_trash()
    assert not library.deleted_sets()
    assert not any((home / "data/sets").iterdir())


def test_emptying_the_trash_keeps_what_belongs_to_the_same_set_brought_in_again(oxford, home):
    downloaded()
    library.delete("flowers102")
    key = downloaded().key
    (home / "data/cache" / key).mkdir(parents=True, exist_ok=True)
    library.empty_trash()
    assert not library.deleted_sets()
    assert (home / "data/cache" / key).exists()
    library.delete("flowers102")
    library.empty_trash()
    assert not (home / "data/cache" / key).exists()


def test_emptying_the_trash_takes_the_cache_of_a_set_that_lies_deeper_than_its_folder(tmp_path, home):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (folder := flowers102_folder(tmp_path / "set")).rglob("*"):
            archive.write(file, Path("wrapped") / file.relative_to(folder))
    known = imports.bring(ImportRequest("zip", str(path)))
    source = open_source(known.id)
    assert source.root != Path(known.data)
    (home / "data/cache" / source.key).mkdir(parents=True)
    library.delete(known.id)
    library.empty_trash()
    assert not any((home / "data/cache").iterdir())


def test_an_own_set_comes_back_with_its_changes_and_a_name_of_at_most_sixty_letters():
    for seed in range(6):
        own.add(to_jpeg(garden.draw("rose", seed, 48)), "rose")
        own.add(to_jpeg(garden.draw("sunflower", seed, 48)), "sunflower")
    name = "n" * library.NAME_LENGTH
    library.change(library.OWN, name=name)
    decoded = decode_source(open_source(library.OWN))
    edits.add(decoded.source.key, problems.edits_for(decoded, [0, 7], edits.EXCLUDE))
    before = decode_source(open_source(library.OWN))
    old = library.delete(library.OWN)
    own.add(to_jpeg(garden.draw("rose", 1, 48)), "tulip")
    library.change(library.OWN, name=name)
    back = library.restore(old)
    assert back.name != name
    assert len(back.name) <= library.NAME_LENGTH
    after = decode_source(open_source(back.id))
    assert (len(before.entries), len(after.entries)) == (10, 10)
    assert after.fingerprint == before.fingerprint


def test_an_own_set_comes_back_beside_the_new_one():
    photo = to_jpeg(garden.draw("rose", 1, 48))
    own.add(photo, "rose")
    old = library.delete(library.OWN)
    own.add(photo, "tulip")
    back = library.restore(old)
    assert back.id != library.OWN
    assert back.name.startswith("My own set of ")
    assert set(kinds_of(open_source(back.id, least_classes=1)).values()) == {"rose"}
    assert set(kinds_of(open_source(library.OWN, least_classes=1)).values()) == {"tulip"}
    assert not library.deleted_sets()


@pytest.mark.parametrize("known", library.BUILT_IN, ids=lambda known: known.id)
def test_nobodys_set_takes_the_name_of_one_that_is_built_in(known, tmp_path):
    root = tree(tmp_path / "mine", *PAIR)
    with pytest.raises(DataError, match="built in"):
        library.remember(root, known.name.upper())
    mine = library.remember(root, "mine")
    with pytest.raises(DataError, match="built in"):
        library.change(mine.id, name=f" {known.name}")


def test_only_what_was_listed_is_removed_for_good(tmp_path):
    listed, later, back = (
        library.delete(library.remember(tree(tmp_path / name, *PAIR), name).id) for name in ("listed", "later", "back")
    )
    library.restore(back)
    library.remove_for_good([listed, back])
    assert library.deleted_sets() == [later]
    assert [known.name for known in added()] == ["back"]


def test_deleting_an_added_folder_never_touches_the_folder(tmp_path):
    root = tree(tmp_path / "mine", *PAIR)
    known = library.remember(root, "mine")
    library.delete(known.id)
    library.empty_trash()
    assert len(open_source(root).photos) == 4


def test_a_set_that_a_training_uses_is_not_deleted(tmp_path):
    known = library.remember(tree(tmp_path / "mine", *PAIR), "mine")
    run = runs.create(TrainConfig(data=known.data))
    with run.locked():
        run.write_status(runs.Status(phase="training"))
        with pytest.raises(DataError, match=r"training that is running uses this set: mine. Stop"):
            library.delete(known.id)
    run.write_status(runs.Status(phase="stopped"))
    library.delete(known.id)


@pytest.mark.parametrize("set_id", ["garden", "flowers102", "..", "nowhere", ""])
def test_only_added_sets_are_changed(set_id):
    for act in (library.delete, lambda key: library.change(key, name="x")):
        with pytest.raises(DataError, match="no added set"):
            act(set_id)
