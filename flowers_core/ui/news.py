"""What stands on Train and Tune before anybody has chosen: what goes on, or what has ended since one looked."""

import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.runs import Run
from flowers_core.tuning.studies import Study
from flowers_core.ui.choices import chosen_data

FRESH_S = 3600.0
"""Seconds for which an end is news to whoever has not seen it."""


def watch(kind: str, work: Run | Study, is_alive: bool) -> None:
    """Notes that this viewer sees it, going on or not."""
    st.session_state.setdefault(f"watched-{kind}", {})[work.id] = is_alive


def first_shown(
    kind: str,
    works: Sequence[Run | Study],
    alive: Container[str],
    data_of: Callable[[Run | Study], str],
    told_at: Callable[[Run | Study], float],
) -> Run | Study | None:
    """The one that goes on, or the newest, when this viewer does not know its end yet: it came within the hour, or
    since they watched it. Who has chosen a set sees those of that set, and what they have watched.

    Args:
        kind: as for `watch`.
        works: all of them, newest first.
        alive: the states of what goes on.
        data_of: what one learns from, as its settings say; may raise FlowersError.
        told_at: when one last told of itself (seconds since 1970).
    """
    watched, chosen = st.session_state.get(f"watched-{kind}", {}), chosen_data()

    def concerns(work: Run | Study) -> bool:
        if chosen is None or work.id in watched:
            return True
        with suppress(FlowersError):
            return data_of(work) == chosen
        return False

    living = [work for work in works if work.state() in alive and concerns(work)]
    if living:
        return living[-1]  # the one whose turn it is
    if not works or (newest := works[0]).state() in alive or not concerns(newest):
        return None
    was_alive, is_fresh = watched.get(newest.id), time.time() - told_at(newest) < FRESH_S
    return newest if was_alive or (was_alive is None and is_fresh) else None
