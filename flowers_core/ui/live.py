"""A run on the page: its progress, its curves, its controls, and how it ended."""

from pathlib import Path

import streamlit as st

from flowers_core import runs, worker
from flowers_core.errors import FlowersError
from flowers_core.runs import Run, Status
from flowers_core.storage import free_megabytes
from flowers_core.ui import charts, frame
from flowers_core.ui.choices import checkpoint_id, show_error

EVERY_S = 1.0
"""Seconds between two looks at a living run."""

LOW_DISK_MB = 1000
"""Below this a run's saved state may not have fitted: it is over half a gigabyte."""

WORDS = {
    "starting": ("Starting", "blue"),
    "queued": ("Waiting its turn", "orange"),
    "preparing": ("Preparing", "blue"),
    "training": ("Training", "green"),
    "paused": ("Paused", "orange"),
    "stalled": ("Not answering", "red"),
    "finished": ("Finished", "green"),
    "stopped": ("Stopped", "orange"),
    "failed": ("Failed", "red"),
    "interrupted": ("Interrupted", "red"),
}


def title(run: Run) -> str:
    """A run in one line, for a list. Says nothing that changes while it trains: lists are not drawn anew then."""
    state, status = run.state(), run.status()
    try:
        config = run.config()
        what = f"{Path(config.data).name}, AlexNet {config.variant}"
    except FlowersError:
        what = "unknown settings"
    reached = f", {status.best_accuracy:.0%} on valid" if status.best_accuracy is not None else ""
    ended = "running" if state in runs.ACTIVE else WORDS[state][0].lower() + reached
    return f"{run.started:%d %b %H:%M:%S}: {what} ({ended})"


def watch(run: Run) -> None:
    """The run's panel; looks again every second while its process lives."""
    alive = run.state() in runs.ACTIVE
    st.fragment(_panel, run_every=EVERY_S if alive else None)(run, alive)


