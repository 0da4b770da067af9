"""What a training batch looks like after augmentation."""

import numpy as np
import streamlit as st

from flowers_core.cache import DecodedSource
from flowers_core.config import AUGMENTATIONS
from flowers_core.images import to_jpeg
from flowers_core.ui.pictures import gallery

BATCH = 12


def preview(decoded: DecodedSource) -> None:
    """A batch of training photos as the network gets them, in a strength that one chooses, shuffled on request."""
    st.caption(
        "Before each step every photo is varied anew: cut, turned, mirrored, its colours shifted. "
        "So a network that sees few photos sees each of them differently every time."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        strength = st.segmented_control("Augmentation", AUGMENTATIONS, default="standard", required=True)
        same = st.toggle("One photo, many times")
        st.button("Shuffle", icon=":material/shuffle:", on_click=_next_seed)
    seed = st.session_state.get("preview_seed", 0)
    train = [i for i, photo in enumerate(decoded.source.photos) if photo.split == "train"] or list(
        range(len(decoded.source.photos))
    )
    rng = np.random.default_rng(seed)
    chosen = rng.choice(train, size=min(BATCH, len(train)), replace=False)
    if same:
        chosen = np.repeat(chosen[:1], BATCH)
    names = [decoded.source.classes[decoded.source.photos[i].label] for i in chosen]
    gallery(_augmented(decoded, chosen, strength, seed), names)


def _next_seed() -> None:
    st.session_state["preview_seed"] = st.session_state.get("preview_seed", 0) + 1


def _augmented(decoded: DecodedSource, chosen: np.ndarray, strength: str, seed: int) -> list[bytes]:
    import torch
    from PIL import Image

    from flowers_core.augment import STRENGTHS, EvalTransform, denormalise, train_batch

    squares = torch.from_numpy(np.stack([decoded.square(i) for i in chosen]))
    aspects = torch.tensor([decoded.entries[i].aspect for i in chosen], dtype=torch.float32)
    base = EvalTransform()
    images = train_batch(squares, aspects, STRENGTHS[strength], base, torch.Generator().manual_seed(seed))
    return [to_jpeg(Image.fromarray(picture)) for picture in denormalise(images, base).numpy()]
