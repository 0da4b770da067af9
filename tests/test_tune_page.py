"""The page of a search: its form, a search that goes on, one that ended, and its best as a preset."""

from dataclasses import replace
from pathlib import Path

import pytest
from app_pages import button, metrics, opened, tables, texts
from streamlit.testing.v1 import AppTest

from flowers_core import runs
from flowers_core.settings import config, presets
from flowers_core.sources import library
from flowers_core.storage import append_jsonl
from flowers_core.tuning import studies, tune
from flowers_core.tuning.studies import Plan, Study, Summary, Trial
from flowers_core.ui.tune import search, search_charts

pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.fixture
def known(three_kinds: Path) -> library.KnownSet:
    return library.remember(three_kinds, "three kinds")


@pytest.fixture
def study(known: library.KnownSet) -> Study:
    """Three trials of a plan of four."""
    base = replace(config.preset("standard"), data=known.data)
    study = studies.create(Plan(base, config.search_space(base), 4))
    trials = (
        Trial(0, "finished", {"lr": 0.001, "augmentation": "standard"}, 0.5, 1.0, 24),
        Trial(1, "pruned", {"lr": 0.02, "augmentation": "light"}, 0.2, None, 6, "Behind the others."),
        Trial(2, "finished", {"lr": 0.002, "augmentation": "strong"}, 4 / 6, 0.8, 24),
    )
    study.write_summary(Summary(trials, 2, {}, 6))
    return study


def test_the_form_starts_the_search_that_it_shows(known: library.KnownSet, monkeypatch) -> None:
    begun: list[Plan] = []
    monkeypatch.setattr(tune, "start", lambda plan: begun.append(plan) or studies.create(plan))
    app = opened("tune", data=known.id)
    assert not app.exception
    assert any("6 validation photos" in text and "luck" in text for text in texts(app, "info"))
    app.number_input(key="tune-trials").set_value(7).run()
    button(app, "Start the search").click().run()
    assert not app.exception
    (plan,) = begun
    assert (plan.trials, plan.config.data, plan.workers) == (7, known.data, 1)
    assert plan.space == config.search_space(plan.config)


def test_a_search_that_has_just_ended_stands_there_once_and_a_new_one_is_a_click_away(study: Study) -> None:
    study.tell("finished")
    app = opened("tune")
    assert app.selectbox(key="study").value == study.id
    button(app, "New search").click().run()
    assert app.selectbox(key="study").value == "new"
    app.query_params.clear()
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/tune.py").run()
    assert app.selectbox(key="study").value == "new", "it has been seen"
    assert opened("tune", data="garden").selectbox(key="study").value == "new"


def test_a_search_that_goes_on_can_be_stopped(study: Study) -> None:
    with study.worker():
        study.tell("running")
        app = opened("tune", study=study.id)
        assert not app.exception
        assert metrics(app)["Best on valid"] == "67%"
        assert metrics(app)["Cut short"] == "1"
        button(app, "Stop").click().run()
        assert study.state() == "stopping"


def test_trials_that_were_cut_short_are_drawn_apart_and_never_the_best_so_far(study: Study) -> None:
    trials = (*study.summary().trials, Trial(3, "pruned", {}, 0.99, None, 3), Trial(4, "finished", {}, 0.4, 1.4, 24))
    chart = search_charts.history(study.plan(), replace(study.summary(), trials=trials)).to_dict()
    hollow, line, full = chart["layer"]
    rows = {name: [(row["trial"], row["value"]) for row in found] for name, found in chart["datasets"].items()}
    assert rows[hollow["data"]["name"]] == [(2, 0.2), (4, 0.99)]
    assert rows[full["data"]["name"]] == [(1, 0.5), (3, 4 / 6), (5, 0.4)]
    assert rows[line["data"]["name"]] == [(1, 0.5), (3, 4 / 6), (5, 4 / 6)]
    assert hollow["mark"]["filled"] is False
    assert hollow["encoding"]["stroke"]["scale"] == {"domain": ["cut short"], "range": ["gray"]}
    assert "Hollow: cut short" in " ".join(texts(opened("tune", study=study.id), "caption"))


