"""Photos: the kinds at a glance, each photo's own page, charts, a map, what the network sees, and what is wrong."""

import streamlit as st

from flowers_core.sources import SPLITS
from flowers_core.ui import add_photos, changes, frame, grow, import_jobs, kinds, opened, set_card
from flowers_core.ui.choices import choose_set, look_again, open_set

frame.enter()

st.title("Photos")
with st.container(horizontal=True, vertical_alignment="bottom"):
    known = choose_set()
    add_photos.popover()
    grow.popover(known)
    if st.button("Look again", icon=":material/refresh:", help="List the folders anew, after changing files in them."):
        look_again(known)
import_jobs.panel()
set_card.trash()

decoded = open_set(known)
source = decoded.source

with st.grid(5, min_column_width=130):
    st.metric("Kinds", len(source.classes), border=True)
    for split, count in zip(SPLITS, decoded.counts.sum(0).tolist(), strict=True):
        st.metric(split.capitalize(), f"{count:,}", border=True)
    st.metric("Left out", len(source.problems), border=True, help="Files that can't be read; see Problems.")
set_card.about(known, decoded)
if decoded.edits:
    st.caption(f"{len(decoded.edits):,} changes made here apply; see Problems.")
changes.last(decoded)

views = ["Kinds", "Charts", "Map", "What the network sees", "Problems"]
view = st.segmented_control(
    "View", views, default=views[0], required=True, key="view", bind="query-params", label_visibility="collapsed",
    on_change=opened.close_all,
)  # fmt: skip

photo = opened.photo(decoded)
if photo is not None:
    from flowers_core.ui import photo_page

    photo_page.show(decoded, photo)
elif view == "Kinds":
    kinds.show(decoded)
elif view == "Charts":
    from flowers_core.ui import data_charts

    data_charts.show(decoded)
elif view == "Map":
    from flowers_core.ui import photo_map

    photo_map.show(decoded)
elif view == "What the network sees":
    from flowers_core.ui import augmentations

    augmentations.preview(decoded)
else:
    from flowers_core.ui import problem_list

    problem_list.show(decoded)
