"""All photos on one map, where photos that the network finds alike lie together; a click opens one."""

from html import escape

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.photos import features
from flowers_core.photos.cache import DecodedSource
from flowers_core.ui import taps
from flowers_core.ui.errors import show_error
from flowers_core.ui.photos import opened
from flowers_core.ui.photos.seen import features_of

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")
HUES = 6
"""Kinds share so many hues; the symbol and the brightness tell those of one hue apart."""


def show(decoded: DecodedSource) -> None:
    """The map, and the photo that was clicked."""
    found = features_of(decoded, "to lay out the map")
    if found is None:
        return
    classes = decoded.source.classes
    several = "Kinds that lie apart are easy to tell. A point among strangers may be in the wrong folder. "
    st.caption(
        "Each point is a photo; near ones look alike to a network that learned from ImageNet. "
        f"{several * (len(classes) > 1)}Click a point to open its photo."
    )
    bright = st.multiselect("Highlight", classes, placeholder="All kinds", key="highlight")
    try:
        with st.spinner("Drawing the map…", show_time=True):
            chosen, places = features.mapped(decoded, found)
    except FlowersError as error:
        show_error(error)
        return
    if len(chosen) < len(decoded.entries):
        st.caption(f"{len(chosen):,} of {len(decoded.entries):,} photos, every kind in proportion.")
    figure = _figure(decoded, chosen, places, bright)
    taps.listen()
    st.session_state["map-photos"] = (decoded, chosen)
    st.plotly_chart(figure, key="map", on_select=_open_clicked, selection_mode="points", config={"displaylogo": False})


def _open_clicked() -> None:
    decoded, _ = st.session_state["map-photos"]
    points = st.session_state["map"]["selection"]["points"]
    if points:
        opened.open_photo(decoded, int(points[0]["customdata"]))


def _figure(decoded: DecodedSource, chosen: np.ndarray, places: np.ndarray, bright: list[str]) -> go.Figure:
    figure = go.Figure()
    classes, labels = decoded.source.classes, decoded.labels[chosen]
    photos = decoded.source.photos
    dark = 60 if st.context.theme.type == "dark" else 45  # per cent of light in a point
    for label in np.unique(labels).tolist():
        at = labels == label
        name = escape(classes[label], quote=False)  # Plotly makes links of what looks like one
        hue = 360 * (label % HUES) / HUES + 20 * (label // HUES)
        # A photo's index is one number per point: of a row, a browser makes an object with the key "0".
        faint = bool(bright) and classes[label] not in bright
        figure.add_trace(
            go.Scatter(
                x=places[at, 0], y=places[at, 1], mode="markers", name=name, customdata=chosen[at],
                text=[photos[i].split for i in chosen[at]], hovertemplate=f"<b>{name}</b><br>%{{text}}<extra></extra>",
                marker={
                    "size": 5 if faint else 9, "opacity": 0.15 if faint else 0.85,
                    "color": f"hsl({hue % 360:.0f}, 65%, {dark + 8 * (label // HUES % 3)}%)",
                    "symbol": SYMBOLS[label // HUES % len(SYMBOLS)],
                },
            )
        )  # fmt: skip
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False, "title": None}
    figure.update_xaxes(**hidden)
    figure.update_yaxes(**hidden)
    figure.update_layout(
        height=720, margin={"l": 0, "r": 0, "t": 36, "b": 0}, dragmode=False, hovermode="closest",
        legend={"orientation": "h", "y": -0.02, "itemsizing": "constant"}, clickmode="event+select",
    )  # fmt: skip
    return figure
