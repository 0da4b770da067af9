"""A table to read: its cells are text that wraps on a phone, and no toolbar covers what stands above it."""

import pandas as pd
import streamlit as st

from flowers_core.ui.plain import plain

MOST_ROWS, HEIGHT = 40, 600
"""Rows from which on a table scrolls, in so many pixels."""


def text_table(data: pd.DataFrame | dict[str, list], hide_index: bool = True) -> None:
    """Shows a table.

    Args:
        data: what its cells say; whatever Markdown would act on is shown as it is.
        hide_index: False when the index names the rows.
    """
    frame = pd.DataFrame(data)
    shown = frame.map(lambda cell: plain(str(cell))).rename(columns=plain)
    if not hide_index:
        shown = shown.rename(index=plain)
    st.table(shown, hide_index=hide_index, height=HEIGHT if len(frame) > MOST_ROWS else "content")
