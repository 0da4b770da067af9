"""The table of disturbances: accuracy per condition is what asking photo by photo gives, and it can fall."""

from pathlib import Path

import numpy as np
import pytest
from conftest import KINDS, draw_set

from flowers_core.errors import DataError
from flowers_core.evaluation.robustness import CONDITIONS, Condition, robustness, sweep
from flowers_core.images.disturb import AS_IT_IS, Disturbance, disturb
from flowers_core.photos.cache import decode_source
from flowers_core.sources import open_source


class LeftOrRight:
    """A model that takes a photo for a daffodil when its left half is the brighter one, else for a rose."""

    classes, path = KINDS, Path("model")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
        self.batches.append(len(squares))
        halves = squares.reshape(len(squares), 256, 2, 128, 3).astype(float).mean((1, 3, 4))
        daffodil = halves[:, 0] > halves[:, 1]
        return np.stack([0.1 + 0.7 * daffodil, 0.8 - 0.7 * daffodil, np.full(len(squares), 0.1)], 1)


def table(path: Path, **options: object) -> dict:
    result = robustness(LeftOrRight(), decode_source(open_source(path)), "valid", **options)
    return {(row.name, row.amount): row for row in result.rows}


@pytest.fixture
def two_kinds(tmp_path: Path) -> Path:
    """Photos that LeftOrRight gets right, all of them: bright at the left for daffodils, at the right for roses."""
    from PIL import Image

    draw_set(tmp_path, {"Train": 1, "Valid": 3}, KINDS[:2], 32)
    for path in tmp_path.glob("Valid/*/*.jpg"):
        photo = Image.new("RGB", (120, 90))
        photo.paste((200, 180, 90), (5, 10, 55, 80) if path.parent.name == "daffodil" else (65, 10, 115, 80))
        photo.save(path)
    return tmp_path


def test_each_condition_counts_what_it_breaks(two_kinds: Path) -> None:
    rows = table(two_kinds)
    assert len(rows) == len(CONDITIONS)
    for kept in (("As it is", ""), ("Exposure", "-2 stops"), ("JPEG", "quality 10"), ("Turned", "30°")):
        assert rows[kept].top1.value == 1, kept
        assert rows[kept].top1.n == 6
        assert rows[kept].mean_probability == pytest.approx(0.8)
    for broken in (("Mirrored", ""), ("Turned", "180°")):
        assert rows[broken].top1.value == 0, broken
        assert rows[broken].mean_probability == pytest.approx(0.1)


def test_no_more_photos_than_asked_for_and_none_is_an_error(two_kinds: Path) -> None:
    assert {row.top1.n for row in table(two_kinds, limit=4).values()} == {4}
    with pytest.raises(DataError, match="no photos in the test split"):
        robustness(LeftOrRight(), decode_source(open_source(two_kinds)), "test")


def test_photos_take_turns_in_direction_and_keep_the_distance() -> None:
    moved = [Condition("Moved", "", Disturbance(move_x=0.2)).of(i) for i in range(8)]
    assert len({(m.move_x, m.move_y) for m in moved}) == 8
    assert [np.hypot(m.move_x, m.move_y) for m in moved] == pytest.approx([0.2] * 8, abs=1e-5)
    assert [Condition("Turned", "", Disturbance(turn=15)).of(i).turn for i in range(3)] == [15, -15, 15]
    assert CONDITIONS[0].of(3) == AS_IT_IS


def test_a_sweep_answers_each_change_in_its_order_and_in_batches() -> None:
    square = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    square[:, :100] = 255
    changes = [Disturbance(mirror=i % 3 == 0, turn=i / 9) for i in range(45)]
    model = LeftOrRight()
    answers = sweep(model, square, 1.2, changes)
    assert len(model.batches) < 5
    for change, answer in zip(changes, answers, strict=True):
        alone = disturb(square[None], np.array([1.2]), [change])
        assert (answer == model.probabilities(alone, np.array([1.2]))[0]).all()
        assert answer.argmax() == int(change.mirror)
