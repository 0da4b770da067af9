"""The drawn garden: how fast it is drawn, how it looks, and what more of it teaches.

    python -m benchmarks.garden [--sheet FILE] [--per-kind 1 4 16 64] [--seeds 1 2 3]

Prints pictures per second of one core's time; writes a contact sheet of all kinds where asked; and trains the standard
preset on so many pictures per kind, each model asked about 20 new pictures of each kind.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from flowers_core import garden
from flowers_core.settings import config
from flowers_core.species import SPECIES

ASKED = 20
"""New pictures of each kind that a model is asked about."""

CELL, EACH = 160, 4


def pictures_per_second(count: int = 60) -> float:
    """Drawn at 256 pixels, per second of one core's time."""
    started = time.process_time()
    for number in range(count):
        garden.draw(SPECIES[number % len(SPECIES)].name, 1000 + number)
    return count / (time.process_time() - started)


def contact_sheet() -> Image.Image:
    """Some pictures of every kind with its name."""
    columns = 3
    rows = -(-len(SPECIES) // columns)
    sheet = Image.new("RGB", (columns * EACH * CELL, rows * (CELL + 16)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, kind in enumerate(SPECIES):
        row, column = divmod(place, columns)
        left, top = column * EACH * CELL, row * (CELL + 16)
        draw.text((left + 4, top + 2), kind.name, fill="black")
        for number in range(EACH):
            sheet.paste(garden.draw(kind.name, number).resize((CELL, CELL)), (left + number * CELL, top + 16))
    return sheet


def accuracy(per_kind: int, seed: int) -> float:
    """Top-1 on new pictures after training on so many per kind."""
    from flowers_core.evaluation.evaluate import ask
    from flowers_core.evaluation.predict import Classifier
    from flowers_core.garden import plot
    from flowers_core.photos.cache import decode_source
    from flowers_core.runs import Run
    from flowers_core.sources import open_source
    from flowers_core.training.train import fit

    plot.grow({"train": per_kind, "valid": 1, "test": ASKED})
    decoded = decode_source(open_source("garden"))
    settings = config.preset("standard", have=(per_kind * len(SPECIES), len(SPECIES)))
    with tempfile.TemporaryDirectory() as place:
        run = Run(Path(place))
        fit(replace(settings, seed=seed), decoded, run, lambda: "", resumable=False)
        return ask(Classifier(run.checkpoint_path), decoded, "test").top1.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet to this file")
    parser.add_argument("--per-kind", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    print(f"{pictures_per_second():.0f} pictures per second of one core's time")
    if options.sheet:
        contact_sheet().save(options.sheet)
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLOWERS_HOME"] = home
        for per_kind in options.per_kind:
            found = [accuracy(per_kind, seed) for seed in options.seeds]
            spread = f", sd {statistics.stdev(found):.3f}" if len(found) > 1 else ""
            print(
                f"{per_kind:3d} per kind: top-1 {statistics.mean(found):.3f}{spread} (n seeds {len(found)})", flush=True
            )


if __name__ == "__main__":
    main()
