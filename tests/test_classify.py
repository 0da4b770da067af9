"""Naming flowers on the page: one photo or many, samples, why, moved and turned, and what was wrong."""

import io
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiles
from app_pages import ROOT, button, jpeg, opened, tables, texts, unescaped
from browser_app import save_model
from conftest import KINDS, PROBABILITIES, draw_set
from PIL import Image
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from flowers_core import garden, runs
from flowers_core.evaluation import predict, robustness
from flowers_core.images import decode, to_jpeg
from flowers_core.network import alexnet, checkpoint
from flowers_core.photos import resplit
from flowers_core.photos.cache import decode_source
from flowers_core.sources import library, open_source, own
from flowers_core.ui.classify import many, samples, try_it, why
from flowers_core.ui.classify.answers import Answered, Picture
from flowers_core.ui.plain import harmless

pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.fixture(autouse=True)
def _few_hidden_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of 64 instead of 4096: models of 5 MB."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)


@pytest.fixture
def model(home: Path) -> Path:
    return with_model(home, PROBABILITIES)


def with_model(home: Path, probabilities: dict[str, float], run: str = "20250601-120000-three-kinds-2014") -> Path:
    path = home / "checkpoints" / "runs" / run / "best.safetensors"
    path.parent.mkdir(parents=True)
    save_model(path, probabilities)
    return path


def relearned(path: Path, **card: object) -> None:
    """Gives a checkpoint's card other values, as if it had been trained otherwise."""
    network, known = checkpoint.load(path)
    checkpoint.save(path, checkpoint.shrink(network), replace(known, **card))


def shown(*photos: bytes, **names: bytes) -> AppTest:
    """The page after an upload."""
    app = opened("classify")
    files = {f"{n}.jpg": photo for n, photo in enumerate(photos)} | {f"{name}.jpg": x for name, x in names.items()}
    return upload(app, files)


def upload(app: AppTest, files: dict[str, bytes]) -> AppTest:
    app.file_uploader(key="uploads").set_value([(name, x, "image/jpeg") for name, x in files.items()]).run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def look(app: AppTest, at: str) -> AppTest:
    next(control for control in app.get("segmented_control") if control.key == "look").set_value(at).run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def pictures(app: AppTest) -> int:
    return len(app.main.get("image"))


@pytest.mark.usefixtures("model")
def test_the_first_thing_is_the_way_in_and_nothing_is_to_be_configured() -> None:
    app = opened("classify")
    everything = [type(element).__name__ for element in _flat(app)]
    assert everything.index("FileUploader") < everything.index("Selectbox")


def _flat(app: AppTest) -> Iterator[object]:
    def walk(block):
        for child in block.children.values():
            yield child
            if hasattr(child, "children"):
                yield from walk(child)

    yield from walk(app.main)


@pytest.mark.usefixtures("model")
def test_a_photo_is_named_with_its_latin_name_a_line_and_a_reason() -> None:
    app = shown(jpeg())
    assert texts(app, "header") == ["Rose"]
    assert "*Rosa*" in texts(app, "markdown")
    assert any("Wild roses have five petals" in text for text in texts(app, "markdown"))
    assert pictures(app) == 2, "the photo, and where the network looked"


@pytest.mark.usefixtures("home")
def test_a_model_of_two_unknown_kinds_answers_too(home: Path) -> None:
    with_model(home, {"triffid": 0.9, "audrey": 0.1})
    app = shown(jpeg())
    assert texts(app, "header") == ["Triffid"]
    said = [unescaped(bar.text).removesuffix("%").split(": ") for bar in app.progress]
    assert [name for name, _ in said] == ["triffid", "audrey"]
    assert [float(share) for _, share in said] == pytest.approx([90.0, 10.0], abs=0.3), "rounded as bfloat16 does"


