"""Every page run without a browser: what it shows with nothing there yet, with photos, and with a model."""

import functools
import io
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import streamlit as st
import tiles
from browser_app import save_model, until
from conftest import KINDS, draw_set
from PIL import Image
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest, app_test

from flowers_core import garden, runs
from flowers_core.__main__ import main
from flowers_core.errors import RunError
from flowers_core.evaluation import evaluate, predict
from flowers_core.network import checkpoint
from flowers_core.photos import importer, problems
from flowers_core.photos.cache import decode_source
from flowers_core.runs import trash
from flowers_core.settings import config, recipes
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import Photo, Source, edits, library, open_source
from flowers_core.training import cross_validate, lr_finder, worker
from flowers_core.ui import errors, words
from flowers_core.ui.photos import add_photos, import_jobs
from flowers_core.ui.train import settings

HAVE = (12, 3)
"""Training photos and kinds of the small set."""

ROOT = Path(__file__).parent.parent
PAGES = {"home": "AlexNet Flowers", "photos": "Photos", "train": "Train", "compare": "Compare trainings",
         "evaluate": "Evaluate", "classify": "Name a flower"}  # fmt: skip
PROBABILITIES = {"daffodil": 0.27, "rose": 0.6, "sunflower": 0.13}
"""What the tests' model answers to every photo: rose, by far."""

TRAP = "![x](http://127.0.0.1:9/x.png)<img src='http://127.0.0.1:9/y.png'>[z](http://127.0.0.1:9/z)"
"""A name that would make a viewer's browser fetch something, were it taken for Markdown or HTML."""


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No shipped models, a garden that grows in no time, nothing cached by the test before; and a warm server.

    AppTest begins every run as a server's first, on which `frame.enter` runs the page again: clicks and addresses
    would be lost. Real servers are cold but once, which test_browser.py tries.
    """
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)
    monkeypatch.setattr(app_test, "PagesManager", type("WarmPagesManager", (PagesManager,), {}))
    monkeypatch.setattr(checkpoint, "shipped_dir", lambda: tmp_path / "shipped")
    monkeypatch.setattr(garden, "grow", functools.partial(garden.grow, train=1, valid=1, test=1, size=24))
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="session")
def rose_sayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint that answers every photo with PROBABILITIES."""
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    save_model(path, PROBABILITIES)
    yield path
    path.unlink()


@pytest.fixture
def model(rose_sayer: Path, home: Path) -> str:
    """The checkpoint as the best of a run; the run's id."""
    folder = home / "checkpoints" / "runs" / "20250601-120000-three-kinds-2014"
    folder.mkdir(parents=True)
    os.link(rose_sayer, folder / "best.safetensors")
    return folder.name


@pytest.fixture
def known(three_kinds: Path) -> library.KnownSet:
    """The small set, as if somebody had added it."""
    return library.remember(three_kinds, "three kinds")


def opened(page: str, /, **query: str) -> AppTest:
    """A page of the app after its first run, at an address with this query."""
    app = AppTest.from_file(ROOT / "streamlit_app.py", default_timeout=60)
    if page != "home":
        app.switch_page(f"pages/{page}.py")
    app.query_params.update(query)
    return app.run()


def texts(app: AppTest, *kinds: str) -> list[str]:
    """What stands in all elements of these kinds, in their order."""
    return [element.value for kind in kinds for element in app.main.get(kind)]


def unescaped(text: str) -> str:
    """Markdown as a person reads it."""
    return re.sub(r"\\(.)", r"\1", text)


def tables(app: AppTest) -> list[pd.DataFrame]:
    """All tables of text, as a person reads them."""
    return [
        table.value.map(unescaped).rename(columns=unescaped).rename(index=lambda name: unescaped(str(name)))
        for table in app.table
    ]


def button(app: AppTest, label: str):
    found = [each for each in app.button if each.label == label]
    assert len(found) == 1, f"{len(found)} buttons {label!r} among {[each.label for each in app.button]}"
    return found[0]


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def counted(app: AppTest) -> dict[str, str]:
    """What the line below a set's name counts."""
    (line,) = [text for text in texts(app, "markdown") if re.search(r" train · [\d,]+ valid", text)]
    left_out = re.search(r"([\d,]+) left out", line)
    found = dict(zip(("Kinds", "Train", "Valid", "Test"), re.findall(r"[\d,]+", line), strict=False))
    return found | {"Left out": left_out[1] if left_out else "0"}


def start_button(app: AppTest):
    return button(app, "Start training")


def jpeg(kind: str = "rose") -> bytes:
    buffer = io.BytesIO()
    garden.draw(kind, 7, 96).save(buffer, "JPEG")
    return buffer.getvalue()


# Every page


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


# Choices and the addresses that lead to them


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


# Home


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


# Photos


@pytest.mark.usefixtures("known")
def test_photos_counts_kinds_and_splits() -> None:
    assert counted(opened("photos")) == {"Kinds": "3", "Train": "12", "Valid": "6", "Test": "6", "Left out": "0"}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("term", "found"),
    [("", list(KINDS)), ("ROSE", ["rose"]), ("helianthus", ["sunflower"]), ("d", ["daffodil"]), ("rose__", [])],
)
def test_kinds_are_found_by_any_of_their_names(term: str, found: list[str]) -> None:
    app = opened("photos")
    search = next(each for each in app.text_input if each.label == "Search")
    search.set_value(term).run()
    assert tiles.titles(app) == found
    assert texts(app, "info") == ([] if found else ["No kind has that in its name."])


