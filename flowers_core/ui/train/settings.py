"""The form of a new training: data, preset, and every setting, all drawn from the fields of TrainConfig."""

import functools
from dataclasses import fields, replace
from datetime import date

import streamlit as st

from flowers_core import runs
from flowers_core.errors import FlowersError
from flowers_core.machine import memory
from flowers_core.network.checkpoint import find_checkpoints, read_card
from flowers_core.photos.cache import DecodedSource
from flowers_core.runs.speed import measured_speed
from flowers_core.settings import config, presets, recipes
from flowers_core.settings.config import PRESETS, Preset, TrainConfig
from flowers_core.sources.library import KnownSet
from flowers_core.training import worker
from flowers_core.ui import words
from flowers_core.ui.choices import describe
from flowers_core.ui.errors import guarded, show_error
from flowers_core.ui.plain import plain
from flowers_core.ui.train import finder

FIRST_ROW = ("epochs", "batch_size", "lr", "augmentation", "seed")
"""Settings shown at once; the others wait under "All settings"."""

HIDDEN = presets.OTHERS
"""Settings with widgets of their own."""

NEW = "new"
"""Stands for the form where a run's id would stand."""

BEFORE = "set-before"
"""The network and the start that a preset has put its own in the place of."""

REFERENCE = {"trained": (90.0, 12.0, 0.0), "frozen": (550.0, 4.0, 0.055)}
"""Of variant 2014 on two cores with bfloat16 instructions, by what becomes of the convolutions: photos a second,
seconds to start, and seconds for the first looks at each photo."""

SLOWER = 3
"""A machine without such instructions takes up to so many times as long."""

FIELDS = {setting.name: setting for setting in fields(TrainConfig)}
VARIANT_TITLES = {
    "2014": "2014: one tower, the fastest; can start from ImageNet",
    "2012": "2012: the paper's, with local response normalisation and two groups",
    "readme": "This project's first sketch: 96, 96, 256, 256, 384 filters",
}


def form(known: KnownSet, decoded: DecodedSource) -> None:
    """Everything one can set, with what to expect, and the start button."""
    source = decoded.source
    counts = source.counts()
    st.caption(
        f"{words.count(len(source.classes), 'kind')}: {words.count(counts['train'], 'photo')} to learn from (train), "
        f"{counts['valid']:,} to check on while learning (valid), {counts['test']:,} kept for the end (test)."
    )
    left, right = st.columns(2)
    with left:
        variant = st.selectbox(
            "AlexNet", config.VARIANTS, format_func=VARIANT_TITLES.get, key="set-variant", persist_state="session",
            on_change=_change_variant, help="Which of the three networks learns.",
        )  # fmt: skip
    with right:
        beginnings = starts(variant)
        if st.session_state.get("set-init", "imagenet") not in beginnings:  # a model that was deleted meanwhile
            st.session_state["set-init"] = next(iter(beginnings))
        init = st.selectbox(
            "Start from", list(beginnings), format_func=beginnings.get, key="set-init", persist_state="session",
            on_change=_change_start, help="Where the weights begin. From scratch needs many more photos.",
        )  # fmt: skip
    every = presets.every()
    if st.session_state.get("set-preset") not in every:  # nobody has chosen; or a person's own was removed meanwhile
        st.session_state["set-preset"] = memory.usual_preset()
    preset = st.segmented_control(
        "Preset", list(every), required=True, key="set-preset",
        format_func=lambda name: plain(every[name].title), persist_state="session", on_change=_choose_preset,
    )  # fmt: skip
    if memory.advice():
        st.info(memory.advice(), icon=":material/memory:")
    have = counts["train"], len(source.classes)
    if st.session_state.get("set-have") != have or f"set-{FIRST_ROW[0]}" not in st.session_state:
        st.session_state["set-have"] = have  # other photos may need another recipe
        _take_preset(preset, init)
    if every[preset].by_photos:
        st.markdown(recipes.choose(init, *have).why)
    else:
        st.markdown(every[preset].expect if preset in PRESETS else plain(every[preset].expect))
    start = st.container()  # above the settings, most of which nobody needs: so it is on the first screen
    with st.grid(len(FIRST_ROW), min_column_width=150):
        for name in FIRST_ROW:
            _widget(name)
    with st.expander("All settings", icon=":material/tune:"), st.grid(3, min_column_width=220):
        for name in FIELDS:
            if name not in FIRST_ROW and name not in HIDDEN:
                _widget(name)

    values = {name: st.session_state[f"set-{name}"] for name in FIELDS if name not in HIDDEN}
    wanted = replace(TrainConfig(), data=known.data, variant=variant, init=init, **values)
    problems = [words.in_words(problem) for problem in wanted.problems()]
    without = [name for name, (train, *_) in zip(source.classes, decoded.counts, strict=True) if not train]
    if len(source.classes) < 2:
        problems.append("Training needs at least two kinds of flowers.")
    if without:
        problems.append(f"These kinds have no training photos: {', '.join(without)}.")
    _keep_as_preset(wanted, preset, bool(problems))
    finder.panel(wanted, bool(problems), functools.partial(set_by_hand, "lr"))
    with start:
        _say_what_differs(presets.changed(wanted, preset, have))
        _offer_to_start(wanted, presets.called(wanted, preset, have), problems, counts)


