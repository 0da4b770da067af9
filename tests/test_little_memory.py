"""A training in little memory: narrow hidden layers, any start, the same bits after a stop, bounds."""

import ctypes
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowers_core import runs
from flowers_core.errors import CheckpointError
from flowers_core.images.augment import STRENGTHS, EvalTransform
from flowers_core.machine import memory
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.network.alexnet import AlexNet, LowRank, build
from flowers_core.photos.cache import decode_source
from flowers_core.photos.dataset import select
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.storage import REPOSITORY
from flowers_core.training import head_start, train
from flowers_core.training.views import Views

ALLOWED_MB = 500


def test_a_narrow_networks_hidden_layers_are_products_with_room_for_every_class(monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 512)
    assert build("2014", 30, narrow=True).ranks == {1: 128, 4: 128}
    assert build("2014", 200, narrow=True).ranks == {1: 200, 4: 200}
    assert build("2014", 30).ranks == {}


def test_runs_of_versions_that_had_an_optimiser_for_it_stay_readable() -> None:
    now = config.preset("small")
    before = config.to_dict(now) | {"optimizer": "sgd-lean"}
    del before["memory"]
    assert config.from_dict(before) == now


def test_the_papers_start_is_as_spread_in_a_product() -> None:
    torch.manual_seed(1)
    hidden = build("2012", 3, narrow=True).classifier[1]
    assert isinstance(hidden, LowRank)
    assert (hidden.up.weight @ hidden.down.weight).std().item() == pytest.approx(0.01, rel=0.02)
    assert hidden.up.bias.unique().tolist() == [1.0]


def test_the_head_start_gives_a_narrow_network_the_answers_of_a_full_one(three_kinds: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    photos = select(decode_source(open_source(three_kinds)), "train")
    base, seen = EvalTransform(), torch.randn(5, 9216).relu()
    answers = []
    for narrow in (False, True):
        torch.manual_seed(1)
        network = build("2014", 3, narrow=narrow).eval()
        starts.start_weights(network, "imagenet")
        draws = torch.Generator().manual_seed(2)
        head_start.apply(Views(network, photos, base, STRENGTHS["none"]), draws)
        answers.append(network(seen))
        if narrow:
            hidden = network.classifier[1]
            assert hidden.down.weight.norm(dim=1).min() > 0, "no direction is dead"
            assert (hidden.up.weight[:, 3:] == 0).all()
    spread = answers[0].std()
    assert (answers[1].mean(0) - answers[0].mean(0)).abs().max() < spread


@pytest.mark.parametrize("stored", [0, 7])
def test_a_narrow_network_starts_from_any_model(stored: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    torch.manual_seed(1)
    teacher = AlexNet("2014", 3, ranks={1: stored, 4: stored} if stored else None).eval()
    transform = {"size": 224, "window": 0.875, "views": "centre", "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
    path = tmp_path / "teacher.safetensors"
    checkpoint.save(path, checkpoint.shrink(teacher), checkpoint.Card("2014", ("a", "b", "c"), transform))
    seen = torch.randn(5, 9216)
    for narrow in (True, False):
        network = build("2014", 3, narrow=narrow).eval()
        assert starts.start_weights(network, str(path), ("a", "b", "c"))
        torch.testing.assert_close(network(seen), teacher(seen), rtol=0.02, atol=0.002)
    weights = {name: weight for name, weight in checkpoint.shrink(teacher).items() if "classifier.4" not in name}
    checkpoint.save(path, weights, checkpoint.Card("2014", ("a", "b", "c"), transform))
    with pytest.raises(CheckpointError, match="lacks weights"):
        starts.start_weights(build("2014", 3, narrow=True), str(path), ("a", "b", "c"))


@pytest.mark.parametrize("init", ["imagenet", "scratch"])
def test_a_stopped_and_resumed_lean_run_ends_with_the_same_bits(
    init: str, three_kinds: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    settings = replace(config.preset("small", init), epochs=3, batch_size=6, data=str(three_kinds), threads=1)
    decoded = decode_source(open_source(three_kinds))
    whole, parts = (runs.create(settings, tmp_path / name) for name in ("whole", "parts"))
    result = train.fit(settings, decoded, whole)

    def after_three_steps() -> str:
        return "stop" if len(parts.metrics()[0]) >= 3 else ""

    assert train.fit(settings, decoded, parts, after_three_steps).phase == "stopped"
    assert train.fit(settings, decoded, parts).phase == "finished"
    assert parts.metrics() == whole.metrics()
    ours, theirs = (checkpoint.load(run.checkpoint_path) for run in (parts, whole))
    assert ours[1] == theirs[1]
    assert theirs[1].results["valid_accuracy"] == result.best_accuracy
    assert ours[0].ranks == {1: 64, 4: 64}
    assert all(torch.equal(weight, theirs[0].state_dict()[name]) for name, weight in ours[0].state_dict().items())


def test_the_paper_and_averaged_weights_train_in_little_memory(three_kinds: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    decoded = decode_source(open_source(three_kinds))
    changes = {"epochs": 2, "memory": "little", "averaging": 0.9, "data": str(three_kinds), "threads": 1}
    settings = replace(config.preset("paper-2012", "scratch", variant="2012"), **changes)
    run = runs.create(settings, tmp_path / "run")
    assert train.fit(settings, decoded, run).phase == "finished"
    assert isinstance(checkpoint.load(run.checkpoint_path)[0].classifier[4], LowRank)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory a process took")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's libraries alone take more")
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


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's own")
def test_what_was_freed_below_what_is_kept_goes_back_to_the_system() -> None:
    code = """
        from pathlib import Path
        from flowers_core.machine import memory

        def megabytes():
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

        memory.share_arenas()
        before = megabytes()
        blocks = [bytearray(60_000) for _ in range(3000)]
        last, blocks = blocks[-1], None
        freed = megabytes()
        memory.trim()
        print(freed - before, megabytes() - before)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    freed, trimmed = map(float, told.stdout.split())
    assert freed > 100, "the last block lies above all of them"
    assert trimmed < 20
