"""A photo moved, turned, scaled and badly lit with sliders: how the answer holds, now and all along each slider."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from flowers_core.images import from_square, to_jpeg
from flowers_core.network import checkpoint, sureness
from flowers_core.sources.records import class_key
from flowers_core.ui.classify.answers import Answered, kept, open_picture
from flowers_core.ui.models import classifier
from flowers_core.ui.plain import plain

POINTS = 13
"""Values that each slider is measured at."""

MOST_KEPT = 8
SHOWN = 340
"""Longer side of the changed photo on the page, pixels: fits a phone."""


@dataclass(frozen=True)
class Dial:
    """One slider. `field` is the field of `disturb.Disturbance` that it sets; `unit` is how many of its steps are 1;
    `marks` are what its chart's axis shows."""

    field: str
    label: str
    low: float
    high: float
    step: float
    neutral: float
    format: str
    marks: tuple[float, ...]
    unit: float = 1.0


DIALS = (
    Dial("move_x", "Moved to the side", -50, 50, 1, 0, "%d%%", (-50, -25, 0, 25, 50), 100),
    Dial("move_y", "Moved up or down", -50, 50, 1, 0, "%d%%", (-50, -25, 0, 25, 50), 100),
    Dial("turn", "Turned", -180, 180, 1, 0, "%d°", (-180, -90, 0, 90, 180)),
    Dial("scale", "Size", 30, 300, 5, 100, "%d%%", (50, 100, 200, 300), 100),
    Dial("exposure", "Light", -5, 3, 0.5, 0, "%.1f stops", (-4, -2, 0, 2)),
    Dial("blur", "Blurred", 0, 10, 0.5, 0, "%.1f px", (0, 5, 10)),
)


def panel(model: Path, answered: Answered) -> None:
    """The sliders, the changed photo with its answer, and the chart."""
    st.caption("No matter the position, no matter the size? Change the photo and see whether the name holds.")
    _live(model, answered)
    _along(model, answered)


@st.fragment
def _live(model: Path, answered: Answered) -> None:
    from flowers_core.images.disturb import Disturbance, disturb

    if not model.exists():  # deleted since the page was drawn: the page can say so, and a fragment can't
        st.rerun()
    left, right = st.columns(2)
    with right:  # the photo and then the sliders, without bars between them: both fit on a phone's screen
        with st.grid(2, min_column_width=150):
            values = {dial.field: _slider(dial) / dial.unit for dial in DIALS}
        with st.container(horizontal=True, vertical_alignment="center"):
            mirror = st.toggle("Mirrored", key="try-mirror")
            st.button("Back to the photo as it is", icon=":material/undo:", on_click=_reset, type="tertiary")
    opened = open_picture(answered.picture)
    aspects = np.array([opened.aspect])
    square = disturb(opened.square[None], aspects, [Disturbance(mirror=mirror, **values)])[0]
    network = classifier(model)
    probabilities = network.probabilities(square[None], aspects)[0]
    best = np.argsort(-probabilities, kind="stable")[:3]
    name = name_in_question(answered)
    with left:
        st.image(to_jpeg(from_square(square, opened.aspect, SHOWN)), width=SHOWN, alt="The photo as changed")
        first = network.classes[best[0]]
        holds = first == name
        st.badge(
            f"Still {plain(name)}" if holds else f"Now {plain(first)}",
            icon=":material/check_circle:" if holds else ":material/cancel:", color="green" if holds else "orange",
        )  # fmt: skip
        for i in best:  # under the photo, so that they stay in sight while a slider is moved
            probability = float(probabilities[i])
            st.progress(probability, f"{plain(network.classes[i])}: {sureness.percent(probability)}")


def _slider(dial: Dial) -> float:
    kind = type(dial.step)
    st.session_state.setdefault(f"try-{dial.field}", kind(dial.neutral))
    return st.slider(
        dial.label, kind(dial.low), kind(dial.high), step=dial.step, format=dial.format, key=f"try-{dial.field}"
    )


def _reset() -> None:
    for dial in DIALS:
        st.session_state[f"try-{dial.field}"] = type(dial.step)(dial.neutral)
    st.session_state["try-mirror"] = False


