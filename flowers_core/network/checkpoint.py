"""The self-describing model file: weights with everything needed to use and to judge them.

A checkpoint is a safetensors file: weights as float16, and a card as JSON in its header. Loading one never
executes anything, and reading a card needs neither torch nor the weights.
"""

import errno
import hashlib
import json
import math
import os
import platform
import stat
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from flowers_core import __version__
from flowers_core.errors import CheckpointError
from flowers_core.network import mahalanobis
from flowers_core.network.mahalanobis import RelativeMahalanobis
from flowers_core.settings.config import VARIANTS, TrainConfig
from flowers_core.storage import explain_disk_errors, replacing, runs_dir, shipped_dir, studies_dir

if TYPE_CHECKING:
    from torch import Tensor

    from flowers_core.images.augment import EvalTransform
    from flowers_core.network.alexnet import AlexNet

FORMAT = 1
"""Goes up when an older program could no longer read the file rightly."""

HIDDEN_LAYERS = (1, 4)
"""Places of the hidden fully connected layers in `AlexNet.classifier`."""
KINDS, READER = "kinds.", "reader."
"""Before the names of the Mahalanobis distance's tensors, and of the second reader's."""
MAX_HEADER_BYTES = 10_000_000
INPUT_SIZES = range(63, 1025)
"""Sides in pixels that a network takes: below, nothing is left after the last pooling."""

_VIEWS = TrainConfig.__dataclass_fields__["views"].metadata["choices"]


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself.

    Args:
        variant: which AlexNet.
        classes: names of the outputs, in their order.
        transform: fields of the EvalTransform that the network expects.
        config: the settings that it was trained with.
        data: name, fingerprint and photo counts per split of what it was trained on.
        results: what was measured ("valid_accuracy", "valid_n", "epoch", ...); with "folds" by so many sisters in
            cross-validation.
        made_with: versions of this program and its libraries, and the machine.
        temperature: divides the logits, so that a probability of 0.8 is right in 8 of 10 cases.
        rejection: {"score": "kinds", "threshold": t, "logit_weight": w, "accepted": share, "energy": e}: a photo that
            the model's `mahalanobis` scores below t, with logits of weight w (0 where missing), is none of the classes,
            as the given share of known ones is not; so, less reliably, is one whose `calibrate.scores` is below e.
            {"score": "energy", "threshold": e, ...} where there are no distances; empty when nothing is known of that.
    """

    variant: str
    classes: tuple[str, ...]
    transform: dict
    config: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    results: dict = field(default_factory=dict)
    made_with: dict = field(default_factory=dict)
    temperature: float = 1.0
    rejection: dict = field(default_factory=dict)

    def eval_transform(self) -> "EvalTransform":
        """How a photo becomes this network's input."""
        from flowers_core.images.augment import EvalTransform

        return EvalTransform(**{k: tuple(v) if isinstance(v, list) else v for k, v in self.transform.items()})


def made_with() -> dict[str, str]:
    """Versions and machine, for a card and for a run."""
    libraries = {name: version(name) for name in ("torch", "torchvision", "pillow", "numpy", "safetensors")}
    return {"alexnet-flowers": __version__, "python": platform.python_version(), **libraries,
            "machine": f"{platform.system()} {platform.machine()}"}  # fmt: skip


def file_key(path: Path) -> str:
    """Names this very file in the names of what is derived from it: another one in its place has another key.

    Raises:
        CheckpointError: it is gone.
    """
    state = _stat(path)
    text = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def written_at(path: Path) -> int:
    """When the file was written (nanoseconds since 1970): another one in its place was written at another time.

    Raises:
        CheckpointError: it is gone.
    """
    return _stat(path).st_mtime_ns


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        hint = "It was deleted or moved meanwhile: choose another model, or bring it back from the trash."
        raise CheckpointError("The model is gone", path, hint) from error


def shrink(network: "AlexNet") -> dict[str, "Tensor"]:
    """A copy of the weights as they are stored: float16, half the size, the same answers."""
    return {name: tensor.detach().half().cpu() for name, tensor in network.state_dict().items()}


def fits_float16(network: "AlexNet") -> bool:
    """Are all weights finite, and within the range of the stored numbers? Needs no memory for a copy."""
    extremes = (tensor.aminmax() for tensor in network.state_dict().values())
    return all(bool(low >= -65504 and high <= 65504) for low, high in extremes)