def test_a_sure_answer_is_never_said_to_be_certain(home: Path) -> None:
    with_model(home, {"rose": 1 - 2e-5, "daffodil": 1e-5, "sunflower": 1e-5})
    app = shown(jpeg())
    assert [unescaped(bar.text) for bar in app.progress] == ["rose: over 99.9%"]
    (others,) = [unescaped(text) for text in texts(app, "caption") if "under" in text]
    assert others in ("daffodil, sunflower: under 0.1% each", "sunflower, daffodil: under 0.1% each")
    look(app, "Moved and turned")
    assert [unescaped(bar.text) for bar in app.progress].count("rose: over 99.9%") == 2
    button(app, "Measure").click().run()
    (said,) = {row["said"] for row in chart_rows(app, 0) if row["said"]}
    assert said == "over 99.9%"
    several = shown(a=jpeg(), b=jpeg("sunflower")).dataframe[0]
    assert several.value["Probability"].min() > 0.999, "sorted as numbers"
    cells = convert_arrow_bytes_to_pandas_df(several.proto.arrow_data.styler.display_values)
    assert list(cells["Probability"]) == ["over 99.9%"] * 2


def chart_rows(app: AppTest, number: int) -> list[dict]:
    """The data of all layers of a chart."""
    datasets = app.main.get("vega_lite_chart")[number].proto.datasets
    return [row for each in datasets for row in convert_arrow_bytes_to_pandas_df(each.data.data).to_dict("records")]


def test_a_model_of_102_kinds_gives_five_names(home: Path) -> None:
    with_model(home, {f"kind {n}": (2 if n == 77 else 1) / 103 for n in range(102)})
    app = shown(jpeg())
    assert texts(app, "subheader")[0] == "Not sure. Perhaps: kind 77"
    assert len(app.progress) == 5


@pytest.mark.usefixtures("model")
def test_what_is_not_one_of_the_kinds_is_said_not_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsure(self, squares, top=5) -> list[predict.Prediction]:
        return [predict.Prediction(s.file, (("rose", 0.4), ("daffodil", 0.3)), known=False) for s in squares]

    monkeypatch.setattr(predict.Classifier, "classify_squares", unsure)
    app = shown(jpeg())
    assert texts(app, "header") == ["Not one of the 3 kinds, I think"]
    assert ":gray[If it had to be one of the 3:]" in texts(app, "markdown")
    assert "rose, daffodil" in [unescaped(text) for text in texts(app, "caption")]
    assert not any("40" in text for text in texts(app, "caption")), "a percentage would look like certainty, too"
    assert not any("Rosa" in text for text in texts(app, "markdown"))
    assert not app.progress, "a full bar would look like certainty"
    table = shown(a=jpeg(), b=jpeg("sunflower")).dataframe[0].value
    assert list(table["Name"]) == ["none of the kinds"] * 2
    assert list(table["Next guess"]) == ["rose"] * 2
    assert table["Probability"].isna().all()


def test_many_files_get_the_answers_that_each_gets_alone(model: Path) -> None:
    classifier = predict.Classifier(model)
    kinds = itertools.islice(itertools.cycle(PROBABILITIES), classifier.photos_at_once + 3)
    files = [(jpeg(name), f"{number}.jpg") for number, name in enumerate(kinds)]
    files[1], files[-1] = (b"no photo", "1.jpg"), (b"", "last.jpg")
    together = list(classifier.classify_files(iter(files), top=2))
    assert [p.file for p in together] == [name for _, name in files]
    assert [bool(p.error) for p in together] == [number in (1, len(files) - 1) for number in range(len(files))]
    for answer, (content, name) in zip(together, files, strict=True):
        alone = classifier.classify_file(content, name, top=2)
        assert (answer.error, answer.known) == (alone.error, alone.known)
        assert [guess for guess, _ in answer.top] == [guess for guess, _ in alone.top]
        assert [p for _, p in answer.top] == pytest.approx([p for _, p in alone.top], abs=0.01)
    assert list(classifier.classify_files([])) == []


@pytest.mark.usefixtures("model")
def test_many_photos_are_looked_at_once_and_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "VIEWS_AT_ONCE", 2)
    told, batches = [], []
    classify = predict.Classifier.classify_squares
    monkeypatch.setattr(
        predict.Classifier, "classify_squares", lambda self, s, top=5: batches.append(len(s)) or classify(self, s, top)
    )
    bar = DeltaGenerator.progress
    monkeypatch.setattr(
        DeltaGenerator, "progress", lambda self, value, text=None: told.append(text) or bar(self, value, text)
    )
    app = shown(*(jpeg(name) for name in [*PROBABILITIES] * 2), broken=b"no photo")
    assert batches == [2, 2, 2, 1]
    assert [text for text in told if "photos" in text] == [f"{done} of 7 photos" for done in (0, 2, 4, 6, 7)]
    app.run()
    assert len(batches) == 4, "answers are kept"


