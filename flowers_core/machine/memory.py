"""How much memory this process may use, and which preset fits."""

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

LEAST_MB = {"standard": 2500, "small": 620}
"""Megabytes that a training takes at its highest, with the app beside it (docs/experiments.md)."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def allowed_mb() -> int | None:
    """Megabytes that may be used in all: the machine's, or the container's limit; None where nobody tells."""
    found = []
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # ValueError: "max", which is no limit
            found.append(int(Path(path).read_text()))
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found) // 2**20 if found else None


def usual_preset() -> str:
    """The preset to begin with here: "standard", or "small" where that would not fit."""
    allowed = allowed_mb()
    return "small" if allowed is not None and allowed < LEAST_MB["standard"] else "standard"


def advice() -> str:
    """One sentence on why the small preset is chosen; "" on machines with enough memory."""
    if usual_preset() == "standard":
        return ""
    return f"This machine lets the app use {allowed_mb():,} MB of memory, so the preset that needs least is chosen."


def keep_for_reuse() -> None:
    """Lets freed blocks stay with this process, however large, for the next block of that size.

    glibc maps large blocks anew each time, and the system clears each of their pages when it is first touched; a
    training step asks for the same hundreds of megabytes again and again.
    """
    with suppress(OSError, AttributeError):  # other systems have no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no blocks of their own
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: nothing goes back
        mallopt(-2, 2**26)  # M_TOP_PAD: grow by 64 MB


def give_back_at_once() -> None:
    """Lets every freed block above a megabyte go back to the system at once.

    glibc keeps more and more of them for later as it meets larger ones: some 80 MB in a training.
    """
    with suppress(OSError, AttributeError):  # other systems have no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD: setting them also ends their growth
            mallopt(option, 2**20)


@cache
def share_arenas() -> None:
    """For a server, early: its threads, one for each click, share two heaps in place of eight per core. Asked once.

    What a thread frees is then there for the next one, and does not lie in a heap of its own.
    """
    with suppress(OSError, AttributeError):  # other systems have no mallopt
        ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def trim() -> None:
    """After work that took much memory for a moment: what is free goes back to the system."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
