"""Commands that train: one run, a search, a look for the learning rate; and the list of runs."""

import argparse
import logging
import os
from dataclasses import asdict, fields
from pathlib import Path

from flowers_core import runs
from flowers_core.cli.common import Command, add_actions, add_data, fetch, folds_hint, open_data, say
from flowers_core.errors import ConfigError, RunError
from flowers_core.machine import memory
from flowers_core.network import checkpoint
from flowers_core.runs import trash
from flowers_core.settings import config, presets, recipes
from flowers_core.species import SPECIES
from flowers_core.training import compare, cross_validate, distributed
from flowers_core.tuning import studies


def add_commands(command: Command) -> None:
    """Adds the commands to the parser."""
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

    listed = command("runs", _runs, "List all training runs, newest first; or name, note, delete or restore one.")
    _add_run_actions(listed)


def _add_run_folder(parser: argparse.ArgumentParser) -> None:
    """The folder of a run, and the settings of a new one."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: a new one)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run-dir")
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """What trainings take: photos, a preset, and a flag for every setting."""
    add_data(parser, nargs="?")
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
    add_action = add_actions(parser)
    run = {"metavar": "RUN", "help": "the run's id, as the list has it"}
    for name, help, text in (
        ("rename", "Give a run a name.", "the name; an empty one takes it away"),
        ("note", "Write a note on a run.", "the note; an empty one takes it away"),
        ("delete", "Move a run that has ended into the trash.", ""),
        ("restore", "Bring a deleted run back.", ""),
    ):
        action = add_action(name, help)
        action.add_argument("run", **run)
        if text:
            action.add_argument("text", metavar="TEXT", help=text)
    add_action("empty-trash", "Remove deleted runs for good.")


def _train(options: argparse.Namespace) -> dict | None:
    from flowers_core.training import worker

    with distributed.joined():
        if not distributed.is_first():
            logging.disable(logging.INFO)  # the first one tells it
            worker.follow(*distributed.agree(None))
            return None
        run = _resumed_run(options) if options.resume else _new_run(options)
        say(f"Run {run.folder}")
        distributed.agree((run.config(), run.folder))
        result = worker.train_here(run, say)
    folds = _folds(run) if result else None
    onset = compare.onset(run, compare.epochs_of(run))
    if not options.json:
        print(f"Best checkpoint: {run.checkpoint_path}" if result else "Stopped before it began.")
        if folds:
            print(f"Cross-validation: {folds['accuracy']:.1%} of {folds['n']} photos right; this judges the recipe.")
        if onset:
            print(f"Since epoch {onset.since} it learns its training photos by heart, and validation gains nothing.")
    return {
        "run_dir": str(run.folder),
        "checkpoint": str(run.checkpoint_path) if run.checkpoint_path.exists() else None,
        "phase": result.phase if result else "stopped",
        "epochs": result.epochs if result else 0,
        "best_valid_accuracy": result.best_accuracy if result else None,
        "best_epoch": result.best_epoch if result else 0,
        "seconds": round(result.seconds, 2) if result else 0.0,
        "images_per_second": round(result.images_per_second, 1) if result else 0.0,
        "overfitting_since": onset.since if onset else None,
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
    from flowers_core.tuning import tune

    if options.study_dir:
        study = studies.Study(options.study_dir)
        if not os.environ.get("FLOWERS_WORKER"):
            fetch(study.plan().config.data, options, "this study")
    else:
        settings, given, _ = _settings(options)
        space = {name: rule for name, rule in config.search_space(settings).items() if name not in given}
        plan = studies.Plan(settings, space, options.trials, options.pruner, options.objective)
        study = studies.create(plan, options.study)
    if not os.environ.get("FLOWERS_WORKER"):
        study.take_back_stop()
    say(f"Study {study.folder}")
    tune.work(study, say, options.storage)
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
    from flowers_core.training import lr_finder, worker

    options.run_dir = options.run_dir or lr_finder.new_folder()
    found = worker.find_lr_here(_resumed_run(options) if options.resume else _new_run(options), say)
    if found is None:
        raise RunError("Stopped before there was a suggestion")
    if not options.json:
        suggestion = "No suggestion" if found.suggestion is None else f"Learning rate {found.suggestion:.2g}"
        print(f"{suggestion}. {found.reason}")
    return asdict(found)


def _new_run(options: argparse.Namespace) -> runs.Run:
    settings, _, preset = _settings(options)
    run = runs.create(settings, options.run_dir)
    run.record_facts({"preset": preset})
    return run


def _settings(options: argparse.Namespace) -> tuple[config.TrainConfig, set[str], str]:
    """The settings that a command line means, the names of those that it gives itself, and what to call all of them."""
    if options.data is None:
        raise ConfigError(f"{options.command} needs DATA", None, "Name a folder of photos, or garden.")
    names = {setting.name for setting in fields(config.TrainConfig)} - {"data"}
    changes = {name: value for name, value in vars(options).items() if name in names}
    given = set(changes)
    from flowers_core.sources import lasting_name

    source = open_data(options, least_classes=2)  # a wrong path leaves no run behind
    data = lasting_name(options.data)
    usual = presets.every()[options.preset].start if changes.get("variant", "2014") == "2014" else "scratch"
    init = changes.pop("init", usual)
    if init not in config.STARTS:
        checkpoint.read_card(Path(init))
        init = str(Path(init).resolve())
    have = source.counts()["train"], len(source.classes)
    chosen = presets.take(options.preset, init, have, **{**changes, "data": data})
    if not chosen.problems():
        if presets.every()[options.preset].by_photos:
            say(recipes.choose(init, *have).why)
        alone = distributed.world() == 1  # several processes that train as one take no folds
        if options.command == "train" and alone and not chosen.folds and (hint := folds_hint(source)):
            say(hint)
    return chosen, given, presets.called(chosen, options.preset, have)


def _resumed_run(options: argparse.Namespace) -> runs.Run:
    if options.run_dir is None:
        raise ConfigError("--resume needs --run-dir", None, "Name the folder of the run to go on with.")
    run = runs.Run(options.run_dir)
    run.config()
    run.require_unfinished()
    if not os.environ.get("FLOWERS_WORKER"):  # nobody sits at a process that a page started
        kinds = "all" if len(run.facts().get("classes", ())) > len(SPECIES) else ""
        fetch(run.config().data, options, "this run", kinds)
        for request in ("stop", "pause"):  # and a click on Stop while it starts must not be lost
            run.take_back(request)
    return run


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
    if options.action == "rename":
        run.set_label(options.text, note)
        return {"run": run.id, "done": f"{run.id} is called {run.name!r}."}
    run.set_label(name, options.text)
    return {"run": run.id, "done": f"The note is on {run.id}." if run.label()[1] else f"{run.id} has no note now."}
