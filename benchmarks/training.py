"""How fast training is, against what people would write: python -m benchmarks.training [--photos FOLDER]

Trains the same AlexNet (2014, 30 kinds) on the same photos with (a) this project's own loop and standard augmentation,
and (b) a torchvision-style loop: ImageFolder, DataLoader with a worker per core, RandomResizedCrop, flip, float32. All
train on the GPU where there is one. Where fastai (c) or Keras (d; keras and tensorflow-cpu) is installed, it is
measured too. Each is a process of its own, so that none changes another's settings, but that no thread spins while it
waits is set for all; they take turns in each round, so that a change of the machine's mood hits all. Figures are
medians.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from flowers_core import garden
from flowers_core.machine import precision
from flowers_core.machine.parallel import usable_cores
from flowers_core.machine.torchvision_import import torchvision
from flowers_core.photos.cache import decode_source
from flowers_core.runs import Run
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.storage import REPOSITORY
from flowers_core.training.train import losses_at

KINDS, FLOP_PER_IMAGE = 30, 4.3e9
"""One photo forward and backward through variant 2014: 0.71 billion multiplications and additions, times 2, times 3."""


def steps_of_ours(folder: Path, batch: int) -> Iterator[None]:
    """One training step of this project at each call of next."""
    settings = replace(config.preset("standard"), batch_size=batch, head="random", epochs=10_000)
    rates = iter(lambda: 0.001, None)
    with tempfile.TemporaryDirectory() as place:
        for _ in losses_at(settings, decode_source(open_source(folder)), Run(Path(place)), rates):
            yield


def steps_of_torchvision(folder: Path, batch: int) -> Iterator[None]:
    """One training step of a plain torchvision script at each call of next."""
    vision = torchvision()
    transforms = vision.transforms
    augment = transforms.Compose(
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
         transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )  # fmt: skip
    data = vision.datasets.ImageFolder(folder / "Train", augment)
    torch.manual_seed(0)
    place = precision.device()
    network = vision.models.alexnet(num_classes=KINDS).to(place).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.001, momentum=0.9, weight_decay=5e-4)
    sampler = torch.utils.data.RandomSampler(data, replacement=True, num_samples=10**6)
    for images, labels in torch.utils.data.DataLoader(data, batch, sampler=sampler, num_workers=usable_cores()):
        loss = nn.functional.cross_entropy(network(images.to(place)), labels.to(place))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the GPU, as whoever prints the loss does
        yield


def steps_of_fastai(folder: Path, batch: int) -> Iterator[None]:
    """One training step with fastai's data loaders, augmentation and learner at each call of next."""
    vision = torchvision()  # before fastai, which imports it plainly
    from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, Resize, aug_transforms

    loaders = ImageDataLoaders.from_folder(
        folder, train="Train", valid="Train", bs=batch, num_workers=usable_cores(),
        item_tfms=Resize(256), batch_tfms=aug_transforms(size=224), device=precision.device(),
    )  # fmt: skip
    learner = Learner(loaders, vision.models.alexnet(num_classes=KINDS), loss_func=CrossEntropyLossFlat())
    learner.create_opt()
    while True:
        for images, labels in loaders.train:
            learner.opt.zero_grad()
            learner.loss_func(learner.model(images), labels).backward()
            learner.opt.step()
            yield


def steps_of_keras(folder: Path, batch: int) -> Iterator[None]:
    """One training step with Keras on TensorFlow, its loader and augmentation layers at each call of next."""
    import keras
    from keras import layers

    data = keras.utils.image_dataset_from_directory(folder / "Train", image_size=(256, 256), batch_size=batch)
    convolutions = ((64, 11, 4), (192, 5, 1), (384, 3, 1), (256, 3, 1), (256, 3, 1))
    stack = [layers.RandomCrop(224, 224), layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)]
    for number, (filters, kernel, stride) in enumerate(convolutions):
        stack.append(layers.Conv2D(filters, kernel, stride, "same", activation="relu"))
        if number in (0, 1, 4):
            stack.append(layers.MaxPooling2D(3, 2))
    dense = [layer for _ in range(2) for layer in (layers.Dropout(0.5), layers.Dense(4096, activation="relu"))]
    network = keras.Sequential([*stack, layers.Flatten(), *dense, layers.Dense(KINDS)])
    network.compile(keras.optimizers.SGD(0.001, 0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    while True:
        for images, labels in data:
            network.train_on_batch(images, labels)
            yield


CONTENDERS: dict[str, Callable[[Path, int], Iterator[None]]] = {
    "this project": steps_of_ours,
    "torchvision-style": steps_of_torchvision,
    "fastai": steps_of_fastai,
    "keras": steps_of_keras,
}


def ceiling(number_format: str) -> float:
    """The machine's matrix product speed in FLOP per second: the best of a few large square products."""
    place = precision.device()
    side = 2048 if place.type == "cpu" else 8192
    left = torch.randn(side, side, device=place).to(getattr(torch, number_format))

    def seconds() -> float:
        started = time.perf_counter()
        (left @ left)[0, 0].item()
        return time.perf_counter() - started

    return 2 * side**3 / min(seconds() for _ in range(6))


def serve(steps: Iterator[None]) -> None:
    """Makes as many steps as each line on standard input says, and answers with the seconds that they took."""
    next(steps)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            next(steps)
        print(f"seconds {time.perf_counter() - started}", flush=True)


def measure(names: list[str], folder: Path, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Images per second of each, median over rounds; the first steps of all are not counted."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training", "--serve", name, "--photos", folder, "--batch", str(batch)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in names
    }  # fmt: skip

    def seconds(child: subprocess.Popen, count: int) -> float:
        child.stdin.write(f"{count}\n")
        child.stdin.flush()
        return float(next(line for line in child.stdout if line.startswith("seconds ")).split()[1])

    try:
        for child in running.values():
            seconds(child, 2)
        speeds = {name: [] for name in running}
        for _ in range(rounds):
            for name, child in running.items():
                speeds[name].append(batch * steps / seconds(child, steps))
    finally:
        for child in running.values():
            child.kill()
    return {name: statistics.median(found) for name, found in speeds.items()}


def draw_photos(folder: Path, per_kind: int = 10) -> Path:
    """Photos of the size that people have, drawn: 30 kinds at 640 pixels."""
    from flowers_core.species import SPECIES

    for species in SPECIES:
        (folder / "Train" / species.name).mkdir(parents=True)
        for seed in range(per_kind):
            garden.draw(species.name, seed, 640).save(folder / "Train" / species.name / f"{seed}.jpg", quality=90)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder with Train/<kind>/; without it photos are drawn")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(CONTENDERS[options.serve](options.photos, options.batch[0]))
        return
    names = [name for name in CONTENDERS if name not in ("fastai", "keras") or importlib.util.find_spec(name)]
    for name in CONTENDERS.keys() - names:
        print(f"{name} is not installed, so it is left out")
    number_format = precision.choose("auto", precision.device())
    top = ceiling(number_format)
    place = precision.device()
    what = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{what}, {number_format}, matrix product ceiling {top / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.photos or draw_photos(Path(scratch) / "photos")
        for batch in options.batch:
            speeds = measure(names, folder, batch, options.steps, options.rounds)
            ours = speeds["this project"]
            for name, speed in speeds.items():
                print(f"batch {batch:4d}  {name:18s} {speed:7.1f} images/s   ours is {ours / speed:.2f} times as fast")
            print(f"batch {batch:4d}  this project reaches {ours * FLOP_PER_IMAGE / top:.0%} of the ceiling")


if __name__ == "__main__":
    main()
