"""The training loop: photos and settings in, a checkpoint out. Knows no process and no page."""

import logging
import math
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor, nn

from flowers_core import checkpoint, head_start, precision
from flowers_core.alexnet import AlexNet, build
from flowers_core.augment import STRENGTHS, TrainTransform, input_transform, mixup, train_batch
from flowers_core.cache import DecodedSource
from flowers_core.config import TrainConfig, to_dict
from flowers_core.dataset import require_photos_of_every_class, select
from flowers_core.errors import CheckpointError, RunError, TrainingError
from flowers_core.runs import Run, Status
from flowers_core.schedule import learning_rate, make_optimizer
from flowers_core.storage import truncate
from flowers_core.validate import score, standard_error

_log = logging.getLogger(__name__)

PLATEAU_EPOCHS = 5
"""Epochs without a better validation loss after which the plateau schedule cuts the learning rate by ten."""

LEAST_GAIN = 1e-3
"""A validation loss that is lower by less than this counts as no better."""

LOGGED_STEPS = 2000
"""About so many steps of a run are logged, evenly spaced: enough for any chart."""

SAVE_SHARE = 0.04
"""Share of the time that saving the resume state may take."""

SAVE_EVERY_S = 10.0
"""Seconds between two saves at least."""

STATUS_EVERY_S = 0.5


