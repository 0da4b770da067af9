"""The strip of drawn flowers on the home page."""

import streamlit as st

from flowers_core.images import to_jpeg

STRIP = ("sunflower", "bearded iris", "lotus", "hibiscus", "poinsettia", "passion flower", "daffodil", "rose")


def garden_strip() -> None:
    """A few flowers of the garden, drawn at first use."""
    with st.container(key="garden-strip"):
        grid = st.grid(len(STRIP), min_column_width=72, gap="small")
    for kind in STRIP:
        grid.image(_drawn(kind), width="stretch", alt=f"A drawn {kind}")


@st.cache_data(show_spinner=False, max_entries=len(STRIP))
def _drawn(kind: str) -> bytes:
    from flowers_core import garden

    return to_jpeg(garden.draw(kind, seed=3, size=256), quality=90)
