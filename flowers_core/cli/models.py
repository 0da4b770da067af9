"""Commands that use a trained model: score it, ask it, export it."""

import argparse
import sys
from pathlib import Path

from flowers_core.cli.common import Command, add_data, end_progress, named_photos, open_data, progress
from flowers_core.errors import ConfigError, ImageError
from flowers_core.network import sureness
from flowers_core.sources import SPLITS


def add_commands(command: Command) -> None:
    """Adds the commands to the parser."""
    evaluate = command("evaluate", _evaluate, "Score a checkpoint on the photos of a split.")
    evaluate.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    add_data(evaluate)
    evaluate.add_argument("--split", default="valid", choices=[*SPLITS, "all"], help="default: valid")
    evaluate.add_argument("--out", type=Path, metavar="DIR", help="also write the report, with every answer, here")
    evaluate.add_argument(
        "--disturb", action="store_true", help="also with the photos moved, turned, scaled, badly lit and blurred"
    )

    predict = command("predict", _predict, "Name the flower in each photo.")
    predict.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    predict.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="a photo, or a folder of them")
    predict.add_argument("--top", type=int, default=5, metavar="K", help="how many kinds to list (default: 5)")

    export = command("export", _export, "Write a model as a page for browsers, as ONNX or as safetensors.")
    export.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    export.add_argument("--format", required=True, metavar="FORMAT", help="html, onnx or safetensors")
    export.add_argument("--out", required=True, type=Path, metavar="FILE", help="a file that is not there yet")


def _evaluate(options: argparse.Namespace) -> dict:
    from flowers_core.evaluation.evaluate import evaluate, save_report

    source = open_data(options)
    report = evaluate(options.checkpoint, source, options.split, progress)
    end_progress()
    if options.out:
        save_report(report, options.out)
    result = report.to_dict()
    if not options.json:
        print(f"{report.n} photos of {report.data}, {report.split}")
        print(f"top-1 {report.top1}, top-5 {report.top5}, macro F1 {result['macro_f1']:.3f}, ECE {report.ece:.3f}")
    if options.disturb:
        from flowers_core.evaluation.predict import Classifier
        from flowers_core.evaluation.robustness import robustness
        from flowers_core.photos.cache import decode_source

        table = robustness(Classifier(options.checkpoint), decode_source(source), options.split, progress)
        end_progress()
        result["disturbed"] = table.to_dict()
        if not options.json:
            for row in table.rows:
                print(f"{row.name:<10} {row.amount:<14} {row.top1}")
    return result


def _predict(options: argparse.Namespace) -> list[dict]:
    if options.top < 1:
        raise ConfigError("--top must be at least 1", options.top)
    from flowers_core.evaluation.predict import Classifier

    photos = named_photos(options.images)
    classifier = Classifier(options.checkpoint)
    predictions = list(classifier.classify_files(((path, str(path)) for path in photos), options.top))
    if not options.json:
        for prediction in predictions:
            answer = ", ".join(f"{name} {sureness.percent(p)}" for name, p in prediction.top)
            print(f"{prediction.file}: {answer or prediction.error}")
    if all(prediction.error for prediction in predictions) and not options.json:
        raise ImageError("None of the photos could be read", ", ".join(p.file for p in predictions[:3]))
    return [prediction.to_dict() for prediction in predictions]


def _export(options: argparse.Namespace) -> dict:
    from flowers_core.export import export

    made = export(options.checkpoint, options.format, options.out, progress)
    end_progress()
    if not options.json:
        print(f"{', '.join(map(str, made.files))} ({made.bytes / 1e6:.1f} MB)")
    if made.warning:
        print(f"Warning: {made.warning}", file=sys.stderr)
    return made.to_dict()
