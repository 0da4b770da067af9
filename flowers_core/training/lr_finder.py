"""The learning-rate range test: a short training whose rate climbs, and the rate that its losses suggest.

After Leslie Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3. The test trains a network
of its own, which starts as the run would start, and throws it away.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from flowers_core.runs import ACTIVE, Run, Status
from flowers_core.settings.config import TrainConfig
from flowers_core.storage import read_json, runs_dir, write_json

if TYPE_CHECKING:
    from flowers_core.photos.cache import DecodedSource

FEWEST, MOST = 60, 100
"""Steps of a test: each photo is seen twice, within these bounds. The fewest suggest as well as the most on made-up
curves (`tests/test_lr_finder.py`)."""

RANGE = {"sgd": (1e-6, 1.0), "sgd-2012": (1e-6, 1.0), "adamw": (1e-7, 0.1)}
"""Lowest and highest rate that are tried."""

LAG = 0.6
"""Powers of ten of the rate over which the loss is smoothed, in however many steps they are climbed."""

BLOWN = 2.0
"""The test ends when the smoothed loss is so many times its lowest."""

SMALL = 0.2
"""Losses below this are not those of a network that is lost: they double by chance where the start fits already."""

CLEAR = 4.0
"""Standard errors of the smoothed loss by which it must change, to count as having fallen or risen. Two would not do:
the lowest of a hundred values lies two below their mean by chance alone."""


GUESSING = 0.9
"""A loss above this share of the logarithm of the kinds, which is what guessing costs, is that of one who guesses."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test says.

    Args:
        rates: learning rate of each step, climbing.
        losses: of each step before it was taken; the last one is None when it was not finite.
        smoothed: the losses' running mean.
        suggestion: a learning rate, or None when the losses say nothing.
        diverged: the rate at which the loss left for good, or None when it never did.
        reason: how the suggestion came about, one sentence.
    """

    rates: tuple[float, ...]
    losses: tuple[float | None, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    diverged: float | None
    reason: str


def folder() -> Path:
    """Where range tests lie, one folder each like a run's."""
    return runs_dir().parent / "lr-tests"


KEPT = 5
"""Range tests kept on disk; they are small."""


def new_folder() -> Path:
    """A place for a new test. Removes the oldest ones that have ended."""
    older = sorted(folder().glob("*/config.json"), reverse=True)
    for path in older[KEPT - 1 :]:
        if Run(path.parent).state() not in ACTIVE:
            shutil.rmtree(path.parent, ignore_errors=True)
    return folder() / f"{time.time_ns():020d}"


def active() -> list[Run]:
    """The tests whose process lives, newest first."""
    tests = (Run(path.parent) for path in sorted(folder().glob("*/config.json"), reverse=True))
    return [test for test in tests if test.state() in ACTIVE]


def find(test_id: str) -> Run | None:
    """The test of that id, or None."""
    return next((Run(path.parent) for path in folder().glob("*/config.json") if path.parent.name == test_id), None)


def rates(config: TrainConfig, photos: int) -> list[float]:
    """The rates to try, equally far apart in their logarithm; the fewer, the fewer photos there are to train on."""
    low, high = RANGE[config.optimizer]
    steps = min(MOST, max(FEWEST, 2 * math.ceil(photos / config.batch_size)))
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def lag(rates: Sequence[float]) -> int:
    """Steps over which the losses at these rates are smoothed, and until which the smoothed loss means nothing."""
    return max(2, round(LAG / math.log10(rates[1] / rates[0]))) if len(rates) > 1 else 2


def measure(config: TrainConfig, decoded: "DecodedSource", run: Run, request: Callable[[], str]) -> RangeTest | None:
    """Runs the test in `run`'s folder, which is the test's own, and saves what it found. None when it was stopped.

    Raises what `train.fit` raises, except that a loss which is not finite is a finding here.
    """
    from flowers_core.training import train

    tried, losses, began = rates(config, decoded.source.counts()["train"]), [], None
    status = Status(phase="training", epochs=1, steps=len(tried), process=run.status().process)
    run.write_status(status)
    for step, loss in enumerate(train.losses_at(config, decoded, run, tried, request), start=1):
        losses.append(loss if math.isfinite(loss) else None)
        run.log({"kind": "step", "step": step, "lr": tried[step - 1], "loss": losses[-1]})
        began = began or time.monotonic()  # the first step also set the network up, which no later one does
        status = replace(status, step=step, seconds=time.monotonic() - began)
        run.write_status(status)
        if has_blown_up(losses, lag(tried)):
            break
        if request() == "stop":
            run.write_status(replace(status, phase="stopped"))
            return None
    if not losses:  # stopped before the first step
        return None
    found = judge(tried[: len(losses)], losses, len(decoded.source.classes))
    write_json(run.folder / "finding.json", asdict(found))
    run.write_status(replace(status, phase="finished", steps=len(losses)))
    return found


