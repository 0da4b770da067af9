"""A button that has the browser say a flower's name."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__)


def button(name: str) -> None:
    """Speech comes from the viewer's own device: no sound leaves or reaches the server."""
    # Registered anew by every run, as in `tiles.grid`.
    mount = st.components.v2.component(
        "aloud", html="<button type=button>Hear it</button>", css=HERE.with_suffix(".css").read_text(),
        js=HERE.with_suffix(".js").read_text(),
    )  # fmt: skip
    mount(key="aloud", data={"name": name}, width="content")
