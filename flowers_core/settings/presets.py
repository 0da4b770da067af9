"""Presets of the user's own beside the built-in ones: each a small file, saved from what a search found."""

import re
from dataclasses import asdict, replace

from flowers_core.errors import ConfigError, FlowersError
from flowers_core.settings import config
from flowers_core.settings.config import PRESETS, Preset, TrainConfig
from flowers_core.storage import explain_disk_errors, presets_dir, read_json, write_json

OTHERS = ("data", "variant", "init")
"""Settings that are chosen beside a preset."""

NOT_KEPT = (*OTHERS, "seed", "threads", "precision")
"""Settings of one training or one machine, which a preset leaves to whoever takes it."""


def every() -> dict[str, Preset]:
    """All presets by name, the built-in ones first; files that can't be used are left out."""
    own = {path.stem: _read(path) for path in sorted(presets_dir().glob("*.json"))}
    return PRESETS | {name: preset for name, preset in own.items() if preset is not None and name not in PRESETS}


def take(name: str, init: str = "imagenet", have: tuple[int, int] | None = None, **changes: object) -> TrainConfig:
    """The settings of a built-in or an own preset for a start, with `changes` on top. Not checked yet.

    `have` is the number of training photos and of kinds.

    Raises:
        ConfigError: there is no such preset.
    """
    return config.preset(name, init, every(), have, **changes)


def changed(settings: TrainConfig, name: str, have: tuple[int, int] | None = None) -> list[str]:
    """The settings that differ from what a preset would set for the same photos, network and start."""
    usual, own = (asdict(each) for each in (take(name, settings.init, have), settings))
    return [field for field in usual if field not in OTHERS and own[field] != usual[field]]


def called(settings: TrainConfig, name: str, have: tuple[int, int] | None = None) -> str:
    """Settings in a word or two: the preset's title, and whether somebody changed any of them."""
    return every()[name].title + (", changed" if changed(settings, name, have) else "")


def save(title: str, expect: str, settings: TrainConfig) -> str:
    """Keeps settings as a preset of the user's own; one of the same name is replaced.

    Args:
        title: its name on the page; the name for the command line is made from it.
        expect: what a person may expect of it, one or two sentences.
        settings: what it sets.

    Returns:
        The name for `--preset`.

    Raises:
        ConfigError: the title has no letters, or is a built-in preset's name.
        StorageError: it can't be written.
    """
    name = re.sub(r"[^\w]+", "-", title.casefold()).strip("-_")[:40]
    if not name:
        raise ConfigError("A preset needs a name with letters or digits", title or None)
    if name in PRESETS:
        raise ConfigError("This is the name of a built-in preset", name, "Choose another name.")
    differing = {k: v for k, v in asdict(settings).items() if k not in NOT_KEPT and v != getattr(TrainConfig(), k)}
    from_scratch = {"variant": settings.variant} if settings.init == "scratch" else config.SCRATCH
    start = settings.init if settings.init in config.STARTS else "imagenet"
    preset = Preset(title.strip(), expect, start, differing, from_scratch)
    write_json(presets_dir() / f"{name}.json", asdict(preset))
    return name


def remove(name: str) -> None:
    """Deletes a preset of the user's own; a built-in one stays.

    Raises:
        StorageError: its file can't be removed.
    """
    if name in every() and name not in PRESETS:
        path = presets_dir() / f"{name}.json"
        with explain_disk_errors(path):
            path.unlink(missing_ok=True)


def _read(path) -> Preset | None:
    values = read_json(path)
    try:
        preset = Preset(**values)
        replace(TrainConfig(), **{**preset.settings, **preset.from_scratch, "init": "scratch"}).check()
        replace(TrainConfig(), **preset.settings).check()
    except (TypeError, FlowersError):  # of another version, or damaged: the others still count
        return None
    return preset if preset.start in config.STARTS else None
