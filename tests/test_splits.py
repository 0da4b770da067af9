"""Splits that the app makes are stratified, the same everywhere, and stable; damaged records are no reason to fail."""

import json
import re
import shutil
from collections import Counter

import pytest
from conftest import draw_set
from hypothesis import given, settings
from hypothesis import strategies as st
from source_trees import PAIR, splits_of, tree, zipped
from test_cli import told

from flowers_core.__main__ import main
from flowers_core.errors import ConfigError, StorageError
from flowers_core.sources import Photo, SplitPlan, library, open_source, splits


def photos(n: int, label: int = 0) -> list[Photo]:
    return [Photo(f"{label}/{i}.jpg", "x", label, "") for i in range(n)]


@pytest.mark.parametrize(
    ("n", "train", "valid", "test"),
    [(1, 1, 0, 0), (2, 1, 1, 0), (3, 1, 1, 1), (4, 2, 1, 1), (5, 3, 1, 1), (6, 4, 1, 1), (7, 5, 1, 1), (8, 6, 1, 1),
     (9, 7, 1, 1), (10, 6, 2, 2), (100, 70, 15, 15)],
)  # fmt: skip
def test_every_kind_is_divided_alike(n, train, valid, test):
    both = Counter(splits.divide(photos(n) + photos(n, 1), {}, SplitPlan()).values())
    assert both == Counter(train=2 * train, valid=2 * valid, test=2 * test)
    without_test = Counter(splits.divide(photos(n), {}, SplitPlan(make_test=False)).values())
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
        now = splits.divide([Photo(n, "x", k, "") for n, k in present.items()], before, SplitPlan())
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
     '{"photos": {"rose/1.jpg": ["train"], "rose/2.jpg": "nowhere", "lily/1.jpg": null}}', "\x00\xff",
     '{"plan": {"seed": 100000000000000000000}}'],
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


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (SplitPlan(valid=0.5, test=0.5), "Nothing would be left to train on: valid 50%, test 50%"),
        (SplitPlan(valid=-0.1), "less than nothing, or more than all"),
        (SplitPlan(valid=float("nan")), "less than nothing, or more than all"),
        (SplitPlan(valid=1.5, test=1, per_kind=True), "must be whole numbers: valid 1.5, test 1"),
        (SplitPlan(valid=1, make_test=False), "Nothing would be left to train on: valid 100%. "),
        (SplitPlan(seed=-(10**20)), "A seed must lie between"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_nothing_saved(plan, says, tmp_path, home):
    source = open_source(tree(tmp_path / "set", *(f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(5))))
    (path,) = (home / "data/splits").iterdir()
    before = path.read_text()
    for function in (splits.preview, splits.change):
        with pytest.raises(ConfigError, match=says):
            function(source, plan, {})
    assert path.read_text() == before


def test_a_plan_in_another_unit_begins_with_the_usual_amounts():
    mine = SplitPlan(valid=0.3, test=0.0, seed=4)
    assert mine.by(per_kind=False) == mine
    assert mine.by(per_kind=True) == SplitPlan(valid=1, test=1, per_kind=True, seed=4)
    assert SplitPlan(valid=3, test=2, per_kind=True).by(per_kind=False) == SplitPlan()


def test_the_command_line_shows_the_split_and_makes_another(tmp_path, capsys):
    root = draw_set(tmp_path / "meadow", {"": 6}, size=96)
    first = told(capsys, "split", root)
    assert first["images"] == {"train": 12, "valid": 3, "test": 3}
    assert first["plan"] == {"valid": 0.15, "test": 0.15, "per_kind": False, "seed": 0, "make_test": True}
    shares = told(capsys, "split", root, "--valid", 0.33, "--seed", 7)
    assert (shares["images"], shares["split_origin"]) == ({"train": 9, "valid": 6, "test": 3}, "this app (seed 7)")
    counts = told(capsys, "split", root, "--per-kind", "--valid", 1, "--test", 2)
    assert counts["images"] == {"train": 9, "valid": 3, "test": 6}
    assert counts["plan"] == {"valid": 1, "test": 2, "per_kind": True, "seed": 7, "make_test": True}
    assert told(capsys, "split", root, "--seed", 8)["plan"] == counts["plan"] | {"seed": 8}
    again = told(capsys, "split", root, "--valid", 0.15, "--test", 0.15, "--seed", 7)
    assert len({each["fingerprint"] for each in (first, shares, counts, again)}) == 4
    assert again["fingerprint"] == told(capsys, "data", root)["fingerprint"]
    assert main(["split", str(root)]) == 0
    summary = f"meadow: 12 train, 3 valid, 3 test, fingerprint {again['fingerprint']}"
    assert capsys.readouterr().out.splitlines() == ["Split by this app (seed 7).", summary]


def test_a_dry_run_shows_what_the_same_command_then_does_and_changes_nothing(tmp_path, home, capsys):
    root = draw_set(tmp_path / "meadow", {"": 6}, size=96)
    for kind in ("rose", "daffodil"):
        shutil.copy(root / kind / "1.jpg", root / kind / "again.jpg")
    shutil.copy(root / "rose" / "2.jpg", root / "rose" / "more.jpg")
    assert main(["photos", str(root), "move", "test", "sunflower/1.jpg"]) == 0
    capsys.readouterr()
    now = told(capsys, "split", root)
    before = {path: path.read_bytes() for path in (home / "data").rglob("*.json")}
    asked = ["split", root, "--per-kind", "--valid", 2, "--test", 1, "--seed", 3]
    shown = told(capsys, *asked, "--dry-run")
    assert {path: path.read_bytes() for path in (home / "data").rglob("*.json")} == before
    assert told(capsys, "split", root) == now
    assert shown["fingerprint"] != now["fingerprint"]
    assert shown["kept_together"] == 6
    assert shown["per_kind"] == {
        "train": {"least": 2, "most": 5}, "valid": {"least": 2, "most": 2}, "test": {"least": 1, "most": 2},
    }  # fmt: skip
    assert main([*map(str, asked), "--dry-run"]) == 0
    head, names, *rows, copies, summary, last = capsys.readouterr().out.splitlines()
    assert head == "Would be split by this app (seed 3)."
    assert re.split(" {2,}", names) == ["SPLIT", "NOW", "THEN", "PER KIND THEN"]
    for split, row in zip(("train", "valid", "test"), rows, strict=True):
        of_each = "{least} to {most}".format(**shown["per_kind"][split]).replace("2 to 2", "2")
        assert re.split(" {2,}", row) == [split, str(now["images"][split]), str(shown["images"][split]), of_each]
    assert copies == "6 photos have a copy or a near copy; those stay together."
    assert summary.endswith(f"fingerprint {shown['fingerprint']}")
    assert last == "Nothing was changed."
    done = told(capsys, *asked)
    assert done == {key: value for key, value in shown.items() if key != "kept_together"}


def test_a_dry_run_of_what_cannot_be_is_refused_as_the_change_is(three_kinds, tmp_path, capsys):
    root = draw_set(tmp_path / "meadow", {"": 6}, size=96)
    for data, *asked in ((root, "--valid", 2), (root, "--seed", 10**20), (three_kinds, "--seed", 1)):
        said = []
        for more in ([], ["--dry-run"]):
            assert main(["split", *map(str, (data, *asked)), *more]) == 2
            said.append(capsys.readouterr().err)
        assert said[0] == said[1] != ""
    assert main(["split", str(three_kinds), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Split by the folders."


def test_the_command_line_keeps_to_a_split_that_came_with_the_photos(three_kinds, tmp_path, capsys):
    assert told(capsys, "split", three_kinds)["plan"] is None
    assert main(["split", str(three_kinds), "--seed", "1"]) == 2
    assert "The split came with the photos" in capsys.readouterr().err
    with_test = draw_set(tmp_path / "with test", {"Train": 4, "Test": 1}, size=96)
    assert told(capsys, "split", with_test, "--valid", 0.5)["images"] == {"train": 6, "valid": 6, "test": 3}
    assert main(["split", str(with_test), "--test", "0.2"]) == 2
    assert "The folders say which photos are for the test" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        "[1]",
        '{"name": 2, "place": "/x"}',
        '{"name": "x", "added": 1}',
        '{"added": "now"}',
        "\x00\xff",
    ],
)
def test_a_damaged_card_is_no_reason_to_fail(content, home, tmp_path):
    (home / "data/sets/damaged").mkdir(parents=True)
    (home / "data/sets/damaged/card.json").write_text(content, encoding="latin-1")
    assert library.known_sets() == list(library.BUILT_IN)
    added = library.remember(tmp_path, "mine")
    assert library.known_sets() == [added, *library.BUILT_IN]
    library.delete(added.id)
    assert library.known_sets() == list(library.BUILT_IN)
