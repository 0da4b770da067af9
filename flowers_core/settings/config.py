"""The settings of a training run: one frozen value, checked all at once, and presets that say what to expect."""

import math
from dataclasses import asdict, dataclass, field, fields, replace

from flowers_core.errors import ConfigError
from flowers_core.settings import recipes

VARIANTS = ("2014", "2012", "readme")
STARTS = ("imagenet", "imagenet-full", "scratch")
"""What a run can start from besides a checkpoint's path."""

AUGMENTATIONS = ("none", "paper", "light", "standard", "strong")


def _setting(default: object, help: str, low: float | None = None, high: float | None = None, choices: tuple = ()):
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


def _plainly(number: float) -> str:
    """As a person writes it: 2147483647 and 0.00000001, neither 2.14748e+09 nor 1e-08."""
    return f"{number:.12f}".rstrip("0").rstrip(".") if abs(number) < 1e15 else f"{number:g}"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run goes. The same config, data and machine give the same weights.

    Each field's help, range and choices stand beside it, once: the checks below, the command line's flags and
    the page's widgets all read them from here.
    """

    data: str = _setting("garden", "Where the photos are: a path, or the name garden or flowers102.")
    variant: str = _setting("2014", "Which AlexNet.", choices=VARIANTS)
    init: str = _setting(
        "imagenet", "Where the weights start: imagenet, imagenet-full (233 MB download), scratch, or a checkpoint."
    )
    head: str = _setting(
        "least-squares",
        "How the fully connected layers begin: solved from the photos by least squares, or random. Only a start from "
        "ImageNet or from a model of other kinds has a choice.",
        choices=("least-squares", "random"),
    )
    epochs: int = _setting(24, "How many times every training photo is seen.", 1, 10_000)
    batch_size: int = _setting(32, "Photos per step.", 1, 4096)
    lr: float = _setting(0.001, "Learning rate of the fully connected layers at its highest.", 1e-8, 10.0)
    features_lr: float = _setting(
        1.0, "Learning rate of the convolutions as a share of `lr`; 0 freezes them (as ImageNet left them).", 0.0, 10.0
    )
    optimizer: str = _setting(
        "sgd", "SGD with Nesterov momentum for the convolutions and equally strong steps without it for the fully "
        "connected layers, which is fastest (sgd); momentum for all (sgd-2012); or AdamW.",
        choices=("sgd", "sgd-2012", "adamw"),
    )  # fmt: skip
    momentum: float = _setting(0.9, "Share of the last step that the next one keeps (SGD).", 0.0, 0.999)
    weight_decay: float = _setting(5e-4, "Pull of every weight towards zero, per unit of learning rate.", 0.0, 1.0)
    schedule: str = _setting(
        "cosine", "How the learning rate falls: along a cosine to zero, by 10 at plateaus, or not at all.",
        choices=("cosine", "plateau", "constant"),
    )  # fmt: skip
    warmup: float = _setting(0.05, "Share of all steps in which the learning rate climbs to its height.", 0.0, 0.5)
    dropout: float = _setting(0.5, "Share of the fully connected layers' inputs dropped at each step.", 0.0, 0.95)
    label_smoothing: float = _setting(0.1, "Share of the target spread over all kinds.", 0.0, 0.5)
    augmentation: str = _setting("standard", "How much photos are varied before each step.", choices=AUGMENTATIONS)
    mixup: float = _setting(0.0, "Strength (alpha) with which pairs of photos are blended; 0 is off.", 0.0, 10.0)
    averaging: float = _setting(0.0, "Decay per step of a moving average of the weights; 0 is off.", 0.0, 0.9999)
    clip: float = _setting(5.0, "Gradients longer than this are shortened to it; 0 is off.", 0.0, 1000.0)
    patience: int = _setting(0, "Stop after this many epochs without a better validation loss; 0 is off.", 0, 10_000)
    views: str = _setting("scales", "Windows averaged per photo when answering.", choices=("centre", "ten", "scales"))
    precision: str = _setting(
        "auto", "Number format of the arithmetic; auto takes bfloat16 where the processor is fast at it.",
        choices=("auto", "float32", "bfloat16"),
    )  # fmt: skip
    memory: str = _setting(
        "plenty", "With little, both hidden fully connected layers become products of two narrow ones, with a "
        "twentieth of the weights, and fewer photos are looked at at once.",
        choices=("plenty", "little"),
    )  # fmt: skip
    folds: int = _setting(
        0, "Cross-validation: judges the recipe by this many trainings, each on all but one part of the training and "
        "validation photos, then trains on all of them; 0 is off.", 0, 20,
    )  # fmt: skip
    seed: int = _setting(1, "Start of the random numbers.", 0, 2**31 - 1)
    threads: int = _setting(0, "Processor cores used for training; 0 takes all.", 0, 1024)
    tensorboard: str = _setting("no", "Also write event files for TensorBoard.", choices=("no", "yes"))

    @property
    def is_lean(self) -> bool:
        """Must the training do with little memory?"""
        return self.memory == "little"

    def problems(self) -> list[str]:
        """Every reason why these settings can't be used, each naming its field; empty when they can."""
        found = []
        for setting in fields(self):
            value, rule = getattr(self, setting.name), setting.metadata
            accepted = (int, float) if setting.type is float else setting.type
            if isinstance(value, bool) or not isinstance(value, accepted):
                found.append(f"{setting.name} must be a {setting.type.__name__}, not {value!r}")
            elif setting.type is float and not math.isfinite(value):
                found.append(f"{setting.name} must be a finite number, not {value}")
            elif rule["choices"] and value not in rule["choices"]:
                found.append(f"{setting.name} must be one of {', '.join(rule['choices'])}, not {value!r}")
            elif rule["low"] is not None and not rule["low"] <= value <= rule["high"]:
                low, high, was = (_plainly(number) for number in (rule["low"], rule["high"], value))
                found.append(f"{setting.name} must lie between {low} and {high}, not {was}")
        if self.init in ("imagenet", "imagenet-full") and self.variant != "2014":
            found.append(f"init {self.init} fits variant 2014 only, not {self.variant}; choose init scratch")
        if self.init == "scratch" and self.features_lr == 0:
            found.append("features_lr 0 freezes convolutions that have learned nothing; choose 1 with init scratch")
        if self.folds == 1:
            found.append("folds must be 0 (off) or at least 2: one part alone leaves no photos to learn from")
        if self.folds and self.schedule == "plateau":
            found.append("folds leave no validation photos whose plateaus a schedule could see; choose cosine")
        if self.folds and self.patience:
            found.append("folds leave no validation photos to lose patience over; choose patience 0")
        return found

    def check(self) -> "TrainConfig":
        """Itself, when it can be used.

        Raises:
            ConfigError: with all problems in one message.
        """
        found = self.problems()
        if found:
            raise ConfigError("These settings can't be used: " + "; ".join(found))
        return self


