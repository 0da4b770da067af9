"""Cross-validation: judges a recipe by models that each answer for photos they never saw."""

import functools
import random
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load, save

from flowers_core.errors import DataError, RunError
from flowers_core.evaluation import evaluate, metrics
from flowers_core.evaluation.evaluate import Report
from flowers_core.network import calibrate, mahalanobis
from flowers_core.network.calibrate import FoldSummary
from flowers_core.photos import likeness
from flowers_core.photos.cache import DecodedSource
from flowers_core.runs import Run, Status, create
from flowers_core.settings.config import TrainConfig
from flowers_core.sources.records import first_few
from flowers_core.storage import read_json, write_bytes, write_json

if TYPE_CHECKING:
    from flowers_core.training.train import Result

SPLIT = "cross-validation"
"""The split's name in its report."""

LOOKS = "looks.safetensors"
"""In a fold's folder: what calibrates the model of all photos."""


@dataclass(frozen=True)
class Pooled:
    """What all folds say together. It judges the recipe: no single model gave these answers.

    Args:
        report: every photo's answer, by the one model that had not seen it.
        folds: accuracy of each fold's model on its own photos.
    """

    report: Report
    folds: tuple[metrics.Proportion, ...]

    @property
    def spread(self) -> tuple[float, float]:
        """The worst and the best fold."""
        return min(fold.value for fold in self.folds), max(fold.value for fold in self.folds)


def assign_folds(decoded: DecodedSource, folds: int, seed: int) -> list[int]:
    """The fold, from 0, of every training and validation photo; -1 for test photos, which take no part.

    Copies and near copies stay together, so that no model is asked about a photo that it has as good as seen; a photo
    without any is a group of its own. Each kind's groups are shuffled and dealt one by one, the next kind where the
    last one ended: all folds get as many, of each kind as equally many as can be. Unlike with general splitters, a kind
    of two groups never lies in one fold as a whole. The same photos are always dealt alike.

    Raises:
        DataError: a kind has fewer than two photos that differ, or there are fewer such photos than folds.
    """
    source, group_of = decoded.source, likeness.groups(decoded)
    name_of: dict[int | None, str] = {}  # its smallest digest: the numbers depend on the order of the cache
    for photo, entry in zip(source.photos, decoded.entries, strict=True):
        if (number := group_of.get(photo.name)) is not None:
            name_of[number] = min(entry.digest, name_of.get(number, entry.digest))
    alike: dict[int, dict[str, list[int]]] = {label: defaultdict(list) for label in range(len(source.classes))}
    label_of: dict[str, int] = {}
    for index, photo in enumerate(source.photos):
        if photo.split != "test":
            group = name_of.get(group_of.get(photo.name), decoded.entries[index].digest)
            alike[label_of.setdefault(group, photo.label)][group].append(index)
    lacking = [source.classes[label] for label, looks in alike.items() if len(looks) < 2]
    if lacking:
        hint = "Add photos of them, or train without folds."
        what = f"Cross-validation needs two different photos of each kind; there are fewer of: {first_few(lacking)}"
        raise DataError(what, source.root, hint)
    if len(label_of) < folds:
        hint = f"Choose at most {len(label_of)} folds."
        raise DataError(f"There are only {len(label_of)} different photos for {folds} folds", source.root, hint)
    fold_of, turn = [-1] * len(source.photos), 0
    for label, looks in alike.items():
        order = sorted(looks)
        random.Random(f"{seed}:{label}").shuffle(order)
        for group in order:
            for index in looks[group]:
                fold_of[index] = turn % folds
            turn += 1
    return fold_of


def subset_for_fold(decoded: DecodedSource, fold_of: list[int], held_out: int | None) -> DecodedSource:
    """The photos of all folds as training photos, those of fold `held_out` as test photos.

    None are left for validation: an epoch chosen by looking at the photos that judge it would be judged too kindly.
    """
    chosen = [index for index, fold in enumerate(fold_of) if fold >= 0]
    photos = tuple(
        replace(decoded.source.photos[i], split="test" if fold_of[i] == held_out else "train") for i in chosen
    )
    return DecodedSource(
        replace(decoded.source, photos=photos, split_origin="cross-validation"),
        tuple(decoded.entries[i] for i in chosen),
        decoded.pixels,
        decoded.records,
    )


def fold_run(run: Run, number: int) -> Run:
    """Fold number 1, 2, ... of a run: a run of its own in the run's folder."""
    return Run(run.folder / "folds" / str(number))


def cross_validate(config: TrainConfig, decoded: DecodedSource, run: Run, request: Callable[[], str]) -> "Result":
    """Trains `config.folds` models and pools their answers, then trains one on all photos, into `run`'s folder. The
    answers say how sure that one may be, and what is none of its kinds.

    Can be stopped, killed and gone on with at any point like `fit`: folds that ended are not trained again. Their
    weights are deleted as soon as their answers are saved.

    Raises:
        DataError: too few photos.
        RunError: the photos have changed since it began.
        Whatever `train.fit` raises.
    """
    from flowers_core.training.train import fit

    fold_of = assign_folds(decoded, config.folds, config.seed)
    _require_same_photos(run, decoded)
    before = _Before(config)
    folds = FoldSummary(config.folds, sum(fold >= 0 for fold in fold_of), decoded.fingerprint)
    for number in range(1, config.folds + 1):
        single = replace(config, folds=0)
        folder = fold_run(run, number).folder
        if not (folder / "config.json").exists():
            create(single, folder)
        watched = _Watched(folder, run, before, number)
        if not (folder / "answers.json").exists():
            photos = subset_for_fold(decoded, fold_of, number - 1)
            if watched.status().phase != "finished" or not watched.checkpoint_path.exists():
                result = fit(single, photos, watched, request, folds=folds)
                if result.phase == "stopped":
                    return result
            watched.write_status(replace(watched.status(), message="asking the photos of this fold"))
            _answer(watched, photos)
        watched.checkpoint_path.unlink(missing_ok=True)
        before.add(watched.status())
    accuracy = pooled(run, config.folds).report.top1.value
    folds = replace(folds, accuracy=accuracy, calibration=_calibration(run, config.folds))
    last = _Watched(run.folder, run, before, 0, accuracy)
    result = fit(config, subset_for_fold(decoded, fold_of, None), last, request, folds=folds)
    return replace(result, best_accuracy=accuracy if result.phase == "finished" else None)