def _say_what_differs(names: list[str]) -> None:
    if names:
        with st.container(horizontal=True, vertical_alignment="center"):
            changed = ", ".join(words.name_of(name) for name in names).lower()
            st.caption(f"Changed from the preset: {changed}.", width="content")
            st.button("Back to the preset", icon=":material/undo:", type="tertiary", on_click=_back_to_the_preset)


def _keep_as_preset(wanted: TrainConfig, preset: str, is_wrong: bool) -> None:
    """A name, and the settings stand among the presets; one that a person made can be removed."""
    with st.popover("Keep as a preset", icon=":material/bookmark_add:", key="preset-box", on_change="rerun"):
        st.text_input("Name of the preset", key="preset-name", max_chars=40)
        st.button(
            "Keep these settings", type="primary", key="keep-preset", on_click=guarded(_keep), args=(wanted,),
            disabled=is_wrong,
        )  # fmt: skip
        if preset not in PRESETS:
            title = plain(presets.every()[preset].title)
            st.button(f"Remove “{title}”", key="remove-preset", on_click=guarded(_remove), args=(preset, title))


def _keep(wanted: TrainConfig) -> None:
    title = st.session_state["preset-name"]
    st.session_state["set-preset"] = presets.save(title, f"Your own settings, kept on {date.today():%d %b %Y}.", wanted)
    st.session_state["preset-name"], st.session_state["preset-box"] = "", False
    st.toast(f"Kept: {plain(title)}.", icon=":material/bookmark_added:")


def _remove(preset: str, title: str) -> None:
    presets.remove(preset)
    st.session_state["preset-box"] = False
    st.toast(f"“{title}” is removed. Its settings still stand in the form.", icon=":material/bookmark_remove:")


def _back_to_the_preset() -> None:
    _touched().clear()
    _take_preset()


def _offer_to_start(wanted: TrainConfig, called: str, problems: list[str], counts: dict[str, int]) -> None:
    for problem in problems:
        st.warning(plain(problem), icon=":material/warning:")
    if wanted.folds:
        st.caption(
            f"Cross-validation trains {wanted.folds + 1} times: {wanted.folds} models that each answer for photos they "
            "never saw, to judge the recipe; and a last one on all training and validation photos, to use."
        )
    elif not counts["valid"]:
        st.info("There are no validation photos, so nobody will see whether it learns or memorises.")
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Start training", type="primary", icon=":material/play_arrow:", disabled=bool(problems))
        if pressed and not problems:  # a click may be on its way while the last number turns out wrong
            _start(wanted, called)
        if not problems:
            st.caption(_expected_time(wanted, counts))
    if first := next(iter(runs.active_runs()), None):
        st.caption(f"“{plain(first.name)}” is not over yet, so this one waits until it is.")


def take(settings: TrainConfig) -> None:
    """Fills the form with the settings of a run, all but its photos; for a callback."""
    state = st.session_state
    state["set-variant"], state["set-init"] = settings.variant, settings.init
    state.pop(BEFORE, None)
    state["set-preset"] = _nearest_preset(settings)
    for name in FIELDS:
        if name not in HIDDEN:
            state[f"set-{name}"] = getattr(settings, name)
            _touched().add(name)


def _nearest_preset(settings: TrainConfig) -> str:
    """The preset that has the most of these settings; among equals the first."""

    def others(name: str) -> int:
        usual = presets.take(name, settings.init, st.session_state.get("set-have"))
        return sum(getattr(settings, field) != getattr(usual, field) for field in FIELDS if field not in HIDDEN)

    return min(presets.every(), key=others)


def set_by_hand(name: str, value: object) -> None:
    """Sets one setting as if somebody had typed it; for a callback."""
    st.session_state[f"set-{name}"] = value
    _touched().add(name)


