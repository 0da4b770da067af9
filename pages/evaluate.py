"""Evaluate: a model on a split, its confusion matrix, and the photos behind every cell of it."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.evaluate import evaluate, match_classes, save_report, saved_report
from flowers_core.sources import SPLITS
from flowers_core.ui import frame, linked, report
from flowers_core.ui.choices import choose_checkpoint, choose_set, open_set, show_error

frame.enter()

st.title("Evaluate")
st.caption("How good is a model, and what does it mix up? Asked on photos that it did not learn from.")
with st.container(horizontal=True, vertical_alignment="bottom"):
    model = choose_checkpoint()
    if model is None:
        st.stop()
    known = choose_set()
decoded = open_set(known)
counts = decoded.source.counts()
path, card = model

split = linked.choose(
    "Photos of", {name: f"{name} ({counts[name]:,})" for name in SPLITS}, "split", first="valid",
    widget=st.segmented_control, required=True,
)  # fmt: skip
if split == "train":
    st.caption("These are the photos it learned from: a high score here proves memory, not skill.")
elif split == "valid":
    st.caption("Held back while learning, but used to choose the best epoch; so a little too kind.")

try:
    match_classes(decoded.source, card.classes)
except FlowersError as error:
    show_error(error)
    st.stop()
if not counts[split]:
    st.info(f"These photos have no {split} split. Choose another split or other photos.", icon=":material/info:")
    st.stop()

result = saved_report(path, decoded, split)
if result is None:
    label = f"Ask it about {counts[split]:,} photos"
    if split == "test":
        st.warning(
            "The test photos are for one last, honest look. Who looks, changes the model, and looks again, "
            "fits the model to them, and the number means nothing any more.",
            icon=":material/lock:",
        )
        label = "Open the test set"
    if not st.button(label, type="primary", icon=":material/play_arrow:"):
        st.stop()
    bar = st.progress(0.0, "Loading the model")
    try:
        result = evaluate(
            path, decoded.source, split,
            lambda what, done, total: bar.progress(done / max(1, total), f"{what}: {done:,} of {total:,}"),
        )  # fmt: skip
        save_report(result)
    except FlowersError as error:
        show_error(error)
        st.stop()
    st.rerun()
report.show(result, decoded)
