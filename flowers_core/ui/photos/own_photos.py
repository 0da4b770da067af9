"""Photos one by one, from a file or the camera, into a kind of My own set."""

import streamlit as st

from flowers_core import species
from flowers_core.errors import FlowersError
from flowers_core.images import ENDINGS, decode, to_jpeg
from flowers_core.sources import own
from flowers_core.ui import dialogs, words
from flowers_core.ui.errors import show_error
from flowers_core.ui.plain import plain

LAST = 3
"""Additions that are shown with a button to take them back."""

SIDE = 96


def panel() -> None:
    """Choose a kind, add photos to it, take back what was wrong."""
    there = own.kinds()
    others = [kind.name for kind in species.SPECIES if kind.name not in there]
    kind = st.selectbox(
        "Kind", [*there, *others], index=None, placeholder="Choose one, or type a new kind's name",
        accept_new_options=True, key="own-kind",
    )  # fmt: skip
    way = st.segmented_control(
        "From", ["Files", "The camera"], default="Files", required=True, key="own-way", label_visibility="collapsed"
    )
    turn = st.session_state.setdefault("own-turn", 0)  # a new key empties the widget for the next photo
    if way == "Files":
        photos = st.file_uploader("Photos", type=list(ENDINGS), accept_multiple_files=True, key=f"own-files-{turn}")
    else:
        taken = st.camera_input("A photo of the flower", key=f"own-camera-{turn}")
        photos = [taken] if taken else []
    if photos and not kind:
        st.caption("Which kind are they? Choose it above.")
    if photos and st.button(f"Add to {plain(_name())}", type="primary", icon=":material/add:", disabled=not kind):
        _add(photos, kind)
    for name, error in st.session_state.get("own-refused", ()):
        st.text(name[:80])
        show_error(error)
    _last_additions()


def _add(photos: list, kind: str) -> None:
    added, there, moved, refused = 0, 0, 0, []
    try:
        own.checked_kind(kind)
    except FlowersError as error:
        show_error(error)
        return
    for photo in photos:
        try:
            addition = own.add(photo.getvalue(), kind)
            is_new, kind = addition.before != addition.folder, addition.kind  # as it is called there
            added, there = added + is_new, there + (not is_new)
            moved += is_new and bool(addition.before)
        except FlowersError as error:
            refused.append((photo.name, error))
    if there:
        known = "1 photo was" if there == 1 else f"{there} photos were"
        st.toast(f"{known} in {plain(kind)} already.", icon=":material/info:")
    if added:
        before = f" {moved} of them lay in another kind before." if moved else ""
        st.toast(f"{words.count(added, 'photo')} added to {plain(kind)}.{before}", icon=":material/check:")
    st.session_state["own-refused"] = refused
    if added or there:
        st.session_state["own-turn"] += 1  # an empty uploader: what was wrong with others stands below it
    st.rerun()


def _last_additions() -> None:
    last = own.additions(LAST)
    if not last:
        return
    st.caption("Added last")
    for addition in last:
        with st.container(horizontal=True, vertical_alignment="center"):
            try:
                image = decode(own.photo_path(addition), want=SIDE)
            except FlowersError:
                continue
            image.thumbnail((SIDE, SIDE))
            st.image(to_jpeg(image), width=SIDE // 2, alt=addition.kind)
            st.text(addition.kind)
            key = f"undo-{addition.photo}-{addition.time}"
            st.button("Take back", key=key, icon=":material/undo:", on_click=_undo, args=(addition,))
    if st.button(f"Show {plain(_name())}", icon=":material/photo_library:"):
        st.session_state["new-set"], st.session_state["photos-added"] = own.library.OWN, True
        dialogs.close()
        st.rerun()


def _name() -> str:
    known = own.known()
    return known.name if known else own.NAME


def _undo(addition: own.Addition) -> None:
    try:
        own.undo(addition)
    except FlowersError as error:
        st.toast(plain(str(error)))
