"""The model's answer to a photo: worked out once per model and photo, and shown as a card."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from flowers_core import species
from flowers_core.errors import ImageError
from flowers_core.images import SIDE, decode, to_jpeg, to_square
from flowers_core.machine.parallel import in_order
from flowers_core.network import calibrate, checkpoint, sureness
from flowers_core.network.checkpoint import Card
from flowers_core.sources.records import class_key
from flowers_core.ui import words
from flowers_core.ui.classify import aloud
from flowers_core.ui.models import classifier
from flowers_core.ui.pictures import THUMBNAIL
from flowers_core.ui.plain import plain

if TYPE_CHECKING:
    from PIL import Image

    from flowers_core.evaluation.predict import Prediction, Square

SHOWN_SIDE = 512
MOST_KEPT, MOST_OPEN = 2000, 4
"""Answers (a few kilobytes each), and photos with pixels, that a session keeps."""

SURE = 0.5
"""Probability from which a name stands alone, as the answer: below, the others together are likelier."""


@dataclass(frozen=True)
class Picture:
    """A photo that somebody brought.

    Args:
        id: tells it from all others of this session.
        content: the bytes of its file.
        name: its file's name, "" where that says nothing.
        right: the kind that it is, where that is known.
    """

    id: str
    content: bytes
    name: str = ""
    right: str = ""


@dataclass(frozen=True)
class Answered:
    """A photo with the answer to it, and the photo small as the bytes of a JPEG file (b"" when it can't be read)."""

    picture: Picture
    prediction: "Prediction"
    thumbnail: bytes


@dataclass(frozen=True)
class Opened:
    """A photo's pixels: as shown, as its square, and its width over height."""

    shown: bytes
    square: np.ndarray
    aspect: float


def answer(model: Path, pictures: Sequence[Picture], progress: Callable[[int, int], None]) -> list[Answered]:
    """The model's answers, from this session's memory where it was asked before.

    Args:
        model: the checkpoint.
        pictures: any number.
        progress: told how many of them are answered, and how many there are.

    Raises:
        CheckpointError: the model can't be used.
    """
    written = checkpoint.written_at(model)
    # Without the photos' bytes: a session that has seen many photos would hold them all.
    keys = [(str(model), written, picture.id) for picture in pictures]
    memory = st.session_state.setdefault("answers", OrderedDict())
    found = {key: memory[key] for key in keys if key in memory}
    missing = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in found}
    if missing:
        total = len(found) + len(missing)
        progress(len(found), total)
        network, opened = classifier(model), zip(missing, in_order(_open, missing.values()), strict=True)
        while batch := list(islice(opened, network.photos_at_once)):
            predictions = network.classify_squares([square for _, (square, _) in batch])
            for (key, (_, thumbnail)), prediction in zip(batch, predictions, strict=True):
                found[key] = memory[key] = prediction, thumbnail
            progress(len(found), total)
    for key in found:
        memory.move_to_end(key)
    _forget(memory, max(MOST_KEPT, len(found)))  # or a click on one of very many would ask about the others again
    return [Answered(picture, *found[key]) for key, picture in zip(keys, pictures, strict=True)]


def open_picture(picture: Picture) -> Opened:
    """The pixels of a photo that can be read; kept while one looks at it."""

    def opened() -> Opened:
        image = decode(picture.content, want=SIDE)
        return Opened(_small(image, SHOWN_SIDE), to_square(image), image.width / image.height)

    return kept("open-pictures", picture.id, MOST_OPEN, opened)


def about(card: Card) -> None:
    """What the model is, in one line: what it learned from, how good it is, and what it knows."""
    accuracy = card.results.get("valid_accuracy")
    n = card.results.get("valid_n", 0)
    asked = (
        f"{words.count(n, 'photo')} in cross-validation"
        if card.results.get("folds")
        else words.count(n, "validation photo")
    )
    reached = f" Right on {accuracy:.0%} of {asked}." if accuracy is not None else ""
    trained = card.data.get("counts", {}).get("train")
    learned = f"learned from {words.count(trained, 'photo')} of " if trained else "from "
    st.text(f"AlexNet {card.variant}, {learned}{card.data.get('data', 'unknown photos')}.{reached}")
    if not card.rejection:
        st.caption(
            "It gives every photo one of its names, also one that shows none of its kinds. A model learns to tell from "
            f"{calibrate.LEAST_PHOTOS} validation photos or more, or in a cross-validation."
        )
    with st.expander(f"The {words.count(len(card.classes), 'kind')} it knows"):
        st.text(", ".join(card.classes))


