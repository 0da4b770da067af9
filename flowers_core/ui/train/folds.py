"""A cross-validation on the page: how far it is, and what its folds say together."""

import streamlit as st

from flowers_core.runs import Run, Status
from flowers_core.training.cross_validate import Pooled, fold_run, pooled
from flowers_core.ui import charts
from flowers_core.ui.train import settings

ABOUT = (
    "This judges the **recipe**, not one model: each photo was answered by a model that had not seen it, and each of "
    "those models learned from a part of the photos only."
)


def from_link() -> None:
    """Takes the number of folds that a link carries into the form, once, and says that the form has some."""
    wanted = st.query_params.pop("folds", "")
    if wanted.isdecimal():
        settings.set_by_hand("folds", int(wanted))
    if number := st.session_state.get("set-folds"):
        st.info(
            f"Cross-validation in {number} parts is chosen (under *All settings*). Start training when the rest suits "
            "you too.",
            icon=":material/cycle:",
        )


def so_far(run: Run, status: Status) -> None:
    """The folds' figures, and the curves of the one that trains now."""
    found = pooled(run, status.folds)
    figures(found, status.folds)
    if found and len(found.folds) == status.folds and status.fold:
        st.caption("All folds have answered.")
    if not status.fold:
        return
    records, _ = fold_run(run, status.fold).metrics()
    if records:
        total = max(1, fold_run(run, status.fold).status().epochs)
        left, right = st.columns(2)
        for place, what in ((left, "loss"), (right, "accuracy")):
            place.altair_chart(
                charts.curves(records, what, total), alt=f"{what.capitalize()} over epochs",
                key=f"fold-{what}-{run.id}",
            )  # fmt: skip
        st.caption(
            f"Fold {status.fold} of {status.folds}. There is no validation curve: the photos of this fold are asked "
            "once, at its end."
        )


def figures(found: Pooled | None, folds: int) -> None:
    """Accuracy of all answers with its interval, and of each fold."""
    if found is None:
        st.caption("The first fold has not answered yet.")
        return
    whole, (worst, best) = found.report, found.spread
    with st.grid(3, min_column_width=170):
        st.metric(
            "Right, by photos unseen", f"{whole.top1.value:.1%}", border=True, delta_color="off", delta_arrow="off",
            delta=f"{whole.top1.low:.0%} to {whole.top1.high:.0%}",
        )  # fmt: skip
        st.metric("Worst and best fold", f"{worst:.0%} to {best:.0%}", border=True, delta_color="off",
                  delta_arrow="off", delta=f"{len(found.folds)} of {folds} folds")  # fmt: skip
        st.metric("Photos that were asked", f"{whole.n:,}", border=True, delta_color="off", delta_arrow="off",
                  delta="each of them once")  # fmt: skip
    each_fold(found)


def each_fold(found: Pooled) -> None:
    """How often each fold was right, and what that is a figure of."""
    st.caption("  ·  ".join(f"fold {number}: {fold.value:.0%}" for number, fold in enumerate(found.folds, start=1)))
    st.markdown(ABOUT)
