"""Charts that a class can read: ticks where something is, labels beside what they name."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from flowers_core.photos.cache import decode_source
from flowers_core.sources import SPLITS, open_source
from flowers_core.training.lr_finder import RangeTest
from flowers_core.ui import charts
from flowers_core.ui.classify import try_it
from flowers_core.ui.photos import data_charts


def texts(found: RangeTest, low: float, high: float) -> dict[str, str]:
    """Which side of its line each label of a range test stands on."""
    chart = charts.range_test(found, low, high).to_dict()
    words = {
        layer["data"]["name"]: layer["mark"]["align"] for layer in chart["layer"] if layer["mark"]["type"] == "text"
    }
    return {chart["datasets"][name][0]["what"]: side for name, side in words.items() if chart["datasets"][name]}


def test_a_range_test_is_marked_at_powers_of_ten() -> None:
    found = RangeTest((1e-6, 1e-3, 1.0), (1.0, 0.5, 3.0), (1.0, 0.5, 3.0), 1e-4, 0.01, "")
    axis = charts.range_test(found, 5e-7, 2.0).to_dict()["layer"][0]["encoding"]["x"]["axis"]
    assert axis["values"] == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1])
    assert axis["format"] == "~g", "0.001, as the field beside it has it"


def test_no_line_crosses_a_label_of_a_range_test_and_no_edge_cuts_it() -> None:
    for diverged, side in ((0.001, "left"), (0.5, "right")):
        found = RangeTest((1e-6, 1e-3, 1.0), (1.0, 0.5, 3.0), (1.0, 0.5, 3.0), 1e-4, diverged, "")
        assert texts(found, 1e-6, 1.0) == {"suggested": "right", "the loss leaves": side}


def test_photos_are_counted_in_whole_ones(three_kinds: Path) -> None:
    decoded = decode_source(open_source(three_kinds))
    axis = data_charts.balance(decoded, [0, 1, 2]).to_dict()["encoding"]["x"]["axis"]
    assert (axis["tickMinStep"], axis["format"]) == (1, "d")


def test_legends_name_what_there_is() -> None:
    found = SimpleNamespace(splits=np.array([2, 0, 2], np.int8), sizes=np.ones((3, 2), np.int32))
    assert data_charts.shapes(found).to_dict()["encoding"]["color"]["legend"]["values"] == ["train", "test"]
    learning = {"kind": "epoch", "epoch": 1, "train_loss": 2.0}
    for records, named in (
        ([], ["train", "valid"]), ([learning], ["train"]), ([learning | {"valid_loss": 3.0}], ["train", "valid"])
    ):  # fmt: skip
        layer = charts.curves(records, "loss", 5).to_dict()["layer"][0]
        assert layer["encoding"]["color"]["legend"]["values"] == named


@pytest.mark.parametrize(("kept", "value"), [(0, None), (2, 0.7), (9, None)])
def test_the_epoch_that_is_kept_has_a_ring(kept: int, value: float | None) -> None:
    records = [{"kind": "epoch", "epoch": n, "train_accuracy": 0.9, "valid_accuracy": n / 10 + 0.5} for n in (1, 2, 3)]
    chart = charts.curves(records, "accuracy", 5, kept=kept, reached=value and 0.75).to_dict()
    (layer,) = [layer for layer in chart["layer"] if "shape" in layer["encoding"]]
    marked = {row["mark"]: (row["epoch"], row["value"]) for row in chart["datasets"][layer["data"]["name"]]}
    assert marked == ({} if value is None else {"kept": (kept, value), "finished": (kept, 0.75)})


def test_pixels_of_photos_of_one_size_are_marked_as_whole_ones(three_kinds: Path) -> None:
    encoding = data_charts.shapes(decode_source(open_source(three_kinds))).to_dict()["encoding"]
    for side in ("x", "y"):
        assert (encoding[side]["axis"]["tickMinStep"], encoding[side]["axis"]["format"]) == (1, ",d")


@pytest.mark.parametrize(("photos", "most", "step"), [(300, 40, 1), (20_000, 900, 64)])
def test_every_size_is_counted_in_its_split_and_rounded_where_there_are_very_many(photos, most, step) -> None:
    chance = np.random.default_rng(3)
    sizes, splits = chance.integers(1, most, (photos, 2), np.int32), chance.integers(0, 3, photos, np.int8)
    (rows,) = data_charts.shapes(SimpleNamespace(sizes=sizes, splits=splits)).to_dict()["datasets"].values()
    counted = {(row["width"], row["height"], row["split"]): row["size"] for row in rows}
    rounded = (sizes // step * step).tolist()
    assert counted == Counter((w, h, SPLITS[n]) for (w, h), n in zip(rounded, splits.tolist(), strict=True))


@pytest.mark.parametrize("dial", try_it.DIALS, ids=lambda dial: dial.field)
def test_a_sliders_axis_has_its_unit_and_marks_within_its_reach(dial: try_it.Dial) -> None:
    rows = pd.DataFrame({"value": [0.0], "probability": [1.0], "said": [""], "first": [""], "holds": [True]})
    axis = try_it._chart(rows, dial).to_dict()["layer"][0]["encoding"]["x"]["axis"]
    assert all(dial.low <= mark <= dial.high for mark in axis["values"])
    assert dial.neutral in axis["values"]
    unit = {"move_x": "%", "move_y": "%", "turn": "°", "scale": "%", "exposure": " stops", "blur": " px"}[dial.field]
    assert axis["labelExpr"] == f"datum.label + '{unit}'"