def _widget(name: str) -> None:
    """One setting as a widget; its help and choices are the field's own.

    Number fields have no range of their own: a browser keeps back a number beyond it, and Start would use the one
    before. So every number arrives, and the config says what is wrong with it.
    """
    setting = FIELDS[name]
    rule, key = setting.metadata, f"set-{name}"
    common = {"key": key, "help": rule["help"], "persist_state": "session", "on_change": _touched().add,
              "args": (name,)}  # fmt: skip
    if rule["choices"]:
        st.selectbox(words.name_of(name), rule["choices"], format_func=lambda value: words.say(name, value), **common)
    elif setting.type is int:
        st.number_input(words.name_of(name), step=1, **common)
    else:
        step = 0.05 if name in ("dropout", "label_smoothing", "warmup", "mixup") else 10.0**-4
        st.number_input(words.name_of(name), step=step, format="%.6g", **common)


def _touched() -> set[str]:
    """The settings that this person set by hand: another network or start leaves them alone."""
    return st.session_state.setdefault("set-by-hand", set())


def _preset() -> Preset:
    """The chosen preset; the standard one where a person's own was deleted meanwhile."""
    return presets.every().get(st.session_state["set-preset"], PRESETS["standard"])


def _choose_preset() -> None:
    """Takes all the preset's settings; one that starts from scratch by itself also brings its network, and takes it
    away again."""
    state = st.session_state
    chosen = _preset()
    if chosen.start == "scratch":
        state.setdefault(BEFORE, (state["set-variant"], state["set-init"]))
        state["set-variant"], state["set-init"] = chosen.from_scratch.get("variant", "2014"), "scratch"
    elif before := state.pop(BEFORE, None):
        state["set-variant"], state["set-init"] = before
    _back_to_the_preset()


def _change_start() -> None:
    state = st.session_state
    state.pop(BEFORE, None)
    state["starts-by-variant"] = state.get("starts-by-variant", {}) | {state["set-variant"]: state["set-init"]}
    _take_preset()


def _change_variant() -> None:
    """Comes back to what this network started from before; what another one starts from may not fit it."""
    state = st.session_state
    state.pop(BEFORE, None)
    usual = _preset().start if state["set-variant"] == "2014" else "scratch"
    state["set-init"] = state.get("starts-by-variant", {}).get(state["set-variant"], usual)
    _take_preset()


def _take_preset(preset: str | None = None, init: str | None = None) -> None:
    """Fills every widget that nobody has set by hand with the preset's value for the chosen start."""
    state = st.session_state
    preset, init = preset or state.get("set-preset", "standard"), init or state.get("set-init", "imagenet")
    if state.get("set-variant", "2014") != "2014" and init.startswith("imagenet"):
        init = "scratch"
    chosen = presets.take(preset if preset in presets.every() else "standard", init, state.get("set-have"))
    for name in FIELDS:
        if name not in HIDDEN and name not in _touched():
            state[f"set-{name}"] = getattr(chosen, name)


def starts(variant: str) -> dict[str, str]:
    """What a run of this variant can start from, and how to say so."""
    found = {"scratch": "Nothing: random weights (from scratch)"}
    if variant == "2014":
        found = {
            "imagenet": "ImageNet: convolutions that saw a million photos",
            "imagenet-full": "ImageNet with its fully connected layers (233 MB download)",
            **found,
        }
    for path in find_checkpoints():
        if read_card(path).variant == variant:
            found[str(path)] = f"My model: {describe(path)}"
    return found


def _expected_time(wanted: TrainConfig, counts: dict[str, int]) -> str:
    measured = measured_speed(wanted, counts["train"])
    if not measured and wanted.variant != "2014":
        return "How long it takes shows after the first training of this network with such a start here."
    photos = counts["train"]  # validation is part of the measured speed
    if wanted.folds:
        photos = (counts["train"] + counts["valid"]) * wanted.folds  # k times all but one part, and once all
    if measured:
        speed, setup = measured
        seconds = wanted.epochs * photos / speed + setup * (wanted.folds + 1)
        return (
            f"About {words.span_in_words(seconds)}, going by the last such training here ({speed:.0f} photos a "
            "second, validation included)."
        )
    speed, start, looks = REFERENCE["trained" if wanted.features_lr else "frozen"]
    seconds = wanted.epochs * photos / speed + start * (wanted.folds + 1) + looks * photos
    return (
        f"About {words.span_in_words(seconds)} on two fast cores, up to {words.span_in_words(SLOWER * seconds)} on "
        "slow ones; the first such training here will tell."
    )


def _start(wanted: TrainConfig, called: str) -> None:
    try:
        run = worker.start(wanted, called)
    except FlowersError as error:
        show_error(error)
        return
    st.session_state["started-run"] = run.id
    st.rerun()
