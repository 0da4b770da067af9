"""A photo of a set, to which a link from another page leads: the address says which."""

import streamlit as st

from flowers_core.errors import ImageError
from flowers_core.images import read_file
from flowers_core.network.checkpoint import Card
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import library
from flowers_core.ui import frame, linked
from flowers_core.ui.choices import open_set
from flowers_core.ui.classify.answers import Picture
from flowers_core.ui.errors import show_error
from flowers_core.ui.photos import opened

ADDRESS = ("data", "kind", "photo", *opened.MATRIX[1:])
"""The address's parameters that name a photo, and where it was opened; the model stays chosen without them."""


def is_asked() -> bool:
    """Does the address name a photo?"""
    return "data" in st.query_params and "photo" in st.query_params


def picture(card: Card) -> Picture | None:
    """The photo that the address names, with the ways on from it; None when it is not here, which people are told.

    Args:
        card: of the model that will be asked.
    """
    wanted = st.query_params["data"]
    known = next((known for known in library.known_sets() if known.id == wanted), None)
    decoded = open_set(known) if known else None
    index = opened.photo(decoded) if decoded else None
    found = _read(known, decoded, index, card) if index is not None else None
    if index is None:
        linked.say_gone(opened.asked())
        _another()
    return found


def _read(known: library.KnownSet, decoded: DecodedSource, index: int, card: Card) -> Picture | None:
    photo = decoded.source.photos[index]
    kind = decoded.source.classes[photo.label]
    with st.container(horizontal=True, vertical_alignment="center"):
        opened.link_to_matrix()
        address = {"data": known.id, "kind": kind, "photo": photo.id}
        frame.link("photos", "Its own page", "open_in_new", **address, **opened.matrix())
        st.button("Another photo", icon=":material/photo_camera:", on_click=_another, type="tertiary")
    learned = ("train", "valid") if card.config.get("folds") else ("train",)
    if photo.split in learned and card.data.get("fingerprint") == decoded.fingerprint:
        st.caption("The model learned from this very photo: that it knows it proves memory, not skill.")
    try:
        return Picture(f"set-{decoded.entries[index].digest}", read_file(photo.path), photo.name, kind)
    except ImageError as error:  # the file went away meanwhile
        show_error(error)
        return None


def _another() -> None:
    """For a button's `on_click`: back to the ways in."""
    kept = {name: st.query_params.get_all(name) for name in st.query_params if name not in ADDRESS}
    st.query_params.from_dict(kept)  # at once: every change of it is a step for the Back button
