"""Why this answer: where the network looked, what hiding a part costs, and the training photos that look alike."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import streamlit as st

from flowers_core.images import to_jpeg
from flowers_core.network import checkpoint
from flowers_core.network.checkpoint import Card
from flowers_core.sources.records import class_key
from flowers_core.ui.choices import training_set
from flowers_core.ui.classify.answers import Answered, kept, open_picture
from flowers_core.ui.models import classifier
from flowers_core.ui.pictures import gallery, thumbnails
from flowers_core.ui.plain import plain

MOST_KEPT = 16
"""Explanations that a session keeps."""

ALIKE = 6


def where_it_looked(model: Path, card: Card, answered: Answered) -> None:
    """The heat map for one of the guesses or the right name, and the occlusion scan on request."""
    guesses = [name for name, _ in answered.prediction.top]
    right = (name for name in card.classes if class_key(name) == class_key(answered.picture.right))
    names = list(dict.fromkeys([*guesses, *right]))
    name = st.selectbox("What speaks for", names, key=f"explain-{answered.picture.id}")
    label = card.classes.index(name)
    key = (str(model), checkpoint.written_at(model), answered.picture.id, label)
    left, right = st.columns(2)
    heat, all_seen = kept("heat", key, MOST_KEPT, lambda: _heat_picture(model, answered, label))
    with left:
        how = "Grad-CAM, cell by cell: how much what the last convolution found there raises this name's logit."
        st.image(heat, width="stretch", alt="Where the network looked")
        st.caption(
            f"Bright: what it saw here speaks for {plain(name)}."
            + ("" if all_seen else " At the dark edges it does not look."),
            help=how,
        )
    with right:
        if key not in st.session_state.get("scans", {}):
            place = st.empty()
            with place.container():
                st.markdown("Does it need what it saw there? Hide the photo part by part, and see.")
                if not st.button("Hide part by part", icon=":material/visibility_off:", key="scan"):
                    return
            place.empty()
        from flowers_core.evaluation.explain import LEAST_DROP

        picture, drop = kept("scans", key, MOST_KEPT, lambda: _scan_picture(model, answered, label))
        st.image(picture, width="stretch", alt="Which parts count")
        if drop >= LEAST_DROP:
            st.caption(
                f"Bright: a grey patch here costs {plain(name)} the most, up to {drop:.0%} of probability on average."
            )
        else:
            st.caption(
                f"No single part matters: hiding any one costs {plain(name)} less than {LEAST_DROP:.0%} of probability."
            )


def similar_photos(model: Path, card: Card, answered: Answered) -> None:
    """The training photos that look most alike to the network; their kind and number where they are not at hand."""
    from flowers_core.evaluation import similar

    decoded = training_set(card)
    if decoded is not None:
        path = similar.own_path(model, decoded)
        key = str(path)
        album = kept("albums", key, 1, lambda: similar.load(path) or _build_album(model, decoded, path))
    else:
        album = kept("albums", str(model), 1, lambda: similar.load(similar.shipped_path(model)))
    if album is None:
        st.info("The photos that this model learned from are not on this computer, or have changed since.",
                icon=":material/hide_image:")  # fmt: skip
        return
    opened = open_picture(answered.picture)
    hidden = similar.hidden_features(classifier(model), opened.square[None], np.array([opened.aspect]))[0]
    found = album.nearest(hidden, ALIKE)
    st.caption("Of all the photos that it learned from, these excite the same units of the layer before the last.")
    if decoded is not None:
        index = {photo.name: i for i, photo in enumerate(decoded.source.photos)}
    st.markdown(in_words([n.kind for n in found]))
    if decoded is None:
        st.caption("The photos themselves don't come with this model.")
        with st.expander("Their file names"):
            for n in found:
                st.text(f"{n.kind}: {Path(n.name).name}, {max(0, n.similarity):.0%} alike")
        return
    gallery(
        thumbnails(decoded, [index[n.name] for n in found]), [f"{n.kind}, {max(0, n.similarity):.0%}" for n in found]
    )


def in_words(kinds: Sequence[str]) -> str:
    """Of which kinds the nearest photos are, the most frequent first."""
    counts = Counter(kinds).most_common()
    if len(counts) == 1:
        return f"All {len(kinds)} nearest training photos show {plain(kinds[0])}."
    shares = [f"{n} show{'s' * (n == 1)} {plain(kind)}" for kind, n in counts]
    return f"Of the {len(kinds)} nearest training photos, {', '.join(shares[:-1])} and {shares[-1]}."


def _heat_picture(model: Path, answered: Answered, label: int) -> tuple[bytes, bool]:
    from flowers_core.evaluation import explain

    opened = open_picture(answered.picture)
    heat = explain.grad_cam(classifier(model), opened.square, opened.aspect, label)
    return to_jpeg(explain.overlay(opened.square, opened.aspect, heat)), bool(heat.seen.all())


def _scan_picture(model: Path, answered: Answered, label: int) -> tuple[bytes, float]:
    from flowers_core.evaluation import explain

    opened = open_picture(answered.picture)
    bar = st.progress(0.0, "Hiding part by part")
    heat = explain.occlusion(
        classifier(model), opened.square, opened.aspect, label,
        lambda done, total: bar.progress(done / total, f"Hiding part by part: {done} of {total}"),
    )  # fmt: skip
    bar.empty()
    return to_jpeg(explain.overlay(opened.square, opened.aspect, heat)), heat.peak


def _build_album(model: Path, decoded, path: Path):
    from flowers_core.errors import StorageError
    from flowers_core.evaluation import similar

    bar = st.progress(0.0, "Looking through the training photos")
    album = similar.build(
        classifier(model), decoded, lambda what, done, total: bar.progress(done / total, f"{what}: {done} of {total}")
    )
    bar.empty()
    with suppress(StorageError):  # a full disk costs the next viewer some seconds, and this one nothing
        similar.save(album, path)
    return album
