"""Trainings that are killed, one fork of this warmed-up process each; `test_crashes.py` starts it and reads its report.

A process that imports torch anew takes longer than the training under test; a fork takes milliseconds. One thread only,
because threads do not live on in a fork.
"""

import builtins
import hashlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from flowers_core import runs, storage
from flowers_core.errors import StorageError
from flowers_core.images.augment import EvalTransform
from flowers_core.network import alexnet, checkpoint
from flowers_core.runs import Run
from flowers_core.settings import config
from flowers_core.training import keeping, status_reporter, train, worker

NEVER = 10**9
STORAGE_REFUSED = 3


def prepare(photos: str) -> config.TrainConfig:
    """A network of a few weights on small pictures, saved after every step."""
    torch.set_num_threads(1)
    alexnet.HIDDEN = 16
    table = alexnet.VARIANTS["2014"]
    thin = tuple(replace(row, filters=8) for row in table.convolutions)
    alexnet.VARIANTS["2014"] = replace(table, convolutions=thin)
    keeping.SAVE_EVERY_S, keeping.SAVE_SHARE, status_reporter.EVERY_S = 0.0, 1e9, 0.0
    train._Fit._tell_of_end = lambda *_: None  # touches the disk as every step's status does, and often
    train.input_transform = lambda settings: EvalTransform(size=64, views="centre")
    quick = config.preset("quick", "scratch", data=photos, epochs=4, batch_size=5, views="centre", threads=1)
    return replace(quick, precision="float32", averaging=0.5)


def spawn(folder: Path, before: Callable[[], object] = lambda: None) -> int:
    """Trains `folder`'s run in a fork, from the beginning or from where it is; its process id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        before()
        worker.train_here(Run(folder), lambda line: None)
        status = 0
    except StorageError:
        status = STORAGE_REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def finish(folder: Path, before: Callable[[], object] = lambda: None) -> int:
    """Trains in a fork and waits: 0, STORAGE_REFUSED, or -9 when it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(spawn(folder, before), 0)[1])


def digest(folder: Path) -> str:
    """Names the metrics and the weights that a run ended with, to the last bit."""
    run = Run(folder)
    network, card = checkpoint.load(run.checkpoint_path)  # not the file's bytes: its header names tensors in any order
    found = hashlib.sha256(run.metrics_path.read_bytes() + repr(card).encode())
    for tensor in network.state_dict().values():
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def whole(settings: config.TrainConfig, place: Path) -> str:
    """The digest of a run that is never killed. It is made in this process, which has then imported all there is."""
    run = runs.create(settings, place / "whole")
    worker.train_here(run, lambda line: None)
    return digest(run.folder)


def find_damage(folder: Path) -> list[str]:
    """What a reader who looks now, right after a kill, would stumble over."""
    run, found = Run(folder), []
    for name in ("status.json", "config.json", "run.json"):
        path = folder / name
        if path.exists() and not isinstance(storage.read_json(path), dict):
            found.append(f"{name} is no JSON")
    for path, load in ((run.resume_path, checkpoint.load_state), (run.checkpoint_path, checkpoint.load)):
        if path.exists():
            try:
                load(path)
            except Exception as error:
                found.append(f"{path.name}: {error}")
    return found


def find_flaws(folder: Path, reference: str) -> list[str]:
    """What is wrong with a run that was killed and has finished now."""
    run, flaws = Run(folder), []
    epochs = [record["epoch"] for record in run.metrics()[0] if record["kind"] == "epoch"]
    if epochs != list(range(1, run.config().epochs + 1)):
        flaws.append(f"epochs {epochs}")
    if digest(folder) != reference:
        flaws.append("other bits")
    if left := [path.name for path in folder.glob(".*.tmp") if "status" not in path.name]:
        flaws.append(f"left behind: {left}")
    return flaws


def kill_at_random(settings: config.TrainConfig, place: Path, seed: int, kills: int) -> dict:
    """Kills trainings at random instants until there were enough; every one must end as one never killed."""
    chance = random.Random(seed)
    reference, killed, flaws, count = whole(settings, place), 0, [], 0
    started = time.monotonic()
    assert finish(runs.create(settings, place / "in a fork").folder) == 0
    usual = time.monotonic() - started
    while killed < kills:
        count += 1
        folder = runs.create(settings, place / f"run-{count}").folder
        for _ in range(25):
            process = spawn(folder)
            time.sleep(chance.uniform(0, 0.6 * usual))
            if os.waitpid(process, os.WNOHANG)[0]:
                break
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            killed += 1
            flaws += find_damage(folder)
        if Run(folder).state() != "finished" and finish(folder) != 0:
            flaws.append("did not finish")
        flaws += find_flaws(folder, reference)
    return {"killed": killed, "runs": count, "flaws": flaws, "usual": usual}


