"""The decoded cache: right pixels after any change, kill, damage or full disk, and a fingerprint that means them."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowers_core import storage
from flowers_core.errors import DataError, ImageError, StorageError
from flowers_core.images import SIDE, decode, to_square
from flowers_core.photos import cache
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.sources import open_source

ROOT = Path(__file__).parent.parent


def paint(path: Path, seed: int, size: tuple[int, int] = (24, 16)) -> Path:
    """A small picture that no other seed gives; blocks, so that JPEG keeps them apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def make_set(root: Path, each: int = 4) -> Path:
    """Two kinds with `each` photos in Train and one in Valid."""
    for k, kind in enumerate(("rose", "lily")):
        for n in range(each):
            paint(root / "Train" / kind / f"{n}.jpg", 100 * k + n)
        paint(root / "Valid" / kind / "9.jpg", 100 * k + 99)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set")


def decode_folder(root: Path, progress=None) -> DecodedSource:
    return decode_source(open_source(root, least_classes=1), progress)


def assert_right(decoded: DecodedSource) -> None:
    """Every photo has the pixels, the size and the digest of its file as it is now."""
    for index, (photo, entry) in enumerate(zip(decoded.source.photos, decoded.entries, strict=True)):
        image = decode(photo.path)
        assert (decoded.square(index) == to_square(decode(photo.path, want=SIDE))).all(), photo.name
        assert (entry.width, entry.height) == image.size
        assert entry.aspect == pytest.approx(image.width / image.height)


def index_file(home: Path) -> Path:
    (path,) = (home / "data/cache").glob("*/index.json")
    return path


def pixel_file(home: Path) -> Path:
    (path,) = (home / "data/cache").glob("*/pixels-*.u8")
    return path


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names, original = [], cache._decode_one
    monkeypatch.setattr(cache, "_decode_one", lambda path, known: names.append(path.name) or original(path, known))
    return names


# What changes


def test_photos_are_decoded_once(root, monkeypatch):
    names = count_decodes(monkeypatch)
    first = decode_folder(root)
    assert len(names) == len(first.source.photos) == 10
    second = decode_folder(root)
    assert len(names) == 10
    assert_right(second)
    assert second.fingerprint == first.fingerprint
    assert not second.pixels.flags.writeable


def test_only_what_is_new_changed_or_renamed_is_decoded(root, monkeypatch):
    decode_folder(root)
    names = count_decodes(monkeypatch)
    paint(root / "Train/rose/1.jpg", 777)
    paint(root / "Train/rose/new.png", 778)
    (root / "Train/rose/2.jpg").rename(root / "Train/lily/renamed.jpg")
    (root / "Train/rose/3.jpg").unlink()
    decoded = decode_folder(root)
    assert sorted(names) == ["1.jpg", "new.png", "renamed.jpg"]
    assert len(decoded.source.photos) == 10
    assert_right(decoded)


def test_two_files_that_change_places_are_told_apart(root):
    decode_folder(root)
    a, b = root / "Train/rose/0.jpg", root / "Train/lily/0.jpg"
    a.rename(root / "x")
    b.rename(a)
    (root / "x").rename(b)
    assert_right(decode_folder(root))


def test_a_photo_larger_than_the_square_keeps_its_full_size(tmp_path):
    paint(tmp_path / "Train/rose/large.jpg", 1, (3000, 2000))
    paint(tmp_path / "Train/lily/tall.png", 2, (1200, 4001))
    decoded = decode_folder(tmp_path)
    assert [(entry.width, entry.height) for entry in decoded.entries] == [(1200, 4001), (3000, 2000)]
    assert_right(decoded)


