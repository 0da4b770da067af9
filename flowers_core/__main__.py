"""The command line: everything a page does, on the same core."""

import argparse
import json
import logging
import os
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from flowers_core import __version__, checkpoint, config, runs
from flowers_core.errors import ConfigError, FlowersError, ImageError
from flowers_core.sources import SPLITS
from flowers_core.sources.records import printable

DATA_HELP = (
    "a folder with Train/Valid[/Test], a folder of class folders, a flowers-102 folder, a zip of one of these, "
    "or the name garden or flowers102"
)


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

    data = command("data", _data, "List what a data source holds and which files can't be read.")
    data.add_argument("data", metavar="DATA", help=DATA_HELP)

    train = command("train", _train, "Train AlexNet, or go on with a run that was stopped or interrupted.")
    train.add_argument("data", metavar="DATA", nargs="?", help=DATA_HELP)
    train.add_argument(
        "--preset", default="standard", choices=config.PRESETS, help="settings to begin with (default: standard)"
    )
    train.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: a new one)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --run-dir")
    for setting in fields(config.TrainConfig):
        if setting.name != "data":
            flag = f"--{setting.name.replace('_', '-')}"
            choices = setting.metadata["choices"] or None
            text = setting.metadata["help"].replace("%", "%%")
            train.add_argument(flag, type=setting.type, choices=choices, help=text, default=argparse.SUPPRESS)

    evaluate = command("evaluate", _evaluate, "Score a checkpoint on the photos of a split.")
    evaluate.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    evaluate.add_argument("data", metavar="DATA", help=DATA_HELP)
    evaluate.add_argument("--split", default="valid", choices=[*SPLITS, "all"], help="default: valid")
    evaluate.add_argument("--out", type=Path, metavar="DIR", help="also write the report, with every answer, here")

    predict = command("predict", _predict, "Name the flower in each photo.")
    predict.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    predict.add_argument("images", metavar="IMAGE", type=Path, nargs="+")
    predict.add_argument("--top", type=int, default=5, metavar="K", help="how many kinds to list (default: 5)")

    command("runs", _runs, "List all training runs, newest first.")
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
    except FlowersError as error:
        _end_progress()
        print(f"Error: {printable(str(error))}", file=sys.stderr)
        return 2
    except MemoryError:
        print("Error: The machine ran out of memory. Choose a smaller batch size.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def _data(options: argparse.Namespace) -> dict:
    from flowers_core.cache import decode_source
    from flowers_core.sources import open_source

    source = decode_source(open_source(options.data, least_classes=1, progress=_progress), _progress).source
    _end_progress()
    if not options.json:
        counts = ", ".join(f"{count} {split}" for split, count in source.counts().items())
        print(f"{source.name}: {len(source.classes)} kinds, {counts} (split by {source.split_origin})")
        print(", ".join(source.classes))
        for problem in source.problems:
            print(f"left out: {problem.path}: {problem.reason}")
    return {
        "name": source.name,
        "classes": list(source.classes),
        "images": source.counts(),
        "split_origin": source.split_origin,
        "problems": [{"path": problem.path, "reason": problem.reason} for problem in source.problems],
    }


def _train(options: argparse.Namespace) -> dict:
    from flowers_core import worker

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    run = _resumed_run(options) if options.resume else _new_run(options)
    say(f"Run {run.folder}")
    result = worker.train_here(run, say)
    if not options.json:
        print(f"Best checkpoint: {run.checkpoint_path}" if result else "Stopped before it began.")
    return {
        "run_dir": str(run.folder),
        "checkpoint": str(run.checkpoint_path) if run.checkpoint_path.exists() else None,
        "phase": result.phase if result else "stopped",
        "epochs": result.epochs if result else 0,
        "best_valid_accuracy": result.best_accuracy if result else None,
        "best_epoch": result.best_epoch if result else 0,
        "seconds": round(result.seconds, 2) if result else 0.0,
        "images_per_second": round(result.images_per_second, 1) if result else 0.0,
    }


def _new_run(options: argparse.Namespace) -> runs.Run:
    if options.data is None:
        raise ConfigError("train needs DATA", None, "Name a folder of photos, or garden.")
    names = {setting.name for setting in fields(config.TrainConfig)}
    changes = {name: value for name, value in vars(options).items() if name in names}
    from flowers_core.sources import open_source

    open_source(options.data, progress=_progress)  # a wrong path leaves no run behind
    data = options.data if options.data in ("garden", "flowers102") else str(Path(options.data).expanduser().resolve())
    usual = config.PRESETS[options.preset].start if changes.get("variant", "2014") == "2014" else "scratch"
    init = changes.pop("init", usual)
    if init not in config.STARTS:
        checkpoint.read_card(Path(init))
        init = str(Path(init).resolve())
    return runs.create(config.preset(options.preset, init, **{**changes, "data": data}), options.run_dir)


def _resumed_run(options: argparse.Namespace) -> runs.Run:
    if options.run_dir is None:
        raise ConfigError("--resume needs --run-dir", None, "Name the folder of the run to go on with.")
    run = runs.Run(options.run_dir)
    run.config()
    if run.state() == "finished":
        raise ConfigError("This run has finished", run.folder, "Start a new one with --init and its checkpoint.")
    if not os.environ.get("FLOWERS_WORKER"):  # a click on Stop while the process starts must not be lost
        for wish in ("stop", "pause"):
            run.take_back(wish)
    return run


def _evaluate(options: argparse.Namespace) -> dict:
    from flowers_core.evaluate import evaluate, save_report
    from flowers_core.sources import open_source

    source = open_source(options.data, least_classes=1, progress=_progress)
    report = evaluate(options.checkpoint, source, options.split, _progress)
    _end_progress()
    if options.out:
        save_report(report, options.out)
    result = report.to_dict()
    if not options.json:
        print(f"{report.n} photos of {report.data}, {report.split}")
        print(f"top-1 {report.top1}, top-5 {report.top5}, macro F1 {result['macro_f1']:.3f}, ECE {report.ece:.3f}")
    return result


def _predict(options: argparse.Namespace) -> list[dict]:
    if options.top < 1:
        raise ConfigError("--top must be at least 1", options.top)
    from flowers_core.predict import Classifier

    classifier = Classifier(options.checkpoint)
    predictions = [classifier.classify_file(path, str(path), options.top) for path in options.images]
    if not options.json:
        for prediction in predictions:
            answer = ", ".join(f"{name} {p:.1%}" for name, p in prediction.top)
            print(f"{prediction.file}: {answer or prediction.error}")
    if all(prediction.error for prediction in predictions) and not options.json:
        raise ImageError("None of the photos could be read", ", ".join(p.file for p in predictions[:3]))
    return [prediction.to_dict() for prediction in predictions]


def _runs(options: argparse.Namespace) -> list[dict]:
    summaries = [runs.summary(run) for run in runs.list_runs()]
    if not options.json:
        for row in summaries:
            accuracy = row["best_valid_accuracy"]
            reached = "-" if accuracy is None else f"{accuracy:.1%}"
            print(f"{row['run']}  {row['state']}  epoch {row['epoch']}  best valid accuracy {reached}")
        if not summaries:
            print("No runs yet. Start one: python -m flowers_core train garden")
    return summaries


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}  ", end="", file=sys.stderr, flush=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
