"""What outlives a training process: the state to go on from, and the best epoch's model, scored and calibrated."""

import functools
import time
from dataclasses import asdict, replace

import torch
from torch import Tensor

from flowers_core.machine import precision
from flowers_core.network import calibrate, checkpoint, mahalanobis, reader
from flowers_core.network.alexnet import AlexNet
from flowers_core.network.mahalanobis import RelativeMahalanobis
from flowers_core.photos.dataset import Split
from flowers_core.runs import Run
from flowers_core.settings.config import TrainConfig, to_dict
from flowers_core.storage import sync
from flowers_core.training import distributed
from flowers_core.training.loop_state import LoopState
from flowers_core.training.validate import score, view_logits, view_looks
from flowers_core.training.views import CENTRE, LEAN_BATCH, Progress, Views, ignore, summarise

SAVE_SHARE = 0.04
"""Share of the time that saving the resume state may take."""

SAVE_EVERY_S = 10.0
"""Seconds between two saves at least."""

MOST_VALID_BYTES = 64 * 2**20
LEAN_VALID_BYTES = 8 * 2**20
"""Memory that what frozen convolutions see in validation photos may take, and where memory is short."""


class Keeper:
    """Saves one training to its run's folder. Of several processes only the first writes; all call the same methods.

    Args:
        config: settings.
        classes: the kinds.
        run: the folder.
        state: of the training, as it goes on.
        views: the photos that it learns from, as its convolutions see them.
        valid: photos that the kept model is scored and calibrated on; may be empty.
        folds: when this is a part of a cross-validation, what is known of its folds.
        progress: told at the end how many looks at photos are done, of how many.
    """

    def __init__(
        self,
        config: TrainConfig,
        classes: tuple[str, ...],
        run: Run,
        state: LoopState,
        views: Views,
        valid: Split,
        folds: calibrate.FoldSummary | None = None,
        progress: Progress = ignore,
    ):
        self.config, self.classes, self.run, self.state = config, classes, run, state
        self.views, self.valid, self.base, self.device, self.folds = views, valid, views.base, views.device, folds
        self.is_first, self.progress = distributed.is_first(), progress
        self.saved_at, self.save_cost = time.monotonic(), 0.0
        self.answering_score: tuple[float, float] | None = None
        """Loss and accuracy on valid with all the views that answers average; None until training ends."""
        self.calibration = calibrate.Calibration()
        self.readers: dict[str, Tensor] = {}
        """The second reader's tensors, as the checkpoint holds them."""
        self.mahalanobis: RelativeMahalanobis | None = None

    def centre_logits(self, network: AlexNet) -> Tensor:
        """On valid, (n, 1, classes), by the first of several processes, so that all of them choose alike."""
        return distributed.agree(self._centre_logits(network) if self.is_first else None)

    def _centre_logits(self, network: AlexNet) -> Tensor:
        if not self._valid_features:
            transform = replace(self.base, views="centre")
            return view_logits(network, self.valid, transform, self.device, self.state.precision, self._batch)
        network.eval()
        with torch.inference_mode(), precision.autocast(self.device, self.state.precision):
            logits = torch.cat([network.classifier(features).float().cpu() for features in self._valid_features])
        network.train()
        return logits[:, None]

    @functools.cached_property
    def _valid_features(self) -> tuple[Tensor, ...]:
        """What frozen convolutions see in the middle of valid's photos, in batches; none where they learn, or where it
        takes too much memory."""
        views = self.views.of(self.valid)
        most = LEAN_VALID_BYTES if self.config.is_lean else MOST_VALID_BYTES
        return views.features(CENTRE).split(self._batch) if self.views.count and views.size <= most else ()

    @property
    def _batch(self) -> int:
        """Photos looked at at once."""
        return LEAN_BATCH if self.config.is_lean else 128

    def keep(self, network: AlexNet, epoch: int, loss: float, accuracy: float) -> None:
        """Takes an epoch's weights as the best so far, unless float16 can't hold them."""
        state = self.state
        if not checkpoint.fits_float16(network):
            return
        state.best_accuracy, state.best_loss, state.best_epoch = accuracy, loss, epoch
        state.best_weights = checkpoint.shrink(network)

    def save_if_due(self) -> None:
        """Saves as often as the allowed share of time permits."""
        if time.monotonic() - self.saved_at > max(SAVE_EVERY_S, self.save_cost / SAVE_SHARE):
            self.save()

    def save(self) -> None:
        """Writes the state to go on from, and the best model so far."""
        if not self.is_first:
            return
        started = time.monotonic()
        size = self.run.metrics_path.stat().st_size
        sync(self.run.metrics_path)  # after a power cut the log must reach as far as the state says
        checkpoint.save_state(self.run.resume_path, self.state.to_dict(size))
        self.save_best()
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - started

    def save_best(self) -> None:
        """Writes the best epoch's checkpoint; before the first epoch's end, the weights as they are."""
        state = self.state
        if not self.is_first:
            return
        weights = state.best_weights or state.present_weights()
        weights = checkpoint.with_kinds(weights | self.readers, self.mahalanobis)
        checkpoint.save(self.run.checkpoint_path, weights, self._card())

    def finish(self) -> None:
        """Writes the best epoch's checkpoint with all that is known of it at the end of training.

        It is scored and calibrated with all the views that answers average; one view had to do so far.
        """
        self.views.forget()
        self.__dict__.pop("_valid_features", None)
        if self.state.best_epoch:
            network = self.state.network.twin(self.state.best_weights)
            network.to(self.device, memory_format=torch.channels_last)
            logits = distributed.agree(self._read(network) if self.is_first else None)
            if len(self.valid):
                losses, accuracy = score(logits, self.valid.labels, self.calibration.temperature)
                self.answering_score = losses.mean().item(), accuracy
        self.save_best()

    def _read(self, network: AlexNet) -> Tensor:
        """Gives the network its second reader, learns where the kinds lie, and calibrates.

        Returns:
            (n, views, classes) on valid, both readers together.
        """
        weight, bias = self._fit_reader(network)
        network.add_reader(weight, bias)
        together, summary, weigh = self._ask_both_readers(network)
        self.calibration = self._calibrated(together, summary)
        if self.calibration.threshold is not None and self.calibration.mahalanobis_threshold is None:
            self.mahalanobis = None  # its distances must not be compared with an energy's threshold
        network.add_reader(weigh * weight, weigh * bias)
        self.readers = {f"reader.{name}": tensor.half().cpu() for name, tensor in network.reader.state_dict().items()}
        return together

    def _fit_reader(self, network: AlexNet) -> tuple[Tensor, Tensor]:
        """The second reader's weight and bias; and where the kinds lie, with enough photos for a threshold."""
        summaries, labels, plain, photos = summarise(self.views.by(network), progress=self.progress)
        asked = self.folds.photos if self.folds else len(self.valid)
        if asked >= calibrate.LEAST_PHOTOS:  # from plain views: what varies more takes in more strangers
            columns = mahalanobis.columns(summaries[plain].numpy(), network.summary_filters)
            self.mahalanobis = mahalanobis.fit(columns, labels[plain].numpy(), len(self.classes))
        return reader.fit(summaries, labels, len(self.classes), photos)

    def _ask_both_readers(self, network: AlexNet) -> tuple[Tensor, Tensor | None, float]:
        """On valid: (n, views, classes) of both readers together, (n, columns) what the second one sees, and how much
        that one counts."""
        if not len(self.valid):
            return torch.zeros(0, 1, len(self.classes)), None, reader.WEIGHT
        alone, second, summary = view_looks(
            network, self.valid, self.base, self.device, self.state.precision, self._batch
        )
        weigh = reader.WEIGHT
        if len(self.valid) >= calibrate.LEAST_PHOTOS:
            weigh = reader.weigh(alone.numpy(), second.numpy(), self.valid.labels.numpy())
        return alone + weigh * second, summary, weigh

    def _calibrated(self, together: Tensor, summary: Tensor | None) -> calibrate.Calibration:
        if self.folds and self.folds.calibration:
            return self.folds.calibration
        if len(together) < calibrate.LEAST_PHOTOS:
            return calibrate.Calibration(reader.TEMPERATURE)
        logits, scores = together.numpy(), None
        if self.mahalanobis:
            columns = mahalanobis.columns(summary.numpy(), self.state.network.summary_filters)
            scores = functools.partial(self.mahalanobis.scores, columns, logits.mean(1))
        return calibrate.fit(logits, self.valid.labels.numpy(), scores)

    def rescue(self) -> None:
        """After a divergence: finishes the best epoch's model, or removes weights saved on the way to ruin."""
        if self.state.best_epoch:
            self.finish()
        elif self.is_first:
            self.run.checkpoint_path.unlink(missing_ok=True)
        self.forget_state()  # going on from there would end the same way

    def forget_state(self) -> None:
        """Removes the state to go on from."""
        if self.is_first:
            self.run.resume_path.unlink(missing_ok=True)

    def _card(self) -> checkpoint.Card:
        facts, state = self.run.facts(), self.state
        results = {"epoch": state.best_epoch, "valid_n": len(self.valid)}
        if state.best_epoch and len(self.valid):
            loss, accuracy = self.answering_score or (state.best_loss, state.best_accuracy)
            results |= {"valid_accuracy": accuracy, "valid_loss": loss}
        folds = self.folds
        if folds and folds.accuracy is not None and state.best_epoch == self.config.epochs:  # the recipe to its end
            results |= {"folds": folds.folds, "valid_accuracy": folds.accuracy, "valid_n": folds.photos}
        return checkpoint.Card(
            variant=self.config.variant,
            classes=self.classes,
            transform=asdict(self.base),
            config=to_dict(self.config),
            # Folds deal the set's photos anew, but the model is the set's as it came.
            data={key: facts[key] for key in ("data", "fingerprint", "counts")}
            | ({"fingerprint": folds.fingerprint} if folds else {}),
            results=results,
            made_with=facts["made_with"],
            temperature=self.calibration.temperature,
            rejection=self.calibration.rejection,
        )