@pytest.mark.usefixtures("known")
def test_a_kind_opens_with_its_photos_and_closes_again() -> None:
    app = opened("photos")
    tiles.click(app, title="sunflower")
    assert not app.exception
    assert texts(app, "header") == ["sunflower"]
    assert "*Helianthus annuus*" in texts(app, "markdown")
    assert app.query_params["kind"] in ("sunflower", ["sunflower"])
    assert len(app.main.get("image")) == 1, "the mean of all"
    assert len(tiles.shown(app)) == 8
    splits = next(each for each in app.get("pills") if each.label == "Splits")
    splits.set_value(["valid"]).run()
    assert len(tiles.shown(app)) == 2
    button(app, "All kinds").click().run()
    assert not texts(app, "header")
    assert len(tiles.shown(app)) == 3


@pytest.mark.usefixtures("known")
def test_the_view_that_is_shown_closes_a_kind_when_it_is_clicked_again() -> None:
    app = opened("photos", kind="sunflower")
    view = next(each for each in app.get("button_group") if each.label == "View")
    view.set_value(None).run()
    assert not texts(app, "header")
    assert "kind" not in app.query_params
    assert next(each for each in app.get("button_group") if each.label == "View").value == "Kinds"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("view", "charts", "pictures"),
    [("Charts", 5, 0), ("Varying the photos", 0, 12), ("Map", 1, 0), ("Problems", 0, 0)],
)
def test_other_views_of_the_photos_run(view: str, charts: int, pictures: int) -> None:
    app = opened("photos", view=view)
    assert not app.exception
    kind = "plotly_chart" if view == "Map" else "vega_lite_chart"
    assert len(app.main.get(kind)) == charts
    assert len(app.main.get("image")) == pictures


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("order", ["Most photos", "Without test photos"])
def test_kinds_are_sorted_and_filtered_by_their_photos(order: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "uneven", {"Train": 2, "Valid": 1, "Test": 1}, size=24)
    shutil.copy(folder / "Train/rose/1.jpg", folder / "Train/rose/3.jpg")
    shutil.rmtree(folder / "Test" / "sunflower")
    library.remember(folder, "uneven")
    app = opened("photos")
    box = next(each for each in app.selectbox if order in each.options)
    box.select(order).run()
    assert tiles.titles(app) == (["rose", "daffodil", "sunflower"] if order == "Most photos" else ["sunflower"])


@pytest.fixture
def photo(three_kinds: Path) -> Photo:
    return next(each for each in open_source(three_kinds).photos if each.name == "Train/rose/2.jpg")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("part", "shown"),
    [("What the network sees", 1 + 4), ("Varying the photos", 1 + 12), ("Neighbours", 1 + 8), ("Colours", 1)],
)
def test_a_photo_has_a_page_that_can_be_linked(part: str, shown: int, photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id, part=part)
    assert not app.exception
    assert texts(app, "header") == ["rose"]
    assert "Train/rose/2.jpg" in texts(app, "text")
    assert metrics(app)["Pixels"] == "96×96"
    assert metrics(app)["Split"] == "train"
    assert len(app.main.get("image")) + len(tiles.shown(app)) == shown


@pytest.mark.usefixtures("known")
def test_a_photo_opens_from_its_kind_leads_to_the_next_and_back() -> None:
    app = opened("photos", kind="rose")
    tiles.click(app)
    assert "Train/rose/1.jpg" in texts(app, "text")
    button(app, "Next").click().run()
    assert "Train/rose/2.jpg" in texts(app, "text")
    button(app, "Back").click().run()
    assert texts(app, "header") == ["rose"]
    assert "photo" not in app.query_params
    assert not opened("photos", kind="rose", photo="0123").exception, "a photo that is gone shows its kind"


@pytest.mark.usefixtures("known")
def test_sliders_change_what_the_variations_look_like(photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id, part="Varying the photos")
    assert "As “As usual” has it." in texts(app, "caption")
    before = [image.proto.imgs[0].url for image in app.main.get("image")][1:]
    next(each for each in app.slider if each.label.startswith("Rotation")).set_value(90.0).run()
    assert "Changed from “As usual”: rotation." in texts(app, "caption")
    assert [image.proto.imgs[0].url for image in app.main.get("image")][1:] != before


@pytest.mark.usefixtures("known")
def test_a_photo_is_excluded_moved_and_relabelled_and_each_is_undone(photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id)
    button(app, "Exclude").click().run()
    assert counted(opened("photos"))["Train"] == "11"
    assert texts(app, "header") == ["rose"], "its kind is shown instead"
    button(app, "Undo").click().run()
    assert counted(opened("photos"))["Train"] == "12"
    app = opened("photos", kind="rose", photo=photo.id)
    button(app, "Change").click().run()
    button(app, "Move to valid").click().run()
    assert counted(opened("photos"))["Valid"] == "7"
    assert metrics(app)["Split"] == "valid"
    button(app, "Change").click().run()
    app.selectbox(key="photo-kind").select("daffodil").run()
    button(app, "Relabel").click().run()
    assert texts(app, "header") == ["daffodil"]
    app = opened("photos", view="Problems")
    assert [each.label for each in app.button].count("Undo") == 2
    button(app, "Undo 2 changes").click().run()
    assert counted(app)["Valid"] == "6"


