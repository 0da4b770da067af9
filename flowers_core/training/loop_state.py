"""What a training goes on from: network, optimiser and what they reached, begun anew or taken up where it was left."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flowers_core.errors import CheckpointError, RunError
from flowers_core.images.augment import STRENGTHS, EvalTransform
from flowers_core.machine import precision
from flowers_core.network import checkpoint, starts
from flowers_core.network.alexnet import VARIANTS, AlexNet, build
from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.dataset import Split
from flowers_core.runs import Run
from flowers_core.settings.config import TrainConfig
from flowers_core.training import balanced_start, distributed, head_start, seeds
from flowers_core.training.outer_sgd import OuterSGD
from flowers_core.training.schedule import make_optimizer
from flowers_core.training.views import FrozenViews, Progress, Remembered, Views, ignore


@dataclass
class LoopState:
    """Everything the loop needs to go on. Chance and data order need no state: both follow from seed and step."""

    network: AlexNet
    optimizer: torch.optim.Optimizer | OuterSGD
    precision: str
    """Number format of the arithmetic, "float32" or "bfloat16"."""
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
    lowest_losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Of each validation photo in that epoch."""
    average: dict[str, Tensor] = field(default_factory=dict)
    """Moving average of the weights, when the config asks for one."""
    epoch_loss: float = 0.0
    epoch_hits: float = 0.0
    epoch_seen: int = 0

    def apply_pending(self) -> None:
        """Brings the network's weights up to date, for whoever reads them."""
        if isinstance(self.optimizer, OuterSGD):
            self.optimizer.apply_pending()

    def present_weights(self) -> dict[str, Tensor]:
        """A copy of the network's weights as they are stored, up to date. The network's own may lag behind: bringing
        them up to date in between would round differently from then on."""
        weights = checkpoint.shrink(self.network)
        if isinstance(self.optimizer, OuterSGD):
            places = {id(layer): name for name, layer in self.network.named_modules()}
            for layer in self.optimizer.layers:
                weights[f"{places[id(layer)]}.weight"] = layer.with_pending()
        return weights

    def to_dict(self, metrics_bytes: int) -> dict:
        """All of it as `checkpoint.save_state` takes it, with the length of the metrics log it belongs to."""
        return {
            **self.__dict__,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "metrics_bytes": metrics_bytes,
        }

    def restore(self, saved: dict) -> None:
        """Goes on from what was saved.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: it is not of this network.
        """
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for name in self.__dict__.keys() - {"network", "optimizer"}:
            setattr(self, name, saved[name])
        device = next(self.network.parameters()).device
        self.average = {name: tensor.to(device) for name, tensor in self.average.items()}


def begin(
    config: TrainConfig,
    decoded: DecodedSource,
    train: Split,
    base: EvalTransform,
    run: Run,
    device: torch.device,
    progress: Progress = ignore,
    remembered: Remembered | None = None,
) -> tuple[LoopState, Views]:
    """The state in which a run begins, or goes on when it was interrupted; its metrics log is cut to the same point.
    And the training photos as its convolutions see them.

    Args:
        config: settings.
        decoded: the photos.
        train: those to learn from, which the head start looks at.
        base: input size and normalisation.
        run: its folder; under torchrun only the first process's is read.
        device: where the network will be.
        progress: told how many looks at photos the head start has done, of how many.
        remembered: what frozen convolutions saw in earlier trainings with these photos.

    Raises:
        RunError: the photos have changed since the run began, or it began on the other kind of device.
        CheckpointError: the weights to start from can't be used, or the saved state is damaged or of another run.
    """
    torch.manual_seed(seeds.number(config.seed, "weights", 0))
    classes, is_lean, is_first = decoded.source.classes, config.is_lean, distributed.is_first()
    network = build(config.variant, len(classes), config.dropout, narrow=is_lean)
    varied = STRENGTHS[config.augmentation]
    saved = None
    if is_first and run.resume_path.exists():
        saved = checkpoint.load_state(run.resume_path)
    saved = distributed.agree(saved)
    is_complete = saved is not None or starts.start_weights(network, config.init, classes)
    if config.init == "scratch" and VARIANTS[config.variant].weight_sd is None and saved is None:
        draws = seeds.generator(config.seed, "start", 0)
        balanced_start.apply(network, train, varied, base, draws, 4 if is_lean else balanced_start.PHOTOS)
    network = network.to(device, memory_format=torch.channels_last).train()
    number_format = saved["precision"] if saved else distributed.agree(precision.choose(config.precision, device))
    asked = network, train, base, varied, config.seed, device, number_format, is_lean
    views = FrozenViews(*asked, remembered) if config.features_lr == 0 else Views(*asked)
    if config.head == "least-squares" and not is_complete and is_first:
        keep = config.init != "imagenet" and config.init != "scratch"  # those two bring no fully connected layers
        head_start.apply(views, seeds.generator(config.seed, "head", 0), keep, progress)
    state = LoopState(network, make_optimizer(config, network, number_format), number_format)
    if saved is None:
        run.cut_log(0)
        run.record_facts(_facts(decoded, number_format, device))
    else:
        if is_first:
            _require_same_run(run, decoded, device)
        _take_up(state, saved, run)
    return state, views


def _require_same_run(run: Run, decoded: DecodedSource, device: torch.device) -> None:
    """A run goes on with the photos and on the kind of device that it began with."""
    facts, hint = run.facts(), "Start a new run from this run's checkpoint instead."
    if facts.get("fingerprint") != decoded.fingerprint:
        raise RunError("The photos have changed since this run began, so it can't go on", run.id, hint)
    began = facts.get("device", "")
    if began and began.startswith("cuda") != (device.type == "cuda"):
        here, there = ("a GPU", "the processor") if device.type == "cuda" else ("the processor", "a GPU")
        raise RunError(f"This run began on {there} and can't go on on {here}", run.id, hint)


def _take_up(state: LoopState, saved: dict, run: Run) -> None:
    """Brings a state and the run's log to where they were saved."""
    try:
        state.restore(saved)
        run.cut_log(saved["metrics_bytes"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        hint = "Start a new run; its init can be this run's best checkpoint."
        raise CheckpointError("The saved state is not of this run", run.resume_path, hint) from error


def _facts(decoded: DecodedSource, number_format: str, device: torch.device) -> dict:
    source = decoded.source
    return {
        "data": source.name,
        "fingerprint": decoded.fingerprint,
        "classes": list(source.classes),
        "counts": source.counts(),
        "problems": len(source.problems),
        "precision": number_format,
        "device": str(device),
        "processes": distributed.world(),
        "made_with": checkpoint.made_with(),
    }
