"""The command line: everything a page does, on the same core."""

import argparse
import json
import logging
import os
import sys
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flowers_core import (
    __version__,
    checkpoint,
    compare,
    config,
    cross_validate,
    memory,
    presets,
    recipes,
    runs,
    studies,
    trash,
)
from flowers_core.errors import ConfigError, FlowersError, ImageError, RunError
from flowers_core.sources import SPLITS
from flowers_core.sources.records import printable

if TYPE_CHECKING:
    from flowers_core.cache import DecodedSource

DATA_HELP = (
    "a folder with Train/Valid[/Test], a folder of class folders, a flowers-102 folder, a zip of one of these, "
    "a link to a public Google Drive folder or zip, the name of an imported set, or garden or flowers102"
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
    data.add_argument(
        "--problems", action="store_true",
        help="also list copies, tiny, blurred, dark and odd photos, and doubtful labels (looks at each photo once)",
    )  # fmt: skip
    data.add_argument(
        "--grow", type=int, nargs=3, metavar=("TRAIN", "VALID", "TEST"),
        help="first bring the garden to so many pictures per kind",
    )  # fmt: skip

    bring = command("import", _import, "Bring photos in for good: a zip, a Google Drive link, flowers102, or a folder.")
    bring.add_argument("data", metavar="DATA", nargs="?", help=DATA_HELP)
    bring.add_argument("--name", default="", help="what to call the set (default: as its folder or file)")
    bring.add_argument("--kinds", default="30", choices=["30", "all"], help="of Flowers-102 (default: 30)")
    bring.add_argument("--job", type=Path, help=argparse.SUPPRESS)  # how a page starts an import

    add = command("add", _add, "Add photos to a kind of My own set, or take the last one back.")
    add.add_argument("kind", metavar="KIND", nargs="?", help="one of the set's kinds, or a new one")
    add.add_argument("images", metavar="IMAGE", type=Path, nargs="*")
    add.add_argument("--undo", action="store_true", help="take the photo that was added last out again")

    sets = command("sets", _sets, "List all sets of photos with their cards, rename, delete or bring back one.")
    sets.add_argument("set", metavar="SET", nargs="?", help="a set's id or name")
    sets.add_argument("--rename", metavar="NAME", help="give it another name")
    sets.add_argument("--delete", action="store_true", help="move it to the trash, for seven days")
    sets.add_argument("--restore", action="store_true", help="bring it back from there")
    sets.add_argument("--empty-trash", action="store_true", help="remove deleted sets for good")

    _add_run_folder(command("train", _train, "Train AlexNet, or go on with a run that was stopped or interrupted."))
    _add_run_folder(command("find-lr", _find_lr, "Suggest a learning rate, by a short training whose rate climbs."))

    tune = command("tune", _tune, "Search for better settings: many trainings, compared on the validation photos.")
    tune.add_argument("--trials", type=int, default=20, metavar="N", help="trainings to compare (default: 20)")
    tune.add_argument("--study", metavar="NAME", help="join or go on with the study of that name (default: a new one)")
    tune.add_argument("--study-dir", type=Path, metavar="DIR", help="go on with the study in this folder")
    tune.add_argument(
        "--storage", metavar="URL",
        help="database that workers share: sqlite:///FILE (default: one in the study's folder), "
        "postgresql://... or mysql+pymysql://...; also read from FLOWERS_STUDY_STORAGE",
    )  # fmt: skip
    tune.add_argument("--pruner", default="median", choices=studies.PRUNERS, help="what cuts hopeless trials short")
    tune.add_argument("--objective", default="accuracy", choices=studies.OBJECTIVES, help="what to improve on valid")
    tune.add_argument("--save-preset", metavar="NAME", help="keep the best settings as a preset of your own")
    _add_settings(tune)

    evaluate = command("evaluate", _evaluate, "Score a checkpoint on the photos of a split.")
    evaluate.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    evaluate.add_argument("data", metavar="DATA", help=DATA_HELP)
    evaluate.add_argument("--split", default="valid", choices=[*SPLITS, "all"], help="default: valid")
    evaluate.add_argument("--out", type=Path, metavar="DIR", help="also write the report, with every answer, here")
    evaluate.add_argument(
        "--disturb", action="store_true", help="also with the photos moved, turned, scaled, badly lit and blurred"
    )

    predict = command("predict", _predict, "Name the flower in each photo.")
    predict.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    predict.add_argument("images", metavar="IMAGE", type=Path, nargs="+")
    predict.add_argument("--top", type=int, default=5, metavar="K", help="how many kinds to list (default: 5)")

    export = command("export", _export, "Write a model as a page for browsers, as ONNX or as safetensors.")
    export.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    export.add_argument("--format", required=True, metavar="FORMAT", help="html, onnx or safetensors")
    export.add_argument("--out", required=True, type=Path, metavar="FILE", help="a file that is not there yet")

    listed = command("runs", _runs, "List all training runs, newest first; or name, note, delete or restore one.")
    _add_run_actions(listed)
    return parser


def _add_run_folder(parser: argparse.ArgumentParser) -> None:
    """The folder of a run, and the settings of a new one."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: a new one)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run-dir")
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """What trainings take: photos, a preset, and a flag for every setting."""
    parser.add_argument("data", metavar="DATA", nargs="?", help=DATA_HELP)
    parser.add_argument(
        "--preset",
        default=memory.usual_preset(),
        choices=presets.every(),
        help="settings to begin with (default: standard; small on machines with little memory)",
    )
    for setting in fields(config.TrainConfig):
        if setting.name != "data":
            flag = f"--{setting.name.replace('_', '-')}"
            choices = setting.metadata["choices"] or None
            text = setting.metadata["help"].replace("%", "%%")
            alone = {"nargs": "?", "const": "yes"} if choices == ("no", "yes") else {}
            parser.add_argument(flag, type=setting.type, choices=choices, help=text, default=argparse.SUPPRESS, **alone)


def _add_run_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, help: str, **text: str) -> None:
        sub = actions.add_parser(name, help=help, description=help)
        # The flag may stand before or after the action; a default here would undo the one before.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        if name != "empty-trash":
            sub.add_argument("run", metavar="RUN", help="the run's id, as the list has it")
        for key, what in text.items():
            sub.add_argument(key, metavar=key.upper(), help=what)

    action("rename", "Give a run a name.", text="the name; an empty one takes it away")
    action("note", "Write a note on a run.", text="the note; an empty one takes it away")
    action("delete", "Move a run that has ended into the trash.")
    action("restore", "Bring a deleted run back.")
    action("empty-trash", "Remove deleted runs for good.")


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
    if options.json and result is not None:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def _data(options: argparse.Namespace) -> dict:
    from flowers_core.cache import decode_source
    from flowers_core.sources import open_source

    if options.grow:
        _grow(options)
    decoded = decode_source(open_source(options.data, least_classes=1, progress=_progress), _progress)
    source = decoded.source
    findings = _findings(decoded) if options.problems else []
    _end_progress()
    if not options.json:
        counts = ", ".join(f"{count} {split}" for split, count in source.counts().items())
        print(f"{source.name}: {len(source.classes)} kinds, {counts} (split by {source.split_origin})")
        print(", ".join(source.classes))
        for problem in source.problems:
            print(f"left out: {problem.path}: {problem.reason}")
        if decoded.edits:
            print(f"{len(decoded.edits)} changes made in the app apply")
        for finding in findings:
            print(f"{finding['title']}: {', '.join(finding['photos'])}: {finding['note']}")
        if options.problems and not findings:
            print("No problems found.")
    result = {
        "name": source.name,
        "classes": list(source.classes),
        "images": source.counts(),
        "split_origin": source.split_origin,
        "fingerprint": decoded.fingerprint,
        "problems": [{"path": problem.path, "reason": problem.reason} for problem in source.problems],
        "changes": len(decoded.edits),
    }
    return {**result, "findings": findings} if options.problems else result


def _grow(options: argparse.Namespace) -> None:
    from flowers_core.garden import plot

    if options.data != "garden":
        raise ConfigError("Only the garden grows", options.data, "Give garden as DATA.")
    counts = dict(zip(SPLITS, options.grow, strict=True))
    plot.grow(counts, lambda done, total: _progress("Growing the garden", done, total))


def _findings(decoded: "DecodedSource") -> list[dict]:
    from flowers_core import features, problems

    photos, classes = decoded.source.photos, decoded.source.classes
    return [
        {
            "sort": finding.sort,
            "title": problems.SORTS[finding.sort].title,
            "photos": [photos[i].name for i in finding.photos],
            "note": finding.note,
            "across_splits": finding.crosses,
            "suggestion": None if finding.suggestion is None else classes[finding.suggestion],
        }
        for finding in problems.find(decoded, features.compute(decoded, _progress))
    ]


def _import(options: argparse.Namespace) -> dict:
    from flowers_core import importer
    from flowers_core.sources import flowers102, imports

    if options.job:
        known = importer.work(importer.Job(options.job))
    elif options.data is None:
        raise ConfigError("import needs DATA", None, "Name a zip, a Google Drive link, flowers102 or a folder.")
    else:
        if options.data.strip() == "flowers102":
            print(flowers102.TERMS, file=sys.stderr)
        importer.sweep()
        wish = imports.wish_for(options.data, options.name, "all" if options.kinds == "all" else "")
        known = importer.bring(wish, _progress)
        _end_progress()
    if known and not options.json:
        print(f"Imported {known.name}. Train on it: python -m flowers_core train {known.id}")
    return _card(known) if known else {}


def _add(options: argparse.Namespace) -> list[dict]:
    from flowers_core.images import read_file
    from flowers_core.sources import own

    if options.undo:
        last = own.additions(1)
        if not last:
            raise ConfigError("There is nothing to take back", None, "My own set is as it was.")
        own.undo(last[0])
    elif options.kind is None or not options.images:
        raise ConfigError("add needs KIND and IMAGE", None, "Say: add rose photo.jpg")
    done = last if options.undo else [own.add(read_file(path), options.kind) for path in options.images]
    if not options.json:
        for addition in done:
            print(f"{'Took back' if options.undo else 'Added'} a photo of {addition.folder}")
    return [asdict(addition) for addition in done]


def _sets(options: argparse.Namespace) -> list[dict]:
    from flowers_core.sources import library

    if options.empty_trash:
        library.empty_trash()
    if options.set:
        _change_set(options)
    elif options.rename is not None or options.delete or options.restore:
        raise ConfigError("sets needs SET for that", None, "Name the set, by its id or its name.")
    rows = [_card(known) for known in library.known_sets()]
    if not options.json:
        for row in rows:
            about = ", ".join(filter(None, (row["origin"], row["licence"])))
            print(f"{row['id']}  {row['name']}" + (f"  ({about})" if about else ""))
        for deleted in library.deleted_sets():
            print(f"in the trash: {deleted.name}")
    return rows


def _change_set(options: argparse.Namespace) -> None:
    from flowers_core.errors import DataError
    from flowers_core.sources import library

    if options.restore:
        deleted = next((d for d in library.deleted_sets() if options.set in (d.name, d.place.split(".")[0])), None)
        if deleted is None:
            raise DataError("There is no such set in the trash", options.set, "List what there is: sets.")
        library.restore(deleted)
        return
    known = library.find(options.set)
    if known is None:
        raise DataError("There is no such set", options.set, "List what there is: sets.")
    if options.rename is not None:
        library.change(known.id, name=options.rename)
    if options.delete:
        library.delete(known.id)


def _card(known) -> dict:
    keys = ("id", "name", "data", "origin", "licence", "added")
    return {key: getattr(known, key) for key in keys}


def _train(options: argparse.Namespace) -> dict | None:
    from flowers_core import distributed, worker

    with distributed.joined():
        if not distributed.is_first():
            logging.disable(logging.INFO)  # the first one tells it
            worker.follow(*distributed.agree(None))
            return None
        run = _resumed_run(options) if options.resume else _new_run(options)
        _say(f"Run {run.folder}")
        distributed.agree((run.config(), run.folder))
        result = worker.train_here(run, _say)
    folds = _folds(run) if result else None
    parting = compare.parting(run, compare.epochs_of(run))
    if not options.json:
        print(f"Best checkpoint: {run.checkpoint_path}" if result else "Stopped before it began.")
        if folds:
            print(f"Cross-validation: {folds['accuracy']:.1%} of {folds['n']} photos right; this judges the recipe.")
        if parting:
            print(f"Since epoch {parting.since} it learns its training photos by heart, and validation gains nothing.")
    return {
        "run_dir": str(run.folder),
        "checkpoint": str(run.checkpoint_path) if run.checkpoint_path.exists() else None,
        "phase": result.phase if result else "stopped",
        "epochs": result.epochs if result else 0,
        "best_valid_accuracy": result.best_accuracy if result else None,
        "best_epoch": result.best_epoch if result else 0,
        "seconds": round(result.seconds, 2) if result else 0.0,
        "images_per_second": round(result.images_per_second, 1) if result else 0.0,
        "overfitting_since": parting.since if parting else None,
        "cross_validation": folds,
    }


def _folds(run: runs.Run) -> dict | None:
    """What a cross-validation found: accuracy of all answers with its interval, of each fold, and the confusion."""
    found = cross_validate.pooled(run, run.status().folds)
    if found is None:
        return None
    whole = found.report
    return {
        "n": whole.n,
        "accuracy": whole.top1.value,
        "interval": [whole.top1.low, whole.top1.high],
        "folds": [fold.value for fold in found.folds],
        "confusion": whole.confusion.tolist(),
        "classes": list(whole.classes),
    }


def _tune(options: argparse.Namespace) -> dict:
    from flowers_core import tune

    if options.study_dir:
        study = studies.Study(options.study_dir)
    else:
        settings, given = _settings(options)
        space = {name: rule for name, rule in config.search_space(settings).items() if name not in given}
        plan = studies.Plan(settings, space, options.trials, options.pruner, options.objective)
        study = studies.create(plan, options.study)
    if not os.environ.get("FLOWERS_WORKER"):
        study.take_back_stop()
    _say(f"Study {study.folder}")
    tune.work(study, _say, options.storage)
    result = tune.report(study)
    if options.save_preset:
        result["preset"] = tune.save_best(study, options.save_preset)
    best = result["best"]
    if not options.json and best:
        words = ", ".join(f"{name} {value}" for name, value in best["settings"].items())
        print(f"Best of {result['trials']}: {best['valid_accuracy']:.1%} of {result['valid_n']}, with {words}")
        print(f"Trials less than {best['luck']:.0%} apart may differ by luck alone. Checkpoint: {best['checkpoint']}")
    return result


def _find_lr(options: argparse.Namespace) -> dict:
    from flowers_core import lr_finder, worker

    options.run_dir = options.run_dir or lr_finder.new_folder()
    found = worker.find_lr_here(_resumed_run(options) if options.resume else _new_run(options), _say)
    if found is None:
        raise RunError("Stopped before there was a suggestion")
    if not options.json:
        suggestion = "No suggestion" if found.suggestion is None else f"Learning rate {found.suggestion:.2g}"
        print(f"{suggestion}. {found.reason}")
    return asdict(found)


def _new_run(options: argparse.Namespace) -> runs.Run:
    return runs.create(_settings(options)[0], options.run_dir)


def _settings(options: argparse.Namespace) -> tuple[config.TrainConfig, set[str]]:
    """The settings that a command line means, and the names of those that it gives itself."""
    if options.data is None:
        raise ConfigError(f"{options.command} needs DATA", None, "Name a folder of photos, or garden.")
    names = {setting.name for setting in fields(config.TrainConfig)} - {"data"}
    changes = {name: value for name, value in vars(options).items() if name in names}
    given = set(changes)
    from flowers_core.sources import lasting_name, open_source

    source = open_source(options.data, progress=_progress)  # a wrong path leaves no run behind
    data = lasting_name(options.data)
    usual = presets.every()[options.preset].start if changes.get("variant", "2014") == "2014" else "scratch"
    init = changes.pop("init", usual)
    if init not in config.STARTS:
        checkpoint.read_card(Path(init))
        init = str(Path(init).resolve())
    have = source.counts()["train"], len(source.classes)
    chosen = presets.take(options.preset, init, have, **{**changes, "data": data})
    if presets.every()[options.preset].by_photos and not chosen.problems():
        _say(recipes.choose(init, *have).why)
    return chosen, given


def _resumed_run(options: argparse.Namespace) -> runs.Run:
    if options.run_dir is None:
        raise ConfigError("--resume needs --run-dir", None, "Name the folder of the run to go on with.")
    run = runs.Run(options.run_dir)
    run.config()
    if run.state() == "finished":
        raise ConfigError("This run has finished", run.folder, "Start a new one with --init and its checkpoint.")
    if run.status().cause == "diverged":
        hint = "Start a new run with a smaller learning rate."
        raise RunError("This run would end the same way again: its loss was not finite", run.folder, hint)
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
    if options.disturb:
        from flowers_core.robustness import robustness

        table = robustness(options.checkpoint, source, options.split, _progress)
        _end_progress()
        result["disturbed"] = table.to_dict()
        if not options.json:
            for row in table.rows:
                print(f"{row.name:<10} {row.amount:<14} {row.top1}")
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


def _export(options: argparse.Namespace) -> dict:
    from flowers_core.export import export

    made = export(options.checkpoint, options.format, options.out, _progress)
    _end_progress()
    if not options.json:
        print(f"{', '.join(map(str, made.files))} ({made.bytes / 1e6:.1f} MB)")
    if made.warning:
        print(f"Warning: {made.warning}", file=sys.stderr)
    return made.to_dict()


def _runs(options: argparse.Namespace) -> list[dict] | dict:
    if options.action:
        done = _act_on_run(options)
        if not options.json:
            print(done["done"])
        return done
    summaries = [runs.summary(run) for run in runs.list_runs()]
    if not options.json:
        for row in summaries:
            accuracy = row["best_valid_accuracy"]
            reached = "-" if accuracy is None else f"{accuracy:.1%}"
            name = f"  {row['name']}" if row["name"] else ""
            print(f"{row['run']}  {row['state']}  epoch {row['epoch']}  best valid accuracy {reached}{name}")
        if not summaries:
            print("No runs yet. Start one: python -m flowers_core train garden")
    return summaries


def _act_on_run(options: argparse.Namespace) -> dict:
    if options.action == "empty-trash":
        return {"done": f"Removed {trash.empty()} runs for good."}
    if options.action == "restore":
        return {"run": trash.restore(options.run).id, "done": f"{options.run} is back."}
    run = runs.find_run(options.run)
    if run is None:
        raise RunError("There is no such run", options.run, "List them with: python -m flowers_core runs")
    name, note = run.label()
    if options.action == "delete":
        trash.delete(run)
        return {"run": run.id, "done": f"{run.id} is in the trash; runs restore {run.id} brings it back."}
    run.set_label(*((options.text, note) if options.action == "rename" else (name, options.text)))
    return {"run": run.id, "done": f"{run.id} is called {run.name!r}."}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}  ", end="", file=sys.stderr, flush=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
