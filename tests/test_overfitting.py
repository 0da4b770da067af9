"""When training and validation part: said when they do, and not when 30 validation photos have a bad day."""

import random

import pytest

from flowers_core.runs import overfitting

TRAIN, VALID = 120, 30


def records(train_loss, valid_loss, train_accuracy=None, valid_accuracy=None, rise=None, error=0.05) -> list[dict]:
    """Epoch records from curves; a rise is measured from the lowest validation loss before, as training does."""
    rows, lowest = [], float("inf")
    for number, (train, valid) in enumerate(zip(train_loss, valid_loss, strict=True)):
        lowest = min(lowest, valid)
        rows.append(
            {
                "kind": "epoch", "epoch": number + 1, "train_loss": train, "valid_loss": valid,
                "train_accuracy": train_accuracy[number] if train_accuracy else 0.5,
                "valid_accuracy": valid_accuracy[number] if valid_accuracy else 0.5,
                "valid_rise": valid - lowest, "valid_rise_error": error,
            }
        )  # fmt: skip
    return rows


FALLING = [1.5 * 0.9**epoch for epoch in range(20)]
U = [1.6 - 0.1 * epoch if epoch < 6 else 1.1 + 0.06 * (epoch - 5) for epoch in range(20)]


def test_a_validation_loss_that_rises_while_training_falls_is_named_with_its_epoch() -> None:
    found = overfitting.find(records(FALLING, U), TRAIN, VALID)
    assert (found.kind, found.since) == ("worse", 6)
    assert found.valid == (pytest.approx(1.1), pytest.approx(1.1 + 0.06 * 14))
    assert found.train[1] < found.train[0]


def test_a_rise_within_its_error_is_no_rise() -> None:
    assert overfitting.find(records(FALLING, U, error=0.4), TRAIN, VALID) is None


def test_it_is_not_said_before_it_has_lasted() -> None:
    assert [bool(overfitting.find(records(FALLING[:n], U[:n]), TRAIN, VALID)) for n in (6, 7, 8, 20)] == [
        False, False, False, True,
    ]  # fmt: skip


def test_both_rising_is_another_trouble() -> None:
    assert overfitting.find(records(U, U), TRAIN, VALID) is None


def test_a_standstill_with_a_gap_beyond_chance_is_named() -> None:
    train = [min(0.98, 0.3 + 0.07 * epoch) for epoch in range(20)]
    valid = [min(0.5, 0.3 + 0.05 * epoch) for epoch in range(20)]
    flat = [max(1.2, 1.6 - 0.1 * epoch) + 0.001 * epoch for epoch in range(20)]
    found = overfitting.find(records(FALLING, flat, train, valid), TRAIN, VALID)
    assert (found.kind, found.since) == ("standstill", 5)
    narrow = [accuracy + 0.2 for accuracy in valid]
    assert overfitting.find(records(FALLING, flat, narrow, valid), TRAIN, VALID) is None, "0.2 is chance with 30 photos"
    assert overfitting.find(records(FALLING, flat, narrow, valid), 12_000, 3_000) is not None, "but not with 3,000"


def test_noise_of_thirty_photos_raises_no_alarm() -> None:
    """200 healthy runs of 30 epochs, in which only chance moves the curves, asked after every epoch."""
    chance, alarms = random.Random(1), 0
    for _ in range(200):
        hard = [chance.expovariate(1) for _ in range(VALID)]  # some photos are harder than others
        best, rows = None, []
        for epoch in range(30):
            losses = [max(0.01, loss + chance.gauss(0, 0.4)) for loss in hard]
            mean = sum(losses) / VALID
            if best is None or mean < sum(best) / VALID:
                best = losses
            change = [now - before for now, before in zip(losses, best, strict=True)]
            rise = sum(change) / VALID
            spread = sum((each - rise) ** 2 for each in change) / (VALID - 1)
            right = sum(chance.random() < 0.7 for _ in range(VALID)) / VALID
            seen = sum(chance.random() < 0.7 for _ in range(TRAIN)) / TRAIN
            rows.append(
                {"kind": "epoch", "epoch": epoch + 1, "train_loss": 2 * 0.97**epoch, "train_accuracy": seen,
                 "valid_loss": mean, "valid_accuracy": right, "valid_rise": rise,
                 "valid_rise_error": (spread / VALID) ** 0.5}
            )  # fmt: skip
            if overfitting.find(rows, TRAIN, VALID):
                alarms += 1
                break
    assert alarms <= 4, f"{alarms} of 200 healthy runs were called overfitted"


def test_without_validation_photos_nothing_is_said() -> None:
    rows = [{"kind": "epoch", "epoch": n, "train_loss": 1 / n, "train_accuracy": 1.0} for n in range(1, 20)]
    assert overfitting.find(rows, TRAIN, 0) is None
