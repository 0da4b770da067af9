"""Many photos at once: a table with thumbnails, a file of all answers, and one to look into."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from flowers_core.network import sureness
from flowers_core.ui.classify.answers import Answered
from flowers_core.ui.plain import harmless
from flowers_core.ui.text_table import text_table

if TYPE_CHECKING:
    from flowers_core.evaluation.predict import Prediction

CHOSEN = "look-into"

FEW = 2
"""Files without an answer that are each told apart; more of them are a table."""


def table(answers: Sequence[Answered]) -> Answered:
    """The answers as a table and as a download; the photo that was chosen to look into."""
    rows = pd.DataFrame(
        {
            "No.": range(1, len(answers) + 1),
            "Photo": ["data:image/jpeg;base64," + base64.b64encode(a.thumbnail).decode() for a in answers],
            "Name": [_said(a) for a in answers],
            # How sure it would be among the kinds says nothing where it is none of them.
            "Probability": [a.prediction.top[0][1] if a.prediction.known else None for a in answers],
            "Next guess": [_next_guess(a.prediction) for a in answers],
            "File": [a.picture.name for a in answers],
        }
    )
    names = {str(number): f"{number + 1}: {_said(a)}" for number, a in enumerate(answers)}
    # Shown as words, sorted as the number that it is. The photos' long addresses need not travel a second time.
    shown = rows.style.format({"Photo": lambda _: "", "Probability": sureness.percent}, na_rep="–")
    st.space("small")  # for the toolbar, which a phone always shows
    st.dataframe(
        shown, key="answers-table", hide_index=True, row_height=64, width="stretch",
        on_select=lambda: _take_row(), selection_mode="single-row", placeholder="–",
        column_config={
            "No.": st.column_config.NumberColumn(width=40),
            "Photo": st.column_config.ImageColumn(width=80),
            "Probability": st.column_config.NumberColumn(),
        },
        alt="Every photo with its answer",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state.get(CHOSEN) not in names:
            st.session_state[CHOSEN] = "0"
        chosen = st.selectbox("Look into photo", list(names), format_func=names.__getitem__, key=CHOSEN)
        st.download_button(
            "Download as CSV", lambda: to_csv(answers), "flowers.csv", "text/csv", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
    return answers[int(chosen)]


def unreadable(answers: Sequence[Answered]) -> None:
    """Files without an answer, each with the reason; in little room, above the answers to the others."""
    if len(answers) <= FEW:
        for a in answers:
            with st.container(border=True):
                st.text(a.picture.name or "The photo")
                st.error(f"{a.prediction.error}. Try a JPEG, PNG, WebP or HEIC photo.", icon=":material/broken_image:")
        return
    with st.expander(f"{len(answers)} files could not be read", icon=":material/broken_image:"):
        rows = [(a.picture.name, a.prediction.error) for a in answers]
        text_table(pd.DataFrame(rows, columns=["File", "Reason"]))


def to_csv(answers: Sequence[Answered]) -> bytes:
    """One row per photo: file, whether it is one of the model's kinds, guesses with probabilities, or the error."""
    most = max((len(a.prediction.top) for a in answers), default=0)
    rows = []
    for a in answers:
        row = {"file": harmless(a.picture.name), "known": a.prediction.known, "error": a.prediction.error}
        for k in range(most):
            name, probability = a.prediction.top[k] if k < len(a.prediction.top) else ("", None)
            row |= {f"guess {k + 1}": harmless(name), f"probability {k + 1}": probability}
        rows.append(row)
    buffer = io.StringIO()
    pd.DataFrame(rows).to_csv(buffer, index=False, float_format="%.6f")
    return buffer.getvalue().encode("utf-8-sig", errors="replace")  # with the mark that Excel wants to see


def _said(answered: Answered) -> str:
    return answered.prediction.top[0][0] if answered.prediction.known else "none of the kinds"


def _next_guess(prediction: "Prediction") -> str:
    """After its name the second one; where it is none of the kinds, the nearest."""
    guesses = [name for name, _ in prediction.top]
    return next(iter(guesses[1:] if prediction.known else guesses), "")


def _take_row() -> None:
    if rows := st.session_state["answers-table"].selection.rows:
        st.session_state[CHOSEN] = str(rows[0])