def test_problems_are_shown_side_by_side_with_remedies(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "copied", {"Train": 2, "Valid": 1})
    shutil.copy(folder / "Train/rose/1.jpg", folder / "Valid/rose/again.jpg")
    library.remember(folder, "copied")
    app = opened("photos", view="Problems")
    assert "1 of them lies in more than one split" in texts(app, "warning")[0]
    assert {"Train/rose/1.jpg", "Valid/rose/again.jpg"} <= set(texts(app, "text"))
    button(app, "Keep one").click().run()
    assert counted(app)["Valid"] == "3"
    assert counted(app)["Train"] == "6"
    assert not texts(app, "warning")
    next(each for each in app.button if each.key == "undo-last").click().run()
    assert counted(app)["Valid"] == "4"
    assert texts(app, "warning")
    button(app, "It is fine").click().run()
    assert counted(app)["Valid"] == "4"
    assert not texts(app, "warning")


def test_which_kind_copies_among_several_are_of_is_asked(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "mixed", {"Train": 2, "Valid": 1})
    shutil.copy(folder / "Train/sunflower/1.jpg", folder / "Train/rose/a wrong place.jpg")
    library.remember(folder, "mixed")
    app = opened("photos", view="Problems")
    assert "Only you can tell which is right" in " ".join(texts(app, "warning"))
    labels = [each.label for each in app.button]
    assert not [label for label in labels if label.startswith("Keep one")], "no guess"
    button(app, "Keep it as sunflower").click().run()
    assert counted(app)["Train"] == "6"
    decoded = decode_source(open_source(library.find("mixed").data))
    assert "Train/sunflower/1.jpg" in {photo.name for photo in decoded.source.photos}


@pytest.mark.parametrize("view", ["Map", "Problems"])
@pytest.mark.usefixtures("known")
def test_back_from_a_photo_leads_to_the_view_that_it_was_opened_in(view: str, photo: Photo) -> None:
    app = opened("photos", view=view, kind="rose", photo=photo.id)
    button(app, "Back").click().run()
    assert not {"kind", "photo"} & set(app.query_params)
    assert [each for each in app.button if each.label == "Look again"], "what stands above all photos is back"


def test_when_all_photos_are_excluded_the_way_back_stays_open(known: library.KnownSet) -> None:
    decoded = decode_source(open_source(known.data))
    edits.add(decoded.source.key, problems.edits_for(decoded, range(24), edits.EXCLUDE))
    for page in ("train", "photos"):
        app = opened(page, data=known.id)
        assert not app.exception
        assert "Every photo of this set has been excluded" in unescaped(app.error[0].value)
    (asks,) = [each for each in app.main.get("popover") if each.proto.popover.label == "Undo all"]
    assert "This can't be taken back." in [each.value for each in asks.get("text")]
    (sure,) = asks.get("button")
    assert sure.label == "Undo 24 changes"
    last = edits.load(decoded.source.key)[-1]
    next(each for each in app.button if each.key == f"undo-{last.id}").click().run()
    assert counted(app)["Valid"] == "1", "one of them can be undone alone, too"
    edits.add(decoded.source.key, [last])
    app = opened("photos", data=known.id)
    button(app, "Undo 24 changes").click().run()
    assert counted(app)["Train"] == "12"
    assert edits.load(decoded.source.key) == ()


def test_the_garden_grows_from_the_page() -> None:
    app = opened("photos", data="garden")
    assert counted(app)["Train"] == "30"
    app.session_state["grow-more"] = True
    app.run()
    for split, count in (("train", 2), ("valid", 1), ("test", 1)):
        app.number_input(key=f"grow-{split}").set_value(count).run()
    button(app, "Grow").click().run()
    assert not app.exception
    assert counted(app) == {"Kinds": "30", "Train": "60", "Valid": "30", "Test": "30", "Left out": "0"}


@pytest.mark.parametrize("count", [0, -3, 5001, 10**12])
def test_a_garden_of_an_odd_number_is_refused_with_the_numbers_that_are_possible(count: int) -> None:
    app = opened("photos", data="garden")
    app.session_state["grow-more"] = True
    app.run()
    app.number_input(key="grow-train").set_value(2).run()
    app.number_input(key="grow-train").set_value(count).run()
    assert not app.exception
    assert [unescaped(error.value) for error in app.error] == ["The garden can't grow that."]
    assert "Give 1 to 5,000 for each of train, valid, test." in texts(app, "text")
    assert not [each for each in app.button if each.label == "Grow"], "nor does the number before count any more"
    app.number_input(key="grow-train").set_value(2).run()
    assert not button(app, "Grow").disabled


def test_files_that_are_left_out_are_listed_with_the_reason(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "flawed", {"Train": 2, "Valid": 1}, size=24)
    (folder / "Train" / "rose" / "broken.jpg").write_bytes(b"no picture")
    (folder / "Train" / "rose" / "notes.txt").write_text("Bought on Monday")
    library.remember(folder, "flawed")
    app = opened("photos", view="Problems")
    next(choice for choice in app.get("pills") if choice.key == "problem").set_value("unreadable").run()
    assert counted(app)["Left out"] == "2"
    assert counted(app)["Train"] == "6"
    (table,) = tables(app)
    assert dict(zip(table["File"], table["Reason"], strict=True)) == {
        "Train/rose/notes.txt": "not a photo (.txt)",
        "Train/rose/broken.jpg": "Not a picture in a known format",
    }


def test_look_again_finds_a_photo_that_was_replaced_in_place(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "mended", {"Train": 2, "Valid": 1}, size=24)
    broken = folder / "Train" / "rose" / "1.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    library.remember(folder, "mended")
    app = opened("photos")
    assert counted(app)["Left out"] == "1"
    broken.write_bytes(whole)
    button(app, "Look again").click().run()
    assert counted(app)["Left out"] == "0"


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


def choice(app: AppTest, key: str):
    return next(each for each in app.get("pills") if each.key == key)


