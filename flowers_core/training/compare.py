"""Runs side by side: what differs in their settings, and what each of them reached."""

from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from flowers_core.errors import CheckpointError, FlowersError
from flowers_core.evaluation import metrics
from flowers_core.network import checkpoint
from flowers_core.runs import FINAL, Run, overfitting
from flowers_core.runs.overfitting import Onset
from flowers_core.settings.config import TrainConfig, to_dict
from flowers_core.training.cross_validate import pooled


@dataclass(frozen=True)
class Reached:
    """What a run came to.

    Args:
        state: see `Run.state`.
        accuracy: on validation photos, of the kept epoch; of all folds' answers in a cross-validation; None before.
        kept_epoch, epochs: the epoch whose model is kept (0 before the first), and how many were completed.
        valid_loss: of the kept epoch; once the run has ended, of its model as it answers, as `accuracy` is.
        seconds: time spent training.
        images_per_second: photos a second, validation included.
        onset: when training and validation parted, or None.
        folds: 0 for a run without cross-validation.
    """

    state: str
    accuracy: metrics.Proportion | None
    kept_epoch: int
    epochs: int
    valid_loss: float | None
    seconds: float
    images_per_second: float
    onset: Onset | None
    folds: int


def reached(run: Run) -> Reached:
    """What the run came to so far."""
    status, epochs = run.status(), epochs_of(run)
    counts, state = run.facts().get("counts", {}), run.state()
    kept = next((record for record in epochs if record["epoch"] == status.best_epoch), {})
    valid_loss, accuracy = kept.get("valid_loss"), None
    if state in FINAL and not status.folds:
        with suppress(CheckpointError):
            valid_loss = checkpoint.read_card(run.checkpoint_path).results.get("valid_loss", valid_loss)
    speed = status.images_per_second
    # What it says of itself meanwhile is the speed of its last steps alone.
    if state not in FINAL and status.seconds and status.epoch and not status.folds and "train" in counts:
        speed = status.epoch * counts["train"] / status.seconds
    if status.folds:
        answers = pooled(run, status.folds)
        accuracy = answers.report.top1 if answers else None
    elif status.best_accuracy is not None and counts.get("valid"):
        accuracy = metrics.proportion(round(status.best_accuracy * counts["valid"]), counts["valid"])
    return Reached(
        state, accuracy, status.best_epoch, status.epoch, valid_loss, status.seconds_in_all, speed,
        onset(run, epochs), status.folds,
    )  # fmt: skip


def epochs_of(run: Run) -> list[dict]:
    """A run's records of kind "epoch", oldest first."""
    return [record for record in run.metrics()[0] if record.get("kind") == "epoch"]


def onset(run: Run, epochs: list[dict]) -> Onset | None:
    """When the run's training and validation parted, or None."""
    counts = run.facts().get("counts", {})
    return overfitting.find(epochs, counts.get("train", 0), counts.get("valid", 0))


def differences(runs: list[Run]) -> dict[str, list[object]]:
    """The settings in which the runs differ, in the order of TrainConfig: each run's value, None where unknown.

    What they were trained on counts by its content: "photos" differs when other photos lay there.
    """
    configs: list[dict] = []
    for run in runs:
        try:
            configs.append(to_dict(run.config()))
        except FlowersError:  # of a newer version, or damaged
            configs.append({})
    table = {setting.name: [values.get(setting.name) for values in configs] for setting in fields(TrainConfig)}
    table["data"] = [Path(value).name if value else None for value in table["data"]]
    facts = [run.facts() for run in runs]
    known = [each.get("fingerprint") for each in facts]
    table["photos"] = [each.get("counts", {}).get("train") for each in facts]
    table["computed in"] = [each.get("precision") for each in facts]
    different = {name: values for name, values in table.items() if len({repr(value) for value in values}) > 1}
    if len({each for each in known if each}) > 1:
        different["photos"] = table["photos"]
    return different
