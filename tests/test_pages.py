"""Every page without a browser: what it shows with nothing there yet, with photos, and with a model; and addresses."""

import os
import shutil
from pathlib import Path

import pytest
from app_pages import counted, opened, texts, unescaped
from conftest import draw_set

from flowers_core import runs
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import library
from flowers_core.ui import errors

pytestmark = pytest.mark.usefixtures("nothing_kept")

PAGES = {"home": "AlexNet Flowers", "photos": "Photos", "train": "Train", "compare": "Compare trainings",
         "evaluate": "Evaluate", "classify": "Name a flower"}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_runs_with_nothing_there_yet(page: str) -> None:
    app = opened(page)
    assert not app.exception
    assert not app.error
    assert app.title[0].value == PAGES[page]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("known", "model")
def test_runs_with_photos_and_a_model(page: str) -> None:
    app = opened(page)
    assert not app.exception
    assert not app.error
    assert app.title[0].value == PAGES[page]


@pytest.mark.parametrize("page", ["home", "photos"])
def test_folders_from_the_beginning_of_time_are_folders_too(page: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "old", {"Train": 1, "Valid": 1}, size=24)
    for path in (folder, folder / "Train"):
        os.utime(path, (0, 0))
    library.remember(folder, "old")
    assert not opened(page).exception


@pytest.mark.parametrize("page", ["photos", "train", "evaluate"])
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("local", [True, False])
def test_a_set_whose_folder_vanished_is_an_error_to_read(
    local: bool, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "is_local", lambda: local)
    folder = draw_set(tmp_path / "soon gone", {"Train": 1, "Valid": 1}, size=24)
    library.remember(folder, "soon gone")
    app = opened(page)
    assert not app.error
    shutil.rmtree(folder)
    app.run()
    assert not app.exception
    assert [error.value for error in app.error] == ["There is no such folder or file."]
    assert (str(folder.resolve()) if local else "soon gone") in texts(app, "text"), (
        "others see no folders of this machine"
    )
    assert app.selectbox(key="data").options, "the way to other photos stays open"


@pytest.mark.parametrize("page", ["photos", "train", "evaluate"])
@pytest.mark.usefixtures("known", "model")
def test_unknown_ids_in_a_link_are_ignored(page: str) -> None:
    app = opened(page, data="no-such-set", model="no-such-model", run="no-such-run", view="?", split="?", true="?")
    assert not app.exception
    assert not app.error


def test_a_set_is_chosen_by_its_id_and_holds_on_other_pages(known: library.KnownSet, tmp_path: Path) -> None:
    newer = library.remember(draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=24), "newer")
    app = opened("photos")
    assert app.selectbox(key="data").value == newer.id, "the set that was added last comes first"
    app.selectbox(key="data").select("three kinds").run()
    assert app.query_params["data"] == known.id
    app.query_params.clear()
    app.switch_page("pages/train.py").run()
    assert app.selectbox(key="data").value == known.id
    assert opened("photos", data=known.id).selectbox(key="data").value == known.id


def test_sets_of_one_name_are_told_apart(known: library.KnownSet, tmp_path: Path) -> None:
    namesake = library.remember(draw_set(tmp_path / "three kinds", {"Train": 1, "Valid": 1}, size=24), known.name)
    app = opened("photos")
    assert app.selectbox(key="data").options[:2] == ["three kinds", "three kinds (2)"]
    assert app.selectbox(key="data").value == namesake.id
    app.selectbox(key="data").select("three kinds (2)").run()
    assert app.selectbox(key="data").value == known.id
    assert counted(app)["Train"] == "12"


def test_a_link_on_the_same_page_and_back_change_the_choice(known: library.KnownSet, tmp_path: Path) -> None:
    newer = library.remember(draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=24), "newer")
    app = opened("photos", data=known.id)
    app.query_params["data"] = newer.id
    assert app.run().selectbox(key="data").value == newer.id
    app.query_params["data"] = known.id
    assert app.run().selectbox(key="data").value == known.id


def test_back_leads_to_the_set_that_stood_there_before_one_was_chosen(known: library.KnownSet, tmp_path: Path) -> None:
    app = opened("photos")
    assert app.selectbox(key="data").value == known.id
    library.remember(draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=24), "somebody else's")
    app.selectbox(key="data").set_value("garden").run()
    app.query_params.clear()
    assert app.run().selectbox(key="data").value == known.id, "not the newest, which was not there then"
    app.switch_page("pages/train.py").run()
    assert app.selectbox(key="data").value == known.id


