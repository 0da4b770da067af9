"""How a model holds when photos are changed, on the Evaluate page: measured on request, as bars with intervals."""

import time
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.evaluation import robustness
from flowers_core.network import checkpoint
from flowers_core.photos.cache import DecodedSource
from flowers_core.ui import words
from flowers_core.ui.classify.answers import kept
from flowers_core.ui.errors import show_error
from flowers_core.ui.models import classifier

FEW = 60
"""Photos asked about unless one wants all of them: a minute or so on a small machine."""

PER_SECOND = 15
"""Photos changed and asked about in a second on a small machine."""

MOST_KEPT = 8


def section(model: Path, decoded: DecodedSource, split: str) -> None:
    """An expander with the table, or with the button that measures it."""
    with st.expander("Does it hold when photos are moved, turned, scaled, badly lit or blurred?",
                     icon=":material/screen_rotation:"):  # fmt: skip
        count = decoded.source.counts()[split]
        everything = count <= FEW or st.toggle(f"All {count:,} photos instead of {FEW}", key="hold-all")
        limit = None if everything else FEW
        key = (str(model), checkpoint.written_at(model), decoded.fingerprint, split, limit)
        if key not in st.session_state.get("holding", {}):
            versions, asked = len(robustness.CONDITIONS), limit or count
            st.caption(
                f"Asks about {versions} versions of {words.count(asked, 'photo')}: up to "
                f"{words.span(versions * asked / PER_SECOND)}."
            )
            if not st.button("Change the photos and ask again", icon=":material/play_arrow:", key="hold"):
                return
        try:
            _show(kept("holding", key, MOST_KEPT, lambda: _measure(model, decoded, split, limit)))
        except FlowersError as error:
            show_error(error)


def _measure(model: Path, decoded: DecodedSource, split: str, limit: int | None) -> robustness.Robustness:
    bar, began, stop = st.progress(0.0, "Loading the model"), time.monotonic(), st.empty()
    stop.button("Stop", icon=":material/stop:", key="hold-stop")  # as any other click, it ends what goes on here

    def report(what: str, done: int, total: int) -> None:
        share = done / max(1, total)
        left = f", {(time.monotonic() - began) * (1 / share - 1):.0f} s left" if share > 0.05 else ""
        bar.progress(share, f"{what}: {share:.0%}{left}")

    result = robustness.robustness(classifier(model), decoded, split, report, limit)
    bar.empty()
    stop.empty()
    return result


def _show(result: robustness.Robustness) -> None:
    groups = list(dict.fromkeys(row.name for row in result.rows))
    rows = pd.DataFrame(
        {
            "what": [f"{row.name} {row.amount}".strip() for row in result.rows],
            "stripe": [groups.index(row.name) % 2 for row in result.rows],  # there are more groups than colours
            "right": [row.top1.value for row in result.rows],
            "low": [row.top1.low for row in result.rows],
            "high": [row.top1.high for row in result.rows],
        }
    )
    st.caption(
        f"Right at first guess, of {result.n} photos of {result.of}; the thin lines are 95% intervals. "
        "The dashed line is the photos as they are."
    )
    y = alt.Y("what:N", sort=None, title=None, axis=alt.Axis(labelLimit=180, labelFlush=False))
    axis = alt.Axis(format=".0%", tickCount=5, labelFlush=False)
    x = alt.X("right:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=axis)
    tooltip = [
        alt.Tooltip("what:N", title="Photos"), alt.Tooltip("right:Q", title="Right", format=".1%"),
        alt.Tooltip("low:Q", title="at least", format=".0%"), alt.Tooltip("high:Q", title="at most", format=".0%"),
    ]  # fmt: skip
    bars = alt.Chart(rows).mark_bar(height=11).encode(
        x, y, alt.Color("stripe:N", legend=None), tooltip=tooltip
    )  # fmt: skip
    spans = alt.Chart(rows).mark_rule(opacity=0.55).encode(alt.X("low:Q"), y, alt.X2("high:Q"))
    line = alt.Chart(rows[:1]).mark_rule(strokeDash=[4, 3]).encode(alt.X("right:Q"))
    st.altair_chart(alt.layer(bars, spans, line).properties(height=21 * len(rows)), alt="Accuracy per disturbance")