def photo(answered: Answered, in_sight: bool) -> None:
    """The photo, no higher than leaves a phone's screen room for its name.

    Args:
        answered: a photo that could be read.
        in_sight: it stands above, too, small: a phone does without this one.
    """
    with st.container(key="photo"), st.container(key="in-sight" if in_sight else None):
        st.image(open_picture(answered.picture).shown, width="stretch", alt="The photo")


def show(answered: Answered, card: Card) -> None:
    """The name, a line about the flower, and the guesses.

    Args:
        answered: a photo that could be read.
        card: of the model.
    """
    classes = len(card.classes)
    _name(answered, classes)
    if not answered.prediction.known:  # bars would look like certainty
        st.markdown(f":gray[If it had to be one of the {classes}:]")
        # Nor percentages: they compare the kinds with each other alone.
        st.caption(", ".join(plain(name) for name, _ in answered.prediction.top))
        return
    about = species.find(answered.prediction.top[0][0])
    if about:
        st.markdown(about.note)
    top = answered.prediction.top
    hardly = [name for name, probability in top if probability < sureness.LEAST]
    with st.container(gap="xsmall"):
        for name, probability in top[: len(top) - len(hardly)]:
            full = 1.0 if probability > sureness.MOST else probability  # the bar leaves off its last hundredth
            st.progress(full, f"{plain(name)}: {sureness.percent(probability)}")
    if hardly:  # four empty bars would say no more, and push what stands below off the screen
        each = " each" if len(hardly) > 1 else ""
        st.caption(f"{', '.join(map(plain, hardly))}: {sureness.percent(0.0)}{each}")
    if not card.rejection:
        st.caption(f"This model has to choose one of its {words.count(classes, 'name')}, whatever it is shown.")


def _name(answered: Answered, classes: int) -> None:
    prediction, right = answered.prediction, answered.picture.right
    name, probability = prediction.top[0]
    if not prediction.known:
        st.header(f"Not one of the {classes} kinds, I think", anchor=False)
    else:
        if probability >= SURE:
            st.header(plain(name[:1].upper() + name[1:]), anchor=False)
        else:
            st.subheader(f"Not sure. Perhaps: {plain(name)}", anchor=False)
        about = species.find(name)
        with st.container(horizontal=True, vertical_alignment="center"):
            if about:
                also = f"{about.also} · " if about.also else ""
                st.markdown(f"{also}*{about.latin}*", width="content")
            aloud.button(name)
    if right:
        correct = prediction.known and class_key(right) == class_key(name)
        icon, colour = ("check_circle", "green") if correct else ("cancel", "orange")
        st.badge("That is right" if correct else f"It is: {plain(right)}", icon=f":material/{icon}:", color=colour)


def _open(picture: Picture) -> tuple["Square", bytes]:
    """The photo for the network and, small, for people."""
    from flowers_core.evaluation.predict import Square

    try:
        image = decode(picture.content, want=SIDE)
    except ImageError as error:
        return Square(picture.name, error=error.what), b""
    return Square.of(image, picture.name), _small(image, THUMBNAIL)


def _small(image: "Image.Image", side: int) -> bytes:
    shown = image.copy()
    shown.thumbnail((side, side))
    return to_jpeg(shown)


def kept(name: str, key: object, most: int, make: Callable):
    """What was made before in this session, or made now; the oldest is forgotten. Photos are their viewer's own:
    a cache of the server would show them to everybody."""
    store = st.session_state.setdefault(name, OrderedDict())
    if key not in store:
        store[key] = make()
    store.move_to_end(key)
    _forget(store, most)
    return store[key]


def _forget(store: OrderedDict, most: int) -> None:
    while len(store) > most:
        store.popitem(last=False)
