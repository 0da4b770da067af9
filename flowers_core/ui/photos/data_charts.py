"""Charts of a data set. All are summed up first: a browser gets a few thousand rows, however many photos there are."""

from collections.abc import Sequence
from colorsys import rgb_to_hsv

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from flowers_core.images import LUMA
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import SPLITS
from flowers_core.ui import tiles, words
from flowers_core.ui.photos import opened
from flowers_core.ui.photos.kinds import PER_PAGE, mean_image, some_of
from flowers_core.ui.pictures import paged
from flowers_core.ui.plain import plain

MOST_POINTS = 2000

COLOURS_OF = 12
"""Photos of a kind at most that its colours are taken from, evenly spread over them."""

SHADES = 6
"""Colours of each kind."""

WHITE = 0.15
"""Saturation below which a colour's hue says nothing."""

KINDS_AXIS = alt.Axis(labelLimit=220, labelOverlap=False, labelFlush=False)
"""Not flush: Streamlit moves the first and the last label inward, off their places."""

COUNTS = alt.Axis(tickMinStep=1, format="d", labelFlush=False)
"""Whole photos, however few there are."""

PIXELS = alt.Axis(tickCount=8, tickMinStep=1, format=",d", labelFlush=False)


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
    labels, key = np.flatnonzero(totals).tolist(), f"charts-page-{decoded.source.key}"
    page = [labels[i] for i in paged(len(labels), key, PER_PAGE)]
    if len(labels) > PER_PAGE:
        st.caption(
            f"{words.count(len(labels), 'kind')}. Their colours and mean images below turn their pages with these."
        )
    st.altair_chart(balance(decoded, page), alt="Photos per kind and split")

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
        st.caption("Mean of a photo's pixels, from black (0) to white (100%).")
        bright = decoded.records["colour"][decoded.rows] @ LUMA / 255
        st.altair_chart(_spread(decoded, bright, "brightness"), alt="Brightness of the photos")

    st.subheader("Colours of the kinds")
    st.caption("The most colourful parts of each kind's photos, from dark to light, without what is mainly green.")
    st.altair_chart(colours(decoded, page), alt="The flowers' colours of each kind")

    st.subheader("Each kind's photos laid over each other")
    st.caption("Where a mean image shows a shape, the photos show their flower in one place and size.")
    names = [decoded.source.classes[label] for label in page]
    means = [
        tiles.Tile(name, mean_image(decoded, label), 1.0, title=name, name=f"{name}: mean of the photos")
        for label, name in zip(page, names, strict=True)
    ]
    tiles.grid(means, _open_kind, "means-tiles", side=110)


def _open_kind(name: str) -> None:
    st.query_params["view"] = opened.KINDS
    opened.open_kind(name)


