"""The command line as scripts use it: fields, exit codes, one line per error."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from conftest import draw_set
from test_flowers102 import flowers102 as flowers102_folder

from flowers_core import runs
from flowers_core.__main__ import build_parser, main
from flowers_core.errors import DataError
from flowers_core.network import alexnet, checkpoint
from flowers_core.settings import config
from flowers_core.sources import flowers102, imports
from flowers_core.storage import REPOSITORY
from flowers_core.training import lr_finder, worker
from flowers_core.tuning import studies

README = (REPOSITORY / "README.md").read_text()


def flowers(*arguments: object, timeout: float = 240) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "flowers_core", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=timeout)


def answer(*arguments: object, timeout: float = 240) -> dict | list:
    result = flowers(*arguments, "--json", timeout=timeout)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def told(capsys: pytest.CaptureFixture, *arguments: object) -> dict | list:
    """Like `answer`, in this process."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def commands() -> list[str]:
    (subparsers,) = [action for action in build_parser()._actions if action.dest == "command"]
    return list(subparsers.choices)


@pytest.fixture(scope="module")
def trained(three_kinds: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What `train --json` says of a small run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return answer("train", three_kinds, "--preset", "quick", "--epochs", 2, "--seed", 1, "--run-dir", folder)


def test_data_lists_classes_counts_and_problems(three_kinds: Path, tmp_path: Path) -> None:
    found = answer("data", three_kinds)
    assert found["classes"] == ["daffodil", "rose", "sunflower"]
    assert found["images"] == {"train": 12, "valid": 6, "test": 6}
    assert found["problems"] == []


def test_train_reports_what_scripts_rely_on(trained: dict) -> None:
    assert Path(trained["checkpoint"]).exists()
    assert Path(trained["run_dir"], "config.json").exists()
    assert (trained["epochs"], trained["phase"]) == (2, "finished")
    assert 0 <= trained["best_valid_accuracy"] <= 1
    assert trained["seconds"] > 0
    assert trained["images_per_second"] > 0


def test_evaluate_reports_what_scripts_rely_on(trained: dict, three_kinds: Path, tmp_path: Path) -> None:
    found = answer("evaluate", trained["checkpoint"], three_kinds, "--split", "test", "--out", tmp_path)
    assert found["n"] == 6 == sum(map(sum, found["confusion"]))
    assert found["classes"] == ["daffodil", "rose", "sunflower"]
    low, high = found["top1_interval"]
    assert 0 <= low <= found["top1"] <= high <= 1
    assert found["top5"] == 1.0
    assert {"macro_f1", "ece"} <= set(found)
    saved = json.loads((tmp_path / "report-test.json").read_text())
    assert len(saved["answers"]) == 6


def test_evaluate_all_takes_class_folders_of_some_kinds_and_names_unknown_ones(
    trained: dict, three_kinds: Path, tmp_path: Path
) -> None:
    (tmp_path / "Roses" / "Rose").mkdir(parents=True)
    for photo in (three_kinds / "Test" / "rose").iterdir():
        (tmp_path / "Roses" / "Rose" / photo.name).write_bytes(photo.read_bytes())
    found = answer("evaluate", trained["checkpoint"], tmp_path / "Roses", "--split", "all", "--disturb")
    assert found["disturbed"][0] | {"mean_probability": 0} == {
        "name": "As it is", "amount": "", "n": found["n"], "top1": found["top1"],
        "top1_interval": found["top1_interval"], "mean_probability": 0,
    }  # fmt: skip
    assert (found["n"], sum(found["confusion"][1])) == (2, 2)
    (tmp_path / "Roses" / "Rose").rename(tmp_path / "Roses" / "triffid")
    result = flowers("evaluate", trained["checkpoint"], tmp_path / "Roses", "--split", "all")
    assert result.returncode == 2
    assert "triffid" in result.stderr
    for n in range(1000):
        (tmp_path / "Roses" / f"weed {n}").mkdir()
    result = flowers("evaluate", trained["checkpoint"], tmp_path / "Roses", "--split", "all")
    assert "of Roses: triffid, weed 0, weed 1, weed 2, weed 3, weed 4, weed 5, weed 6 and 993 more." in result.stderr
    assert len(result.stderr) < 600


def test_predict_answers_every_photo_and_says_which_it_cannot_read(trained: dict, three_kinds: Path, tmp_path) -> None:
    photo = three_kinds / "Test" / "rose" / "1.jpg"
    (tmp_path / "note.jpg").write_text("not a photo")
    good, bad = answer("predict", trained["checkpoint"], photo, tmp_path / "note.jpg", "--top", 2)
    assert good["known"] is True
    assert good["error"] is None
    assert [set(row) for row in good["top"]] == [{"name", "probability"}] * 2
    assert good["top"][0]["probability"] >= good["top"][1]["probability"]
    assert (bad["known"], bad["top"]) == (False, [])
    assert "Not a picture" in bad["error"]


def test_a_folder_stands_for_all_photos_below_it(trained: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    album = draw_set(tmp_path / "album", {"": 11}, ("rose",), 24)
    (album / "rose" / ".DS_Store").write_bytes(b"litter")
    (album / "rose" / "notes.txt").write_text("none of the photos")
    found = told(capsys, "predict", trained["checkpoint"], album, album / "rose" / "1.jpg")
    names = [Path(row["file"]).name for row in found]
    assert names == [*(f"{n}.jpg" for n in range(1, 12)), "1.jpg"], "2 before 10, and each as often as it was named"
    assert len(told(capsys, "add", "rose", album)) == 11
    (tmp_path / "empty").mkdir()
    assert main(["predict", trained["checkpoint"], str(tmp_path / "empty")]) == 2
    assert "no photo in this folder" in capsys.readouterr().err


def test_one_path_from_photo_to_probabilities(trained: dict, three_kinds: Path, tmp_path: Path) -> None:
    photo = three_kinds / "Test" / "rose" / "1.jpg"
    (alone,) = answer("predict", trained["checkpoint"], photo)
    answer("evaluate", trained["checkpoint"], three_kinds, "--split", "test", "--out", tmp_path)
    report = json.loads((tmp_path / "report-test.json").read_text())
    (row,) = [row for row in report["answers"] if row["path"] == str(photo)]
    assert report["classes"][row["top"][0]] == alone["top"][0]["name"]
    assert row["probabilities"][0] == pytest.approx(alone["top"][0]["probability"], abs=0.02)


def test_a_finished_run_cannot_be_resumed_nor_overwritten(trained: dict, three_kinds: Path) -> None:
    again = flowers("train", "--run-dir", trained["run_dir"], "--resume")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    over = flowers("train", three_kinds, "--run-dir", trained["run_dir"])
    assert over.returncode == 2
    assert "already holds a run" in over.stderr


def test_runs_lists_what_was_trained_and_names_deletes_and_restores_it(three_kinds: Path) -> None:
    assert answer("runs") == []
    flowers("train", three_kinds, "--preset", "quick", "--epochs", 1)
    (row,) = answer("runs")
    assert (row["state"], row["variant"], row["epoch"]) == ("finished", "2014", 1)
    assert runs.list_runs()[0].name.endswith(f": {three_kinds.name}, A quick look, changed")
    assert answer("runs", "rename", row["run"], "First try")["done"] == f"{row['run']} is called 'First try'."
    assert answer("runs", "note", row["run"], "Too short.")["done"] == f"The note is on {row['run']}."
    (named,) = [runs.summary(run) for run in runs.list_runs()]
    assert (named["name"], named["note"]) == ("First try", "Too short.")
    assert main(["runs", "--json", "delete", row["run"]]) == 0
    assert runs.list_runs() == []
    assert main(["runs", "restore", row["run"]]) == 0
    assert [run.id for run in runs.list_runs()] == [row["run"]]
    assert main(["runs", "delete", "no-such-run"]) == 2
    assert main(["runs", "empty-trash"]) == 0


def test_sets_shows_each_card_and_neither_draws_nor_downloads_for_it(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture
) -> None:
    meadow, gone = (draw_set(tmp_path / name, {"": 6}, size=96) for name in ("meadow", "gone"))
    (meadow / "LICENSE").write_text("CC BY 4.0\n")
    for folder in (meadow, gone):
        assert main(["import", str(folder)]) == 0
    shutil.rmtree(gone)
    capsys.readouterr()
    rows = {row["name"]: row for row in told(capsys, "sets")}
    card = rows["meadow"]
    assert (card["licence"], card["origin"], card["problem"]) == ("CC BY 4.0", str(meadow), None)
    assert (card["kinds"], card["images"]) == (3, {"train": 12, "valid": 3, "test": 3})
    assert card["fingerprint"] == told(capsys, "data", meadow)["fingerprint"]
    assert time.time() - 60 < card["added"] <= time.time()
    problems = {row["id"]: row["problem"] for row in rows.values() if row["fingerprint"] is None}
    assert problems == {
        rows["gone"]["id"]: "There is no such folder or file",
        "garden": "drawn at first use",
        "flowers102": "not downloaded yet",
    }
    assert not (home / "data" / "garden").exists()
    assert main(["sets"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "NAME", "TRAIN", "VALID", "TEST", "ADDED", "FINGERPRINT", "LICENCE", "FROM"]
    (line,) = [line for line in lines if "meadow" in line]
    date = f"{datetime.fromtimestamp(card['added']):%Y-%m-%d %H:%M}"
    assert re.split(" {2,}", line) == [
        card["id"], "meadow", "12", "3", "3", date, card["fingerprint"], "CC BY 4.0", str(meadow),
    ]  # fmt: skip


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> list:
    """Nothing is downloaded: a list of what would have been, and of which kinds."""
    wishes = []

    def bring(request, progress=None):
        wishes.append((request.way, request.kinds))
        raise DataError("The site can't be reached")

    monkeypatch.setattr(imports, "bring", bring)
    return wishes


@pytest.mark.parametrize(
    "command",
    [["data"], ["import"], ["photos"], ["split"], ["train"], ["find-lr"], ["tune"], ["evaluate", "no.safetensors"]],
    ids=lambda command: command[0],
)
def test_flowers_102_is_downloaded_only_after_somebody_agreed_to_its_terms(command, no_download, monkeypatch, capsys):
    def asked(typed: str | None, *flags: str) -> str:
        terminal = io.StringIO(typed or "")
        terminal.isatty = lambda: typed is not None
        monkeypatch.setattr(sys, "stdin", terminal)
        assert main([*command, "flowers102", *flags]) == 2
        printed = capsys.readouterr()
        assert flowers102.TERMS in printed.err
        assert printed.out == "", "there is only what scripts read"
        return printed.err

    for typed in (None, "\n", "n\n", ""):
        assert "Nobody agreed to these terms: flowers102. Add --accept-terms if you do." in asked(typed)
    assert no_download == []
    assert "The site can't be reached" in asked(None, "--accept-terms")
    assert "Download it? [y/N]" in asked("y\n")
    assert no_download == [("flowers102", "")] * 2


@pytest.mark.parametrize("command", ["train", "find-lr", "tune"])
def test_what_goes_on_asks_again_before_it_downloads_flowers_102_again(command, no_download, monkeypatch, capsys):
    settings = config.TrainConfig(data="flowers102")
    if command == "tune":
        study = studies.create(studies.Plan(settings, config.search_space(settings)))
        arguments = [command, "--study-dir", str(study.folder)]
    else:
        run = runs.create(settings)
        run.record_facts({"classes": [*map(str, range(102))]})
        arguments = [command, "--run-dir", str(run.folder), "--resume"]
    monkeypatch.setattr(sys, "stdin", None)
    for flags in ([], ["--accept-terms"]):
        assert main([*arguments, *flags]) == 2
        *terms, error = capsys.readouterr().err.splitlines()
        assert terms == [flowers102.TERMS]
        if not flags:
            assert no_download == []
            assert re.match(
                r"Error: The photos of this (run|study) are not here any more, and nobody agreed to these terms: "
                r"flowers102\. Add --accept-terms if you do\. Or import it again on the page Photos\.",
                error,
            )
    assert error == "Error: The site can't be reached."
    assert no_download == [("flowers102", "" if command == "tune" else "all")]


def test_terms_are_not_shown_again_when_flowers_102_is_there(home: Path, capsys: pytest.CaptureFixture) -> None:
    place = home / "data" / "sets" / "flowers102"
    flowers102_folder(place / "photos")
    card = {"name": "Oxford", "origin": flowers102.URL, "licence": "", "kinds": "", "added": 1.0, "folder": "photos"}
    (place / "card.json").write_text(json.dumps(card))
    main(["data", "flowers102"])
    assert flowers102.TERMS not in capsys.readouterr().err


def test_few_photos_per_kind_are_a_reason_to_cross_validate(
    three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    hint = (
        "With 8 photos per kind, a validation photo or two says little. Add --folds 5 to train for a cross-validation."
    )
    assert main(["data", str(three_kinds)]) == 0
    assert hint in capsys.readouterr().out.splitlines()
    monkeypatch.setattr(worker, "train_here", lambda run, say: None)
    train = ["train", str(three_kinds), "--preset", "quick"]
    assert main(train) == 0
    assert hint in capsys.readouterr().err.splitlines()
    assert main([*train, "--folds", "4"]) == 0
    assert "--folds" not in capsys.readouterr().err
    plenty = draw_set(tmp_path / "plenty", {"Train": 7, "Valid": 2}, size=24)
    assert main(["data", str(plenty)]) == main(["train", str(plenty), "--preset", "quick"]) == 0
    assert "--folds" not in "".join(capsys.readouterr())


def test_a_models_fingerprint_is_that_of_the_photos_it_learned_from(
    trained: dict, three_kinds: Path, capsys: pytest.CaptureFixture
) -> None:
    card = checkpoint.read_card(Path(trained["checkpoint"]))
    assert card.data["fingerprint"] == told(capsys, "data", three_kinds)["fingerprint"]


def test_find_lr_prints_what_it_found_and_leaves_no_run(three_kinds: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # a training process's handlers are not for this one
    short = [1e-5, 1e-4, 1e-3]
    monkeypatch.setattr(lr_finder, "rates", lambda settings, photos: short)
    assert main(["find-lr", str(three_kinds), "--preset", "quick", "--batch-size", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rates"] == short[: len(found["losses"])]
    assert {"suggestion", "diverged", "reason"} <= set(found)
    assert runs.list_runs() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "/no/such/folder"], "There is no such folder or file"),
        (["data", ""], "There is no such folder or file"),
        (["train"], "train needs DATA"),
        (["train", "/no/such/folder"], "There is no such folder or file"),
        (["train", "garden", "--lr", "nan"], "lr must be a finite number"),
        (["train", "garden", "--epochs", "0"], "epochs must lie between"),
        (["train", "garden", "--epochs", "many"], "invalid int value"),
        (["train", "garden", "--variant", "2012", "--init", "imagenet"], "fits variant 2014 only"),
        (["train", "--resume"], "--resume needs --run-dir"),
        (["train", "--resume", "--run-dir", "/no/such/run"], "holds no training run"),
        (["evaluate", "/no/such.safetensors", "garden"], "There is no such checkpoint"),
        (["predict", "model.pth", "photo.jpg"], "Pickled files can run code"),
        (["sing"], "invalid choice"),
        ([], "required"),
    ],
)
def test_errors_are_one_clear_line_and_exit_code_2(arguments: list[str], says: str, home: Path) -> None:
    (home / "data").mkdir(parents=True)
    from flowers_core import garden

    garden.grow(home / "data" / "garden", train=1, valid=1, test=0, size=64)
    (home / "data" / "garden" / "complete").touch()
    result = flowers(*arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_and_stands_in_the_readme(command: str) -> None:
    result = flowers(command, "--help")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()[2:]) > 3
    assert f"python -m flowers_core {command}" in README


def test_names_that_are_no_text_are_shown_and_stored(tmp_path: Path, three_kinds: Path) -> None:
    folder = tmp_path / os.fsdecode(b"flo\xffwers\n")
    try:
        folder.symlink_to(three_kinds)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    name = str(folder)
    assert answer("data", name)["images"]["train"] == 12
    missing = flowers("data", name + "!")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_a_start_that_is_no_checkpoint_leaves_no_run_behind(three_kinds: Path, home: Path) -> None:
    result = flowers("train", three_kinds, "--init", "nothing.safetensors")
    assert result.returncode == 2
    assert "no such checkpoint" in result.stderr
    assert answer("runs") == []