def saved(run: Run) -> RangeTest | None:
    """What a test found; None before its end."""
    values = read_json(run.folder / "finding.json")
    try:
        return RangeTest(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except (TypeError, AttributeError):  # none, or damaged
        return None


def smooth(losses: list[float], lag: int) -> list[float]:
    """An exponential running mean, free of the pull towards its first values (as Adam corrects its means).

    Args:
        losses: of each step.
        lag: how many steps it looks back, on average.
    """
    keep, mean, smoothed = 1 - 1 / lag, 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = keep * mean + (1 - keep) * loss
        smoothed.append(mean / (1 - keep**step))
    return smoothed


def has_blown_up(losses: list[float | None], lag: int) -> bool:
    """Is the loss not finite any more, or far above its lowest?"""
    if losses[-1] is None:
        return True
    if len(losses) <= lag:
        return False
    smoothed = smooth(losses, lag)
    lowest = min(smoothed[lag - 1 :])
    return smoothed[-1] > max(BLOWN * lowest, lowest + _noise(losses, lag), SMALL)


def judge(rates: list[float], losses: list[float | None], kinds: int) -> RangeTest:
    """The suggestion for a network that tells so many kinds apart, by one of two rules.

    Where the loss falls: the rate at which the smoothed loss falls most steeply over the rate's logarithm, but never
    more than a tenth of the rate at which it leaves for good. Where the start already fits the photos (a least-squares
    start, a trained model), it can only rise: a tenth of the rate at which it clearly begins to. A start that guesses,
    and learned nothing in so few steps, says nothing.
    """
    finite, settled = [loss for loss in losses if loss is not None], lag(rates)
    smoothed = smooth(finite, settled)
    diverged = rates[len(losses) - 1] if has_blown_up(losses, settled) else None

    def found(suggestion: float | None, reason: str) -> RangeTest:
        return RangeTest(tuple(rates), tuple(losses), tuple(smoothed), suggestion, diverged, reason)

    if len(finite) <= 2 * settled:
        return found(None, "The loss left at once. Look for mistakes in the other settings first.")
    quarter = finite[: 5 * settled // 2]  # at such rates nothing moves yet
    first = sum(quarter) / len(quarter)
    noise = _noise(finite, settled)
    lowest = min(range(settled - 1, len(smoothed)), key=smoothed.__getitem__)
    if first - smoothed[lowest] > noise:
        before = max((i for i in range(settled, lowest) if smoothed[i] >= first), default=min(settled, lowest))
        steepest = min(range(before, lowest + 1), key=lambda i: _slope(smoothed, i, settled))
        suggestion, reason = rates[steepest], "There the loss falls most steeply."
        if diverged and suggestion > diverged / 10:
            suggestion, reason = diverged / 10, f"A tenth of {diverged:.2g}, at which the loss left for good."
        return found(suggestion, reason)
    rising = next((i for i in range(settled, len(smoothed)) if all(s > first + noise for s in smoothed[i:])), None)
    if rising is None:
        return found(None, "The loss neither fell nor rose clearly, so any of these rates will do no harm.")
    if first > GUESSING * math.log(kinds):
        return found(
            None, "In so few steps it learned nothing, at whatever rate. The preset's rate is the better guess."
        )
    risen = rates[rising]
    return found(risen / 10, f"The start fits already: a tenth of {risen:.2g}, at which the loss begins to rise.")


def _slope(smoothed: list[float], i: int, settled: int) -> float:
    """Change of the smoothed loss around step i, over a few steps on both sides."""
    reach = max(1, round(0.3 * settled))
    low, high = max(settled - 1, i - reach), min(len(smoothed) - 1, i + reach)
    return (smoothed[high] - smoothed[low]) / (high - low)


def _noise(losses: list[float], lag: int) -> float:
    """By how much smoothed losses must differ to count."""
    return CLEAR * _spread(losses) * math.sqrt(1 / (2 * lag - 1))


def _spread(losses: list[float]) -> float:
    """Standard deviation of single losses, from differences of neighbours in the first half: free of any trend."""
    half = losses[: max(3, len(losses) // 2)]
    squares = [(after - before) ** 2 for before, after in pairwise(half)]
    return math.sqrt(sum(squares) / len(squares) / 2)
