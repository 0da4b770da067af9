"""Runs side by side: their curves, the settings in which they differ, and what they reached."""

import pandas as pd
import streamlit as st

from flowers_core.runs import Run
from flowers_core.training import compare
from flowers_core.ui import charts, frame, words
from flowers_core.ui.text_table import text_table
from flowers_core.ui.train import keep, live

MOST = 6
"""Runs at once: as many as there are colours."""

FIRST = 3
"""Runs that are shown before anybody has chosen."""

CURVES = {
    "Validation accuracy": "valid_accuracy",
    "Validation loss": "valid_loss",
    "Training accuracy": "train_accuracy",
    "Training loss": "train_loss",
}


def show(every_run: list[Run]) -> None:
    """A choice of runs, newest first, and everything about them."""
    by_id = {run.id: run for run in every_run}
    titles = {run.id: live.title(run) for run in every_run}
    asked = [each for each in st.session_state.get("compared", ()) if each in by_id]  # others may have been deleted
    if "compared" not in st.session_state:
        asked = [each for each in st.query_params.get_all("compared") if each in by_id] or _with_curves(every_run)
    st.session_state["compared"] = asked[:MOST]
    chosen = st.multiselect(
        "Trainings", list(by_id), format_func=titles.__getitem__, key="compared", max_selections=MOST,
        placeholder="Choose trainings", persist_state="session",
    )  # fmt: skip
    st.query_params["compared"] = chosen
    if not chosen:
        st.info("Choose the trainings to compare.", icon=":material/info:")
        return
    compared = [by_id[run_id] for run_id in chosen]
    names = _names(compared)
    _curves(compared, names)
    _reached(compared, names)
    _differences(compared, names, any(run.data() != compared[0].data() for run in every_run))
    st.subheader("Each of them")
    for run, name in zip(compared, names, strict=True):
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.text(name)
                with st.container(horizontal=True, width="content", vertical_alignment="center"):
                    frame.link("train", "Open", "monitoring", run=run.id)
                    keep.popover(run)
            if run.label()[1]:
                st.caption(f":material/sticky_note_2: {live.plain(run.label()[1])}")


def _with_curves(every_run: list[Run]) -> list[str]:
    """The latest runs with something to show; of one set, since others can't be compared."""
    shown = [run for run in every_run if compare.epochs_of(run)] or every_run[:1]
    return [run.id for run in shown if run.data() == shown[0].data()][:FIRST]


def _names(compared: list[Run]) -> list[str]:
    """Their names; with their start behind it where two are called the same."""
    names = [run.name for run in compared]
    return [f"{name} ({run.id})" if names.count(name) > 1 else name for run, name in zip(compared, names, strict=True)]


def _curves(compared: list[Run], names: list[str]) -> None:
    what = st.segmented_control(
        "Curves of", list(CURVES), default="Validation accuracy", required=True, key="compared-curve",
        label_visibility="collapsed",
    )  # fmt: skip
    field = CURVES[what]
    points = {
        name: [(record["epoch"], record[field]) for record in compare.epochs_of(run) if field in record]
        for run, name in zip(compared, names, strict=True)
    }
    lacking = [name for name, found in points.items() if not found]
    if len(lacking) < len(points):
        st.altair_chart(
            charts.compared(points, what, "accuracy" in field), alt=f"{what} of each training over epochs",
            key="compared-chart",
        )  # fmt: skip
    shown = [tuple(found) for found in points.values() if found]
    if len(set(shown)) < len(shown):
        same = [name for name, found in points.items() if found and shown.count(tuple(found)) > 1]
        st.caption("One curve lies on another, because they are the same: " + live.plain(", ".join(same)) + ".")
    if lacking:
        st.caption(
            f"Without such a curve: {live.plain(', '.join(lacking))}. A training that has just begun has none yet, and "
            "of a cross-validation only the folds have some."
        )


def _reached(compared: list[Run], names: list[str]) -> None:
    st.subheader("What they reached")
    rows = []
    for run, name in zip(compared, names, strict=True):
        found = compare.reached(run)
        rows.append(
            {
                "Training": name,
                "State": live.WORDS[found.state][0],
                "Right": f"{found.accuracy.value:.1%}" if found.accuracy else "–",
                "Lies in": f"{found.accuracy.low:.0%} to {found.accuracy.high:.0%}" if found.accuracy else "–",
                "Asked": _asked(found.accuracy.n, found.folds) if found.accuracy else "–",
                "Loss": f"{found.valid_loss:.3f}" if found.valid_loss is not None else "–",
                "Epochs": f"{found.epochs}, kept {found.kept_epoch}" if found.kept_epoch else str(found.epochs),
                "By heart since": f"epoch {found.onset.since}" if found.onset else "–",
                "Time": words.span(found.seconds),
                "Photos a second": f"{found.images_per_second:.0f}",
            }
        )
    _upright(rows)
    different = compare.differences(compared)
    if "photos" in different and "folds" in different:
        st.warning(
            "Some of these were cross-validated: their models learned from more photos, and other photos were asked. "
            "Compare such accuracies with care.",
            icon=":material/balance:",
        )
    elif "photos" in different:
        st.warning(
            "Not all of these trainings had the same photos, so their accuracies can't be compared: one set may simply "
            "be easier than another.",
            icon=":material/balance:",
        )
    st.caption(
        "The ranges are 95% intervals. Where two of them overlap widely, chance may well have decided which is "
        "better. Once a training has ended, “Right” is of several looks at each photo, and of a second classifier on "
        "the same convolutions too; the curves show the network alone, with one look, and mostly lie lower."
    )


def _asked(n: int, folds: int) -> str:
    return f"{words.count(n, 'photo')} in {folds} folds" if folds else words.count(n, "validation photo")


def _differences(compared: list[Run], names: list[str], are_others: bool) -> None:
    st.subheader("What differs in their settings")
    if len(compared) < 2:
        others = " The others here learned from other photos." * are_others
        st.caption(f"Choose a second training above to see it.{others}")
        return
    different = compare.differences(compared)
    if not different:
        st.caption("Nothing: the same settings on the same photos.")
        return
    rows = [
        {"Training": name, **{words.name_of(key): words.say(key, values[i]) for key, values in different.items()}}
        for i, name in enumerate(names)
    ]
    _upright(rows)


def _upright(rows: list[dict]) -> None:
    """A table with one column per training: so it fits a narrow screen, and reads as the legend does."""
    text_table(pd.DataFrame(rows).set_index("Training").T, hide_index=False)