@pytest.mark.timeout(30)
def test_what_cannot_be_read_is_listed_and_the_rest_works(root):
    whole = paint(root / "whole.jpg", 5, (99, 99))
    for name, content in {"text.jpg": b"text", "empty.png": b"", "half.jpg": whole.read_bytes()[:700]}.items():
        (root / "Train/rose" / name).write_bytes(content)
    whole.unlink()
    (root / "Train/rose/dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(root / "Train/rose/pipe.jpg")
    (root / "Train/rose/endless.jpg").symlink_to("/dev/zero")
    for _ in range(2):
        decoded = decode_folder(root)
        assert {problem.path: problem.reason for problem in decoded.source.problems} == {
            "Train/rose/text.jpg": "Not a picture in a known format",
            "Train/rose/empty.png": "The file is empty",
            "Train/rose/half.jpg": "The picture is cut off (the file is not complete)",
            "Train/rose/dangling.jpg": "There is no such file",
            "Train/rose/pipe.jpg": "This is not a plain file",
            "Train/rose/endless.jpg": "This is not a plain file",
        }
        assert len(decoded.source.photos) == len(decoded.entries) == 10
        assert_right(decoded)


def test_what_could_not_be_read_is_read_once_it_can(root, monkeypatch):
    bad, missing, closed = (root / "Train/rose" / name for name in ("bad.jpg", "missing.jpg", "closed.jpg"))
    bad.write_bytes(b"text")
    missing.symlink_to(root / "target")
    paint(closed, 9)
    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "access", lambda path, mode: path != closed)
        patch.setattr(Path, "read_bytes", lambda path: refuse(path) if path == closed else path.open("rb").read())
        decoded = decode_folder(root)
    assert {p.reason for p in decoded.source.problems} == {
        "Not a picture in a known format", "There is no such file", "No permission to read the file",
    }  # fmt: skip
    paint(bad, 10)
    paint(root / "x.jpg", 11).rename(root / "target")
    decoded = decode_folder(root)
    assert decoded.source.problems == ()
    assert_right(decoded)


def test_a_photo_that_memory_did_not_suffice_for_is_tried_again(root, monkeypatch):
    def poor(*arguments, **options):
        raise ImageError("Not enough memory to decode the picture") from MemoryError()

    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode_sized", poor)
        paint(root / "Train/rose/large.jpg", 9)
        with pytest.raises(DataError, match="Not enough memory"):
            decode_folder(root)
    assert_right(decode_folder(root))
    assert not decode_folder(root).source.problems


def refuse(path):
    raise PermissionError(13, "Permission denied", str(path))


def test_a_file_deleted_between_listing_and_decoding_is_listed_as_gone(root, monkeypatch):
    source = open_source(root)
    (root / "Train/rose/0.jpg").unlink()
    original = cache._decode_one

    def late(path, known):
        if path.name == "9.jpg":
            path.unlink()
        return original(path, known)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_decode_one", late)
        decoded = decode_source(source)
    gone = ["Train/rose/0.jpg", "Valid/lily/9.jpg", "Valid/rose/9.jpg"]
    assert [problem.path for problem in decoded.source.problems] == gone
    assert_right(decoded)
    shutil.rmtree(root)
    with pytest.raises(DataError, match=r"None of 10 photos could be read \(Train/lily/0.jpg: There is no such file\)"):
        decode_source(source)


def test_a_cache_that_is_mostly_of_deleted_photos_is_made_anew(tmp_path, home, monkeypatch):
    monkeypatch.setattr(cache._Index, "is_mostly_stale", lambda self, stamps: self.rows > 5)
    root = make_set(tmp_path / "set")
    old = decode_folder(root)
    kept = [np.array(old.square(i)) for i in range(10)]
    paint(root / "Train/rose/1.jpg", 777)

    class Killed(Exception):
        pass

    def kill(what, done, total):
        raise Killed

    with pytest.raises(Killed):
        decode_folder(root, kill)
    assert_right(decode_folder(root))
    assert pixel_file(home).stat().st_size == 10 * cache.SQUARE_BYTES
    assert all((old.square(i) == kept[i]).all() for i in range(10)), "an older reader keeps its pixels"


