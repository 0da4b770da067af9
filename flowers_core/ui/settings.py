"""The form of a new training: data, preset, and every setting, all drawn from the fields of TrainConfig."""

from dataclasses import fields, replace

import streamlit as st

from flowers_core import config, runs, worker
from flowers_core.cache import DecodedSource
from flowers_core.checkpoint import find_checkpoints, read_card
from flowers_core.config import PRESETS, TrainConfig
from flowers_core.errors import FlowersError
from flowers_core.sources.library import KnownSet
from flowers_core.ui.choices import describe, show_error
from flowers_core.ui.plain import plain

FIRST_ROW = ("epochs", "batch_size", "lr", "augmentation", "seed")
"""Settings shown at once; the others wait under "All settings"."""

HIDDEN = ("data", "variant", "init")
"""Settings with widgets of their own."""

REFERENCE_SPEED = {"2014": 47.0}
"""Photos a second of the standard preset on two cores with bfloat16 instructions (docs/experiments.md)."""

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
        f"{len(source.classes)} kinds: {counts['train']:,} photos to learn from, "
        f"{counts['valid']:,} to check on while learning, {counts['test']:,} kept for the end."
    )
    left, right = st.columns(2)
    with left:
        variant = st.selectbox(
            "AlexNet", config.VARIANTS, format_func=VARIANT_TITLES.get, key="set-variant", persist_state="session",
            on_change=_take_preset, help="Which of the three networks learns.",
        )  # fmt: skip
    with right:
        starts = _starts(variant)
        init = st.selectbox(
            "Start from", list(starts), format_func=starts.get, key="set-init", persist_state="session",
            on_change=_take_preset, help="Where the weights begin. From scratch needs many more photos.",
        )  # fmt: skip
    preset = st.segmented_control(
        "Preset", list(PRESETS), default="standard", required=True, format_func=lambda name: PRESETS[name].title,
        key="set-preset", persist_state="session", on_change=_choose_preset,
    )  # fmt: skip
    if f"set-{FIRST_ROW[0]}" not in st.session_state:
        _take_preset(preset, init)
    st.markdown(PRESETS[preset].expect)
    with st.grid(len(FIRST_ROW), min_column_width=150):
        for name in FIRST_ROW:
            _widget(name)
    with st.expander("All settings", icon=":material/tune:"), st.grid(3, min_column_width=220):
        for name in FIELDS:
            if name not in FIRST_ROW and name not in HIDDEN:
                _widget(name)

    values = {name: st.session_state[f"set-{name}"] for name in FIELDS if name not in HIDDEN}
    wanted = replace(TrainConfig(), data=known.data, variant=variant, init=init, **values)
    problems = wanted.problems()
    without = [name for label, name in enumerate(source.classes) if not _has_training_photo(decoded, label)]
    if len(source.classes) < 2:
        problems.append("training needs at least two kinds of flowers")
    if without:
        problems.append(f"these kinds have no training photos: {', '.join(without)}")
    for problem in problems:
        st.warning(plain(problem[0].upper() + problem[1:]) + ".", icon=":material/warning:")
    if not counts["valid"]:
        st.info("There are no validation photos, so nobody will see whether it learns or memorises.")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Start training", type="primary", icon=":material/play_arrow:", disabled=bool(problems)):
            _start(wanted)
        st.caption(_expected_time(wanted, counts))


def _widget(name: str) -> None:
    """One setting as a widget; its label, help, range and choices are the field's own."""
    setting = FIELDS[name]
    rule, key = setting.metadata, f"set-{name}"
    label = name.replace("_", " ").capitalize().replace("Lr", "Learning rate").replace(" lr", " learning rate")
    common = {"key": key, "help": rule["help"], "persist_state": "session"}
    if rule["choices"]:
        st.selectbox(label, rule["choices"], **common)
    elif setting.type is int:
        st.number_input(label, int(rule["low"]), int(rule["high"]), step=1, **common)
    else:
        low, high = float(rule["low"]), float(rule["high"])
        step = 0.05 if name in ("dropout", "label_smoothing", "warmup", "mixup") else 10.0**-4
        st.number_input(label, low, high, step=step, format="%.6g", **common)


def _choose_preset() -> None:
    """Takes the preset's settings; one that starts from scratch by itself also brings its network."""
    state = st.session_state
    chosen = PRESETS[state["set-preset"]]
    if chosen.start == "scratch":
        state["set-init"], state["set-variant"] = "scratch", chosen.from_scratch.get("variant", "2014")
    _take_preset()


def _take_preset(preset: str | None = None, init: str | None = None) -> None:
    """Fills every widget with the preset's value for the chosen start."""
    state = st.session_state
    preset, init = preset or state.get("set-preset", "standard"), init or state.get("set-init", "imagenet")
    if state.get("set-variant", "2014") != "2014" and init.startswith("imagenet"):
        init = "scratch"
    chosen = config.preset(preset, init)
    for name in FIELDS:
        if name not in HIDDEN:
            state[f"set-{name}"] = getattr(chosen, name)


def _starts(variant: str) -> dict[str, str]:
    """What a run of this variant can start from, and how to say so."""
    starts = {"scratch": "Nothing: random weights (from scratch)"}
    if variant == "2014":
        starts = {
            "imagenet": "ImageNet: convolutions that have seen a million photos",
            "imagenet-full": "ImageNet with its fully connected layers (233 MB download)",
            **starts,
        }
    for path in sorted(find_checkpoints(), key=lambda path: -path.stat().st_mtime):
        if read_card(path).variant == variant:
            starts[str(path)] = f"My model: {describe(path)}"
    return starts


def _has_training_photo(decoded: DecodedSource, label: int) -> bool:
    return any(photo.label == label and photo.split == "train" for photo in decoded.source.photos)


def _expected_time(wanted: TrainConfig, counts: dict[str, int]) -> str:
    measured = runs.measured_speed(wanted.variant)
    speed = measured or REFERENCE_SPEED.get(wanted.variant)
    if speed is None:
        return "How long it takes shows after the first training of this network here."
    seconds = wanted.epochs * counts["train"] / speed  # validation is part of the measured speed
    span = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    if measured:
        return f"About {span}, going by the last training here ({speed:.0f} photos a second)."
    return f"About {span} on two fast cores; the first training here will tell how long on this machine."


def _start(wanted: TrainConfig) -> None:
    try:
        run = worker.start(wanted)
    except FlowersError as error:
        show_error(error)
        return
    st.session_state["started-run"] = run.id
    st.rerun()
