"""Charts of a search: how each trial did, and which settings made the difference."""

import altair as alt
import pandas as pd

from flowers_core.studies import Plan, Summary
from flowers_core.ui import words

TRIAL_WORDS = {"finished": "complete", "pruned": "cut short", "failed": "failed", "running": "running"}
OBJECTIVE_TITLES = {"accuracy": "Validation accuracy", "loss": "Validation loss"}


def history(plan: Plan, summary: Summary) -> alt.LayerChart:
    """Every trial's figure on valid, and the best so far."""
    accuracy = plan.objective == "accuracy"
    rows, line, record = [], [], None
    for trial in summary.trials:
        value = trial.accuracy if accuracy else trial.loss
        if value is None or trial.state not in ("finished", "pruned"):
            continue
        rows.append((trial.number + 1, value, TRIAL_WORDS[trial.state]))
        if trial.state == "finished":
            record = value if record is None else (max if accuracy else min)(record, value)
            line.append((trial.number + 1, record, "best so far"))
    x = alt.X("trial:Q", title="Trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False),
              scale=alt.Scale(domain=[0, max(plan.trials, len(summary.trials)) + 0.5], nice=False))  # fmt: skip
    y = alt.Y("value:Q", title=OBJECTIVE_TITLES[plan.objective], axis=alt.Axis(format=".0%" if accuracy else ".2~f"),
              scale=alt.Scale(domain=[0, 1.03], nice=False) if accuracy else alt.Scale(zero=False))  # fmt: skip
    color = alt.Color("what:N", title=None, legend=alt.Legend(orient="top", symbolOpacity=1),
                      scale=alt.Scale(domain=["complete", "best so far", "cut short"]))  # fmt: skip
    tooltip = [alt.Tooltip("trial:Q", title="Trial"),
               alt.Tooltip("value:Q", title=OBJECTIVE_TITLES[plan.objective], format=".1%" if accuracy else ".3f"),
               alt.Tooltip("what:N", title="Which is")]  # fmt: skip
    columns = ["trial", "value", "what"]
    points = alt.Chart(pd.DataFrame(rows, columns=columns)).mark_circle(size=70, opacity=0.9)
    steps = alt.Chart(pd.DataFrame(line, columns=columns)).mark_line(interpolate="step-after", strokeWidth=2)
    return alt.layer(steps.encode(x, y, color), points.encode(x, y, color, tooltip=tooltip)).properties(height=300)


def importance(summary: Summary) -> alt.Chart:
    """Share of the differences between trials that each setting explains."""
    rows = [(words.name_of(name), share) for name, share in summary.importance.items()]
    return (
        alt.Chart(pd.DataFrame(rows, columns=["setting", "share"]))
        .mark_bar()
        .encode(
            alt.X("share:Q", title="Share of the differences", axis=alt.Axis(format=".0%", grid=False)),
            alt.Y("setting:N", title=None, sort="-x", axis=alt.Axis(labelLimit=200, labelFlush=False)),
            tooltip=[alt.Tooltip("setting:N", title="Setting"), alt.Tooltip("share:Q", title="Share", format=".0%")],
        )
        .properties(height=260)
    )
