"""What commands share: how photos are named, and what stands on standard error meanwhile."""

import argparse
import sys
from collections.abc import Callable

Command = Callable[[str, Callable, str], argparse.ArgumentParser]
"""Adds a command: its name, the function that does it, and its help."""

DATA_HELP = (
    "a folder with Train/Valid[/Test], a folder of class folders, a flowers-102 folder, a zip of one of these, "
    "a link to a public Google Drive folder or zip, the name of an imported set, or garden or flowers102"
)


def say(line: str) -> None:
    """One line on standard error, where it doesn't disturb what a script reads."""
    print(line, file=sys.stderr, flush=True)


def progress(what: str, done: int, total: int) -> None:
    """How far a step is, on a line that is written over; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}  ", end="", file=sys.stderr, flush=True)


def end_progress() -> None:
    """Clears the line that `progress` wrote."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
