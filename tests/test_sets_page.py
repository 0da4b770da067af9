"""Sets on the page Photos: added, refused, renamed, split anew, deleted and brought back."""

import io
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from app_pages import button, choice, counted, opened, tables, unescaped
from browser_app import until
from conftest import draw_set
from streamlit.testing.v1 import AppTest

from flowers_core.__main__ import main
from flowers_core.photos import importer
from flowers_core.sources import library
from flowers_core.ui import errors
from flowers_core.ui.photos import add_photos, folder_choice, import_jobs

pytestmark = pytest.mark.usefixtures("nothing_kept")


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*.jpg")):
            archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def after_the_import(app: AppTest) -> None:
    """Waits for the import's process, and runs the page again as its timer would."""
    until(lambda: all(job.state() in importer.ENDED for job in importer.jobs()), "the import to end")
    app.run()


@pytest.mark.usefixtures("known")
def test_a_zip_is_added_and_shown(tmp_path: Path) -> None:
    content = zipped(draw_set(tmp_path / "meadow", {"Train": 2, "Valid": 1}, size=24))
    app = opened("photos")
    button(app, "Add photos").click().run()
    app.file_uploader(key="zip-upload").set_value(("meadow.zip", content, "application/zip")).run()
    button(app, "Add the zip").click().run()
    assert not app.exception
    assert not app.error
    after_the_import(app)
    assert counted(app)["Train"] == "6"
    assert "meadow" in app.selectbox(key="data").options[0]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("content", [b"no zip", b"PK\x05\x06" + bytes(18)], ids=["no zip", "an empty zip"])
