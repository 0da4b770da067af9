"""A model as one HTML file that runs it in a browser, without a server or a network."""

import base64
import json
import re
from pathlib import Path

import numpy as np

from flowers_core.export import shrink
from flowers_core.export.check import Comparison
from flowers_core.export.layers import Layer
from flowers_core.storage import write_bytes

PAGE = Path(__file__).with_name("page")

MOST_BYTES = 30_000_000
"""The file's size at most: what still opens on a phone."""

ROOM = 600_000
"""Bytes of it kept for everything but weights: scripts, card, and what entropy is off by."""


def budget() -> int:
    """Bytes that packed weights may take: base64 makes four characters of three bytes."""
    return (MOST_BYTES - ROOM) * 3 // 4


def write(path: Path, layers: list[Layer], coded: dict[str, shrink.Coded], about: dict, cost: Comparison) -> None:
    """Writes the page whole.

    Args:
        path: the file.
        layers, coded: from `shrink.fit`.
        about: what `about.about` says; the page shows it.
        cost: what the shrinking changed.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    listed, content = _packed(layers, coded)
    script = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in ("photo.js", "page.js"))
    engine = "\n".join(
        (PAGE / name).read_text(encoding="utf-8") for name in ("kernel.js", "engine.js", "photo.js", "worker.js")
    )
    parts = {
        "style": (PAGE / "style.css").read_text(encoding="utf-8"),
        "about": _inert({**about, "layers": listed, "shrunk": str(cost), "difference": cost.to_dict()}),
        "engine": engine,
        "weights": base64.b64encode(shrink.pack(content)).decode(),
        "page": script,
    }
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    pieces = re.split(rf"/\*({'|'.join(parts)})\*/", template)  # what is put in is not searched for marks again
    write_bytes(path, "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces)).encode())


def _inert(value: object) -> str:
    """JSON that no HTML parser takes for markup, whatever a class is called."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _packed(layers: list[Layer], coded: dict[str, shrink.Coded]) -> tuple[list[dict], bytes]:
    """The list of layers with the places of their numbers, and those numbers: little-endian float32, int8."""
    listed, content = [], bytearray()

    def put(values: np.ndarray, kind: str) -> int:
        at = len(content)
        content.extend(np.ascontiguousarray(values).astype(kind).tobytes())
        return at

    for layer in layers:
        row = layer.to_dict()
        if layer.name in coded:
            codes, steps = coded[layer.name].codes, coded[layer.name].steps
            row |= {"rows": codes.shape[0], "depth": codes.shape[1], "codes": put(codes, "<i1")}
            row |= {"steps": put(steps, "<f4"), "bias": put(layer.bias, "<f4")}
            if layer.op == "conv":
                row["kernel"] = layer.weight.shape[2]
        else:  # where its numbers begin, and how many there are
            exact = {"weights": layer.weight, "bias": layer.bias, **layer.more}
            row |= {name: [put(array, "<f4"), array.size] for name, array in exact.items() if array is not None}
        listed.append(row)
    return listed, bytes(content)
