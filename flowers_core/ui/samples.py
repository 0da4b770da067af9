"""Photos to try where none is at hand: flowers drawn for this, and test photos of one's own set."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from flowers_core.cache import DecodedSource
from flowers_core.errors import ImageError
from flowers_core.images import read_file, to_jpeg
from flowers_core.sources import library
from flowers_core.ui.answers import Picture
from flowers_core.ui.choices import open_set
from flowers_core.ui.pictures import cover
from flowers_core.ui.plain import plain

DRAWN = ("sunflower", "rose", "bearded iris", "lotus", "daffodil", "hibiscus", "passion flower", "poinsettia")
SEED = 2012
"""Of the drawn samples; no picture of the drawn garden has it."""

SHOWN = 8
TILE = 128


def choose() -> Picture | None:
    """A grid of samples; the one that was clicked, or None yet."""
    own = next((k for k in library.known_sets() if k not in library.BUILT_IN and Path(k.data).exists()), None)
    drawn = "Drawn flowers"
    where = drawn
    if own is not None:
        names = [drawn, f"Test photos of {own.name}"]
        where = st.segmented_control("Samples", names, default=drawn, required=True, label_visibility="collapsed",
                                     key="samples", format_func=plain)  # fmt: skip
    if where == drawn:
        st.caption("Drawn by this program. A model that learned from photos may find them strange.")
        return _clicked([_Tile(f"drawn-{kind}", _drawn(kind), lambda kind=kind: _drawn(kind), kind) for kind in DRAWN])
    decoded = open_set(own)
    indices = _of_different_kinds(decoded)
    if not indices:
        st.info("These photos have no test split.", icon=":material/info:")
        return None
    st.caption("Photos of the test split, kept apart from learning.")
    photos, classes = decoded.source.photos, decoded.source.classes
    return _clicked(
        [
            _Tile(f"test-{decoded.source.key}-{photos[i].id}", cover(decoded, i, 256, 256),
                  lambda i=i: read_file(photos[i].path), classes[photos[i].label])
            for i in indices
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class _Tile:
    """A sample in the grid: its id, how it looks, what reads its file, and its kind."""

    key: str
    look: bytes
    read: Callable[[], bytes]
    kind: str


def _clicked(tiles: list[_Tile]) -> Picture | None:
    grid = st.grid("auto", min_column_width=TILE)
    for number, tile in enumerate(tiles):
        with grid.cell():
            st.image(tile.look, width="stretch", alt=f"Sample {number + 1}")
            st.button("Try it", key=tile.key, width="stretch", on_click=_take, args=(tile.key,))
    for tile in tiles:
        if tile.key == st.session_state.get("sample"):
            with suppress(ImageError):  # the file went away meanwhile
                return Picture(tile.read(), right=tile.kind)
    return None


def _of_different_kinds(decoded: DecodedSource) -> list[int]:
    first_of: dict[int, int] = {}
    for i, photo in enumerate(decoded.source.photos):
        if photo.split == "test":
            first_of.setdefault(photo.label, i)
    return list(first_of.values())[:: max(1, len(first_of) // SHOWN)][:SHOWN]


def _take(key: str) -> None:
    st.session_state["sample"] = key


@st.cache_data(show_spinner=False, max_entries=len(DRAWN))
def _drawn(kind: str) -> bytes:
    from flowers_core import garden

    return to_jpeg(garden.draw(kind, seed=SEED, size=320), quality=90)
