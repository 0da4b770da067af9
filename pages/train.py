"""Train: choose settings, start, and watch it learn; the training itself is a process of its own."""

import streamlit as st

from flowers_core import runs
from flowers_core.ui import frame, linked
from flowers_core.ui.choices import choose_set, open_set
from flowers_core.ui.train import folds, keep, live, settings

frame.enter()

st.title("Train")
keep.undo()

every_run = runs.list_runs()
names = {settings.NEW: "A new training"} | {run.id: live.title(run) for run in every_run}
shown_first = live.first_shown(every_run)
chosen = settings.NEW
head = st.container(horizontal=True, vertical_alignment="bottom")
if every_run:
    with head:
        chosen = linked.choose(
            "Training", names, "run", take=st.session_state.pop("started-run", None),
            first=shown_first.id if shown_first else settings.NEW, on_change=live.turn_to_new,
            remember=False,  # who comes back, comes back to what is going on or has just ended
        )  # fmt: skip
else:
    linked.check("Training", names, "run")

if chosen != settings.NEW:
    run = runs.find_run(chosen)
    with head:
        st.button("New training", icon=":material/add:", on_click=live.begin_anew, args=(run,))
    live.watch(run)
else:
    with head:
        known = choose_set()
    decoded = open_set(known)
    folds.from_link()
    settings.form(known, decoded)
