"""Charts of a data set. All are summed up first: a browser gets a few thousand rows, however many photos there are."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from flowers_core.cache import DecodedSource
from flowers_core.sources import SPLITS
from flowers_core.ui.kinds import mean_image
from flowers_core.ui.plain import plain

MOST_POINTS = 2000
_SPLIT = alt.Color("split:N", title=None, scale=alt.Scale(domain=["train", "valid", "test"]))
_GREY = np.array([0.299, 0.587, 0.114])


def show(decoded: DecodedSource) -> None:
    """How many photos there are of what, how large, how bright and how colourful, and what they have in common."""
    st.subheader("Photos per kind")
    totals = decoded.counts.sum(1)
    if len(totals) and totals.max() > 3 * max(1, totals.min()):
        most, least = decoded.source.classes[totals.argmax()], decoded.source.classes[totals.argmin()]
        st.caption(
            f"Uneven: {totals.max():,} of {plain(most)}, {totals.min():,} of {plain(least)}. "
            "A network leans towards what it saw often."
        )
    st.altair_chart(balance(decoded), alt="Photos per kind and split")

    st.subheader("Width and height")
    st.caption("Every photo is brought to one size before training, whatever its own.")
    st.altair_chart(shapes(decoded), alt="Width against height of the photos")
    left, right = st.columns(2)
    sizes = decoded.sizes
    with left:
        st.subheader("Shape")
        st.caption("Width over height: below 1 upright, above 1 lying.")
        st.altair_chart(_spread(decoded, np.log2(sizes[:, 0] / sizes[:, 1]), "shape"), alt="Width over height")
    with right:
        st.subheader("Brightness")
        st.caption("Mean of a photo's pixels, from black (0) to white (100 %).")
        bright = decoded.records["colour"][decoded.rows] @ _GREY / 255
        st.altair_chart(_spread(decoded, bright, "brightness"), alt="Brightness of the photos")

    st.subheader("Colours of the kinds")
    st.caption("Each kind's photos by brightness and colourfulness; the dot has the mean colour of all its photos.")
    st.altair_chart(colours(decoded), alt="Mean colour of each kind")

    st.subheader("Each kind's photos laid over each other")
    st.caption("Where a mean image shows a shape, the photos show their flower in one place and size.")
    grid = st.grid("auto", min_column_width=110)
    for label in np.flatnonzero(totals).tolist():
        name = decoded.source.classes[label]
        with grid.cell():
            st.image(mean_image(decoded, label), width="stretch", alt=f"Mean of the photos of {name}")
            st.caption(plain(name))


def balance(decoded: DecodedSource) -> alt.Chart:
    """Photos per kind, stacked by split."""
    classes, counts = decoded.source.classes, decoded.counts
    rows = [(classes[c], SPLITS[s], int(counts[c, s])) for c, s in np.argwhere(counts)]
    return (
        alt.Chart(pd.DataFrame(rows, columns=["kind", "split", "size"]))
        .mark_bar()
        .encode(
            alt.Y("kind:N", title=None, sort=None, axis=alt.Axis(labelLimit=220, labelOverlap=False)),
            alt.X("size:Q", title="Photos", axis=alt.Axis(tickMinStep=1, format="d")),
            _SPLIT.legend(orient="top"),
            tooltip=["kind", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=alt.Step(20))
    )


def shapes(decoded: DecodedSource) -> alt.Chart:
    """How many photos have which size; sizes are rounded where there are very many."""
    sizes, step = decoded.sizes, 1
    while True:
        table = np.column_stack([sizes // step * step, decoded.splits])
        distinct, counts = np.unique(table, axis=0, return_counts=True)
        if len(distinct) <= MOST_POINTS:
            break
        step *= 2
    found = pd.DataFrame(distinct, columns=["width", "height", "split"]).assign(size=counts)
    found["split"] = [SPLITS[n] for n in found["split"]]
    return (
        alt.Chart(found)
        .mark_circle(opacity=0.6)
        .encode(
            alt.X("width:Q", title="Width (pixels)", scale=alt.Scale(zero=False)),
            alt.Y("height:Q", title="Height (pixels)", scale=alt.Scale(zero=False)),
            alt.Size("size:Q", title="Photos", legend=None),
            _SPLIT.legend(orient="top"),
            tooltip=["width", "height", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=360)
    )


def colours(decoded: DecodedSource) -> alt.Chart:
    """Every kind as a dot in its photos' mean colour."""
    rows = []
    for label, name in enumerate(decoded.source.classes):
        found = decoded.records["colour"][decoded.rows[decoded.labels == label]].astype(float)
        if len(found):
            red, green, blue = found.mean(0)
            rows.append(
                {
                    "kind": name,
                    "brightness": float((found @ _GREY).mean() / 255),
                    "colourfulness": float((found.max(1) - found.min(1)).mean() / 255),
                    "colour": f"#{round(red):02x}{round(green):02x}{round(blue):02x}",
                }
            )
    percent = alt.Axis(format="%", tickCount=8)
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_circle(size=420, opacity=1, stroke="#808080", strokeWidth=0.5)
        .encode(
            alt.X("brightness:Q", title="Brightness", axis=percent, scale=alt.Scale(zero=False, padding=20)),
            alt.Y("colourfulness:Q", title="Colourfulness", axis=percent, scale=alt.Scale(zero=False, padding=20)),
            alt.Color("colour:N", scale=None),
            tooltip=["kind", alt.Tooltip("brightness", format=".0%"), alt.Tooltip("colourfulness", format=".0%")],
        )
        .properties(height=320)
    )


def _spread(decoded: DecodedSource, values: np.ndarray, what: str) -> alt.Chart:
    """A histogram, stacked by split. "shape" takes logarithms to base 2, "brightness" shares."""
    low, high = (-2.0, 2.0) if what == "shape" else (0.0, 1.0)
    edges = np.linspace(low, high, 33)
    rows = []
    for n, split in enumerate(SPLITS):
        counts = np.histogram(values[decoded.splits == n].clip(low, high), edges)[0]
        rows += [(edges[k], edges[k + 1], split, int(counts[k])) for k in np.flatnonzero(counts)]
    table = pd.DataFrame(rows, columns=["from", "to", "split", "size"])
    if what == "shape":
        label = "datum.value < 0 ? '1:' + pow(2, -datum.value) : pow(2, datum.value) + ':1'"
        ticks = alt.Axis(values=[-2, -1, 0, 1, 2], labelExpr=label)
    else:
        ticks = alt.Axis(format="%")
    x = alt.X("from:Q", bin="binned", title=None, axis=ticks, scale=alt.Scale(domain=[low, high]))
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(x, alt.X2("to:Q"), alt.Y("size:Q", title="Photos"), _SPLIT.legend(orient="top"),
                tooltip=["split", alt.Tooltip("size", title="photos")])
        .properties(height=260)
    )  # fmt: skip
