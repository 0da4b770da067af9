"""Train and Compare after a training's end: what is shown, what it is called, and where it leads."""

import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from app_pages import button, cross_validated, ended, metrics, opened, tables, texts, unescaped
from conftest import draw_set
from streamlit.testing.v1 import AppTest

from flowers_core import runs
from flowers_core.errors import RunError, StorageError
from flowers_core.network import checkpoint
from flowers_core.runs import trash
from flowers_core.settings import config, presets, recipes
from flowers_core.settings.config import TrainConfig, to_dict
from flowers_core.sources import library
from flowers_core.training import compare, cross_validate, lr_finder, worker
from flowers_core.ui import news, words
from flowers_core.ui.train import live, settings

pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.fixture
def finished(known: library.KnownSet, model: str) -> runs.Run:
    """A run with a model, which has just finished: 67 % with one look at each photo, 63 % (loss 1.25) with several."""
    run = runs.Run(runs.runs_dir() / model)
    runs.write_json(run.folder / "config.json", to_dict(TrainConfig(data=known.data)))
    run.record_facts({"counts": {"train": 12, "valid": 6}, "fingerprint": "f"})
    run.log({"kind": "step", "step": 1, "epoch": 1.0, "loss": 1.0, "lr": 0.02})
    run.log({"kind": "epoch", "step": 1, "epoch": 1, "train_loss": 1.1, "train_accuracy": 0.5, "valid_loss": 1.3,
             "valid_accuracy": 0.67})  # fmt: skip
    run.write_status(runs.Status(phase="finished", epoch=1, epochs=1, step=1, steps=1, best_accuracy=0.63,
                                 best_epoch=1))  # fmt: skip
    return run


def test_its_mistakes_are_looked_for_on_the_set_that_it_learned_from(
    finished: runs.Run,
    known: library.KnownSet,
) -> None:
    app = opened("train", run=finished.id, data="garden")
    (link,) = [each for each in app.main.get("page_link") if each.value == "See its mistakes"]
    assert f"data={known.id}" in link.proto.query_string
    assert f"model={finished.id}" in link.proto.query_string


def test_settings_of_a_run_bring_the_preset_that_is_nearest_and_say_what_differs(
    finished: runs.Run, known: library.KnownSet
) -> None:
    of_the_run = config.preset("quick", have=(12, 3), data=known.data, lr=0.0123)
    runs.write_json(finished.folder / "config.json", to_dict(of_the_run))
    app = opened("train", run=finished.id)
    button(app, "Use its settings").click().run()
    assert not app.exception
    preset = next(choice for choice in app.get("button_group") if choice.key == "set-preset")
    assert preset.value == "quick"
    assert app.number_input(key="set-lr").value == 0.0123
    assert [text for text in texts(app, "caption") if text == "Changed from the preset: learning rate."]


