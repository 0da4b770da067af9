"""An evaluation on the page: its figures, the confusion matrix, and the photos in a cell."""

import io
from pathlib import Path

import pandas as pd
import streamlit as st

from flowers_core.evaluation import metrics
from flowers_core.evaluation.evaluate import Answer, Report, places
from flowers_core.network import sureness
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import SPLITS
from flowers_core.ui import charts, frame, linked, taps, words
from flowers_core.ui.choices import checkpoint_id
from flowers_core.ui.pictures import THUMBNAIL, thumbnails
from flowers_core.ui.plain import harmless, plain

PHONE = 360
"""Pixels across a phone."""

SHOWN = 24
"""Photos of a cell shown at most."""

ANY, WRONG = "any kind", "any wrong kind"

CELL = ("true", "called")
"""The address's parameters that name a cell of the matrix."""

CLICKED = "cell-clicked"
"""Set by a click on a cell, until its photos are shown."""

FEW_PER_KIND = 5
"""Photos of each kind below which a kind's own figures say little: an interval then spans half of all there is."""

FOUND, RIGHT = "Found", "Right when said"


def show(report: Report, decoded: DecodedSource, set_id: str) -> None:
    """Everything a report says.

    Args:
        report: an evaluation.
        decoded: the chosen set; its photos are shown where the report is about them.
        set_id: the set's, for links to its photos.
    """
    _figures(report)
    st.subheader("What is taken for what")
    as_percent = st.segmented_control(
        "Cells show", ["photos", "percent"], default="photos", required=True, key="cells", label_visibility="collapsed"
    )
    width = charts.least_width(len(report.classes))
    st.caption(
        "A row is a kind as it really is, a column what it was called. Green is right, pink a mistake. Click a cell to "
        "see its photos." + (" On a phone, drag the matrix sideways to see all of it." if width > PHONE else "")
    )
    taps.listen()
    wide = st.grid(1, wrap=False, min_column_width=width)  # a phone scrolls sideways
    downloads, cell = st.container(), st.container(key="cell")
    with cell:
        true, called = _choose_cell(report)
    marked = None if {ANY, WRONG} & {true, called} else (report.classes.index(true), report.classes.index(called))
    dark = st.context.theme.type == "dark"
    figure = charts.confusion(report.confusion, report.classes, as_percent == "percent", dark, marked)
    wide.plotly_chart(
        figure, key="matrix", on_select=lambda: _take_click(report), selection_mode="points",
        config={"displayModeBar": True, "modeBarButtons": [["toImage"]], "displaylogo": False, "doubleClick": False,
                "toImageButtonOptions": {"filename": f"confusion-{report.split}", "scale": 2}},
        alt="Confusion matrix: rows are the true kinds, columns what they were called",
    )  # fmt: skip
    with downloads:
        _downloads(report, figure)
    with cell:
        _photos(report, decoded, set_id, true, called)
    _table(report)
    scrolling = st.container()  # always there: what stands below would be taken for something new
    if st.session_state.get("cell-visit") != (visit := st.session_state["visit"]):
        st.session_state["cell-visit"] = visit
        if CELL[1] in st.query_params:  # one comes back from a photo, or by a link to the cell
            scrolling.html(
                f"<script>document.querySelector('.st-key-cell')?.scrollIntoView() // {visit}</script>",
                unsafe_allow_javascript=True,
            )
    if st.session_state.pop(CLICKED, False):
        title = f"{plain(true)}, called {plain(called) if true != called else 'so'}"
        st.dialog(title, width="medium")(_photos)(report, decoded, set_id, true, called)


