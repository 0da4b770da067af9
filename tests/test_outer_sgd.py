"""Steps without gradients: the same as plain SGD's, the same model files, and a training in little memory."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from flowers_core import alexnet, checkpoint, config, memory, runs, schedule, train
from flowers_core.alexnet import AlexNet
from flowers_core.cache import decode_source
from flowers_core.outer_sgd import LaggingLinear, OuterSGD
from flowers_core.schedule import clip, make_optimizer
from flowers_core.sources import open_source
from flowers_core.storage import REPOSITORY

ALLOWED_MB = 620


def stepped(network: AlexNet, optimizer: OuterSGD | torch.optim.Optimizer, longest: float, steps: int = 5) -> AlexNet:
    """The network after some steps on batches of 4, 3, 4, ... photos."""
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group["share"]
    for seed in range(steps):
        torch.manual_seed(seed)
        images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 1])
        photos = 4 - seed % 2
        loss = nn.functional.cross_entropy(network(images[:photos]), labels[:photos])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if longest:
            clip(optimizer, network, longest)
        optimizer.step()
    return network


def small_network() -> AlexNet:
    torch.manual_seed(3)
    return alexnet.build("2014", 3, dropout=0.0)


@pytest.mark.parametrize("rows", [0, 8, 512])
@pytest.mark.parametrize("longest", [0.0, 0.05])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_step_without_gradients_is_the_step_of_plain_sgd(
    rows: int, longest: float, frozen: bool, monkeypatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    monkeypatch.setattr(schedule, "MOST_ROWS", rows)
    settings = replace(config.preset("standard"), momentum=0.0, weight_decay=0.01, features_lr=0.0 if frozen else 0.5)
    ours, plain = small_network(), small_network()
    optimizer = make_optimizer(settings, ours)
    stepped(ours, optimizer, longest)
    assert sum(len(layer.push) for layer in optimizer.layers) == {0: 0, 8: 21, 512: 54}[rows]
    optimizer.settle()
    stepped(plain, make_optimizer(replace(settings, optimizer="sgd-2012"), plain), longest)
    assert all(layer.weight.grad is None for layer in ours.modules() if isinstance(layer, nn.Linear))
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_convolutions_keep_their_momentum_and_the_others_take_steps_as_long_in_sum(monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    settings = replace(config.preset("standard"), momentum=0.9, features_lr=0.5)
    network = small_network()
    optimizer = make_optimizer(settings, network)
    features, outer = optimizer.param_groups[1], optimizer.param_groups[-1]
    assert (features["momentum"], features["nesterov"], features["share"]) == (0.9, True, 0.5)
    assert outer["share"] == pytest.approx(10)
    assert {id(p) for group in optimizer.rest.param_groups for p in group["params"]} == {
        id(p) for p in network.parameters() if p.requires_grad
    }


def test_bfloat16_rounds_the_arithmetic_and_keeps_the_weights(monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    settings = replace(config.preset("standard"), momentum=0.0)
    exact, rounded = small_network(), small_network()
    optimizers = make_optimizer(settings, exact), make_optimizer(settings, rounded, "bfloat16")
    for network, optimizer in zip((exact, rounded), optimizers, strict=True):
        stepped(network, optimizer, 0.0)
        optimizer.settle()
    start, ends = small_network().classifier[1].weight, [n.classifier[1].weight for n in (exact, rounded)]
    assert ends[1].dtype == torch.float32
    assert (ends[0] - ends[1]).norm() < 0.02 * (ends[0] - start).norm(), "steps below bfloat16's grain are kept"
    assert isinstance(rounded.classifier[1], LaggingLinear)
    assert torch.equal(rounded.classifier[1].rounded, ends[1].bfloat16())


def test_a_file_written_in_pieces_is_the_same_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    network = alexnet.build("2014", 3)
    card = checkpoint.Card("2014", ("a", "b", "c"), {"size": 224, "window": 0.875, "views": "centre",
                                                     "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)})  # fmt: skip
    checkpoint.save(tmp_path / "whole.safetensors", checkpoint.shrink(network), card)
    checkpoint.save_in_pieces(tmp_path / "pieces.safetensors", network, card)
    (one, said), (two, says) = (checkpoint.load(tmp_path / f"{name}.safetensors") for name in ("whole", "pieces"))
    assert said == says == card or said.classes == says.classes == card.classes
    assert all(torch.equal(weight, two.state_dict()[name]) for name, weight in one.state_dict().items())
    other = alexnet.build("2014", 3)
    checkpoint.load_into(other, tmp_path / "pieces.safetensors")
    assert all(torch.equal(weight, one.state_dict()[name]) for name, weight in other.state_dict().items())


def test_a_stopped_and_resumed_lean_run_ends_with_the_same_bits(three_kinds: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    settings = replace(config.preset("small"), epochs=3, batch_size=6, data=str(three_kinds), threads=1)
    decoded = decode_source(open_source(three_kinds))
    whole, parts = (runs.create(settings, tmp_path / name) for name in ("whole", "parts"))
    result = train.fit(settings, decoded, whole)
    wishes = iter(["", "", "", "stop"])
    assert train.fit(settings, decoded, parts, lambda: next(wishes)).phase == "stopped"
    assert train.fit(settings, decoded, parts).phase == "finished"
    assert parts.metrics() == whole.metrics()
    ours, theirs = (checkpoint.load(run.checkpoint_path) for run in (parts, whole))
    assert ours[1] == theirs[1]
    assert theirs[1].results["valid_accuracy"] == result.best_accuracy
    assert all(torch.equal(weight, theirs[0].state_dict()[name]) for name, weight in ours[0].state_dict().items())


def test_momentum_and_lean_exclude_each_other() -> None:
    assert "choose 0" in replace(config.preset("small"), momentum=0.9).problems()[0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory a process took")
def test_the_small_presets_training_stays_in_bounds(three_kinds: Path, tmp_path: Path) -> None:
    """The training process's highest use; other presets take 1,800 MB."""
    command = [sys.executable, "-m", "flowers_core", "train", str(three_kinds), "--preset", "small", "--epochs", "1",
               "--run-dir", str(tmp_path / "run")]  # fmt: skip
    worker = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ, stderr=subprocess.PIPE)
    highest = 0
    while worker.poll() is None:
        for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                highest = int(line.split()[1])
        time.sleep(0.02)
    assert worker.returncode == 0, worker.stderr.read()
    assert highest / 1024 < ALLOWED_MB


@pytest.mark.parametrize(
    ("megabytes", "preset"), [(512, "small"), (690, "small"), (4096, "standard"), (None, "standard")]
)
def test_the_preset_follows_the_memory_there_is(megabytes: int | None, preset: str, monkeypatch) -> None:
    monkeypatch.setattr(memory, "allowed_mb", lambda: megabytes)
    assert memory.usual_preset() == preset
    assert bool(memory.advice()) == (preset == "small")
    assert preset in config.PRESETS


def test_a_containers_limit_counts_when_it_is_lower(tmp_path: Path, monkeypatch) -> None:
    whole = memory.allowed_mb()
    (tmp_path / "limit").write_text(str(690 * 2**20))
    monkeypatch.setattr(memory, "_LIMITS", (str(tmp_path / "limit"), str(tmp_path / "absent")))
    assert memory.allowed_mb() == 690
    (tmp_path / "limit").write_text("max\n")
    assert memory.allowed_mb() >= (whole or 0)
