""" "That's wrong": the photo goes into My own set under its right name, and can be taken back."""

import streamlit as st

from flowers_core.network.checkpoint import Card
from flowers_core.sources import library, own
from flowers_core.ui import frame, words
from flowers_core.ui.choices import kinds_by_split
from flowers_core.ui.classify.answers import Answered
from flowers_core.ui.errors import succeeds
from flowers_core.ui.plain import plain


def form(card: Card, answered: Answered) -> None:
    """Asks for the right name, and adds the photo."""
    photo = answered.picture.id
    added = st.session_state.setdefault("corrections", {})
    if photo in added and own.known() is None:  # the set was deleted meanwhile
        del added[photo]
    if photo in added:
        st.success(f"Added to My own set as {plain(added[photo].kind)}.", icon=":material/check_circle:")
        _what_next()
        pressed = st.button("Take it back", icon=":material/undo:", key="take-back")
        if pressed and succeeds(_take_back, added, photo):
            st.rerun()
        return
    st.caption("Name it, and the photo goes into My own set under that name, for the next training.")
    guesses = [name for name, _ in answered.prediction.top]
    names = [*guesses[1:], *guesses[:1], *sorted({*card.classes, *own.kinds()} - set(guesses))]
    kind = st.selectbox(
        "It really is", names, key=f"right-{photo}", index=None, accept_new_options=True,
        placeholder="Choose a kind, or type another one's name",
    )  # fmt: skip
    pressed = st.button(
        "Add it", icon=":material/add_photo_alternate:", type="primary", disabled=not kind, key="add-own"
    )
    if pressed and succeeds(_add, added, answered, kind):
        st.rerun()


def _add(added: dict[str, own.Addition], answered: Answered, kind: str) -> None:
    added[answered.picture.id] = own.add(answered.picture.content, kind)


def _take_back(added: dict[str, own.Addition], photo: str) -> None:
    own.undo(added[photo])
    del added[photo]  # not before: a disk that is full can be given room, and then it is tried again


def _what_next() -> None:
    kinds = kinds_by_split(own.known())
    if min(len(kinds.get(split, ())) for split in ("train", "valid")) >= 2:
        st.caption("This model stays as it is. A new one that is trained on My own set can learn it.")
        frame.link("train", "Train on My own set", "model_training", data=library.OWN)
    else:
        st.caption(
            "This model stays as it is. To train a new one on My own set, it needs two kinds or more with five photos "
            f"each; so far it has {words.count(len(own.additions()), 'photo')} of "
            f"{words.count(len(set().union(*kinds.values())), 'kind')}."
        )
        frame.link("photos", "Look at My own set", "photo_library", data=library.OWN)
