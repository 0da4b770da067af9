"""Compare: several trainings in one chart, what differs in their settings, and what each of them reached."""

import streamlit as st

from flowers_core import runs
from flowers_core.ui import frame
from flowers_core.ui.train import keep, side_by_side

frame.enter()

st.title("Compare trainings")
keep.undo()
every_run = runs.list_runs()
if every_run:
    side_by_side.show(every_run)
else:
    st.info("There is no training yet. With two of them there is something to compare.", icon=":material/info:")
    frame.link("train", "Train a model", "model_training")
keep.trash_panel()