def from_dict(values: dict) -> TrainConfig:
    """A config from JSON. Fields that it lacks take their defaults; unknown ones are an error.

    Raises:
        ConfigError: unknown fields or values out of range.
    """
    if values.get("optimizer") == "sgd-lean":  # how earlier versions called little memory; such runs stay readable
        values = values | {"optimizer": "sgd", "memory": "little"}
    unknown = set(values) - {f.name for f in fields(TrainConfig)}
    if unknown:
        raise ConfigError(f"Unknown settings: {', '.join(sorted(unknown))}")
    return TrainConfig(**values).check()


def to_dict(config: TrainConfig) -> dict:
    """The config as JSON can hold it."""
    return asdict(config)


@dataclass(frozen=True)
class Preset:
    """A named set of settings, with what a person may expect of it.

    Args:
        title: its name on the page.
        expect: one sentence on what it does and what comes out.
        start: what it starts from unless told otherwise.
        settings: what differs from TrainConfig's defaults when starting from ImageNet's or one's own weights.
        from_scratch: what differs further when starting from nothing.
        by_photos: how many photos there are decides the rest, see `recipes.choose`.
    """

    title: str
    expect: str
    start: str
    settings: dict
    from_scratch: dict
    by_photos: bool = False


SCRATCH = {"features_lr": 1.0, "head": "random"}
"""What every preset must set when nothing has been learned yet."""

