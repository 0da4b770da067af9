"""The model in memory, shared by all sessions and pages: one at a time, since each takes up to 230 MB."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from flowers_core.network import checkpoint

if TYPE_CHECKING:
    from flowers_core.evaluation.predict import Classifier


def classifier(path: Path) -> "Classifier":
    """The checkpoint, ready to answer; loaded anew when the file has changed.

    Raises:
        CheckpointError: it can't be used.
    """
    return _classifier(str(path), checkpoint.written_at(path))


@st.cache_resource(max_entries=1, show_spinner=False)
def _classifier(path: str, changed: int) -> "Classifier":
    from flowers_core.evaluation.predict import Classifier

    return Classifier(Path(path))
