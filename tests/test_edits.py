"""Changes to photos: an overlay that follows a photo's content, counts everywhere, and leaves no file touched."""

import hashlib
import shutil
from pathlib import Path

import pytest
from source_trees import kinds_of, splits_of
from test_cache import decode_folder, make_set, paint
from test_cli import answer, told

from flowers_core.__main__ import main
from flowers_core.errors import DataError
from flowers_core.photos import problems
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import edits, open_source
from flowers_core.sources.edits import ACCEPT, EXCLUDE, MOVE, RELABEL


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set")


def change(decoded: DecodedSource, name: str, action: str, value: str = "") -> tuple[str, ...]:
    index = [photo.name for photo in decoded.source.photos].index(name)
    return edits.add(decoded.source.key, problems.edits_for(decoded, [index], action, value))


def content(root: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_each_change_counts_wherever_a_source_is_opened_and_no_file_is_touched(root):
    before, first = content(root), decode_folder(root)
    change(first, "Train/rose/0.jpg", EXCLUDE)
    change(first, "Train/rose/1.jpg", MOVE, "test")
    change(first, "Train/rose/2.jpg", RELABEL, "lily")
    change(first, "Train/rose/3.jpg", ACCEPT, "dark")
    second = decode_folder(root)
    assert "Train/rose/0.jpg" not in splits_of(second.source)
    assert splits_of(second.source)["Train/rose/1.jpg"] == "test"
    assert kinds_of(second.source)["Train/rose/2.jpg"] == "lily"
    assert len(second.source.photos) == 9
    assert (second.square(0) == first.square(0)).all()
    told = answer("data", root)
    assert told["images"] == {"train": 6, "valid": 2, "test": 1}
    assert told["changes"] == 4
    assert told["fingerprint"] == second.fingerprint
    assert content(root) == before


@pytest.mark.parametrize("action", [(EXCLUDE, ""), (MOVE, "valid"), (RELABEL, "lily"), (ACCEPT, "dark")])
def test_the_same_change_from_two_places_is_one_that_either_can_undo(action, root):
    seen_twice = decode_folder(root)
    ids = change(seen_twice, "Train/rose/0.jpg", *action)
    assert change(seen_twice, "Train/rose/0.jpg", *action) == ids
    assert len(decode_folder(root).edits) == 1
    edits.undo(seen_twice.source.key, ids)
    assert not decode_folder(root).edits


def test_a_change_that_another_one_replaced_can_be_made_again(root):
    first = decode_folder(root)
    ids = {change(first, "Train/rose/0.jpg", MOVE, split) for split in ("valid", "test")}
    ids.add(change(first, "Train/rose/0.jpg", MOVE, "valid"))
    ids.add(change(first, "Train/rose/0.jpg", ACCEPT, "dark"))
    ids.add(change(first, "Train/rose/0.jpg", ACCEPT, "blurred"))
    assert len(ids) == 5
    assert splits_of(decode_folder(root).source)["Train/rose/0.jpg"] == "valid"


@pytest.mark.parametrize("action", [(EXCLUDE, ""), (MOVE, "valid"), (RELABEL, "lily")])
def test_a_change_changes_the_fingerprint_and_undo_brings_it_back(action, root):
    first = decode_folder(root)
    ids = change(first, "Train/rose/0.jpg", *action)
    assert decode_folder(root).fingerprint != first.fingerprint
    edits.undo(first.source.key, ids)
    assert decode_folder(root).fingerprint == first.fingerprint


def test_to_say_that_a_photo_is_fine_keeps_the_fingerprint(root):
    first = decode_folder(root)
    change(first, "Train/rose/0.jpg", ACCEPT, "dark")
    assert decode_folder(root).fingerprint == first.fingerprint


def test_changes_are_undone_one_by_one_in_any_order_or_all_at_once(root):
    first = decode_folder(root)
    to_test = change(first, "Train/rose/0.jpg", MOVE, "test")
    to_valid = change(first, "Train/rose/0.jpg", MOVE, "valid")
    away = change(first, "Train/lily/0.jpg", EXCLUDE)

    def split() -> str:
        return splits_of(decode_folder(root).source)["Train/rose/0.jpg"]

    assert split() == "valid", "the later change counts"
    edits.undo(first.source.key, to_test)
    assert split() == "valid"
    edits.undo(first.source.key, to_valid)
    assert split() == "train"
    assert len(decode_folder(root).source.photos) == 9
    edits.undo(first.source.key, away)
    assert decode_folder(root).unedited is None
    change(first, "Train/rose/0.jpg", EXCLUDE)
    change(first, "Train/lily/0.jpg", EXCLUDE)
    edits.undo(first.source.key, [edit.id for edit in edits.load(first.source.key)])
    assert len(decode_folder(root).source.photos) == 10


def test_a_change_follows_its_photo_through_renaming_and_a_new_cache(root, home):
    first = decode_folder(root)
    change(first, "Train/rose/0.jpg", RELABEL, "lily")
    (root / "Train/rose/0.jpg").rename(root / "Train/rose/renamed.jpg")
    shutil.rmtree(home / "data" / "cache")
    assert kinds_of(decode_folder(root).source)["Train/rose/renamed.jpg"] == "lily"


def test_a_change_ends_with_its_photos_content(root):
    change(decode_folder(root), "Train/rose/0.jpg", EXCLUDE)
    paint(root / "Train/rose/0.jpg", 4321)
    assert "Train/rose/0.jpg" in splits_of(decode_folder(root).source)


def test_of_copies_only_the_one_that_was_meant_is_changed(root):
    copies = [root / "Train/rose" / name for name in ("a.jpg", "b.jpg")]
    for copy in copies:
        shutil.copy(root / "Valid/rose/9.jpg", copy)
    first = decode_folder(root)
    assert len(first.pixels) == 10, "copies share a row"
    change(first, "Train/rose/b.jpg", EXCLUDE)
    assert {"Train/rose/a.jpg", "Valid/rose/9.jpg"} <= splits_of(decode_folder(root).source).keys()
    assert "Train/rose/b.jpg" not in splits_of(decode_folder(root).source)
    copies[1].unlink()
    assert {"Train/rose/a.jpg", "Valid/rose/9.jpg"} <= splits_of(decode_folder(root).source).keys()


def test_excluding_every_photo_is_an_error_that_says_what_to_do(root):
    first = decode_folder(root)
    edits.add(first.source.key, problems.edits_for(first, range(10), EXCLUDE))
    with pytest.raises(DataError, match="Undo some"):
        decode_folder(root)


def test_an_edit_that_does_not_exist_is_refused(root):
    first = decode_folder(root)
    for action, value, says in (("paint", "", "no such edit"), (MOVE, "holiday", "no such split")):
        with pytest.raises(DataError, match=says):
            change(first, "Train/rose/0.jpg", action, value)
    assert edits.load(first.source.key) == ()


@pytest.mark.parametrize(
    "damage", ["", "null", "[]", '{"edits": 5, "copies": {}}', '{"edits": [{"digest": 5}], "copies": {}}', "{}",
               '{"edits": [{"digest": "a", "name": "b", "action": "no", "value": "", "id": "c"}], "copies": {}}'],
)  # fmt: skip
def test_a_damaged_list_of_changes_is_none(damage, root, home):
    source = open_source(root)
    path = home / "data" / "edits" / f"{source.key}.json"
    path.parent.mkdir(parents=True)
    path.write_text(damage)
    assert len(decode_folder(root).source.photos) == 10
    change(decode_folder(root), "Train/rose/0.jpg", EXCLUDE)
    assert len(decode_folder(root).source.photos) == 9


def test_the_command_line_makes_the_same_changes_and_takes_them_back(root, capsys):
    before, first = content(root), decode_folder(root)
    assert told(capsys, "photos", root)["changes"] == []
    told(capsys, "photos", root, "exclude", "Train/rose/0.jpg", root / "Train/rose/1.jpg", "Train/rose/0.jpg")
    told(capsys, "photos", root, "move", "test", "Train/rose/2.jpg")
    told(capsys, "photos", root, "relabel", "LILY", "Train/rose/3.jpg")
    found = told(capsys, "photos", root, "accept", "dark", "Train/lily/0.jpg")
    changes = [(row["action"], row["photo"], row["value"]) for row in found["changes"]]
    assert changes == [
        (ACCEPT, "Train/lily/0.jpg", "dark"),
        (RELABEL, "Train/rose/3.jpg", "lily"),
        (MOVE, "Train/rose/2.jpg", "test"),
        (EXCLUDE, "Train/rose/1.jpg", ""),
        (EXCLUDE, "Train/rose/0.jpg", ""),
    ], "newest first, each photo once"
    now = decode_folder(root)
    assert found["fingerprint"] == now.fingerprint != first.fingerprint
    assert splits_of(now.source)["Train/rose/2.jpg"] == "test"
    assert kinds_of(now.source)["Train/rose/3.jpg"] == "lily"
    assert len(now.source.photos) == 8
    undone = told(capsys, "photos", root, "undo")
    assert [row["action"] for row in undone["done"]] == [ACCEPT]
    told(capsys, "photos", root, "undo", found["changes"][3]["id"])
    assert {row["photo"] for row in told(capsys, "photos", root)["changes"]} == {
        "Train/rose/0.jpg", "Train/rose/2.jpg", "Train/rose/3.jpg",
    }  # fmt: skip
    assert told(capsys, "photos", root, "undo", "--all")["fingerprint"] == first.fingerprint
    assert edits.load(first.source.key) == ()
    assert content(root) == before


def test_the_command_line_lists_changes_in_words_and_says_when_a_photo_is_gone(root, capsys):
    assert main(["photos", str(root), "move", "valid", "Train/rose/0.jpg"]) == 0
    (root / "Train/rose/0.jpg").unlink()
    capsys.readouterr()
    assert main(["photos", str(root)]) == 0
    change, summary = capsys.readouterr().out.splitlines()
    assert change.endswith("Train/rose/0.jpg: moved to valid (the file is gone or has changed)")
    assert summary == f"set: 7 train, 2 valid, 0 test, fingerprint {decode_folder(root).fingerprint}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["exclude", "Train/rose/no.jpg"], "The set has no such photo: Train/rose/no.jpg. Give its path below"),
        (["exclude", "Train/rose/0.jpg"], "photos DATA lists what is excluded"),
        (["move", "holiday", "Train/rose/1.jpg"], "There is no such split: holiday. Choose one of train, valid, test."),
        (["relabel", "triffid", "Train/rose/1.jpg"], "The set has no such kind: triffid. Choose one of lily, rose."),
        (["accept", "ugly", "Train/rose/1.jpg"], "There is no such problem: ugly. Choose one of copies,"),
        (["undo", "0123"], "There is no such change: 0123. List them"),
    ],
)
def test_what_the_command_line_cannot_change_is_one_line_and_changes_nothing(arguments, says, root, capsys):
    assert main(["photos", str(root), "exclude", "Train/rose/0.jpg"]) == 0
    before = edits.load(open_source(root).key)
    capsys.readouterr()
    assert main(["photos", str(root), *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert edits.load(open_source(root).key) == before


def test_the_command_line_undoes_what_excluded_every_photo(root, capsys):
    assert main(["photos", str(root), "undo"]) == 2
    assert "There is nothing to undo" in capsys.readouterr().err
    paths = [str(path) for path in root.rglob("*.jpg")]
    assert main(["photos", str(root), "exclude", *paths]) == 2
    assert "Every photo of this set has been excluded" in capsys.readouterr().err
    assert main(["photos", str(root), "undo", "--all"]) == 0
    assert len(decode_folder(root).source.photos) == 10
