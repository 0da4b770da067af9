"""How fast a photo is named, against plain torchvision: python -m benchmarks.inference [CHECKPOINT] [--photos FOLDER]

From a file's bytes to the answer, decoding included: (a) this project with the shipped model, (b) the usual torchvision
code: open, Resize(256), CenterCrop(224), ToTensor, Normalize, full AlexNet in float32, (c) the same with ONNX
Runtime. All take turns every few photos, so that a change of the machine's mood hits all, and nobody finds the
processor's caches full of another's weights at every photo.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowers_core import garden
from flowers_core.evaluation.predict import Classifier
from flowers_core.machine.parallel import usable_cores
from flowers_core.machine.torchvision_import import torchvision
from flowers_core.species import SPECIES
from flowers_core.storage import shipped_dir

BATCH = 32
TURN = 8
"""Photos that one answers before the next has its turn."""


def torchvision_path(classes: int) -> tuple[Callable[[bytes], np.ndarray], torch.nn.Module, Callable]:
    """Answer of one file's bytes, the network, and the preparation."""
    vision = torchvision()
    t = vision.transforms
    prepare = t.Compose(
        [t.Resize(256), t.CenterCrop(224), t.ToTensor(), t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    network = vision.models.alexnet(num_classes=classes).eval()

    @torch.inference_mode()
    def answer(content: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        return network(prepare(image)[None]).softmax(1)[0].numpy()

    return answer, network, prepare


def onnx_path(network: torch.nn.Module, prepare: Callable, threads: int) -> Callable[[bytes], np.ndarray]:
    """The same network and preparation with ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "alexnet.onnx")
        torch.onnx.export(network, torch.zeros(1, 3, 224, 224), file, input_names=["images"], verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its threads would go on spinning for a while, on the cores that the next one is timed on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def answer(content: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        return session.run(None, {"images": prepare(image)[None].numpy()})[0][0]

    return answer


def in_turns(answers: dict[str, Callable[[bytes], object]], photos: list[bytes]) -> dict[str, list[float]]:
    """Milliseconds of each answer, without those of a first turn that warms up."""
    times: dict[str, list[float]] = {name: [] for name in answers}
    for start in range(-TURN, len(photos), TURN):
        for name, answer in answers.items():
            for content in photos[max(0, start) : max(0, start) + TURN]:
                started = time.perf_counter()
                answer(content)
                if start >= 0:
                    times[name].append((time.perf_counter() - started) * 1000)
    return times


def folder_speeds(classifier: Classifier, network: torch.nn.Module, prepare: Callable, photos: list[bytes]) -> dict:
    """Photos per second when many are named together."""

    def ours() -> None:
        for _ in classifier.classify_files((content, "photo") for content in photos):
            pass

    @torch.inference_mode()
    def theirs() -> None:
        for start in range(0, len(photos), BATCH):
            part = photos[start : start + BATCH]
            network(torch.stack([prepare(Image.open(io.BytesIO(c)).convert("RGB")) for c in part])).softmax(1)

    speeds = {}
    for name, work in (("this project", ours), ("torchvision", theirs)):
        work()
        started = time.perf_counter()
        work()
        speeds[name] = len(photos) / (time.perf_counter() - started)
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=shipped_dir() / "flowers30.safetensors")
    parser.add_argument("--photos", type=Path, help="a folder of photos; without it, flowers are drawn")
    parser.add_argument("--size", type=int, default=1600, help="side in pixels of drawn flowers (default: 1600)")
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    if options.photos:
        files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        photos = [path.read_bytes() for path in files[: options.count]]
    else:
        photos = []
        for number in range(options.count):
            buffer = io.BytesIO()
            garden.draw(SPECIES[number % len(SPECIES)].name, number, options.size).save(buffer, "JPEG", quality=92)
            photos.append(buffer.getvalue())
    classifier = Classifier(options.checkpoint)
    print(f"{options.checkpoint.name}, views {classifier.transform.views}, {classifier.dtype}, {len(photos)} photos")
    plain, network, prepare = torchvision_path(len(classifier.classes))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers = {"this project": lambda content: classifier.classify_file(content, "photo"), "torchvision": plain}
        answers["onnx runtime"] = onnx_path(network, prepare, threads)
        times = in_turns(answers, photos)
        peer = statistics.median(times["torchvision"])
        for name, found in times.items():
            median, p95 = statistics.median(found), float(np.quantile(found, 0.95))
            print(f"{threads} threads  {name:13s} median {median:6.1f} ms, 95th percentile {p95:6.1f} ms, "
                  f"{median / peer:.2f} of torchvision's")  # fmt: skip
    torch.set_num_threads(usable_cores())
    speeds = folder_speeds(classifier, network, prepare, photos)
    ratio = speeds["this project"] / speeds["torchvision"]
    print("all cores  a folder: " + ", ".join(f"{k} {v:.1f}/s" for k, v in speeds.items())
          + f"; {ratio:.2f} times torchvision's")  # fmt: skip


if __name__ == "__main__":
    main()
