"""Photos: the kinds at a glance, each photo's own page, charts, a map, what the network sees, and what is wrong."""

import streamlit as st

from flowers_core.ui import changes, frame, linked, warm, words
from flowers_core.ui.choices import choose_set, look_again, open_set
from flowers_core.ui.photos import add_photos, grow, import_jobs, kinds, opened, set_card, split_form

frame.enter()

st.title("Photos")
is_inside = opened.is_asked()  # a kind's or a photo's own page, which needs the room
with st.container(horizontal=True, vertical_alignment="bottom"):
    known = choose_set(drops=("kind", "photo"))
    if not is_inside:
        add_photos.button()
        grow.popover(known)
        again = "List the folders anew, after changing files in them."
        if st.button("Look again", icon=":material/refresh:", help=again):
            look_again(known)
import_jobs.panel()
if not is_inside:
    set_card.trash()

decoded = open_set(known, remedy=set_card.remedy)
if opened.is_gone(decoded):
    st.session_state["gone"] = opened.asked()
    if opened.kind(decoded) is None:
        opened.close_all()
        st.rerun()
if gone := st.session_state.pop("gone", ""):
    linked.say_gone(gone)
if not is_inside:
    set_card.about(known, decoded)
changes.last(decoded)

VARIED = words.name_of("augmentation")
views = [opened.KINDS, "Charts", "Map", VARIED, "Problems"]
view = linked.choose(  # not `required`: a browser would keep a click on the view that is shown to itself
    "View", dict(zip(views, views, strict=True)), "view", remember=False, widget=st.segmented_control,
    label_visibility="collapsed", on_change=opened.close_all,
)  # fmt: skip

photo = opened.photo(decoded)
if photo is not None:
    from flowers_core.ui.photos import photo_page

    photo_page.show(decoded, photo, known.id)
elif view == opened.KINDS:
    if not is_inside:
        split_form.advice(known, decoded.source)
    kinds.show(decoded)
elif view == "Charts":
    from flowers_core.ui.photos import data_charts

    data_charts.show(decoded)
elif view == "Map":
    from flowers_core.ui.photos import photo_map

    photo_map.show(decoded)
elif view == VARIED:
    from flowers_core.ui.photos import augmentations

    augmentations.preview(decoded)
else:
    from flowers_core.ui.photos import problem_list

    problem_list.show(decoded)

warm.up(
    tuple(f"flowers_core.ui.photos.{name}" for name in ("data_charts", "problem_list", "photo_map")),
    ("flowers_core.images.augment",),
)
