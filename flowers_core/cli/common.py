"""What commands share: how photos are named, and what stands on standard error meanwhile."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

Command = Callable[[str, Callable, str], argparse.ArgumentParser]
"""Adds a command: its name, the function that does it, and its help."""

DATA_HELP = (
    "a folder with Train/Valid[/Test], a folder of class folders, a flowers-102 folder, a zip of one of these, "
    "a link to a public Google Drive folder or zip, the name of an imported set, or garden or flowers102"
)


def add_data(parser: argparse.ArgumentParser, **rules: str) -> None:
    """The argument DATA."""
    parser.add_argument("data", metavar="DATA", help=DATA_HELP, **rules)


def add_actions(parser: argparse.ArgumentParser) -> Callable[[str, str], argparse.ArgumentParser]:
    """Lets a command have actions; gives the function that adds one by its name and its help."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def add_action(name: str, help: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help, description=help)
        # The flag may stand before or after the action; a default here would undo the one before.
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        return action

    return add_action


def say(line: str) -> None:
    """One line on standard error, where it doesn't disturb what a script reads."""
    print(line, file=sys.stderr, flush=True)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of cells below a head, in columns."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def progress(what: str, done: int, total: int) -> None:
    """How far a step is, on a line that is written over; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}  ", end="", file=sys.stderr, flush=True)


def end_progress() -> None:
    """Clears the line that `progress` wrote."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
