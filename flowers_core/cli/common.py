"""What commands share: how photos are named, and what stands on standard error meanwhile."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from flowers_core.errors import ConfigError
from flowers_core.sources import Source, flowers102, imports, library, open_source, splits
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


def named_photos(paths: Sequence[Path]) -> list[Path]:
    """The photos that a command line names; a folder stands for all that lie below it.

    Raises:
        DataError: a folder without a photo.
    """
    from flowers_core.sources.folder import photos_below

    return [photo for path in paths for photo in (photos_below(path) if path.is_dir() else [path])]


def open_data(options: argparse.Namespace, least_classes: int = 1) -> Source:
    """The photos that DATA names; Flowers-102 is downloaded before, where somebody agrees.

    Raises:
        ConfigError, DataError, StorageError: as `fetch` and `open_source`.
    """
    fetch(options.data, options)
    return open_source(options.data, least_classes=least_classes, progress=progress)


def fetch(data: str, options: argparse.Namespace, lost: str = "", kinds: str = "") -> None:
    """Downloads Flowers-102, where that is meant and it isn't here, once somebody has agreed to its terms.

    Args:
        data: what `open_source` is to open.
        options: with `accept_terms`.
        lost: what went on with it before, where something did.
        kinds: of Flowers-102, see `flowers102.KINDS`.

    Raises:
        ConfigError: nobody agreed.
        DataError, StorageError: it can't be downloaded.
    """
    if not _is_wanting(data):
        return
    ask_consent(data, options, lost)
    imports.bring(imports.request_for(data, kinds=kinds), progress)
    end_progress()


def ask_consent(data: str, options: argparse.Namespace, lost: str = "") -> None:
    """Before Flowers-102 is downloaded, shows its terms, and asks whoever sits at the terminal to agree.

    Raises:
        ConfigError: nobody agreed.
    """
    if not _is_wanting(data):
        return
    say(flowers102.TERMS)
    if options.accept_terms:
        return
    if sys.stdin and sys.stdin.isatty():
        print("Download it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().casefold() in ("y", "yes"):
            return
    hint = "Add --accept-terms if you do."
    if library.in_trash(FLOWERS102):
        hint += " It lies in the trash, too: sets flowers102 --restore brings it back."
    elif lost:
        hint += " Or import it again on the page Photos."
    why = f"The photos of {lost} are not here any more, and nobody" if lost else "Nobody"
    raise ConfigError(f"{why} agreed to these terms", FLOWERS102, hint)


def _is_wanting(data: str) -> bool:
    return data.strip() == FLOWERS102 and not library.find(FLOWERS102).added


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
