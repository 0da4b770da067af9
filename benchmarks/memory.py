"""Memory of the app and of a training beside it: `python -m benchmarks.memory`.

Starts the server in an empty home, opens every page in Chromium, names a photo, and trains thirty drawn kinds with the
preset for little memory. Prints what the server and the training took at their highest, in megabytes: resident, and
proportional (memory that both share, such as libraries, counted once). With --limit both may have only so much
together, as on a small host: whoever asks for more is killed, and the benchmark fails. Linux only; a limit needs root.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser_app import CHROMIUM, CHROMIUM_ARGS, Server
from playwright.sync_api import sync_playwright

from flowers_core import garden

PAGES = ("", "photos", "train", "compare", "tune", "evaluate", "classify")


class Watch(threading.Thread):
    """Notes the highest memory of some processes, and of all of them together."""

    def __init__(self, processes: dict[str, int]):
        super().__init__(daemon=True)
        self.processes, self.highest, self.is_over = processes, {}, False

    def run(self) -> None:
        while not self.is_over:
            total = 0
            for name, process in list(self.processes.items()):
                resident, proportional = memory_of(process)
                total += proportional
                self.note(f"{name}, resident", resident)
                self.note(f"{name}, proportional", proportional)
            self.note("together, proportional", total)
            time.sleep(0.1)

    def note(self, name: str, megabytes: float) -> None:
        self.highest[name] = max(self.highest.get(name, 0.0), megabytes)


def memory_of(process: int) -> tuple[float, float]:
    """Resident and proportional memory of a process in megabytes; 0 when it has ended."""
    sizes = {"Rss:": 0.0, "Pss:": 0.0}
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            name, *rest = line.split()
            if name in sizes:
                sizes[name] = int(rest[0]) / 1024
    return sizes["Rss:"], sizes["Pss:"]


@contextmanager
def limited(megabytes: int) -> Iterator[Callable[[int], None]]:
    """A control group with so much memory in all, and what puts a process into it; 0 is no limit."""
    if not megabytes:
        yield lambda process: None
        return
    first = Path("/sys/fs/cgroup/memory")  # version 1 of control groups
    group = (first if first.exists() else first.parent) / "flowers-benchmark"
    group.mkdir(exist_ok=True)
    (group / ("memory.limit_in_bytes" if first.exists() else "memory.max")).write_text(str(megabytes * 2**20))
    try:
        yield lambda process: (group / "cgroup.procs").write_text(str(process))
    finally:
        group.rmdir()


def visit(url: str, classify: bool) -> None:
    """Opens every page; names a drawn flower when asked to."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_page()
        for name in PAGES:
            page.goto(f"{url}/{name}")
            page.get_by_role("heading").first.wait_for(timeout=60_000)
            page.wait_for_timeout(3000)
        if classify:
            photo = io.BytesIO()
            garden.draw("sunflower", 5, 640).save(photo, "JPEG")
            upload = {"name": "sunflower.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()}
            page.locator("input[type=file]").set_input_files(upload)
            page.get_by_test_id("stProgress").filter(has_text="%").first.wait_for(timeout=60_000)
            page.wait_for_timeout(3000)
        browser.close()


def train(home: Path, data: Path, preset: str, epochs: int) -> subprocess.Popen:
    """A training as the app starts it, in a process of its own."""
    command = [sys.executable, "-m", "flowers_core", "train", str(data), "--preset", preset, "--epochs", str(epochs)]
    return subprocess.Popen(command, env={**os.environ, "FLOWERS_HOME": str(home)}, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("garden"), help="a folder of photos; else drawn flowers")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--classify", action="store_true", help="the server has named a photo before")
    parser.add_argument("--limit", type=int, default=0, help="megabytes that both may have together; 0 is all there is")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, limited(args.limit) as put:
        server = Server(Path(folder))
        server.start()
        put(server.process.pid)
        watch = Watch({"server": server.process.pid})
        watch.start()
        try:
            visit(server.url, args.classify)
            training = train(Path(folder), args.data, args.preset, args.epochs)
            put(training.pid)
            watch.processes["training"] = training.pid
            while training.poll() is None:
                time.sleep(0.2)
            if training.returncode or server.process.poll() is not None:
                sys.exit(f"Killed: server {server.process.poll()}, training {training.returncode}")
        finally:
            watch.is_over = True
            server.kill()
            time.sleep(1)  # until the group is empty
    for name, megabytes in sorted(watch.highest.items()):
        print(f"{name}: {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