def _figures(report: Report) -> None:
    low, high = metrics.macro_f1_interval(report.confusion)
    with st.grid(4, min_column_width=170):
        _figure("Right at first guess", report.top1.value, report.top1.low, report.top1.high, "Also called accuracy.")
        if len(report.classes) > 5:  # among five of five everything is right
            five = "The right name is among the model's five most probable ones."
            _figure("Right among five", report.top5.value, report.top5.low, report.top5.high, five)
        each = "Of each kind precision and recall in one figure, and the mean over kinds: rare ones count like others."
        _figure("F1, mean of kinds", metrics.macro_f1(report.confusion), low, high, each)
        asked = f"{report.split} split" if report.split in SPLITS else "by all folds"
        st.metric("Photos", f"{report.n:,}", border=True, delta=asked, delta_color="off", delta_arrow="off")
    st.caption(
        f"The ranges are 95% intervals: with {report.n} photos, the true figure may well lie anywhere in them. "
        f"Calibration error {report.ece:.1%} ({_range(*report.ece_interval)}): how far its confidence is from how "
        "often it is right."
    )


def _figure(name: str, value: float, low: float, high: float, help: str) -> None:
    span = f"{low:.0%} to {high:.0%}"
    st.metric(name, f"{value:.1%}", delta=span, delta_color="off", delta_arrow="off", border=True, help=help)


def _take_click(report: Report) -> None:
    """A click on a cell writes the two select boxes, which are what decides: so keyboard and links work too."""
    points = st.session_state["matrix"].selection.points
    if points:
        true, called = int(points[0]["y"]), int(points[0]["x"])
        st.session_state["true"], st.session_state["called"] = report.classes[true], report.classes[called]
    st.session_state[CLICKED] = True  # without a point: the one that is marked was clicked again


def _choose_cell(report: Report) -> tuple[str, str]:
    """The kind that photos really are, and what they were called; ANY for all of them, WRONG for all mistakes."""
    st.subheader("The photos behind it")
    left, right = st.columns(2)
    # A cell belongs to one matrix: another one begins with its own worst, unless the address names a cell.
    matrix = report.checkpoint, report.fingerprint, report.split
    if matrix != st.session_state.get("cell-of"):
        for key in CELL:
            linked.forget(key)
    st.session_state["cell-of"] = matrix
    worst = metrics.most_confused(report.confusion, 1)
    first = [ANY, WRONG if worst else ANY]
    if worst and worst[0][2] > 1:  # else no mistake is worse than another
        first = [report.classes[i] for i in worst[0][:2]]
    real, names = ({name: name for name in (*some, *report.classes)} for some in ((ANY,), (ANY, WRONG)))
    true = linked.choose("Really", real, CELL[0], first=first[0], widget=left.selectbox)
    called = linked.choose("Called", names, CELL[1], first=first[1], widget=right.selectbox)
    return true, called


def _photos(report: Report, decoded: DecodedSource, set_id: str, true: str, called: str) -> None:
    def is_asked_for(answer: Answer) -> bool:
        said = report.classes[answer.predicted]
        right_row = true in (ANY, report.classes[answer.true])
        return right_row and (called in (ANY, said) or (called == WRONG and answer.true != answer.predicted))

    answered = sorted(
        filter(is_asked_for, report.answers),
        key=lambda answer: (answer.true == answer.predicted, -answer.probabilities[0]),
    )
    if not answered:
        st.info("There is no photo in this cell.")
        return
    found = zip(answered, places(answered, decoded), strict=True)
    chosen = [(answer, i) for answer, i in found if i is not None]
    if not chosen:
        st.info(
            f"{words.count(len(answered), 'photo')} in this cell, not in the set that is chosen above: choose the one "
            "that the model was asked about.",
            icon=":material/hide_image:",
        )
        return
    more = f", the first {SHOWN} shown" if len(chosen) > SHOWN else ""
    order = "; the surest first" if called == WRONG else "; mistakes first, the surest before the others"
    order *= len(chosen) > 1
    st.caption(f"{words.count(len(chosen), 'photo')}{more}{order}.")
    shown = chosen[:SHOWN]
    captions = [
        report.classes[a.true]
        + (f", called {report.classes[a.predicted]}" if a.true != a.predicted else "")
        + f" ({sureness.percent(a.probabilities[0])})"
        for a, _ in shown
    ]
    indices = [i for _, i in shown]
    asked = Path(report.checkpoint)  # of a cross-validation the run's folder
    model = checkpoint_id(asked / "best.safetensors" if asked.is_dir() else asked)
    grid = st.grid("auto", min_column_width=THUMBNAIL, vertical_alignment="bottom")
    for picture, i, caption in zip(thumbnails(decoded, indices), indices, captions, strict=True):
        photo = decoded.source.photos[i]
        with grid.cell():
            st.image(picture, width="stretch", alt=caption)
            st.caption(plain(caption))
            address = {"data": set_id, "kind": decoded.source.classes[photo.label], "photo": photo.id,
                       "model": model, "split": report.split, "true": true, "called": called}  # fmt: skip
            with st.container(horizontal=True, gap="small"):
                frame.link("photos", "Its own page", "open_in_new", **address)
                if not asked.is_dir():  # the networks of a cross-validation are gone
                    frame.link("classify", "Why?", "visibility", **address)