@pytest.mark.usefixtures("known")
def test_what_stands_in_for_a_set_that_is_gone_is_nobodys_choice(known: library.KnownSet) -> None:
    app = opened("photos", data="gone")
    assert app.selectbox(key="data").value == known.id
    app.query_params["data"] = known.id  # as address.js does
    app.run()
    assert not app.toast, "it is told once"
    assert not app.session_state["data-choice"].by_hand
    app.selectbox(key="data").set_value("garden").run()
    app.selectbox(key="data").set_value(known.id).run()
    assert app.session_state["data-choice"].by_hand, "a person chose it since"


def test_a_run_stays_chosen_when_its_text_in_the_list_changes() -> None:
    older, run = (runs.create(TrainConfig(), runs.runs_dir() / f"run-{n}") for n in range(2))
    for each in (older, run):
        each.write_status(runs.Status(phase="training"))
    with older.locked(), run.locked():
        app = opened("train")
        assert app.selectbox(key="run").value == older.id, "what is going on is shown first"
        app.selectbox(key="run").select_index(1).run()
        assert app.selectbox(key="run").value == run.id
    run.write_status(runs.Status(phase="finished", best_accuracy=0.5))
    app.run()
    assert app.selectbox(key="run").value == run.id
    assert app.query_params["run"] == run.id
    assert "finished, 50% on valid" in app.selectbox(key="run").options[1]


def test_home_says_what_to_do_when_there_is_nothing_yet() -> None:
    app = opened("home")
    assert [link.value for link in app.main.get("page_link")] == [
        "Look at the photos", "Train a model", "Go to the camera",
    ]  # fmt: skip
    assert "Start with the photos, or go straight to training." in texts(app, "caption")


def test_home_offers_a_model_that_is_ready(model: str) -> None:
    app = opened("home")
    assert any(text.startswith("Ready: three kinds: AlexNet 2014, 33% on valid") for text in texts(app, "text"))
    links = [link.value for link in app.main.get("page_link")]
    assert links[2:] == ["Upload, or use the camera", "See its mistakes"]
    assert "A model is ready: show it a flower. Or train one of your own." in texts(app, "caption")


def test_home_counts_trainings_that_came_to_something() -> None:
    for number, status in enumerate(
        [
            runs.Status(phase="finished", epoch=3),
            runs.Status(phase="failed", epoch=3),
            runs.Status(phase="stopped", epoch=1),
            runs.Status(phase="stopped"),
        ]
    ):
        runs.create(TrainConfig(), runs.runs_dir() / str(number)).write_status(status)
    assert any("You have trained 2 times" in text for text in texts(opened("home"), "markdown"))


def test_home_and_sidebar_lead_to_a_training_that_goes_on(known: library.KnownSet) -> None:
    run = runs.create(TrainConfig(data=known.data))
    with run.locked():
        run.write_status(runs.Status(phase="training", epoch=3, epochs=10, step=30, steps=100))
        app = opened("home")
        assert [(bar.value, bar.text) for bar in app.main.progress] == [(30, "Training: epoch 4 of 10")]
        watch = next(link for link in app.main.get("page_link") if link.value == "Watch it learn")
        note = app.sidebar.get("page_link")[0]
        assert run.id in watch.proto.query_string
        assert run.id in note.proto.query_string
        assert note.value == "A training is running"
        run.write_status(runs.Status(phase="paused", epoch=3, epochs=10, step=30, steps=100))
        assert app.run().sidebar.get("page_link")[0].value == "A training is paused"
    run.write_status(runs.Status(phase="finished", epoch=10, epochs=10, step=100, steps=100))
    app.run()
    assert not app.main.progress
    assert not app.sidebar.get("page_link")


@pytest.mark.usefixtures("known", "model")
@pytest.mark.parametrize(
    ("page", "query", "what"),
    [
        ("evaluate", {"model": "gone"}, "“gone” (Model)"),
        ("evaluate", {"data": "gone"}, "“gone” (Photos)"),
        ("evaluate", {"true": "tulip", "called": "rose"}, "“tulip” (Really)"),
        ("classify", {"model": "gone"}, "“gone” (Who answers)"),
        ("photos", {"kind": "tulip"}, "the kind “tulip”"),
        ("photos", {"kind": "tulip", "photo": "gone"}, "a photo of tulip"),
        ("photos", {"kind": "rose", "photo": "gone"}, "a photo of rose"),
        ("photos", {"photo": "gone"}, "a photo of some kind"),
        ("tune", {"study": "gone"}, "“gone” (Search)"),
        ("photos", {"view": "Wines"}, "“Wines” (View)"),
    ],
)
def test_a_link_to_what_is_gone_says_so_once(page: str, query: dict, what: str) -> None:
    app = opened(page, **query)
    assert not app.exception
    assert [what in unescaped(toast.value) for toast in app.toast] == [True]
    app.run()
    assert not app.toast
