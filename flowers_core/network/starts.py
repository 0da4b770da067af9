"""What a training starts from: nothing, ImageNet's weights, or another model's."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from flowers_core.errors import CheckpointError
from flowers_core.network.alexnet import AlexNet, LowRank
from flowers_core.network.checkpoint import HIDDEN_LAYERS, ranks, read_card, read_tensors, require_finite
from flowers_core.storage import shipped_dir

IMAGENET_FEATURES = "alexnet-imagenet-features.safetensors"
OUTPUT_LAYER = "classifier.6."


def start_weights(network: AlexNet, init: str, classes: tuple[str, ...] = ()) -> bool:
    """Fills in what a run starts from: ImageNet's convolutions, all of ImageNet's but the output, or a checkpoint's.

    From a checkpoint of other classes everything but the output layer is taken.

    Args:
        network: freshly built; changed in place.
        init: "scratch", "imagenet", "imagenet-full" or a checkpoint's path.
        classes: what the network is to learn.

    Returns:
        Whether every layer was filled, the output layer too: true for a checkpoint of the same classes.

    Raises:
        CheckpointError: the file is missing, damaged, or of another variant; the download failed.
    """
    if init == "scratch":
        return False
    learned: tuple[str, ...] | None = None
    if init == "imagenet":
        weights = read_tensors(shipped_dir() / IMAGENET_FEATURES)
    elif init == "imagenet-full":
        weights = _downloaded_imagenet()
    else:
        card = read_card(Path(init))
        if card.variant != network.variant:
            hint = f"Choose variant {card.variant}, or another start."
            raise CheckpointError(f"A {card.variant} checkpoint can't start a {network.variant}", init, hint)
        weights, learned = _as_in(network, read_tensors(Path(init))), card.classes
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    fitting = {name: tensor.float() for name, tensor in weights.items() if tensor.shape == shapes.get(name)}
    if learned != classes:  # as many outputs may still mean other kinds
        fitting = {name: tensor for name, tensor in fitting.items() if not name.startswith(OUTPUT_LAYER)}
    needed = "features." if init == "imagenet" else ("features.", "classifier.")
    lacking = [n for n in shapes if n.startswith(needed) and not n.startswith(OUTPUT_LAYER) and n not in fitting]
    if lacking:
        what = f"The file lacks weights that AlexNet {network.variant} needs ({', '.join(lacking[:3])})"
        raise CheckpointError(what, init, "Choose another start.")
    require_finite(fitting, init)
    network.load_state_dict(fitting, strict=False)
    return len(fitting) == len(shapes)


def _as_in(network: AlexNet, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with each hidden layer as this network has it: full, or as the product closest to it."""
    changed = dict(weights)
    for place in HIDDEN_LAYERS:
        name, layer = f"classifier.{place}", network.classifier[place]
        weight, bias = changed.pop(f"{name}.weight", None), changed.pop(f"{name}.bias", None)
        if place in ranks(weights):
            down, up = changed.pop(f"{name}.down.weight"), changed.pop(f"{name}.up.weight", None)
            bias = changed.pop(f"{name}.up.bias", None)
            weight = up.float() @ down.float() if up is not None and up.shape[-1:] == down.shape[:1] else None
        if weight is None or bias is None or weight.shape != (layer.out_features, layer.in_features):
            continue  # the layer lacks, as who asked will see
        if isinstance(layer, LowRank):
            left, sizes, right = torch.svd_lowrank(weight.float(), layer.rank, niter=4)
            changed |= {f"{name}.down.weight": right.T, f"{name}.up.weight": left * sizes, f"{name}.up.bias": bias}
        else:
            changed |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return changed


def _downloaded_imagenet() -> dict[str, Tensor]:
    from flowers_core.machine.torchvision_import import torchvision

    try:
        return torchvision().models.AlexNet_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        hint = "Check the internet connection, or choose init imagenet, which needs none."
        raise CheckpointError(f"Could not download the ImageNet weights ({error})", None, hint) from error
