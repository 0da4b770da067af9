"""A checkpoint on the photos of a split: every answer, and what they add up to, saved as a report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowers_core.errors import DataError, FlowersError
from flowers_core.evaluation import metrics
from flowers_core.network import calibrate
from flowers_core.network.checkpoint import file_key
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.sources import Source
from flowers_core.sources.records import class_key, first_few
from flowers_core.storage import data_dir, keep_newest, read_json, runs_dir, write_json

if TYPE_CHECKING:
    from flowers_core.evaluation.predict import Classifier

BATCH = 64
TOP = 5
KEPT = 200
"""Reports that are kept in one folder; the oldest go."""


@dataclass(frozen=True)
class Answer:
    """What the network said of one photo.

    Args:
        photo, path: its name and file at that time.
        true: its class.
        top: the five likeliest classes, likeliest first.
        probabilities: theirs.
        digest: of the file's bytes; "" in reports of earlier versions.
    """

    photo: str
    path: str
    true: int
    top: tuple[int, ...]
    probabilities: tuple[float, ...]
    digest: str = ""

    @property
    def predicted(self) -> int:
        return self.top[0]


@dataclass(frozen=True)
class Report:
    """How a checkpoint did on one split.

    Args:
        checkpoint: its path.
        data: the source's name.
        split: "train", "valid", "test" or "all".
        classes: the checkpoint's.
        answers: one per photo.
        fingerprint: of the data; another one means other photos.
        ece: expected calibration error, 0 to 1.
        created: seconds since 1970.
    """

    checkpoint: str
    data: str
    split: str
    classes: tuple[str, ...]
    answers: tuple[Answer, ...]
    fingerprint: str
    ece: float
    created: float

    @property
    def n(self) -> int:
        """Photos scored."""
        return len(self.answers)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts: rows true, columns predicted."""
        true, predicted = [a.true for a in self.answers], [a.predicted for a in self.answers]
        return metrics.confusion_matrix(np.array(true), np.array(predicted), len(self.classes))

    @cached_property
    def top1(self) -> metrics.Proportion:
        return metrics.proportion(sum(a.predicted == a.true for a in self.answers), self.n)

    @cached_property
    def top5(self) -> metrics.Proportion:
        return metrics.proportion(sum(a.true in a.top for a in self.answers), self.n)

    @cached_property
    def ece_interval(self) -> tuple[float, float]:
        """95 % interval of the calibration error."""
        return metrics.calibration_error_interval(*_confidences(self.answers))

    def to_dict(self) -> dict:
        """As `evaluate --json` prints it."""
        return {
            "n": self.n,
            "top1": self.top1.value,
            "top5": self.top5.value,
            "top1_interval": [self.top1.low, self.top1.high],
            "top5_interval": [self.top5.low, self.top5.high],
            "macro_f1": metrics.macro_f1(self.confusion),
            "macro_f1_interval": list(metrics.macro_f1_interval(self.confusion)),
            "ece": self.ece,
            "ece_interval": list(self.ece_interval),
            "confusion": self.confusion.tolist(),
            "classes": list(self.classes),
            "checkpoint": self.checkpoint,
            "data": self.data,
            "split": self.split,
        }


