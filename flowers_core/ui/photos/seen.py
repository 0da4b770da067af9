"""The network's features of a set: asked for once, computed with progress, kept on disk."""

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.photos import features
from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.features import Features
from flowers_core.ui.errors import show_error

AT_ONCE = 500
"""Photos without features that are looked at without asking: seconds on a slow machine."""

PER_SECOND = 60
"""Photos that the slowest of machines looks at in a second."""


def features_of(decoded: DecodedSource, purpose: str, at_once: bool = True) -> Features | None:
    """The features when they are there or quickly made; else a button that makes them, and None.

    Args:
        purpose: what they are needed for, as the end of a sentence.
        at_once: few missing ones are made without asking.
    """
    found = stored(decoded)
    if found is not None:
        return found
    missing = features.missing(decoded)
    if missing > AT_ONCE or not at_once:
        minutes = max(1, round(missing / PER_SECOND / 60))
        st.info(
            f"The network has to look at {missing:,} photos first {purpose}. That takes up to {minutes} "
            f"minute{'s' * (minutes > 1)}, once; it goes on where it was when you stop it.",
            icon=":material/visibility:",
        )
        if not st.button("Let the network look", type="primary", icon=":material/visibility:", key="look"):
            return None
    bar = st.progress(0.0, "Waking the network")
    try:
        found = features.compute(
            decoded, lambda what, done, total: bar.progress(done / total, f"{what}: {done:,} of {total:,}")
        )
    except FlowersError as error:
        show_error(error)
        return None
    finally:
        bar.empty()
    return found


def stored(decoded: DecodedSource) -> Features | None:
    """The features, when every photo has some; found once, since there may be a hundred thousand."""
    return _stored(decoded.source.key, decoded.order, features.saved_rows(decoded), decoded)


@st.cache_resource(max_entries=4, show_spinner=False)
def _stored(key: str, order: str, saved: int, _decoded: DecodedSource) -> Features | None:
    return features.stored(_decoded)
