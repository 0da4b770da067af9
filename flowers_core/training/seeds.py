"""Seeds for all chance of a training: each drawn anew from seed and step, so that no state of it needs saving."""

import zlib

import torch


def number(seed: int, purpose: str, count: int) -> int:
    """A seed for each run's seed, purpose and count.

    All of it lies in the lowest 32 bits: torch's generator on the CPU silently ignores the others.
    """
    return zlib.crc32(f"{seed}:{purpose}:{count}".encode())


def generator(seed: int, purpose: str, count: int) -> torch.Generator:
    """A generator on the CPU with that seed."""
    return torch.Generator().manual_seed(number(seed, purpose, count))
