"""The standard preset's settings: a recipe for each situation, chosen by the start and by how many photos there are.

What each of them reached, and what else was tried, stands in docs/experiments.md.
"""

from dataclasses import dataclass

FEW = 24
"""Photos per kind up to which ImageNet's convolutions are better left alone: to change them takes more examples."""

VIEWS = 60_000
"""Varied photos that fine-tuning looks at, about seven minutes on two cores with bfloat16 instructions."""

VIEWS_FROM_SCRATCH = 80_000


@dataclass(frozen=True)
class Recipe:
    """Settings, and why these.

    Args:
        why: one sentence for whoever trains.
        settings: what differs from TrainConfig's defaults.
    """

    why: str
    settings: dict


def choose(init: str, photos: int, kinds: int) -> Recipe:
    """The recipe for a start.

    Args:
        init: what training starts from: one of config.STARTS, or a checkpoint's path.
        photos: to learn from.
        kinds: of flowers.
    """
    per_kind = photos / max(1, kinds)
    if init == "scratch":
        return Recipe(
            "From nothing it takes many epochs: every layer has to be learned from these photos alone.",
            {"epochs": _epochs(VIEWS_FROM_SCRATCH, photos, 10, 240), "lr": 0.01, "head": "random"},
        )
    if init not in ("imagenet", "imagenet-full"):
        return Recipe("A model that knows flowers already is trained on gently.", {})
    if per_kind <= FEW:
        return Recipe(
            f"With {_photos(per_kind)} per kind the convolutions stay as ImageNet left them: they see well already, "
            "and so few examples would only spoil them. The fully connected layers are fitted to the photos at once, "
            "then trained.",
            {"features_lr": 0.0},
        )
    return Recipe(
        f"With {_photos(per_kind)} per kind there is enough to teach all layers: the fully connected ones are fitted "
        "to the photos at once, then everything is trained together.",
        {"epochs": _epochs(VIEWS, photos, 4, 40), "lr": 0.005, "batch_size": 48, "label_smoothing": 0.05},
    )


def _photos(number: float) -> str:
    return "1 photo" if round(number) == 1 else f"{number:.0f} photos"


def _epochs(views: int, photos: int, low: int, high: int) -> int:
    return max(low, min(high, round(views / max(1, photos))))
