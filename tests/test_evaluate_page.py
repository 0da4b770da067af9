"""Evaluate in detail: whose photos these are, how sure the figures are, and where a photo leads."""

import html
import os
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from app_pages import button, cross_validated, metrics, opened, texts, unescaped
from conftest import draw_set
from streamlit.testing.v1 import AppTest

from flowers_core import runs
from flowers_core.errors import CheckpointError
from flowers_core.evaluation import evaluate, predict
from flowers_core.network import checkpoint
from flowers_core.photos.cache import decode_source
from flowers_core.runs import trash
from flowers_core.settings.config import TrainConfig, to_dict
from flowers_core.sources import Source, library, open_source
from flowers_core.ui import charts, models

pytestmark = pytest.mark.usefixtures("nothing_kept")


def learned_from(patch: pytest.MonkeyPatch, known: library.KnownSet, path: Path) -> None:
    """Makes the model's card say that it learned from a set as it is now."""
    values = asdict(checkpoint.read_card(path)) | {
        "config": to_dict(TrainConfig(data=known.data)),
        "data": {"data": known.name, "fingerprint": decode_source(open_source(known.data)).fingerprint},
    }
    patch.setattr(checkpoint, "read_card", lambda _: checkpoint.Card(**values))


def captions(app: AppTest) -> str:
    return " ".join(texts(app, "caption"))


def test_photos_of_another_set_are_not_said_to_be_what_it_learned_from(
    known: library.KnownSet,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned_from(monkeypatch, known, runs.Run(runs.runs_dir() / model).checkpoint_path)
    other = library.remember(draw_set(tmp_path / "other", {"Train": 1, "Valid": 1}, size=24), "other")
    assert "the photos it learned from" in captions(opened("evaluate", data=known.id, split="train"))
    assert "Held back while learning" in captions(opened("evaluate", data=known.id, split="valid"))
    for split in ("train", "valid"):
        said = captions(opened("evaluate", data=other.id, split=split))
        assert "and from none of these photos" in said
        assert "the photos it learned from" not in said
        assert "Held back" not in said


def test_a_set_that_has_changed_since_is_said_to_have(tmp_path: Path, model: str, monkeypatch) -> None:
    folder = draw_set(tmp_path / "growing", {"Train": 2, "Valid": 1}, size=24)
    growing = library.remember(folder, "growing")
    learned_from(monkeypatch, growing, runs.Run(runs.runs_dir() / model).checkpoint_path)
    (folder / "Train" / "rose" / "2.jpg").unlink()
    assert "has changed since the model learned from it" in captions(opened("evaluate", data=growing.id))


def test_answers_find_their_photos_by_content(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 1, "Valid": 2}, size=24)
    before = decode_source(open_source(folder))
    answers = [
        evaluate.Answer(photo.name, str(photo.path), photo.label, (0,), (1.0,), entry.digest)
        for photo, entry in zip(before.source.photos, before.entries, strict=True)
    ]
    assert evaluate.places(answers, before) == list(range(9))
    roses = folder / "Valid" / "rose"
    for old, new in (("1.jpg", "x"), ("2.jpg", "1.jpg"), ("x", "2.jpg")):
        (roses / old).rename(roses / new)
    (folder / "Valid" / "sunflower" / "1.jpg").rename(folder / "Valid" / "sunflower" / "renamed.jpg")
    (folder / "Train" / "rose" / "1.jpg").unlink()
    after = decode_source(open_source(folder))
    found = dict(zip(answers, evaluate.places(answers, after), strict=True))
    assert {answer.photo for answer, place in found.items() if place is None} == {"Train/rose/1.jpg"}
    assert all(after.entries[i].digest == answer.digest for answer, i in found.items() if i is not None)
    old = replace(answers[-1], digest="")
    assert evaluate.places([old], before) == [8], "reports of earlier versions know names alone"


