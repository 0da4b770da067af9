"""A run on the page: its progress, its curves, its controls, and how it ended."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st

from flowers_core import runs
from flowers_core.errors import FlowersError
from flowers_core.runs import Run, Status, turns
from flowers_core.runs.overfitting import Onset
from flowers_core.settings.config import PRESETS, TrainConfig
from flowers_core.sources import library, name_of
from flowers_core.storage import free_megabytes, home
from flowers_core.training import compare, worker
from flowers_core.ui import charts, frame, news, words
from flowers_core.ui.choices import checkpoint_id
from flowers_core.ui.errors import guarded, is_local, leave_to_the_page, show_error
from flowers_core.ui.plain import plain
from flowers_core.ui.text_table import text_table
from flowers_core.ui.train import folds, keep, settings

EVERY_S = 1.0
"""Seconds between two looks at a living run."""

LOW_DISK_MB = 1000
"""Below this a run's saved state may not have fitted: it is over half a gigabyte."""

HOW_CURVES_COMPARE = (
    "Training figures are of varied photos, with parts of the network switched off at random, and their loss punishes "
    "too much certainty: so compare each curve with itself. When training goes on rising and validation does not, it "
    "memorises."
)

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
    """A run in one line, for a list. Says nothing that changes without `in_short`: lists are not drawn anew then."""
    state, status = run.state(), run.status()
    by = f"in {status.folds} folds" if status.folds else "on valid"
    reached = f", {status.best_accuracy:.0%} {by}" if status.best_accuracy is not None else ""
    ended = "" if state in runs.ACTIVE else reached
    return f"{run.name} ({in_short(state)}{ended})"


def in_short(state: str) -> str:
    """A run's state in a word, the same for all the short ones on the way to training."""
    return "running" if state in ("starting", "preparing", "training") else WORDS[state][0].lower()


def watch(run: Run) -> None:
    """The run's panel; looks again every second while its process lives."""
    state = run.state()
    alive = state in runs.ACTIVE
    news.watch("runs", run, alive)
    st.session_state["run-seen"] = run.id
    st.fragment(_panel, run_every=EVERY_S if alive else None)(run, in_short(state))


def first_shown(every_run: list[Run]) -> Run | None:
    """See `news.first_shown`."""
    return news.first_shown(
        "runs", every_run, runs.ACTIVE, lambda run: run.config().data, lambda run: run.status().time
    )


def begin_anew(run: Run) -> None:
    """Shows the form in place of a run, for the photos that it learned from; for a callback."""
    st.session_state["started-run"] = settings.NEW
    if set_id := _query(run).get("data"):
        st.session_state["new-set"] = set_id


def turn_to_new() -> None:
    """`begin_anew` when somebody chooses the form in the list of runs; for a callback."""
    run = runs.find_run(st.session_state.get("run-seen", ""))
    if st.session_state["run"] == settings.NEW and run:
        begin_anew(run)


