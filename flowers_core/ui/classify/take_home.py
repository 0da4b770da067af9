"""The model as a file to keep: made on request, then offered for download."""

import tempfile
from pathlib import Path

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.export import FORMATS, export
from flowers_core.network import checkpoint
from flowers_core.network.checkpoint import Card
from flowers_core.ui.errors import show_error
from flowers_core.ui.plain import plain

WAYS = {
    "html": ("A page", ".html", "text/html"),
    "onnx": ("ONNX", ".onnx", "application/octet-stream"),
    "safetensors": ("Weights for PyTorch", ".zip", "application/zip"),
}
"""Format: what people see, the file's ending, its media type."""


def offer(path: Path, card: Card) -> None:
    """A section with one file at a time: choose what, have it made, download it.

    Only the last file is kept in memory, and only for the session that asked: files have up to 120 MB.
    """
    with st.expander("Take it home", icon=":material/download:"):
        format = st.segmented_control(
            "As", list(FORMATS), default="html", required=True, key="take-home", format_func=lambda name: WAYS[name][0]
        )
        st.caption(FORMATS[format])
        wanted = (str(path), checkpoint.written_at(path), format)
        kept = st.session_state.get("taken-home")
        if kept is None or kept["wanted"] != wanted:
            place = st.empty()
            if not place.button("Make the file", icon=":material/inventory_2:"):
                return
            place.empty()
            try:
                kept = {"wanted": wanted} | _made(path, format)
            except FlowersError as error:
                show_error(error)
                return
            st.session_state["taken-home"] = kept
        if kept["warning"]:
            st.warning(plain(kept["warning"]), icon=":material/warning:")
        _, ending, kind = WAYS[format]
        size = len(kept["content"]) / 1e6
        st.download_button(
            f"Download ({size:.1f} MB)", kept["content"], f"flowers-{card.variant}{ending}", kind,
            type="primary", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def _made(path: Path, format: str) -> dict:
    with (
        st.spinner("Making the file…", show_time=True),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    ):
        made = export(path, format, Path(folder) / f"flowers{WAYS[format][1]}")
        return {"content": made.files[0].read_bytes(), "warning": made.warning}
