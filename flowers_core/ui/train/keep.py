"""What a person does with a training that is over: name it, note something, delete it, take that back."""

import streamlit as st

from flowers_core import runs
from flowers_core.errors import FlowersError
from flowers_core.runs import MOST_NAME, MOST_NOTE, Run, trash
from flowers_core.ui.errors import guarded, show_error
from flowers_core.ui.plain import plain


def popover(run: Run) -> None:
    """A button that opens the run's name and note, and the way to delete it."""
    key = f"keep-{run.id}"
    if st.session_state.pop("label-saved", None) == run.id:
        st.session_state[key] = False  # only before it is drawn can it be closed
    with st.popover("Name, note, delete", icon=":material/edit:", key=key, on_change="rerun"):
        name, note = run.label()
        # Keys with the saved text in them: what another viewer saves meanwhile shows here too.
        with st.form(f"label-{run.id}", border=False):
            new_name = st.text_input(
                "Name", name, max_chars=MOST_NAME, placeholder=run.usual_name, key=f"name-{run.id}-{hash(name)}"
            )
            new_note = st.text_area(
                "Note", note, max_chars=MOST_NOTE, height=120, key=f"note-{run.id}-{hash(note)}",
                placeholder="What was tried, what came out, what to try next.",
            )  # fmt: skip
            if st.form_submit_button("Save", type="primary", icon=":material/save:"):
                _save(run, new_name, new_note)
        alive = run.state() in runs.ACTIVE
        st.button(
            "Delete this training", icon=":material/delete:", on_click=guarded(_delete), args=(run,), disabled=alive,
            key=f"delete-{run.id}", help="Stop it first." if alive else "Its model goes with it. It can be undone.",
        )  # fmt: skip


def note(run: Run) -> None:
    """The run's note, where there is one."""
    text = run.label()[1]
    if text:
        with st.container(border=True):
            st.text(text)


def undo() -> None:
    """What was just deleted, and the way to take it back; stays until it is done or sent away."""
    run_id = st.session_state.get("deleted-run")
    deleted = next((each.run for each in trash.content() if each.run.id == run_id), None)
    if deleted is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/delete: {plain(deleted.name)} is in the trash.")
        st.button("Undo", icon=":material/undo:", on_click=guarded(_restore), args=(run_id,), key="undo")
        st.button("Fine", type="tertiary", on_click=lambda: st.session_state.pop("deleted-run", None), key="undo-no")


def trash_panel() -> None:
    """The trash: what lies in it, to bring back or to remove for good."""
    deleted = trash.content()
    if not deleted:
        return
    with st.expander(f"Trash ({len(deleted)})", icon=":material/delete:"):
        st.caption(f"Deleted trainings stay here for {trash.KEPT_DAYS} days.")
        for each in deleted:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button("Restore", icon=":material/undo:", on_click=guarded(_restore), args=(each.run.id,),
                          key=f"restore-{each.run.id}")  # fmt: skip
                st.text(each.run.name)
        with st.popover(f"Empty the trash ({trash.megabytes():,} MB)", icon=":material/delete_forever:"):
            st.text("Then nobody can restore them.")
            count = f"{len(deleted)} trainings" if len(deleted) > 1 else "this training"
            st.button(f"Remove {count} for good", type="primary", key="empty-trash", on_click=trash.remove_for_good,
                      args=(deleted,))  # fmt: skip


def _save(run: Run, name: str, note: str) -> None:
    try:
        run.set_label(name, note)
    except FlowersError as error:
        show_error(error)
        return
    st.session_state["label-saved"] = run.id
    st.rerun()


def _delete(run: Run) -> None:
    st.session_state["deleted-run"] = trash.delete(run).id
    st.session_state["deleted-from"] = st.session_state.get("compared", ())
    st.toast(f"{plain(run.name)} is in the trash. Undo stands at the top of the page.", icon=":material/delete:")
    st.session_state.pop("run", None)
    st.query_params.pop("run", None)


def _restore(run_id: str) -> None:
    run = trash.restore(run_id)
    st.session_state.pop("deleted-run", None)
    before, now = st.session_state.pop("deleted-from", ()), st.session_state.get("compared", ())
    if run.id in before:  # in its old place, so that no curve changes its colour
        others = [other for other in now if other not in before]
        st.session_state["compared"] = [*(each for each in before if each in now or each == run.id), *others]
    st.session_state["started-run"] = run.id
