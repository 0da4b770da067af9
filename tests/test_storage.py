"""Files appear whole or not at all, and logs forgive a torn last line."""

import errno
import json
import os
from pathlib import Path

import pytest

from flowers_core import runs, storage
from flowers_core.errors import StorageError
from flowers_core.machine import processes
from flowers_core.settings.config import TrainConfig


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    storage.write_json(path, {"kept": 1})
    with pytest.raises(RuntimeError), storage.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert storage.read_json(path) == {"kept": 1}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("folder", [False, True])
def test_on_windows_a_file_waits_for_whoever_reads_what_it_replaces(
    folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, tries = Path.replace, []

    def in_use(path: Path, target: Path) -> Path:
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied")
        return rename(path, target)

    def write() -> None:
        tries.clear()
        if folder:
            with storage.replacing_folder(tmp_path / "value"):
                pass
        else:
            storage.write_json(tmp_path / "value", 1)

    monkeypatch.setattr(Path, "replace", in_use)
    with pytest.raises((PermissionError, StorageError)):
        write()
    monkeypatch.setattr(storage, "IS_WINDOWS", True)
    monkeypatch.setattr(storage, "_fsync", lambda path: None)
    write()
    assert (tmp_path / "value").exists()
    assert len(tries) == 3
    monkeypatch.setattr(storage, "PATIENCE_S", 0.0)
    (tmp_path / "value").rmdir() if folder else None
    with pytest.raises((PermissionError, StorageError)):
        write()
    assert leftovers(tmp_path) == []


def test_a_failed_folder_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), storage.replacing_folder(tmp_path / "set") as temporary:
        (temporary / "photo.jpg").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_made_first_is_kept(tmp_path: Path) -> None:
    with storage.replacing_folder(tmp_path / "set") as temporary:
        (temporary / "mine").touch()
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "theirs").touch()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["theirs"]


def test_nan_is_refused_because_it_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(tmp_path / "value.json", float("nan"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2"])
def test_damaged_json_gives_the_default(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    assert storage.read_json(path, "default") == "default"
    assert storage.read_json(tmp_path / "missing.json", "default") == "default"


def test_a_log_is_read_on_from_where_one_was(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    storage.append_jsonl(path, {"n": 1})
    first, place = storage.read_jsonl(path)
    storage.append_jsonl(path, {"n": 2})
    second, end = storage.read_jsonl(path, place)
    assert (first, second) == ([{"n": 1}], [{"n": 2}])
    assert end == path.stat().st_size


def test_a_torn_last_line_waits_for_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    line = json.dumps({"name": "süß"}) + "\n"
    whole = (json.dumps({"n": 1}) + "\n").encode()
    for cut in range(len(line.encode())):
        path.write_bytes(whole + line.encode()[:cut])
        assert storage.read_jsonl(path) == ([{"n": 1}], len(whole))


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 1}\n' + bytes(16) + b'\n[2]\n{"n": 3}\n')
    assert storage.read_jsonl(path)[0] == [{"n": 1}, {"n": 3}]


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert storage.read_jsonl(tmp_path / "none.jsonl") == ([], 0)


def test_truncate_cuts_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    storage.append_jsonl(path, {"n": 1})
    size = path.stat().st_size
    storage.append_jsonl(path, {"n": 2})
    storage.truncate(path, size)
    assert storage.read_jsonl(path)[0] == [{"n": 1}]


def test_a_relative_home_is_one_place_for_all_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWERS_HOME", "state")
    assert storage.home() == tmp_path / "state"
    processes.launch(["runs", "--json"], tmp_path / "log.txt")  # starts in another folder
    processes._children.pop().wait(60)
    assert (tmp_path / "log.txt").read_text().strip() in ("[]", '{"runs": []}')
    run = runs.create(TrainConfig(), storage.runs_dir() / "mine")
    processes.launch(["runs", "--json"], tmp_path / "log.txt")
    processes._children.pop().wait(60)
    assert run.id in (tmp_path / "log.txt").read_text()


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(["newest", ".in the making", "newer", "old", "oldest"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    storage.keep_newest(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "newer", ".in the making"}
    storage.keep_newest(tmp_path, 5)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        storage.write_json(tmp_path / "value.json", 1)
    assert "Free some space" in caught.value.hint
    assert leftovers(tmp_path) == []