def test_pixels_that_can_not_be_removed_while_somebody_looks_at_them_are_no_obstacle(root, home, monkeypatch):
    """As on Windows, where a mapped file stays until nobody maps it any more."""
    old = decode_folder(root)
    kept = [np.array(old.square(i)) for i in range(10)]
    unlink = Path.unlink

    def in_use(path, missing_ok=False):
        if path.suffix == ".u8":
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(cache._Index, "is_mostly_stale", lambda self, stamps: True)
    paint(root / "Train/rose/1.jpg", 777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", in_use)
        assert_right(decode_folder(root))
    assert all((old.square(i) == kept[i]).all() for i in range(10))
    paint(root / "Train/rose/1.jpg", 778)
    assert_right(decode_folder(root))
    assert pixel_file(home).stat().st_size == 10 * cache.SQUARE_BYTES, "the others are gone now"


# Damage, kills, full disks

DAMAGE = {
    "empty": "",
    "cut off": '{"version": {"decoder"',
    "null": "null",
    "a list": "[]",
    "a number": "7",
    "no fields": "{}",
    "another version": lambda saved: saved["version"].update(decoder=0),
    "no version": lambda saved: saved.pop("version"),
    "no rows": lambda saved: saved.pop("rows"),
    "rows as text": lambda saved: saved.update(rows="10"),
    "rows as a fraction": lambda saved: saved.update(rows=10.0),
    "rows below zero": lambda saved: saved.update(rows=-1),
    "rows without end": lambda saved: saved.update(rows=10**30),
    "rows true": lambda saved: saved.update(rows=True),
    "no rows left": lambda saved: saved.update(rows=0),
    "columns as numbers": lambda saved: saved.update(columns=[1, 2]),
    "no columns": lambda saved: saved.update(columns=None),
    "a column missing": lambda saved: saved["columns"].pop(),
    "a column too many": lambda saved: saved["columns"].append(saved["columns"][0]),
    "a column too short": lambda saved: saved["columns"][4].pop(),
    "a name too few": lambda saved: saved["names"].pop(),
    "a name too many": lambda saved: saved["names"].append("x.jpg"),
    "a name as a list": lambda saved: saved["names"].__setitem__(0, []),
    "another name": lambda saved: saved["names"].__setitem__(0, "Train/rose/other.jpg"),
    "names as a number": lambda saved: saved.update(names=7),
    "a row beyond the end": lambda saved: saved["columns"][1].__setitem__(0, 10),
    "a row below zero": lambda saved: saved["columns"][1].__setitem__(0, -1),
    "a row as text": lambda saved: saved["columns"][1].__setitem__(0, "0"),
    "no width": lambda saved: saved["columns"][2].__setitem__(0, 0),
    "a height as a fraction": lambda saved: saved["columns"][3].__setitem__(0, 1.5),
    "a digest as a number": lambda saved: saved["columns"][4].__setitem__(0, 5),
    "a reason and pixels": lambda saved: saved["columns"][5].__setitem__(0, "broken"),
    "a reason as a number": lambda saved: saved["columns"][5].__setitem__(0, 0),
    "another beginning": lambda saved: saved.update(beginning="7"),
    "a beginning elsewhere": lambda saved: saved.update(beginning="../../x"),
    "no beginning": lambda saved: saved.pop("beginning"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_index_costs_time_never_rightness(name, root, home):
    intact = decode_folder(root)
    path, damage = index_file(home), DAMAGE[name]
    if callable(damage):
        saved = json.loads(path.read_text())
        damage(saved)
        path.write_text(json.dumps(saved))
    else:
        path.write_text(damage)
    decoded = decode_folder(root)
    assert decoded.source == intact.source
    assert decoded.fingerprint == intact.fingerprint
    assert_right(decoded)
    assert_right(intact)


@pytest.mark.parametrize("change", [-1, -(10**6), -(10**9), 1, 10**6])
def test_a_pixel_file_of_another_length_is_made_right(change, root, home):
    decode_folder(root)
    path = pixel_file(home)
    os.truncate(path, max(0, path.stat().st_size + change))
    assert_right(decode_folder(root))
    paint(root / "Train/rose/more.jpg", 55)
    assert_right(decode_folder(root))


def test_a_missing_pixel_file_is_made_again(root, home):
    decode_folder(root)
    pixel_file(home).unlink()
    assert_right(decode_folder(root))


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    root = make_set(tmp_path / "set", each=60)
    (root / "Train/rose/bad.jpg").write_bytes(b"text")
    monkeypatch.setattr(cache, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(cache, "SAVE_SHARE", 0)
    names = count_decodes(monkeypatch)

    class Killed(Exception):
        pass

    def kill(what, done, total):
        if done >= 40:
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            decode_folder(root, kill)
    before = len(names)
    decoded = decode_folder(root)
    assert len(names) - before == 123 - 2 * 40
    assert_right(decoded)
    monkeypatch.setenv("FLOWERS_HOME", str(tmp_path / "another home"))
    at_once = decode_folder(root)
    assert (decoded.source, decoded.fingerprint) == (at_once.source, at_once.fingerprint)
    assert (decoded.pixels == at_once.pixels).all()


def test_a_process_killed_at_any_moment_leaves_a_sound_cache(tmp_path, home):
    root = make_set(tmp_path / "set", each=150)
    program = f"""if True:
        from flowers_core import sources; from flowers_core.photos import cache
        cache.SAVE_EVERY_S, cache.SAVE_SHARE = 0.0, 0
        print("ready", flush=True)
        cache.decode_source(sources.open_source({str(root)!r}))
    """
    for pause in (0.02, 0.1):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(pause)
        process.kill()
        process.wait()
        process.stdout.close()
    decoded = decode_folder(root)
    assert len(decoded.source.photos) == 302
    assert_right(decoded)


def test_processes_at_the_same_time_all_get_the_right_pixels(tmp_path):
    root = make_set(tmp_path / "set", each=40)
    program = f"""if True:
        import hashlib
        from flowers_core.photos.cache import decode_source
        from flowers_core.sources import open_source
        decoded = decode_source(open_source({str(root)!r}))
        squares = b"".join(decoded.square(i).tobytes() for i in range(len(decoded.entries)))
        print(decoded.fingerprint, hashlib.sha256(squares).hexdigest())
    """
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(answers) == 1
    assert_right(decode_folder(root))


def test_threads_at_the_same_time_all_get_the_right_pixels(root):
    results = []
    threads = [threading.Thread(target=lambda: results.append(decode_folder(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for decoded in results:
        assert_right(decoded)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["pixels", "fsync", "index"])
def test_a_full_disk_is_explained_and_a_later_run_works(what, root, monkeypatch):
    def full(*arguments, **options):
        raise FULL

    class FullFile:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return full if name == "write" else getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    decode_folder(root)
    paint(root / "Train/rose/more.jpg", 55)
    with monkeypatch.context() as patch:
        if what == "pixels":
            patch.setattr(cache, "open", lambda *a: FullFile(open(*a)), raising=False)  # noqa: SIM115
        elif what == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(storage, "replacing", full)
        for _ in range(2):
            with pytest.raises(StorageError, match=r"No space left.*Free some space"):
                decode_folder(root)
    decoded = decode_folder(root)
    assert len(decoded.source.photos) == 11
    assert_right(decoded)


def test_a_home_that_cannot_be_written_is_explained(root, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", Path("/proc/nowhere")):
        monkeypatch.setenv("FLOWERS_HOME", str(home))
        with pytest.raises(StorageError, match="Could not write"):
            decode_folder(root)


def test_a_lock_that_cannot_be_made_is_explained(root, home):
    decode_folder(root)
    lock = index_file(home).parent / "lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    with pytest.raises(StorageError, match="Could not write"):
        decode_folder(root)


def test_few_photos_are_in_flight_so_memory_stays_small(tmp_path, monkeypatch):
    root = make_set(tmp_path / "set", each=100)
    names, ahead = count_decodes(monkeypatch), []

    def slow_reader(what, done, total):
        time.sleep(0.02)
        ahead.append(len(names) - done)

    decode_folder(root, slow_reader)
    workers = os.cpu_count() or 1
    assert max(ahead) <= 9 * workers + 1


# The fingerprint


def test_the_order_is_that_of_the_names_too(root):
    before = decode_folder(root)
    assert decode_folder(root).order == before.order
    (root / "Train/rose/0.jpg").rename(root / "Train/rose/9.jpg")
    renamed = decode_folder(root)
    assert (renamed.fingerprint, renamed.order == before.order) == (before.fingerprint, False)
    (root / "Train/rose/9.jpg").rename(root / "x")
    (root / "Train/rose/1.jpg").rename(root / "Train/rose/9.jpg")
    (root / "x").rename(root / "Train/rose/1.jpg")
    assert decode_folder(root).order != renamed.order, "two that have changed places"


def test_the_fingerprint_is_that_of_the_photos_not_of_their_place(root, tmp_path, monkeypatch):
    here = decode_folder(root).fingerprint
    shutil.copytree(root, tmp_path / "elsewhere" / "other name")
    names = sorted((tmp_path / "elsewhere").rglob("*.jpg"))
    for path in names:
        path.rename(path.with_name("renamed " + path.name))
    monkeypatch.setenv("FLOWERS_HOME", str(tmp_path / "another home"))
    assert decode_folder(tmp_path / "elsewhere" / "other name").fingerprint == here
    (root / "Train/rose/bad.jpg").write_bytes(b"text")
    assert decode_folder(root).fingerprint == here, "what is left out does not count"


CHANGES = {
    "a pixel": lambda root: paint(root / "Train/rose/0.jpg", 777),
    "a label": lambda root: (root / "Train/rose/0.jpg").rename(root / "Train/lily/moved.jpg"),
    "a split": lambda root: (root / "Train/rose/0.jpg").rename(root / "Valid/rose/moved.jpg"),
    "a photo more": lambda root: paint(root / "Train/rose/more.jpg", 777),
    "a photo twice": lambda root: shutil.copy(root / "Train/rose/0.jpg", root / "Train/rose/copy.jpg"),
    "a photo fewer": lambda root: (root / "Train/rose/0.jpg").unlink(),
    "a kind more": lambda root: paint(root / "Train/zinnia/0.jpg", 777),
    "a kind's name": lambda root: [(root / s / "rose").rename(root / s / "oak") for s in ("Train", "Valid")],
    "labels swapped": lambda root: [(root / "Train" / a).rename(root / "Train" / b)
                                    for a, b in (("rose", "x"), ("lily", "rose"), ("x", "lily"))],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with(change, root):
    before = decode_folder(root).fingerprint
    CHANGES[change](root)
    assert decode_folder(root).fingerprint != before


def test_random_changes_to_a_set_always_leave_right_pixels(tmp_path):
    """Adds, overwrites, deletes, renames and damages, opening the set after each."""
    root, chance = make_set(tmp_path / "set"), random.Random(4)
    for step in range(40):
        paths = sorted(path for path in root.rglob("*.jpg") if path.parent.parent.name == "Train")
        path, deed = chance.choice(paths), chance.randrange(5)
        if deed == 0 or len(paths) < 5:
            paint(path.with_name(f"new {step}.jpg"), 1000 + step)
        elif deed == 1:
            paint(path, 1000 + step)
        elif deed == 2:
            path.unlink()
        elif deed == 3:
            path.rename(chance.choice(paths).with_name(f"moved {step}.jpg"))
        else:
            path.write_bytes(path.read_bytes()[: chance.randrange(300)])
        assert_right(decode_folder(root))


# Very many photos


def test_copies_are_decoded_once_and_share_their_pixels(tmp_path, home):
    root = make_set(tmp_path / "set")
    for n in range(2000):
        os.link(root / "Train/rose" / f"{n % 4}.jpg", root / "Train/rose" / f"copy-{n}.jpg")
    decoded = decode_folder(root)
    assert len(decoded.entries) == 2010
    assert len(decoded.pixels) == 10
    assert (decoded.counts == [[4, 1, 0], [2004, 1, 0]]).all()
    again = decode_folder(root)
    assert again.fingerprint == decoded.fingerprint
    for index in range(0, 2010, 97):
        assert (again.square(index) == to_square(decode(again.source.photos[index].path, want=SIDE))).all()
    some = [2009, 0, 7, 7, 1200]
    assert (again.squares(np.array(some)) == np.stack([again.square(index) for index in some])).all()


@pytest.mark.parametrize("name", ["pixels-*.u8", "looks-*.bin"])
def test_damaged_pixels_are_noticed_and_made_again(name, root, home):
    decode_folder(root)
    (path,) = index_file(home).parent.glob(name)
    content = bytearray(path.read_bytes())
    content[:200] = bytes(b ^ 0xFF for b in content[:200])
    path.write_bytes(content)
    assert_right(decode_folder(root))


def test_progress_is_told_along_the_way(root):
    steps = []
    decode_folder(root, lambda what, done, total: steps.append((done, total)))
    assert steps[0] == (0, 10)
    assert steps[-1] == (10, 10)
