"""Charts: learning curves that keep their zoom while they grow, and the confusion matrix that answers clicks."""

import math
from html import escape

import altair as alt
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from flowers_core.training.lr_finder import RangeTest

TRAIN, VALID = "train", "valid"

KEPT, FINISHED = "kept", "finished"
"""What is marked in a curve: the epoch whose model is kept, and what that model reaches in the end."""

ZOOM = "wheel![event.ctrlKey || event.metaKey]"
"""What zooms a chart: the wheel with Ctrl held, which is also what browsers make of a pinch. The wheel alone scrolls
the page, as everywhere."""

EPOCHS = alt.Axis(tickMinStep=1, format="d", grid=False, labelFlush=False)
"""Whole epochs, however few there are. Streamlit would move the first and the last label off their places."""

HOW_TO_ZOOM = "Ctrl and the mouse wheel zoom a chart, dragging moves it, a double click shows all of it again."


def curves(
    records: list[dict], what: str, epochs: int, onset: int | None = None, kept: int = 0, reached: float | None = None
) -> alt.LayerChart:
    """Loss or accuracy over epochs, of train and valid.

    The chart's specification is the same at every call and only its data grows: the browser then swaps the
    data and keeps the zoom.

    Args:
        records: a run's metrics.
        what: "loss" or "accuracy".
        epochs: how many there will be; the axis shows all of them from the start.
        onset: the epoch from which on training and validation part, marked by a line.
        kept: the epoch whose model is kept, marked by a ring; 0 for none.
        reached: what that model reaches on valid as it answers in the end, marked by a diamond there.
    """
    steps = [(r["epoch"], r[what]) for r in records if r["kind"] == "step" and what in r]
    ends = [
        (record["epoch"], record[f"{split}_{what}"], split)
        for record in records
        if record["kind"] == "epoch"
        for split in (TRAIN, VALID)
        if f"{split}_{what}" in record
    ]
    percent = what == "accuracy"
    splits = [TRAIN] if ends and all(split == TRAIN for *_, split in ends) else [TRAIN, VALID]
    x = alt.X("epoch:Q", title="Epoch", axis=EPOCHS, scale=alt.Scale(domain=[0, 1.03 * epochs + 0.2], nice=False))
    y = alt.Y(
        "value:Q",
        title=what.capitalize(),
        axis=alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], labelFlush=False)
        if percent
        else alt.Axis(format=".3~g", tickCount=4, labelFlush=False),
        scale=alt.Scale(domain=[0, 1.03], nice=False) if percent else alt.Scale(zero=True, padding=6),
    )
    color = alt.Color(
        "split:N",
        title=None,
        scale=alt.Scale(domain=[TRAIN, VALID]),
        legend=alt.Legend(orient="top", symbolOpacity=1, values=splits),
    )
    form = ".1%" if percent else ".3f"
    tooltip = [
        alt.Tooltip("split:N", title="Photos"),
        alt.Tooltip("epoch:Q", title="Epoch"),
        alt.Tooltip("value:Q", title=what.capitalize(), format=form),
    ]
    faint = pd.DataFrame(steps, columns=["epoch", "value"]).assign(split=TRAIN)
    strong = pd.DataFrame(ends, columns=["epoch", "value", "split"])
    zoom = alt.selection_interval(name="zoom", bind="scales", encodings=["x"], zoom=ZOOM)
    every_step = alt.Chart(faint).mark_line(opacity=0.35, strokeWidth=1).encode(x, y, color)
    every_epoch = (
        alt.Chart(strong)
        .mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=30, filled=True))
        .encode(x, y, color, tooltip=tooltip)
        .add_params(zoom)
    )
    marks = [(epoch, value, split, KEPT) for epoch, value, split in ends if (epoch, split) == (kept, splits[-1])]
    marks += [] if reached is None else [(kept, reached, VALID, FINISHED)]
    look = alt.Shape("mark:N", legend=None, scale=alt.Scale(domain=[KEPT, FINISHED], range=["circle", "diamond"]))
    marked = (
        alt.Chart(pd.DataFrame(marks, columns=["epoch", "value", "split", "mark"]))
        .mark_point(size=170, filled=False, strokeWidth=2.5, opacity=1)
        .encode(x, y, color, look, tooltip=[alt.Tooltip("mark:N", title="Model"), *tooltip[1:]])
    )
    mark = alt.Chart(pd.DataFrame({"epoch": [] if onset is None else [onset]}))
    line = mark.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color="gray").encode(alt.X("epoch:Q", title="Epoch"))
    return alt.layer(every_step, every_epoch, marked, line).properties(height=300)


