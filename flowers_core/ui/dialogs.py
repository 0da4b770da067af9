"""Dialogs behind buttons: for forms that are higher than what a popover has on a laptop's screen."""

from collections.abc import Callable
from typing import Any

import streamlit as st

OPEN, ASKED = "open-dialog", "asked-dialog"


def button(label: str, icon: str, name: str, draw: Callable[..., None], *args: object, **look: Any) -> None:
    """A button, and the dialog that it opens: it stays while the page draws its button, until `close`.

    Args:
        label, icon: of both.
        name: tells it from the others, and what it is about from what others are about.
        draw: draws what stands in it. A click in there draws only that anew; `st.rerun` the whole page.
        args: for `draw`.
        look: further arguments of the button.
    """
    st.button(label, key=f"open-{name}", icon=icon, on_click=lambda: st.session_state.update({OPEN: name}), **look)
    if st.session_state.get(ASKED) == name:
        st.session_state[OPEN] = name
        st.dialog(label, icon=icon, width="medium", on_dismiss=close)(draw)(*args)


def begin() -> None:
    """At the beginning of a page's run: a dialog whose button is not drawn this time is open no more."""
    st.session_state[ASKED] = st.session_state.pop(OPEN, None)


def close() -> None:
    """No dialog is open any more, from the page's next run on."""
    st.session_state.pop(OPEN, None)
