"""Tune: let the machine search for better settings, and see what the differences are worth."""

import streamlit as st

from flowers_core.tuning import studies
from flowers_core.ui import frame, linked
from flowers_core.ui.choices import choose_set, open_set
from flowers_core.ui.tune import search

frame.enter()

st.title("Tune")

every_study = studies.list_studies()
names = {search.NEW: "A new search"} | {study.id: search.title(study) for study in every_study}
shown_first = search.first_shown(every_study)
chosen = search.NEW
if every_study:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = linked.choose(
            "Search", names, "study", take=st.session_state.pop("started-study", None), label_visibility="collapsed",
            first=shown_first.id if shown_first else search.NEW, remember=False,
        )  # fmt: skip
        if chosen != search.NEW:
            st.button("New search", icon=":material/add:", on_click=search.begin_anew)
else:
    linked.check("Search", names, "study")

if chosen != search.NEW:
    search.watch(studies.find_study(chosen))
else:
    st.markdown(
        "Which settings work best for these photos? A search trains many times, each time with other settings, "
        "learns from how each went where to try next, and compares them on the **validation** photos. "
        "The test photos stay closed."
    )
    known = choose_set()
    search.form(known, open_set(known))
