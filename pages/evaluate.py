"""Evaluate: a model on a split, its confusion matrix, and the photos behind every cell of it."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.evaluation.evaluate import ask, learned_before, match_classes, save_report, saved_report
from flowers_core.network.checkpoint import written_at
from flowers_core.runs import Run
from flowers_core.sources import SPLITS
from flowers_core.training.cross_validate import SPLIT as FOLDS
from flowers_core.training.cross_validate import pooled
from flowers_core.ui import frame, linked, models, words
from flowers_core.ui.choices import choose_checkpoint, choose_set, is_learning, open_set, training_set
from flowers_core.ui.errors import show_error
from flowers_core.ui.evaluate import holding, report
from flowers_core.ui.train import folds

AT_ONCE = 500  # photos up to which nobody needs to ask for the answers: they take a few seconds

frame.enter()

st.title("Evaluate")
st.caption("How good is a model, and what does it mix up?")
left, right = st.columns([3, 2])  # columns lie one above the other on a phone
with left:
    model = choose_checkpoint(drops=report.CELL)
if model is None:
    st.stop()
with right:
    known = choose_set(drops=report.CELL, usual=model[1].config.get("data"))
decoded = open_set(known)
counts = decoded.source.counts()
path, card = model

splits = {name: f"{name} ({counts[name]:,})" for name in SPLITS}
number = card.config.get("folds", 0)
pool = pooled(Run(path.parent), number) if number else None
if pool:
    splits = {FOLDS: f"{number} folds ({pool.report.n:,})", **splits}
if pool and st.session_state.get("asked-model", path) != path and st.session_state.get("split") in ("train", "valid"):
    linked.forget("split")  # another model may have learned from train only; of this one, only its folds say something
    st.query_params.pop("split", None)
st.session_state["asked-model"] = path
split = linked.choose(
    "Photos of", splits, "split", drops=report.CELL, widget=st.segmented_control, required=True,
    first=FOLDS if pool else next((name for name in ("valid", "train") if counts[name]), "test"),
)  # fmt: skip
if split == FOLDS:
    folds.each_fold(pool)
    report.show(pool.report, decoded, known.id)
    st.stop()
learned_from = card.data.get("fingerprint")
if learned_from and learned_from != decoded.fingerprint:
    if card.config.get("data") == known.data:
        st.caption("This set has changed since the model learned from it, so it may have learned from any of these.")
    else:
        home, own = training_set(card), ("train", "valid") if number else ("train",)
        if home is None:
            st.caption("It learned from another set: it has never seen these photos, unless some lie in both.")
        elif seen := counts[split] and learned_before(decoded, split, home, own):
            st.warning(
                f"It learned from another set, and from {seen:,} of these {words.count(counts[split], 'photo')} too: "
                "for those a high score proves memory, not skill.",
                icon=":material/content_copy:",
            )
        else:
            st.caption("It learned from another set, and from none of these photos.")
elif split == "train":
    st.caption("These are the photos it learned from: a high score here proves memory, not skill.")
elif split == "valid" and number:
    st.caption("It learned from these photos too, after its folds: a high score here proves memory, not skill.")
elif split == "valid":
    st.caption("Held back while learning, but used to choose the best epoch; so a little flattering.")

try:
    match_classes(decoded.source, card.classes)
except FlowersError as error:
    show_error(error)
    st.stop()
if not counts[split]:
    st.info(f"These photos have no {split} split. Choose another split or other photos.", icon=":material/info:")
    st.stop()

result, key = saved_report(path, decoded, split), (path, decoded.fingerprint, split)
of, unsaved = st.session_state.get("unsaved-report", (None, None))
if result is None and of == key:
    result = unsaved
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These are the answers of the model before: its training has put a better one in its place since.")
        if st.button("Ask the present one"):
            del st.session_state["unsaved-report"]
            st.rerun()
if result is None:
    if split == "test":
        st.warning(
            "The test photos are for one last, honest look. Who looks, changes the model, and looks again, "
            "fits the model to them, and the number means nothing any more.",
            icon=":material/lock:",
        )
        if not st.button("Open the test set", type="primary", icon=":material/lock_open:"):
            st.stop()
    elif counts[split] > AT_ONCE or is_learning(path):  # another model may be in its place before it has answered
        label = f"Ask it about {counts[split]:,} photos"
        if not st.button(label, type="primary", icon=":material/play_arrow:"):
            st.stop()
    bar = st.progress(0.0, "Loading the model")
    try:
        written = written_at(path)
        result = ask(
            models.classifier(path), decoded, split,
            lambda what, done, total: bar.progress(done / max(1, total), f"{what}: {done:,} of {total:,}"),
        )  # fmt: skip
        if written_at(path) == written:
            save_report(result)
        else:  # a training has put a better model there meanwhile
            st.session_state["unsaved-report"] = key, result
        if st.session_state.get("unsaved-report", (None,))[0] == key or saved_report(path, decoded, split) is not None:
            st.rerun()  # without the button and the bar
    except FlowersError as error:
        show_error(error)
        st.stop()
report.show(result, decoded, known.id)
holding.section(path, decoded, split)
