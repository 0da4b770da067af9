"""The app's pages as tests open and read them without a browser."""

import io
import re
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

from flowers_core import garden, runs
from flowers_core.evaluation import evaluate
from flowers_core.photos.cache import decode_source
from flowers_core.settings.config import TrainConfig
from flowers_core.sources import library, open_source
from flowers_core.training import cross_validate

ROOT = Path(__file__).parent.parent


TRAP = "![x](http://127.0.0.1:9/x.png)<img src='http://127.0.0.1:9/y.png'>[z](http://127.0.0.1:9/z)"
"""A name that would make a viewer's browser fetch something, were it taken for Markdown or HTML."""


def opened(page: str, /, **query: str) -> AppTest:
    """A page of the app after its first run, at an address with this query."""
    app = AppTest.from_file(ROOT / "streamlit_app.py", default_timeout=60)
    if page != "home":
        app.switch_page(f"pages/{page}.py")
    app.query_params.update(query)
    return app.run()


def texts(app: AppTest, *kinds: str) -> list[str]:
    """What stands in all elements of these kinds, in their order."""
    return [element.value for kind in kinds for element in app.main.get(kind)]


def unescaped(text: str) -> str:
    """Markdown as a person reads it."""
    return re.sub(r"\\(.)", r"\1", text)


def tables(app: AppTest) -> list[pd.DataFrame]:
    """All tables of text, as a person reads them."""
    return [
        table.value.map(unescaped).rename(columns=unescaped).rename(index=lambda name: unescaped(str(name)))
        for table in app.table
    ]


def button(app: AppTest, label: str):
    found = [each for each in app.button if each.label == label]
    assert len(found) == 1, f"{len(found)} buttons {label!r} among {[each.label for each in app.button]}"
    return found[0]


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def counted(app: AppTest) -> dict[str, str]:
    """What the line below a set's name counts."""
    (line,) = [text for text in texts(app, "markdown") if re.search(r" train · [\d,]+ valid", text)]
    left_out = re.search(r"([\d,]+) left out", line)
    found = dict(zip(("Kinds", "Train", "Valid", "Test"), re.findall(r"[\d,]+", line), strict=False))
    return found | {"Left out": left_out[1] if left_out else "0"}


def jpeg(kind: str = "rose") -> bytes:
    buffer = io.BytesIO()
    garden.draw(kind, 7, 96).save(buffer, "JPEG")
    return buffer.getvalue()


def choice(app: AppTest, key: str):
    return next(each for each in app.get("pills") if each.key == key)


def ended(name: str, known: library.KnownSet, label: str = "", **settings: object) -> runs.Run:
    """A finished run with curves that part after the first epoch."""
    config = replace(TrainConfig(data=known.data), **settings)
    run = runs.create(config, runs.runs_dir() / f"20250601-12000{name}-x")
    run.record_facts({"counts": {"train": 120, "valid": 30}, "fingerprint": "f"})
    for epoch in range(1, 9):
        run.log({"kind": "epoch", "step": epoch, "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.9,
                 "valid_loss": 1 + epoch / 10, "valid_accuracy": 0.6, "valid_rise": (epoch - 1) / 10,
                 "valid_rise_error": 0.02})  # fmt: skip
    run.write_status(runs.Status(phase="finished", epoch=8, epochs=8, step=8, steps=8, best_accuracy=0.6, best_epoch=1))
    run.set_label(label, "")
    return run


def cross_validated(known: library.KnownSet, run: runs.Run, folds: int, done: int) -> None:
    """Answers of the first `done` folds: all roses right, the others taken for roses."""
    decoded = decode_source(open_source(known.data))
    fold_of = cross_validate.assign_folds(decoded, folds, seed=1)
    for number in range(1, done + 1):
        view = cross_validate.subset_for_fold(decoded, fold_of, number - 1)
        answers = tuple(
            evaluate.Answer(photo.name, str(photo.path), photo.label, (1, 0, 2), (0.6, 0.3, 0.1), entry.digest)
            for photo, entry in zip(view.source.photos, view.entries, strict=True) if photo.split == "test"
        )  # fmt: skip
        report = evaluate.Report(str(run.folder), known.name, cross_validate.SPLIT, decoded.source.classes, answers,
                                 decoded.fingerprint, 0.0, 0.0)  # fmt: skip
        runs.write_json(cross_validate.fold_run(run, number).folder / "answers.json", asdict(report))
