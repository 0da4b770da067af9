"""Charts of a search: how each trial did, and which settings made the difference."""

import altair as alt
import pandas as pd

from flowers_core.tuning.studies import Plan, Summary
from flowers_core.ui import words

TRIAL_WORDS = {
    "finished": "complete", "pruned": "cut short", "stopped": "stopped", "failed": "failed", "running": "running",
}  # fmt: skip
BEST = "best so far"
OBJECTIVE_TITLES = {"accuracy": "Validation accuracy", "loss": "Validation loss"}


def history(plan: Plan, summary: Summary) -> alt.LayerChart:
    """Every trial's figure on valid, and the best so far of the complete ones.

    A trial that was cut short has a figure of another sort: what the network alone reached by then, with one look.
    """
    accuracy = plan.objective == "accuracy"
    rows: dict[str, list[tuple]] = {"finished": [], "pruned": []}
    line, record = [], None
    for trial in summary.trials:
        value = trial.accuracy if accuracy else trial.loss
        if value is None or trial.state not in rows:
            continue
        rows[trial.state].append((trial.number + 1, value, TRIAL_WORDS[trial.state]))
        if trial.state == "finished":
            record = value if record is None else (max if accuracy else min)(record, value)
            line.append((trial.number + 1, record, BEST))
    title, form = OBJECTIVE_TITLES[plan.objective], ".0%" if accuracy else ".3~g"
    x = alt.X("trial:Q", title="Trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False, labelFlush=False),
              scale=alt.Scale(domain=[0.5, max(plan.trials, len(summary.trials)) + 0.5], nice=False))  # fmt: skip
    y = alt.Y("value:Q", title=title, axis=alt.Axis(format=form, tickCount=5, labelFlush=False),
              scale=alt.Scale(domain=[0, 1.03], nice=False) if accuracy else alt.Scale(zero=False))  # fmt: skip
    legend = alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=1.5, symbolSize=70)
    color = alt.Color("what:N", title=None, legend=legend, scale=alt.Scale(domain=[TRIAL_WORDS["finished"], BEST]))
    # A scale of its own makes its entry in the legend hollow and grey, too; not unless its layer is the first one.
    grey = alt.Stroke("what:N", title=None, legend=legend,
                      scale=alt.Scale(domain=[TRIAL_WORDS["pruned"]], range=["gray"]))  # fmt: skip
    tooltip = [alt.Tooltip("trial:Q", title="Trial"),
               alt.Tooltip("value:Q", title=title, format=".1%" if accuracy else ".3f"),
               alt.Tooltip("what:N", title="Which is")]  # fmt: skip
    columns = ["trial", "value", "what"]
    full, hollow = (alt.Chart(pd.DataFrame(rows[state], columns=columns)) for state in ("finished", "pruned"))
    steps = alt.Chart(pd.DataFrame(line, columns=columns)).mark_line(interpolate="step-after", strokeWidth=2)
    return alt.layer(
        hollow.mark_point(size=60, strokeWidth=2, filled=False, opacity=1).encode(x, y, grey, tooltip=tooltip),
        steps.encode(x, y, color),
        full.mark_circle(size=70, opacity=0.9).encode(x, y, color, tooltip=tooltip),
    ).properties(height=300)


def learning(plan: Plan, summary: Summary, curves: dict[int, list[tuple[int, float]]]) -> alt.LayerChart:
    """How trials learn: the running ones and the best before the others, which are grey.

    Args:
        plan, summary: of the search.
        curves: (epoch, figure on valid) points by a trial's number.
    """
    accuracy, running = plan.objective == "accuracy", {t.number for t in summary.trials if t.state == "running"}
    rows: dict[str, list[tuple]] = {"others": [], "these": []}
    for number, points in curves.items():
        what = TRIAL_WORDS["running"] if number in running else BEST if number == summary.best else ""
        rows["these" if what else "others"] += [(number + 1, epoch, value, what) for epoch, value in points]
    title, form = OBJECTIVE_TITLES[plan.objective], ".0%" if accuracy else ".3~g"
    x = alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d", grid=False, labelFlush=False),
              scale=alt.Scale(domain=[0, 1.03 * plan.config.epochs + 0.2], nice=False))  # fmt: skip
    y = alt.Y("value:Q", title=title, axis=alt.Axis(format=form, tickCount=5, labelFlush=False),
              scale=alt.Scale(domain=[0, 1.03], nice=False) if accuracy else alt.Scale(zero=False))  # fmt: skip
    color = alt.Color("what:N", title=None, scale=alt.Scale(domain=[TRIAL_WORDS["running"], BEST]),
                      legend=alt.Legend(orient="top", symbolOpacity=1))  # fmt: skip
    tooltip = [alt.Tooltip("trial:Q", title="Trial"), alt.Tooltip("epoch:Q", title="Epoch"),
               alt.Tooltip("value:Q", title=title, format=".1%" if accuracy else ".3f")]  # fmt: skip
    others, these = (
        alt.Chart(pd.DataFrame(rows[which], columns=["trial", "epoch", "value", "what"])) for which in rows
    )
    dots = alt.OverlayMarkDef(size=25, filled=True)
    return alt.layer(
        others.mark_line(color="gray", opacity=0.4, strokeWidth=1.5).encode(x, y, detail="trial:N", tooltip=tooltip),
        these.mark_line(strokeWidth=2.5, point=dots).encode(x, y, color, detail="trial:N", tooltip=tooltip),
    ).properties(height=300)


def importance(summary: Summary) -> alt.Chart:
    """Share of the differences between trials that each setting explains."""
    rows = [(words.name_of(name), share) for name, share in summary.importance.items()]
    shares = alt.Axis(format="%", grid=False, tickCount=4, labelFlush=False)
    return (
        alt.Chart(pd.DataFrame(rows, columns=["setting", "share"]))
        .mark_bar()
        .encode(
            alt.X("share:Q", title="Share of the differences", axis=shares),
            alt.Y("setting:N", title=None, sort="-x", axis=alt.Axis(labelLimit=200, labelFlush=False)),
            tooltip=[alt.Tooltip("setting:N", title="Setting"), alt.Tooltip("share:Q", title="Share", format=".0%")],
        )
        .properties(height=260)
    )
