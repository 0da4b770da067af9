"""A search for settings on the page: what to try, how far it is, what it found, and what is luck."""

from dataclasses import replace

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.machine import memory
from flowers_core.photos.cache import DecodedSource
from flowers_core.runs.speed import measured_speed
from flowers_core.settings import config, presets
from flowers_core.settings.config import Search
from flowers_core.sources import name_of
from flowers_core.sources.library import KnownSet
from flowers_core.storage import tail
from flowers_core.tuning import studies, tune
from flowers_core.tuning.studies import Plan, Study, Summary
from flowers_core.ui import frame, news, words
from flowers_core.ui.errors import guarded, leave_to_the_page, show_error
from flowers_core.ui.plain import plain
from flowers_core.ui.text_table import text_table
from flowers_core.ui.train import live
from flowers_core.ui.train.settings import VARIANT_TITLES, starts
from flowers_core.ui.tune import search_charts as charts

NEW = "new"
"""Stands for the form where a search's id would stand."""

EVERY_S = 2.0
"""Seconds between two looks at a living search."""

LOG_LINES = 14
SHOWN = 30
"""Trials whose curves are drawn at most; the best one is always among them."""

SHARE_OF_EPOCHS = 0.6
"""About this share of all epochs is trained when hopeless trials are cut short."""

WORDS = {
    "starting": ("Starting", "blue"),
    "queued": ("Waiting its turn", "orange"),
    "running": ("Searching", "green"),
    "stopping": ("Stopping", "orange"),
    "finished": ("Finished", "green"),
    "stopped": ("Stopped", "orange"),
    "failed": ("Failed", "red"),
    "interrupted": ("Interrupted", "red"),
}
PRUNER_TITLES = {
    "median": "Cut short what is worse than half of the others",
    "hyperband": "Give few epochs to many, more to the best (Hyperband)",
    "none": "Train every trial to its end",
}


def title(study: Study) -> str:
    """A study in one line, for a list. Says nothing that changes while it runs."""
    state, summary = study.state(), study.summary()
    try:
        what = name_of(study.plan().config.data)
    except FlowersError:
        what = "unknown settings"
    best = summary.best_trial()
    reached = f", best {best.accuracy:.0%}" if best and best.accuracy is not None else ""
    ended = "running" if state in studies.ALIVE else WORDS[state][0].lower() + reached
    return f"{study.started:%d %b %H:%M:%S}: {what} ({ended})"


def first_shown(every_study: list[Study]) -> Study | None:
    """See `news.first_shown`."""
    return news.first_shown(
        "studies",
        every_study,
        studies.ALIVE,
        lambda study: study.plan().config.data,
        lambda study: study.told()["time"],
    )


def begin_anew() -> None:
    """Shows the form in place of a search; for a callback."""
    st.session_state["started-study"] = NEW


def form(known: KnownSet, decoded: DecodedSource) -> None:
    """What to search, with what to expect, and the start button."""
    counts = decoded.source.counts()
    look = {"persist_state": "session"}
    left, right = st.columns(2)  # their longest choices would not fit three beside each other
    with left:
        variant = st.selectbox(
            "AlexNet", config.VARIANTS, format_func=VARIANT_TITLES.get, key="tune-variant", **look,
            help="Which of the three networks learns.",
        )  # fmt: skip
    with right:
        beginnings = starts(variant)
        init = st.selectbox(
            "Start from", list(beginnings), format_func=beginnings.get, key="tune-init", **look,
            help="Where the weights of every trial begin.",
        )  # fmt: skip
    with left:
        every = presets.every()
        preset = st.selectbox(
            "Search around", list(every), index=list(every).index(memory.usual_preset()), key="tune-preset", **look,
            format_func=lambda name: every[name].title,
            help="The preset whose settings are the first trial, and which sets everything that is not searched.",
        )  # fmt: skip
    with right:
        pruner = st.selectbox(
            "Hopeless trials", studies.PRUNERS, format_func=PRUNER_TITLES.get, key="tune-pruner", **look
        )
    have = decoded.source.counts()["train"], len(decoded.source.classes)
    base = replace(presets.take(preset, init, have), data=known.data, variant=variant)
    space = config.search_space(base)
    names = st.multiselect(
        "Settings to search", list(space), default=list(space), format_func=words.name_of, key=f"tune-space-{init}",
        help="The fewer there are, the sooner a search says something about each.",
    )  # fmt: skip
    with st.grid(4, min_column_width=150):
        trials = st.number_input("Trials", value=20, key="tune-trials", **look, help="Trainings to compare.")
        epochs = st.number_input(
            "Epochs", value=base.epochs, key=f"tune-epochs-{preset}-{init}", help="Of each trial, at most."
        )
        objective = st.selectbox(
            "Make best", studies.OBJECTIVES, format_func=charts.OBJECTIVE_TITLES.get, key="tune-objective", **look,
            help="Accuracy counts right answers. Loss also counts how sure they were, and so tells more apart.",
        )  # fmt: skip
        workers = st.number_input(
            "At a time", value=1, key="tune-workers", **look,
            help="Trials that run side by side. They share the processor, so more than one seldom pays on a laptop.",
        )  # fmt: skip
    with st.expander("What is tried for each", icon=":material/straighten:"):
        text_table(
            {"Setting": [words.name_of(name) for name in names], "Tried": [_tried(name, space[name]) for name in names],
             "First trial": [_value(name, getattr(base, name)) for name in names]}
        )  # fmt: skip
    plan = Plan(replace(base, epochs=epochs), {name: space[name] for name in names}, trials, pruner, objective, workers)
    problem = _problem(plan, decoded)
    if problem:
        st.warning(plain(problem), icon=":material/warning:")
    elif counts["valid"] < 300:
        st.info(_luck(0.75, counts["valid"], "about 75%"), icon=":material/casino:")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Start the search", type="primary", icon=":material/play_arrow:", disabled=bool(problem)):
            _start(plan)
        st.caption(_expected_time(plan, counts))
    _own_presets(every)


