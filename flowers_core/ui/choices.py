"""What every page lets a person choose: the photos and the model; and opening them with progress and errors."""

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import streamlit as st

from flowers_core import checkpoint
from flowers_core.cache import DecodedSource, decode_source
from flowers_core.checkpoint import Card
from flowers_core.errors import FlowersError
from flowers_core.sources import library, open_source
from flowers_core.ui import linked
from flowers_core.ui.plain import plain

LOCAL = ("localhost", "127.0.0.1", "::1", "")

OPEN_SOURCES = 4
"""Sets kept open in memory (their lists; pixels stay on disk)."""


def choose_set(label: str = "Photos") -> library.KnownSet:
    """A select box of all known sets; the choice is shared by all pages and part of the address."""
    sets = {known.id: known for known in library.known_sets()}
    names = {known.id: known.name for known in sets.values()}
    return sets[linked.choose(label, names, "data", take=st.session_state.pop("new-set", None))]


def open_set(known: library.KnownSet) -> DecodedSource:
    """The set's photos, decoded; with a progress bar the first time. Ends the page with a message on errors."""
    if known.data == "flowers102" and not _is_downloaded():
        _offer_download()
    stamp = _stamp(known.data)
    store, lock = _open_sets()
    with lock:
        kept = store.get(known.data)
        if kept and kept[0] == stamp:
            store.move_to_end(known.data)
            return kept[1]
    bar = st.empty()

    def report(what: str, done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), f"{what}: {done:,} of {total:,}")

    try:
        with st.spinner("Opening the photos…", show_time=True):
            decoded = decode_source(open_source(known.data, least_classes=1, progress=report), report)
    except FlowersError as error:
        bar.empty()
        show_error(error)
        st.stop()
    bar.empty()
    with lock:
        store[known.data] = (stamp, decoded)
        while len(store) > OPEN_SOURCES:
            store.popitem(last=False)
    return decoded


def look_again(known: library.KnownSet) -> None:
    """Forgets what is kept in memory of a set, so that the next run lists its folders anew."""
    store, lock = _open_sets()
    with lock:
        store.pop(known.data, None)


def choose_checkpoint(label: str = "Model") -> tuple[Path, Card] | None:
    """A select box of all checkpoints, or None with a word on what to do when there is none yet."""
    found = {checkpoint_id(path): path for path in checkpoint.find_checkpoints()}
    if not found:
        st.info("There is no trained model yet. Training one takes a minute or two.", icon=":material/model_training:")
        st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")
        return None
    newest_first = sorted(found, key=lambda key: found[key].stat().st_mtime, reverse=True)
    path = found[linked.choose(label, {key: describe(found[key]) for key in newest_first}, "model")]
    return path, checkpoint.read_card(path)


def checkpoint_id(path: Path) -> str:
    """Names a checkpoint in links: its run's id, or the shipped file's name."""
    return path.parent.name if path.name == "best.safetensors" else path.stem


def describe(path: Path) -> str:
    """A checkpoint in one line."""
    card = checkpoint.read_card(path)
    accuracy = card.results.get("valid_accuracy")
    reached = f", {accuracy:.0%} on valid" if accuracy is not None else ""
    when = datetime.fromtimestamp(path.stat().st_mtime).strftime("%d %b %H:%M")
    return f"{card.data.get('data', path.stem)}: AlexNet {card.variant}{reached} ({when})"


def show_error(error: FlowersError) -> None:
    """An error as a person should read it. Shown as plain text: parts of it come from file names."""
    with st.container(border=True):
        st.error(plain(error.what) + ".", icon=":material/error:")
        if error.where is not None:
            st.text(str(error.where))
        if error.hint:
            st.text(error.hint)


def is_local() -> bool:
    """Is the viewer sitting at the machine that runs the app? Only then may they name its folders.

    A proxy in front of the app makes every viewer look local, but says whom it speaks for.
    """
    headers = st.context.headers
    host = (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    forwarded = headers.get("X-Forwarded-For") or headers.get("Forwarded")
    address = st.context.ip_address or "127.0.0.1"  # Streamlit gives None for a viewer on this machine
    return host in LOCAL and address in LOCAL and not forwarded


@st.cache_resource
def _open_sets() -> tuple[OrderedDict, threading.Lock]:
    return OrderedDict(), threading.Lock()


def _stamp(data: str) -> tuple:
    """Changes when a file is added to or removed from a set's folders; cheap enough for every click."""
    stamps = []
    level = [Path(data)]
    for _ in range(4):  # a wrapping folder, splits, kinds, and one more
        below = []
        for folder in level[:1000]:
            with suppress(OSError):  # not there, or closed to us: what opening it says is shown to the user
                stamps.append(folder.stat().st_mtime_ns)
                below += [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
        level = below
    return tuple(stamps)


def _is_downloaded() -> bool:
    from flowers_core.sources.flowers102 import is_layout
    from flowers_core.storage import data_dir

    return is_layout(data_dir() / "flowers-102")


def _offer_download() -> None:
    st.info(
        "Oxford Flowers-102 (Nilsback and Zisserman, 2008) holds 8,189 photos of 102 kinds; the app uses the 30 "
        "default kinds of it. It is a download of 345 MB from its authors' site, which states no licence: "
        "it is meant for study.",
        icon=":material/download:",
    )
    if not st.button("Download it", type="primary"):
        st.stop()
