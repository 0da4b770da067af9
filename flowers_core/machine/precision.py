"""Which device computes, with how many cores, and in which number format."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import torch

from flowers_core.errors import ConfigError, TrainingError
from flowers_core.machine.parallel import usable_cores

# On its own it would start a thread for each of the machine's cores, also in a container that has the time of two.
torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))

WORTH_IT = 1.5
"""Times as fast as float32 that bfloat16 must be to be chosen."""

HOPELESS = 0.2
"""Times as fast in a tiny product: one that is slower than this is emulated."""


def device() -> torch.device:
    """This process's CUDA device when there is one, or the processor.

    The GPU's arithmetic is settled here too, for the whole process: TF32 for what stays in float32, and the same bits
    each time.

    Raises:
        ConfigError: more processes were started on this machine than it has GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        hint = f"Start {count} with torchrun --nproc-per-node {count}, or hide the GPUs with CUDA_VISIBLE_DEVICES=."
        raise ConfigError(f"Process {number + 1} on this machine has no GPU of its own, there are {count}", None, hint)
    torch.set_float32_matmul_precision("high")  # TF32: ten bits of mantissa are plenty for training
    torch.backends.cudnn.deterministic = True  # a run that was interrupted must end with the same bits
    return torch.device("cuda", number)


def choose(wanted: str, device: torch.device) -> str:
    """ "float32" or "bfloat16": what was asked for, or with "auto" what is faster here.

    Nearly every processor accepts bfloat16, but without instructions of its own it computes it slower than
    float32, so a small matrix product is timed in both.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return _faster_on_cpu()


def autocast(device: torch.device, number_format: str) -> AbstractContextManager:
    """The context in which the network runs in that number format; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=number_format == "bfloat16")


@contextmanager
def exact_products() -> Iterator[None]:
    """Within, a GPU multiplies matrices in true float32, for equations that ten bits of mantissa would spoil."""
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(usual)


@cache
def _faster_on_cpu() -> str:
    """Timed once per process, in turns and often: asked again on a busy machine, another answer might come, and a run
    that goes on must compute as it began. Where bfloat16 is emulated it can take a hundred times as long as float32,
    so a tiny product is asked first."""
    if _gain_of_bfloat16(128, 5) < HOPELESS:
        return "float32"
    return "bfloat16" if _gain_of_bfloat16(512, 15) > WORTH_IT else "float32"


def _gain_of_bfloat16(size: int, rounds: int) -> float:
    """How many times as fast as in float32 a product of (size, 2 size) and (2 size, size) is, both at their best."""
    left, right = torch.ones(size, 2 * size), torch.ones(2 * size, size)
    seconds = {}
    for _ in range(rounds):
        for number_format in (torch.float32, torch.bfloat16):
            a, b = left.to(number_format), right.to(number_format)
            started = time.perf_counter()
            a @ b
            taken = time.perf_counter() - started
            seconds[number_format] = min(taken, seconds.get(number_format, taken))
    return seconds[torch.float32] / seconds[torch.bfloat16]


@contextmanager
def gpu_memory_explained() -> Iterator[None]:
    """Says what to do when a GPU's memory does not suffice.

    Raises:
        TrainingError: it did not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        hint = "Choose a smaller batch size, or end other programs that use it."
        raise TrainingError("The GPU ran out of memory", None, hint) from error
