"""Name a flower: a photo, the camera or a sample, the answer, and why; many photos as a table."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.images import ENDINGS
from flowers_core.network import checkpoint
from flowers_core.ui import frame
from flowers_core.ui.choices import choose_checkpoint
from flowers_core.ui.classify import answers, correct, from_set, many, samples, take_home, try_it, why
from flowers_core.ui.errors import show_error
from flowers_core.ui.models import classifier

frame.enter()

st.title("Name a flower")
above = st.container()
way_in, beside = st.columns([5, 8], gap="small")  # on a phone one below the other
below, which_model = st.container(), st.container()
# Where there is no choice, it need not stand above what people came for.
with above if len(checkpoint.find_checkpoints()) > 1 else which_model:
    model = choose_checkpoint("Who answers", built_in=True)
if model is None:
    st.stop()
path, card = model
with which_model:
    answers.about(card)

with way_in:
    linked_to = from_set.picture(card) if from_set.is_asked() else None
    pictures, way = [linked_to] if linked_to else [], ""
    if not from_set.is_asked():  # any more, where it was for one that is gone
        way = st.segmented_control(
            "Photo from", ["A photo", "The camera", "A sample"], default="A photo", required=True, key="way",
            label_visibility="collapsed",
        )  # fmt: skip
    if way == "A photo":
        uploads = st.file_uploader(
            "Photos of flowers: one, or many at once", type=list(ENDINGS), accept_multiple_files=True,
            key="uploads", max_upload_size=50,
        )  # fmt: skip
        pictures = [answers.Picture(upload.file_id, upload.getvalue(), upload.name) for upload in uploads]
    elif way == "The camera":
        taken = st.camera_input("Hold a flower in front of the camera", key="camera", resolution="720p")
        pictures = [answers.Picture(taken.file_id, taken.getvalue())] if taken else []
        with st.expander("The camera stays dark, or looks the wrong way?"):
            st.caption(
                "On a phone, the arrows in the picture's corner switch between front and rear camera. A browser that "
                "shows no arrows has but one to choose, or picks itself. The camera needs https or this very "
                "computer; where it stays dark, upload a photo: phones then offer their own camera."
            )
    elif way == "A sample" and (sample := samples.choose(card)):
        pictures = [sample]

LOOKS = {
    "Where it looked": lambda answered: why.where_it_looked(path, card, answered),
    "Moved and turned": lambda answered: try_it.panel(path, answered),
    "Similar": lambda answered: why.similar_photos(path, card, answered),
    "That's wrong": lambda answered: correct.form(card, answered),
}

try:
    if pictures:
        with beside:
            bar = st.empty()

        def tell(done: int, total: int) -> None:
            bar.progress(done / total, f"{done} of {total} photos" if total > 1 else "Looking…")

        try:
            answered = answers.answer(path, pictures, tell)
        finally:
            bar.empty()
        readable = [a for a in answered if not a.prediction.error]
        unreadable = [a for a in answered if a.prediction.error]
        with beside:
            many.unreadable(unreadable)
        if readable:
            with below if len(readable) > 1 else beside:  # a table needs the whole width
                chosen, beside_card = readable[0], way_in
                if len(readable) > 1:
                    chosen = many.table(readable)
                    beside_card, place = st.columns([2, 3], gap="medium")
                else:
                    place = st.container()
                if way != "The camera":  # which shows the photo that it took
                    with beside_card:
                        answers.photo(chosen, in_sight=way == "A sample")
                with place.container(border=True):
                    answers.show(chosen, card)
                    look = st.segmented_control(
                        "Look closer", list(LOOKS), default="Where it looked", key="look", label_visibility="collapsed"
                    )
                    if look:
                        LOOKS[look](chosen)
    else:
        with beside:
            st.caption("The flower's name will stand here.")
            classifier(path)  # while one looks for a photo
except FlowersError as error:
    with beside:
        show_error(error)
    st.stop()

with which_model:
    take_home.offer(path, card)
