"""Plain names of settings, their choices, and times: what a class reads in place of a field's name or a number."""

from pathlib import Path

NAMES = {
    "data": "Set",
    "photos": "Training photos",
    "variant": "AlexNet",
    "init": "Start from",
    "head": "Start of the fully connected layers",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "lr": "Learning rate",
    "features_lr": "Convolutions' share of the learning rate",
    "optimizer": "Optimiser",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "schedule": "How the learning rate falls",
    "warmup": "Warm-up",
    "dropout": "Dropout",
    "label_smoothing": "Label smoothing",
    "augmentation": "Varying the photos",
    "mixup": "Blending photos (mixup)",
    "averaging": "Averaging the weights",
    "clip": "Longest gradient",
    "patience": "Patience (early stopping)",
    "views": "Looks at each photo",
    "precision": "Number format",
    "memory": "Memory",
    "folds": "Cross-validation folds",
    "seed": "Seed",
    "threads": "Processor cores",
    "tensorboard": "Files for TensorBoard",
}

CHOICES = {
    "init": {"scratch": "Random weights", "imagenet": "ImageNet", "imagenet-full": "ImageNet, with all its layers"},
    "head": {"least-squares": "Fitted to the photos at once", "random": "Random"},
    "optimizer": {"sgd": "SGD, the fastest way", "sgd-2012": "SGD as in 2012", "adamw": "AdamW"},
    "memory": {"plenty": "As much as it takes", "little": "As little as will do"},
    "schedule": {"cosine": "Along a cosine to zero", "plateau": "By ten when it stalls", "constant": "Not at all"},
    "augmentation": {"none": "Not at all", "paper": "As in 2012", "light": "A little", "standard": "As usual",
                     "strong": "A lot"},
    "views": {"centre": "One, at the centre", "ten": "Ten, as in 2012", "scales": "Six, of three sizes"},
    "tensorboard": {"no": "No", "yes": "Yes"},
    "precision": {"auto": "Whichever is faster here", "float32": "32 bits", "bfloat16": "16 bits (bfloat16)"},
}  # fmt: skip


def name_of(setting: str) -> str:
    """A setting's name for people."""
    return NAMES.get(setting, setting.replace("_", " ").capitalize())


def say(setting: str, value: object) -> str:
    """A setting's value for people."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:g}"
    if setting == "init" and (path := Path(str(value))).suffix:  # a checkpoint: its run's name, not where it lies
        return path.parent.name if path.stem == "best" else path.stem
    return CHOICES.get(setting, {}).get(value, str(value))


def in_words(problem: str) -> str:
    """A problem that starts with a setting's name ("lr must lie between ..."), with its plain name in place of it."""
    first, _, rest = problem.partition(" ")
    text = f"{name_of(first)} {rest}" if first in NAMES else problem
    return text[:1].upper() + text[1:] + "."


def count(n: int, what: str) -> str:
    """So many of something: "1 kind", "1,200 photos"."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def span_in_words(seconds: float) -> str:
    """A time to come for people, as a sentence says it."""
    if seconds < 90:
        return f"{max(2, seconds):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def span(seconds: float) -> str:
    """A time for people, where there is little room."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