def asked_for_a_folder(path: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(add_photos, "is_local", lambda: True)  # AppTest's viewer has no address
    app = opened("photos")
    button(app, "Add photos").click().run()
    next(choice for choice in app.get("pills") if choice.key == "way-in").set_value("folder").run()
    app.text_input(key="folder-path").set_value(path).run()
    return button(app, "Add the folder").click().run()


# Train


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("preset", config.PRESETS)
def test_a_preset_fills_the_widgets(preset: str) -> None:
    app = opened("train")
    app.get("segmented_control")[0].set_value(preset).run()
    expected = config.preset(preset, "imagenet", have=HAVE)
    for name in ("epochs", "batch_size", "lr", "features_lr", "weight_decay", "clip", "momentum"):
        assert app.number_input(key=f"set-{name}").value == getattr(expected, name), name
    for name in ("augmentation", "optimizer", "schedule", "views"):
        assert app.selectbox(key=f"set-{name}").value == getattr(expected, name), name
    said = recipes.choose("imagenet", *HAVE).why if preset == "standard" else config.PRESETS[preset].expect
    assert said in texts(app, "markdown")
    assert not start_button(app).disabled


@pytest.mark.usefixtures("known")
def test_only_the_variant_of_2014_can_start_from_imagenet() -> None:
    app = opened("train")
    assert app.selectbox(key="set-init").value == "imagenet"
    for variant in ("2012", "readme"):
        app.selectbox(key="set-variant").select(variant).run()
        start = app.selectbox(key="set-init")
        assert start.value == "scratch"
        assert not [option for option in start.options if "ImageNet" in option]
        assert app.number_input(key="set-epochs").value == config.preset("standard", "scratch", have=HAVE).epochs
        assert not app.warning
        assert not start_button(app).disabled


@pytest.mark.usefixtures("known", "model")
def test_a_model_of_ones_own_can_be_the_start_of_its_variant() -> None:
    app = opened("train")
    assert [option for option in app.selectbox(key="set-init").options if option.startswith("My model: three kinds")]
    app.selectbox(key="set-variant").select("2012").run()
    assert len(app.selectbox(key="set-init").options) == 1


@pytest.mark.usefixtures("known")
def test_settings_that_make_no_sense_disable_start_and_say_why() -> None:
    app = opened("train")
    app.selectbox(key="set-init").select("scratch").run()
    assert not start_button(app).disabled
    app.number_input(key="set-features_lr").set_value(0.0).run()
    assert len(app.warning) == 1
    assert "freezes convolutions that have learned nothing" in app.warning[0].value
    assert app.warning[0].value.startswith("Convolutions")
    assert start_button(app).disabled
    app.number_input(key="set-features_lr").set_value(1.0).run()
    assert not app.warning
    assert not start_button(app).disabled


@pytest.mark.usefixtures("known")
def test_numbers_beyond_a_settings_range_are_refused_in_words() -> None:
    """A browser keeps a number beyond a widget's own range to itself, and Start takes the old one: so there is none."""
    app = opened("train")
    rules = {setting.name: setting.metadata for setting in TrainConfig.__dataclass_fields__.values()}
    numbers = {widget.key.removeprefix("set-"): widget for widget in app.number_input}
    assert len(numbers) > 10
    for name, widget in numbers.items():
        widget.set_value(rules[name]["high"] + 1)
    app.run()
    refused = [unescaped(warning.value) for warning in app.warning]
    for name in numbers:
        told = [text for text in refused if text.startswith(f"{words.name_of(name)} must lie between")]
        assert len(told) == 1, name
    assert start_button(app).disabled
    app = opened("train")
    app.number_input(key="set-epochs").set_value(0)
    start_button(app).click().run()  # both at once: the button still looked as if it could be pressed
    assert "Epochs must lie between 1 and 10000, not 0" in unescaped(app.warning[0].value)
    assert runs.list_runs() == []


def test_a_kind_without_training_photos_disables_start_and_is_named(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "lacking", {"Train": 1, "Valid": 1}, size=24)
    shutil.rmtree(folder / "Train" / "rose")
    library.remember(folder, "lacking")
    app = opened("train")
    assert [unescaped(warning.value) for warning in app.warning] == ["These kinds have no training photos: rose."]
    assert start_button(app).disabled


def test_a_single_kind_disables_start(tmp_path: Path) -> None:
    alone = library.remember(draw_set(tmp_path / "alone", {"Train": 2, "Valid": 1}, ("rose",), 24), "alone")
    app = opened("train", data=alone.id)
    assert [unescaped(warning.value) for warning in app.warning] == ["Training needs at least two kinds of flowers."]
    assert start_button(app).disabled


@pytest.mark.usefixtures("known")
def test_settings_outlive_a_visit_to_another_page() -> None:
    app = opened("train")
    app.number_input(key="set-epochs").set_value(7).run()
    app.switch_page("pages/photos.py").run()
    app.switch_page("pages/train.py").run()
    assert app.number_input(key="set-epochs").value == 7


@pytest.mark.usefixtures("known")
def test_what_was_set_by_hand_outlives_another_network_or_start_but_not_another_preset() -> None:
    app = opened("train")
    app.number_input(key="set-epochs").set_value(7).run()
    app.selectbox(key="set-variant").select("2012").run()
    assert app.number_input(key="set-epochs").value == 7
    assert app.number_input(key="set-lr").value == config.preset("standard", "scratch", have=HAVE).lr, (
        "the others follow"
    )
    app.selectbox(key="set-variant").select("2014").run()
    assert app.selectbox(key="set-init").value == "imagenet", "what 2014 started from before"
    assert app.number_input(key="set-lr").value == config.preset("standard", "imagenet", have=HAVE).lr
    app.selectbox(key="set-init").select("scratch").run()
    assert app.number_input(key="set-epochs").value == 7
    app.selectbox(key="set-variant").select("readme").run()
    app.selectbox(key="set-variant").select("2014").run()
    assert app.selectbox(key="set-init").value == "scratch", "which was chosen for 2014"
    app.get("segmented_control")[0].set_value("quick").run()
    assert app.number_input(key="set-epochs").value == config.preset("quick", "scratch").epochs


def test_every_setting_and_choice_has_a_plain_name() -> None:
    for setting in TrainConfig.__dataclass_fields__.values():
        assert setting.name in words.NAMES, setting.name
        if setting.metadata["choices"] and setting.name != "variant":
            assert set(setting.metadata["choices"]) == set(words.CHOICES[setting.name]), setting.name


KEPT = ("New training", "Save", "Delete this training")
"""Buttons beside every run, and for its name, its note and its end."""

RECORDS = [
    {"kind": "step", "step": 1, "epoch": 0.5, "loss": 1.2, "lr": 0.01},
    {"kind": "step", "step": 2, "epoch": 1.0, "loss": 1.0, "lr": 0.02},
    {"kind": "epoch", "step": 2, "epoch": 1, "train_loss": 1.1, "train_accuracy": 0.5, "valid_loss": 1.3,
     "valid_accuracy": 0.25},
]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "alive", "word", "buttons"),
    [
        ("queued", True, "Waiting its turn", ["Stop training"]),
        ("training", True, "Training", ["Pause", "Stop training"]),
        ("paused", True, "Paused", ["Resume", "Stop training"]),
        ("training", False, "Interrupted", ["Resume"]),
        ("stopped", False, "Stopped", ["Resume", "Use its settings"]),
        ("failed", False, "Failed", ["Resume", "Use its settings"]),
        ("finished", False, "Finished", ["Use its settings"]),
    ],
)
def test_a_run_is_shown_with_what_can_be_done(
    known: library.KnownSet, phase: str, alive: bool, word: str, buttons: list[str]
) -> None:
    run = runs.create(TrainConfig(data=known.data, epochs=2))
    for record in RECORDS:
        run.log(record)
    run.write_status(runs.Status(phase=phase, message="Why.", epoch=1, epochs=2, step=2, steps=4, process=os.getpid()))
    if alive:
        with run.locked():
            app = opened("train", run=run.id)
    else:
        app = opened("train", run=run.id)
    assert not app.exception
    assert any(text.endswith(f"-badge[{word}]") for text in texts(app, "markdown"))
    assert [each.label for each in app.main.get("button") if not each.disabled and each.label not in KEPT] == buttons
    assert button(app, "Delete this training").disabled == alive
    assert len(app.main.get("vega_lite_chart")) == 3
    assert metrics(app)["Validation accuracy"] == "25%"