def with_kinds(weights: Mapping[str, "Tensor"], space: RelativeMahalanobis | None) -> dict[str, "Tensor"]:
    """The tensors of a checkpoint that also knows where its kinds lie."""
    import torch

    arrays = space.to_dict() if space else {}
    return {**weights, **{KINDS + name: torch.from_numpy(array).half() for name, array in arrays.items()}}


def save(path: Path, weights: Mapping[str, "Tensor"], card: Card) -> None:
    """Writes the checkpoint whole.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    metadata = {"format": str(FORMAT), "card": json.dumps(asdict(card))}
    with explain_disk_errors(path), replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(errno.ENOSPC, str(error)) from error


def read_card(path: Path) -> Card:
    """What the checkpoint says of itself; the weights are not read.

    Raises:
        CheckpointError: missing, damaged, not one of ours, or of a newer format.
    """
    metadata = _read_header(path).get("__metadata__")
    if not isinstance(metadata, dict) or "card" not in metadata:
        hint = "Choose a checkpoint that this app made: best.safetensors in a run's folder."
        raise CheckpointError("This file holds weights without a card, so it can't say what it knows", path, hint)
    try:
        if int(metadata.get("format", 0)) > FORMAT:
            hint = "Update this app to use it."
            raise CheckpointError(f"Made by a newer version (format {metadata['format']})", path, hint)
        return _checked(json.loads(metadata["card"]))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise CheckpointError("The checkpoint's card is damaged", path, "Use another checkpoint.") from error


def load(path: Path, number_format: str = "float32") -> tuple["AlexNet", Card]:
    """The network in evaluation mode, and its card.

    Args:
        path: the checkpoint.
        number_format: of the weights, a name of a torch type.

    Raises:
        CheckpointError: as for `read_card`; or weights are missing, of the wrong shape, or not finite.
    """
    import torch

    from flowers_core.network.alexnet import AlexNet

    card = read_card(path)
    weights = read_tensors(path)
    space = {name.removeprefix(KINDS): weights.pop(name) for name in list(weights) if name.startswith(KINDS)}
    with torch.device("meta"):  # no time spent on weights that are replaced at once
        network = AlexNet(card.variant, len(card.classes), ranks=ranks(weights))
        if any(name.startswith(READER) for name in weights):
            network.add_reader()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    odd = sorted(n for n in shapes.keys() | weights.keys() if n not in weights or weights[n].shape != shapes.get(n))
    if odd:
        what = f"The weights don't fit the network ({', '.join(odd[:3])})"
        raise CheckpointError(what, path, "Use another checkpoint.")
    require_finite(weights, path)
    wanted = getattr(torch, number_format)  # one after another: both formats at once would not fit into small hosts
    formats = {name: torch.float32 if name.startswith(READER) else wanted for name in weights}
    network.load_state_dict({name: weights.pop(name).to(formats[name]) for name in list(weights)}, assign=True)
    network.mahalanobis = _read_mahalanobis(space, network, path) if space else None
    return network.eval().to(memory_format=torch.channels_last), card


def _read_mahalanobis(arrays: Mapping[str, "Tensor"], network: "AlexNet", path: Path) -> RelativeMahalanobis:
    columns = mahalanobis.width(network.summary_filters)
    wanted = {"middle": (columns,), "directions": (columns, columns), "means": (network.classes, columns),
              "spread": (columns,)}  # fmt: skip
    if {name: tuple(array.shape) for name, array in arrays.items()} != wanted:
        raise CheckpointError("What it knows of its kinds doesn't fit the network", path, "Use another checkpoint.")
    require_finite(arrays, path)
    return RelativeMahalanobis(**{name: array.float().numpy() for name, array in arrays.items()})


def ranks(weights: Mapping[str, "Tensor"]) -> dict[int, int]:
    """Place and rank of the hidden layers that are stored as products."""
    stored = {place: weights.get(f"classifier.{place}.down.weight") for place in HIDDEN_LAYERS}
    return {place: len(down) for place, down in stored.items() if down is not None and down.ndim == 2 and len(down)}


def save_state(path: Path, state: dict) -> None:
    """Writes everything a training loop needs to go on, whole.

    Raises:
        StorageError: the disk is full or read-only.
    """
    import torch

    with explain_disk_errors(path), replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk as a RuntimeError
            raise OSError(errno.ENOSPC, "No space left on device") from error


def load_state(path: Path) -> dict:
    """What `save_state` wrote. Only tensors and plain values are accepted: nothing is executed.

    Raises:
        CheckpointError: missing or damaged.
    """
    import torch

    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(state, dict):
            raise TypeError("not a table")
        return state
    except Exception as error:  # damaged files make torch raise nearly anything
        raise CheckpointError("The saved state of this run can't be read", path, "Start a new run.") from error


def find_checkpoints() -> list[Path]:
    """Every checkpoint with a sound card: the best of each run and search, last written first, then the project's."""
    trained = [*runs_dir().glob("*/best.safetensors"), *studies_dir().glob("*/*/best.safetensors")]
    trained.sort(key=_written, reverse=True)
    return [path for path in (*trained, *sorted(shipped_dir().glob("*.safetensors"))) if _has_card(path)]


