"""Whatever kills a training, and whenever: it goes on, and ends with the same bits as one that was never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowers_core.storage import REPOSITORY

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of one process, which Windows has not")

KILLS = 60
SEED = 2012


def lab(what: str, photos: Path, folder: Path, *numbers: int) -> dict:
    """What crash_lab.py reports."""
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("crash_lab.py")), what, str(photos), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, numbers)], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_killed_at_random_instants(three_kinds: Path, tmp_path: Path) -> None:
    report = lab("random", three_kinds, tmp_path / "lab", SEED, KILLS)
    assert report["flaws"] == []
    assert report["killed"] >= KILLS


def test_killed_at_each_touch_of_the_disk(three_kinds: Path, tmp_path: Path) -> None:
    report = lab("touches", three_kinds, tmp_path / "lab")
    assert report["flaws"] == []
    assert report["killed"] == len(report["touches"]) >= 60
    kinds = {touch for touch in report["touches"] if touch.startswith(("half", "before"))}
    assert kinds >= {"half of torch.save", "half of save_file", "half of append", "before fsync", "before replace",
                     "before mkstemp", "before truncate", "before unlink"}  # fmt: skip


def test_a_disk_that_refuses_is_explained_and_the_last_good_state_kept(three_kinds: Path, tmp_path: Path) -> None:
    report = lab("refusals", three_kinds, tmp_path / "lab")
    for name in ("full", "read_only"):
        assert report[name]["refused"], name
        assert report[name]["kept"], name
        assert report[name]["went_on"], name
    assert "No space left on device" in report["full"]["status"]
    assert "Free some space" in report["full"]["hint"]
