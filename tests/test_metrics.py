"""Figures against hand-made cases and against scikit-learn's definitions written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from flowers_core.evaluation import metrics

MATRIX = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])


def test_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=60))
def test_confusion_matrix_counts_every_photo_once(pairs: list[tuple[int, int]]) -> None:
    true, predicted = (np.array([pair[i] for pair in pairs], dtype=int) for i in (0, 1))
    matrix = metrics.confusion_matrix(true, predicted, 5)
    assert matrix.sum() == len(pairs)
    assert matrix.trace() == (true == predicted).sum()


def test_per_class_figures() -> None:
    first, second, third = metrics.per_class(MATRIX)
    assert (first.recall.value, first.precision.value) == (0.8, pytest.approx(8 / 9))
    assert first.f1 == pytest.approx(2 * 0.8 * (8 / 9) / (0.8 + 8 / 9))
    assert (second.recall.value, second.precision.value) == (0.75, 0.6)
    assert (third.recall.n, third.precision.n, third.f1) == (0, 0, 0.0)


def test_macro_f1_leaves_out_kinds_without_photos() -> None:
    first, second, _ = metrics.per_class(MATRIX)
    assert metrics.macro_f1(MATRIX) == pytest.approx((first.f1 + second.f1) / 2)
    assert metrics.macro_f1(np.zeros((3, 3), int)) == 0.0


def test_macro_f1_interval_holds_the_figure_and_narrows_with_photos() -> None:
    few, many = metrics.macro_f1_interval(MATRIX), metrics.macro_f1_interval(MATRIX * 100)
    assert few[0] <= metrics.macro_f1(MATRIX) <= few[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 4
    low, high = metrics.macro_f1_interval(np.array([[1, 0], [1, 0]]))
    assert high - low > 0.3, "one photo a kind says little"
    assert metrics.macro_f1_interval(np.zeros((2, 2), int)) == (0.0, 1.0)


def test_f1_intervals_of_each_kind_hold_its_figure() -> None:
    for (low, high), figure in zip(metrics.per_class_f1_intervals(MATRIX), metrics.per_class(MATRIX), strict=True):
        assert low <= figure.f1 <= high
    assert metrics.per_class_f1_intervals(np.zeros((2, 2), int)) == [(0.0, 1.0)] * 2


def test_a_kind_that_was_never_right_is_not_said_to_be_hopeless_for_sure() -> None:
    """One photo of the first kind, called the second; as many photos of the second, all right."""
    confusion = np.array([[0, 1], [0, 9]])
    (low, high), _ = metrics.per_class_f1_intervals(confusion)
    recall = metrics.per_class(confusion)[0].recall
    assert (low, high) == (0.0, pytest.approx(2 * recall.high / (1 + recall.high)))
    assert high > 0.85
    assert metrics.macro_f1_interval(np.array([[0, 3], [3, 0]]))[1] > 0.3


def test_f1_intervals_hold_the_truth() -> None:
    """100 made-up evaluations of three kinds, 12 photos each, at a true F1 that is known."""
    rates = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9]])
    truth = 2 * rates.diagonal() / (rates.sum(0) + rates.sum(1))
    chance, held, held_mean = np.random.default_rng(1), 0, 0
    for _ in range(100):
        confusion = np.stack([chance.multinomial(12, row) for row in rates])
        held += sum(low <= f <= high for (low, high), f in zip(
            metrics.per_class_f1_intervals(confusion), truth, strict=True))  # fmt: skip
        low, high = metrics.macro_f1_interval(confusion)
        held_mean += low <= truth.mean() <= high
    assert held >= 0.92 * 300
    assert held_mean >= 88


def test_wilson_interval_of_a_textbook_case() -> None:
    found = metrics.proportion(8, 10)
    assert (found.value, found.n) == (0.8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_share_and_stay_within_0_and_1(case: tuple[int, int]) -> None:
    found = metrics.proportion(*case)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    theirs = binomtest(*case).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(theirs.low, abs=1e-6), pytest.approx(theirs.high, abs=1e-6))


def test_nothing_seen_means_nothing_known() -> None:
    assert (metrics.proportion(0, 0).low, metrics.proportion(0, 0).high) == (0.0, 1.0)
    assert str(metrics.proportion(0, 0)) == "-"


def test_calibration_error_is_zero_for_honest_confidence_and_large_for_boasting() -> None:
    honest = np.tile([0.75, 0.25], (4, 1))
    boasting = np.tile([1.0, 0.0], (4, 1))
    true = np.array([0, 0, 0, 1])
    assert metrics.expected_calibration_error(honest, true) == pytest.approx(0.0)
    assert metrics.expected_calibration_error(boasting, true) == pytest.approx(0.25)
    assert metrics.expected_calibration_error(np.zeros((0, 2)), np.zeros(0, int)) == 0.0


def test_calibration_interval_holds_the_figure_and_the_truth() -> None:
    """200 made-up models that are right a tenth less often than they say, on 400 photos each."""
    chance, held = np.random.default_rng(1), 0
    for _ in range(200):
        confidence = chance.uniform(0.3, 1.0, 400)
        right = chance.random(400) < confidence - 0.1
        low, high = metrics.calibration_error_interval(confidence, right, draws=200)
        assert low <= metrics.calibration_error(confidence, right) <= high
        held += low <= 0.1 <= high
    assert held >= 165, f"{held} of 200 intervals held the truth"
    few = metrics.calibration_error_interval(np.full(10, 0.9), np.arange(10) < 6)
    assert few[1] - few[0] > 0.2
    assert metrics.calibration_error_interval(np.zeros(0), np.zeros(0, bool)) == (0.0, 1.0)


def test_most_confused_lists_mistakes_only_most_first() -> None:
    assert metrics.most_confused(MATRIX) == [(0, 1, 2), (1, 0, 1)]