@dataclass
class LoopState:
    """Everything the loop needs to go on. Chance and data order need no state: both follow from seed and step."""

    network: AlexNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    lr_cut: float = 1.0
    """Factor that plateaus have cut the learning rate by."""
    highest_accuracy: float = 0.0
    """On valid, of all epochs so far."""
    best_accuracy: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    """The epoch that is kept, and its figures on valid."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    lowest_loss: float = math.inf
    lowest_loss_epoch: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)
    """Moving average of the weights, when the config asks for one."""
    epoch_loss: float = 0.0
    epoch_hits: float = 0.0
    epoch_seen: int = 0

    def to_dict(self, metrics_bytes: int, precision: str) -> dict:
        plain = {k: v for k, v in self.__dict__.items() if k not in ("network", "optimizer")}
        return {
            **plain,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "metrics_bytes": metrics_bytes,
            "precision": precision,
        }

    def restore(self, saved: dict) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for name in self.__dict__.keys() - {"network", "optimizer"}:
            setattr(self, name, saved[name])


@dataclass(frozen=True)
class Result:
    """How a run ended: phase "finished" or "stopped", epochs completed, the best of them, and the speed."""

    phase: str
    epochs: int
    best_accuracy: float | None
    best_epoch: int
    seconds: float
    images_per_second: float


def fit(config: TrainConfig, decoded: DecodedSource, run: Run, wish: Callable[[], str] | None = None) -> Result:
    """Trains until the last epoch, early stopping, or a wish to stop; goes on where `run` was interrupted.

    Writes metrics, status, the resume state and the best checkpoint to the run's folder. On the same
    machine with the same threads, an interrupted and resumed run ends with the same bits as one that never was.

    Args:
        config: settings.
        decoded: the photos.
        run: its folder.
        wish: asked at every step; "stop" and "pause" are obeyed.

    Raises:
        DataError: a class has no training photos.
        TrainingError: the loss is not finite any more.
        CheckpointError: the weights to start from can't be used, or the state to resume from is damaged.
        StorageError: the disk is full or read-only; the last good state stays.
    """
    return _Fit(config, decoded, run, wish or run.wish).fit()


class _Fit:
    """One call of `fit`."""

    def __init__(self, config: TrainConfig, decoded: DecodedSource, run: Run, wish: Callable[[], str]):
        self.config, self.decoded, self.run, self.wish = config, decoded, run, wish
        self.train, self.valid = select(decoded, "train"), select(decoded, "valid")
        classes = decoded.source.classes
        require_photos_of_every_class(self.train, classes, decoded.source.root)
        self.transform: TrainTransform = STRENGTHS[config.augmentation]
        self.base = input_transform(config)
        self.device = precision.device()
        torch.set_num_threads(config.threads or precision.usable_cores())
        self.steps_per_epoch = math.ceil(len(self.train) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self.status = Status(phase="training", epochs=config.epochs, steps=self.steps, process=os.getpid())
        self.saved_at, self.save_cost, self.status_at = time.monotonic(), 0.0, 0.0
        self.recent: list[tuple[float, int]] = []
        self.answering_score: tuple[float, float] | None = None
        self.state = self._start()

    def fit(self) -> Result:
        phase = "finished"
        while self.state.step < self.steps:
            wish = self.wish()
            if wish == "stop":
                phase = "stopped"
                break
            if wish == "pause":
                self._pause()
                continue
            started = time.monotonic()
            self._train_step()
            if self.is_due(self.steps_per_epoch):
                self._end_epoch()
            self.state.seconds += time.monotonic() - started
            if self._has_stopped_improving():
                break
            self._report()
            self._save_if_due()
        return self._end(phase)

    def is_due(self, every: int) -> bool:
        """True after every `every`-th step."""
        return self.state.step % every == 0

    def _train_step(self) -> None:
        config, state = self.config, self.state
        images, targets = self._batch(state.step)
        lr = self._set_learning_rate()
        with precision.autocast(self.device, self.precision):
            logits = state.network(images)
            loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.clip:
            nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
        state.optimizer.step()
        if state.average:
            self._update_average()
        state.step += 1
        self._log_step(loss.item(), logits, targets, lr)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The step's photos, varied, and their targets as (n, classes) shares."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self.train), generator=_generator(self.config.seed, "order", epoch))
        chosen = order[place * self.config.batch_size :][: self.config.batch_size]
        squares, aspects, labels = self.train.load(chosen)
        chance = _generator(self.config.seed, "augment", step)
        images = train_batch(squares, aspects, self.transform, self.base, chance)
        targets = nn.functional.one_hot(labels, len(self.decoded.source.classes)).float()
        if self.config.mixup:
            images, targets = mixup(images, targets, self.config.mixup, chance)
        torch.manual_seed(_number(self.config.seed, "dropout", step))
        return images.to(self.device), targets.to(self.device)

    def _set_learning_rate(self) -> float:
        lr = learning_rate(self.config, self.state.step, self.steps) * self.state.lr_cut
        for group in self.state.optimizer.param_groups:
            group["lr"] = lr * group["share"]
        return lr

    def _update_average(self) -> None:
        # Early steps average over few weights, so that the start is soon forgotten.
        decay = min(self.config.averaging, (1 + self.state.step) / (10 + self.state.step))
        with torch.no_grad():
            for name, weight in self.state.network.state_dict().items():
                self.state.average[name].lerp_(weight, 1 - decay)

    def _log_step(self, loss: float, logits: Tensor, targets: Tensor, lr: float) -> None:
        state, n = self.state, len(targets)
        if not math.isfinite(loss):
            hint = f"Try a smaller learning rate than {self.config.lr:g}; a third of it is a good next guess."
            raise TrainingError(
                f"The loss stopped being a finite number at step {state.step} (lr {lr:.3g})", None, hint
            )
        state.epoch_loss += loss * n
        hits = (logits.argmax(1) == targets.argmax(1)).sum().item()
        state.epoch_hits += hits
        state.epoch_seen += n
        self.recent = [*self.recent[-50:], (time.monotonic(), n)]
        if self.is_due(max(1, self.steps // LOGGED_STEPS)):
            epoch = state.step / self.steps_per_epoch
            record = {"kind": "step", "step": state.step, "epoch": round(epoch, 4), "loss": loss, "lr": lr}
            self.run.log(record | {"accuracy": hits / n})

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
        network = self._answering_network()
        if len(self.valid):
            loss, accuracy = score(network, self.valid, replace(self.base, views="centre"), self.device, self.precision)
            record |= {"valid_loss": loss, "valid_accuracy": accuracy}
            if not math.isfinite(loss):
                hint = f"Try a smaller learning rate than {self.config.lr:g}."
                raise TrainingError(f"The validation loss is not a finite number after epoch {epoch}", None, hint)
        else:  # nothing to choose by: the last epoch is the best known
            loss, accuracy = 0.0, 0.0
        state.highest_accuracy = max(state.highest_accuracy, accuracy)
        if accuracy >= state.highest_accuracy - standard_error(state.highest_accuracy, len(self.valid)):
            state.best_accuracy, state.best_loss, state.best_epoch = accuracy, loss, epoch
            state.best_weights = checkpoint.shrink(network)
        if loss < state.lowest_loss - LEAST_GAIN:
            state.lowest_loss, state.lowest_loss_epoch = loss, epoch
        elif (
            self.config.schedule == "plateau"
            and len(self.valid)
            and (epoch - state.lowest_loss_epoch) % PLATEAU_EPOCHS == 0
        ):
            state.lr_cut /= 10
        self.run.log(record)
        figures = ", ".join(f"{name} {value:.3f}" for name, value in record.items() if isinstance(value, float))
        kept = ", kept" if state.best_epoch == epoch else ""
        _log.info("Epoch %d of %d: %s%s", epoch, self.config.epochs, figures.replace("_", " "), kept)
        self.recent = []  # validation is not training: it must not count as slowness

    def _answering_network(self) -> AlexNet:
        """The network whose answers count: with averaged weights when the config asks for them."""
        if not self.state.average:
            return self.state.network
        network = AlexNet(self.config.variant, len(self.decoded.source.classes))
        network.load_state_dict(self.state.average)
        return network.to(self.device, memory_format=torch.channels_last)

    def _has_stopped_improving(self) -> bool:
        if not self.config.patience or not len(self.valid) or not self.is_due(self.steps_per_epoch):
            return False
        return self.state.step // self.steps_per_epoch - self.state.lowest_loss_epoch >= self.config.patience

    def _pause(self) -> None:
        self._save()
        while self.wish() == "pause":
            self._write_status(phase="paused", message="Paused. The model is saved; resume when you like.")
            time.sleep(0.25)

    def _report(self) -> None:
        if time.monotonic() - self.status_at > STATUS_EVERY_S:
            self._write_status()

    def _write_status(self, **changes: object) -> None:
        state = self.state
        span = self.recent[-1][0] - self.recent[0][0] if len(self.recent) > 1 else 0.0
        speed = sum(n for _, n in self.recent[1:]) / span if span else self.status.images_per_second
        self.status = replace(
            self.status,
            phase="training",
            message="",
            epoch=state.step // self.steps_per_epoch,
            step=state.step,
            seconds=state.seconds,
            images_per_second=speed,
            best_accuracy=state.best_accuracy if state.best_epoch and len(self.valid) else None,
            best_epoch=state.best_epoch,
        )
        self.run.write_status(replace(self.status, **changes))
        self.status_at = time.monotonic()

    # Saving and going on

    def _start(self) -> LoopState:
        config, classes = self.config, len(self.decoded.source.classes)
        torch.manual_seed(_number(config.seed, "weights", 0))
        network = build(config.variant, classes, config.dropout)
        saved = checkpoint.load_state(self.run.resume_path) if self.run.resume_path.exists() else None
        self.precision = saved["precision"] if saved else precision.choose(config.precision, self.device)
        is_complete = False
        if saved is None:
            is_complete = checkpoint.start_weights(network, config.init, self.decoded.source.classes)
        network = network.to(self.device, memory_format=torch.channels_last).train()
        if saved is None and config.head == "least-squares" and not is_complete:
            chance = _generator(config.seed, "head", 0)
            head_start.apply(network, self.train, self.base, self.transform, chance, self.device, self.precision)
        state = LoopState(network, make_optimizer(config, network))
        if config.averaging:
            state.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        facts = self.run.facts()
        if saved is not None:
            if facts.get("fingerprint") != self.decoded.fingerprint:
                hint = "Start a new run from this run's checkpoint instead."
                raise RunError("The photos have changed since this run began, so it can't go on", self.run.id, hint)
            try:
                state.restore(saved)
                truncate(self.run.metrics_path, saved["metrics_bytes"])
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                hint = "Start a new run; its init can be this run's best checkpoint."
                raise CheckpointError("The saved state is not of this run", self.run.resume_path, hint) from error
        else:
            truncate(self.run.metrics_path, 0)
            self.run.record_facts(self._facts())
        return state

    def _facts(self) -> dict:
        source = self.decoded.source
        return {
            "data": source.name,
            "fingerprint": self.decoded.fingerprint,
            "classes": list(source.classes),
            "counts": source.counts(),
            "problems": len(source.problems),
            "precision": self.precision,
            "device": str(self.device),
            "made_with": checkpoint.made_with(),
        }

    def _save_if_due(self) -> None:
        """Saves as often as the allowed share of time permits."""
        if time.monotonic() - self.saved_at > max(SAVE_EVERY_S, self.save_cost / SAVE_SHARE):
            self._save()

    def _save(self) -> None:
        started = time.monotonic()
        size = self.run.metrics_path.stat().st_size
        checkpoint.save_state(self.run.resume_path, self.state.to_dict(size, self.precision))
        self._save_best()
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - started

    def _save_best(self) -> None:
        """Writes the best epoch's checkpoint; before the first epoch's end, the weights as they are."""
        state = self.state
        weights = state.best_weights or checkpoint.shrink(state.network)
        checkpoint.save(self.run.checkpoint_path, weights, self._card())

    def _card(self) -> checkpoint.Card:
        facts, state = self.run.facts(), self.state
        results = {"epoch": state.best_epoch, "valid_n": len(self.valid)}
        if state.best_epoch and len(self.valid):
            loss, accuracy = self.answering_score or (state.best_loss, state.best_accuracy)
            results |= {"valid_accuracy": accuracy, "valid_loss": loss}
        return checkpoint.Card(
            variant=self.config.variant,
            classes=self.decoded.source.classes,
            transform=asdict(self.base),
            config=to_dict(self.config),
            data={key: facts[key] for key in ("data", "fingerprint", "counts")},
            results=results,
            made_with=facts["made_with"],
        )

    def _score_as_it_will_answer(self) -> None:
        """Scores the kept weights with all the views that answers average; while training one view has to do."""
        if self.state.best_epoch and len(self.valid):
            network = AlexNet(self.config.variant, len(self.decoded.source.classes))
            network.load_state_dict(self.state.best_weights)
            network.to(self.device, memory_format=torch.channels_last)
            self.answering_score = score(network, self.valid, self.base, self.device, self.precision)

    def _end(self, phase: str) -> Result:
        state = self.state
        self._score_as_it_will_answer()
        if phase == "stopped":  # a stopped run may be resumed later
            self._save()
        else:
            self._save_best()
        epochs = state.step // self.steps_per_epoch
        accuracy = self.answering_score[1] if self.answering_score else None
        speed = state.step / self.steps_per_epoch * len(self.train) / state.seconds if state.seconds else 0.0
        self._write_status(phase=phase, images_per_second=speed, best_accuracy=accuracy)
        if phase == "finished":  # only now: a kill before this line leaves a run that can go on
            self.run.resume_path.unlink(missing_ok=True)
        return Result(phase, epochs, accuracy, state.best_epoch, state.seconds, speed)


def _number(seed: int, purpose: str, count: int) -> int:
    """A seed for each run's seed, purpose and count, so that no state of chance needs saving.

    All of it lies in the lowest 32 bits: torch's generator on the CPU silently ignores the others.
    """
    return zlib.crc32(f"{seed}:{purpose}:{count}".encode())


def _generator(seed: int, purpose: str, count: int) -> torch.Generator:
    return torch.Generator().manual_seed(_number(seed, purpose, count))
