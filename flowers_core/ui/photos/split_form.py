"""How a set is split: who decided it, and a form with a preview where the app does."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.photos import resplit
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import Source, SplitPlan, splits
from flowers_core.sources.library import KnownSet
from flowers_core.ui import dialogs, frame, words
from flowers_core.ui.errors import show_error
from flowers_core.ui.plain import plain
from flowers_core.ui.text_table import text_table
from flowers_core.ui.train import settings

SHARES, COUNTS = "Shares", "Photos per kind"


def advice(known: KnownSet, source: Source) -> None:
    """A word where there is one kind only, or where single validation photos decide too much."""
    if len(source.classes) == 1:
        st.info("One kind alone can't be learned: training needs at least two to tell apart.", icon=":material/info:")
    elif why := splits.advice(source):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(why)
            frame.link(
                "train", "Cross-validate on the page Train", "cycle",
                data=known.id, run=settings.NEW, folds=str(splits.FOLDS),
            )  # fmt: skip


def form(known: KnownSet, decoded: DecodedSource) -> None:
    """The split's story; where the app made it, its settings, with what another choice would give."""
    source, now = decoded.source, resplit.amounts(decoded)
    st.markdown(f"Split by **{plain(source.split_origin)}**.")
    if source.plan is None:
        st.caption("It came with the photos, so the app keeps to it.")
        st.text(", ".join(f"{amount.photos:,} {split}" for split, amount in now.items()))
        return
    try:
        plan = _chosen_plan(known, source)
        then, together = resplit.amounts(resplit.preview(decoded, plan)), resplit.kept_together(decoded)
    except FlowersError as error:
        show_error(error)
        return
    rows = [(split, now[split].photos, amount.photos, amount.per_kind) for split, amount in then.items()]
    text_table(pd.DataFrame(rows, columns=["Split", "Photos now", "Photos then", "Per kind then"]))
    if not then["valid"].photos:
        st.warning("Nothing would be left to check on while learning.", icon=":material/warning:")
    st.caption(
        "Every kind is divided alike, by chance from the seed. Copies and near copies "
        f"({words.count(together, 'photo')} here) stay together, so that no model is asked what it has seen."
    )
    if st.button("Use this split", type="primary", icon=":material/check:", disabled=plan == source.plan):
        try:
            resplit.change(decoded, plan)
        except FlowersError as error:
            show_error(error)
            return
        st.toast("The photos are split anew.", icon=":material/call_split:")
        dialogs.close()
        st.rerun()
    st.caption("Models that were trained before keep their figures; they are of the split that they carry.")


def _chosen_plan(known: KnownSet, source: Source) -> SplitPlan:
    key = f"plan-{known.id}"
    how = st.segmented_control(
        "By", [SHARES, COUNTS], default=COUNTS if source.plan.per_kind else SHARES, required=True, key=f"{key}-how"
    )
    plan, amounts = source.plan.by(how == COUNTS), {}
    parts = ("valid", "test") if plan.make_test else ("valid",)
    for column, part in zip(st.columns(len(parts)), parts, strict=True):
        label = f"{part.capitalize()}, photos per kind" if how == COUNTS else f"{part.capitalize()}, percent"
        before = getattr(plan, part)
        shown = float(before if how == COUNTS else round(100 * before, 2))
        amount = column.number_input(  # no range: see architecture.md
            label, value=shown, step=1.0, format="%g", key=f"{key}-{how}-{part}"
        )
        amounts[part] = amount if how == COUNTS else round(amount / 100, 6)
    seed = st.number_input("Seed", value=plan.seed, key=f"{key}-seed")
    return replace(plan, **amounts, seed=seed)
