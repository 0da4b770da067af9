"""Imports that are going on, with their progress and Cancel, and how they ended."""

import time

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.photos import importer
from flowers_core.photos.importer import Job
from flowers_core.sources import imports
from flowers_core.ui.errors import guarded, is_local, leave_to_the_page, show_error
from flowers_core.ui.plain import plain

EVERY_S = 0.5
"""Seconds between two looks at an import."""

FRESH_S = 600.0
"""Seconds for which the end of an import stands there for who reloads the page."""


def panel() -> None:
    """All imports; looks again every moment while one goes on. Shows the set of one that this viewer started."""
    _swept()
    alive = bool(_going_on())
    st.fragment(_panel, run_every=EVERY_S if alive else None)(alive)


def _concerns(job: Job) -> bool:
    """Whose import has ended is theirs to know; at the machine itself also who has reloaded the page."""
    if job.state() in importer.ALIVE or job.id in st.session_state["own-jobs"]:
        return True
    return is_local() and time.time() - job.last_sign() < FRESH_S


def _panel(was_alive: bool) -> None:
    leave_to_the_page()
    mine = st.session_state.setdefault("own-jobs", set())
    for job in importer.jobs():
        if job.id in mine and job.state() == "done":
            st.session_state["new-set"] = job.status().set_id
            mine.discard(job.id)
            job.dismiss()
            st.rerun()
    if bool(_going_on()) != was_alive:
        st.rerun()
    for job in filter(_concerns, importer.jobs()):
        _show(job)


def _show(job: Job) -> None:
    state, status = job.state(), job.status()
    with st.container(border=True, key=f"job-{job.id}"):
        if state in importer.ALIVE:
            st.text(f"Import: {_called(job)}")
            _progress(job, status)
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"Import: {_called(job)}", width="stretch")
            if state == "done" and st.button("Show it", key=f"show-{job.id}", type="primary"):
                st.session_state["new-set"] = status.set_id
                job.dismiss()
                st.rerun()
            if state in ("failed", "interrupted") and _can_begin_again(job):
                st.button("Try again", key=f"again-{job.id}", icon=":material/refresh:", on_click=guarded(job.start))
            st.button("Dismiss", key=f"dismiss-{job.id}", icon=":material/close:", on_click=guarded(job.dismiss))
        if state == "failed":
            show_error(FlowersError(status.error or "It failed", status.where or None, status.hint), border=False)
        elif state == "interrupted":
            st.warning("It was interrupted; nothing half done stays.", icon=":material/bolt:")
        elif state == "cancelled":
            st.info("Cancelled. Nothing of it was kept.", icon=":material/cancel:")
        else:
            st.success("It is here.", icon=":material/check_circle:")


def _progress(job: Job, status: importer.Status) -> None:
    of = f": {status.done:,} of {status.total:,}" if status.total > 1 else "…"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, max(0.0, status.done / max(1, status.total))), plain(status.what + of))
        if job.is_cancelled():
            st.button("Cancelling…", key=f"cancel-{job.id}", disabled=True)
        else:
            st.button("Cancel", key=f"cancel-{job.id}", icon=":material/cancel:", on_click=guarded(job.cancel))


def _called(job: Job) -> str:
    try:
        request = job.request()
    except TypeError:
        return "photos"
    return request.name or request.shown or request.place or imports.WAYS.get(request.way, "photos")


def _can_begin_again(job: Job) -> bool:
    try:
        return job.request().way != "zip" or job.upload_path.exists()
    except TypeError:
        return False


def _going_on() -> list[Job]:
    return [job for job in importer.jobs() if job.state() in importer.ALIVE]


@st.cache_resource
def _swept() -> bool:
    """Once per server: removes what was left by imports that died with the last one."""
    importer.sweep()
    return True