class Tripwire:
    """Kills its process at the n-th touch of the disk: before it, after it, or with half of the bytes written."""

    def __init__(self, trip: int, report: Path):
        self.trip, self.report, self.count = trip, report, 0

    def set_up(self) -> None:
        os.fsync = self.around("fsync", os.fsync)
        tempfile.mkstemp = self.around("mkstemp", tempfile.mkstemp)
        for name in ("replace", "chmod", "unlink"):
            setattr(Path, name, self.around(name, getattr(Path, name)))
        torch.save = self.around("torch.save", torch.save, half=lambda state, path: torn(path))
        safe = safetensors.torch.save_file
        safetensors.torch.save_file = self.around("save_file", safe, half=lambda tensors, path, card: torn(path))
        runs.truncate = self.around("truncate", runs.truncate)
        Run.log = self.around("append", Run.log, half=lambda run, record: torn(run.metrics_path, b'{"kind": "st'))

    def around(self, name: str, function: Callable, half: Callable | None = None) -> Callable:
        def watched(*arguments, **named):
            self.pass_by(f"before {name}")
            if half and self.is_next(f"half of {name}"):
                half(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **named)
            self.pass_by(f"after {name}")
            return result

        return watched

    def is_next(self, event: str) -> bool:
        self.count += 1
        if self.trip == NEVER:
            with builtins.open(self.report, "a") as file:
                file.write(event + "\n")
        return self.count == self.trip

    def pass_by(self, event: str) -> None:
        if self.is_next(event):
            os.kill(os.getpid(), signal.SIGKILL)


def torn(path: Path, content: bytes = b"PK\x03\x04 half a file") -> None:
    with builtins.open(path, "ab") as file:
        file.write(content)


def kill_at_each_touch(settings: config.TrainConfig, place: Path) -> dict:
    """Kills the last step of an epoch, its savings and the run's end, at every single touch of the disk."""
    import shutil

    reference = whole(settings, place)
    last = runs.create(settings, place / "last").folder
    steps = 3 * settings.epochs - 1

    def stop_before_the_last() -> None:
        step = train._Fit._train_step

        def counted(loop: train._Fit) -> None:
            step(loop)
            if loop.state.step == steps:
                loop.run.ask("stop")

        train._Fit._train_step = counted

    assert finish(last, stop_before_the_last) == 0
    Run(last).take_back("stop")
    report = place / "touches.txt"
    shutil.copytree(last, place / "counted")
    assert finish(place / "counted", Tripwire(NEVER, report).set_up) == 0
    touches, flaws, killed = report.read_text().splitlines(), [], 0
    for number, touch in enumerate(touches, 1):
        folder = Path(shutil.copytree(last, place / f"touch-{number}"))
        killed += finish(folder, Tripwire(number, report).set_up) == -signal.SIGKILL
        found = find_damage(folder)
        if Run(folder).state() != "finished":
            if finish(folder) != 0:
                found.append("did not finish")
            found += find_flaws(folder, reference)
        elif digest(folder) != reference:
            found.append("finished with other bits")
        flaws += [f"{touch} ({number}): {flaw}" for flaw in found]
        shutil.rmtree(folder)
    return {"touches": touches, "killed": killed, "flaws": flaws}


def refuse_to_write(settings: config.TrainConfig, place: Path) -> dict:
    """A disk that takes no file above 16 kB, and a folder that turns read-only, in the middle of a run."""

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))

    def read_only() -> None:
        def closed(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        tempfile.mkstemp = closed

    reference, report = whole(settings, place), {}
    for name, refusal in (("full", full), ("read_only", read_only)):
        folder = runs.create(settings, place / name).folder
        process = spawn(folder)
        while not Run(folder).resume_path.exists():
            time.sleep(0.001)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        saved = Run(folder).resume_path.read_bytes()
        code = finish(folder, refusal)
        report[name] = {
            "refused": code == STORAGE_REFUSED, "kept": Run(folder).resume_path.read_bytes() == saved,
            "status": Run(folder).status().message, "hint": Run(folder).status().hint,
            "went_on": finish(folder) == 0 and not find_flaws(folder, reference),
        }  # fmt: skip
    return report


if __name__ == "__main__":
    what, photos, folder, *numbers = sys.argv[1:]
    chosen, out = prepare(photos), Path(folder)
    labs = {"random": kill_at_random, "touches": kill_at_each_touch, "refusals": refuse_to_write}
    print(json.dumps(labs[what](chosen, out, *map(int, numbers))))
