"""Tune: let the machine search for better settings, and see what the differences are worth."""

import streamlit as st

from flowers_core.tuning import studies
from flowers_core.ui import frame, linked
from flowers_core.ui.choices import choose_set, open_set
from flowers_core.ui.tune import search

frame.enter()

st.title("Tune")

every_study = studies.list_studies()
NEW = "new"
names = {NEW: "A new search"} | {study.id: search.title(study) for study in every_study}
alive = [study for study in every_study if study.state() in studies.ALIVE]
chosen = NEW
if every_study:
    chosen = linked.choose(
        "Search", names, "study", take=st.session_state.pop("started-study", None), label_visibility="collapsed",
        first=alive[0].id if alive else NEW, remember=False,
    )  # fmt: skip
else:
    linked.check("Search", names, "study")

if chosen != NEW:
    search.watch(studies.find_study(chosen))
else:
    st.markdown(
        "Which settings work best for these photos? A search trains many times, each time with other settings, "
        "learns from how each went where to try next, and compares them on the **validation** photos. "
        "The test photos stay closed."
    )
    known = choose_set()
    search.form(known, open_set(known))