def _panel(run: Run, was: str) -> None:
    leave_to_the_page()
    state, status = run.state(), run.status()
    if in_short(state) != was or not run.folder.exists() or "started-run" in st.session_state:
        st.rerun()  # it waits, has ended, began again, was deleted, or gave the form its settings: all the page changes
    records, _ = run.metrics()
    epochs = [record for record in records if record["kind"] == "epoch"]
    word, color = WORDS[state]
    if state in ("training", "paused") and run.request() == "stop":
        word, color = "Stopping", "orange"
    elif state == "training" and run.request() == "pause":
        word, color = "Pausing", "orange"
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(horizontal=True, width="content"):
            _buttons(run, state)
        st.badge(word, color=color)
        keep.popover(run)
    _say_how_it_goes(run, state, status, epochs)
    keep.note(run)
    if status.folds:
        folds.so_far(run, status)
    else:
        _numbers(run, epochs, records, state)
    onset = compare.onset(run, epochs)
    if onset:
        _warn_of_overfitting(onset, state, status, epochs)
    if (records or state in ("starting", "preparing", "training")) and not status.fold:
        total = max(1, (status.epochs or _epochs_wished(run)) // (status.folds + 1))
        _curves(run, records, state, status, total, onset.since if onset else None)
        with st.expander("Learning rate"):
            st.altair_chart(charts.learning_rate(records, total), alt="Learning rate over epochs", key=f"lr-{run.id}")
    with st.expander("Log"):
        empty = (
            "Nothing yet." if state in runs.ACTIVE else "Nothing: it was started in a terminal, and told its log there."
        )
        st.code(without_folders(run.log_tail(), run.config) or empty, language=None, wrap_lines=True)
    with st.expander("Settings of this run"):
        _settings(run)


def _curves(run: Run, records: list[dict], state: str, status: Status, epochs: int, onset: int | None) -> None:
    """Loss and accuracy; empty ones before the first step, so that everybody sees where something will grow."""
    reached = compare.reached(run) if state in runs.FINAL and not status.folds else None
    ends = {"loss": reached.valid_loss, "accuracy": reached.accuracy.value} if reached and reached.accuracy else {}
    for place, what in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        place.altair_chart(
            charts.curves(records, what, epochs, onset, status.best_epoch, ends.get(what)),
            alt=f"{what.capitalize()} over epochs", key=f"{what}-{run.id}",
        )  # fmt: skip
    marks = "The ring marks the epoch whose model is kept" if status.best_epoch else ""
    marks += ", the diamond what it reaches in the end" if ends else ""
    st.caption(f"{marks}{'. ' * bool(marks)}{_how_curves_begin(run)}{HOW_CURVES_COMPARE} {charts.HOW_TO_ZOOM}")


def _epochs_wished(run: Run) -> int:
    try:
        return run.config().epochs
    except FlowersError:  # settings of a newer version
        return 1


def _how_curves_begin(run: Run) -> str:
    with suppress(FlowersError):
        if run.config().head == "least-squares":
            return (
                "The last layers were fitted to the photos before the first epoch, so the curves begin near their end; "
                f"“{PRESETS['quick'].title}” begins with nothing. "
            )
    return ""


def _buttons(run: Run, state: str) -> None:
    """What can be done now. No button moves when the state changes, so that none slips from under a mouse."""
    request, look = run.request(), {"key": f"go-{run.id}", "width": 120}
    if run.status().cause == "diverged" and state == "failed":
        st.button(
            "Try again more gently", icon=":material/replay:", type="primary", on_click=guarded(_gentler), args=(run,),
            key=f"gently-{run.id}", help="Fills the form with these settings and a third of the learning rate.",
        )  # fmt: skip
    elif state in ("paused", "stopped", "failed", "interrupted") or (state == "training" and request == "pause"):
        st.button(
            "Resume", icon=":material/play_arrow:", type="primary", on_click=guarded(worker.resume), args=(run,), **look
        )
    elif state in ("starting", "queued", "preparing", "training"):
        ready = state == "training" and not request
        st.button(
            "Pause", icon=":material/pause:", on_click=guarded(worker.pause), args=(run,), disabled=not ready, **look
        )
    if state in ("training", "paused", "queued", "preparing", "starting"):
        st.button(
            "Stop training", icon=":material/stop:", on_click=guarded(worker.stop), args=(run,), key=f"stop-{run.id}",
            disabled=request == "stop", width=160, help="The best model so far is kept, and it can go on later.",
        )  # fmt: skip
    if state == "stalled":
        st.button("End it", icon=":material/dangerous:", on_click=guarded(worker.kill), args=(run,))
    if state in runs.FINAL and run.status().cause != "diverged":
        st.button(
            "Use its settings", icon=":material/tune:", on_click=guarded(_again), args=(run,), key=f"again-{run.id}",
            help="Fills the form for a new training with the settings of this one.",
        )  # fmt: skip


def _again(run: Run) -> None:
    settings.take(run.config())
    begin_anew(run)


def _gentler(run: Run) -> None:
    _again(run)
    settings.set_by_hand("lr", float(f"{run.config().lr / 3:.1g}"))


def _say_how_it_goes(run: Run, state: str, status: Status, epochs: list[dict]) -> None:
    if state in ("training", "paused"):
        left = status.seconds_left
        now, epochs_in_all = status.epoch_now
        parts = [f"Epoch {now} of {epochs_in_all}"]
        if status.folds:
            parts.insert(0, f"Fold {status.fold} of {status.folds}" if status.fold else "Now on all photos")
        if run.request() == "stop":
            parts.append("stopping and saving…")
        elif status.message and state == "training":
            parts.append(plain(status.message))
        elif status.images_per_second:
            parts.append(f"{status.images_per_second:.0f} photos a second")
        if left is not None and state == "training" and not status.message:
            parts.append(f"{words.span(left)} left")
        st.progress(status.share_done, " · ".join(parts))
    if state == "paused" and run.request() != "stop":
        st.info(status.message, icon=":material/pause_circle:")
    elif state in ("starting", "queued", "preparing"):
        st.info(plain(status.message or "The training process is starting."), icon=":material/hourglass_top:")
        first = turns.holder(run) if state == "queued" else None
        if first and first.state() == "paused":
            _offer_to_make_way(first)
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
        _result(run, state, status, epochs)


def _offer_to_make_way(first: Run) -> None:
    """A paused training keeps its turn for as long as nobody decides; that can be done here."""
    st.warning(
        f"“{plain(first.name)}” is paused and keeps its turn, so nothing goes on. Resume it, or stop it: "
        "a stopped training is saved as well, and can go on later.",
        icon=":material/pause_circle:",
    )
    with st.container(horizontal=True):
        st.button(
            "Resume that one",
            icon=":material/play_arrow:",
            on_click=guarded(worker.resume),
            args=(first,),
            key="way-resume",
        )
        st.button("Stop that one", icon=":material/stop:", on_click=guarded(worker.stop), args=(first,), key="way-stop")


def _warn_of_overfitting(onset: Onset, state: str, status: Status, epochs: list[dict]) -> None:
    train, valid = onset.train, onset.valid
    if onset.kind == "worse":
        what = (
            f"its mistakes on training photos get smaller (loss {train[0]:.2f} to {train[1]:.2f}), while those on "
            "photos that it does not learn from get worse "
            f"({valid[0]:.2f} to {valid[1]:.2f}), by more than chance explains"
        )
    else:
        what = (
            f"it gets better at its training photos only (now {train[1]:.0%} right), while on photos that it does not "
            f"learn from it stands at {valid[1]:.0%}, a wider gap than chance explains"
        )
    kept = f" The model that is kept is the one after epoch {status.best_epoch}." if status.best_epoch else ""
    now = ""
    if state in ("training", "paused"):
        # By accuracy: losses tell first that it grows too sure. The epoch that is kept may be as good by chance only.
        before, since = (
            max((e.get("valid_accuracy", 0.0) for e in epochs if (e["epoch"] > onset.since) == later), default=0.0)
            for later in (False, True)
        )
        now = " Since then it was right more often all the same." if since > before else ""
        now += " You may stop it; going on rarely helps." if not now else " So let it go on."
    st.warning(
        f"**Since epoch {onset.since} it learns by heart:** {what}. More photos help most, then varying them more "
        f"strongly, fewer epochs, or early stopping.{kept}{now}",
        icon=":material/psychology_alt:",
    )


def _result(run: Run, state: str, status: Status, epochs: list[dict]) -> None:
    if not status.epoch:
        st.info(status.message or "Stopped before the first epoch was complete.", icon=":material/stop_circle:")
        return
    ended = "Finished" if state == "finished" else "Stopped"
    what = f"{ended} after {words.count(status.epoch, 'epoch')} and {words.span(status.seconds_in_all)}"
    if status.folds and state == "finished":
        what += f". The model learned from all training and validation photos, after {status.folds} folds"
    elif status.best_accuracy is not None:
        what += f". Kept: the model after epoch {status.best_epoch}, right on {_reached(status)} of the "
        what += "validation photos"
    if state == "finished":
        st.success(what + ".", icon=":material/check_circle:")
    else:
        st.info(what + ".", icon=":material/stop_circle:")
    if run.checkpoint_path.exists():
        leads(run, lambda: _how_it_was_chosen(status, epochs))
        if status.folds:
            st.caption("No photos were left to score this model by; the folds say what such a model can do.")
        if not is_local():
            frame.link("classify", "Take it home, at the end of “Name a flower”", "download", **_query(run))


def _how_it_was_chosen(status: Status, epochs: list[dict]) -> None:
    """Behind a button, since the curves should stay in sight."""
    if status.folds:
        return
    question, answer = _why_curves_differ(status, epochs)
    with st.popover(question, icon=":material/help:", type="tertiary"):
        st.markdown(
            "Kept is the latest epoch that is as good as the best one, give or take what chance does to so few "
            f"validation photos. {_which_was_best(status, epochs)}{answer}"
        )


def _which_was_best(status: Status, epochs: list[dict]) -> str:
    """A sentence where another epoch than the kept one was right most often; else ""."""
    accuracies = {e["epoch"]: e["valid_accuracy"] for e in epochs if "valid_accuracy" in e}
    best = max(accuracies, key=accuracies.__getitem__, default=0)
    if not best or accuracies[best] <= accuracies.get(status.best_epoch, 1.0):
        return ""
    return f"Epoch {best} was right on {accuracies[best]:.0%}, no clear difference. "


def _why_curves_differ(status: Status, epochs: list[dict]) -> tuple[str, str]:
    """A question, and its answer where the curve shows another accuracy for the kept epoch than its model reached."""
    curve = next((e.get("valid_accuracy") for e in epochs if e["epoch"] == status.best_epoch), None)
    if None in (curve, status.best_accuracy) or f"{curve:.0%}" == f"{status.best_accuracy:.0%}":
        return "How it was chosen", ""
    return f"Why {status.best_accuracy:.0%} and not {curve:.0%}?", (
        f"The curve says {curve:.0%} there: it follows the network alone, with one look at each photo. The finished "
        f"model reaches its {_reached(status)} with several looks, and with a second classifier that learns from the "
        "same convolutions at the end."
    )


def leads(run: Run, more: Callable[[], None] | None = None) -> None:
    """Where a run's model leads: to its mistakes on the set that it learned from, to naming flowers, and what `more`
    draws in the same row."""
    with st.container(horizontal=True, vertical_alignment="center"):
        frame.link("evaluate", "See its mistakes", "grid_on", **_query(run))
        frame.link("classify", "Name a flower with it", "photo_camera", **_query(run))
        if more:
            more()


def _query(run: Run) -> dict[str, str]:
    """What a link to another page carries: the run's model, and the set that it learned from."""
    query = {"model": checkpoint_id(run.checkpoint_path)}
    with suppress(FlowersError):  # settings of a newer version: the set is then the one that was chosen last
        data = run.config().data
        query |= next(({"data": known.id} for known in library.known_sets() if known.data == data), {})
    return query


def _numbers(run: Run, epochs: list[dict], records: list[dict], state: str) -> None:
    """The last epoch's figures; of a run that has ended, those of its model as it answers."""
    if state in runs.FINAL and (reached := compare.reached(run)).accuracy:
        _final_numbers(reached, epochs)
        return
    last = epochs[-1] if epochs else {}
    steps = [record for record in records if record["kind"] == "step"]
    with st.grid(4, min_column_width=140):
        st.metric("Training accuracy", _percent(last.get("train_accuracy")), border=True)
        st.metric("Validation accuracy", _percent(last.get("valid_accuracy")), border=True)
        st.metric("Training loss", f"{last['train_loss']:.3f}" if last else "–", border=True)
        if state in runs.FINAL:
            st.metric("Validation loss", f"{last['valid_loss']:.3f}" if "valid_loss" in last else "–", border=True)
        else:
            st.metric("Learning rate", f"{steps[-1]['lr']:.2g}" if steps else "–", border=True)


def _final_numbers(reached: compare.Reached, epochs: list[dict]) -> None:
    kept = next((record for record in epochs if record["epoch"] == reached.kept_epoch), {})
    train_loss, valid_loss = (
        "–" if loss is None else f"{loss:.3f}" for loss in (kept.get("train_loss"), reached.valid_loss)
    )
    right, when = reached.accuracy, f"in epoch {reached.kept_epoch}"
    look = {"border": True, "delta_color": "off", "delta_arrow": "off"}
    with st.grid(4, min_column_width=140):
        st.metric("Training accuracy", _percent(kept.get("train_accuracy")), when, **look)
        st.metric(
            "Validation accuracy", f"{right.value:.1%}", f"{right.low:.0%} to {right.high:.0%}", **look,
            help="Of the model that is kept, as it answers. The range is a 95% interval.",
        )  # fmt: skip
        st.metric("Training loss", train_loss, when, **look)
        st.metric(
            "Validation loss", valid_loss, "as it answers", **look,
            help="Of the finished model, with several looks and both of its classifiers; the curve follows the network "
            "alone, with one look.",
        )  # fmt: skip


def _settings(run: Run) -> None:
    try:
        values = dict(run.config().__dict__)
    except FlowersError as error:
        show_error(error)
        return
    facts = run.facts()
    values["data"] = name_of(values["data"])
    counts = facts.get("counts", {})
    names = [words.name_of(name) for name in values] + ["Photos per split", "Computed in"]
    shown = [words.say(name, value) for name, value in values.items()]
    shown += [", ".join(f"{n} {split}" for split, n in counts.items()) or "–", facts.get("precision", "–")]
    text_table({"Setting": names, "Value": shown})
    if is_local() and run.checkpoint_path.exists():
        st.caption("The model lies here:")
        st.code(str(run.checkpoint_path), language=None)


def without_folders(log: str, config: Callable[[], TrainConfig]) -> str:
    """A log as any viewer may read it: the set by its name, and not in which folders of this machine things lie."""
    with suppress(FlowersError):
        data = config().data
        log = log.replace(data, Path(data).name)
    return log.replace(str(home().resolve()), "…")


def _reached(status: Status) -> str:
    return f"{status.best_accuracy:.1%}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