def test_a_run_that_is_not_answering_can_be_ended(known: library.KnownSet) -> None:
    run = runs.create(TrainConfig(data=known.data))
    run.write_status(runs.Status(phase="training"))
    past = time.time() - 2 * runs.STALE_S
    os.utime(run.folder / "status.json", (past, past))
    with run.locked():
        app = opened("train", run=run.id)
    assert [each.label for each in app.main.get("button") if each.label not in KEPT] == ["End it"]
    assert not app.exception


def ended(name: str, known: library.KnownSet, label: str = "", **settings: object) -> runs.Run:
    """A finished run with curves that part after the first epoch."""
    config = replace(TrainConfig(data=known.data), **settings)
    run = runs.create(config, runs.runs_dir() / f"20250601-12000{name}-x")
    run.record_facts({"counts": {"train": 120, "valid": 30}, "fingerprint": "f"})
    for epoch in range(1, 9):
        run.log({"kind": "epoch", "step": epoch, "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.9,
                 "valid_loss": 1 + epoch / 10, "valid_accuracy": 0.6, "valid_rise": (epoch - 1) / 10,
                 "valid_rise_error": 0.02})  # fmt: skip
    run.write_status(runs.Status(phase="finished", epoch=8, epochs=8, step=8, steps=8, best_accuracy=0.6, best_epoch=1))
    run.set_label(label, "")
    return run


def test_learning_by_heart_is_said_with_its_epoch_and_marked(known: library.KnownSet) -> None:
    app = opened("train", run=ended("1", known).id)
    (warning,) = app.warning
    assert "Since epoch 1 it learns by heart" in warning.value
    assert "the one after epoch 1" in warning.value


def test_a_diverged_run_leads_to_gentler_settings(known: library.KnownSet) -> None:
    run = ended("1", known, lr=0.3, batch_size=7)
    status = runs.Status(
        phase="failed", cause="diverged", message="The loss stopped being a finite number.", hint="So."
    )
    run.write_status(status)
    app = opened("train", run=run.id)
    assert not [each for each in app.button if each.label == "Resume"], "it would end the same way"
    button(app, "Try again more gently").click().run()
    assert app.selectbox(key="run").value == settings.NEW
    assert app.number_input(key="set-lr").value == pytest.approx(0.1)
    assert app.number_input(key="set-batch_size").value == 7
    with pytest.raises(RunError, match="same way again"):
        worker.resume(run)


def test_a_queued_run_says_by_name_what_it_waits_for_and_offers_to_make_way(known: library.KnownSet) -> None:
    first, second = (runs.create(TrainConfig(data=known.data), runs.runs_dir() / f"run-{n}") for n in range(2))
    first.set_label("Lunch break", "")
    first.write_status(runs.Status(phase="paused"))
    second.write_status(runs.Status(phase="queued", message="Waiting for “Lunch break” to end."))
    with first.locked(), second.locked():
        app = opened("train", run=second.id)
        assert "“Lunch break” is paused" in unescaped(app.warning[0].value)
        button(app, "Stop that one").click().run()
        assert first.request() == "stop"
        assert not app.exception


