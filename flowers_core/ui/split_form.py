"""How a set is split: who decided it, and a form with a preview where the app does."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from flowers_core import likeness
from flowers_core.cache import DecodedSource
from flowers_core.errors import FlowersError
from flowers_core.sources import SPLITS, Plan, Source, splits
from flowers_core.sources.library import KnownSet
from flowers_core.ui import frame, settings
from flowers_core.ui.choices import look_again, show_error
from flowers_core.ui.plain import plain
from flowers_core.ui.text_table import text_table

SHARES, COUNTS = "Shares", "Photos per kind"


def advice(known: KnownSet, source: Source) -> None:
    """A word on cross-validation where single validation photos decide too much."""
    if why := splits.advice(source):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(why)
            frame.link(
                "train", "Cross-validate on the page Train", "cycle",
                data=known.id, run=settings.NEW, folds=str(splits.FOLDS),
            )  # fmt: skip


def form(known: KnownSet, decoded: DecodedSource) -> None:
    """The split's story; where the app made it, its settings, with what another choice would give."""
    decoded = decoded.original  # a plan is for all photos; what people moved or left out stays so on top of it
    source = decoded.source
    st.markdown(f"Split by **{plain(source.split_origin)}**.")
    now = source.counts()
    if source.plan is None:
        st.caption("It came with the photos, so the app keeps to it.")
        st.text(", ".join(f"{now[split]:,} {split}" for split in SPLITS))
        return
    try:
        group_of = likeness.groups(decoded)
        plan = _chosen_plan(known, source)
        then = pd.Series(splits.preview(source, plan, group_of)).value_counts()
    except FlowersError as error:
        show_error(error)
        return
    kept = now["test"] if not plan.make_test else 0
    rows = [(split, now[split], int(then.get(split, 0)) + (kept if split == "test" else 0)) for split in SPLITS]
    text_table(pd.DataFrame(rows, columns=["Split", "Photos now", "Photos then"]))
    st.caption(
        f"Every kind is divided alike, by chance from the seed. {len(group_of):,} photos have a copy or a near copy "
        "here; those stay together, so that no model is asked what it has seen."
    )
    if st.button("Use this split", type="primary", icon=":material/check:", disabled=plan == source.plan):
        try:
            splits.change(source, plan, group_of)
        except FlowersError as error:
            show_error(error)
            return
        look_again(known)
        st.rerun()
    st.caption("Models that were trained before keep their figures; they are of the split that they carry.")


def _chosen_plan(known: KnownSet, source: Source) -> Plan:
    key = f"plan-{known.id}"
    how = st.segmented_control(
        "By", [SHARES, COUNTS], default=COUNTS if source.plan.per_kind else SHARES, required=True, key=f"{key}-how"
    )
    plan, amounts = source.plan.by(how == COUNTS), {}
    parts = ("valid", "test") if plan.make_test else ("valid",)
    for column, part in zip(st.columns(len(parts)), parts, strict=True):
        label = f"{part.capitalize()}, photos per kind" if how == COUNTS else f"{part.capitalize()}, percent"
        before = getattr(plan, part)
        shown = int(before) if how == COUNTS else round(100 * before)
        amount = column.number_input(label, 0, 1000 if how == COUNTS else 80, shown, key=f"{key}-{how}-{part}")
        amounts[part] = float(amount) if how == COUNTS else amount / 100
    seed = st.number_input("Seed", 0, 10**6, plan.seed, key=f"{key}-seed")
    return replace(plan, **amounts, seed=seed)
