"""My own set: photos by id, never by a given name; one photo has one kind; everything can be taken back."""

import io
import json
import threading

import pytest
from PIL import Image
from source_trees import kinds_of

from flowers_core import garden
from flowers_core.__main__ import main
from flowers_core.errors import DataError, ImageError
from flowers_core.sources import library, open_source, own


def photo(kind: str = "rose", seed: int = 1, **options: object) -> bytes:
    buffer = io.BytesIO()
    garden.draw(kind, seed, 48).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def kinds() -> list[str]:
    return sorted(kinds_of(open_source("own", least_classes=1)).values())


def test_a_photo_is_added_under_an_id_of_ours_and_taken_back(home):
    first = own.add(photo(), "rose")
    second = own.add(photo(seed=2), "Zinnia Élégante 🌹")
    assert kinds() == ["Zinnia Élégante 🌹", "rose"]
    assert own.known().name == "My own set" == library.known_sets()[0].name
    assert own.additions() == [second, first]
    assert own.photo_path(first).name == f"{first.photo}.jpg"
    own.undo(second)
    assert kinds() == ["rose"] == own.kinds()
    assert own.additions() == [first]
    with pytest.raises(DataError, match="not in the set any more"):
        own.undo(second)


def test_the_stored_photo_says_nothing_of_where_it_was_taken_and_is_not_huge(home):
    exif = Image.Exif()
    exif[0x010F], exif[0x8825] = "A Phone", {1: "N", 2: (52.0, 0.0, 0.0)}
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 1000), "red").save(buffer, "JPEG", exif=exif)
    with Image.open(own.photo_path(own.add(buffer.getvalue(), "rose"))) as stored:
        assert stored.size == (1600, 400)
        assert not stored.getexif()


def test_the_same_photo_again_moves_to_the_kind_that_was_named_last_and_back():
    own.add(photo(seed=3), "tulip")
    own.add(photo(), "rose")
    own.add(photo(), "Rosa")  # the same kind by another name
    moved = own.add(photo(), "tulip")
    assert kinds() == ["tulip", "tulip"]
    own.undo(moved)
    assert kinds() == ["rose", "tulip"]


def test_a_photo_that_went_there_and_back_is_listed_once():
    own.add(photo(seed=3), "tulip")
    first, there, back = (own.add(photo(), kind) for kind in ("rose", "tulip", "rose"))
    assert [each for each in own.additions() if each.photo == first.photo] == [back]
    with pytest.raises(DataError, match="added again to another kind"):
        own.undo(first)
    own.undo(back)
    assert [each for each in own.additions() if each.photo == first.photo] == [there]
    assert kinds() == ["tulip", "tulip"]


def test_two_who_add_one_photo_at_once_leave_it_in_one_kind():
    content = photo()
    for _ in range(10):
        threads = [threading.Thread(target=own.add, args=(content, kind)) for kind in ("rose", "tulip")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(own.kinds()) == len(own.additions()) == 1


def test_what_systems_leave_in_a_folder_keeps_no_kind():
    own.add(photo(seed=3), "tulip")
    rose = own.add(photo(), "rose")
    for name in (".DS_Store", "Thumbs.db"):
        own.photo_path(rose).with_name(name).write_bytes(b"litter")
    own.undo(rose)
    assert open_source("own", least_classes=1).classes == ("tulip",)


@pytest.mark.parametrize(
    "kind",
    ["", "  ", "../../up", "a/b", "a\\b", "C:", "a\nb" + "\0", ".hidden", "dot.", "Train", " valid ", "TEST", "con",
     "LPT1", "x" * 61, "what?", "__MACOSX", "a*", "\udcff"],
)  # fmt: skip
def test_a_hostile_kind_is_refused_and_nothing_is_stored(kind, home, tmp_path):
    with pytest.raises(DataError, match="kind"):
        own.add(photo(), kind)
    assert own.known() is None
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize("content", [b"", b"no photo", photo()[:200], b"%!PS-Adobe EPSF"])
def test_what_is_no_photo_is_refused(content):
    with pytest.raises(ImageError):
        own.add(content, "rose")
    assert own.known() is None


def test_a_deleted_own_set_comes_back_with_its_kinds():
    own.add(photo(), "rose")
    deleted = library.delete("own")
    assert own.kinds() == []
    assert own.additions() == []
    library.restore(deleted)
    assert kinds() == ["rose"]
    assert len(own.additions()) == 1


def test_the_command_line_adds_photos_and_takes_the_last_one_back(tmp_path, capsys):
    paths = [tmp_path / f"{seed}.jpg" for seed in (1, 2)]
    for seed, path in enumerate(paths):
        path.write_bytes(photo(seed=seed))
    assert main(["add", "rose", *map(str, paths)]) == 0
    assert capsys.readouterr().out == "Added a photo of rose\n" * 2
    assert len(own.additions()) == 2
    assert main(["add", "--undo", "--json"]) == 0
    assert [row["kind"] for row in json.loads(capsys.readouterr().out)] == ["rose"]
    assert len(own.additions()) == 1
    assert main(["add", "--undo"]) == 0
    assert main(["add", "--undo"]) == main(["add", "rose"]) == 2
    assert "add needs KIND and IMAGE" in capsys.readouterr().err


def test_a_photo_that_cannot_be_added_is_named_and_keeps_none_of_the_others_out(tmp_path, capsys):
    good, bad, more = (tmp_path / name for name in ("1.jpg", "note.jpg", "2.jpg"))
    good.write_bytes(photo())
    bad.write_text("no photo")
    more.write_bytes(photo(seed=2))
    assert main(["add", "rose", *map(str, (good, bad, tmp_path / "none.jpg", more))]) == 2
    printed = capsys.readouterr()
    assert printed.out == "Added a photo of rose\n" * 2
    assert printed.err == (
        f"Error: 2 of 4 photos can't be added: {bad} (Not a picture in a known format), "
        f"{tmp_path / 'none.jpg'} (There is no such file). The others are in My own set.\n"
    )
    assert kinds() == ["rose", "rose"]
    assert main(["add", "rose", str(bad)]) == 2
    assert "Nothing was added." in capsys.readouterr().err