def test_a_run_gets_a_name_that_is_shown_wherever_it_is_chosen(known: library.KnownSet, model: str) -> None:
    run = runs.Run(runs.runs_dir() / model)
    runs.write_json(run.folder / "config.json", config.to_dict(TrainConfig(data=known.data)))
    run.write_status(runs.Status(phase="finished", epoch=1, best_accuracy=0.5))
    app = opened("train", run=run.id)
    app.text_input(key=f"name-{run.id}-{hash('')}").set_value("*Best* yet")
    app.text_area(key=f"note-{run.id}-{hash('')}").set_value("Keep it.")
    button(app, "Save").click().run()
    assert not app.exception
    assert run.label() == ("*Best* yet", "Keep it.")
    assert "Keep it." in texts(app, "text")
    assert app.selectbox(key="run").options[1].startswith("*Best* yet (finished")
    for page in ("classify", "evaluate"):
        assert opened(page).selectbox(key="model").options[0].startswith("*Best* yet: AlexNet 2014")
    assert "My model: *Best* yet" in " ".join(opened("train", run="new").selectbox(key="set-init").options)


def test_a_deleted_run_comes_back_by_undo(known: library.KnownSet) -> None:
    run = ended("1", known, "Gone soon")
    app = opened("train", run=run.id)
    button(app, "Delete this training").click().run()
    assert not app.exception
    assert runs.list_runs() == []
    assert any("Gone soon is in the trash" in text for text in texts(app, "markdown"))
    button(app, "Undo").click().run()
    assert not app.exception
    assert [each.id for each in runs.list_runs()] == [run.id]
    assert app.selectbox(key="run").value == run.id
    trash.delete(run)
    app = opened("compare")
    button(app, "Restore").click().run()
    assert runs.find_run(run.id) is not None


def test_runs_are_compared_by_curves_settings_and_results(known: library.KnownSet) -> None:
    ended("1", known, "Gentle")
    ended("2", known, "Wild", lr=0.02, clip=0.0)
    ended("3", known, "Never asked")
    app = opened("compare", compared=["20250601-120001-x", "20250601-120002-x"])
    assert not app.exception
    reached, different = tables(app)
    assert list(reached.columns) == ["Gentle", "Wild"]
    assert reached.loc["Right"].to_list() == ["60.0%"] * 2
    assert reached.loc["Lies in", "Wild"] == "42% to 75%"
    assert reached.loc["By heart since"].to_list() == ["epoch 1"] * 2
    assert different.to_dict("index") == {
        "Learning rate": {"Gentle": "0.001", "Wild": "0.02"}, "Longest gradient": {"Gentle": "5", "Wild": "0"},
    }  # fmt: skip
    chart = app.main.get("vega_lite_chart")[0]
    assert "Gentle" in chart.proto.spec
    assert "Never asked" not in chart.proto.spec
    app.multiselect(key="compared").set_value(["20250601-120003-x"]).run()
    assert not app.exception
    assert app.query_params["compared"] in ("20250601-120003-x", ["20250601-120003-x"])


def test_the_finder_draws_its_curve_and_one_click_takes_the_suggestion(known: library.KnownSet, monkeypatch) -> None:
    started = []

    def start(wanted: TrainConfig) -> runs.Run:
        started.append(wanted)
        return runs.create(wanted, lr_finder.new_folder())

    monkeypatch.setattr(worker, "start_lr_test", start)
    app = opened("train")
    app.number_input(key="set-batch_size").set_value(8).run()
    button(app, "Measure").click().run()
    assert not app.exception
    assert started[0].batch_size == 8
    (test,) = [runs.Run(folder) for folder in lr_finder.folder().iterdir()]
    rates = lr_finder.rates(started[0], 10_000)
    losses = [3 - 2 / (1 + (0.01 / rate) ** 2) + 100 * max(0, rate - 0.3) for rate in rates]
    found = lr_finder.judge(rates[:90], losses[:90], kinds=30)
    test.write_status(runs.Status(phase="finished"))
    runs.write_json(test.folder / "finding.json", asdict(found))
    app.run()
    assert len(app.main.get("vega_lite_chart")) == 1
    rate = float(f"{found.suggestion:.2g}")
    button(app, f"Take {rate:g}").click().run()
    assert not app.exception
    assert app.number_input(key="set-lr").value == rate
    assert not [text for text in texts(app, "caption") if "other settings" in text]
    app.number_input(key="set-batch_size").set_value(64).run()
    assert [text for text in texts(app, "caption") if "other settings than those above: batch size" in text]


def cross_validated(known: library.KnownSet, run: runs.Run, folds: int, done: int) -> None:
    """Answers of the first `done` folds: all roses right, the others taken for roses."""
    decoded = decode_source(open_source(known.data))
    fold_of = cross_validate.assign_folds(decoded, folds, seed=1)
    for number in range(1, done + 1):
        view = cross_validate.subset_for_fold(decoded, fold_of, number - 1)
        answers = tuple(
            evaluate.Answer(photo.name, str(photo.path), photo.label, (1, 0, 2), (0.6, 0.3, 0.1), entry.digest)
            for photo, entry in zip(view.source.photos, view.entries, strict=True) if photo.split == "test"
        )  # fmt: skip
        report = evaluate.Report(str(run.folder), known.name, cross_validate.SPLIT, decoded.source.classes, answers,
                                 decoded.fingerprint, 0.0, 0.0)  # fmt: skip
        runs.write_json(cross_validate.fold_run(run, number).folder / "answers.json", asdict(report))


