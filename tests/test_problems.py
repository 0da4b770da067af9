"""Problems: every sort is found where it was planted and nowhere else; neighbours, map and labels by features."""

from pathlib import Path

import numpy as np
import pytest
from conftest import KINDS, draw_set
from PIL import ImageEnhance, ImageFilter, ImageOps
from test_cache import decode_folder, paint
from test_cli import answer

from flowers_core import garden
from flowers_core.images import looks
from flowers_core.photos import features, label_errors, problems
from flowers_core.photos.features import Features
from flowers_core.sources import edits


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with one of each problem."""
    root = draw_set(tmp_path_factory.mktemp("troubled"), {"Train": 3, "Valid": 1}, size=160)
    rose = garden.draw("rose", 77, 256)
    train, valid = root / "Train" / "rose", root / "Valid" / "rose"
    rose.save(train / "shot.jpg", quality=92)
    (valid / "copy.jpg").write_bytes((train / "shot.jpg").read_bytes())
    ImageEnhance.Brightness(rose.resize((200, 200))).enhance(1.15).save(valid / "brighter.jpg", quality=60)
    other = garden.draw("rose", 78, 256)
    other.filter(ImageFilter.GaussianBlur(4)).save(train / "blurred.jpg")
    ImageEnhance.Brightness(garden.draw("rose", 79, 256)).enhance(0.15).save(train / "dark.jpg")
    garden.draw("rose", 80, 48).save(train / "tiny.jpg")
    ImageOps.fit(garden.draw("rose", 81, 512), (512, 120)).save(train / "wide.jpg")
    (train / "broken.jpg").write_bytes(b"no picture")
    return root


def found(root: Path) -> dict[str, list[set[str]]]:
    decoded = decode_folder(root)
    by_sort: dict[str, list[set[str]]] = {}
    for finding in problems.find(decoded):
        by_sort.setdefault(finding.problem, []).append({decoded.source.photos[i].name for i in finding.photos})
    return by_sort


def test_each_problem_is_found_once_and_nothing_else(troubled):
    assert found(troubled) == {
        "copies": [{"Train/rose/shot.jpg", "Valid/rose/copy.jpg"}],
        "near-copies": [{"Train/rose/shot.jpg", "Valid/rose/brighter.jpg"}],
        "blurred": [{"Train/rose/blurred.jpg"}],
        "dark": [{"Train/rose/dark.jpg"}],
        "tiny": [{"Train/rose/tiny.jpg"}],
        "aspect": [{"Train/rose/wide.jpg"}],
    }


def test_copies_across_splits_are_said_to_be_and_the_training_photo_is_kept(troubled):
    decoded = decode_folder(troubled)
    (copies,) = [finding for finding in problems.find(decoded) if finding.problem == "copies"]
    assert copies.crosses
    assert copies.note == "in train and valid"
    assert decoded.source.photos[problems.to_keep(decoded, copies.photos)].name == "Train/rose/shot.jpg"


def test_what_is_said_to_be_fine_is_not_shown_again_and_what_is_excluded_is_no_problem(troubled):
    decoded = decode_folder(troubled)
    names = [photo.name for photo in decoded.source.photos]
    dark = names.index("Train/rose/dark.jpg")
    edits.add(decoded.source.key, problems.edits_for(decoded, [dark], edits.ACCEPT, "dark"))
    edits.add(decoded.source.key, problems.edits_for(decoded, [names.index("Valid/rose/copy.jpg")], edits.EXCLUDE))
    assert found(troubled).keys() == {"near-copies", "blurred", "tiny", "aspect"}
    edits.undo(decoded.source.key, [edit.id for edit in edits.load(decoded.source.key)])
    assert "dark" in found(troubled)


def test_the_drawn_garden_has_no_problems(tmp_path):
    root = draw_set(tmp_path, {"Train": 6, "Test": 2}, tuple(garden.TRAITS)[::3], size=128)
    assert found(root) == {}


def test_the_command_line_lists_problems(troubled):
    told = answer("data", troubled, "--problems")
    assert [problem["path"] for problem in told["problems"]] == ["Train/rose/broken.jpg"]
    (copies,) = [each for each in told["findings"] if each["problem"] == "copies"]
    assert copies["across_splits"]
    assert sorted(copies["photos"]) == ["Train/rose/shot.jpg", "Valid/rose/copy.jpg"]


def test_thousands_of_copies_with_contents_of_their_own_are_one_finding(tmp_path):
    for kind in ("rose", "lily"):
        paint(tmp_path / "Train" / kind / "x.png", len(kind))
    content = paint(tmp_path / "one.jpg", 5, (120, 90)).read_bytes()
    (tmp_path / "one.jpg").unlink()
    for n in range(400):
        (tmp_path / "Train/rose" / f"{n}.jpg").write_bytes(content + n.to_bytes(2))
    (finding,) = [each for each in problems.find(decode_folder(tmp_path)) if each.problem == "near-copies"]
    assert len(finding.photos) == 400


def test_a_record_says_what_is_in_the_square():
    grey = np.full((256, 256, 3), 100, np.uint8)
    record = looks.measure(grey)
    assert (record["sharpness"], record["contrast"], record["white"]) == (0, 0, 100)
    assert record["colour"].tolist() == [100, 100, 100]
    lines = grey.copy()
    lines[::2] = 200
    lines[..., 2] = 0
    assert looks.measure(lines)["sharpness"] > 50
    assert looks.measure(lines)["colour"].tolist() == [150, 150, 0]
    assert looks.measure(lines)["checksum"] != record["checksum"]


# Features


def kinds_apart(photos: int = 40, classes: int = 3, spread: float = 0.15) -> tuple[Features, np.ndarray]:
    """Vectors in as many clouds as there are classes, and their labels."""
    rng = np.random.default_rng(1)
    labels = np.arange(photos) % classes
    vectors = np.eye(features.WIDTH)[labels * 7] + spread * rng.standard_normal((photos, features.WIDTH)) / 4
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Features(vectors.astype(np.float16), np.arange(photos)), labels


def test_features_are_computed_once_kept_by_content_and_go_on_after_a_kill(three_kinds, home, monkeypatch):
    decoded = decode_folder(three_kinds)
    monkeypatch.setattr(features, "BATCH", 4)

    class Killed(Exception):
        pass

    def kill(what, done, total):
        if done >= 8:
            raise Killed

    with pytest.raises(Killed):
        features.compute(decoded, kill)
    assert features.stored(decoded) is None
    assert features.missing(decoded) == len(decoded.entries) - 8
    steps = []
    found = features.compute(decoded, lambda what, done, total: steps.append(total))
    assert steps[0] == len(decoded.entries) - 8
    assert np.allclose(np.linalg.norm(found.of(slice(None)), axis=1), 1, atol=2e-3)
    steps.clear()
    again = features.compute(decoded, lambda *step: steps.append(step))
    assert not steps
    assert (again.of(slice(None)) == found.of(slice(None))).all()
    edits.add(decoded.source.key, problems.edits_for(decoded, [0], edits.EXCLUDE))
    fewer = features.stored(decode_folder(three_kinds))
    assert (fewer.of(slice(None)) == found.of(slice(1, None))).all(), "a change computes nothing anew"
    edits.undo(decoded.source.key, [edit.id for edit in edits.load(decoded.source.key)])


def test_the_nearest_photos_of_a_drawn_flower_are_mostly_of_its_kind(three_kinds):
    decoded = decode_folder(three_kinds)
    found = features.compute(decoded)
    everyone = range(len(decoded.labels))
    right = [decoded.labels[near] == decoded.labels[i] for i in everyone for near, _ in found.nearest(i, 2)]
    assert np.mean(right) > 0.6  # a third by chance
    assert all(i != near for i in everyone for near, _ in found.nearest(i))


def test_the_map_is_stored_and_keeps_kinds_together(three_kinds, monkeypatch):
    decoded = decode_folder(three_kinds)
    found = features.compute(decoded)
    chosen, places = features.mapped(decoded, found)
    assert chosen.tolist() == list(range(24))
    assert np.isfinite(places).all()
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = decoded.labels[:, None] == decoded.labels[None]
    assert distances[same].mean() < distances[~same].mean()
    monkeypatch.setattr(features, "_flattened", None)
    assert (features.mapped(decoded, found)[1] == places).all()


@pytest.mark.parametrize("photos", [1, 2, 3, 9, 12])
def test_few_photos_have_a_map_too(photos):
    places = features._flattened(np.random.default_rng(0).random((photos, features.WIDTH)).astype(np.float32))
    assert places.shape == (photos, 2)
    assert np.isfinite(places).all()


def test_a_large_set_gives_a_sample_of_every_kind():
    labels = np.repeat(np.arange(5), [10, 2000, 3000, 50, 4940])
    sample = features.sampled_evenly(labels, 1000)
    assert len(sample) == 1000
    assert np.abs(np.bincount(labels[sample]) / 1000 - np.bincount(labels) / 10000).max() < 0.01


def test_wrong_labels_are_found_and_right_ones_left_alone():
    found, labels = kinds_apart(600)
    wrong = labels.copy()
    for i in (4, 310, 577):
        wrong[i] = (wrong[i] + 1) % 3
    decoded = Labelled(wrong)
    suspects = label_errors.find(decoded, found)
    assert {suspect.index for suspect in suspects} == {4, 310, 577}
    assert all(suspect.label == labels[suspect.index] for suspect in suspects)
    assert label_errors.find(Labelled(labels), found) == []


def test_labels_of_too_few_photos_are_not_judged():
    found, labels = kinds_apart(6)
    assert label_errors.find(Labelled(labels), found) == []


class Labelled:
    """As much of a DecodedSource as labels need."""

    def __init__(self, labels: np.ndarray):
        self.labels = labels
        self.source = type("Source", (), {"classes": KINDS})


def test_flowers102s_real_duplicates_are_found(real_photos):
    decoded = decode_folder(real_photos / "flowers30")
    groups = [
        (each.problem, {decoded.source.photos[i].name[-8:-4] for i in each.photos}) for each in problems.find(decoded)
    ]
    assert ("copies", {"8067", "8077"}) in groups
    assert ("near-copies", {"1862", "1887"}) in groups
    assert ("near-copies", {"1929", "1959"}) in groups
    assert len(groups) <= 15, "all are real; more would be false alarms"
