"""What tests share: a home of their own, small sets of drawn flowers, and real photos where there are any."""

import os
from pathlib import Path

# Two tests run at a time; were each to use every core, they would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import pytest

from flowers_core import garden

KINDS = ("daffodil", "rose", "sunflower")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A FLOWERS_HOME of the test's own, so that nothing outside of it is read or changed."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOWERS_HOME", str(folder))
    return folder


def draw_set(folder: Path, counts: dict[str, int], kinds: tuple[str, ...] = KINDS, size: int = 96) -> Path:
    """Writes drawn flowers as folder/<split>/<kind>/<n>.jpg, no picture twice; split "" puts kinds at the top."""
    seed = 0
    for split, count in counts.items():
        for kind in kinds:
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
            for n in range(count):
                garden.draw(kind, seed + n, size).save(folder / split / kind / f"{n + 1}.jpg", quality=90)
        seed += count
    return folder


@pytest.fixture(scope="session")
def three_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds with 4 photos in Train, 2 in Valid and 2 in Test. Read only."""
    return draw_set(tmp_path_factory.mktemp("three kinds"), {"Train": 4, "Valid": 2, "Test": 2})


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """The folder with real photos, or the test is skipped."""
    folder = os.environ.get("FLOWERS_PHOTOS")
    if not folder:
        pytest.skip("FLOWERS_PHOTOS is not set: it names a folder with thirty_by_five and flowers30")
    return Path(folder)
