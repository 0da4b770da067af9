"""Train: choose settings, start, and watch it learn; the training itself is a process of its own."""

import streamlit as st

from flowers_core import runs
from flowers_core.ui import frame, keep, linked, live, settings
from flowers_core.ui.choices import choose_set, open_set

frame.enter()

st.title("Train")
keep.undo()

every_run = runs.list_runs()
names = {settings.NEW: "A new training"} | {run.id: live.title(run) for run in every_run}
active = runs.active_runs()
chosen = settings.NEW
if every_run:
    chosen = linked.choose(
        "Training", names, "run", take=st.session_state.pop("started-run", None), label_visibility="collapsed",
        first=active[0].id if active else settings.NEW,
        remember=False,  # who comes back, comes back to what is going on
    )  # fmt: skip

if chosen != settings.NEW:
    live.watch(runs.find_run(chosen))
else:
    known = choose_set()
    decoded = open_set(known)
    settings.form(known, decoded)
