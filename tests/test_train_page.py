"""Train and Compare after a training's end: what is shown, what it is called, and where it leads."""

# ruff: noqa: F401, F811 - fixtures are found by their names

import pytest
from test_pages import _nothing_kept, button, ended, known, metrics, model, opened, rose_sayer, texts

from flowers_core import runs
from flowers_core.config import TrainConfig, to_dict
from flowers_core.sources import library


@pytest.fixture
def finished(known: library.KnownSet, model: str) -> runs.Run:
    """A run with a model, which has just finished: 67 % with one look at each photo, 63 % with several."""
    run = runs.Run(runs.runs_dir() / model)
    runs.write_json(run.folder / "config.json", to_dict(TrainConfig(data=known.data)))
    run.record_facts({"counts": {"train": 12, "valid": 6}, "fingerprint": "f"})
    run.log({"kind": "step", "step": 1, "epoch": 1.0, "loss": 1.0, "lr": 0.02})
    run.log({"kind": "epoch", "step": 1, "epoch": 1, "train_loss": 1.1, "train_accuracy": 0.5, "valid_loss": 1.3,
             "valid_accuracy": 0.67})  # fmt: skip
    run.write_status(runs.Status(phase="finished", epoch=1, epochs=1, step=1, steps=1, best_accuracy=0.63,
                                 best_epoch=1))  # fmt: skip
    return run


def test_its_mistakes_are_looked_for_on_the_set_that_it_learned_from(
    finished: runs.Run,
    known: library.KnownSet,
) -> None:
    app = opened("train", run=finished.id, data="garden")
    (link,) = [each for each in app.main.get("page_link") if each.value == "See its mistakes"]
    assert f"data={known.id}" in link.proto.query_string
    assert f"model={finished.id}" in link.proto.query_string