def test_folds_are_told_while_they_train_and_shown_on_evaluate(known: library.KnownSet, model: str) -> None:
    run = runs.Run(runs.runs_dir() / model)
    runs.write_json(run.folder / "config.json", config.to_dict(TrainConfig(data=known.data, folds=3)))
    cross_validated(known, run, folds=3, done=1)
    cross_validate.fold_run(run, 2).folder.mkdir()
    for record in RECORDS[:2]:
        cross_validate.fold_run(run, 2).log(record)
    run.write_status(runs.Status(phase="training", fold=2, folds=3, epoch=30, epochs=96, step=60, steps=192))
    with run.locked():
        app = opened("train", run=run.id)
    assert not app.exception
    assert app.main.progress[0].text.startswith("Fold 2 of 3 · Epoch 7 of 24")
    assert metrics(app)["Right, by photos unseen"] == "33.3%"
    assert any("judges the **recipe**, not one model" in text for text in texts(app, "markdown"))

    cross_validated(known, run, folds=3, done=3)
    run.write_status(runs.Status(phase="finished", fold=0, folds=3, epoch=96, epochs=96, best_accuracy=1 / 3))
    path = run.checkpoint_path
    card = checkpoint.read_card(path)
    monkey = {**asdict(card), "config": config.to_dict(TrainConfig(folds=3))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "read_card", lambda _: checkpoint.Card(**monkey))
        app = opened("evaluate")
        assert not app.exception
        assert metrics(app)["Photos"] == "18"
        assert any("fold 3: 33%" in text for text in texts(app, "caption"))
        assert "learned from these photos too" in " ".join(texts(opened("evaluate", split="valid"), "caption"))
        plain = run.folder.with_name("20250601-140000-plain-2014") / path.name
        plain.parent.mkdir()
        os.link(path, plain)
        patch.setattr(checkpoint, "read_card", lambda each: card if each == plain else checkpoint.Card(**monkey))
        app = opened("evaluate", model=plain.parent.name)
        assert next(each for each in app.get("button_group") if each.key == "split").value == "valid"
        app.selectbox(key="model").set_value(run.id).run()
        assert metrics(app)["Photos"] == "18", "of the folds, not of photos that it learned from"


def test_a_run_of_a_newer_version_is_listed_all_the_same(known: library.KnownSet) -> None:
    run = runs.create(TrainConfig(data=known.data))
    runs.write_json(run.folder / "config.json", {"colour": "green"})
    run.write_status(runs.Status(phase="finished"))
    app = opened("train", run=run.id)
    assert not app.exception
    assert "Unknown settings" in app.error[0].value


# Evaluate


@pytest.mark.usefixtures("known", "model")
def test_evaluating_shows_figures_matrix_and_table() -> None:
    app = opened("evaluate")
    assert not app.exception
    figures = metrics(app)
    assert figures["Right at first guess"] == "33.3%"
    assert "Right among five" not in figures, "with three kinds it says nothing"
    assert figures["Photos"] == "6"
    assert len(app.main.get("plotly_chart")) == 1
    table = app.dataframe[0].value.set_index("Kind")
    assert table["Found"].to_dict() == {"daffodil": 0.0, "rose": 100.0, "sunflower": 0.0}
    assert table["Photos"].sum() == 6
    assert table["Right when said"]["rose"] == pytest.approx(100 / 3)
    assert pd.isna(table["Right when said"]["daffodil"])


@pytest.mark.usefixtures("known", "model")
def test_many_photos_are_asked_about_on_request(monkeypatch) -> None:
    counts = Source.counts
    monkeypatch.setattr(Source, "counts", lambda self: {**counts(self), "valid": 501})
    app = opened("evaluate")
    assert not app.metric
    button(app, "Ask it about 501 photos").click().run()
    assert metrics(app)["Photos"] == "6"


@pytest.mark.usefixtures("known", "model")
def test_another_matrix_begins_with_its_own_worst_cell_and_one_model_in_memory_serves_all(monkeypatch) -> None:
    loaded = []
    load = predict.Classifier.__init__
    monkeypatch.setattr(predict.Classifier, "__init__", lambda self, path: (loaded.append(path), load(self, path))[1])
    app = opened("evaluate")
    worst = (app.selectbox(key="true").value, app.selectbox(key="called").value)
    app.selectbox(key="true").select("rose")
    app.selectbox(key="called").select("rose").run()
    app.get("segmented_control")[0].set_value("train").run()
    assert not app.exception
    assert (app.selectbox(key="true").value, app.selectbox(key="called").value) == worst
    assert len(loaded) == 1
    (text,) = [text for text in texts(app, "caption") if "Calibration error" in text]
    assert re.search(r"Calibration error \d+\.\d% \(\d+ to \d+ %\)", text)


@pytest.mark.usefixtures("known", "model")
def test_select_boxes_choose_a_cell_of_the_matrix() -> None:
    app = opened("evaluate")
    assert app.selectbox(key="called").value == "rose", "the most common mistake is shown at first"
    assert app.selectbox(key="true").value in ("daffodil", "sunflower")

    def shown(true: str, called: str) -> list[str]:
        app.selectbox(key="true").select(true)
        app.selectbox(key="called").select(called).run()
        assert not app.exception
        found = [re.fullmatch(r"(.+) \((59|60)\.\d\s%\)", unescaped(text)) for text in texts(app, "caption")]
        captions = [match[1] for match in found if match]
        assert len(captions) == len(app.main.get("image"))
        return captions

    assert shown("sunflower", "rose") == ["sunflower, called rose"] * 2
    assert shown("rose", "rose") == ["rose"] * 2
    assert shown("rose", "sunflower") == []
    assert len(shown("any kind", "rose")) == 6
    assert len(shown("any kind", "any kind")) == 6