def test_a_name_that_the_model_is_unsure_of_is_no_headline(home: Path) -> None:
    with_model(home, {"rose": 0.4, "daffodil": 0.35, "sunflower": 0.25})
    app = shown(jpeg())
    assert not texts(app, "header")
    assert [unescaped(text) for text in texts(app, "subheader")][:1] == ["Not sure. Perhaps: rose"]
    assert "*Rosa*" in texts(app, "markdown")


# Who answers


@pytest.fixture
def built_in(tmp_path: Path) -> Path:
    """The model that comes with the project (its test's `shipped_dir`), older than any training."""
    path = tmp_path / "shipped" / "flowers.safetensors"
    path.parent.mkdir()
    save_model(path, {"lotus": 0.9, "rose": 0.1})
    os.utime(path, (1, 1))
    return path


def test_a_training_changes_who_answers_for_nobody_who_has_not_chosen_it(built_in: Path, model: Path) -> None:
    assert any(text.startswith("Ready: Built in") for text in texts(opened("home"), "text"))
    app = opened("evaluate")
    assert app.selectbox(key="model").value == model.parent.name, "one's own newest is judged"
    app.switch_page("pages/classify.py").run()
    assert app.selectbox(key="model").value == built_in.stem
    app.selectbox(key="model").set_value(model.parent.name).run()
    app.query_params.clear()
    app.switch_page("pages/home.py").run()
    assert any(text.startswith("Ready: three kinds") for text in texts(app, "text"))
    app.switch_page("pages/classify.py").run()
    assert app.selectbox(key="model").value == model.parent.name, "chosen once, it stays"
    assert opened("classify", model=model.parent.name).selectbox(key="model").value == model.parent.name


def test_others_trainings_do_not_change_which_model_is_judged_while_one_looks_around(home: Path, model: Path) -> None:
    app = opened("evaluate")
    newer = with_model(home, PROBABILITIES, "20250601-130000-newer-2014").parent.name
    app.switch_page("pages/photos.py").run()
    app.switch_page("pages/evaluate.py").run()
    assert app.selectbox(key="model").value == model.parent.name
    app.session_state["watched-runs"] = {newer: False}
    app.switch_page("pages/photos.py").run()
    app.switch_page("pages/evaluate.py").run()
    assert app.selectbox(key="model").value == newer, "one's own newest"


def test_a_model_that_still_learns_is_marked_and_answers_only_when_it_is_chosen(home: Path, model: Path) -> None:
    folder = with_model(home, PROBABILITIES, "20250601-130000-newer-2014").parent
    run = runs.Run(folder)
    os.utime(model, (1, 1))
    with run.locked():
        run.write_status(runs.Status(phase="training"))
        for page in ("classify", "evaluate"):
            box = opened(page).selectbox(key="model")
            assert box.value == model.parent.name
            assert [name.endswith("(still learning)") for name in box.options] == [True, False]
    run.write_status(runs.Status(phase="finished"))
    assert opened("evaluate").selectbox(key="model").value == folder.name


# Samples


