"""What went wrong, as the viewer may read it: names of the machine's folders are for whoever sits at it."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.ui.plain import plain

CLICK = "click-error"
LOCAL = ("localhost", "127.0.0.1", "::1", "")


def show_error(error: FlowersError, border: bool = True) -> None:
    """An error as a person should read it. Shown as plain text: parts of it come from file names."""
    with st.container(border=border):
        st.error(plain(error.what) + ".", icon=":material/error:")
        if error.where is not None:
            here = is_local() or not Path(str(error.where)).is_absolute()
            st.text(str(error.where) if here else Path(str(error.where)).name)
        if error.hint:
            st.text(error.hint)


def guarded(action: Callable[..., object]) -> Callable[..., None]:
    """A button's callback after which the page begins with what went wrong in it, where something did."""

    @wraps(action)
    def act(*args: object) -> None:
        try:
            action(*args)
        except FlowersError as error:
            st.session_state[CLICK] = error

    return act


def succeeds(action: Callable[..., object], *args: object, **options: object) -> bool:
    """Does it at once, and shows right there what goes wrong, where something does: for forms and dialogs."""
    try:
        action(*args, **options)
    except FlowersError as error:
        show_error(error)
        return False
    return True


def of_the_last_click() -> None:
    """Shows what went wrong in a `guarded` button, once; at the beginning of a page."""
    if error := st.session_state.pop(CLICK, None):
        show_error(error)


def leave_to_the_page() -> None:
    """At the beginning of a fragment: what went wrong in one of its buttons is for the whole page to show.

    What a fragment's callback writes itself takes the place of the page's first element.
    """
    if CLICK in st.session_state:
        st.rerun()


def is_local() -> bool:
    """Is the viewer sitting at the machine that runs the app? Only then may they name its folders.

    A proxy in front of the app makes every viewer look local, but says whom it speaks for.
    """
    headers = st.context.headers
    host = (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    forwarded = headers.get("X-Forwarded-For") or headers.get("Forwarded")
    address = st.context.ip_address or "127.0.0.1"  # Streamlit gives None for a viewer on this machine
    return host in LOCAL and address in LOCAL and not forwarded
