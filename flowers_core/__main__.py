"""The command line: everything a page does, on the same core."""

import argparse
import json
import logging
import os
import sys
import warnings
from typing import NoReturn

from flowers_core import __version__
from flowers_core.cli import models, photos, sets, training
from flowers_core.cli.common import end_progress
from flowers_core.errors import FlowersError
from flowers_core.sources.records import printable


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other error; `--help` has the rest."""
        print(f"{self.prog}: {message}. Try --help.", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = _Parser(prog="python -m flowers_core", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(function=function)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        return sub

    for module in (sets, photos, training, models):
        module.add_commands(command)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. 0: done; 2: an error that one line on standard error explains; 130: interrupted."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    options = build_parser().parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        result = options.function(options)
        if options.json and result is not None:
            print(json.dumps(result))  # in ASCII: a console that can't show a name must not change it
        sys.stdout.flush()
    except BrokenPipeError:  # who reads this, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except FlowersError as error:
        end_progress()
        print(f"Error: {printable(str(error))}", file=sys.stderr)
        return 2
    except MemoryError:
        print("Error: The machine ran out of memory. Choose a smaller batch size.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