def pooled(run: Run, folds: int) -> Pooled | None:
    """All answers of the folds that ended so far; None before the first."""
    reports = [report for number in range(1, folds + 1) if (report := _read(fold_run(run, number).folder))]
    if not reports:
        return None
    answers = tuple(sorted((a for report in reports for a in report.answers), key=lambda answer: answer.photo))
    whole = replace(reports[0], checkpoint=str(run.folder), answers=answers, ece=evaluate.calibration_error(answers),
                    created=reports[-1].created)  # fmt: skip
    return Pooled(whole, tuple(report.top1 for report in reports))


class _Before:
    """What the folds before added up to."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.seconds, self.epochs, self.steps = 0.0, 0, 0

    def add(self, status: Status) -> None:
        self.seconds += status.seconds_in_all
        self.epochs += status.epochs
        self.steps += status.steps


class _Watched(Run):
    """A fold (or, as fold 0, the last training on all photos) whose progress is also told as the whole run's."""

    def __init__(self, folder: Path, whole: Run, before: _Before, fold: int, accuracy: float | None = None):
        super().__init__(folder)
        self.whole, self.before, self.fold, self.accuracy = whole, before, fold, accuracy

    def write_status(self, status: Status) -> None:
        before, folds = self.before, self.before.config.folds
        left = folds - self.fold + 1 if self.fold else 0  # trainings after this one; the last sees a few photos more
        whole = replace(
            status,
            phase="training" if self.fold and status.phase == "finished" else status.phase,
            fold=self.fold,
            folds=folds,
            epoch=before.epochs + status.epoch,
            epochs=before.epochs + (1 + left) * status.epochs,
            step=before.steps + status.step,
            steps=before.steps + (1 + left) * status.steps,
            seconds=before.seconds + status.seconds,
            best_accuracy=self.accuracy,
        )
        if self.folder != self.whole.folder:
            super().write_status(status)
            self.whole.write_status(whole)
        else:
            super().write_status(whole)


def _answer(fold: Run, photos: DecodedSource) -> None:
    """Asks a fold's model about its own photos, and keeps its answers, and what it made of them: their labels (n,),
    logits (n, views, classes), and how near they lie to each kind (n, classes), where it knows."""
    from flowers_core.evaluation.predict import Classifier

    classifier, looks = Classifier(fold.checkpoint_path), defaultdict(list)
    space, filters = classifier.network.mahalanobis, classifier.network.summary_filters

    def seen(batch: list[int], logits: np.ndarray, summaries: np.ndarray) -> None:
        looks["labels"].append(photos.labels[batch])
        looks["logits"].append(logits)
        if space:
            looks["nearness"].append(space.nearness(mahalanobis.columns(summaries, filters)))

    report = evaluate.ask(classifier, photos, "test", seen=seen)
    # In the order of their axes: safetensors writes memory as it lies, and the views come transposed.
    whole = {name: np.ascontiguousarray(np.concatenate(parts)) for name, parts in looks.items()}
    write_bytes(fold.folder / LOOKS, save(whole))
    write_json(fold.folder / "answers.json", asdict(replace(report, split=SPLIT)))


def _calibration(run: Run, folds: int) -> calibrate.Calibration | None:
    """By all photos, each as the model saw it that had not learned from it; None with too few of them, or when folds
    of an earlier version left less than that."""
    try:
        looks = [load((fold_run(run, number).folder / LOOKS).read_bytes()) for number in range(1, folds + 1)]
    except FileNotFoundError:
        return None
    if any(look.keys() != looks[0].keys() for look in looks):
        return None
    whole = {name: np.concatenate([look[name] for look in looks]) for name in looks[0]}
    logits, nearness = whole["logits"], whole.get("nearness")
    if len(logits) < calibrate.LEAST_PHOTOS:
        return None
    scores = None if nearness is None else functools.partial(mahalanobis.joined, nearness, logits.mean(1))
    return calibrate.fit(logits, whole["labels"], scores)


def _read(folder: Path) -> Report | None:
    return evaluate.read_report(folder / "answers.json")


def _require_same_photos(run: Run, decoded: DecodedSource) -> None:
    known = read_json(run.folder / "folds" / "photos.json")
    if known is None:
        shutil.rmtree(run.folder / "folds", ignore_errors=True)
        write_json(run.folder / "folds" / "photos.json", {"fingerprint": decoded.fingerprint})
    elif known != {"fingerprint": decoded.fingerprint}:
        hint = "Start a new cross-validation."
        raise RunError("The photos have changed since this run began, so it can't go on", run.id, hint)
