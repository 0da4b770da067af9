"""Home: what this is, and in three steps what to do next, given what there is already."""

import streamlit as st

from flowers_core import runs
from flowers_core.network import checkpoint
from flowers_core.sources import library
from flowers_core.tuning import studies
from flowers_core.ui import frame, linked, words
from flowers_core.ui.choices import checkpoint_id, describe, usual_checkpoint, usual_set
from flowers_core.ui.welcome import garden_strip

frame.enter()

st.title("AlexNet Flowers")
st.markdown(
    "In 2012 a neural network called **AlexNet** learned to see, and started the age of deep learning. "
    "Here you train it yourself on photos of 30 kinds of flowers, watch it learn, look into its mistakes, "
    "and point a camera at a flower to hear its name."
)
garden_strip()


def show_training() -> None:
    """How far the training is that goes on."""
    going_on = runs.active_runs()
    if not going_on:
        return
    status = going_on[0].status()
    word = "Paused" if going_on[0].state() == "paused" else "Training"
    fold = f", fold {status.fold} of {status.folds}" if status.fold else ""
    now, epochs = status.epoch_now
    epoch = f"{word}: epoch {now} of {epochs}{fold}"
    st.progress(status.share_done, epoch if status.steps else "A training begins.")
    frame.link("train", "Watch it learn", "monitoring", run=going_on[0].id)


active = runs.active_runs()
models = {checkpoint_id(path): path for path in checkpoint.find_checkpoints()}
yours = usual_set()
next_step = 2 if active else 3 if models else 1

first, second, third = st.columns(3)
with first.container(border=True, height="stretch"):
    st.subheader("1. See the photos")
    if yours.added:
        more = sum(bool(known.added) for known in library.known_sets()) - 1
        st.text(f"Yours: {yours.name}" + (f" and {words.count(more, 'more set')}" if more else ""))
    st.markdown("A drawn garden of 30 kinds is built in. Your own `Train` and `Valid` folders are welcome.")
    frame.link("photos", "Look at the photos", "photo_library")
with second.container(border=True, height="stretch"):
    st.subheader("2. Train")
    for study in studies.alive():
        frame.link("tune", "A search is going on", "tune", study=study.id)
    if active:
        frame.while_alive(show_training)
    else:
        trained = sum(run.state() in ("finished", "stopped") and run.status().epoch > 0 for run in runs.list_runs())
        st.markdown(
            f"You have trained {words.count(trained, 'time')}. Every run is kept, with its curves."
            if trained
            else "Press start and watch the loss fall. A first model takes about a minute on a laptop."
        )
        frame.link("train", "Train a model", "model_training")
with third.container(border=True, height="stretch"):
    st.subheader("3. Name a flower")
    if models:
        model = models.get(linked.by_hand("model")) or usual_checkpoint(list(models.values()), built_in=True)
        st.text(f"Ready: {describe(model)}")
        if more := sum(not checkpoint.is_shipped(path) for path in models.values() if path != model):
            st.caption(f"And {words.count(more, 'model')} that you trained: choose on the page who answers.")
        frame.link("classify", "Upload, or use the camera", "photo_camera")
        frame.link("evaluate", "See its mistakes", "grid_on", model=checkpoint_id(model))
    else:
        st.markdown("As soon as a model is trained, it answers here: from an upload or straight from the camera.")
        frame.link("classify", "Go to the camera", "photo_camera")

st.caption(
    {
        1: "Start with the photos, or go straight to training.",
        2: "A training is not over yet. Its curves grow while you watch.",
        3: "A model is ready: show it a flower. Or train one of your own.",
    }[next_step]
)