def _panel(run: Run, was_alive: bool) -> None:
    state, status = run.state(), run.status()
    if (state in runs.ACTIVE) != was_alive:
        st.rerun()  # it has ended, or began again: the whole page changes, and the timer with it
    records, _ = run.metrics()
    epochs = [record for record in records if record["kind"] == "epoch"]
    word, color = WORDS[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(horizontal=True, width="content"):
            _buttons(run, state)
        st.badge(word, color=color)
    _say_how_it_goes(run, state, status)
    _numbers(epochs, records, status)
    if records:
        total = max(1, status.epochs)
        loss, accuracy = st.columns(2)
        loss.altair_chart(charts.curves(records, "loss", total), alt="Loss over epochs", key=f"loss-{run.id}")
        accuracy.altair_chart(
            charts.curves(records, "accuracy", total), alt="Accuracy over epochs", key=f"accuracy-{run.id}"
        )
        st.caption(
            "Training figures are of varied photos, with parts of the network switched off at random, so they may look "
            "worse than validation at first. When training goes on rising and validation does not, it memorises."
        )
        with st.expander("Learning rate"):
            st.altair_chart(charts.learning_rate(records, total), alt="Learning rate over epochs", key=f"lr-{run.id}")
    with st.expander("Log"):
        st.code(run.log_tail() or "Nothing yet.", language=None, wrap_lines=True)
    with st.expander("Settings of this run"):
        _settings(run)


def _buttons(run: Run, state: str) -> None:
    """What can be done now. No button moves when the state changes, so that none slips from under a mouse."""
    wish, look = run.wish(), {"key": f"go-{run.id}", "width": 120}
    if state in ("paused", "stopped", "failed", "interrupted") or (state == "training" and wish == "pause"):
        st.button("Resume", icon=":material/play_arrow:", type="primary", on_click=_resume, args=(run,), **look)
    elif state in ("starting", "queued", "preparing", "training"):
        ready = state == "training" and not wish
        st.button("Pause", icon=":material/pause:", on_click=worker.pause, args=(run,), disabled=not ready, **look)
    if state in ("training", "paused", "queued", "preparing", "starting"):
        st.button(
            "Stop", icon=":material/stop:", on_click=worker.stop, args=(run,), disabled=wish == "stop",
            key=f"stop-{run.id}", width=120, help="Ends it; the best model so far is kept, and it can go on later.",
        )  # fmt: skip
    if state == "stalled":
        st.button("End it", icon=":material/dangerous:", on_click=worker.kill, args=(run,))


def _resume(run: Run) -> None:
    try:
        worker.resume(run)
    except FlowersError as error:
        show_error(error)


def _say_how_it_goes(run: Run, state: str, status: Status) -> None:
    if state in ("training", "paused"):
        done = status.step / max(1, status.steps)
        left = status.seconds_left
        parts = [f"Epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"]
        if status.images_per_second:
            parts.append(f"{status.images_per_second:.0f} photos a second")
        if left is not None and state == "training":
            parts.append(f"{_span(left)} left")
        st.progress(min(1.0, done), " · ".join(parts))
    if state == "paused":
        st.info(status.message, icon=":material/pause_circle:")
    elif state in ("starting", "queued", "preparing"):
        st.info(status.message or "The training process is starting.", icon=":material/hourglass_top:")
    elif state == "stalled":
        st.warning("The training process has not been heard of for a minute. End it, and resume it then.")
    elif state == "interrupted":
        st.error(
            "The training process ended without a word: it was killed, ran out of memory, or the machine went down; "
            "the log below may say more. "
            "Resume goes on from the last saved step.",
            icon=":material/power_off:",
        )
        if (free := free_megabytes()) < LOW_DISK_MB:
            st.warning(f"The disk has only {free} MB left, which may be why. Free some space before you resume.")
    elif state == "failed":
        show_error(FlowersError(status.message.rstrip("."), None, status.hint))
    elif state in ("finished", "stopped"):
        _result(run, state, status)


def _result(run: Run, state: str, status: Status) -> None:
    if not status.epoch:
        st.info(status.message or "Stopped before the first epoch was complete.", icon=":material/stop_circle:")
        return
    ended = "Finished" if state == "finished" else "Stopped"
    what = f"{ended} after {status.epoch} epochs and {_span(status.seconds)}"
    if status.best_accuracy is not None:
        what += f". Kept: the model after epoch {status.best_epoch}, right on {status.best_accuracy:.1%} of the "
        what += "validation photos"
    st.success(what + ".", icon=":material/check_circle:")
    if run.checkpoint_path.exists():
        with st.container(horizontal=True):
            frame.link("evaluate", "See its mistakes", "grid_on", model=checkpoint_id(run.checkpoint_path))
            frame.link("classify", "Name a flower with it", "photo_camera", model=checkpoint_id(run.checkpoint_path))
        st.caption(
            "Kept is the latest epoch that is as good as the best one, give or take what chance does to so few "
            "validation photos. The model lies here:"
        )
        st.code(str(run.checkpoint_path), language=None)


def _numbers(epochs: list[dict], records: list[dict], status: Status) -> None:
    last = epochs[-1] if epochs else {}
    steps = [record for record in records if record["kind"] == "step"]
    with st.grid(4, min_column_width=140):
        st.metric("Training accuracy", _percent(last.get("train_accuracy")), border=True)
        st.metric("Validation accuracy", _percent(last.get("valid_accuracy")), border=True)
        st.metric("Training loss", f"{last['train_loss']:.3f}" if last else "–", border=True)
        st.metric("Learning rate", f"{steps[-1]['lr']:.2g}" if steps else "–", border=True)


def _settings(run: Run) -> None:
    try:
        values = dict(run.config().__dict__)
    except FlowersError as error:
        show_error(error)
        return
    facts = run.facts()
    values["data"] = Path(values["data"]).name
    values |= {"photos": facts.get("counts", {}), "computed in": facts.get("precision", "")}
    st.dataframe({"Setting": list(values), "Value": [str(value) for value in values.values()]}, hide_index=True)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
