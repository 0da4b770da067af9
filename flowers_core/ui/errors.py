"""What went wrong, as the viewer may read it: names of the machine's folders are for whoever sits at it."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.ui.plain import plain

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


def shown(action: Callable[..., object]) -> Callable[..., None]:
    """A button's callback that shows, above the page, what went wrong in it."""

    @wraps(action)
    def act(*args: object) -> None:
        try:
            action(*args)
        except FlowersError as error:
            show_error(error)

    return act


def is_local() -> bool:
    """Is the viewer sitting at the machine that runs the app? Only then may they name its folders.

    A proxy in front of the app makes every viewer look local, but says whom it speaks for.
    """
    headers = st.context.headers
    host = (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    forwarded = headers.get("X-Forwarded-For") or headers.get("Forwarded")
    address = st.context.ip_address or "127.0.0.1"  # Streamlit gives None for a viewer on this machine
    return host in LOCAL and address in LOCAL and not forwarded
