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
    logits, labels = simulated(20, 3.0)
    few = calibrate.fit(logits, labels)
    assert few.temperature > 1.5
    assert few.threshold == calibrate.scores(logits, few.temperature).min()


@pytest.mark.parametrize("n", [20, 30, 38, 39, 100])
def test_however_few_photos_set_the_threshold_it_turns_away_one_in_twenty_of_others(n: int) -> None:
    chance = np.random.default_rng(n)
    logits, labels = chance.gumbel(size=(400, n, 1, 5)), np.zeros(n, int)
    others = calibrate.scores(chance.gumbel(size=(20_000, 1, 5)))
    passed = [
        (
            others >= calibrate.fit(each, labels, lambda _, each=each: calibrate.scores(each)).mahalanobis_threshold
        ).mean()
        for each in logits
    ]
    error = np.std(passed) / len(passed) ** 0.5
    assert 0.95 - 3 * error < np.mean(passed) < 0.95 + 1 / (n + 1) + 3 * error
