"""Ways to bring in one's own photos."""

from contextlib import suppress

import streamlit as st

from flowers_core.errors import DataError, FlowersError
from flowers_core.photos import importer
from flowers_core.sources import flowers102, imports, layout, library
from flowers_core.sources.imports import ImportRequest
from flowers_core.ui import dialogs
from flowers_core.ui.errors import is_local, show_error
from flowers_core.ui.photos import folder_choice, own_photos

ONE_BY_ONE = "own"


def button() -> None:
    """A button that opens the ways in."""
    if st.session_state.pop("photos-added", False):
        st.session_state[folder_choice.PATH] = st.session_state["drive-link"] = st.session_state["set-name"] = ""
    dialogs.button("Add photos", ":material/add_photo_alternate:", "add-photos", _ways_in)


def _ways_in() -> None:
    ways = {
        way: {"folder": "A folder here"}.get(way, name)
        for way, name in imports.WAYS.items()
        if way != "folder" or is_local()
    }
    ways[ONE_BY_ONE] = "One by one"
    way = st.pills("Photos from", list(ways), format_func=ways.__getitem__, default="zip", required=True, key="way-in")
    if way == ONE_BY_ONE:
        own_photos.panel()
    else:
        {"zip": _zip, "folder": _folder, "drive": _drive, "flowers102": _flowers102}[way]()


def offer_flowers102(place: str = "page") -> None:
    """The terms of Flowers-102, and its download once somebody has agreed to them."""
    st.markdown(flowers102.TERMS)
    kinds = st.radio(
        "Kinds",
        list(flowers102.KINDS),
        format_func=flowers102.KINDS.__getitem__,
        horizontal=True,
        key=f"flowers-kinds-{place}",
    )
    agreed = st.checkbox("I use the photos for my own study and don't pass them on.", key=f"flowers-agreed-{place}")
    if st.button(
        "Download it", type="primary", icon=":material/download:", disabled=not agreed, key=f"flowers-start-{place}"
    ):
        _start(ImportRequest("flowers102", "", kinds=kinds))


def _layout_hint() -> None:
    st.caption(
        "Folders `Train` and `Valid` (and `Test`, if you like), in each one folder per kind of flower. "
        "Folders of kinds alone are fine too: the app then splits them."
    )


def _name() -> str:
    return st.text_input("Name of the set", placeholder="As the folder or file", key="set-name", max_chars=60)


def _zip() -> None:
    _layout_hint()
    upload = st.file_uploader("A zip of these folders", type="zip", key="zip-upload")
    name = _name()
    if st.button("Add the zip", type="primary", icon=":material/upload:", disabled=upload is None):
        _start(ImportRequest("zip", "", name, shown=upload.name), upload)


def _folder() -> None:
    _layout_hint()
    kinds = ""
    text = folder_choice.unquoted(folder_choice.folder_path())
    if text and _holds_flowers102(text):
        kinds = st.radio(
            "This is Oxford Flowers-102",
            list(flowers102.KINDS), format_func=flowers102.KINDS.__getitem__, horizontal=True, key="folder-kinds",
        )  # fmt: skip
    name = _name()
    if st.button("Add the folder", type="primary", icon=":material/folder_open:"):
        try:
            if not text:
                raise DataError("No folder is chosen yet", None, "Click your way to it, or paste its path above.")
            place = imports.existing(text, "It is looked for on the computer that runs this app.").resolve()
            if place.is_file():
                _start(ImportRequest("zip", str(place), name, shown=place.name))
                return
            known = imports.bring(ImportRequest("folder", str(place), name, kinds))
        except FlowersError as error:
            show_error(error)
        else:
            show_set(known.id)


def _drive() -> None:
    st.caption(
        "A folder laid out like that, or a zip of it. In Google Drive choose Share, and under General access "
        "*Anyone with the link*."
    )
    link = st.text_input(
        "Link", placeholder="https://drive.google.com/drive/folders/…", key="drive-link", max_chars=400
    )
    name = _name()
    if st.button("Fetch it", type="primary", icon=":material/cloud_download:"):
        try:
            if not link.strip():
                raise DataError("There is no link yet", None, "Paste it above.")
            request = imports.request_for(link if "://" in link else f"https://{link.strip()}", name)
        except FlowersError as error:
            show_error(error)
        else:
            _start(request)


def _flowers102() -> None:
    there = next((known for known in library.known_sets() if known.id == library.FLOWERS102 and known.added), None)
    if there is None:
        offer_flowers102("ways")
    else:
        st.info("It is here already.")
        if st.button("Show it", icon=":material/photo_library:"):
            show_set(there.id)


def _start(request: ImportRequest, upload=None) -> None:
    try:
        with st.spinner("Taking the zip…" if upload else "Starting…"):
            job = importer.start(request, upload)
    except FlowersError as error:
        show_error(error)
        return
    own_jobs = st.session_state.setdefault("own-jobs", set())
    for earlier in importer.jobs():
        if earlier.id in own_jobs and earlier.state() in ("failed", "cancelled", "interrupted"):
            with suppress(TypeError):  # a damaged one
                if earlier.request().way == request.way:  # why it failed was read by who tries again
                    earlier.dismiss()
    own_jobs.add(job.id)
    st.session_state["photos-added"] = True
    dialogs.close()  # out of the way of what is coming in
    st.rerun()


def show_set(set_id: str) -> None:
    """Closes what is open, and shows this set."""
    st.session_state["new-set"], st.session_state["photos-added"] = set_id, True
    dialogs.close()
    st.rerun()


def _holds_flowers102(text: str) -> bool:
    try:
        return layout.flowers102_root(imports.existing(text)) is not None
    except (FlowersError, OSError):
        return False
