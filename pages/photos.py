"""Photos: the kinds at a glance, a kind's photos, sizes and shapes, what the network sees, and what is wrong."""

import pandas as pd
import streamlit as st

from flowers_core import species
from flowers_core.sources import SPLITS
from flowers_core.ui import add_photos, frame
from flowers_core.ui.choices import choose_set, look_again, open_set
from flowers_core.ui.pictures import cover, gallery, paged, thumbnails
from flowers_core.ui.plain import plain

frame.enter()

st.title("Photos")
with st.container(horizontal=True, vertical_alignment="bottom"):
    known = choose_set()
    add_photos.popover()
    if st.button("Look again", icon=":material/refresh:", help="List the folders anew, after changing files in them."):
        look_again(known)

decoded = open_set(known)
source = decoded.source
counts = source.counts()

with st.grid(5, min_column_width=130):
    st.metric("Kinds", len(source.classes), border=True)
    for split in SPLITS:
        st.metric(split.capitalize(), f"{counts[split]:,}", border=True)
    st.metric("Left out", len(source.problems), border=True, help="Files that can't be read; see Problems.")
st.caption(f"Split by {source.split_origin}.")

views = ["Kinds", "Sizes and shapes", "What the network sees", "Problems"]
view = st.segmented_control(
    "View", views, default=views[0], required=True, key="view", bind="query-params", label_visibility="collapsed"
)

of_kind: dict[int, list[int]] = {label: [] for label in range(len(source.classes))}
by_split = sorted(range(len(source.photos)), key=lambda i: SPLITS.index(source.photos[i].split))
for index in by_split:  # training photos first: the test set is for one last look
    photo = source.photos[index]
    of_kind[photo.label].append(index)


def show_kind(label: int) -> None:
    """One kind: its names, and its photos by split."""
    name = source.classes[label]
    st.button("All kinds", icon=":material/arrow_back:", on_click=lambda: st.session_state.update(kind=None))
    st.header(plain(name))
    about = species.find(name)
    if about:
        also = f" · {about.also}" if about.also else ""
        st.markdown(f"*{about.latin}*{also}")
        st.markdown(about.note)
    chosen = st.pills("Splits", SPLITS, selection_mode="multi", default=SPLITS, label_visibility="collapsed")
    indices = [i for i in of_kind[label] if source.photos[i].split in chosen]
    if not indices:
        st.info("No photos here.")
        return
    place = st.container()
    page = [indices[i] for i in paged(len(indices), key=f"kind-page-{label}")]
    captions = [f"{source.photos[i].split} · {decoded.entries[i].width}×{decoded.entries[i].height}" for i in page]
    with place:
        gallery(thumbnails(decoded, page), captions)


def show_kinds() -> None:
    """All kinds as tiles with a cover photo, findable by any of their names."""
    term = st.text_input("Search", placeholder="Search by name, also Latin", type="search", live="300ms")
    shown = []
    for label, name in enumerate(source.classes):
        about = species.find(name)
        words = f"{name} {about.latin} {about.also}" if about else name
        if term.casefold().strip() in words.casefold():
            shown.append((label, name, about))
    if not shown:
        st.info("No kind has that in its name.")
    grid = st.grid("auto", min_column_width=170)
    for label, name, about in shown:
        with grid.cell(), st.container(border=True):
            if of_kind[label]:
                st.image(cover(decoded, of_kind[label][0]), width="stretch", alt=name)
            st.button(
                plain(name), key=f"open-{label}", width="stretch",
                on_click=lambda n=name: st.session_state.update(kind=n),
            )  # fmt: skip
            per_split = {s: sum(source.photos[i].split == s for i in of_kind[label]) for s in SPLITS}
            latin = f"*{about.latin}*  \n" if about else ""
            st.caption(latin + " · ".join(f"{count} {split}" for split, count in per_split.items() if count))


if view == "Kinds":
    if st.session_state.get("kind") in source.classes:
        show_kind(source.classes.index(st.session_state["kind"]))
    else:
        show_kinds()
elif view == "Sizes and shapes":
    table = pd.DataFrame(
        {
            "kind": [source.classes[p.label] for p in source.photos],
            "split": [p.split for p in source.photos],
            "width": [e.width for e in decoded.entries],
            "height": [e.height for e in decoded.entries],
        }
    )
    from flowers_core.ui.data_charts import balance, shapes

    st.subheader("Photos per kind")
    st.altair_chart(balance(table), alt="Photos per kind and split")
    st.subheader("Width and height")
    st.caption("Every photo is brought to one size before training, whatever its own.")
    st.altair_chart(shapes(table), alt="Width against height of the photos")
    numbers = table[["width", "height"]].assign(aspect=table.width / table.height)
    st.dataframe(numbers.describe().loc[["min", "25%", "50%", "75%", "max"]].round(2))
elif view == "What the network sees":
    from flowers_core.ui.augmentations import preview

    preview(decoded)
elif source.problems:
    st.caption("These files were left out. The rest works without them.")
    rows = [(problem.path, problem.reason) for problem in source.problems]
    st.dataframe(pd.DataFrame(rows, columns=["File", "Reason"]), hide_index=True, width="stretch")
else:
    st.success("Every file could be read.", icon=":material/check_circle:")