def test_a_training_is_named_by_its_preset_and_whether_somebody_changed_it(
    known: library.KnownSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_launch", lambda run: None)
    app = opened("train", data=known.id, run="new")
    button(app, "Start training").click().run()
    assert runs.list_runs()[0].name.endswith(": three kinds, Standard")
    app = opened("train", data=known.id, run="new")
    app.number_input(key="set-epochs").set_value(3).run()
    app.selectbox(key="set-variant").set_value("2012").run()
    button(app, "Start training").click().run()
    assert not app.exception
    names = [run.name for run in runs.list_runs()]  # both began in the same second, perhaps
    assert any(name.endswith(": three kinds, Standard, changed, AlexNet 2012") for name in names), names


def test_settings_are_kept_as_a_preset_and_trained_with(known: library.KnownSet) -> None:
    app = opened("train", data=known.id, run="new")
    app.number_input(key="set-epochs").set_value(3).run()
    assert any("Changed from the preset: epochs." in text for text in texts(app, "caption"))
    button(app, "Keep these settings").click().run()
    assert any("needs a name" in error.value for error in app.error)
    app.text_input(key="preset-name").set_value("For the lesson").run()
    button(app, "Keep these settings").click().run()
    assert not app.exception
    preset = next(choice for choice in app.get("button_group") if choice.key == "set-preset")
    assert preset.value == "for-the-lesson"
    assert "For the lesson" in [unescaped(option.content) for option in preset.proto.options]
    assert not any("Changed from the preset" in text for text in texts(app, "caption"))
    assert presets.take("for-the-lesson").epochs == 3
    again = opened("train", data=known.id, run="new")
    next(choice for choice in again.get("button_group") if choice.key == "set-preset").set_value("for-the-lesson").run()
    assert again.number_input(key="set-epochs").value == 3
    button(again, "Remove “For the lesson”").click().run()
    assert not again.exception
    assert "for-the-lesson" not in presets.every()
    preset = next(choice for choice in again.get("button_group") if choice.key == "set-preset")
    assert preset.value == "standard"


def test_what_it_learned_by_heart_is_no_progress_by_chance(finished: runs.Run) -> None:
    """The epoch that is kept may be a late one that is as good as the best, give or take chance."""
    said = {}
    for name, late in (("equal", 0.6), ("better", 0.9)):
        finished.metrics_path.unlink()
        for epoch in range(1, 11):
            early = epoch <= 3
            finished.log(
                {"kind": "epoch", "step": epoch, "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.99,
                 "valid_loss": 1.0 - 0.1 * epoch if early else 1.0 + 0.1 * epoch, "valid_rise": 0.0 if early else 1.0,
                 "valid_rise_error": 0.1, "valid_accuracy": 0.7 if early else late}
            )  # fmt: skip
        finished.write_status(runs.Status(phase="training", epoch=10, epochs=20, step=10, steps=20, best_epoch=9))
        with finished.locked():
            (warning,) = opened("train", run=finished.id).warning
        assert "Since epoch 3 it learns by heart" in warning.value
        said[name] = warning.value
    assert "You may stop it" in said["equal"]
    assert "right more often all the same. So let it go on." in said["better"]


def test_a_running_training_is_compared_by_the_same_speed_as_one_that_has_ended(finished: runs.Run) -> None:
    finished.write_status(
        runs.Status(phase="training", epoch=2, epochs=4, seconds=6, images_per_second=900, best_epoch=1)
    )
    with finished.locked():
        assert compare.reached(finished).images_per_second == 2 * 12 / 6
        finished.write_status(runs.Status(phase="training", epochs=4, seconds=1, images_per_second=900))
        assert compare.reached(finished).images_per_second == 900, "in the first epoch nothing else is known"
    finished.write_status(runs.Status(phase="finished", epoch=4, epochs=4, seconds=12, images_per_second=4.5))
    assert compare.reached(finished).images_per_second == 4.5


def test_its_figure_is_told_apart_from_the_curves(finished: runs.Run) -> None:
    app = opened("train", run=finished.id)
    (said,) = [text for text in texts(app, "markdown") if "The curve says" in text]
    assert "The curve says 67% there" in said
    assert "the network alone, with one look" in said
    assert "The finished model reaches its 63.0% with several looks, and with a second classifier" in said
    finished.write_status(replace(finished.status(), best_accuracy=0.67))
    assert not [text for text in texts(app.run(), "markdown") if "The curve says" in text]


def test_its_big_figures_are_those_of_its_model_once_it_has_ended(finished: runs.Run) -> None:
    network, card = checkpoint.load(finished.checkpoint_path)
    results = {**card.results, "valid_loss": 1.25}
    finished.checkpoint_path.unlink()  # a link to what other tests share
    checkpoint.save(finished.checkpoint_path, checkpoint.shrink(network), replace(card, results=results))
    app = opened("train", run=finished.id)
    shown = {"Training accuracy": "50%", "Validation accuracy": "66.7%"}
    assert metrics(app) == shown | {"Training loss": "1.100", "Validation loss": "1.250"}
    assert {metric.label: metric.delta for metric in app.metric}["Validation accuracy"] == "30% to 90%"
    assert compare.reached(finished).valid_loss == 1.25
    with finished.locked():  # it goes on: the last epoch's figures, as the curves have them
        finished.write_status(replace(finished.status(), phase="training"))
        app = opened("train", run=finished.id)
        assert metrics(app)["Validation accuracy"] == "67%"
        assert compare.reached(finished).valid_loss == 1.3
    finished.checkpoint_path.unlink()
    finished.write_status(replace(finished.status(), phase="finished"))
    assert metrics(opened("train", run=finished.id))["Validation loss"] == "1.300", "of the curve, where no model lies"


@pytest.mark.parametrize("local", [True, False])
def test_only_a_viewer_at_the_machine_sees_where_the_model_lies(
    local: bool, finished: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "is_local", lambda: local)
    app = opened("train", run=finished.id)
    assert [str(finished.checkpoint_path)] * local == [code for code in texts(app, "code") if "best" in code]
    homes = [link for link in app.main.get("page_link") if link.value.startswith("Take it home")]
    assert len(homes) == (not local)


def test_no_viewer_learns_where_photos_and_models_lie(finished: runs.Run, known: library.KnownSet, home: Path) -> None:
    start = home / "checkpoints" / "runs" / "20250601-130000-older-2014" / "best.safetensors"
    runs.write_json(finished.folder / "config.json", to_dict(TrainConfig(data=known.data, init=str(start))))
    finished.log_path.write_text(f"Run {finished.folder}\nOpening {known.data}\nError: {known.data}/Train/a.jpg\n")
    app = opened("train", run=finished.id)
    (log,) = [code for code in texts(app, "code") if "Opening" in code]
    name = Path(known.data).name
    assert log.splitlines() == [
        f"Run …/checkpoints/runs/{finished.id}",
        f"Opening {name}",
        f"Error: {name}/Train/a.jpg",
    ]
    settings_shown = tables(app)[0].set_index("Setting")["Value"]
    assert (settings_shown["Set"], settings_shown["Start from"]) == (known.name, "20250601-130000-older-2014")


def test_a_log_that_went_to_a_terminal_is_not_yet_to_come(finished: runs.Run) -> None:
    assert any("started in a terminal" in code for code in texts(opened("train", run=finished.id), "code"))


def test_who_comes_back_sees_what_has_just_ended_once(finished: runs.Run, known: library.KnownSet) -> None:
    app = opened("train")
    assert app.selectbox(key="run").value == finished.id
    app.switch_page("pages/home.py").run()
    app.query_params.clear()
    app.switch_page("pages/train.py").run()
    assert app.selectbox(key="run").value == settings.NEW, "it has been seen"


def test_what_ended_long_ago_is_shown_only_to_who_watched_it(finished: runs.Run, monkeypatch) -> None:
    status = finished.status()
    finished.write_status(replace(status, phase="training"))
    with finished.locked():
        app = opened("train")
        assert app.selectbox(key="run").value == finished.id
        app.switch_page("pages/home.py").run()
    finished.write_status(status)
    monkeypatch.setattr(news, "FRESH_S", 0.0)
    assert opened("train").selectbox(key="run").value == settings.NEW
    app.query_params.clear()
    app.switch_page("pages/train.py").run()
    assert app.selectbox(key="run").value == finished.id


def test_a_button_that_fails_says_why_once_and_takes_no_titles_place(finished: runs.Run, monkeypatch) -> None:
    def full(run: runs.Run) -> None:
        raise StorageError("Could not write (No space left on device)", run.folder, "Free some space and try again.")

    monkeypatch.setattr(worker, "pause", full)
    finished.write_status(replace(finished.status(), phase="training"))
    with finished.locked():
        app = opened("train", run=finished.id)
        button(app, "Pause").click().run()
        assert [unescaped(error.value) for error in app.error] == ["Could not write (No space left on device)."]
        assert [title.value for title in app.title] == ["Train"]
        assert not app.run().error


def test_what_is_measured_and_who_waits_is_told_in_the_sidebar(finished: runs.Run, known: library.KnownSet) -> None:
    test = runs.create(TrainConfig(data=known.data), lr_finder.new_folder())
    test.write_status(runs.Status(phase="training"))
    other = ended("2", known, "Second try")
    for run, phase in ((finished, "training"), (other, "queued")):
        run.write_status(replace(run.status(), phase=phase))
    with test.locked(), finished.locked(), other.locked():
        links = {link.value for link in opened("home").sidebar.get("page_link")}
    assert "A learning rate is measured" in links
    assert {"Second try is waiting", f"{finished.name} is running"} <= set(map(unescaped, links))


@pytest.mark.usefixtures("finished")
def test_who_has_chosen_a_set_sees_the_form_for_it_and_not_another_sets_training(tmp_path: Path) -> None:
    other = library.remember(draw_set(tmp_path / "other", {"Train": 2, "Valid": 1}, size=32), "other")
    app = opened("train", data=other.id)
    assert (app.selectbox(key="run").value, app.selectbox(key="data").value) == (settings.NEW, other.id)
    app = opened("photos", data=other.id)
    app.query_params.clear()
    app.switch_page("pages/train.py").run()
    assert (app.selectbox(key="run").value, app.selectbox(key="data").value) == (settings.NEW, other.id)


def test_a_new_training_begins_with_the_photos_of_the_one_that_was_shown(
    finished: runs.Run, known: library.KnownSet, tmp_path: Path
) -> None:
    other = library.remember(draw_set(tmp_path / "other", {"Train": 2, "Valid": 1}, size=32), "other")
    app = opened("photos", data=other.id)
    app.query_params.clear()
    app.query_params["run"] = finished.id
    app.switch_page("pages/train.py").run()
    button(app, "New training").click().run()
    assert (app.selectbox(key="run").value, app.selectbox(key="data").value) == (settings.NEW, known.id)
    app.selectbox(key="data").set_value(other.id).run()
    assert app.selectbox(key="data").value == other.id


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("others", [True, False])
def test_a_link_to_a_training_that_is_gone_says_so(others: bool, known: library.KnownSet) -> None:
    if others:
        ended("1", known)
    (said,) = opened("train", run="gone").toast
    assert "Not here (any more): “gone” (Training)" in unescaped(said.value)
    assert not opened("train").toast


def test_deleting_a_training_is_no_broken_link(finished: runs.Run) -> None:
    app = opened("train", run=finished.id)
    button(app, "Delete this training").click().run()
    assert not [text for text in texts(app, "warning") if "not there" in text]


def test_a_link_chooses_folds_once(known: library.KnownSet) -> None:
    app = opened("train", run="new", folds="5")
    assert app.number_input(key="set-folds").value == 5
    assert "folds" not in app.query_params
    assert "Cross-validation in 5 parts" in texts(app, "info")[0]
    assert any("trains 6 times" in text for text in texts(app, "caption"))
    app.number_input(key="set-folds").set_value(0).run()
    assert app.number_input(key="set-folds").value == 0
    assert not [text for text in texts(app, "info") if "Cross-validation" in text]


def test_cross_validation_is_offered_by_a_link_that_carries_it_where_there_is_something_to_tell(
    known: library.KnownSet, tmp_path: Path
) -> None:
    alone = library.remember(draw_set(tmp_path / "alone", {"Train": 2, "Valid": 1}, ("rose",), 24), "alone")

    def queries(data: str) -> list[str]:
        links = opened("photos", data=data).main.get("page_link")
        return [link.proto.query_string for link in links if link.value.startswith("Cross-validate")]

    (query,) = queries(known.id)
    assert {"folds=5", "run=new", f"data={known.id}"} <= set(query.lstrip("?").split("&"))
    assert not queries(alone.id), "with one kind there is nothing to tell apart"


def test_sets_and_their_photos_have_names_of_their_own_and_accuracies_are_not_compared_across(
    known: library.KnownSet,
) -> None:
    ended("1", known, "Here")
    elsewhere = ended("2", known, "There")
    compared = ["20250601-120001-x", "20250601-120002-x"]
    assert not opened("compare", compared=compared).warning
    runs.write_json(elsewhere.folder / "config.json", to_dict(TrainConfig(data="garden")))
    elsewhere.record_facts({"counts": {"train": 120, "valid": 30}, "fingerprint": "other"})
    app = opened("compare", compared=compared)
    different = tables(app)[1]
    assert different.loc["Set"].to_list() == [Path(known.data).name, "garden"]
    assert different.loc["Training photos"].to_list() == ["120", "120"]
    assert "can't be compared" in app.warning[0].value


def test_undo_brings_a_training_back_into_the_comparison(known: library.KnownSet) -> None:
    gone, stays = ended("1", known, "Gone"), ended("2", known, "Stays")
    app = opened("compare", compared=[gone.id, stays.id])
    app.button(key=f"delete-{gone.id}").click().run()
    assert app.multiselect(key="compared").value == [stays.id]
    button(app, "Undo").click().run()
    assert not app.exception
    assert set(app.multiselect(key="compared").value) == {gone.id, stays.id}


def test_saving_closes_the_popover(finished: runs.Run) -> None:
    app = opened("train", run=finished.id)
    app.session_state[f"keep-{finished.id}"] = True
    app.run()
    app.text_input(key=f"name-{finished.id}-{hash('')}").set_value("Ours")
    button(app, "Save").click().run()
    assert finished.name == "Ours"
    assert app.session_state[f"keep-{finished.id}"] is False


def test_a_range_test_tells_the_time_left_and_cancel_puts_it_away(known: library.KnownSet) -> None:
    test = runs.create(TrainConfig(data=known.data), lr_finder.new_folder())
    with test.locked():
        test.write_status(runs.Status(phase="training", epochs=1, step=20, steps=50, seconds=20.0))
        app = opened("train", run="new", **{"lr-test": test.id})
        assert app.main.progress[0].text == "Step 20 of 50 · 30 s left"
        button(app, "Cancel").click().run()
        assert not app.exception
        assert test.request() == "stop"
        assert not app.main.progress
        assert "lr-test" not in app.query_params
        assert button(app, "Measure")


def test_how_long_it_takes_follows_from_the_last_training_alike() -> None:
    """Steps by their speed, and what comes before the first of them."""
    counts = {"train": 120, "valid": 30}
    wanted = replace(config.preset("standard", have=(120, 30)), epochs=10)
    assert settings._expected_time(wanted, counts).startswith(
        "About 13 seconds on two fast cores, up to 38 seconds on slow ones"
    )
    for features_lr, speed in ((0.0, 40.0), (1.0, 1.0)):
        run = runs.create(replace(wanted, features_lr=features_lr))
        run.write_status(runs.Status("finished", images_per_second=speed, setup_seconds=12.0))
    assert "About 42 seconds, going by the last such training here" in settings._expected_time(wanted, counts)
    assert "About 4 minutes" in settings._expected_time(replace(wanted, folds=5), counts)
    run = runs.list_runs()[1]
    run.record_facts({"counts": {"train": 60}})
    assert "About 54 seconds, going by" in settings._expected_time(wanted, counts), "twice as many photos to look at"


def test_a_run_is_called_by_the_name_that_its_set_has_when_it_begins(
    known: library.KnownSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_launch", lambda run: None)
    library.change(known.id, name="Our meadow")
    run = worker.start(TrainConfig(data=known.data))
    assert "Our meadow" in run.name
    assert any("Our meadow" in option for option in opened("train").selectbox(key="run").options)


def test_a_paused_or_waiting_run_is_called_so(known: library.KnownSet) -> None:
    run = runs.create(TrainConfig(data=known.data))
    with run.locked():
        for phase, word in (("training", "running"), ("paused", "paused"), ("queued", "waiting its turn")):
            run.write_status(runs.Status(phase=phase, epochs=2, steps=4))
            assert live.title(run).endswith(f"({word})")


HAVE = (12, 3)
"""Training photos and kinds of the small set."""


def start_button(app: AppTest):
    return button(app, "Start training")


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


@pytest.mark.usefixtures("known")
def test_a_preset_with_a_network_of_its_own_takes_it_away_again() -> None:
    app = opened("train")
    for chosen in ("paper-2012", "quick"):
        app.get("segmented_control")[0].set_value(chosen).run()
        is_paper = chosen == "paper-2012"
        assert app.selectbox(key="set-variant").value == ("2012" if is_paper else "2014")
        assert app.selectbox(key="set-init").value == ("scratch" if is_paper else "imagenet")
    assert app.number_input(key="set-epochs").value == config.preset("quick", "imagenet", have=HAVE).epochs
    app.get("segmented_control")[0].set_value("paper-2012").run()
    app.selectbox(key="set-variant").select("readme").run()
    app.get("segmented_control")[0].set_value("standard").run()
    assert app.selectbox(key="set-variant").value == "readme", "chosen by hand since"


@pytest.mark.usefixtures("known")
def test_one_click_goes_back_to_the_preset_and_wrong_numbers_get_no_estimate() -> None:
    app = opened("train")
    usual = app.number_input(key="set-epochs").value
    app.number_input(key="set-epochs").set_value(999_999).run()
    assert app.warning
    assert not [text for text in texts(app, "caption") if text.startswith("About ")]
    button(app, "Back to the preset").click().run()
    assert app.number_input(key="set-epochs").value == usual
    assert not [each for each in app.button if each.label == "Back to the preset"]
    assert [text for text in texts(app, "caption") if text.startswith("About ")]


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


def test_a_run_that_comes_back_takes_its_old_place_among_those_compared(known: library.KnownSet) -> None:
    compared = [ended(number, known, number).id for number in "123"]
    app = opened("compare", compared=compared)
    next(each for each in app.button if each.key == f"delete-{compared[0]}").click().run()
    assert not app.exception
    assert app.multiselect(key="compared").value == compared[1:]
    assert any("is in the trash. Undo stands at the top" in toast.value for toast in app.toast)
    button(app, "Undo").click().run()
    assert app.multiselect(key="compared").value == compared, "its curve keeps its colour"


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
