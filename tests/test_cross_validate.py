"""Cross-validation: every photo asked once by a model that had not seen it, the test set never, and exact resume."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_set
from PIL import Image
from safetensors.numpy import load_file, save_file

from flowers_core import runs
from flowers_core.errors import DataError, RunError
from flowers_core.evaluation.predict import Classifier
from flowers_core.network import alexnet, calibrate, checkpoint, mahalanobis, reader
from flowers_core.photos import likeness
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.runs import Run, Status
from flowers_core.settings import config
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import open_source
from flowers_core.training import cross_validate, status_reporter
from flowers_core.training.cross_validate import assign_folds, fold_run, pooled, subset_for_fold

FOLDS = 2
SETTINGS = replace(
    config.preset("quick"), epochs=1, batch_size=8, views="centre", precision="float32", features_lr=0.3, folds=FOLDS
)


@pytest.fixture
def decoded(three_kinds: Path) -> DecodedSource:
    return decode_source(open_source(three_kinds))


def test_every_kind_is_dealt_evenly_and_test_photos_take_no_part(decoded) -> None:
    photos = decoded.source.photos
    for folds in (2, 3, 5):
        fold_of = assign_folds(decoded, folds, seed=1)
        assert [fold == -1 for fold in fold_of] == [photo.split == "test" for photo in photos]
        sizes = Counter(fold for fold in fold_of if fold >= 0)
        assert sorted(sizes) == list(range(folds))
        assert max(sizes.values()) - min(sizes.values()) <= 1
        per_kind = Counter((photo.label, fold) for photo, fold in zip(photos, fold_of, strict=True) if fold >= 0)
        for label in range(3):
            counts = [per_kind[label, fold] for fold in range(folds)]
            assert max(counts) - min(counts) <= 1, "stratified"


def test_the_deal_follows_the_seed(decoded) -> None:
    assert assign_folds(decoded, 3, seed=1) == assign_folds(decoded, 3, seed=1)
    assert assign_folds(decoded, 3, seed=1) != assign_folds(decoded, 3, seed=2)


def test_copies_of_a_photo_stay_in_one_fold(tmp_path: Path) -> None:
    twins = with_copies(tmp_path)
    for seed in range(5):
        fold_of = dict(zip((photo.name for photo in twins.source.photos), assign_folds(twins, 3, seed), strict=True))
        assert fold_of["Train/rose/1.jpg"] == fold_of["Valid/rose/copy.jpg"]
        assert fold_of["Train/rose/2.jpg"] == fold_of["Valid/rose/near.jpg"]


def test_the_deal_does_not_depend_on_how_the_cache_numbers_copies(tmp_path: Path, monkeypatch) -> None:
    twins = with_copies(tmp_path)
    dealt, numbers = assign_folds(twins, 3, seed=1), likeness.groups(twins)
    assert len(set(numbers.values())) == 2
    monkeypatch.setattr(likeness, "groups", lambda decoded: {name: 7 - number for name, number in numbers.items()})
    assert assign_folds(twins, 3, seed=1) == dealt


def with_copies(folder: Path) -> DecodedSource:
    """A set in which one photo has a copy, and one a near copy."""
    folder = draw_set(folder / "set", {"Train": 4, "Valid": 1}, size=96)
    (folder / "Valid" / "rose" / "copy.jpg").write_bytes((folder / "Train" / "rose" / "1.jpg").read_bytes())
    Image.open(folder / "Train" / "rose" / "2.jpg").save(folder / "Valid" / "rose" / "near.jpg", quality=50)
    return decode_source(open_source(folder))


def test_too_few_photos_are_refused_by_name(tmp_path: Path, decoded) -> None:
    folder = draw_set(tmp_path / "set", {"Train": 2}, size=24)
    (folder / "Train" / "rose" / "2.jpg").unlink()
    with pytest.raises(DataError, match="two different photos of each kind; there are fewer of: rose"):
        assign_folds(decode_source(open_source(folder)), 2, seed=1)
    with pytest.raises(DataError, match="only 18 different photos for 20 folds"):
        assign_folds(decoded, 20, seed=1)


def test_a_fold_learns_from_the_others_only(decoded) -> None:
    fold_of = assign_folds(decoded, 3, seed=1)
    view = subset_for_fold(decoded, fold_of, 1)
    assert view.source.counts() == {"train": 12, "valid": 0, "test": 6}
    names = {photo.name: photo.split for photo in view.source.photos}
    for photo, fold in zip(decoded.source.photos, fold_of, strict=True):
        assert names.get(photo.name) == {-1: None, 1: "test"}.get(fold, "train")
    for photo, entry in zip(view.source.photos, view.entries, strict=True):
        index = [each.name for each in decoded.source.photos].index(photo.name)
        assert entry == decoded.entries[index], "pixels stay with their photo"
    assert subset_for_fold(decoded, fold_of, None).source.counts() == {"train": 18, "valid": 0, "test": 0}


def test_settings_that_need_validation_photos_are_refused() -> None:
    assert [TrainConfig(folds=5).problems(), len(TrainConfig(folds=1).problems())] == [[], 1]
    problems = TrainConfig(folds=5, schedule="plateau", patience=3).problems()
    assert [problem.split()[0] for problem in problems] == ["folds", "folds"]


def wishes(steps: int) -> Iterator[str]:
    yield from [""] * steps
    while True:
        yield "stop"


def test_a_stopped_and_resumed_cross_validation_ends_like_a_whole_one(
    decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on the way: every photo is answered once, weights of folds are not kept, the status counts all trainings."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    said: list[Status] = []
    write = Run.write_status
    monkeypatch.setattr(status_reporter, "EVERY_S", 0.0)

    whole = runs.create(SETTINGS, tmp_path / "whole")
    monkeypatch.setattr(
        Run, "write_status",
        lambda run, status: (said.append(status) if run.folder == whole.folder else None, write(run, status)),
    )  # fmt: skip
    result = cross_validate.cross_validate(SETTINGS, decoded, whole, lambda: "")
    found = pooled(whole, FOLDS)
    asked = [photo.name for photo in decoded.source.photos if photo.split != "test"]
    assert [answer.photo for answer in found.report.answers] == sorted(asked)
    assert found.report.confusion.sum() == 18
    assert sum(fold.n for fold in found.folds) == 18
    assert found.report.top1.value == result.best_accuracy == whole.status().best_accuracy
    assert found.report.top1.low < found.report.top1.value < found.report.top1.high or found.report.top1.value in (0, 1)
    assert whole.state() == "finished"
    assert not list(whole.folder.glob("folds/*/best.safetensors")), "114 MB a fold would fill a disk"
    card = checkpoint.read_card(whole.checkpoint_path)
    assert (card.data["counts"], card.config["folds"]) == ({"train": 18, "valid": 0, "test": 0}, FOLDS)
    assert card.data["fingerprint"] == decoded.fingerprint, "by which pages know the set that it learned from"
    steps = [status.step for status in said]
    assert steps == sorted(steps), "progress never goes back"
    assert {(status.fold, status.folds) for status in said} == {(1, 2), (2, 2), (0, 2)}
    assert {status.steps for status in said[:-1]} <= {6, 7}
    assert (said[-1].step, said[-1].steps, said[-1].epoch) == (7, 7, 3)
    assert [status.phase for status in said].index("finished") == len(said) - 1, "a fold's end is not the run's"

    parts = runs.create(SETTINGS, tmp_path / "parts")
    request = wishes(3)  # in the middle of the second fold
    stopped = cross_validate.cross_validate(SETTINGS, decoded, parts, lambda: next(request))
    assert (stopped.phase, parts.state(), parts.status().fold) == ("stopped", "stopped", 2)
    again = cross_validate.cross_validate(SETTINGS, decoded, parts, lambda: "")
    assert again.phase == "finished"
    other = pooled(parts, FOLDS).report
    assert [(a.photo, a.top, a.probabilities) for a in other.answers] == [
        (a.photo, a.top, a.probabilities) for a in found.report.answers
    ]
    (ours, _), (theirs, _) = checkpoint.load(parts.checkpoint_path), checkpoint.load(whole.checkpoint_path)
    mine = ours.state_dict()
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.state_dict().items())


def test_the_model_of_all_photos_is_as_sure_as_the_folds_were_right(
    decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And knows what is none of its kinds, which needs photos that a model has not learned from."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(calibrate, "LEAST_PHOTOS", 18)
    settings = replace(SETTINGS, views="scales")  # several looks at each photo
    run = runs.create(settings, tmp_path / "run")
    cross_validate.cross_validate(settings, decoded, run, lambda: "")
    report, card = pooled(run, FOLDS).report, checkpoint.read_card(run.checkpoint_path)
    assert (card.results["folds"], card.results["valid_n"], card.results["valid_accuracy"]) == (
        2,
        18,
        report.top1.value,
    )

    asked = {}
    for number in range(1, FOLDS + 1):
        looks = load_file(fold_run(run, number).folder / cross_validate.LOOKS)
        assert looks["logits"].shape == (9, 6, 3)
        assert looks["nearness"].shape == (9, 3)
        for name, each in looks.items():
            asked[name] = np.concatenate([asked.get(name, each[:0]), each])
    said = calibrate.probabilities(asked["logits"], reader.TEMPERATURE)
    answers = sorted(report.answers, key=lambda answer: (answer.true, answer.probabilities))
    assert sorted((label, *sorted(row, reverse=True)) for label, row in zip(asked["labels"], said, strict=True)) == [
        pytest.approx((answer.true, *answer.probabilities), abs=1e-5) for answer in answers
    ], "the looks are those that were judged"
    found = calibrate.fit(asked["logits"], asked["labels"])
    assert card.temperature == pytest.approx(found.temperature) != reader.TEMPERATURE
    scores = mahalanobis.joined(asked["nearness"], asked["logits"].mean(1), card.rejection["logit_weight"])
    assert (scores >= card.rejection["threshold"]).sum() == 18, "the lowest of so few scores is the threshold"
    noise = Image.effect_noise((96, 96), 120).convert("RGB")
    assert not Classifier(run.checkpoint_path).classify(noise).known


@pytest.mark.parametrize("left", [(), ("labels", "logits")], ids=["nothing", "no distances"])
def test_folds_of_an_earlier_version_leave_the_usual_temperature(
    left: tuple[str, ...], decoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a training that was stopped on the way says nothing of how good it is."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(calibrate, "LEAST_PHOTOS", 18)
    run = runs.create(SETTINGS, tmp_path / "run")
    request = wishes(6)  # in the last training
    assert cross_validate.cross_validate(SETTINGS, decoded, run, lambda: next(request)).phase == "stopped"
    assert "valid_accuracy" not in checkpoint.read_card(run.checkpoint_path).results
    looks = fold_run(run, 2).folder / cross_validate.LOOKS
    kept = {name: each for name, each in load_file(looks).items() if name in left}
    save_file(kept, looks) if kept else looks.unlink()
    assert cross_validate.cross_validate(SETTINGS, decoded, run, lambda: "").phase == "finished"
    card = checkpoint.read_card(run.checkpoint_path)
    assert (card.temperature, card.rejection) == (reader.TEMPERATURE, {})
    assert card.results["valid_accuracy"] == pooled(run, FOLDS).report.top1.value


def test_it_does_not_go_on_with_other_photos(decoded, tmp_path: Path) -> None:
    run = runs.create(SETTINGS, tmp_path / "run")
    runs.write_json(run.folder / "folds" / "photos.json", {"fingerprint": "of others"})
    with pytest.raises(RunError, match="photos have changed"):
        cross_validate.cross_validate(SETTINGS, decoded, run, lambda: "")
    assert not fold_run(run, 1).folder.exists()
