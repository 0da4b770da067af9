"""One photo: what is known of it, what the network sees of it, and which photos are like it."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from flowers_core.errors import ImageError
from flowers_core.images import decode, from_square, to_jpeg
from flowers_core.photos.cache import DecodedSource
from flowers_core.ui import changes, frame, words
from flowers_core.ui.photos import augmentations, opened
from flowers_core.ui.photos.seen import features_of
from flowers_core.ui.plain import plain

SHOWN_SIDE = 1280
"""Longer side of the photo, pixels: enough for a full screen."""

PARTS = ["What the network sees", words.name_of("augmentation"), "Neighbours", "Colours"]
NEIGHBOURS = 8


def show(decoded: DecodedSource, index: int, set_id: str) -> None:
    """The page of photo `index` of a set."""
    photo, entry = decoded.source.photos[index], decoded.entries[index]
    name = decoded.source.classes[photo.label]
    of_kind = np.flatnonzero(decoded.labels == photo.label)
    of_kind = of_kind[np.argsort(decoded.splits[of_kind], kind="stable")]
    place = int(np.flatnonzero(of_kind == index)[0])
    # A view may have been scrolled down to where the photo was clicked. One element per photo: it runs once.
    st.html(
        f"<script>document.querySelector('[data-testid=stMain]')?.scrollTo(0, 0) // {entry.digest}</script>",
        unsafe_allow_javascript=True,
    )
    with st.container(horizontal=True):
        if not opened.link_to_matrix():
            st.button("Back", icon=":material/arrow_back:", on_click=opened.close_photo)
        for label, icon, other in (("Previous", "chevron_left", place - 1), ("Next", "chevron_right", place + 1)):
            there = 0 <= other < len(of_kind)
            st.button(
                label, icon=f":material/{icon}:", disabled=not there, on_click=opened.open_photo,
                args=(decoded, int(of_kind[other]) if there else index),
            )  # fmt: skip
    left, right = st.columns([3, 2], gap="large")
    left.image(_picture(entry.digest, decoded, index), width="stretch", alt=f"A photo of {name}")
    with right:
        st.header(plain(name), anchor=False)
        st.caption(f"Photo {place + 1} of {len(of_kind)} of this kind")
        st.text(photo.name)
        with st.container(horizontal=True):
            st.metric("Split", photo.split)
            st.metric("Pixels", f"{entry.width}×{entry.height}")
            st.metric("Shape", f"{entry.aspect:.2f}", help="Width over height.")
        changes.remedies(decoded, index, "photo")
        address = {"data": set_id, "kind": name, "photo": photo.id}
        frame.link("classify", "What a model says", "visibility", **address, **opened.matrix())
    part = st.segmented_control("Part", PARTS, default=PARTS[0], required=True, key="part", bind="query-params",
                                label_visibility="collapsed")  # fmt: skip
    if part == PARTS[0]:
        _what_is_seen(decoded, index)
    elif part == PARTS[1]:
        augmentations.of_photo(decoded, index)
    elif part == PARTS[2]:
        _neighbours(decoded, index)
    else:
        _colours(decoded, index)


@st.cache_data(max_entries=60, show_spinner=False)
def _picture(digest: str, _decoded: DecodedSource, _index: int) -> bytes:
    """The photo for a screen: from its file, or from the cache when the file is gone."""
    try:
        image = decode(_decoded.source.photos[_index].path, want=SHOWN_SIDE)
    except ImageError:
        return to_jpeg(from_square(_decoded.square(_index), _decoded.entries[_index].aspect))
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return to_jpeg(image)


def _what_is_seen(decoded: DecodedSource, index: int) -> None:
    st.caption(
        "Every photo is brought to 256 by 256 pixels. Of it the network looks at squares of 224 pixels, "
        "three of them one inside the other, and takes the mean of its answers."
    )
    names = ["squeezed to a square", "the innermost 70%", "the middle 87.5%", "the whole shorter side"]
    grid = st.grid("auto", min_column_width=170)
    for picture, caption in zip(augmentations.views(decoded, index), names, strict=True):
        with grid.cell():
            st.image(picture, width="stretch", alt=caption)
            st.caption(caption)


def _neighbours(decoded: DecodedSource, index: int) -> None:
    found = features_of(decoded, "to tell which are alike")
    if found is None:
        return
    st.caption("The photos most alike to the convolutions of a network that learned from ImageNet, not from these.")
    nearest = found.nearest(index, NEIGHBOURS)
    photos, classes = decoded.source.photos, decoded.source.classes
    captions = [f"{classes[photos[i].label]} · {photos[i].split} · {alike:.0%} alike" for i, alike in nearest]
    opened.photo_grid(decoded, [i for i, _ in nearest], captions, "near")


def _colours(decoded: DecodedSource, index: int) -> None:
    square, record = decoded.square(index), decoded.records[decoded.rows[index]]
    names = ["red", "green", "blue"]
    bins = np.arange(0, 257, 8)
    table = pd.DataFrame(
        {
            "level": np.tile(bins[:-1] + 4, 3),
            "share": np.concatenate([np.histogram(square[..., c], bins)[0] for c in range(3)]) / square[..., 0].size,
            "colour": np.repeat(names, len(bins) - 1),
        }
    )
    scale = alt.Scale(domain=names, range=["#d1495b", "#4f9d69", "#4a7fc1"])
    levels = alt.Axis(values=[0, 50, 100, 150, 200, 255], labelFlush=False)
    chart = (
        alt.Chart(table)
        .mark_line(interpolate="monotone", strokeWidth=2)
        .encode(
            alt.X("level:Q", title="Brightness of the channel (0 to 255)", axis=levels,
                  scale=alt.Scale(domain=[0, 255], nice=False)),
            alt.Y("share:Q", title="Share of the pixels", axis=alt.Axis(format="%", tickCount=5, labelFlush=False)),
            alt.Color("colour:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
        )
        .properties(height=260)
    )  # fmt: skip
    red, green, blue = (int(value) for value in record["colour"])
    with st.grid(5, min_column_width=120):
        st.metric("Mean red", red)
        st.metric("Mean green", green)
        st.metric("Mean blue", blue)
        st.metric("Contrast", f"{record['contrast']:.0f}", help="Standard deviation of the grey levels, 0 to 128.")
        st.metric(
            "Sharpness", f"{record['sharpness']:.0f}", help="Standard deviation of the Laplacian; below 5 blurred."
        )
    st.altair_chart(chart, alt="Histogram of the colours")