def test_the_built_in_model_names_the_drawn_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails after the model was trained anew, `python -m checkpoints.choose_samples` finds others."""
    monkeypatch.setattr(alexnet, "HIDDEN", 4096)
    classifier = predict.Classifier(ROOT / "checkpoints" / "flowers30.safetensors")
    assert len({kind for kind, _ in samples.DRAWN}) == len(samples.DRAWN) >= 8
    answers = [classifier.classify(decode(samples.draw(kind, seed))) for kind, seed in samples.DRAWN]
    right = [a.known and a.top[0][0] == kind for a, (kind, _) in zip(answers, samples.DRAWN, strict=True)]
    assert np.mean(right) >= 0.75, dict(zip(samples.DRAWN, right, strict=True))


@pytest.mark.usefixtures("model")
def test_an_answer_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = predict.Classifier.classify_squares
    monkeypatch.setattr(
        predict.Classifier, "classify_squares", lambda self, s: asked.extend(x.file for x in s) or original(self, s)
    )
    app = shown(a=jpeg(), b=jpeg("sunflower"))
    assert sorted(asked) == ["a.jpg", "b.jpg"]
    app.selectbox(key=many.CHOSEN).set_value("1").run()
    look(app, "That's wrong")
    assert len(asked) == 2
    uploads = app.file_uploader(key="uploads")
    uploads._files = uploads._get_files_to_register()  # a browser keeps what it has uploaded
    uploads.upload("c.jpg", jpeg("daffodil"), "image/jpeg").run()
    assert sorted(asked) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_sample_shows_whether_the_answer_is_right(home: Path) -> None:
    (right, _), (other, _) = samples.DRAWN[:2]
    relearned(with_model(home, {right: 0.9, other: 0.1}), config={"data": "flowers102"})
    app = opened("classify")
    app.get("segmented_control")[0].set_value("A sample").run()
    assert any("Drawings, not photos:" in text for text in texts(app, "caption"))
    for kind, said in ((other, f"It is: {other}"), (right, "That is right")):
        tiles.click(app, next(n for n, tile in enumerate(tiles.shown(app)) if tile["id"] == f"drawn-{kind}"))
        assert not app.exception
        assert any(said in unescaped(text) for text in texts(app, "markdown"))


@pytest.mark.parametrize(("part", "told"), [("Test", "Test photos"), ("Valid", "Validation photos")])
def test_held_back_photos_of_ones_own_set_are_the_first_samples(
    part: str, told: str, model: Path, tmp_path: Path
) -> None:
    relearned(model, config={"data": "flowers102"})
    library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1, part: 1}, size=48), "mine")
    library.remember(draw_set(tmp_path / "other", {"Train": 1, "Valid": 1}, ("lotus", "azalea"), 48), "unknown kinds")
    app = opened("classify")
    app.get("segmented_control")[0].set_value("A sample").run()
    choice = app.get("segmented_control")[1]
    assert choice.options == [told, "Drawn flowers"], "short, whatever the set is called"
    assert any("Real photos of “mine”" in unescaped(text) for text in texts(app, "caption"))
    assert len(tiles.shown(app)) == len(KINDS)
    tiles.click(app, 1)
    assert not app.exception
    assert any("That is right" in text for text in texts(app, "markdown")), "the second kind is rose"


def test_photos_are_said_to_be_kept_apart_only_as_they_were_then(model: Path, tmp_path: Path) -> None:
    known = library.remember(draw_set(tmp_path / "set", {"": 6}, size=48), "mine")
    decoded = decode_source(open_source(known.data))
    counts = decoded.source.counts()
    assert counts["test"]
    relearned(model, config={"data": known.data}, data={"counts": counts, "fingerprint": decoded.fingerprint})
    app = opened("classify")
    app.get("segmented_control")[0].set_value("A sample").run()
    assert any("kept apart while the model learned" in text for text in texts(app, "caption"))
    resplit.change(decoded, replace(decoded.source.plan, seed=5))
    app.run()
    assert not app.exception
    assert not any("kept apart" in text for text in texts(app, "caption"))
    assert any("is not known" in text for text in texts(app, "caption"))


def test_photos_that_a_model_learned_from_are_not_offered_as_held_back(home: Path, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 1, "Valid": 1, "Test": 1}, size=48)
    known = library.remember(folder, "mine")
    card = checkpoint.read_card(with_model(home, PROBABILITIES))
    card = replace(card, config={"data": known.data}, data={"counts": {"train": 6, "valid": 3, "test": 0}})
    assert samples._held_back(card).split == "valid"
    card = replace(card, data={"counts": {"train": 3, "valid": 3, "test": 3}})
    assert samples._held_back(card).split == "test"


# A photo of a set, by a link


def linked_photo(known: library.KnownSet, split: str, kind: str) -> dict[str, str]:
    source = open_source(known.data)
    label = source.classes.index(kind)
    photo = next(photo for photo in source.photos if photo.split == split and photo.label == label)
    return {"data": known.id, "kind": kind, "photo": photo.id}


def test_a_photo_of_a_set_is_asked_about_by_a_link(model: Path, tmp_path: Path) -> None:
    known = library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1}, size=48), "mine")
    relearned(model, data={"fingerprint": decode_source(open_source(known.data)).fingerprint})
    proves = "proves memory, not skill"
    app = opened("classify", **linked_photo(known, "valid", "rose"))
    assert texts(app, "header") == ["Rose"]
    assert any("That is right" in text for text in texts(app, "markdown"))
    assert pictures(app) == 2, "the photo, and where the network looked"
    assert not any(proves in text for text in texts(app, "caption"))
    assert not app.get("file_uploader")
    other = opened("classify", **linked_photo(known, "train", KINDS[0]))
    assert any(f"It is: {KINDS[0]}" in unescaped(text) for text in texts(other, "markdown"))
    assert any(proves in text for text in texts(other, "caption"))
    assert not [link for link in app.main.get("page_link") if link.value == "Back to the matrix"]
    app.query_params["called"] = "rose"
    (link,) = [link for link in app.run().main.get("page_link") if link.value == "Back to the matrix"]
    assert link.proto.query_string == f"data={known.id}&called=rose"
    button(app, "Another photo").click().run()
    assert not app.query_params
    assert not app.exception
    assert app.get("file_uploader")
    assert not texts(app, "header")


def test_what_speaks_for_the_right_name_is_shown_too(home: Path, tmp_path: Path) -> None:
    with_model(home, {**{f"flower {n}": 0.19 for n in range(5)}, KINDS[0]: 0.05})
    known = library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1}, size=48), "mine")
    app = opened("classify", **linked_photo(known, "valid", KINDS[0]))
    choice = next(box for box in app.selectbox if box.label == "What speaks for")
    assert len(choice.options) == 6
    choice.set_value(KINDS[0]).run()
    assert not app.exception
    assert any(f"speaks for {KINDS[0]}" in unescaped(text) for text in texts(app, "caption"))


@pytest.mark.usefixtures("model")
def test_a_link_to_a_photo_that_is_gone_says_so_and_shows_the_ways_in(tmp_path: Path) -> None:
    known = library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1}, size=48), "mine")
    address = linked_photo(known, "valid", "rose")
    for gone in ({**address, "photo": "no-such-photo"}, {**address, "data": "no-such-set"}):
        app = opened("classify", **gone)
        assert not app.exception
        assert "a photo of rose" in unescaped(app.toast[0].value)
        assert app.get("file_uploader")
    source = open_source(known.data)
    next(photo for photo in source.photos if photo.id == address["photo"]).path.unlink()
    app = opened("classify", **address)
    assert not app.exception
    assert len(app.error) + len(app.toast) == 1, "decoded before, or listed anew"


# Why, and whether it holds


@pytest.mark.usefixtures("model")
def test_the_occlusion_scan_runs_on_request() -> None:
    app = shown(jpeg())
    assert pictures(app) == 2
    button(app, "Hide part by part").click().run()
    assert not app.exception
    assert pictures(app) == 3
    assert any("No single part matters" in text for text in texts(app, "caption")), "it never does"


@pytest.mark.usefixtures("model")
def test_sliders_change_the_photo_and_the_sweep_measures_all_along_each() -> None:
    app = look(shown(jpeg()), "Moved and turned")
    assert any("Still rose" in unescaped(text) for text in texts(app, "markdown"))
    app.slider(key="try-turn").set_value(90).run()
    app.slider(key="try-exposure").set_value(-2.0).run()
    assert not app.exception
    button(app, "Back to the photo as it is").click().run()
    assert app.slider(key="try-turn").value == 0
    button(app, "Measure").click().run()
    assert not app.exception
    assert len(app.main.get("vega_lite_chart")) == len(try_it.DIALS)
    assert any("holds for 100%" in unescaped(text) for text in texts(app, "caption"))


@pytest.mark.parametrize("dial", try_it.DIALS, ids=lambda dial: dial.field)
def test_a_slider_is_measured_from_end_to_end_and_where_it_does_nothing(dial: try_it.Dial) -> None:
    values = try_it.values_along(dial)
    assert (values[0], values[-1]) == (dial.low, dial.high)
    assert dial.neutral in values
    assert values == sorted(set(values))


def test_similar_photos_are_shown_where_they_are_at_hand_and_else_said_to_be_missing(
    home: Path, three_kinds: Path
) -> None:
    from flowers_core.photos.cache import decode_source
    from flowers_core.sources import open_source

    path = with_model(home, PROBABILITIES)
    app = look(shown(jpeg()), "Similar")
    assert "not on this computer" in app.info[0].value
    library.remember(three_kinds, "three kinds")
    fingerprint = decode_source(open_source(three_kinds)).fingerprint
    relearned(path, config={"data": str(three_kinds.resolve())}, data={"fingerprint": fingerprint})
    app = look(shown(jpeg()), "Similar")
    assert not app.info
    assert pictures(app) == 1 + 6
    assert any("nearest training photos" in text for text in texts(app, "markdown"))


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["rose"] * 6, "All 6 nearest training photos show rose."),
        (["rose", "lotus", "rose"], "Of the 3 nearest training photos, 2 show rose and 1 shows lotus."),
        (["a", "b", "b", "c", "b"], "Of the 5 nearest training photos, 3 show b, 1 shows a and 1 shows c."),
    ],
)
def test_photos_alike_are_summed_up(kinds: list[str], said: str) -> None:
    assert why.in_words(kinds) == said


# Many at once


@pytest.mark.usefixtures("model")
def test_many_photos_are_a_table_with_one_to_look_into_and_unreadable_ones_a_list() -> None:
    app = shown(a=jpeg(), b=jpeg("sunflower"), letter=b"Dear all")
    (table,) = (frame.value for frame in app.dataframe)
    assert "letter.jpg" in texts(app, "text")
    assert app.error[0].value.startswith("Not a picture in a known format")
    assert list(table["File"]) == ["a.jpg", "b.jpg"]
    assert list(table["Name"]) == ["rose", "rose"]
    assert table["Probability"].tolist() == pytest.approx([0.6, 0.6], abs=0.01)
    assert all(cell.startswith("data:image/jpeg;base64,") for cell in table["Photo"])
    app = shown(a=jpeg(), **{f"letter {n}": b"Dear all" for n in range(5)})
    (unreadable,) = tables(app)
    assert list(unreadable["File"]) == [f"letter {n}.jpg" for n in range(5)]
    assert set(unreadable["Reason"]) == {"Not a picture in a known format"}
    assert (texts(app, "header"), len(app.dataframe)) == (["Rose"], 0), "one answer needs no table"


def test_the_file_of_answers_is_complete_and_holds_no_formula() -> None:
    def answered(name: str, top: tuple, **more) -> Answered:
        return Answered(Picture(name, b"x", name), predict.Prediction(name, top, **more), b"")

    rows = [
        answered("=HYPERLINK(1).jpg", (("@kind", 0.75), ("rose", 0.25))),
        answered('comma, "quote"\n.jpg', (("rose", 1.0),), known=False),
        answered("cut.jpg", (), error="The picture is cut off", known=False),
    ]
    table = pd.read_csv(io.BytesIO(many.to_csv(rows)), encoding="utf-8-sig")
    assert table["file"].tolist() == ["'=HYPERLINK(1).jpg", 'comma, "quote"\n.jpg', "cut.jpg"]
    assert table["guess 1"].tolist()[:2] == ["'@kind", "rose"]
    assert table["known"].tolist() == [True, False, False]
    assert table["probability 2"][0] == 0.25
    assert np.isnan(table["probability 1"][2])
    assert table["error"][2] == "The picture is cut off"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "%0A", "|cmd"])
def test_no_text_begins_like_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["rose.jpg", "", "a=b", "täglich", "1.jpg", "'quoted"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


# That's wrong


@pytest.mark.usefixtures("model")
def test_a_corrected_photo_goes_into_my_own_set_and_can_be_taken_back() -> None:
    photo = jpeg("sunflower")
    app = look(shown(photo), "That's wrong")
    assert button(app, "Add it").disabled
    next(box for box in app.selectbox if box.label == "It really is").set_value("sunflower").run()
    button(app, "Add it").click().run()
    assert not app.exception
    assert unescaped(app.success[0].value) == "Added to My own set as sunflower."
    assert any("so far it has 1 photo of 1 kind." in text for text in texts(app, "caption"))
    assert "Look at My own set" in [link.value for link in app.main.get("page_link")]
    (added,) = own._photos().glob("*/*.jpg")
    assert added.parent.name == "sunflower"
    assert np.abs(np.asarray(decode(added), int) - np.asarray(decode(photo), int)).mean() < 3
    assert own.NAME in [known.name for known in library.known_sets()]
    for kind in ("rose", "sunflower"):
        for seed in range(5):
            own.add(samples.draw(kind, seed), kind)
    assert "Train on My own set" in [link.value for link in app.run().main.get("page_link")]
    for addition in own.additions()[:-1]:
        own.undo(addition)
    button(app, "Take it back").click().run()
    assert not app.exception
    assert not list(own._photos().glob("*/*.jpg"))
    assert not app.success


@pytest.mark.usefixtures("model")
def test_a_kind_that_the_model_does_not_know_is_typed_and_a_bad_name_is_refused() -> None:
    app = look(shown(jpeg()), "That's wrong")

    def add_as(kind: str) -> None:
        for press in (False, True):
            name = next(box for box in app.selectbox if box.label == "It really is")
            name.options.append(kind)  # the browser sends what somebody types, whether it is in the list or not
            name.set_value(kind)
            if press:
                button(app, "Add it").click()
            app.run()

    add_as("../up")
    assert "name of a kind" in unescaped(app.error[0].value)
    add_as("tulip")
    assert not app.exception
    assert [path.parent.name for path in own._photos().glob("*/*.jpg")] == ["tulip"]


@pytest.mark.usefixtures("model")
def test_a_wide_photo_is_answered_and_shown_small() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3000, 700), "orange").save(buffer, "JPEG")
    app = shown(buffer.getvalue())
    assert texts(app, "header") == ["Rose"]


# Memory and the Evaluate page


def test_weights_load_straight_in_the_format_that_answers(model: Path) -> None:
    torch = pytest.importorskip("torch")
    for name in ("float32", "bfloat16"):
        network, _ = checkpoint.load(model, name)
        assert {parameter.dtype for parameter in network.parameters()} == {getattr(torch, name)}


@pytest.mark.usefixtures("model")
def test_how_a_model_holds_is_measured_on_request(three_kinds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = robustness.CONDITIONS[:3]
    monkeypatch.setattr(robustness, "CONDITIONS", some)
    library.remember(three_kinds, "three kinds")
    app = opened("evaluate")
    before = len(app.main.get("vega_lite_chart"))
    button(app, "Change the photos and ask again").click().run()
    assert not app.exception
    assert len(app.main.get("vega_lite_chart")) == before + 1
    assert any("of 6 photos of 6" in text for text in texts(app, "caption"))


def test_nothing_heavy_is_imported_before_the_first_answer() -> None:
    code = """
