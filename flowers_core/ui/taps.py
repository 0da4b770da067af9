"""Charts of Plotly that take a tap on a phone for the click that it is, and let swipes scroll the page."""

from pathlib import Path

import streamlit as st

SCRIPT = Path(__file__).with_suffix(".js")


def listen() -> None:
    """Once on a page with such charts."""
    st.components.v2.component("taps", js=SCRIPT.read_text())(key="taps")
