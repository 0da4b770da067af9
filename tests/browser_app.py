"""The app as the browser tests meet it: a real server with a home of its own, and a model whose answers are known."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from flowers_core.network import checkpoint
from flowers_core.runs import Run
from flowers_core.settings import config
from flowers_core.settings.config import TrainConfig

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
START_S = 90
"""Seconds that a server may take to answer on a busy machine."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Server:
    """`streamlit run streamlit_app.py` on a free port of this machine."""

    def __init__(self, home: Path):
        self.home = home
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Starts a process that has served nobody yet, and waits until it answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true",
            "--server.port", str(self.port), "--server.fileWatcherType", "none",
        ]  # fmt: skip
        with open(self.home / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "FLOWERS_HOME": str(self.home)}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        until(self._answers, "the server to answer", START_S)

    def kill(self) -> None:
        """Ends the process with no chance to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def runs(self) -> list[Run]:
        """All training runs of its home, oldest first."""
        return [Run(path.parent) for path in sorted((self.home / "checkpoints" / "runs").glob("*/config.json"))]

    def end_trainings(self) -> None:
        """Kills training processes, which live on when the server has died."""
        for run in self.runs():
            process = run.status().process
            if process and run.is_locked():
                os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
                until(lambda run=run: not run.is_locked(), f"{run.id} to end")

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"The server ended: {(self.home / 'server.log').read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def free_port() -> int:
    """A port below those that systems hand out for outgoing connections: no browser takes it before the server does."""
    while True:
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("", port := random.randrange(20_000, 32_000)))
            return port


def until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: it didn't come.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"Waited {seconds} s for {what}")
        time.sleep(0.1)


def at_rest(read: Callable[[], T], seconds: float = 60) -> T:
    """What two readings half a second apart agree on."""
    readings = [read()]

    def agree() -> bool:
        time.sleep(0.5)
        readings.append(read())
        return readings[-1] == readings[-2]

    until(agree, "rest", seconds)
    return readings[-1]


def save_model(path: Path, probabilities: dict[str, float], variant: str = "2014", views: str = "centre") -> None:
    """A checkpoint whose output layer knows nothing but its biases: it answers every photo with these probabilities."""
    import torch

    from flowers_core.images.augment import EvalTransform
    from flowers_core.network import alexnet

    network = alexnet.build(variant, len(probabilities))
    output = network.classifier[-1]
    torch.nn.init.zeros_(output.weight)
    output.bias.data = torch.tensor(list(probabilities.values())).log()
    card = checkpoint.Card(
        variant, tuple(probabilities), asdict(EvalTransform(views=views)),
        config=config.to_dict(TrainConfig(data="elsewhere")),
        data={"data": "three kinds", "fingerprint": "", "counts": {"train": 12, "valid": 6, "test": 6}},
        results={"epoch": 1, "valid_n": 6, "valid_accuracy": 1 / 3}, made_with=checkpoint.made_with(),
    )  # fmt: skip
    checkpoint.save(path, checkpoint.shrink(network), card)
