"""The training loop: photos and settings in, a checkpoint out. Knows no process and no page."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowers_core.errors import DivergedError
from flowers_core.images.augment import STRENGTHS, TrainTransform, input_transform, mixup, train_batch
from flowers_core.machine import memory, precision
from flowers_core.machine.parallel import usable_cores
from flowers_core.network.alexnet import AlexNet
from flowers_core.network.calibrate import FoldSummary
from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.dataset import require_photos_of_every_class, select
from flowers_core.runs import ReadOnlyRun, Run, Status
from flowers_core.settings.config import TrainConfig
from flowers_core.storage import sweep
from flowers_core.training import distributed, seeds
from flowers_core.training.events import Events
from flowers_core.training.graphed_step import GraphedStep
from flowers_core.training.keeping import Keeper
from flowers_core.training.loop_state import begin
from flowers_core.training.outer_sgd import OuterSGD
from flowers_core.training.schedule import clip, learning_rate
from flowers_core.training.status_reporter import StatusReporter, causes_of_divergence
from flowers_core.training.validate import rise, score, standard_error
from flowers_core.training.views import Remembered

_log = logging.getLogger(__name__)

PLATEAU_EPOCHS = 5
"""Epochs without a better validation loss after which the plateau schedule cuts the learning rate by ten."""

LEAST_GAIN = 1e-3
"""A validation loss that is lower by less than this counts as no better."""

LOGGED_STEPS = 2000
"""About so many steps of a run are logged, evenly spaced: enough for any chart."""

AVERAGE_EVERY = 8
"""Steps between two looks at the weights for their moving average: they are 240 MB."""


@dataclass(frozen=True)
class Result:
    """How a run ended: phase "finished" or "stopped", epochs completed, the best of them, and the speed."""

    phase: str
    epochs: int
    best_accuracy: float | None
    best_epoch: int
    seconds: float
    images_per_second: float


def fit(
    config: TrainConfig,
    decoded: DecodedSource,
    run: Run,
    request: Callable[[], str] | None = None,
    resumable: bool = True,
    folds: FoldSummary | None = None,
    remembered: Remembered | None = None,
) -> Result:
    """Trains until the last epoch, early stopping, or a request to stop; goes on where `run` was interrupted.

    Writes metrics, status, the resume state and the best checkpoint to the run's folder. On the same
    machine with the same threads, an interrupted and resumed run ends with the same bits as one that never was.

    Args:
        config: settings.
        decoded: the photos.
        run: its folder.
        request: asked at every step; "stop" and "pause" are obeyed.
        resumable: saves the state to go on from every few seconds (700 MB); trials of a search do without.
        folds: when this is a part of a cross-validation, what is known of its folds; they calibrate the model that
            has no validation photos.
        remembered: what frozen convolutions saw in earlier trainings with these photos; this one adds to it.

    Raises:
        DataError: a class has no training photos.
        RunError: the photos have changed since the run began, or it began on the other kind of device.
        DivergedError: the loss is not finite any more; the checkpoint of the last good epoch is written.
        CheckpointError: the weights to start from can't be used, or the state to resume from is damaged.
        StorageError: the disk is full or read-only; the last good state stays.
        TrainingError: the GPU has too little memory.
    """
    with precision.gpu_memory_explained():
        try:
            return _Fit(config, decoded, run, request or run.request, resumable, folds, remembered).fit()
        except _StoppedBefore:
            return Result("stopped", 0, None, 0, 0.0, 0.0)


def losses_at(
    config: TrainConfig, decoded: DecodedSource, run: Run, rates: Iterable[float], request: Callable[[], str] = str
) -> Iterator[float]:
    """The loss before each of some training steps, at learning rates of the caller's in place of the schedule's.

    Weights start and photos are varied as `fit` would have it. No model is saved. The loss may be NaN or infinite.
    There is none when `request` says "stop" before the first step. Raises what `fit` raises.
    """
    with precision.gpu_memory_explained():
        try:
            loop = _Ramp(config, decoded, run, request)
        except _StoppedBefore:
            return
        for loop.rate in rates:
            loop._train_step()
            yield loop.loss


class _StoppedBefore(Exception):
    """Somebody wished to stop before the first step."""


class _Fit:
    """One call of `fit`."""

    def __init__(
        self, config: TrainConfig, decoded: DecodedSource, run: Run, request: Callable[[], str], resumable: bool = True,
        folds: FoldSummary | None = None, remembered: Remembered | None = None,
    ):  # fmt: skip
        self.config, self.decoded, self.resumable = config, decoded, resumable
        began, self.paused = time.monotonic(), 0.0
        memory.give_back_at_once() if config.is_lean else memory.keep_for_reuse()
        self.is_first, self.share = distributed.is_first(), distributed.Share()
        self.run = run if self.is_first else ReadOnlyRun(run.folder)
        self.request = distributed.agreed(request)
        distributed.require_same_photos(decoded.fingerprint, decoded.source.root)
        self.device = precision.device()
        self.train, self.valid = (select(decoded, split).on(self.device) for split in ("train", "valid"))
        classes = decoded.source.classes
        require_photos_of_every_class(self.train, classes, decoded.source.root)
        if not len(self.valid) and not (folds or config.folds) and self.is_first:
            _log.warning(
                "There are no validation photos: nobody will see whether it learns or memorises. Add a Valid folder, "
                "or judge the settings by cross-validation (folds)."
            )
        self.transform: TrainTransform = STRENGTHS[config.augmentation]
        self.base = input_transform(config)
        torch.set_num_threads(config.threads or max(1, usable_cores() // distributed.neighbours()))
        self.steps_per_epoch = math.ceil(len(self.train) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        status = Status(phase="training", epochs=config.epochs, steps=self.steps, process=os.getpid())
        self.reporter = StatusReporter(self.run, status)
        if self.is_first:
            for path in (self.run.resume_path, self.run.checkpoint_path, self.run.folder / "run.json"):
                sweep(path)
        self.state, self.views = begin(
            config, decoded, self.train, self.base, self.run, self.device, self._tell_of_start, remembered
        )
        self.keeper = Keeper(config, classes, self.run, self.state, self.views, self.valid, folds, self._tell_of_end)
        self.events = Events(run) if config.tensorboard == "yes" and self.is_first else None
        distributed.share_dropout(self.state.network, self.share)
        self.network = distributed.wrap(self.state.network, self.device)
        if isinstance(self.state.optimizer, OuterSGD):
            self.state.optimizer.refresh()
        self.on_gpu = self.device.type == "cuda"
        self.rates = [torch.zeros((), device=self.device) for _ in self.state.optimizer.param_groups]
        self.take_step: Callable[[Tensor, Tensor], Tensor] = self._step
        if self.on_gpu and distributed.world() == 1 and config.optimizer != "adamw":  # which counts its steps in Python
            self.take_step = GraphedStep(self._step, min(config.batch_size, len(self.train)))
        self.next_batch: tuple[int, tuple[Tensor, Tensor]] | None = None
        if config.averaging and not self.state.average:
            self.state.average = {name: tensor.clone() for name, tensor in self.state.network.state_dict().items()}
        self.reporter.update(setup_seconds=time.monotonic() - began - self.paused)

    def fit(self) -> Result:
        phase = "finished"
        while self.state.step < self.steps:
            request = self.request()
            if request == "stop":
                phase = "stopped"
                break
            if request == "pause":
                self._pause()
                continue
            started = time.monotonic()
            try:
                self._train_step()
                if self.is_due(self.steps_per_epoch):
                    self._end_epoch()
            except DivergedError:
                self.keeper.rescue()
                self._close_events()
                raise
            self.state.seconds += time.monotonic() - started
            if self._has_stopped_improving():
                break
            if self.reporter.is_due():
                self._report()
            if self.resumable:
                self.keeper.save_if_due()
        return self._end(phase)

    def is_due(self, every: int) -> bool:
        """True after every `every`-th step."""
        return self.state.step % every == 0

    def _train_step(self) -> None:
        state = self.state
        images, targets = self._take_batch()
        part = self.share.of(len(images)).part
        lr = self._set_learning_rate()
        torch.manual_seed(seeds.number(self.config.seed, "dropout", state.step))
        figures = self.take_step(images[part], targets[part])
        state.step += 1
        if state.average and self.is_due(AVERAGE_EVERY):
            self._update_average()
        if self.on_gpu and state.step < self.steps:  # it still computes: time to vary the next photos
            self.next_batch = state.step, self._batch(state.step)
        self._log_step(*figures.tolist(), lr)

    def _step(self, images: Tensor, targets: Tensor) -> Tensor:
        """Changes the weights; returns the loss before, and how many photos were named rightly."""
        config, optimizer = self.config, self.state.optimizer
        with precision.autocast(self.device, self.state.precision):
            logits = self.network(images)
            loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        (loss * self.share.weight).backward()
        if config.clip:
            clip(optimizer, self.state.network, config.clip)
        optimizer.step()
        hits = (logits.argmax(1) == targets.argmax(1)).sum()
        return torch.stack([loss.detach(), hits.float()])

    def _take_batch(self) -> tuple[Tensor, Tensor]:
        """This step's batch, prepared already or now."""
        step, batch = self.next_batch or (None, None)
        self.next_batch = None
        return batch if step == self.state.step else self._batch(self.state.step)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The step's photos, varied, and their targets as (n, classes) shares. Of photos that convolutions see which
        don't change, what they see."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self.train), generator=seeds.generator(self.config.seed, "order", epoch))
        chosen = order[place * self.config.batch_size :][: self.config.batch_size]
        draws = seeds.generator(self.config.seed, "augment", step)
        if self.views.count:
            images, labels = self.views.in_epoch(epoch, chosen), self.train.labels[chosen]
        else:
            squares, aspects, labels = self.train.load(chosen)
            dtype = getattr(torch, self.state.precision)
            images = train_batch(squares, aspects, self.transform, self.base, draws, dtype)
        targets = nn.functional.one_hot(labels, len(self.decoded.source.classes)).float()
        if self.config.mixup:
            images, targets = mixup(images, targets, self.config.mixup, draws)
        return images.to(self.device), targets.to(self.device, non_blocking=True)

    def _set_learning_rate(self) -> float:
        lr = learning_rate(self.config, self.state.step, self.steps) * self.state.lr_cut
        self._rate_groups(lr)
        return lr

    def _rate_groups(self, lr: float) -> None:
        """Gives each group of weights its share of the learning rate; a recorded step reads it from a tensor."""
        for group, rate in zip(self.state.optimizer.param_groups, self.rates, strict=True):
            value = lr * group["share"]
            group["lr"] = rate.fill_(value) if isinstance(self.take_step, GraphedStep) else value

    def _update_average(self) -> None:
        # Early steps average over few weights, so that the start is soon forgotten.
        decay = min(self.config.averaging, (1 + self.state.step) / (10 + self.state.step)) ** AVERAGE_EVERY
        self.state.apply_pending()
        with torch.no_grad():
            for name, weight in self.state.network.state_dict().items():
                self.state.average[name].lerp_(weight, 1 - decay)

    def _log_step(self, loss: float, hits: float, lr: float) -> None:
        state, n, weight = self.state, self.share.whole, self.share.weight
        loss, hits = distributed.total(loss * weight / distributed.world(), hits if weight else 0)
        if not math.isfinite(loss):
            self._diverged(f"The loss stopped being a finite number at step {state.step} (learning rate {lr:.3g})")
        state.epoch_loss += loss * n
        state.epoch_hits += hits
        state.epoch_seen += n
        self.reporter.count_step(n)
        if self.is_due(max(1, self.steps // LOGGED_STEPS)):
            epoch = state.step / self.steps_per_epoch
            record = {"kind": "step", "step": state.step, "epoch": round(epoch, 4), "loss": loss, "lr": lr}
            self._record(record | {"accuracy": hits / n})

    def _record(self, record: dict) -> None:
        self.run.log(record)
        if self.events:
            self.events.add(record)

    def _end_epoch(self) -> None:
        state, epoch = self.state, self.state.step // self.steps_per_epoch
        record = {
            "kind": "epoch",
            "step": state.step,
            "epoch": epoch,
            "train_loss": state.epoch_loss / state.epoch_seen,
            "train_accuracy": state.epoch_hits / state.epoch_seen,
        }
        state.epoch_loss, state.epoch_hits, state.epoch_seen = 0.0, 0.0, 0
        state.apply_pending()
        network = self._answering_network()
        if len(self.valid):
            losses, accuracy = score(self.keeper.centre_logits(network), self.valid.labels)
            loss = losses.mean().item()
            if not math.isfinite(loss):
                self._diverged(f"The validation loss is not a finite number after epoch {epoch}")
            risen, error = rise(losses, self.state.lowest_losses if len(state.lowest_losses) else losses)
            record |= {"valid_loss": loss, "valid_accuracy": accuracy, "valid_rise": risen, "valid_rise_error": error}
            if loss < state.lowest_loss - LEAST_GAIN:
                state.lowest_losses = losses
        else:  # nothing to choose by: the last epoch is the best known
            loss, accuracy = 0.0, 0.0
        state.highest_accuracy = max(state.highest_accuracy, accuracy)
        if accuracy >= state.highest_accuracy - standard_error(state.highest_accuracy, len(self.valid)):
            self.keeper.keep(network, epoch, loss, accuracy)
        if loss < state.lowest_loss - LEAST_GAIN:
            state.lowest_loss, state.lowest_loss_epoch = loss, epoch
        elif (
            self.config.schedule == "plateau"
            and len(self.valid)
            and (epoch - state.lowest_loss_epoch) % PLATEAU_EPOCHS == 0
        ):
            state.lr_cut /= 10
        self._record(record)
        figures = ", ".join(f"{name} {value:.3f}" for name, value in record.items() if isinstance(value, float))
        kept = ", kept" if state.best_epoch == epoch else ""
        _log.info("Epoch %d of %d: %s%s", epoch, self.config.epochs, figures.replace("_", " "), kept)
        self.reporter.restart_clock()

    def _diverged(self, what: str) -> None:
        """Ends the run, and says which of its settings are the likeliest cause."""
        causes, kept = causes_of_divergence(self.config, self.state.precision), self.state.best_epoch
        saved = f"The model of epoch {kept} is kept." if kept else "No epoch was complete, so no model is kept."
        raise DivergedError(what, None, f"Likely causes, the likeliest first: {'; '.join(causes)}. {saved}")

    def _answering_network(self) -> AlexNet:
        """The network whose answers count: with averaged weights when the config asks for them."""
        if not self.state.average:
            return self.state.network
        return self.state.network.twin(self.state.average).to(self.device, memory_format=torch.channels_last)

    def _has_stopped_improving(self) -> bool:
        if not self.config.patience or not len(self.valid) or not self.is_due(self.steps_per_epoch):
            return False
        return self.state.step // self.steps_per_epoch - self.state.lowest_loss_epoch >= self.config.patience

    def _pause(self) -> None:
        self.keeper.save()
        while self.request() == "pause":
            self._report(phase="paused", message="Paused. The model is saved; resume when you like.")
            time.sleep(0.25)
        self.reporter.restart_clock()

    def _tell_of_start(self, done: int, total: int) -> None:
        if not self.reporter.is_due():
            return
        part, began = done / max(1, total), time.monotonic()
        while distributed.world() == 1 and (request := self.request()):
            if request == "stop":
                self.reporter.report(phase="stopped", message="Stopped before the first step.")
                raise _StoppedBefore
            self.reporter.report(phase="paused", message="Paused before the first step.", part=part)
            time.sleep(0.25)
        self.paused += time.monotonic() - began
        self.reporter.report(message=f"first looks, several at each photo: {done:,} of {total:,}", part=part)

    def _tell_of_end(self, done: int, total: int) -> None:
        if self.reporter.is_due():
            self._report(message=f"last looks at the photos: {done:,} of {total:,}")

    def _report(self, **changes: object) -> None:
        state = self.state
        self.reporter.update(
            epoch=state.step // self.steps_per_epoch,
            step=state.step,
            seconds=state.seconds,
            best_accuracy=state.best_accuracy if state.best_epoch and len(self.valid) else None,
            best_epoch=state.best_epoch,
        )
        self.reporter.report(**changes)

    def _end(self, phase: str) -> Result:
        state = self.state
        if phase == "stopped":  # it may be resumed later
            self.keeper.save()
        self.keeper.finish()
        epochs = state.step // self.steps_per_epoch
        accuracy = self.keeper.answering_score[1] if self.keeper.answering_score else None
        speed = state.step / self.steps_per_epoch * len(self.train) / state.seconds if state.seconds else 0.0
        self._report(phase=phase, images_per_second=speed, best_accuracy=accuracy)
        self._close_events()
        if phase == "finished":  # only now: a kill before this line leaves a run that can go on
            self.keeper.forget_state()
        return Result(phase, epochs, accuracy, state.best_epoch, state.seconds, speed)

    def _close_events(self) -> None:
        if self.events:
            self.events.close()


class _Ramp(_Fit):
    """Training steps with a learning rate from outside, which end with whatever loss there is."""

    rate = loss = 0.0

    def _set_learning_rate(self) -> float:
        self._rate_groups(self.rate)
        return self.rate

    def _log_step(self, loss: float, *_: object) -> None:
        self.loss = loss