def evaluate(
    checkpoint: Path,
    source: Source,
    split: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Scores a checkpoint on the photos of a split. Class folders are matched to its classes by name.

    Args:
        checkpoint: the model.
        source: the photos; those of some of the classes are enough.
        split: one of SPLITS, or "all" for every photo whatever its split.
        progress: told what is going on.

    Raises:
        CheckpointError: the checkpoint can't be used.
        DataError: the split is empty, or a kind is not one that the checkpoint knows.
    """
    from flowers_core.evaluation.predict import Classifier

    classifier = Classifier(checkpoint)
    match_classes(source, classifier.classes)  # first: decoding may take minutes
    return ask(classifier, decode_source(source, progress), split, progress)


def photos_of(source: Source, split: str) -> list[int]:
    """Indices of a split's photos, or of all of them.

    Raises:
        DataError: there are none.
    """
    chosen = [i for i, photo in enumerate(source.photos) if split in ("all", photo.split)]
    if not chosen:
        have = ", ".join(f"{count} in {name}" for name, count in source.counts().items())
        raise DataError(f"There are no photos in the {split} split ({have})", source.root, "Choose another split.")
    return chosen


def ask(
    classifier: "Classifier",
    decoded: DecodedSource,
    split: str,
    progress: Callable[[str, int, int], None] | None = None,
    seen: Callable[[list[int], np.ndarray, np.ndarray], None] | None = None,
) -> Report:
    """Scores a model that is loaded already, on photos that are decoded already.

    Args:
        seen: told, of one batch after another, the photos' indices and what `Classifier.see` returns of them.

    Raises:
        DataError: as for `evaluate`.
    """
    label_of = match_classes(decoded.source, classifier.classes)
    photos, chosen = decoded.source.photos, photos_of(decoded.source, split)
    answers: list[Answer] = []
    for start in range(0, len(chosen), BATCH):
        if progress:
            progress("Asking the network", start, len(chosen))
        batch = chosen[start : start + BATCH]
        logits, summaries = classifier.see(decoded.squares(batch), np.array([decoded.entries[i].aspect for i in batch]))
        if seen:
            seen(batch, logits, summaries)
        probabilities = calibrate.probabilities(logits, classifier.card.temperature)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        for i, row, top in zip(batch, probabilities, best, strict=True):
            likeliest = tuple(int(label) for label in top)
            answers.append(
                Answer(photos[i].name, str(photos[i].path), label_of[photos[i].label], likeliest,
                       tuple(round(float(row[label]), 6) for label in top), decoded.entries[i].digest)
            )  # fmt: skip
    if len(answers) != len(chosen):
        raise FlowersError(f"{len(answers)} photos were scored instead of {len(chosen)}")
    return Report(
        str(classifier.path), decoded.source.name, split, classifier.classes, tuple(answers), decoded.fingerprint,
        calibration_error(tuple(answers)), time.time(),
    )  # fmt: skip


def calibration_error(answers: tuple[Answer, ...]) -> float:
    """Expected calibration error of answers, 0 to 1."""
    return metrics.calibration_error(*_confidences(answers))


def _confidences(answers: tuple[Answer, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Of each answer: its highest probability, and whether it was right."""
    return np.array([a.probabilities[0] for a in answers]), np.array([a.predicted == a.true for a in answers])


def match_classes(source: Source, classes: tuple[str, ...]) -> list[int]:
    """For each of the source's classes its index among the checkpoint's.

    Raises:
        DataError: names the kinds that the checkpoint doesn't know.
    """
    index = {class_key(name): i for i, name in enumerate(classes)}
    unknown = [name for name in source.classes if class_key(name) not in index]
    if unknown:
        hint = "Choose photos of kinds that it knows, or a model that was trained on these."
        raise DataError(f"This model doesn't know these kinds of {source.name}: {first_few(unknown)}", None, hint)
    return [index[class_key(name)] for name in source.classes]


def learned_before(decoded: DecodedSource, split: str, learned: DecodedSource, learned_splits: Sequence[str]) -> int:
    """How many photos of a split are, byte for byte, among those of another set's splits."""
    there, here = (
        [entry.digest for photo, entry in zip(each.source.photos, each.entries, strict=True) if photo.split in of]
        for each, of in ((learned, learned_splits), (decoded, [split]))
    )
    known = set(there)
    return sum(digest in known for digest in here)


def places(answers: Sequence[Answer], decoded: DecodedSource) -> list[int | None]:
    """For each answered photo its index in a set, also under another name; None when it is not there."""
    entries = decoded.entries
    by_name = {photo.name: i for i, photo in enumerate(decoded.source.photos)}
    found = [by_name.get(answer.photo) for answer in answers]
    found = [
        None if i is None or entries[i].digest != (answer.digest or entries[i].digest) else i
        for i, answer in zip(found, answers, strict=True)
    ]
    if None in found:
        by_digest = {entry.digest: i for i, entry in enumerate(entries)}
        found = [by_digest.get(a.digest) if i is None else i for i, a in zip(found, answers, strict=True)]
    return found


def save_report(report: Report, folder: Path | None = None) -> Path:
    """Writes the report where `saved_report` finds it again, or into `folder`.

    Raises:
        StorageError: the disk is full or read-only.
    """
    path = (folder / f"report-{report.split}.json") if folder else _report_path(
        Path(report.checkpoint), report.fingerprint, report.split
    )  # fmt: skip
    write_json(path, asdict(report) | {"summary": report.to_dict()})
    if folder is None:
        keep_newest(path.parent, KEPT)
    return path


def saved_report(checkpoint: Path, decoded: DecodedSource, split: str) -> Report | None:
    """The report of an earlier evaluation of this very file on these very photos."""
    return read_report(_report_path(checkpoint, decoded.fingerprint, split))


def read_report(path: Path) -> Report | None:
    """A report from its file; None when there is none, or none that this version can read."""
    values = read_json(path)
    try:
        answers = tuple(
            Answer(**{**a, "top": tuple(a["top"]), "probabilities": tuple(a["probabilities"])})
            for a in values["answers"]
        )
        fields = {k: v for k, v in values.items() if k != "summary"}
        return Report(**{**fields, "answers": answers, "classes": tuple(values["classes"])})
    except (KeyError, TypeError):
        return None


def _report_path(checkpoint: Path, fingerprint: str, split: str) -> Path:
    key = file_key(checkpoint)
    in_run = checkpoint.resolve().parent.parent == runs_dir().resolve()
    folder = checkpoint.parent / "reports" if in_run else data_dir() / "reports"
    return folder / f"{key}-{fingerprint}-{split}.json"
