"""What the network gets to see of the photos: cut for answering, and varied for training."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from flowers_core.images import to_jpeg
from flowers_core.photos.cache import DecodedSource
from flowers_core.settings.config import AUGMENTATIONS
from flowers_core.sources import SPLITS
from flowers_core.ui import words
from flowers_core.ui.pictures import gallery

if TYPE_CHECKING:
    from flowers_core.images.augment import TrainTransform

BATCH = 12
PLACES = {"photo": "anywhere", "square": "middle", "centre": "centre"}

SLIDERS = {
    "stretch": ("Stretch", 0.0, 0.6, "How much wider or higher the window may be than it is the other way."),
    "rotation": ("Rotation (degrees)", 0.0, 90.0, "To either side."),
    "brightness": ("Brightness", 0.0, 0.8, "Factor between 1 minus and 1 plus this."),
    "contrast": ("Contrast", 0.0, 0.8, "Factor between 1 minus and 1 plus this."),
    "saturation": ("Saturation", 0.0, 1.0, "Factor between 1 minus and 1 plus this."),
    "pca_sd": ("Colour shift", 0.0, 0.5, "Along the main colours of photos, as in the paper of 2012 (there 0.1)."),
    "blur": ("Blurred", 0.0, 1.0, "How likely a photo is blurred, as by a camera that misses the focus."),
    "erase": ("Erased rectangle", 0.0, 1.0, "How likely a part of the photo is greyed out."),
}
"""Field of TrainTransform: label, lowest, highest, help."""

NAMES = {"window_low": "window", "window_high": "window", "place": "where it lies", "mirror": "mirroring"}
"""Fields of TrainTransform that have widgets of their own."""


def preview(decoded: DecodedSource) -> None:
    """A batch of training photos as the network gets them, in a strength that one chooses, shuffled on request."""
    st.caption(
        "Each time that it learns from a photo, the photo is varied anew: cut, turned, mirrored, its colours shifted. "
        "So a network that sees few photos sees each of them differently every time."
    )
    strength = st.segmented_control(
        words.name_of("augmentation"), AUGMENTATIONS, format_func=_say, default="standard", required=True
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        same = st.toggle("One photo, many times")
        st.button("Shuffle", icon=":material/shuffle:", on_click=_next_seed)
    seed = st.session_state.get("preview_seed", 0)
    train = np.flatnonzero(decoded.splits == SPLITS.index("train"))
    if not len(train):
        train = np.arange(len(decoded.entries))
    chosen = np.random.default_rng(seed).choice(train, size=min(BATCH, len(train)), replace=False)
    if same:
        chosen = np.repeat(chosen[:1], BATCH)
    from flowers_core.images.augment import STRENGTHS

    names = [decoded.source.classes[decoded.labels[i]] for i in chosen]
    gallery(_augmented(decoded, chosen, STRENGTHS[strength], seed), names)


def of_photo(decoded: DecodedSource, index: int) -> None:
    """Variations of one photo, with a slider for every transform."""
    from flowers_core.images.augment import STRENGTHS

    strength = st.segmented_control(
        "Begin with", AUGMENTATIONS, format_func=_say, default="standard", required=True, key="begin"
    )
    st.button("Shuffle", icon=":material/shuffle:", on_click=_next_seed)
    left, right = st.columns([2, 3], gap="large")
    with left:
        transform = _chosen(STRENGTHS[strength], strength)
    with right:
        pictures = _augmented(decoded, np.repeat(index, BATCH), transform, st.session_state.get("preview_seed", 0))
        gallery(pictures, [""] * BATCH, side=130)


def _chosen(start: "TrainTransform", strength: str) -> "TrainTransform":
    """What the sliders say; each strength has sliders of its own, so that choosing one sets them."""
    low, high = st.slider(
        "Window (share of the shorter side)", 0.1, 1.5, (start.window_low, start.window_high), 0.05,
        key=f"window-{strength}", help="How much of the photo is cut out. Above 1 its edge is mirrored outward.",
    )  # fmt: skip
    place = st.segmented_control(
        "Where the window lies", list(PLACES), format_func=PLACES.__getitem__, default=start.place, required=True,
        key=f"place-{strength}",
    )  # fmt: skip
    mirror = st.toggle("Mirror half of them", start.mirror, key=f"mirror-{strength}")
    values = {
        name: st.slider(label, least, most, float(getattr(start, name)), key=f"{name}-{strength}", help=text)
        for name, (label, least, most, text) in SLIDERS.items()
    }
    chosen = replace(start, window_low=low, window_high=high, place=place, mirror=mirror, **values)
    names = NAMES | {name: label.partition(" (")[0].lower() for name, (label, *_) in SLIDERS.items()}
    changed = [name for field, name in names.items() if getattr(chosen, field) != getattr(start, field)]
    usual = f"“{_say(strength)}”"
    st.caption(f"Changed from {usual}: {', '.join(dict.fromkeys(changed))}." if changed else f"As {usual} has it.")
    return chosen


def _say(strength: str) -> str:
    return words.say("augmentation", strength)


def views(decoded: DecodedSource, index: int) -> list[bytes]:
    """The photo squeezed to a square, and the windows of it that the network answers for, without mirror images."""
    import torch
    from PIL import Image

    from flowers_core.images.augment import EvalTransform, denormalise, eval_views

    transform = EvalTransform(views="scales")
    square = torch.from_numpy(np.array(decoded.square(index)))[None]
    found = eval_views(square, torch.tensor([decoded.entries[index].aspect], dtype=torch.float32), transform)[::2]
    pictures = [square[0].numpy(), *(denormalise(view, transform)[0].numpy() for view in found)]
    return [to_jpeg(Image.fromarray(picture)) for picture in pictures]


def _next_seed() -> None:
    st.session_state["preview_seed"] = st.session_state.get("preview_seed", 0) + 1


def _augmented(decoded: DecodedSource, chosen: np.ndarray, transform: "TrainTransform", seed: int) -> list[bytes]:
    import torch
    from PIL import Image

    from flowers_core.images.augment import EvalTransform, denormalise, train_batch

    squares = torch.from_numpy(np.stack([decoded.square(i) for i in chosen]))
    aspects = torch.tensor([decoded.entries[i].aspect for i in chosen], dtype=torch.float32)
    base = EvalTransform()
    images = train_batch(squares, aspects, transform, base, torch.Generator().manual_seed(seed))
    return [to_jpeg(Image.fromarray(picture)) for picture in denormalise(images, base).numpy()]
