"""Probabilities that mean something, and a threshold that most photos of the known kinds pass."""

import numpy as np
import pytest

from flowers_core.evaluation.metrics import expected_calibration_error
from flowers_core.network import calibrate


def simulated(n: int, boast: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three views whose probabilities are exactly right, multiplied by `boast`, and the labels."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (n, 1, 5))
    shares = calibrate.probabilities(logits)
    labels = np.array([chance.choice(5, p=row) for row in shares])
    return np.repeat(logits, 3, axis=1) * boast, labels


@pytest.mark.parametrize("boast", [0.5, 1.0, 3.0])
def test_temperature_takes_back_over_and_under_confidence(boast: float) -> None:
    logits, labels = simulated(4000, boast)
    found = calibrate.fit(logits, labels)
    assert found.temperature == pytest.approx(boast, rel=0.1)
    fresh, fresh_labels = simulated(4000, boast, seed=1)
    assert expected_calibration_error(calibrate.probabilities(fresh, found.temperature), fresh_labels) < 0.03


def test_everything_right_does_not_make_boundless_confidence() -> None:
    logits = np.eye(5)[np.arange(200) % 5][:, None, :] * 10.0
    assert calibrate.fit(logits, np.arange(200) % 5).temperature > 0.1


def test_threshold_lets_most_of_the_known_pass_and_little_of_what_has_low_logits() -> None:
    known = np.random.default_rng(0).normal(0, 1, (1000, 2, 5))
    known[:, :, 0] += 8
    found = calibrate.fit(known, np.zeros(1000, int))
    fresh = np.random.default_rng(1).normal(0, 1, (1000, 2, 5))
    passed = (calibrate.scores(fresh + np.array([8, 0, 0, 0, 0]), found.temperature) >= found.threshold).mean()
    assert passed == pytest.approx(calibrate.ACCEPTED, abs=0.03)
    assert (calibrate.scores(fresh, found.temperature) >= found.threshold).mean() < 0.05
    assert found.rejection == {"score": "energy", "threshold": found.threshold, "accepted": calibrate.ACCEPTED}


def test_with_few_photos_nothing_is_claimed() -> None:
    logits, labels = simulated(19, 3.0)
    assert calibrate.fit(logits, labels) == calibrate.Calibration()
    logits, labels = simulated(99, 3.0)
    few = calibrate.fit(logits, labels)
    assert few.temperature > 1.5
    assert few.threshold is None
    assert few.rejection == {}
