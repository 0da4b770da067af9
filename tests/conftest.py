"""What tests share: a home of their own, small sets of drawn flowers, and real photos where there are any."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

# Two tests run at a time; were each to use every core, they would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import pytest
import streamlit as st
from browser_app import save_model
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import app_test

from flowers_core import garden
from flowers_core.network import checkpoint
from flowers_core.sources import Photo, library, open_source

KINDS = ("daffodil", "rose", "sunflower")
PROBABILITIES = {"daffodil": 0.27, "rose": 0.6, "sunflower": 0.13}
"""What the pages' model answers to every photo: rose, by far."""


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


# For the app's pages (see app_pages.py)


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No shipped models, a garden that grows in no time, nothing cached by the test before; and a warm server.

    AppTest begins every run as a server's first, on which `frame.enter` runs the page again: clicks and addresses
    would be lost. Real servers are cold but once, which test_browser.py tries.
    """
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)
    monkeypatch.setattr(app_test, "PagesManager", type("WarmPagesManager", (PagesManager,), {}))
    monkeypatch.setattr(checkpoint, "shipped_dir", lambda: tmp_path / "shipped")
    monkeypatch.setattr(garden, "grow", functools.partial(garden.grow, train=1, valid=1, test=1, size=24))
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="session")
def rose_sayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint that answers every photo with PROBABILITIES."""
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    save_model(path, PROBABILITIES)
    yield path
    path.unlink()


@pytest.fixture
def model(rose_sayer: Path, home: Path) -> str:
    """The checkpoint as the best of a run; the run's id."""
    folder = home / "checkpoints" / "runs" / "20250601-120000-three-kinds-2014"
    folder.mkdir(parents=True)
    os.link(rose_sayer, folder / "best.safetensors")
    return folder.name


@pytest.fixture
def known(three_kinds: Path) -> library.KnownSet:
    """The small set, as if somebody had added it."""
    return library.remember(three_kinds, "three kinds")


@pytest.fixture
def photo(three_kinds: Path) -> Photo:
    return next(each for each in open_source(three_kinds).photos if each.name == "Train/rose/2.jpg")
