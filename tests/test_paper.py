"""The recipe of 2012, constant by constant, as its paper has it; and one command that trains every variant.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks. Sections in brackets.
"""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from flowers_core import runs
from flowers_core.__main__ import main
from flowers_core.images.augment import STRENGTHS, input_transform, view_windows
from flowers_core.network import alexnet, checkpoint
from flowers_core.network.alexnet import build
from flowers_core.network.local_response import LocalResponseNorm
from flowers_core.photos.cache import decode_source
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.training import train
from flowers_core.training.schedule import learning_rate, make_optimizer

PAPER = config.preset("paper-2012", "scratch")

CONSTANTS = {
    "photos per step [5]": (PAPER.batch_size, 128),
    "momentum [5]": (PAPER.momentum, 0.9),
    "weight decay [5]": (PAPER.weight_decay, 0.0005),
    "learning rate [5]": (PAPER.lr, 0.01),
    "epochs, 'roughly 90 cycles' [5]": (PAPER.epochs, 90),
    "dropout [4.2]": (PAPER.dropout, 0.5),
    "side of the photo in the cache [2]": (input_transform(PAPER).size / STRENGTHS["paper"].window_low, 256),
    "side of the crop [4.1]": (input_transform(PAPER).size, 224),
    "side of the crop when answering [4.1]": (256 * input_transform(PAPER).window, 224),
    "spread of the colour shift [4.1]": (STRENGTHS["paper"].pca_sd, 0.1),
    "mirrored half of the time [4.1]": (STRENGTHS["paper"].mirror, True),
    "crops averaged when answering [4.1]": (len(view_windows(input_transform(PAPER))), 10),
    "a pixel's unit, 0 to 255 [2]": (input_transform(PAPER).std, (1 / 255,) * 3),
    "label smoothing, not known then": (PAPER.label_smoothing, 0.0),
    "mixup, not known then": (PAPER.mixup, 0.0),
    "gradient clipping, not used": (PAPER.clip, 0.0),
    "warm-up, not used": (PAPER.warmup, 0.0),
    "one rate for all layers [5]": (PAPER.features_lr, 1.0),
}


@pytest.mark.parametrize(("ours", "theirs"), CONSTANTS.values(), ids=CONSTANTS)
def test_the_constant_is_the_papers(ours: object, theirs: object) -> None:
    assert ours == theirs


def network_2012() -> alexnet.AlexNet:
    torch.manual_seed(5)
    return build(PAPER.variant, 1000, PAPER.dropout)


def test_weights_biases_normalisation_pooling_and_dropout_are_the_papers() -> None:
    network = network_2012()
    learned = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [layer.weight.std().item() for layer in learned] == pytest.approx([0.01] * 8, rel=0.03)  # [5]
    assert [layer.bias.mean().item() for layer in learned] == [0, 1, 0, 1, 1, 1, 1, 0]  # [5]: conv 2, 4, 5, hidden
    norms = [layer for layer in network.modules() if isinstance(layer, LocalResponseNorm)]
    assert [(layer.n, layer.k, layer.alpha, layer.beta) for layer in norms] == [(5, 2.0, 1e-4, 0.75)] * 2  # [3.3]
    pools = [(p.kernel_size, p.stride) for p in network.modules() if isinstance(p, nn.MaxPool2d)]
    assert pools == [(3, 2)] * 3  # [3.4]
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]  # [4.2]
    weights = sum(p.numel() for p in network.parameters())
    assert weights == pytest.approx(60e6, rel=0.04), "60 million parameters [abstract], in figure 2's layers"


def test_a_step_is_the_papers_update_rule() -> None:
    """v := 0.9 v - 0.0005 lr w - lr g, w := w + v [5]."""
    layer = network_2012()
    optimizer = make_optimizer(PAPER, layer)
    weight = layer.classifier[-1].weight
    w, v = weight.detach().clone(), torch.zeros_like(weight)
    for seed in range(3):
        torch.manual_seed(seed)
        g = torch.randn_like(w)
        weight.grad = g.clone()
        optimizer.step()
        v = 0.9 * v - 0.0005 * PAPER.lr * w - PAPER.lr * g
        w = w + v
        torch.testing.assert_close(weight.detach(), w)


def test_the_rate_is_cut_by_ten_when_validation_stops_improving(three_kinds: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(train, "PLATEAU_EPOCHS", 1)
    monkeypatch.setattr(train, "LEAST_GAIN", 10.0)  # so that no epoch counts as better than the first
    settings = replace(PAPER, epochs=3, views="centre", data=str(three_kinds), precision="float32", lr=0.0001)
    run = runs.create(settings, tmp_path / "run")
    train.fit(settings, decode_source(open_source(three_kinds)), run)
    rates = [record["lr"] for record in run.metrics()[0] if record["kind"] == "step"]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5])
    assert {learning_rate(PAPER, step, 900) for step in range(900)} == {0.01}, "between cuts it stands still"


@pytest.mark.parametrize("variant", config.VARIANTS)
def test_every_variant_trains_with_the_same_command(
    variant: str, three_kinds: Path, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    command = ["train", str(three_kinds), "--variant", variant, "--init", "scratch", "--preset", "quick",
               "--epochs", "1", "--views", "centre", "--run-dir", str(tmp_path / "run"), "--json"]  # fmt: skip
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["phase"], said["epochs"]) == ("finished", 1)
    network, card = checkpoint.load(Path(said["checkpoint"]))
    assert (network.variant, card.classes) == (variant, ("daffodil", "rose", "sunflower"))


def test_event_files_hold_every_step_once_also_after_a_resume(three_kinds: Path, tmp_path: Path, monkeypatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    settings = replace(config.preset("quick"), epochs=3, batch_size=6, views="centre", tensorboard="yes", threads=1)
    decoded, run = decode_source(open_source(three_kinds)), runs.create(settings, tmp_path / "run")
    wishes = iter(["", "", "", "stop"])
    assert train.fit(settings, decoded, run, lambda: next(wishes)).phase == "stopped"
    assert train.fit(settings, decoded, run).phase == "finished"
    events = accumulator.EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    records = run.metrics()[0]
    for tag, kind, name in (("loss/step", "step", "loss"), ("accuracy/valid", "epoch", "valid_accuracy")):
        expected = [(record["step"], record[name]) for record in records if record["kind"] == kind]
        assert [(event.step, event.value) for event in events.Scalars(tag)] == [
            (step, pytest.approx(value)) for step, value in expected
        ]


def test_without_the_package_event_files_are_refused_before_training(three_kinds, tmp_path, monkeypatch) -> None:
    import sys

    from flowers_core.errors import ConfigError

    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    settings = replace(config.preset("quick"), tensorboard="yes")
    run = runs.create(settings, tmp_path / "run")
    with pytest.raises(ConfigError, match="package tensorboard"):
        train.fit(settings, decode_source(open_source(three_kinds)), run)
