"""The learning-rate finder on the page: starts a range test, draws it while it runs, and takes its suggestion."""

from collections.abc import Callable
from dataclasses import fields

import streamlit as st

from flowers_core import runs
from flowers_core.errors import FlowersError
from flowers_core.runs import Run
from flowers_core.settings.config import TrainConfig
from flowers_core.training import lr_finder, worker
from flowers_core.training.lr_finder import RangeTest
from flowers_core.ui import charts, words
from flowers_core.ui.errors import guarded, leave_to_the_page, show_error
from flowers_core.ui.plain import plain

EVERY_S = 1.0
WITHOUT_EFFECT = ("lr", "epochs", "warmup", "schedule", "patience", "views", "seed", "threads", "folds")
"""Settings that make no difference to a range test."""


def panel(wanted: TrainConfig, is_wrong: bool, take: Callable[[float], None]) -> None:
    """The finder below the form.

    Args:
        wanted: the form's settings.
        is_wrong: they can't be used as they are.
        take: puts a learning rate into the form; for a callback.
    """
    test = lr_finder.find(st.query_params.get("lr-test") or st.session_state.get("lr-test", ""))
    state = test.state() if test else ""
    alive = state in runs.ACTIVE
    with st.expander("Find a learning rate", icon=":material/speed:", expanded=test is not None):
        st.caption(
            "Trains a copy for a minute while the learning rate climbs from far too small to far too large, "
            "and looks where the loss falls fastest. Nothing of it is kept but the curve."
        )
        if test is None or not alive:
            again = "Measure again" if test else "Measure"
            st.button(again, icon=":material/speed:", disabled=is_wrong, on_click=guarded(_start), args=(wanted,))
        if test is not None:
            st.fragment(_progress, run_every=EVERY_S if alive else None)(test, alive, wanted, take)


def _start(wanted: TrainConfig) -> None:
    test = worker.start_lr_test(wanted)
    st.session_state["lr-test"] = st.query_params["lr-test"] = test.id  # in the address it outlives a reload


def _cancel(test: Run) -> None:
    """Ends the test, and closes the panel as if there had been none."""
    worker.stop(test)
    st.session_state.pop("lr-test", None)
    st.query_params.pop("lr-test", None)
    st.session_state["lr-changed"] = True


def _progress(test: Run, was_alive: bool, wanted: TrainConfig, take: Callable[[float], None]) -> None:
    leave_to_the_page()
    state, status = test.state(), test.status()
    if (state in runs.ACTIVE) != was_alive or st.session_state.pop("lr-changed", False):
        st.rerun()  # it has ended or was cancelled, or the form above is to show its suggestion
    if state in runs.ACTIVE:
        left, right = st.columns([4, 1], vertical_alignment="center")
        said = f"Step {status.step} of {status.steps}" if status.steps else status.message or "Starting."
        if status.seconds_left is not None:
            said += f" · {words.span(status.seconds_left)} left"
        left.progress(status.step / max(1, status.steps), plain(said))
        right.button("Cancel", icon=":material/close:", on_click=guarded(_cancel), args=(test,), width="stretch")
    elif state != "finished":
        _say_why_not(state, status)
    found = lr_finder.saved(test)
    if found is None:
        records = [record for record in test.metrics()[0] if record.get("loss") is not None]
        if len(records) > 1:
            rates, losses = [record["lr"] for record in records], [record["loss"] for record in records]
            smoothed = lr_finder.smooth(losses, lr_finder.lag(rates))
            found = RangeTest(tuple(rates), tuple(losses), tuple(smoothed), None, None, "")
    if found is not None:
        low, high = lr_finder.RANGE[test.config().optimizer]
        st.altair_chart(
            charts.range_test(found, low, high), key=f"range-{test.id}", alt="Loss over a climbing learning rate"
        )
        if found.reason:
            _offer(found, test, wanted, take)


def _offer(found: RangeTest, test: Run, wanted: TrainConfig, take: Callable[[float], None]) -> None:
    if found.suggestion is None:
        st.info(found.reason, icon=":material/info:")
        return
    rate = float(f"{found.suggestion:.2g}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Take {rate:g}", type="primary", icon=":material/check:", on_click=_take, args=(rate, take),
            disabled=wanted.lr == rate,
        )  # fmt: skip
        st.markdown(f"Suggested: **{rate:g}**. {found.reason}")
    measured = test.config()
    other = [
        words.name_of(setting.name)
        for setting in fields(TrainConfig)
        if setting.name not in WITHOUT_EFFECT and getattr(measured, setting.name) != getattr(wanted, setting.name)
    ]
    if other:
        st.caption(f"Measured with other settings than those above: {', '.join(other).lower()}. Measure again.")


def _take(rate: float, take: Callable[[float], None]) -> None:
    take(rate)
    st.session_state["lr-changed"] = True


def _say_why_not(state: str, status: runs.Status) -> None:
    if state == "failed":
        show_error(FlowersError(status.message.rstrip("."), None, status.hint))
    elif state == "stopped":
        st.info("Cancelled.", icon=":material/close:")
    else:
        st.warning("The measurement ended without a word: it was killed, or ran out of memory. Measure again.")