def _along(model: Path, answered: Answered) -> None:
    name = name_in_question(answered)
    st.subheader("All along each slider", anchor=False)
    key = (str(model), checkpoint.written_at(model), answered.picture.id, name)
    if key not in st.session_state.get("sweeps", {}):
        place = st.empty()
        with place.container():
            copies = sum(len(values_along(dial)) for dial in DIALS)
            st.caption(f"Asks the network about {copies} changed copies of this photo; some seconds.")
            if not st.button("Measure", icon=":material/monitoring:", key="sweep"):
                return
        place.empty()
    table = kept("sweeps", key, MOST_KEPT, lambda: _measured(model, answered, name))
    held = table.groupby("dial", sort=False)["holds"].mean()
    st.caption(
        f"Probability of {plain(name)} when one thing changes. A full dot: it is still the first name; "
        f"that holds for {table['holds'].mean():.0%} of {len(table)} copies."
    )
    grid = st.grid(3, min_column_width=250)
    for dial in DIALS:
        with grid.cell():
            st.markdown(f"{dial.label}: holds for {held[dial.label]:.0%}")
            st.altair_chart(_chart(table[table["dial"] == dial.label], dial), alt=f"Probability along: {dial.label}")


def _measured(model: Path, answered: Answered, name: str) -> pd.DataFrame:
    from flowers_core.evaluation.robustness import sweep
    from flowers_core.images.disturb import AS_IT_IS

    opened, network = open_picture(answered.picture), classifier(model)
    label = network.classes.index(name)
    rows = []
    bar = st.progress(0.0, "Measuring")
    for done, dial in enumerate(DIALS):
        bar.progress(done / len(DIALS), f"Measuring: {dial.label.lower()}")
        values = values_along(dial)
        changes = [replace(AS_IT_IS, **{dial.field: value / dial.unit}) for value in values]
        answers = sweep(network, opened.square, opened.aspect, changes)
        for value, row in zip(values, answers, strict=True):
            first = network.classes[int(row.argmax())]
            probability = float(row[label])
            rows.append((dial.label, value, probability, sureness.percent(probability), first, first == name))
    bar.empty()
    return pd.DataFrame(rows, columns=["dial", "value", "probability", "said", "first", "holds"])


def values_along(dial: Dial) -> list[float]:
    """Where a slider is measured: evenly along it, and where it changes nothing."""
    return sorted({*np.linspace(dial.low, dial.high, POINTS).tolist(), float(dial.neutral)})


def name_in_question(answered: Answered) -> str:
    """The name that is to hold: the right one where it is known and among the guesses, else the first guess."""
    for name, _ in answered.prediction.top:
        if answered.picture.right and class_key(name) == class_key(answered.picture.right):
            return name
    return answered.prediction.top[0][0]


def _chart(rows: pd.DataFrame, dial: Dial) -> alt.LayerChart:
    sign = re.sub("%[^%]*[df]", "", dial.format).replace("%%", "%")
    axis = alt.Axis(grid=False, values=dial.marks, labelFlush=False, labelExpr=f"datum.label + '{sign}'")
    x = alt.X("value:Q", title=None, scale=alt.Scale(domain=[dial.low, dial.high], nice=False), axis=axis)
    y = alt.Y("probability:Q", title=None, scale=alt.Scale(domain=[0, 1.04], nice=False),
              axis=alt.Axis(format=".0%", values=[0, 0.5, 1], labelFlush=False))  # fmt: skip
    tooltip = [
        alt.Tooltip("value:Q", title=dial.label, format="~g"),
        alt.Tooltip("said:N", title="Probability"),
        alt.Tooltip("first:N", title="First name"),
    ]
    line = alt.Chart(rows).mark_line(strokeWidth=2, interpolate="monotone").encode(x, y)
    full = alt.Chart(rows[rows["holds"]]).mark_point(filled=True, size=45, opacity=1).encode(x, y, tooltip=tooltip)
    hollow = alt.Chart(rows[~rows["holds"]]).mark_point(filled=False, size=45).encode(x, y, tooltip=tooltip)
    return alt.layer(line, full, hollow).properties(height=130)
