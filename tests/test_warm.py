"""What the Photos page loads for the next click, while nobody waits."""

import importlib
import threading

import pytest

from flowers_core.machine import memory
from flowers_core.ui import warm


@pytest.mark.parametrize(("preset", "loaded"), [("standard", ["light", "heavy"]), ("small", ["light"])])
def test_what_loads_torch_is_left_out_on_a_small_host(preset: str, loaded: list[str], monkeypatch) -> None:
    found, done = [], threading.Event()
    monkeypatch.setattr(memory, "usual_preset", lambda: preset)
    monkeypatch.setattr(
        importlib, "import_module", lambda name: (found.append(name), name == loaded[-1] and done.set())
    )
    warm.up.clear()
    try:
        warm.up(("light",), ("heavy",))
        assert done.wait(10)
        warm.up(("light",), ("heavy",))
    finally:
        warm.up.clear()
    assert found == loaded, "once"