def test_folds_show_no_photos_of_another_set_that_has_the_same_names(
    known: library.KnownSet, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs.Run(runs.runs_dir() / model).checkpoint_path
    runs.write_json(path.parent / "config.json", to_dict(TrainConfig(data=known.data, folds=3)))
    cross_validated(known, runs.Run(path.parent), folds=3, done=3)
    values = asdict(checkpoint.read_card(path)) | {"config": to_dict(TrainConfig(data=known.data, folds=3))}
    monkeypatch.setattr(checkpoint, "read_card", lambda _: checkpoint.Card(**values))
    assert opened("evaluate").main.get("image")
    other = library.remember(draw_set(tmp_path / "other", {"Train": 2, "Valid": 2}, size=32), "other")
    app = opened("evaluate", data=other.id)
    assert not app.exception
    assert not app.main.get("image")
    assert any("in this cell, not in the set that is chosen above" in text for text in texts(app, "info"))


@pytest.mark.usefixtures("model")
def test_a_photo_in_a_cell_leads_to_its_own_page(known: library.KnownSet) -> None:
    app = opened("evaluate")
    links = [link for link in app.main.get("page_link") if link.value == "Its own page"]
    assert len(links) == len(app.main.get("image")) == 2
    query = dict(parse_qsl(links[0].proto.query_string.lstrip("?")))
    assert query["data"] == known.id
    page = opened("photos", **query)
    assert texts(page, "header") == [query["kind"]]
    assert "Valid/" in " ".join(texts(page, "text"))
    why = [link for link in app.main.get("page_link") if link.value == "Why?"]
    query = dict(parse_qsl(why[0].proto.query_string.lstrip("?")))
    asked = opened("classify", **query)
    assert query["model"] == asked.selectbox(key="model").value
    assert any(f"It is: {query['kind']}" in unescaped(text) for text in texts(asked, "markdown"))
    (link,) = [link for link in page.main.get("page_link") if link.value == "What a model says"]
    assert dict(parse_qsl(link.proto.query_string.lstrip("?"))) == query, "with the matrix's model"


def test_a_model_that_is_deleted_while_one_looks_at_it_is_said_to_be_gone(known: library.KnownSet, model: str) -> None:
    other = runs.Run(runs.runs_dir() / "20250601-140000-other-2014")
    shutil.copytree(runs.runs_dir() / model, other.folder)
    other.set_label("Monday's lesson", "")
    runs.write_json(other.folder / "config.json", to_dict(TrainConfig(data=known.data)))
    other.write_status(runs.Status(phase="finished"))
    app = opened("evaluate", model=other.id)
    assert app.selectbox(key="model").value == other.id
    trash.delete(other)
    app.run()
    assert not app.exception
    assert app.selectbox(key="model").value == model
    (said,) = app.toast
    assert "Monday's lesson" in unescaped(said.value)
    assert not app.run().toast, "once"


def test_a_classifier_whose_file_is_gone_is_an_error_that_pages_show(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="The model is gone"):
        models.classifier(tmp_path / "best.safetensors")


def test_long_names_leave_the_matrix_its_room() -> None:
    long = "a flower <b>whose</b> name is longer than any " * 3
    figure = charts.confusion(np.eye(2, dtype=int), ("rose", long), False, dark=False)
    assert figure.layout.xaxis.ticktext[0] == "rose"
    assert len(html.unescape(figure.layout.yaxis.ticktext[1])) == charts.LABEL
    assert html.escape(long, quote=False) in figure.data[2].hovertext[1], "whole where one points at it"


@pytest.mark.parametrize("dark", [True, False])
def test_right_and_wrong_cells_of_the_matrix_have_colours_of_their_own(dark: bool) -> None:
    right, wrong, _ = charts.confusion(np.array([[8, 2], [0, 5]]), ("rose", "tulip"), False, dark).data
    assert np.isnan(right.z).tolist() == [[False, True], [True, False]]
    assert np.isnan(wrong.z).tolist() == [[True, False], [False, True]]
    assert (right.zmax, wrong.zmax) == (8, 2), "a mistake is seen beside many that are right"
    assert np.array(right.text).tolist() == [["8", ""], ["", "5"]], "no number lies under another's cell"
    assert right.colorscale[-1] != wrong.colorscale[-1]
    assert right.colorscale[0][1] == wrong.colorscale[0][1], "where nothing was, nothing is coloured"


def test_a_model_is_first_asked_about_the_set_that_it_learned_from(
    known: library.KnownSet, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_from(monkeypatch, known, runs.Run(runs.runs_dir() / model).checkpoint_path)
    newer = library.remember(draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=24), "newer")
    assert opened("train").selectbox(key="data").value == newer.id
    assert opened("evaluate").selectbox(key="data").value == known.id
    assert opened("evaluate", data=newer.id).selectbox(key="data").value == newer.id


def test_photos_that_a_model_has_learned_from_are_counted_in_another_set(
    known: library.KnownSet, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_from(monkeypatch, known, runs.Run(runs.runs_dir() / model).checkpoint_path)
    other = draw_set(tmp_path / "other", {"Train": 1, "Valid": 1}, size=24)
    copied = sorted((Path(known.data) / "Train" / "rose").iterdir())[:2]
    for number, path in enumerate(copied):
        shutil.copy(path, other / "Valid" / "rose" / f"again {number}.jpg")
    other = library.remember(other, "other")
    (warning,) = texts(opened("evaluate", data=other.id, split="valid"), "warning")
    assert "from 2 of these 5 photos too" in warning
    apart = opened("evaluate", data=other.id, split="train")
    assert not apart.warning
    assert "and from none of these photos" in captions(apart)


def test_the_set_that_evaluate_begins_with_is_no_choice_for_other_pages(
    known: library.KnownSet, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_from(monkeypatch, known, runs.Run(runs.runs_dir() / model).checkpoint_path)
    newer = library.remember(draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=24), "newer")
    app = opened("evaluate")
    assert app.selectbox(key="data").value == known.id
    app.query_params.clear()
    assert app.switch_page("pages/train.py").run().selectbox(key="data").value == newer.id
    app.switch_page("pages/evaluate.py").run().selectbox(key="data").set_value(newer.id).run()
    assert app.selectbox(key="data").value == newer.id, "chosen by hand"
    assert app.run().selectbox(key="data").value == newer.id


def test_what_a_model_learned_from_is_told_only_of_photos_as_they_were(
    known: library.KnownSet, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw_set(tmp_path / "growing", {"Train": 2, "Valid": 1}, size=24)
    growing = library.remember(folder, "growing")
    learned_from(monkeypatch, growing, runs.Run(runs.runs_dir() / model).checkpoint_path)
    assert "and from none of these photos" in captions(opened("evaluate", data=known.id))
    (folder / "Train" / "rose" / "2.jpg").unlink()
    assert "unless some lie in both" in captions(opened("evaluate", data=known.id))


def test_answers_of_a_model_that_was_replaced_meanwhile_stay_until_the_present_one_is_asked(
    known: library.KnownSet, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ask = runs.Run(runs.runs_dir() / model).checkpoint_path, evaluate.ask

    def replaced(*arguments: object) -> evaluate.Report:
        report = ask(*arguments)
        os.utime(path)
        return report

    monkeypatch.setattr(evaluate, "ask", replaced)
    app = opened("evaluate", data=known.id)
    assert "answers of the model before" in captions(app)
    app.selectbox(key="true").set_value("rose").run()
    assert "answers of the model before" in captions(app)
    assert app.metric
    assert not (path.parent / "reports").exists()
    monkeypatch.setattr(evaluate, "ask", ask)
    button(app, "Ask the present one").click().run()
    assert "answers of the model before" not in captions(app)
    assert app.metric
    assert (path.parent / "reports").exists()


@pytest.mark.usefixtures("known", "model")
def test_evaluating_shows_figures_matrix_and_table() -> None:
    app = opened("evaluate")
    assert not app.exception
    figures = metrics(app)
    assert figures["Right at first guess"] == "33.3%"
    assert "Right among five" not in figures, "with three kinds it says nothing"
    assert figures["Photos"] == "6"
    assert "With so few of each kind they say little" in captions(app)
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
    assert re.search(r"Calibration error \d+\.\d% \(\d+ to \d+%\)", text)


@pytest.mark.usefixtures("known", "model")
def test_select_boxes_choose_a_cell_of_the_matrix() -> None:
    app = opened("evaluate")
    assert app.selectbox(key="called").value == "rose", "the most common mistake is shown at first"
    assert app.selectbox(key="true").value in ("daffodil", "sunflower")

    def shown(true: str, called: str) -> list[str]:
        app.selectbox(key="true").select(true)
        app.selectbox(key="called").select(called).run()
        assert not app.exception
        found = [re.fullmatch(r"(.+) \((59|60)\.\d%\)", unescaped(text)) for text in texts(app, "caption")]
        captions = [match[1] for match in found if match]
        assert len(captions) == len(app.main.get("image"))
        return captions

    assert shown("sunflower", "rose") == ["sunflower, called rose"] * 2
    assert shown("rose", "rose") == ["rose"] * 2
    assert shown("rose", "sunflower") == []
    assert len(shown("any kind", "rose")) == 6
    assert len(shown("any kind", "any kind")) == 6
    mistakes = shown("any kind", "any wrong kind")
    assert sorted(mistakes) == ["daffodil, called rose"] * 2 + ["sunflower, called rose"] * 2


@pytest.mark.usefixtures("known", "model", "nothing_kept")
def test_nothing_moves_once_the_photos_are_open() -> None:
    """A browser knows panels by their places: one that moved would close, and hide what it was asked for."""
    app = opened("evaluate")
    places = [(place, type(each).__name__) for place, each in app.main.children.items()]
    assert "Expander" in dict(places).values()
    app.run()
    assert [(place, type(each).__name__) for place, each in app.main.children.items()] == places


def test_where_no_mistake_is_worse_than_another_all_are_shown(known, model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowers_core.evaluation.metrics.most_confused", lambda confusion, limit: [(0, 1, 1)])
    app = opened("evaluate")
    assert [app.selectbox(key=key).value for key in ("true", "called")] == ["any kind", "any wrong kind"]
    assert len(app.main.get("image")) == 4


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
