"""The model's answer to a photo, as a card."""

from typing import TYPE_CHECKING

import streamlit as st

from flowers_core import species
from flowers_core.checkpoint import Card
from flowers_core.errors import ImageError
from flowers_core.images import SIDE, SUFFIXES, decode, to_jpeg
from flowers_core.ui.plain import plain

if TYPE_CHECKING:
    from flowers_core.predict import Classifier, Prediction

ENDINGS = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)
SHOWN_SIDE = 512


def about(card: Card) -> None:
    """What the model is, in one line: what it learned from, how good it is, and what it knows."""
    accuracy = card.results.get("valid_accuracy")
    n = card.results.get("valid_n", 0)
    reached = f" Right on {accuracy:.0%} of {n} validation photos." if accuracy is not None else ""
    trained = card.data.get("counts", {}).get("train")
    learned = f"learned from {trained:,} photos of " if trained else "from "
    st.text(f"AlexNet {card.variant}, {learned}{card.data.get('data', 'unknown photos')}.{reached}")
    with st.expander(f"The {len(card.classes)} kinds it knows"):
        st.text(", ".join(card.classes))


def show(network: "Classifier", upload, number: int) -> None:
    """One photo beside its answer, or why it can't be read."""
    with st.container(border=True):
        try:
            image = decode(upload.getvalue(), want=SIDE)
        except ImageError as error:
            st.text(upload.name)
            st.error(f"{error.what}. Try a JPEG, PNG, WebP or HEIC photo.", icon=":material/broken_image:")
            return
        prediction = network.classify(image, upload.name)
        left, right = st.columns([2, 3], vertical_alignment="center")
        shown = image.copy()
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        left.image(to_jpeg(shown), width="stretch", alt="The photo")
        if len(upload.name) < 80:
            left.text(upload.name)
        with right:
            _answer(prediction, number)


def _answer(prediction: "Prediction", number: int) -> None:
    name, probability = prediction.top[0]
    st.header(plain(name[:1].upper() + name[1:]), anchor=False)
    about = species.find(name)
    if about:
        also = f" · {about.also}" if about.also else ""
        st.markdown(f"*{about.latin}*{also}")
        st.caption(about.note)
    for name, probability in prediction.top:
        st.progress(probability, f"{plain(name)}: {probability:.1%}")
