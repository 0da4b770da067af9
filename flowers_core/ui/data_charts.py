"""Charts of a data set."""

import altair as alt
import pandas as pd

_SPLIT = alt.Color("split:N", title=None, scale=alt.Scale(domain=["train", "valid", "test"]))


def balance(table: pd.DataFrame) -> alt.Chart:
    """Photos per kind, stacked by split. Columns of `table`: kind, split."""
    counts = table.groupby(["kind", "split"], as_index=False).size()
    return (
        alt.Chart(counts)
        .mark_bar()
        .encode(
            alt.Y("kind:N", title=None, sort=None, axis=alt.Axis(labelLimit=220, labelOverlap=False)),
            alt.X("size:Q", title="Photos", axis=alt.Axis(tickMinStep=1, format="d")),
            _SPLIT.legend(orient="top"),
            tooltip=["kind", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=alt.Step(20))
    )


def shapes(table: pd.DataFrame) -> alt.Chart:
    """How many photos have which size. Columns of `table`: width, height, split."""
    sizes = table.groupby(["width", "height", "split"], as_index=False).size()
    return (
        alt.Chart(sizes)
        .mark_circle(opacity=0.6)
        .encode(
            alt.X("width:Q", title="Width (pixels)", scale=alt.Scale(zero=False)),
            alt.Y("height:Q", title="Height (pixels)", scale=alt.Scale(zero=False)),
            alt.Size("size:Q", title="Photos", legend=None),
            _SPLIT.legend(orient="top"),
            tooltip=["width", "height", "split", alt.Tooltip("size", title="photos")],
        )
        .properties(height=360)
    )