def test_how_trials_learn_is_drawn_from_the_first_epoch_on(study: Study) -> None:
    for number, figures in enumerate(([0.2, 0.5], [0.2], [0.3, 4 / 6], [0.1])):
        folder = study.trial(number).folder
        folder.mkdir(parents=True)
        for epoch, accuracy in enumerate(figures, 1):
            append_jsonl(folder / "metrics.jsonl", {"epoch": epoch, "valid_accuracy": accuracy})
    summary = replace(study.summary(), trials=(*study.summary().trials, Trial(3, "running", {})))
    chart = search_charts.learning(study.plan(), summary, search._curves(study, study.plan(), summary)).to_dict()
    others, these = (chart["datasets"][layer["data"]["name"]] for layer in chart["layer"])
    assert {row["trial"] for row in others} == {1, 2}
    assert [(row["trial"], row["value"], row["what"]) for row in these] == [
        (3, 0.3, search_charts.BEST), (3, 4 / 6, search_charts.BEST), (4, 0.1, "running"),
    ]  # fmt: skip
    many = replace(
        summary, trials=tuple(Trial(n, "finished", {}, 0.1, 1.0, 24) for n in range(search.SHOWN + 9)), best=0
    )
    assert sorted(search._curves(study, study.plan(), many)) == [0, *range(9, search.SHOWN + 9)]
    study.write_summary(Summary((Trial(3, "running", {}),), None, {}, 6))
    with study.worker():
        study.tell("running")
        app = opened("tune", study=study.id)
        assert not app.exception
        assert "How trials learn, with one look at each photo." in texts(app, "caption")


def test_the_time_left_follows_from_the_trials_that_have_ended(study: Study) -> None:
    plan, summary = study.plan(), study.summary()
    assert search._seconds_left(study, plan, Summary(()), 0.5) is None
    for number, seconds in enumerate((40.0, 10.0, 40.0)):
        study.trial(number).folder.mkdir(parents=True)
        study.trial(number).write_status(runs.Status("finished", seconds=seconds, setup_seconds=2.0))
    assert search._seconds_left(study, plan, summary, 0.5) == pytest.approx(0.5 * 32.0)
    assert search._seconds_left(study, plan, summary, 1.0) == 0.0


def test_why_nothing_is_said_of_what_matters(study: Study) -> None:
    def said() -> str:
        return next(
            text for text in texts(opened("tune", study=study.id), "info") if "made a diff" in text or "matter" in text
        )

    with study.worker():
        study.tell("running")
        assert said() == "Which settings matter shows after 6 complete trials."
    study.tell("stopped")
    assert said().endswith("can't be told from 2 complete trials: it takes 6. Go on with this search.")
    study.tell("finished")
    assert said().endswith("Start a search with more trials, or one that trains every trial to its end.")
    complete = tuple(Trial(n, "finished", {}, 0.5, 1.0, 24) for n in range(5))
    study.write_summary(Summary(complete, 0, {}, 6))
    assert said().endswith("from 5 complete trials: it takes 6. Start a search with more trials.")
    study.write_summary(Summary((*complete, Trial(5, "finished", {}, 0.5, 1.0, 24)), 0, {}, 6))
    assert said() == "No setting made a difference that shows: the complete trials are all equally good."


def test_an_interrupted_search_says_so_and_its_best_becomes_a_preset(study: Study) -> None:
    app: AppTest = opened("tune", study=study.id)
    assert not app.exception
    assert any("ended without a word" in text for text in texts(app, "error"))
    app.text_input(key="tune-name").set_value("Our garden").run()
    button(app, "Take it as a preset").click().run()
    assert not app.exception
    assert presets.take("our-garden").lr == 0.002
    train = opened("train")
    assert not train.exception
    assert any("Our garden" in str(group.options) for group in train.get("button_group"))


def test_a_search_that_found_nothing_better_says_so_and_offers_no_preset(study: Study) -> None:
    app = opened("tune", study=study.id)
    table = next(table for table in tables(app) if "Best" in table)
    assert dict(zip(table["Setting"], table["Best"], strict=True))["Varying the photos"] == "A lot"
    assert button(app, "Take it as a preset")
    study.write_summary(replace(study.summary(), best=0))
    app = opened("tune", study=study.id)
    assert not app.exception
    assert any("No trial beat the settings that the search began with" in text for text in texts(app, "info"))
    assert not [each for each in app.button if each.label == "Take it as a preset"]


def test_the_sidebar_stays_empty_on_the_page_that_shows_the_search(study: Study) -> None:
    with study.worker():
        study.tell("running")
        assert not opened("tune", study=study.id).sidebar.children
        assert [link.value for link in opened("home").sidebar.get("page_link")] == ["A search is running"]
