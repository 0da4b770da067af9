"""A folder of this computer, typed or found by clicks, for whoever sits at it."""

from pathlib import Path

import streamlit as st

from flowers_core.sources.records import natural_order, printable
from flowers_core.ui.plain import plain

PATH = "folder-path"
"""Key of the text field."""

UP = ".."
MOST_SHOWN = 300
"""Folders in one that are offered; beyond them a path is sooner typed."""

HEIGHT = 190
"""Pixels that the list takes at most."""


def folder_path() -> str:
    """The path as it stands in its field, perhaps of no folder at all."""
    text = st.text_input("A folder on this computer", placeholder=str(Path.home() / "My flowers"), key=PATH)
    here = _existing(text)
    if here is not None:
        names = _folders_in(here)
        with st.container(height=HEIGHT if len(names) > 20 else "content", border=False):
            st.pills(
                f"Folders in {plain(printable(str(here)))}", ([UP] if here != here.parent else []) + names,
                format_func=lambda name: ":material/arrow_upward: One up" if name == UP else plain(printable(name)),
                key=f"folders-{here}", on_change=_enter, args=(here,),
            )  # fmt: skip
    return text


def _existing(text: str) -> Path | None:
    """The folder that is named; the user's own before any is; None when there is no such folder."""
    try:
        path = Path(text.strip().strip('"')).expanduser() if text.strip() else Path.home()
        return path.resolve() if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # closed to us; the home of nobody; a zero byte
        return None


def _folders_in(here: Path) -> list[str]:
    try:
        names = [path.name for path in here.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except OSError:  # closed to us
        return []
    return sorted(names, key=natural_order)[:MOST_SHOWN]


def _enter(here: Path) -> None:
    name = st.session_state[f"folders-{here}"]
    if name:
        st.session_state[PATH] = str(here.parent if name == UP else here / name)