def watch(study: Study) -> None:
    """The study's panel; looks again every few seconds while a process works on it."""
    alive = study.state() in studies.ALIVE
    news.watch("studies", study, alive)
    st.fragment(_panel, run_every=EVERY_S if alive else None)(study, alive)
    if not alive:
        _take(study)


def _panel(study: Study, was_alive: bool) -> None:
    leave_to_the_page()
    state = study.state()
    if (state in studies.ALIVE) != was_alive:
        st.rerun()
    try:
        plan = study.plan()
    except FlowersError as error:
        show_error(error)
        return
    summary, (word, color) = study.summary(), WORDS[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        if state in studies.ALIVE:
            st.button(
                "Stop", icon=":material/stop:", on_click=guarded(study.ask_to_stop), width=120,
                disabled=state == "stopping",
                key=f"stop-{study.id}", help="What was found so far is kept, and the search can go on later.",
            )  # fmt: skip
        elif state != "finished":
            st.button(
                "Go on", icon=":material/play_arrow:", type="primary", width=120, key=f"go-{study.id}",
                on_click=guarded(tune.resume), args=(study,),
            )  # fmt: skip
        st.badge(word, color=color)
    _say_how_it_goes(study, state, plan, summary)
    _figures(summary)
    finished = [trial for trial in summary.trials if trial.state == "finished"]
    if summary.trials:
        _charts(study, plan, summary)
    if finished:
        _what_mattered(summary, state)
        best = summary.best_trial()
        st.info(_luck(best.accuracy, summary.valid_n, f"{best.accuracy:.0%}", finished), icon=":material/casino:")
    if summary.trials:
        with st.expander("All trials"):
            st.dataframe(_table(plan, summary), hide_index=True)
    with st.expander("Log"):
        log = live.without_folders(tail(study.log_path, LOG_LINES), lambda: plan.config)
        st.code(log or "Nothing yet.", language=None, wrap_lines=True)


def _say_how_it_goes(study: Study, state: str, plan: Plan, summary: Summary) -> None:
    told = study.told()
    if state in ("running", "stopping"):
        parts = [f"{summary.done()} of {plan.trials} trials"]
        share = 0.0
        for trial in summary.trials:
            if trial.state == "running":
                status = study.trial(trial.number).status()
                share += status.share_done
                now = status.message if status.part else f"epoch {min(status.epoch + 1, plan.config.epochs)}"
                parts.append(f"trial {trial.number + 1}: {now}")
        if state == "running" and (left := _seconds_left(study, plan, summary, share)):
            parts.append(f"about {words.span(left)} left")
        st.progress(min(1.0, (summary.done() + share) / plan.trials), " · ".join(parts))
    elif state in ("starting", "queued"):
        st.info(told["message"] or "The search is starting.", icon=":material/hourglass_top:")
    elif state == "failed":
        show_error(FlowersError(str(told["message"]).rstrip("."), None, str(told["hint"])))
    elif state == "interrupted":
        st.error(
            "The search ended without a word: it was killed, ran out of memory, or the machine went down. "
            "Nothing that was found is lost; go on, and the trial that was cut off is made again.",
            icon=":material/power_off:",
        )
    elif state == "stopped":
        st.info(f"Stopped after {summary.done()} of {plan.trials} trials.", icon=":material/stop_circle:")


def _seconds_left(study: Study, plan: Plan, summary: Summary, share: float) -> float | None:
    """Going by the trials that have ended; None before there is one.

    Args:
        share: of one trial, that those which run now have done, taken together.
    """
    ended = [trial.number for trial in summary.trials if trial.state in ("finished", "pruned")]
    if not ended:
        return None
    each = sum(study.trial(number).status().seconds_in_all for number in ended) / len(ended)
    return each * max(0.0, plan.trials - len(ended) - share) / plan.workers


def _figures(summary: Summary) -> None:
    best, states = summary.best_trial(), [trial.state for trial in summary.trials]
    with st.grid(4, min_column_width=140):
        st.metric("Best on valid", f"{best.accuracy:.0%}" if best else "–", border=True)
        st.metric("Complete", states.count("finished"), border=True)
        st.metric("Cut short", states.count("pruned"), border=True)
        st.metric("Failed", states.count("failed"), border=True)


def _charts(study: Study, plan: Plan, summary: Summary) -> None:
    left, right = st.columns(2)
    with left:
        curves = _curves(study, plan, summary)
        st.altair_chart(charts.learning(plan, summary, curves), alt="How trials learn", key="tune-learning")
        last = f" The best, and the last {SHOWN}." * (len(summary.trials) > SHOWN)
        st.caption(f"How trials learn, with one look at each photo.{last}")
    with right:
        st.altair_chart(
            charts.history(plan, summary), alt="Every trial's figure, and the best so far", key="tune-history"
        )
        hollow = "Hollow: cut short, with what one look at each photo reached by then. "
        st.caption(
            hollow * any(trial.state == "pruned" for trial in summary.trials)
            + "What each trial reached in the end, with several looks and with a second classifier that joins then."
        )


def _curves(study: Study, plan: Plan, summary: Summary) -> dict[int, list[tuple[int, float]]]:
    """(epoch, figure) points of the last trials and of the best one."""
    numbers = {trial.number for trial in summary.trials[-SHOWN:]} | ({summary.best} - {None})
    name = f"valid_{plan.objective}"
    return {
        number: [(record["epoch"], record[name]) for record in study.trial(number).metrics()[0] if name in record]
        for number in sorted(numbers)
    }


def _what_mattered(summary: Summary, state: str) -> None:
    if summary.importance:
        st.altair_chart(charts.importance(summary), alt="Which settings made the difference", key="tune-importance")
        st.caption("Which settings made the difference, as far as so few trials can tell.")
    else:
        st.info(_why_no_importance(summary, state), icon=":material/bar_chart:")


def _why_no_importance(summary: Summary, state: str) -> str:
    least, states = tune.LEAST_FOR_IMPORTANCE, [trial.state for trial in summary.trials]
    complete = states.count("finished")
    if complete >= least:
        return "No setting made a difference that shows: the complete trials are all equally good."
    if state in studies.ALIVE:
        return f"Which settings matter shows after {least} complete trials."
    text = f"Which settings matter can't be told from {words.count(complete, 'complete trial')}: it takes {least}. "
    if state != "finished":
        return text + "Go on with this search."
    return text + (
        "Start a search with more trials, or one that trains every trial to its end."
        if "pruned" in states
        else "Start a search with more trials."
    )


def _take(study: Study) -> None:
    """The best trial's settings, its model, and how to keep them as a preset."""
    summary = study.summary()
    best = summary.best_trial()
    if best is None:
        return
    try:
        base = study.plan().config
    except FlowersError:
        return
    is_own = all(getattr(base, name) == value for name, value in best.settings.items())
    st.subheader("The best: the settings that it began with" if is_own else f"The best: trial {best.number + 1}")
    if any(row.accuracy == best.accuracy and row.number != best.number for row in summary.trials):
        st.caption("Others are right as often; this one is surer of what is right (its loss is lower).")
    if is_own:
        st.info(
            "No trial beat the settings that the search began with, so there is nothing to take over. More trials, or "
            "fewer settings to search, may still find something.",
            icon=":material/check:",
        )
        if (trial := study.trial(best.number)).checkpoint_path.exists():
            live.leads(trial)
        return
    text_table(
        {"Setting": [words.name_of(name) for name in best.settings],
         "Best": [_value(name, value) for name, value in best.settings.items()],
         "Before": [_value(name, getattr(base, name)) for name in best.settings]}
    )  # fmt: skip
    if (trial := study.trial(best.number)).checkpoint_path.exists():
        live.leads(trial)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the preset", f"Best of {summary.done()}", max_chars=40, key="tune-name")
        if st.button("Take it as a preset", icon=":material/bookmark_add:", type="primary"):
            try:
                kept = tune.save_best(study, name)
            except FlowersError as error:
                show_error(error)
            else:
                st.session_state["preset-kept"] = kept
    if kept := st.session_state.pop("preset-kept", None):
        st.success(f"Kept. It stands among the presets of *Train*, and as `--preset {kept}` on the command line.")
        frame.link("train", "Train with it", "model_training")


def _own_presets(every: dict[str, config.Preset]) -> None:
    own = {name: preset for name, preset in every.items() if name not in config.PRESETS}
    if not own:
        return
    with st.expander(f"Your presets ({len(own)})", icon=":material/bookmark:"):
        for name, preset in own.items():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(f"{preset.title}: {preset.expect}")
                st.button(
                    "Remove",
                    key=f"remove-{name}",
                    icon=":material/delete:",
                    on_click=guarded(presets.remove),
                    args=(name,),
                )


def _start(plan: Plan) -> None:
    try:
        study = tune.start(plan)
    except FlowersError as error:
        show_error(error)
        return
    st.session_state["started-study"] = study.id
    st.rerun()


def _problem(plan: Plan, decoded: DecodedSource) -> str:
    source = decoded.source
    if not source.counts()["valid"]:
        return "There are no validation photos, and a search needs some to compare its trials on."
    if len(source.classes) < 2:
        return "Training needs at least two kinds of flowers."
    try:
        plan.check()
    except FlowersError as error:
        return str(error)
    return ""


def _luck(accuracy: float, n: int, named: str, finished: list[studies.Trial] | None = None) -> str:
    """How much of a difference between trials is luck, for people."""
    within = studies.luck(accuracy, n)
    text = (
        f"With {n} validation photos one photo is worth {100 / n:.1f} points. At an accuracy of {named}, two trials "
        f"less than {100 * within:.0f} points apart may differ by luck alone."
    )
    if finished and len(finished) > 1:
        close = sum(trial.accuracy >= accuracy - within for trial in finished)
        text += f" {close} of {len(finished)} complete trials lie that close to the best."
    return text + " The best of many looks better than it is: expect somewhat less on new photos."


def _expected_time(plan: Plan, counts: dict[str, int]) -> str:
    measured = measured_speed(plan.config, counts["train"])
    if measured is None:
        return "How long it takes shows after the first training of this network with such a start here."
    speed, setup = measured
    share = 1.0 if plan.pruner == "none" else SHARE_OF_EPOCHS
    seconds = plan.trials * (share * plan.config.epochs * counts["train"] / speed + setup)
    return f"About {words.span_in_words(seconds)}, going by the last training here. You may leave the page."


def _table(plan: Plan, summary: Summary) -> dict:
    trials = summary.trials
    return {
        "Trial": [trial.number + 1 for trial in trials],
        "How it ended": [charts.TRIAL_WORDS[trial.state] for trial in trials],
        "Valid accuracy": ["" if trial.accuracy is None else f"{trial.accuracy:.1%}" for trial in trials],
        "Valid loss": ["" if trial.loss is None else f"{trial.loss:.3f}" for trial in trials],
        "Epochs": [trial.epoch for trial in trials],
        **{
            words.name_of(name): [
                _value(name, trial.settings[name]) if name in trial.settings else "" for trial in trials
            ]
            for name in plan.space
        },
        "Why": [trial.why for trial in trials],
    }


def _tried(name: str, rule: Search) -> str:
    if rule.choices:
        return ", ".join(words.say(name, choice) for choice in rule.choices)
    return f"{rule.low:g} to {rule.high:g}" + (", equal factors equally likely" if rule.log else "")


def _value(name: str, value: object) -> str:
    return words.say(name, float(f"{value:.3g}") if isinstance(value, float) else value)
