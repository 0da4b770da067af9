"""The kinds at a glance, and a kind's own page."""

import numpy as np
import streamlit as st

from flowers_core import species
from flowers_core.images import to_jpeg
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import SPLITS
from flowers_core.ui import tiles, words
from flowers_core.ui.photos import opened
from flowers_core.ui.pictures import COVER, cover, paged
from flowers_core.ui.plain import plain

MEAN_OF = 60
"""Photos of a kind at most that its mean image is made of, evenly spread over them."""

PER_PAGE = 60
"""Kinds on one page: the covers of a thousand would be 20 MB."""

ORDERS = ("Name", "Most photos", "Fewest photos")


def show(decoded: DecodedSource) -> None:
    """All kinds, or the one that is open."""
    label = opened.kind(decoded)
    if label is None:
        _all_kinds(decoded)
    else:
        _one_kind(decoded, label)


def _all_kinds(decoded: DecodedSource) -> None:
    """All kinds as tiles with a cover photo, findable by any of their names; many of them on several pages."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        term = st.text_input(
            "Search", placeholder="Name, also Latin", type="search", live="300ms", key="kinds-search",
            persist_state="page",
        )  # fmt: skip
        order = st.selectbox("Order", ORDERS, width=170, key="kinds-order", persist_state="page")
        kept = ["All kinds", *(f"Without {split} photos" for split in SPLITS)]
        lacking = st.selectbox("Show", kept, width=210, key="kinds-lacking", persist_state="page")
    found = _found(decoded, term, order, lacking)
    if not found:
        st.info("No kind has that in its name." if lacking == "All kinds" else "No such kind.")
    place = st.container()
    # Another search has a pager of its own, so that it begins on its first page.
    key = f"kinds-page-{decoded.source.key}-{order}-{lacking}-{term}"
    page = [found[i] for i in paged(len(found), key, PER_PAGE)]
    if len(found) > PER_PAGE:
        st.caption(words.count(len(found), "kind"))
    covers = _first_of_each(decoded)
    with place:
        tiles.grid([_tile(decoded, label, int(covers[label])) for label in page], opened.open_kind, "kinds-tiles")


def _tile(decoded: DecodedSource, label: int, first: int) -> tiles.Tile:
    """A kind, with the photo of that index as its cover; -1 without photos."""
    name = decoded.source.classes[label]
    about = species.find(name)
    counts = zip(SPLITS, decoded.counts[label].tolist(), strict=True)
    return tiles.Tile(
        id=name, picture=cover(decoded, first) if first >= 0 else None, aspect=COVER[0] / COVER[1], title=name,
        latin=about.latin if about else "",
        note=" · ".join(f"{count:,} {split}" for split, count in counts if count) or "no photos",
    )  # fmt: skip


def _found(decoded: DecodedSource, term: str, order: str, lacking: str) -> list[int]:
    """The labels of the kinds with the term in one of their names that lack what they are to lack, in order."""
    totals = decoded.counts.sum(1)
    labels = np.arange(len(totals))
    if order != ORDERS[0]:
        labels = np.argsort(-totals if order == ORDERS[1] else totals, kind="stable")
    if lacking != "All kinds":
        labels = labels[decoded.counts[labels, SPLITS.index(lacking.split()[1])] == 0]
    term = term.casefold().strip()
    return [label for label in labels.tolist() if term in _names(decoded.source.classes[label])]


def _names(name: str) -> str:
    """All names of a kind, in lower case, for a search."""
    about = species.find(name)
    return (f"{name} {about.latin} {about.also}" if about else name).casefold()


def _one_kind(decoded: DecodedSource, label: int) -> None:
    """One kind: its names, its mean image, and its photos by split."""
    name = decoded.source.classes[label]
    st.button("All kinds", icon=":material/arrow_back:", on_click=opened.close_all)
    about = species.find(name)
    of_kind = np.flatnonzero(decoded.labels == label)
    with st.container(horizontal=True, gap="large"):
        with st.container(width="stretch"):
            st.header(plain(name), anchor=False)
            if about:
                also = f" · {about.also}" if about.also else ""
                st.markdown(f"*{about.latin}*{also}")
                st.markdown(about.note)
        if len(of_kind) > 1:
            with st.container(width=150):
                st.image(mean_image(decoded, label), width=130, alt=f"Mean of the photos of {name}")
                st.caption("All photos laid over each other")
    if not len(of_kind):
        st.info("No photos here.")
        return
    has = [split for n, split in enumerate(SPLITS) if decoded.counts[label, n]]
    chosen = st.pills("Splits", has, selection_mode="multi", default=has, label_visibility="collapsed")
    wanted = [SPLITS.index(split) for split in chosen]
    indices = of_kind[np.isin(decoded.splits[of_kind], wanted)]
    if not len(indices):
        st.info("No photos here.")
        return
    indices = indices[np.argsort(decoded.splits[indices], kind="stable")]  # training photos first
    opened.paged_grid(decoded, indices, f"kind-{label}-{'-'.join(chosen)}")


def some_of(decoded: DecodedSource, label: int, most: int) -> np.ndarray:
    """(n,) indices of at most so many of a kind's photos, evenly spread over them."""
    of_kind = np.flatnonzero(decoded.labels == label)
    return of_kind[np.linspace(0, len(of_kind) - 1, min(most, len(of_kind))).astype(int)]


def mean_image(decoded: DecodedSource, label: int) -> bytes:
    """The mean of a kind's photos, squeezed to a square, as a JPEG file."""
    return _mean_image(decoded.source.key, decoded.order, label, decoded)


@st.cache_data(max_entries=300, show_spinner=False)
def _mean_image(key: str, order: str, label: int, _decoded: DecodedSource) -> bytes:
    from PIL import Image

    mean = _decoded.squares(some_of(_decoded, label, MEAN_OF)).mean(0)
    return to_jpeg(Image.fromarray(mean.round().astype(np.uint8)))


def _first_of_each(decoded: DecodedSource) -> np.ndarray:
    """(classes,) index of each kind's first photo, of train before the others; -1 without photos."""
    first = np.full(len(decoded.source.classes), -1)
    for split in reversed(range(len(SPLITS))):
        backwards = np.flatnonzero(decoded.splits == split)[::-1]
        first[decoded.labels[backwards]] = backwards  # of several the last one stays, which is the first photo
    return first