@pytest.mark.usefixtures("known", "model")
def test_a_link_chooses_the_cell() -> None:
    again = opened("evaluate", true="daffodil", called="rose")
    assert (again.selectbox(key="true").value, again.selectbox(key="called").value) == ("daffodil", "rose")
    assert len(again.main.get("image")) == 2


@pytest.mark.usefixtures("known", "model")
def test_another_matrix_begins_with_its_own_cell_and_back_leads_to_the_one_before() -> None:
    app = opened("evaluate")
    app.selectbox(key="true").select("any kind").run()
    app.selectbox(key="called").select("any kind").run()
    before = dict(app.query_params)
    assert before["true"] == before["called"] == "any kind"
    next(each for each in app.get("button_group") if each.label == "Photos of").set_value("train").run()
    assert not {"true", "called"} & set(app.query_params)
    assert app.selectbox(key="called").value == "rose"
    app.query_params.clear()
    app.query_params.update(before)
    app.run()
    assert [app.selectbox(key=key).value for key in ("true", "called")] == ["any kind"] * 2


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


@pytest.mark.usefixtures("known", "model")
def test_the_test_set_opens_by_its_own_button_only() -> None:
    app = opened("evaluate", split="test")
    assert "one last, honest look" in app.warning[0].value
    assert not app.metric
    assert not app.main.get("plotly_chart")
    button(app, "Open the test set").click().run()
    assert metrics(app)["Photos"] == "6"
    assert not app.warning


@pytest.mark.usefixtures("model")
def test_kinds_that_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    library.remember(draw_set(tmp_path / "others", {"Train": 1, "Valid": 1}, ("lotus", "rose"), 24), "others")
    app = opened("evaluate")
    assert not app.exception
    assert len(app.error) == 1
    assert "lotus" in app.error[0].value
    assert "rose" not in app.error[0].value
    assert not [each for each in app.button if each.label.startswith("Ask")]


@pytest.mark.usefixtures("model")
def test_an_empty_split_is_said_to_be_empty(tmp_path: Path) -> None:
    library.remember(draw_set(tmp_path / "no test", {"Train": 1, "Valid": 1}, size=24), "no test")
    app = opened("evaluate", split="test")
    assert not app.exception
    assert "have no test split" in app.info[0].value


# Name a flower


@pytest.mark.usefixtures("model")
def test_a_photo_gets_an_answer_and_a_text_file_a_reason() -> None:
    app = opened("classify")
    files = [("mine.jpg", jpeg(), "image/jpeg"), ("letter.jpg", b"Dear all", "image/jpeg")]
    app.file_uploader(key="uploads").set_value(files).run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]
    answers = dict(bar.text.removesuffix("%").split(": ") for bar in app.progress)
    assert list(answers) == ["rose", "daffodil", "sunflower"]
    for kind, percent in answers.items():
        assert float(percent) / 100 == pytest.approx(PROBABILITIES[kind], abs=0.01)
    assert "letter.jpg" in texts(app, "text")
    assert app.error[0].value.startswith("Not a picture in a known format")


@pytest.mark.usefixtures("model")
def test_the_camera_gets_an_answer_too() -> None:
    app = opened("classify")
    app.get("segmented_control")[0].set_value("The camera").run()
    app.camera_input(key="camera").upload("photo.jpg", jpeg("sunflower"), "image/jpeg").run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]


@pytest.mark.usefixtures("model")
def test_names_of_uploaded_files_are_never_markdown() -> None:
    app = opened("classify")
    files = [(f"{TRAP}.jpg", jpeg(), "image/jpeg"), (f"{TRAP}.png", b"no picture", "image/png")]
    app.file_uploader(key="uploads").set_value(files).run()
    assert not app.exception
    assert len(app.progress) == 3
    assert f"{TRAP}.png" in texts(app, "text")
    formatted = texts(app, "markdown", "caption", "header", "subheader", "error", "info", "warning", "success")
    assert not [text for text in [*formatted, *(bar.text for bar in app.progress)] if "127.0.0.1" in text]


def test_a_damaged_checkpoint_is_not_offered(home: Path, model: str) -> None:
    damaged = home / "checkpoints" / "runs" / "20250601-130000-damaged-2014" / "best.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    app = opened("classify")
    assert not app.exception
    assert len(app.selectbox(key="model").options) == 1


def test_weights_that_are_cut_off_are_an_error_to_read(home: Path, rose_sayer: Path) -> None:
    cut = home / "checkpoints" / "runs" / "20250601-130000-cut-2014" / "best.safetensors"
    cut.parent.mkdir(parents=True)
    with open(rose_sayer, "rb") as whole:
        cut.write_bytes(whole.read(1_000_000))
    app = opened("classify")
    app.file_uploader(key="uploads").set_value([("mine.jpg", jpeg(), "image/jpeg")]).run()
    assert not app.exception
    assert [error.value for error in app.error] == ["The checkpoint is cut off or damaged."]
    assert not app.get("progress"), "nobody waits for it any more"
    assert cut.name in texts(app, "text")


def test_a_huge_photo_is_answered_and_shown_small(model: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (6000, 3000), "orange").save(buffer, "JPEG")
    app = opened("classify")
    app.file_uploader(key="uploads").set_value([("wide.jpg", buffer.getvalue(), "image/jpeg")]).run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]