import sys
from flowers_core.evaluation import explain, predict
from flowers_core.ui.classify import answers, correct, many, samples, take_home, try_it, why
heavy = {"captum", "sklearn", "scipy.stats", "scipy.optimize", "cleanlab", "optuna", "torchvision"}
sys.exit(" ".join(heavy & sys.modules.keys()) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("page", ["photos", "train"])
def test_a_set_that_nothing_can_be_learned_from_is_nowhere_the_first(page: str, tmp_path: Path) -> None:
    own.add(jpeg(), "azalea")
    assert opened(page).selectbox(key="data").value == "garden"
    assert not any(text.startswith("Yours") for text in texts(opened("home"), "text"))
    mine = library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1}, size=24), "mine")
    own.add(jpeg(), "sunflower")
    assert library.known_sets()[0].id == mine.id
    assert opened(page, data="own").selectbox(key="data").value == "own", "a link leads there all the same"
    assert "Yours: mine and 1 more set" in texts(opened("home"), "text")


@pytest.mark.parametrize("page", ["photos", "train"])
def test_a_few_photos_of_ones_own_do_not_take_the_place_of_a_whole_set(page: str, tmp_path: Path) -> None:
    mine = library.remember(draw_set(tmp_path / "set", {"Train": 1, "Valid": 1}, size=24), "mine")
    for seed, kind in enumerate(("rose", "azalea")):
        own.add(to_jpeg(garden.draw(kind, seed, 64)), kind)
    assert opened(page).selectbox(key="data").value == mine.id


def test_who_answers_stands_above_only_where_there_is_a_choice(home: Path) -> None:
    def labels(app: AppTest) -> list[str]:
        return [label for each in app.main if (label := getattr(each, "label", "")) in ("Who answers", "Photo from")]

    with_model(home, {"rose": 0.7, "lotus": 0.3})
    assert labels(opened("classify")) == ["Photo from", "Who answers"]
    other = home / "checkpoints" / "runs" / "other"
    other.mkdir()
    save_model(other / "best.safetensors", {"rose": 0.3, "lotus": 0.7})
    assert labels(opened("classify")) == ["Who answers", "Photo from"]
