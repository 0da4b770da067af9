"""Several processes train as one would, and only the first of them writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from browser_app import free_port

from flowers_core.network import alexnet, checkpoint
from flowers_core.network.alexnet import Dropout
from flowers_core.runs import Run
from flowers_core.storage import REPOSITORY
from flowers_core.training import distributed
from flowers_core.training.distributed import Share

TOLERANCE = 1e-3
"""Of every loss, relative: sums over two shares are rounded otherwise than one sum, and twelve steps build on it."""

TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]


def train(photos: Path, folder: Path, processes: int, *flags: object) -> subprocess.CompletedProcess:
    starter = [*TORCHRUN, "--master-port", str(free_port())] if processes == 2 else []
    command = [
        sys.executable, *starter, str(Path(__file__).with_name("thin.py")), "train", str(photos), "--preset", "quick",
        "--epochs", "4", "--batch-size", "5", "--precision", "float32", "--threads", "1", "--views", "centre",
        "--mixup", "0.3", "--averaging", "0.9", "--clip", "1", "--head", "least-squares", "--dropout", "0.5",
        "--run-dir", str(folder), "--json", *map(str, flags),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=280)


def test_two_processes_give_the_loss_curve_of_one(
    three_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 photos in batches of 5, 5 and 2, so that shares are uneven: 2 and 3 photos, then 1 and 1."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)  # as in thin.py
    one = train(three_kinds, tmp_path / "one", 1)
    two = train(three_kinds, tmp_path / "two", 2)
    assert one.returncode == two.returncode == 0, two.stderr[-3000:]
    said = json.loads(two.stdout)
    assert said["epochs"] == 4, "one JSON object, of the first process"
    alone, shared = (Run(tmp_path / name).metrics()[0] for name in ("one", "two"))
    assert [row["kind"] for row in shared] == [row["kind"] for row in alone], "every line once"
    for ours, theirs in zip(shared, alone, strict=True):
        for name in ours.keys() - {"kind"}:
            assert ours[name] == pytest.approx(theirs[name], rel=TOLERANCE, abs=1e-6), (ours, name)
    ours, theirs = (checkpoint.load(Run(tmp_path / n).checkpoint_path)[0].state_dict() for n in ("two", "one"))
    assert all(torch.allclose(ours[name], theirs[name], atol=2e-3) for name in theirs)
    assert Run(tmp_path / "two").facts()["processes"] == 2
    assert not Run(tmp_path / "two").resume_path.exists()


@pytest.mark.parametrize(("photos", "processes"), [(5, 2), (2, 2), (1, 2), (128, 3), (2, 4)])
def test_shares_cover_the_batch_and_weigh_every_photo_alike(photos: int, processes: int, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    counted = torch.zeros(photos)
    losses = torch.rand(photos)
    mean = 0.0
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        share = Share().of(photos)
        assert len(losses[share.part]) >= 1, "no process computes on nothing"
        counted[share.part] += share.weight * photos / processes / len(losses[share.part])
        mean += share.weight * losses[share.part].mean().item() / processes
    assert counted.tolist() == pytest.approx([1.0] * photos)
    assert mean == pytest.approx(losses.mean().item())


def test_shared_dropout_drops_what_one_process_would(monkeypatch) -> None:
    inputs = torch.rand(5, 64)
    torch.manual_seed(7)
    whole = Dropout(0.5)(inputs)
    monkeypatch.setenv("WORLD_SIZE", "2")
    parts = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        share = Share().of(5)
        torch.manual_seed(7)
        parts.append(distributed._shared_dropout(0.5, share)(inputs[share.part]))
    assert torch.equal(torch.cat(parts), whole)


def test_alone_nothing_is_asked_of_anybody() -> None:
    assert (distributed.world(), distributed.rank(), distributed.is_first()) == (1, 0, True)
    assert distributed.agree("this") == "this"
    assert distributed.total(1.0, 2.0) == [1.0, 2.0]
    assert Share().of(5) == Share(5, slice(None), 1.0)
