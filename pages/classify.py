"""Name a flower: photos from a file or the camera, and the model's five best guesses for each."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.ui import answers, frame
from flowers_core.ui.choices import choose_checkpoint, show_error
from flowers_core.ui.models import classifier

frame.enter()

st.title("Name a flower")
model = choose_checkpoint()
if model is None:
    st.stop()
path, card = model
answers.about(card)

way = st.segmented_control(
    "Photo from", ["A file", "The camera"], default="A file", required=True, key="way", label_visibility="collapsed"
)
if way == "A file":
    uploads = st.file_uploader(
        "Photos of flowers", type=list(answers.ENDINGS), accept_multiple_files=True, key="uploads", max_upload_size=50
    )
else:
    taken = st.camera_input("Hold a flower in front of the camera", key="camera")
    uploads = [taken] if taken else []
    st.caption("The camera needs https or this very computer. Where it stays dark, upload a photo instead.")

if uploads:
    try:
        with st.spinner("Loading the model…"):
            network = classifier(path)
    except FlowersError as error:
        show_error(error)
        st.stop()
    for number, upload in enumerate(uploads):
        answers.show(network, upload, number)
