"""A folder of this computer, typed or found by clicks, for whoever sits at it."""

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

import streamlit as st

from flowers_core.images import SUFFIXES
from flowers_core.sources.folder import SPLIT_NAMES
from flowers_core.sources.records import natural_order, printable
from flowers_core.ui.plain import plain

PATH = "folder-path"
"""Key of the text field."""

UP = ".."
MOST_SHOWN = 300
"""Folders in one that are offered; beyond them a path is sooner typed."""

LOOKED_INTO = 100
"""Folders of a folder, and files of each, that are looked at."""

HEIGHT = 190
"""Pixels that the list takes at most."""


def folder_path() -> str:
    """The path as it stands in its field, perhaps of no folder at all."""
    text = st.text_input("A folder on this computer", placeholder=str(Path.home() / "My flowers"), key=PATH)
    here = _existing(text)
    if here is not None:
        names = _folders_in(here)
        if said := _said_of(here, names):
            st.caption(said)
        with st.container(height=HEIGHT if len(names) > 20 else "content", border=False):
            st.pills(
                f"Folders in {plain(printable(str(here)))}", ([UP] if here != here.parent else []) + names,
                format_func=lambda name: ":material/arrow_upward: One up" if name == UP else plain(printable(name)),
                key=f"folders-{here}", on_change=_enter, args=(here,),
            )  # fmt: skip
    return text


def unquoted(text: str) -> str:
    """A path without the spaces and the quotes around it, which Windows copies along."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _existing(text: str) -> Path | None:
    """The folder that is named; the user's own before any is; None when there is no such folder."""
    try:
        path = Path(unquoted(text)).expanduser() if text.strip() else Path.home()
        return path.resolve() if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # closed to us; the home of nobody; a zero byte
        return None


def _folders_in(here: Path) -> list[str]:
    names = []
    with suppress(OSError), os.scandir(here) as entries:  # closed to us
        for entry in entries:
            with suppress(OSError):  # what a disk far away doesn't answer for hides no other
                if not entry.name.startswith(".") and _can_be_typed(entry.name) and entry.is_dir():
                    names.append(entry.name)
    return sorted(names, key=natural_order)[:MOST_SHOWN]


def _can_be_typed(name: str) -> bool:
    """Does the text field hold it as it is? Names that are not UTF-8 it can't, and spaces at the ends it loses."""
    return name == unquoted(name) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _said_of(here: Path, names: list[str]) -> str:
    """Whether this is the folder to add, by a glance at some of what is in it; "" where that says nothing."""
    there = ":material/check_circle: **This is the folder to add:** "
    if splits := [name for name in names if name.strip().casefold() in SPLIT_NAMES]:
        return f"{there}{plain(' and '.join(splits[:3]))} lie here."
    if here.name.strip().casefold() in SPLIT_NAMES:
        return "This is one part of a set. To add is the folder above, with all of its parts."
    if _holds_photos(here):
        return "Photos lie right here. To add is the folder above, in which each kind has a folder."
    if sum(_holds_photos(here / name) for name in names[:LOOKED_INTO]) > 1:
        return f"{there}{len(names)} folders lie here, with photos in them."
    return ""


def _holds_photos(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.casefold().endswith(SUFFIXES) for entry in islice(entries, LOOKED_INTO))
    except OSError:  # closed to us, or gone
        return False


def _enter(here: Path) -> None:
    name = st.session_state[f"folders-{here}"]
    if name:
        st.session_state[PATH] = str(here.parent if name == UP else here / name)
