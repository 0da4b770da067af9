"""Makes a network small enough for a page: thin layers where they suffice, and whole numbers of one byte for weights.

Nothing here looks at photos; what it costs is measured afterwards, by `check`.
"""

import heapq
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from flowers_core.export.layers import Layer

COARSENESS = tuple(np.geomspace(1 / 32, 2, 36).tolist())
"""Steps between neighbouring values, in units of a row's root mean square; finer ones are tried first. The coarsest
leave hardly more than signs: what has learned little, and has no directions to spare, is as large as that."""

LOST_ENERGY = 1e-4
"""A matrix is split into two thin ones when they keep all of its squared entries but this share."""

MOST_RANK = 640
"""Widest split that is looked for."""

ROWS_TO_JUDGE = 128
"""Rows of a matrix from which its size is estimated."""


@dataclass(frozen=True)
class Coded:
    """A layer's weights as whole numbers: weight[i, j] = steps[i] * codes[i, j].

    Args:
        layer: with the weights that the codes stand for.
        codes: (rows, depth) int8.
        steps: (rows,) float32.
    """

    layer: Layer
    codes: np.ndarray
    steps: np.ndarray


def fit(layers: Sequence[Layer], budget: int) -> tuple[list[Layer], dict[str, Coded]]:
    """The finest network of whole numbers whose codes take at most `budget` bytes when packed.

    Weights of convolutions and of the output keep 127 steps to either side; the large fully connected layers get
    coarser until they fit. Random errors of many weights cancel out in a sum over thousands of inputs. What comes after
    them is small and stays as it is.

    Returns:
        The layers, with weights as they are after rounding; the codes by layer name.
    """
    thin = [part for layer in layers for part in _thinned(layer)]
    full = [layer.name for layer in thin if layer.op == "linear"]
    large = set(full[:-1])
    weighty = [layer for layer in thin if layer.op in ("conv", "linear")]
    after = [layer for layer in thin if layer.op in ("read", "kinds")]
    budget -= sum(
        array.nbytes for layer in after for array in (layer.weight, *layer.more.values()) if array is not None
    )
    for coarseness in COARSENESS:
        steps = {layer.name: coarseness if layer.name in large else 0.0 for layer in weighty}
        if sum(_estimated_bytes(layer, steps[layer.name]) for layer in weighty) <= budget:
            break
    coded = {layer.name: _coded(layer, steps[layer.name]) for layer in weighty}
    return [coded[layer.name].layer if layer.name in coded else layer for layer in thin], coded


def pack(content: bytes) -> bytes:
    """A zlib stream of it. Codes have no repetitions to look for, only common and rare values."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(content) + packer.flush()


def _thinned(layer: Layer) -> list[Layer]:
    """The layer, or two thinner ones in its place (a truncated singular value decomposition)."""
    if layer.op != "linear" or min(layer.weight.shape) < 2 * MOST_RANK:
        return [layer]
    weight = torch.from_numpy(layer.weight)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the decomposition begins with random directions; the same file each time
        u, s, v = torch.svd_lowrank(weight, MOST_RANK, niter=2)
    energy = float(weight.square().sum(dtype=torch.float64))
    lost = 1 - s.double().square().cumsum(0) / energy
    if lost[-1] > LOST_ENERGY:
        return [layer]
    rank = int((lost > LOST_ENERGY).sum()) + 1
    root = s[:rank].sqrt()
    down, up = (v[:, :rank] * root).T.contiguous().numpy(), (u[:, :rank] * root).contiguous().numpy()
    return [
        Layer("linear", f"{layer.name}.down", {}, down, np.zeros(rank, np.float32)),
        replace(layer, name=f"{layer.name}.up", weight=up),
    ]


def _coded(layer: Layer, coarseness: float) -> Coded:
    rows = layer.weight.reshape(len(layer.weight), -1)
    finest = np.abs(rows).max(1) / 127
    steps = np.maximum(finest, coarseness * np.sqrt(np.square(rows).mean(1)))
    steps = np.where(steps > 0, steps, 1).astype(np.float32)  # a row of zeros stays one
    codes = np.rint(rows / steps[:, None]).clip(-127, 127).astype(np.int8)
    rounded = (codes * steps[:, None]).reshape(layer.weight.shape)
    return Coded(replace(layer, weight=rounded), codes, steps)


def _estimated_bytes(layer: Layer, coarseness: float) -> float:
    """What the layer's codes take, with 2 % for the packer's tables; judged by some of its rows."""
    sample = layer.weight[:: max(1, len(layer.weight) // ROWS_TO_JUDGE)]
    codes = _coded(replace(layer, weight=sample), coarseness).codes
    counts = np.bincount(codes.ravel().view(np.uint8), minlength=256)
    return 1.02 * layer.weight.size * _huffman_bits(counts[counts > 0].tolist()) / codes.size / 8


def _huffman_bits(counts: list[int]) -> int:
    """Bits that values which occur so often take in Huffman's code: of few values much more than their entropy."""
    heapq.heapify(counts)
    bits = 0 if len(counts) > 1 else sum(counts)
    while len(counts) > 1:
        both = heapq.heappop(counts) + heapq.heappop(counts)
        heapq.heappush(counts, both)
        bits += both
    return bits
