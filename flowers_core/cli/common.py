"""What commands share: how photos are named, and what stands on standard error meanwhile."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

from flowers_core.errors import ConfigError
from flowers_core.sources import Source, flowers102, library, splits
from flowers_core.sources.library import FLOWERS102

Command = Callable[[str, Callable, str], argparse.ArgumentParser]
"""Adds a command: its name, the function that does it, and its help."""

DATA_HELP = (
    "a folder with Train/Valid[/Test], a folder of class folders, a flowers-102 folder, a zip of one of these, "
    "a link to a public Google Drive folder or zip, the name of an imported set, or garden or flowers102"
)


def add_data(parser: argparse.ArgumentParser, **rules: str) -> None:
    """The argument DATA, and consent to what it may ask for."""
    parser.add_argument("data", metavar="DATA", help=DATA_HELP, **rules)
    parser.add_argument(
        "--accept-terms", action="store_true", help="agree to the terms that are shown before flowers102 is downloaded"
    )


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


def ask_consent(options: argparse.Namespace) -> None:
    """Before Flowers-102 is downloaded, shows its terms, and asks whoever sits at the terminal to agree.

    Raises:
        ConfigError: nobody agreed.
    """
    if (getattr(options, "data", None) or "").strip() != FLOWERS102 or library.find(FLOWERS102).added:
        return
    say(flowers102.TERMS)
    if options.accept_terms:
        return
    if sys.stdin and sys.stdin.isatty():
        print("Download it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().casefold() in ("y", "yes"):
            return
    raise ConfigError("Nobody agreed to these terms", FLOWERS102, "Add --accept-terms if you do.")


def folds_hint(source: Source) -> str:
    """The flag that judges a training better than these photos' validation split does; "" where that one will do."""
    why = splits.advice(source)
    return f"{why} Add --folds {splits.FOLDS} to train for a cross-validation." if why else ""


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