def test_a_zip_without_photos_is_refused_and_not_kept(
    content: bytes, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("photos")
    button(app, "Add photos").click().run()
    app.file_uploader(key="zip-upload").set_value(("meadow.zip", content, "application/zip")).run()
    button(app, "Add the zip").click().run()
    after_the_import(app)
    assert not app.exception
    assert len(app.error) == 1
    assert app.selectbox(key="data").options[0] == "three kinds"
    assert not opened("photos").error, "another viewer has nothing to do with it"
    with monkeypatch.context() as patch:
        patch.setattr(import_jobs, "is_local", lambda: True)
        assert len(opened("photos").error) == 1, "who has reloaded the page"
        patch.setattr(import_jobs, "FRESH_S", 0.0)
        assert not opened("photos").error
    button(app, "Dismiss").click().run()
    assert not app.error
    assert not list((home / "data" / "jobs").iterdir())


def test_a_set_is_renamed_deleted_and_brought_back_on_the_page(tmp_path: Path) -> None:
    library.remember(draw_set(tmp_path / "meadow", {"": 3}, size=24), "meadow")
    app = opened("photos")
    button(app, "About this set").click().run()
    assert "**From**  \nmeadow" in [each.value for each in app.markdown], "others see no folders of this machine"
    app.text_input[[each.label for each in app.text_input].index("Name")].set_value("Late summer")
    button(app, "Save").click().run()
    assert app.selectbox(key="data").options[0] == "Late summer"
    button(app, "About this set").click().run()
    assert button(app, "Delete the set").disabled
    (sure,) = [each for each in app.checkbox if each.label.startswith("Delete this set")]
    sure.check().run()
    button(app, "Delete the set").click().run()
    assert not app.exception
    assert "Late summer" not in app.selectbox(key="data").options
    button(app, "Bring back").click().run()
    assert app.selectbox(key="data").options[0] == "Late summer"


def test_a_set_whose_folder_is_gone_can_be_deleted_on_the_page(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "meadow", {"": 3}, size=24)
    gone = library.remember(folder, "meadow")
    shutil.rmtree(folder)
    assert not opened("train", data=gone.id).checkbox
    app = opened("photos", data=gone.id)
    assert "There is no such folder or file" in unescaped(app.error[0].value)
    (sure,) = [each for each in app.checkbox if each.label.startswith("Delete this set")]
    sure.check().run()
    button(app, "Delete the set").click().run()
    assert not app.exception
    assert [known.id for known in library.known_sets()] == ["garden", "flowers102"]


def test_a_split_that_the_app_made_is_changed_after_a_preview(tmp_path: Path) -> None:
    known = library.remember(draw_set(tmp_path / "meadow", {"": 6}, size=96), "meadow")
    app = opened("photos")
    assert (counted(app)["Train"], counted(app)["Valid"], counted(app)["Test"]) == ("12", "3", "3")
    assert any("validation photo or two" in caption.value for caption in app.caption)
    button(app, "Split").click().run()
    assert button(app, "Use this split").disabled
    {each.label: each for each in app.number_input}["Valid, percent"].set_value(33).run()
    assert tables(app)[0]["Photos then"].tolist() == ["9", "6", "3"]
    assert tables(app)[0]["Per kind then"].tolist() == ["3", "2", "1"]
    button(app, "Use this split").click().run()
    assert not app.exception
    assert (counted(app)["Train"], counted(app)["Valid"], counted(app)["Test"]) == ("9", "6", "3")
    app.session_state[f"plan-{known.id}-how"] = "Photos per kind"
    button(app, "Split").click().run()
    {each.label: each for each in app.number_input}["Valid, photos per kind"].set_value(1).run()
    {each.label: each for each in app.number_input}["Test, photos per kind"].set_value(2).run()
    assert tables(app)[0]["Photos then"].tolist() == ["9", "3", "6"]
    button(app, "Use this split").click().run()
    assert (counted(app)["Train"], counted(app)["Valid"], counted(app)["Test"]) == ("9", "3", "6")


def test_a_split_with_odd_numbers_is_shown_and_says_what_cannot_be(tmp_path: Path) -> None:
    known = library.remember(draw_set(tmp_path / "meadow", {"": 6}, size=24), "meadow")
    assert main(["split", known.data, "--per-kind", "--valid", "2000", "--seed", "-5"]) == 0
    app = opened("photos")
    button(app, "Split").click().run()
    assert not app.exception
    fields = {each.label: each for each in app.number_input}
    assert (fields["Valid, photos per kind"].value, fields["Seed"].value) == (2000, -5)
    fields["Valid, photos per kind"].set_value(-1).run()
    assert "can't be less than nothing" in unescaped(app.error[0].value)
    assert not [each for each in app.button if each.label == "Use this split"]
    fields["Valid, photos per kind"].set_value(0).run()
    assert "Nothing would be left to check on" in app.warning[0].value


@pytest.mark.parametrize(
    ("headers", "address", "local"),
    [
        ({"Host": "localhost:8501"}, None, True),
        ({"Host": "[::1]:8501"}, None, True),
        ({"Host": "flowers.example.org"}, "192.0.2.7", False),
        ({"Host": "localhost:8501"}, "192.0.2.7", False),
        ({"Host": "localhost:8501", "X-Forwarded-For": "192.0.2.7"}, None, False),
        ({"Host": "flowers.example.org"}, None, False),
    ],
)
def test_only_a_viewer_at_the_machine_itself_may_name_its_folders(
    headers: dict, address: str | None, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(headers=headers, ip_address=address)
    monkeypatch.setattr(errors, "st", SimpleNamespace(context=context))
    assert errors.is_local() is local


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("path", ["/no/such/folder", "~nobody-here/photos", "a\0b", "x" * 5000])
def test_a_folder_that_is_not_there_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = asked_for_a_folder(path, monkeypatch)
    assert not app.exception
    assert [error.value for error in app.error] == ["There is no such folder or file."]
    assert len(library.known_sets()) == 3


def test_a_zip_that_is_named_as_a_folder_is_taken_as_the_zip_that_it_is(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "meadow.zip").write_bytes(zipped(draw_set(tmp_path / "meadow", {"Train": 2, "Valid": 1}, size=24)))
    app = asked_for_a_folder(f' "{tmp_path}/meadow.zip" ', monkeypatch)
    assert not app.exception
    assert not app.error
    after_the_import(app)
    assert counted(app)["Train"] == "6"
    assert app.selectbox(key="data").options[0] == "meadow"


def test_a_folder_is_found_by_clicks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw_set(tmp_path / "My *own* flowers", {"Train": 2, "Valid": 1}, size=24)
    (tmp_path / ".hidden").mkdir()
    for untypable in (b"bl\xfcten", b"at the end "):
        (tmp_path / os.fsdecode(untypable)).mkdir()
    (tmp_path / "a file").touch()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(add_photos, "is_local", lambda: True)
    app = opened("photos")
    button(app, "Add photos").click().run()
    choice(app, "way-in").set_value("folder").run()

    def folders(here: Path):
        return choice(app, f"folders-{here}")

    def said() -> str:
        return " ".join(each.value for each in app.caption)

    assert [unescaped(name) for name in folders(tmp_path).options[1:]] == ["home", "My *own* flowers"]
    folders(tmp_path).set_value(folder.name).run()
    assert app.text_input(key="folder-path").value == str(folder)
    assert "the folder to add:** Train and Valid lie here" in said()
    folders(folder).set_value("Train").run()
    assert app.text_input(key="folder-path").value == str(folder / "Train")
    assert "one part of a set" in said()
    (folder / "Train").rename(tmp_path / "Kinds")
    folders(folder / "Train").set_value("..").run()
    app.text_input(key="folder-path").set_value(str(tmp_path / "Kinds")).run()
    assert "the folder to add:** 3 folders lie here" in said()
    (tmp_path / "Kinds").rename(folder / "Train")
    app.text_input(key="folder-path").set_value(str(folder / "Train")).run()
    folders(folder / "Train").set_value("rose").run()
    assert "Photos lie right here" in said()
    folders(folder / "Train" / "rose").set_value("..").run()
    folders(folder / "Train").set_value("..").run()
    app.text_input(key="folder-path").set_value(str(tmp_path / "nowhere")).run()
    assert not [each for each in app.get("pills") if each.key.startswith("folders-")]
    app.text_input(key="folder-path").set_value(str(folder)).run()
    button(app, "Add the folder").click().run()
    assert not app.exception
    assert app.selectbox(key="data").options[0] == folder.name


def test_a_set_that_somebody_else_deletes_is_told_by_its_name(known: library.KnownSet, tmp_path: Path) -> None:
    other = library.remember(draw_set(tmp_path / "meadow", {"Train": 2, "Valid": 1}, size=24), "Late *summer*")
    app = opened("train", data=other.id, run="new")
    library.delete(other.id)
    (said,) = app.run().toast
    assert "“Late *summer*” (Photos)" in unescaped(said.value)
    assert app.selectbox(key="data").value == known.id
    assert not app.run().toast, "once"
    (said,) = opened("train", data=other.id, run="new").toast
    assert "“Late *summer*” (Photos)" in unescaped(said.value)


def asked_for_a_folder(path: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(add_photos, "is_local", lambda: True)  # AppTest's viewer has no address
    app = opened("photos")
    button(app, "Add photos").click().run()
    next(choice for choice in app.get("pills") if choice.key == "way-in").set_value("folder").run()
    app.text_input(key="folder-path").set_value(path).run()
    return button(app, "Add the folder").click().run()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (' "C:\\my photos" ', "C:\\my photos"),
        ('it\'s a "set"', 'it\'s a "set"'),
        ('"half', '"half'),
        ('"', '"'),
        (" /a ", "/a"),
    ],
)
def test_quotes_are_taken_off_a_path_only_where_they_stand_around_it(typed: str, meant: str) -> None:
    assert folder_choice.unquoted(typed) == meant
