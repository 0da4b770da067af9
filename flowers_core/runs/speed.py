"""How long a training will take, going by those that have ended on this machine."""

from contextlib import suppress

from flowers_core import runs
from flowers_core.errors import FlowersError
from flowers_core.settings.config import TrainConfig

LEAST_SHARE = 0.25
"""Of the photos to come, that a past training must have had to say how long this one takes: with fewer it is all
beginnings and ends."""


def measured_speed(wanted: TrainConfig, photos: int) -> tuple[float, float] | None:
    """Photos a second, and seconds before the first step, of the last training that ended here with the same variant,
    the same start of the fully connected layers, and convolutions frozen or not; None before there was one.

    Args:
        wanted: the settings to come.
        photos: how many training photos there will be. A fitted head looks at each of them before the first step.
    """
    for run in runs.list_runs()[:20]:
        status = run.status()
        with suppress(FlowersError):
            config = run.config()
            alike = _alike(config) == _alike(wanted)
            if alike and status.phase in runs.FINAL and status.images_per_second:
                counts = run.facts().get("counts")
                before = (counts.get("train") if isinstance(counts, dict) else None) or photos
                if before < LEAST_SHARE * photos:
                    continue
                more = photos / before if wanted.head == "least-squares" else 1.0
                return status.images_per_second, status.setup_seconds * more
    return None


def _alike(config: TrainConfig) -> tuple:
    """What decides how long a training takes, besides its photos and epochs."""
    return config.variant, config.features_lr == 0, config.head
