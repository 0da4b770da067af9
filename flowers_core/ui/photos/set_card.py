"""A set's card: where its photos come from, its name, its end, and what lies in the trash."""

from datetime import datetime
from pathlib import Path

import streamlit as st

from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import SPLITS, flowers102, library
from flowers_core.sources.library import DeletedSet, KnownSet
from flowers_core.ui import dialogs, linked, words
from flowers_core.ui.choices import look_again
from flowers_core.ui.errors import guarded, is_local, succeeds
from flowers_core.ui.photos import split_form
from flowers_core.ui.photos.add_photos import offer_flowers102
from flowers_core.ui.plain import plain


def about(known: KnownSet, decoded: DecodedSource) -> None:
    """What the set holds in one line, buttons that open its card and its split, and a word when it is small."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_in_one_line(decoded), width="content")
        dialogs.button("About this set", ":material/info:", f"set-card-{known.id}", _card, known, decoded)
        dialogs.button("Split", ":material/call_split:", f"set-split-{known.id}", split_form.form, known, decoded)


def _in_one_line(decoded: DecodedSource) -> str:
    train, valid, test = decoded.counts.sum(0).tolist()
    kinds, left_out = len(decoded.source.classes), len(decoded.source.problems)
    parts = [words.count(kinds, "kind"), f"{train:,} train", f"{valid:,} valid", f"{test:,} test"]
    if left_out:
        parts.append(f"{left_out:,} left out")
    if decoded.edits:
        parts.append(f"{len(decoded.edits):,} changed here")
    return " · ".join(parts) + (" (see Problems)" if left_out or decoded.edits else "")


def trash() -> None:
    """A line for each set that can be brought back."""
    deleted = library.deleted_sets()
    if not deleted:
        return
    just_now = st.session_state.get("just-deleted")
    with st.expander(f"Deleted sets ({len(deleted)})", icon=":material/delete:", expanded=just_now is not None):
        for row in deleted:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(f"{row.name}, deleted {datetime.fromtimestamp(row.time):%d %b %H:%M}")
                st.button(
                    "Bring back",
                    key=f"back-{row.place}",
                    icon=":material/undo:",
                    on_click=guarded(_restore),
                    args=(row,),
                )
        st.caption("They are removed for good after seven days.")
        with st.popover("Remove them now", icon=":material/delete_forever:"):
            st.text("Then nobody can bring them back.")
            count = f"{len(deleted)} sets" if len(deleted) > 1 else deleted[0].name
            st.button(f"Remove {plain(count)} for good", key="empty-trash", type="primary", on_click=_empty,
                      args=(deleted,))  # fmt: skip


def _card(known: KnownSet, decoded: DecodedSource) -> None:
    counts = decoded.source.counts()
    rows = {
        "From": _origin(known) or "built in",
        "Added": f"{datetime.fromtimestamp(known.added):%d %b %Y %H:%M}" if known.added else "",
        "Licence": known.licence_in_words,
        "Photos": ", ".join(f"{counts[split]:,} {split}" for split in SPLITS if counts[split]),
        "Kinds": str(len(decoded.source.classes)),
        "Split by": decoded.source.split_origin,
        "Fingerprint": decoded.fingerprint,
    }
    facts = st.grid(3, min_column_width=180)
    for label, value in rows.items():
        if value:
            facts.markdown(f"**{label}**  \n{plain(value)}")
    st.caption("The fingerprint names exactly these photos in these splits. Every model carries that of its photos.")
    if not known.added:
        return
    if decoded.source.split_origin == "Flowers-102":
        kinds = st.radio(
            "Kinds", list(flowers102.KINDS), format_func=flowers102.KINDS.__getitem__, horizontal=True,
            index=list(flowers102.KINDS).index(known.kinds if known.kinds in flowers102.KINDS else ""),
            key=f"kinds-{known.id}",
        )  # fmt: skip
        if kinds != known.kinds and succeeds(library.change, known.id, kinds=kinds):
            look_again(known)
            st.rerun()
    with st.form(f"rename-{known.id}", border=False):
        name = st.text_input("Name", known.name, max_chars=library.NAME_LENGTH)
        licence = st.text_input("Licence, as its maker states it", known.licence, max_chars=120)
        save = st.form_submit_button("Save", icon=":material/save:")
        if save and succeeds(library.change, known.id, name=name, licence=licence):
            look_again(known)
            dialogs.close()
            st.rerun()
    _delete_form(known)


def remedy(known: KnownSet) -> None:
    """What can be done about a set that can't be opened: its card, where the form to delete it is, can't be shown."""
    if known.data == library.FLOWERS102 and not known.added:
        offer_flowers102()
    elif known.added:
        _delete_form(known)


def _delete_form(known: KnownSet) -> None:
    """A checkbox and a button that move an added set to the trash."""
    stays = "" if known.is_copy else " The folder itself stays as it is."
    sure = st.checkbox(f"Delete this set. It can be brought back for seven days.{stays}", key=f"sure-{known.id}")
    pressed = st.button("Delete the set", key="delete-set", icon=":material/delete:", disabled=not sure)
    if pressed and succeeds(_delete, known):
        st.rerun()


def _origin(known: KnownSet) -> str:
    """Where it comes from; only a viewer at the machine sees in which of its folders."""
    return known.origin if known.is_copy or is_local() else Path(known.origin).name


def _delete(known: KnownSet) -> None:
    st.session_state["just-deleted"] = library.delete(known.id)
    linked.forget("data")  # who deletes it needs no word of its being gone
    st.query_params.pop("data", None)
    dialogs.close()


def _restore(deleted: DeletedSet) -> None:
    st.session_state["new-set"] = library.restore(deleted).id
    st.session_state.pop("just-deleted", None)


def _empty(deleted: list[DeletedSet]) -> None:
    library.remove_for_good(deleted)  # these and no others: somebody may have deleted one since they were listed
    st.session_state.pop("just-deleted", None)