PRESETS: dict[str, Preset] = {
    "quick": Preset(
        "A quick look",
        "A few epochs from random fully connected layers, with the convolutions as they are: the loss falls before "
        "one's eyes.",
        "imagenet",
        {"epochs": 10, "augmentation": "light", "head": "random", "lr": 0.01, "features_lr": 0.0},
        {**SCRATCH, "epochs": 20},
    ),
    "standard": Preset(
        "Standard",
        "The recipe we would choose for these photos and this start.",
        "imagenet",
        {},
        {**SCRATCH, "epochs": 120, "lr": 0.01},
        by_photos=True,
    ),
    "small": Preset(
        "Little memory",
        "For small machines: training takes about 450 MB instead of 1,800. The convolutions stay as ImageNet left "
        "them, and the hidden fully connected layers are narrow.",
        "imagenet",
        {
            "epochs": 16, "batch_size": 8, "memory": "little", "momentum": 0.0, "lr": 0.01, "features_lr": 0.0,
            "precision": "float32",
        },
        {**SCRATCH, "epochs": 60},
    ),
    "paper-2012": Preset(
        "As in the paper of 2012",
        "Krizhevsky's own settings: plain SGD, a learning rate cut by ten at plateaus, mirrored crops and colour "
        "shifts. Made for a million photos; with few it learns slowly.",
        "scratch",
        {
            "epochs": 90, "batch_size": 128, "lr": 0.01, "features_lr": 1.0, "head": "random", "optimizer": "sgd-2012",
            "momentum": 0.9, "weight_decay": 5e-4, "schedule": "plateau", "warmup": 0.0, "dropout": 0.5,
            "label_smoothing": 0.0, "augmentation": "paper", "clip": 0.0, "views": "ten",
        },
        {"variant": "2012"},
    ),
}  # fmt: skip


def preset(
    name: str,
    init: str = "imagenet",
    among: dict[str, Preset] | None = None,
    have: tuple[int, int] | None = None,
    **changes: object,
) -> TrainConfig:
    """The settings of a preset for a start, with `changes` on top. Not checked yet.

    Args:
        name: the preset's.
        init: what training starts from.
        among: the presets to choose from; the built-in ones when None.
        have: number of training photos and of kinds; None when not known yet.
        changes: settings that replace the preset's.

    Raises:
        ConfigError: there is no such preset.
    """
    among = PRESETS if among is None else among
    if name not in among:
        raise ConfigError("There is no such preset", name, f"Choose one of {', '.join(among)}.")
    chosen = among[name]
    settings = {**chosen.settings, **(chosen.from_scratch if init == "scratch" else {})}
    if chosen.by_photos and have:
        settings |= recipes.choose(init, *have).settings
    return replace(TrainConfig(), init=init, **{**settings, **changes})


@dataclass(frozen=True)
class Search:
    """What a search may choose for one setting: a number between two bounds, or one of some choices.

    Args:
        low, high: bounds of a number.
        log: equal factors are equally likely instead of equal distances; right for learning rates.
        choices: values of a setting that is no number.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple = ()

    def holds(self, value: object) -> bool:
        """Could a search have chosen this value?"""
        return value in self.choices if self.choices else self.low <= value <= self.high


def search_space(base: TrainConfig) -> dict[str, Search]:
    """What is worth trying around some settings.

    From weights that have learned already, steps must be small, and the convolutions may deserve smaller ones yet;
    from scratch, steps must be large enough to get anywhere. AdamW's steps are about a tenth of SGD's.
    """
    low, high = (0.003, 0.1) if base.init == "scratch" else (0.0002, 0.02)
    share = 0.1 if base.optimizer == "adamw" else 1.0
    space = {
        "lr": Search(low * share, high * share, log=True),
        "features_lr": Search(0.1, 3.0, log=True),
        "weight_decay": Search(1e-5, 1e-2, log=True),
        "dropout": Search(0.2, 0.7),
        "label_smoothing": Search(0.0, 0.2),
        "augmentation": Search(choices=("light", "standard", "strong")),
        "mixup": Search(0.0, 0.5),
    }
    if base.init == "scratch" or base.features_lr == 0:  # one rate for all, or convolutions that stay as they are
        del space["features_lr"]
    if base.init == "scratch":
        space["batch_size"] = Search(choices=(16, 32, 64, 128))
    return space
