"""More drawn flowers for the garden: as many per kind and split as one likes."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.garden import plot
from flowers_core.sources import SPLITS
from flowers_core.ui import words
from flowers_core.ui.choices import look_again
from flowers_core.ui.errors import show_error

PER_SECOND = 15
"""Pictures that a slow core draws in a second."""


def popover(known) -> None:
    """A button that opens the counts, for the garden only."""
    if known.data != "garden":
        return
    if st.session_state.pop("garden-grown", False):
        st.session_state["grow-more"] = False
    with st.popover("Grow more", icon=":material/potted_plant:", key="grow-more", on_change="rerun") as place:
        if place.open:
            _counts(known)


def _counts(known) -> None:
    st.markdown("How many pictures of each kind? What is there stays; the same numbers give the same pictures.")
    planted = plot.counts()
    with st.container(horizontal=True):
        wanted = {
            split: st.number_input(split.capitalize(), value=planted[split], step=1, key=f"grow-{split}")
            for split in SPLITS  # no range: see architecture.md
        }
    try:
        plot.check(wanted)
    except FlowersError as error:
        show_error(error)
        return
    if any(wanted[split] < planted[split] for split in SPLITS):
        st.caption("Pictures beyond these numbers rest in the garden until they are wanted again.")
    if total := plot.new_pictures(wanted):
        megabytes = total * plot.PICTURE_BYTES / 2**20
        st.caption(f"{total:,} new pictures: up to {words.span(total / PER_SECOND)} and {megabytes:,.0f} MB.")
    if st.button("Grow", type="primary", icon=":material/potted_plant:", disabled=wanted == planted):
        _grow(known, wanted)


def _grow(known, wanted: dict[str, int]) -> None:
    """Draws with a bar. Stop, a click elsewhere or a closed browser end it; the next time it goes on from there."""
    bar = st.empty()
    st.button("Stop", icon=":material/stop:", key="stop-growing", help="What is drawn stays for the next time.")
    new = plot.new_pictures(wanted)

    def tell(done: int, total: int) -> None:
        drawn = max(0, done - (total - new))  # what is there already is passed by first
        bar.progress(min(1.0, drawn / max(1, new)), f"Growing: {drawn:,} of {new:,}")

    try:
        plot.grow(wanted, tell)
    except FlowersError as error:
        show_error(error)
        return
    look_again(known)
    st.session_state["garden-grown"] = True
    st.rerun()
