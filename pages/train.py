"""Train: choose settings, start, and watch it learn; the training itself is a process of its own."""

import streamlit as st

from flowers_core import runs
from flowers_core.ui import frame, live, settings
from flowers_core.ui.choices import choose_set, open_set

frame.enter()

st.title("Train")

every_run = runs.list_runs()
NEW = "A new training"
if started := st.session_state.pop("started-run", None):
    st.session_state["run"] = started
names = {NEW: NEW} | {run.id: live.title(run) for run in every_run}
active = runs.active_runs()
if active and "run" not in st.session_state and "run" not in st.query_params:
    st.session_state["run"] = active[0].id  # who comes back, comes back to what is going on
chosen = NEW
if every_run:
    chosen = st.selectbox(
        "Training", list(names), format_func=lambda run: names[run], key="run", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip

if chosen in names and chosen != NEW:
    live.watch(runs.find_run(chosen))
else:
    known = choose_set()
    decoded = open_set(known)
    settings.form(known, decoded)