def _table(report: Report) -> None:
    st.subheader("Kind by kind")
    rows = []
    figures = zip(metrics.per_class(report.confusion), metrics.per_class_f1_intervals(report.confusion), strict=True)
    for name, (figure, (low, high)) in zip(report.classes, figures, strict=True):
        recall, precision = figure.recall, figure.precision
        rows.append(
            {
                "Kind": name,
                "Photos": recall.n,
                FOUND: 100 * recall.value if recall.n else None,
                f"{FOUND} range": _range(recall.low, recall.high) if recall.n else "",
                RIGHT: 100 * precision.value if precision.n else None,
                f"{RIGHT} range": _range(precision.low, precision.high) if precision.n else "",
                "F1": 100 * figure.f1 if recall.n else None,
                "F1 range": _range(low, high) if recall.n else "",
            }
        )
    columns = {"Kind": st.column_config.TextColumn(width=130, pinned=True),
               "Photos": st.column_config.NumberColumn(width=60)}  # fmt: skip
    for name, help in ((FOUND, "Of its photos, how many were called so (recall)."),
                       (RIGHT, "Of the photos called so, how many were (precision)."),
                       ("F1", "Both in one: their harmonic mean.")):  # fmt: skip
        columns[name] = st.column_config.ProgressColumn(
            format="%.0f%%", min_value=0.0, max_value=100.0, width=110, help=help
        )
        columns[f"{name} range"] = st.column_config.TextColumn("95% range", width=90)
    st.dataframe(pd.DataFrame(rows), column_config=columns, hide_index=True, height=35 * (len(rows) + 1) + 3)
    few = " With so few of each kind they say little: trust the figures of all kinds together."
    few *= report.n < FEW_PER_KIND * len(report.classes)
    st.caption(f"Each figure with its 95% interval: the fewer photos, the wider.{few}")


def _range(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f}%"


def _downloads(report: Report, figure) -> None:
    name = f"confusion-{report.split}"
    with st.container(horizontal=True):
        st.download_button(
            "Matrix as CSV", lambda: _matrix_csv(report), f"{name}.csv", "text/csv", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Answers as CSV", lambda: _answers_csv(report), f"answers-{report.split}.csv", "text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Matrix as a web page", lambda: figure.to_html(include_plotlyjs=True), f"{name}.html", "text/html",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.caption("The camera in the matrix's corner saves it as a PNG picture.")


def _matrix_csv(report: Report) -> str:
    kinds = [harmless(name) for name in report.classes]
    return pd.DataFrame(report.confusion, index=kinds, columns=kinds).to_csv(index_label="true")


def _answers_csv(report: Report) -> str:
    rows = [
        {
            "photo": harmless(a.photo),
            "true": harmless(report.classes[a.true]),
            **{f"guess {k + 1}": harmless(report.classes[i]) for k, i in enumerate(a.top)},
            **{f"probability {k + 1}": p for k, p in enumerate(a.probabilities)},
        }
        for a in report.answers
    ]
    buffer = io.StringIO()
    pd.DataFrame(rows).to_csv(buffer, index=False)
    return buffer.getvalue()
