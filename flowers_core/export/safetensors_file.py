"""A model as a safetensors file, with an example beside it that needs nothing of this program."""

import errno
import json
import zipfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from flowers_core.export.layers import Layer
from flowers_core.network import checkpoint
from flowers_core.storage import explain_disk_errors, replacing, write_bytes

EXAMPLE = Path(__file__).with_name("example.py")


def write(path: Path, layers: list[Layer], about: dict) -> None:
    """Writes the model and, beside it, an example of the same name that ends in .py; or both in a zip, if PATH is one.

    Weights are float16, under the names that they have in the network; for variant 2014 these are torchvision's. The
    header's metadata holds `about` and `card` as JSON.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    if path.suffix.casefold() == ".zip":
        with explain_disk_errors(path), replacing(path) as temporary:
            model = temporary.with_suffix(".safetensors")
            try:
                _save(model, layers, about)
                with zipfile.ZipFile(temporary, "w") as archive:  # not compressed: weights hardly get smaller
                    archive.write(model, f"{path.stem}.safetensors")
                    archive.writestr(f"{path.stem}.py", _example(path.stem))
            finally:
                model.unlink(missing_ok=True)
        return
    with explain_disk_errors(path), replacing(path) as temporary:
        _save(temporary, layers, about)
    write_bytes(path.with_suffix(".py"), _example(path.stem).encode())


def _save(path: Path, layers: list[Layer], about: dict) -> None:
    tensors = {}
    for layer in layers:
        if layer.weight is not None:
            tensors[f"{layer.name}.weight"] = layer.weight.astype(np.float16)
            tensors[f"{layer.name}.bias"] = layer.bias.astype(np.float16)
        tensors |= {f"{layer.name}.{name}": array.astype(np.float16) for name, array in layer.more.items()}
    metadata = {"format": str(checkpoint.FORMAT), "about": json.dumps(about), "card": json.dumps(about["card"])}
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:  # how it reports a full disk
        raise OSError(errno.ENOSPC, str(error)) from error


def _example(stem: str) -> str:
    return EXAMPLE.read_text(encoding="utf-8").replace("NAME.py", f"{stem}.py")
