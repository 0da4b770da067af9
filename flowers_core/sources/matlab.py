"""Reads whole numbers from MATLAB files (level 5), as Flowers-102's labels and splits come in.

scipy reads these too, but a damaged one makes it crash the whole process, and anybody may upload one in a zip.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)
_MAX_BYTES = 2**24
"""More than this is not a file of labels."""


def read_numbers(path: Path) -> dict[str, list[int]]:
    """Every table of whole numbers in the file, by its name, column by column.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged, or something else.
    """
    with open(path, "rb") as file:
        content = file.read(_MAX_BYTES)
    orders = {b"IM": "<", b"MI": ">"}
    if content[126:128] not in orders:
        raise ValueError("not a MATLAB file of level 5")
    order, tables = orders[content[126:128]], {}
    try:
        for kind, data in _elements(content[128:], order):
            if kind == _COMPRESSED:
                kind, data = next(_elements(zlib.decompressobj().decompress(data, _MAX_BYTES), order))
            if kind != _MATRIX:
                continue
            (_, flags), _, (_, name), (number, values), *_ = _elements(data, order)
            if struct.unpack_from(order + "I", flags)[0] & 0xFF in _NUMERIC_CLASSES:
                tables[name.decode()] = _whole(np.frombuffer(values, order + _NUMBERS[number]))
    except (struct.error, zlib.error, KeyError, StopIteration) as error:
        raise ValueError("damaged") from error
    return tables


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The parts of a file or of a table: each its kind and its bytes."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(order + "II", content, place)
        if kind >> 16:  # up to four bytes are packed into the head itself
            kind, size = kind & 0xFFFF, kind >> 16
            data, place = content[place + 4 : place + 4 + min(size, 4)], place + 8
        else:
            data, place = content[place + 8 : place + 8 + size], place + 8 + size
            if kind != _COMPRESSED:
                place += -size % 8
        if len(data) < size:
            raise ValueError("cut off")
        yield kind, data


def _whole(values: np.ndarray) -> list[int]:
    floats = values.astype(float)
    if not (np.abs(floats) < 2**31).all() or (floats % 1).any():  # the first also when one is not a number
        raise ValueError("not whole numbers")
    return values.astype(int).tolist()
