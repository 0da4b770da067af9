"""What a training tells of itself while it goes on: how far it is, and how fast."""

import time
from dataclasses import replace

from flowers_core.runs import Run, Status
from flowers_core.settings.config import TrainConfig

EVERY_S = 0.5
"""Seconds between two words about a run at least."""

PACE_STEPS = 50
"""The speed that is told is that of so many steps."""


class StatusReporter:
    """Keeps a run's status up to date.

    Args:
        run: whose status it is.
        status: what every word about it holds.
    """

    def __init__(self, run: Run, status: Status):
        self.run, self.status, self.told_at = run, status, 0.0
        self._steps: list[tuple[float, int]] = []

    def is_due(self) -> bool:
        """True when it is time for the next word."""
        return time.monotonic() - self.told_at > EVERY_S

    def report(self, **changes: object) -> None:
        """Writes the status, with the present speed and what the caller knows."""
        self.run.write_status(replace(self.status, **changes))
        self.told_at = time.monotonic()

    def update(self, **changes: object) -> None:
        """Takes something into every word from now on."""
        self.status = replace(self.status, **changes)

    def count_step(self, photos: int) -> None:
        """Takes note of a step that just ended."""
        self._steps = [*self._steps[-PACE_STEPS:], (time.monotonic(), photos)]
        span = self._steps[-1][0] - self._steps[0][0]
        if span:
            self.update(images_per_second=sum(photos for _, photos in self._steps[1:]) / span)

    def restart_clock(self) -> None:
        """For what is no training, such as a pause or a validation: the time since the last step is no slowness."""
        self._steps = []


def causes_of_divergence(config: TrainConfig, number_format: str) -> list[str]:
    """What may have made the loss explode, the likeliest first."""
    causes = [f"the learning rate of {config.lr:g} is too high (a third of it is a good next guess)"]
    if not config.clip:
        causes.append("clipping is off, so a single batch can throw the weights far (5 is usual)")
    if not config.warmup:
        causes.append("there is no warm-up (0.05 is usual)")
    if number_format == "bfloat16":
        causes.append("bfloat16 rounds coarsely (float32 does not)")
    return causes
