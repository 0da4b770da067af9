"""What people changed about a set: one click makes a change, one click takes it back."""

from collections.abc import Sequence

import streamlit as st

from flowers_core.photos import problems
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import SPLITS, edits
from flowers_core.ui import dialogs, words
from flowers_core.ui.errors import guarded, succeeds
from flowers_core.ui.pictures import thumbnails
from flowers_core.ui.plain import plain

LISTED = 20
"""Changes that are listed on one page."""


def make(decoded: DecodedSource, indices: Sequence[int], action: str, value: str = "") -> None:
    """For a button's `on_click`: changes some photos, to be undone together."""
    _save(decoded, problems.edits_for(decoded, indices, action, value))


def keep_one(decoded: DecodedSource, groups: Sequence[Sequence[int]], label: int | None = None) -> None:
    """For a button's `on_click`: of each group all photos but the best one are excluded, to be undone together.

    label: of the kind that the best one must be of; any kind when None.
    """
    others = []
    for group in groups:
        best = problems.to_keep(decoded, [i for i in group if label is None or decoded.labels[i] == label])
        others += [i for i in group if i != best]
    _save(decoded, problems.edits_for(decoded, others, edits.EXCLUDE))


def remedies(decoded: DecodedSource, index: int, key: str, suggestion: int | None = None) -> None:
    """Buttons that change one photo."""
    classes, photo = decoded.source.classes, decoded.source.photos[index].id
    if suggestion is not None:
        st.button(
            f"It is {plain(classes[suggestion])}", key=f"{key}-suggested", icon=":material/label:", width="stretch",
            on_click=guarded(make), args=(decoded, [index], edits.RELABEL, classes[suggestion]),
        )  # fmt: skip
    st.button(
        "Exclude", key=f"{key}-exclude", icon=":material/block:", width="stretch",
        help="Left out of training and evaluation. The file stays where it is.",
        on_click=guarded(make), args=(decoded, [index], edits.EXCLUDE),
    )  # fmt: skip
    dialogs.button("Change", ":material/edit:", f"{key}-more-{photo}", _more, decoded, index, key, width="stretch")


def _more(decoded: DecodedSource, index: int, key: str) -> None:
    photo, classes = decoded.source.photos[index], decoded.source.classes
    st.image(thumbnails(decoded, [index])[0], width=160, alt="The photo")
    st.text(f"{photo.name}: {classes[photo.label]}, in {photo.split}.")
    changed: tuple[str, ...] = ()
    with st.container(horizontal=True):
        for split in SPLITS:
            if split != photo.split and st.button(f"Move to {split}", key=f"{key}-{split}"):
                changed = edits.MOVE, split
    with st.container(horizontal=True, vertical_alignment="bottom"):
        other = st.selectbox("Another kind", classes, index=photo.label, key=f"{key}-kind", format_func=plain)
        if st.button("Relabel", key=f"{key}-relabel", disabled=other == classes[photo.label]):
            changed = edits.RELABEL, other
    st.caption("The file itself stays as it is, and every change can be undone.")
    if changed and succeeds(make, decoded, [index], *changed):
        dialogs.close()
        st.rerun()


def last(decoded: DecodedSource) -> None:
    """What the last click changed, with Undo."""
    key, ids = st.session_state.get("last-change", ("", ()))
    mine = [edit for edit in decoded.edits if edit.id in ids] if key == decoded.source.key else []
    if not mine:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        who = mine[0].name if len(mine) == 1 else words.count(len(mine), "photo")
        st.text(f"{who}: {mine[0].in_words}. The files themselves stay as they are.", width="stretch")
        st.button("Undo", key="undo-last", icon=":material/undo:", on_click=guarded(edits.undo), args=(key, ids))


def log(decoded: DecodedSource, expanded: bool = False) -> None:
    """All changes, newest first, each with Undo; and Undo for all of them, which asks first."""
    changes = decoded.edits[::-1]
    if not changes:
        return
    key = decoded.source.key
    with st.expander(f"All changes to these photos ({len(changes):,})", icon=":material/history:", expanded=expanded):
        if len(changes) > 1:
            with st.popover("Undo all", icon=":material/undo:"):
                st.text("This can't be taken back.")
                ids = [edit.id for edit in changes]  # these and no others: somebody else may make one meanwhile
                st.button(f"Undo {len(ids):,} changes", type="primary", on_click=guarded(edits.undo), args=(key, ids))
        pages = -(-len(changes) // LISTED)
        place = st.container()
        page = st.pagination(pages, key="changes-page") if pages > 1 else 1
        shown = changes[(page - 1) * LISTED : page * LISTED]
        original = decoded.original
        places = edits.targets(shown, original.source.photos, [entry.digest for entry in original.entries])
        for edit, index in zip(shown, places, strict=True):
            with place.container(horizontal=True, vertical_alignment="center"):
                if index is not None:
                    st.image(thumbnails(original, [index])[0], width=56, alt="The photo")
                gone = "" if index is not None else " (the file is gone or has changed)"
                st.text(f"{edit.name}: {edit.in_words}{gone}", width="stretch")
                st.button(
                    "Undo",
                    key=f"undo-{edit.id}",
                    icon=":material/undo:",
                    on_click=guarded(edits.undo),
                    args=(key, (edit.id,)),
                )


def _save(decoded: DecodedSource, new: list[edits.Edit]) -> None:
    st.session_state["last-change"] = (decoded.source.key, edits.add(decoded.source.key, new))
    who = plain(new[0].name) if len(new) == 1 else words.count(len(new), "photo")
    st.toast(f"{who}: {plain(new[0].in_words)}. Undo stands at the top of the page.", icon=":material/undo:")