def range_test(found: RangeTest, low: float, high: float) -> alt.LayerChart:
    """A learning-rate range test: the loss over the rate, smoothed and step by step, with the suggestion marked.

    Args:
        found: as far as it came.
        low, high: the rates that it will have tried at its end.
    """
    losses = pd.DataFrame({"lr": found.rates[: len(found.losses)], "loss": found.losses}).dropna()
    smoothed = pd.DataFrame({"lr": found.rates[: len(found.smoothed)], "loss": found.smoothed})
    top = max(found.smoothed, default=1.0)
    decades = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    axis = alt.Axis(format="~g", grid=False, values=decades, labelFlush=False)
    x = alt.X("lr:Q", title="Learning rate", axis=axis, scale=alt.Scale(type="log", domain=[low, high], nice=False))
    y = alt.Y("loss:Q", title="Loss", axis=alt.Axis(format=".3~g", tickCount=5, labelFlush=False),
              scale=alt.Scale(zero=False, domainMax=1.1 * top, clamp=True, padding=6))  # fmt: skip
    tooltip = [alt.Tooltip("lr:Q", title="Learning rate", format=".2g"), alt.Tooltip("loss:Q", format=".3f")]
    faint = alt.Chart(losses).mark_line(opacity=0.35, strokeWidth=1).encode(x, y)
    strong = alt.Chart(smoothed).mark_line(strokeWidth=2.5).encode(x, y, tooltip=tooltip)
    layers = [faint, strong]
    for row, (rate, what) in enumerate([(found.suggestion, "suggested"), (found.diverged, "the loss leaves")]):
        at = alt.Chart(pd.DataFrame([(rate, what)] if rate else [], columns=["lr", "what"]))
        place = alt.X("lr:Q", title="Learning rate")
        layers.append(at.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color="gray").encode(place))
        # The right one of the two has its label on its right, where no line crosses it; but not beyond the edge.
        side = 1 if row and rate and math.log(rate / low) < 0.7 * math.log(high / low) else -1
        look = {"align": "left" if side > 0 else "right", "dx": 5 * side, "dy": 4 + 16 * row}
        label = at.mark_text(baseline="top", color="gray", fontSize=12, **look)
        layers.append(label.encode(place, alt.YValue(0), alt.Text("what:N")))
    return alt.layer(*layers).properties(height=260)


def compared(curves: dict[str, list[tuple[int, float]]], what: str, percent: bool) -> alt.Chart:
    """One curve per run over epochs.

    Args:
        curves: (epoch, value) points by the run's name, at most as many as there are colours.
        what: the axis' title.
        percent: the values are shares.
    """
    rows = pd.DataFrame(
        [(name, epoch, value) for name, points in curves.items() for epoch, value in points],
        columns=["run", "epoch", "value"],
    )
    form = "%" if percent else ".3~g"  # with as many digits as the ticks need: ".0%" would say "77%, 77%, 78%"
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=25, filled=True))
        .encode(
            alt.X("epoch:Q", title="Epoch", axis=EPOCHS, scale=alt.Scale(nice=False, zero=False, padding=8)),
            alt.Y("value:Q", title=what, axis=alt.Axis(format=form, tickCount=5, labelFlush=False),
                  scale=alt.Scale(zero=False, padding=8)),
            alt.Color("run:N", title=None, scale=alt.Scale(domain=list(curves)),
                      legend=alt.Legend(orient="bottom", direction="vertical", symbolOpacity=1,
                                        labelLimit=alt.ExprRef("max(100, width - 20)"))),
            tooltip=[alt.Tooltip("run:N", title="Training"), alt.Tooltip("epoch:Q", title="Epoch"),
                     alt.Tooltip("value:Q", title=what, format=".1%" if percent else ".3f")],
        )
        .properties(height=380)
        .add_params(alt.selection_interval(name="zoom", bind="scales", encodings=["x"], zoom=ZOOM))
    )  # fmt: skip


