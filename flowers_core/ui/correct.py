""" "That's wrong": the photo goes into My own set under its right name, and can be taken back."""

import streamlit as st

from flowers_core.checkpoint import Card
from flowers_core.errors import FlowersError
from flowers_core.sources import own
from flowers_core.ui.answers import Answered
from flowers_core.ui.choices import show_error
from flowers_core.ui.plain import plain

OTHER = "another kind"


def form(card: Card, answered: Answered) -> None:
    """Asks for the right name, and adds the photo."""
    digest = answered.picture.digest
    added = st.session_state.setdefault("corrections", {})
    if digest in added:
        st.success(f"Added to My own set as {plain(added[digest].kind)}. Train on that set, and it is learned.",
                   icon=":material/check_circle:")  # fmt: skip
        if st.button("Take it back", icon=":material/undo:", key="take-back"):
            _do(lambda: own.undo(added.pop(digest)))
        return
    st.caption("Name it, and the photo goes into My own set under that name, for the next training.")
    guesses = [name for name, _ in answered.prediction.top]
    names = [*guesses[1:], *guesses[:1], *sorted(set(card.classes) - set(guesses)), OTHER]
    kind = st.selectbox("It really is", names, key=f"right-{digest}", index=None, placeholder="Choose or search a kind")
    if kind == OTHER:
        kind = st.text_input("Its name", key=f"other-{digest}", max_chars=60, placeholder="tulip")
    if st.button("Add it", icon=":material/add_photo_alternate:", type="primary", disabled=not kind, key="add-own"):
        _do(lambda: added.update({digest: own.add(answered.picture.content, kind)}))


def _do(action) -> None:
    try:
        action()
    except FlowersError as error:
        show_error(error)
    else:
        st.rerun()