def balance(decoded: DecodedSource, labels: Sequence[int]) -> alt.Chart:
    """Photos of some kinds, stacked by split."""
    classes, counts = decoded.source.classes, decoded.counts
    rows = [(classes[c], SPLITS[s], int(counts[c, s])) for c in labels for s in np.flatnonzero(counts[c])]
    return (
        alt.Chart(pd.DataFrame(rows, columns=["kind", "split", "size"]))
        .mark_bar()
        .encode(
            alt.Y("kind:N", title=None, sort=None, axis=KINDS_AXIS),
            alt.X("size:Q", title="Photos", axis=COUNTS, scale=alt.Scale(domainMax=int(counts.sum(1).max()))),
            _split_colours(decoded),
            tooltip=["kind", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=alt.Step(20))
    )


def _split_colours(decoded: DecodedSource) -> alt.Color:
    """The same colour for a split on all pages; the legend names those that there are."""
    there = [SPLITS[n] for n in np.unique(decoded.splits)]
    return alt.Color(
        "split:N", title=None, scale=alt.Scale(domain=SPLITS), legend=alt.Legend(orient="top", values=there)
    )


def shapes(decoded: DecodedSource) -> alt.Chart:
    """How many photos have which size; sizes are rounded where there are very many."""
    sizes, step = decoded.sizes, 1
    while True:
        columns = *(sizes // step * step).T, decoded.splits
        most = [column.max() + 1 for column in columns]
        distinct, counts = np.unique(np.ravel_multi_index(columns, most), return_counts=True)
        if len(distinct) <= MOST_POINTS:
            break
        step *= 2
    table = np.column_stack(np.unravel_index(distinct, most))
    found = pd.DataFrame(table, columns=["width", "height", "split"]).assign(size=counts)
    found["split"] = [SPLITS[n] for n in found["split"]]
    return (
        alt.Chart(found)
        .mark_circle(opacity=0.6)
        .encode(
            alt.X("width:Q", title="Width (pixels)", axis=PIXELS, scale=alt.Scale(zero=False)),
            alt.Y("height:Q", title="Height (pixels)", axis=PIXELS, scale=alt.Scale(zero=False)),
            alt.Size("size:Q", title="Photos", legend=None),
            _split_colours(decoded),
            tooltip=["width", "height", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=360)
    )


def colours(decoded: DecodedSource, labels: Sequence[int]) -> alt.Chart:
    """A strip of flower colours for some kinds, dark to light; sorted by hue, nearly white ones last."""
    strips = _flower_colours(decoded.source.key, decoded.order, tuple(labels), decoded)
    rows = [(name, n, n + 1, colour) for name, strip in strips for n, colour in enumerate(strip)]
    return (
        alt.Chart(pd.DataFrame(rows, columns=["kind", "from", "to", "colour"]))
        .mark_bar(height=16)
        .encode(
            alt.Y("kind:N", title=None, sort=None, axis=KINDS_AXIS),
            alt.X("from:Q", title=None, axis=None, scale=alt.Scale(domain=[0, SHADES], nice=False)),
            alt.X2("to:Q"),
            alt.Color("colour:N", scale=None),
            tooltip=["kind", "colour"],
        )
        .properties(height=alt.Step(20))
    )


@st.cache_data(max_entries=20, show_spinner="Looking at the colours…")
def _flower_colours(
    key: str, order: str, labels: tuple[int, ...], _decoded: DecodedSource
) -> list[tuple[str, list[str]]]:
    """Each kind's name with its flowers' colours as "#rrggbb", sorted as `colours` shows them."""
    found = []
    for label in labels:
        shades = flower_shades(_decoded.squares(some_of(_decoded, label, COLOURS_OF)))
        hue, saturation, _ = rgb_to_hsv(*shades.mean(0) / 255)
        found.append(((saturation < WHITE, (hue + 0.1) % 1), _decoded.source.classes[label], shades))
    return [
        (name, ["#{:02x}{:02x}{:02x}".format(*shade) for shade in shades.round().astype(int).tolist()])
        for _, name, shades in sorted(found, key=lambda each: each[:2])
    ]


def flower_shades(squares: np.ndarray) -> np.ndarray:
    """The colours of what is likely flower in photos: (SHADES, 3) from dark to light, 0 to 255.

    Leaves and sky surround most flowers. So only the middle of each photo counts, of that only what is not mainly
    green, and of that the fourth that is most colourful; brightness counts half as much, for white petals.

    Args:
        squares: (n, 256, 256, 3) uint8.
    """
    margin = squares.shape[1] // 4
    pixels = squares[:, margin:-margin:2, margin:-margin:2].reshape(-1, 3).astype(float)
    other = pixels[pixels[:, 1] < np.maximum(pixels[:, 0], pixels[:, 2]) + 8]
    pixels = other if len(other) >= SHADES else pixels
    colourful = np.ptp(pixels, axis=1) + 0.5 * (pixels @ LUMA)
    best = pixels[np.argsort(-colourful)[: max(SHADES, len(pixels) // 4)]]
    best = best[np.argsort(best @ LUMA)]
    return np.stack([part.mean(0) for part in np.array_split(best, SHADES)])


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
        ticks = alt.Axis(values=[-2, -1, 0, 1, 2], labelExpr=label, labelFlush=False)
    else:
        ticks = alt.Axis(format="%", tickCount=5, labelFlush=False)
    x = alt.X("from:Q", bin="binned", title=None, axis=ticks, scale=alt.Scale(domain=[low, high]))
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(x, alt.X2("to:Q"), alt.Y("size:Q", title="Photos", axis=COUNTS), _split_colours(decoded),
                tooltip=["split", alt.Tooltip("size", title="photos")])
        .properties(height=260)
    )  # fmt: skip