def is_shipped(path: Path) -> bool:
    """Does this checkpoint come with the project?"""
    return path.parent == shipped_dir()


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # deleted since it was listed
        return 0.0


def _has_card(path: Path) -> bool:
    try:
        read_card(path)
    except CheckpointError:
        return False
    return True


def _checked(values: dict) -> Card:
    """A card from JSON; LookupError, TypeError or ValueError when something in it can't be right."""
    card = Card(**{**values, "classes": tuple(values["classes"])})
    tables = (card.transform, card.config, card.data, card.results, card.made_with, card.rejection)
    if not all(isinstance(table, dict) for table in tables) or not isinstance(card.data.get("counts", {}), dict):
        raise TypeError("not a table")
    if not isinstance(values["classes"], list) or not all(isinstance(name, str) for name in card.classes):
        raise TypeError("classes are names")
    if card.variant not in VARIANTS or not card.classes or len(set(card.classes)) < len(card.classes):
        raise ValueError("no such network")
    measured = [card.results.get(name) for name in ("valid_accuracy", "valid_n", "valid_loss", "epoch", "folds")]
    if not all(value is None or is_number(value) for value in measured):
        raise TypeError("results are numbers")

    if not is_number(card.temperature) or not 0.01 <= card.temperature <= 100:
        raise ValueError("no such temperature")
    rejection = card.rejection
    if rejection and not (is_number(rejection.get("threshold")) and is_number(rejection.get("logit_weight", 0.0))):
        raise TypeError("thresholds and weights are numbers")

    names = ("size", "window", "views", "mean", "std")
    size, window, views, mean, std = (card.transform[name] for name in names)
    if len(card.transform) > len(names) or type(size) is not int or size not in INPUT_SIZES or views not in _VIEWS:
        raise ValueError("no such transform")
    if not len(mean) == len(std) == 3 or not all(map(is_number, (window, *mean, *std))):
        raise ValueError("no such transform")
    if not 0.01 <= window <= 4 or max(map(abs, mean)) > 1e3 or min(std) < 1e-4:
        raise ValueError("no such transform")
    return card


def is_number(value: object) -> bool:
    """A finite number, and no truth value, which Python counts as one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def require_finite(weights: Mapping[str, "Tensor"], where: object) -> None:
    """Raises CheckpointError, which names `where`, when a weight is not a finite number."""
    import torch

    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise CheckpointError("The weights are not finite numbers", where, "Use another checkpoint.")


def _read_header(path: Path) -> dict:
    hint = "Choose a .safetensors file that this app made."
    if path.suffix.casefold() in (".pt", ".pth", ".pkl", ".ckpt", ".bin"):
        raise CheckpointError("Pickled files can run code when they are opened, so they are refused", path, hint)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CheckpointError("This is a folder, not a checkpoint", path, hint)
        if not stat.S_ISREG(mode):  # reading a pipe might never end
            raise CheckpointError("This is not a plain file", path, hint)
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError("header too long")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("header is not a table")
        return header
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError("There is no such checkpoint", path, hint) from error
    except PermissionError as error:
        raise CheckpointError("No permission to read the checkpoint", path, "Check its permissions.") from error
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise CheckpointError("This file is not a checkpoint, or it is damaged", path, hint) from error


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """All tensors of a file, as they are stored.

    Raises:
        CheckpointError: missing, damaged, or no safetensors file.
    """
    from safetensors.torch import load_file

    _read_header(path)
    try:
        return load_file(path)
    except Exception as error:  # damaged files make safetensors and torch raise nearly anything
        raise CheckpointError("The checkpoint is cut off or damaged", path, "Copy it again, or use another.") from error
