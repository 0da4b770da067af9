"""Ways to bring in one's own photos."""

import re
import secrets
import shutil
from pathlib import Path

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.sources import library, open_source
from flowers_core.storage import data_dir, explain_disk_errors
from flowers_core.ui.choices import is_local, show_error


def popover() -> None:
    """A button that opens the ways in."""
    if st.session_state.pop("photos-added", False):
        st.session_state["add-photos"] = False  # out of the way of what was added
        st.session_state["folder-path"] = ""
    with st.popover("Add photos", icon=":material/add_photo_alternate:", key="add-photos", on_change="rerun"):
        st.markdown(
            "Put your photos into folders: `Train` and `Valid` (and `Test`, if you like), "
            "in each one folder per kind of flower. Folders of kinds alone are fine too."
        )
        upload = st.file_uploader("A zip of these folders", type="zip", key="zip-upload")
        if upload is not None and st.button("Add the zip", type="primary", icon=":material/upload:"):
            _add_zip(upload)
        if is_local():
            folder = st.text_input("Or a folder on this computer", placeholder="/home/me/flowers", key="folder-path")
            if folder and st.button("Add the folder", icon=":material/folder_open:"):
                _add(Path(folder.strip().strip('"')).expanduser())


def _add_zip(upload) -> None:
    name = re.sub(r"[^\w\- ]+", "-", Path(upload.name).stem).strip("- ")[:60] or "photos"
    folder = data_dir() / "uploads" / secrets.token_hex(4)
    path = folder / f"{name}.zip"
    try:
        with explain_disk_errors(path):
            folder.mkdir(parents=True)
            with open(path, "wb") as file:
                shutil.copyfileobj(upload, file)
        added = _add(path)
    except FlowersError as error:
        show_error(error)
        added = False
    if not added:
        shutil.rmtree(folder, ignore_errors=True)


def _add(path: Path) -> bool:
    """Adds what can be opened, and shows it; says what is wrong with what can't."""
    bar = st.empty()

    def report(what: str, done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), f"{what}: {done:,} of {total:,}")

    try:
        source = open_source(path, progress=report)
        known = library.remember(path, source.name)
    except FlowersError as error:
        show_error(error)
        return False
    st.session_state["new-set"], st.session_state["photos-added"] = known.id, True
    st.rerun()