def learning_rate(records: list[dict], epochs: int) -> alt.Chart:
    """The learning rate over epochs."""
    rows = pd.DataFrame([(r["epoch"], r["lr"]) for r in records if r["kind"] == "step"], columns=["epoch", "value"])
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=2)
        .encode(
            alt.X("epoch:Q", title="Epoch", axis=EPOCHS, scale=alt.Scale(domain=[0, epochs], nice=False)),
            alt.Y("value:Q", title="Learning rate", axis=alt.Axis(format=".2~g", tickCount=4, labelFlush=False)),
        )
        .properties(height=220)
    )


LIGHT = ("#f5f0e8", ("#c5dcc6", "#2f6b3f"), ("#f3cfe0", "#8f1d50"))
DARK = ("#1f2426", ("#274a33", "#8fd6a1"), ("#5a2a44", "#f7a8cb"))
"""Colours of a confusion matrix: nothing; from few to most that is right; from few to most mistakes."""


LABEL = 28
"""Characters of a kind's name along a confusion matrix at most: longer ones would leave it no room."""


def least_width(classes: int) -> int:
    """Pixels across below which a confusion matrix can no longer be read."""
    return 180 + 16 * classes


def confusion(
    matrix: np.ndarray,
    classes: tuple[str, ...],
    as_percent: bool,
    dark: bool,
    marked: tuple[int, int] | None = None,
) -> go.Figure:
    """The confusion matrix, rows true, columns predicted: a heat map of what is right, and one of the mistakes.

    A heat map reports no clicks to Streamlit, so invisible squares lie over its cells: a selected point's y is
    the true kind, its x the predicted one.

    Args:
        matrix: counts.
        classes: names in the matrix's order.
        as_percent: rows in percent of their photos instead of counts.
        dark: colours for a dark background.
        marked: row and column of a cell with a frame around it.
    """
    n = len(classes)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    values = shares * 100 if as_percent else matrix
    rows, columns = np.divmod(np.arange(n * n), n)
    right = np.eye(n, dtype=bool)
    text = np.array([[f"{v:.0f}" if v and n <= 40 else "" for v in row] for row in values])
    empty, green, pink = DARK if dark else LIGHT
    look = {
        "x": list(range(n)), "y": list(range(n)), "texttemplate": "%{text}", "xgap": 1, "ygap": 1,
        "hoverinfo": "skip", "showscale": False, "zmin": 0,
    }  # fmt: skip
    names = [escape(name, quote=False) for name in classes]  # Plotly makes links of what looks like one
    short = [escape(name if len(name) <= LABEL else f"{name[: LABEL - 1]}…", quote=False) for name in classes]
    hover = [
        f"<b>{names[t]}</b><br>taken for <b>{names[p]}</b><br>{matrix[t, p]} of {totals[t, 0]} photos"
        f" ({shares[t, p]:.0%})"
        for t, p in zip(rows, columns, strict=True)
    ]
    cell = max(16, min(30, 620 // n))  # all of 30 kinds on a laptop's screen
    figure = go.Figure(
        [
            *(
                go.Heatmap(
                    z=np.where(shown, values, np.nan), text=np.where(shown, text, ""),
                    zmax=max(1, values[shown].max(initial=0)),
                    colorscale=[(0, empty), (0.01, colors[0]), (1, colors[1])],
                    textfont={"size": max(8, min(14, cell // 2))}, **look,
                )
                for shown, colors in ((right, green), (~right, pink))
            ),
            go.Scatter(
                x=columns, y=rows, mode="markers", hovertext=hover, hovertemplate="%{hovertext}<extra></extra>",
                marker={"symbol": "square", "size": cell, "opacity": 0},
            ),
        ]
    )  # fmt: skip
    ticks = {"tickmode": "array", "tickvals": list(range(n)), "ticktext": short, "tickfont": {"size": 11},
             "showgrid": False, "zeroline": False, "fixedrange": True}  # fmt: skip
    figure.update_xaxes(**ticks, range=[-0.5, n - 0.5], side="top", tickangle=-90, title="Called")
    figure.update_yaxes(**ticks, range=[n - 0.5, -0.5], title="Really")
    figure.update_layout(
        height=190 + n * cell, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode=False, hovermode="closest"
    )
    if marked:
        y, x = marked
        figure.add_shape(
            type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5,
            line={"width": 3, "color": "white" if dark else "black"},
        )  # fmt: skip
    return figure
