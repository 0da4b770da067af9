"""Makes the splits that a source lacks: stratified, seeded, saved, stable when photos are added, copies on one side."""

import random
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from flowers_core.errors import ConfigError, StorageError
from flowers_core.sources.records import SPLITS, Photo, Source, SplitPlan
from flowers_core.storage import data_dir, read_json, write_json

FEW = 8
"""With at most this many photos per kind, on average, cross-validation is offered: a validation photo or two says
little."""

FOLDS = 5
"""Parts that it is offered with."""


MOST = 10**6
"""Photos per kind that a plan can ask for."""

MOST_SEED = 2**53 - 1
"""Beyond this a browser's numbers are not exact."""


def assign(source: Source, given: set[str]) -> Source:
    """The source with a split for every photo.

    Args:
        source: its photos carry the split their folder says, or "".
        given: the splits whose folders hold photos. With all but test given nothing is made: a missing test
            set stays missing. Without valid, a part of train becomes valid. Without any, all three are made.
    """
    if given and ("valid" in given or "train" not in given):
        return source
    saved = _Saved(source)
    plan = replace(saved.plan, make_test=not given)
    undecided = [photo for photo in source.photos if photo.split == "train" or not photo.split]
    split_of = divide(undecided, saved.photos, plan)
    remembered = saved.photos | split_of  # photos that are away for now come back to their split
    if remembered != saved.photos:
        # On a read-only disk the same seed gives the same split next time, as long as no photo is added.
        with suppress(StorageError):
            saved.write(plan, remembered, saved.checked)
    return _with(source, split_of, plan)


def divide(
    photos: list[Photo], before: dict[str, str], plan: SplitPlan, group_of: dict[str, int] | None = None
) -> dict:
    """A split for each photo's name. Photos in `before` keep theirs; new ones fill up what is short.

    By the usual plan a kind with one photo has it in train, with two one is in valid, from three on test gets one.

    Args:
        photos: of all kinds.
        before: splits of some of the names.
        plan: how many photos go where.
        group_of: a number for each name with near copies; those of one number in one kind stay together.
    """
    result = {photo.name: before[photo.name] for photo in photos if before.get(photo.name) in SPLITS}
    kinds: dict[int, list[str]] = defaultdict(list)
    for photo in photos:
        kinds[photo.label].append(photo.name)
    for names in kinds.values():
        wanted = plan.wanted(len(names))
        new = sorted(name for name in names if name not in result)
        units = _units(new, group_of or {})
        # The seed comes first, then what it is to shuffle, so that kinds and sizes don't repeat each other's choice.
        random.Random(f"{plan.seed}:{len(names)}:{new}").shuffle(units)
        for split, count in wanted.items():
            missing = count - sum(result.get(name) == split for name in names)
            chosen = _chosen(units, missing, keep=0 if "train" in map(result.get, names) else 1)
            result.update(dict.fromkeys((name for unit in chosen for name in unit), split))
            units = [unit for unit in units if unit[0] not in result]
        result.update(dict.fromkeys((name for unit in units for name in unit), "train"))
        if "train" not in map(result.get, names):  # its training photos were deleted; test gives one before valid
            result[min(names, key=lambda name: (result[name], name))] = "train"
    return result


def keep_together(source: Source, group_of: dict[str, int]) -> Source:
    """The source with near copies in one split each, and saved so; others keep their split.

    The first time, the kinds concerned are divided anew with their copies known. Later a copy that was added
    joins the others. Photos whose split is not the one that the app gave them (somebody moved them) stay put.
    """
    if source.plan is None:
        return source
    saved = _Saved(source)
    ours = [photo for photo in source.photos if saved.photos.get(photo.name, photo.split) == photo.split]
    ours = [photo for photo in ours if photo.split != "test" or source.plan.make_test]
    split_of = {photo.name: photo.split for photo in ours}
    torn = _torn(split_of, group_of)
    if torn and not saved.checked:
        kinds = {photo.label for photo in ours if group_of.get(photo.name) in torn}
        anew = [photo for photo in ours if photo.label in kinds]
        split_of |= divide(anew, {}, source.plan, group_of)
        torn = _torn(split_of, group_of)  # copies filed under two kinds
    for names in torn.values():
        count = Counter(split_of[name] for name in names)
        split_of |= dict.fromkeys(names, max(SPLITS, key=lambda split: (count[split], -SPLITS.index(split))))
    if torn or not saved.checked:
        with suppress(StorageError):
            saved.write(source.plan, saved.photos | split_of, True)
    return _with(source, split_of, source.plan)


def preview(source: Source, plan: SplitPlan, group_of: dict[str, int]) -> Source:
    """The source as `change` would divide it. Photos of a given test folder keep their split.

    Raises:
        ConfigError: amounts that can't be, or that leave nothing to train on.
    """
    return _with(source, _planned(source, plan, group_of), plan)


def change(source: Source, plan: SplitPlan, group_of: dict[str, int]) -> None:
    """Divides anew by another plan and saves it; the next opening of the source finds it.

    Raises:
        ConfigError: as `preview`.
        StorageError: the disk is full or read-only.
    """
    saved = _Saved(source)
    saved.write(plan, saved.photos | _planned(source, plan, group_of), True)


def advice(source: Source) -> str:
    """Why cross-validation is the better way to judge a training on these photos; "" where it isn't."""
    each = len(source.photos) / len(source.classes)
    if each > FEW or not source.counts()["train"] or len(source.classes) < 2:
        return ""
    return f"With {each:.0f} photos per kind, a validation photo or two says little."


def saved_path(key: str) -> Path:
    """The file with the split that the app made for the source of this key."""
    return _folder() / f"{key}.json"


def saved_last() -> int:
    """When any source's split was saved last (nanoseconds since 1970); 0 before the first."""
    try:
        return _folder().stat().st_mtime_ns  # a file that is replaced changes its folder, too
    except OSError:
        return 0


def _folder() -> Path:
    return data_dir() / "splits"


class _Saved:
    """What is on disk of a source's split; damaged parts count as not there."""

    def __init__(self, source: Source):
        self.path = saved_path(source.key)
        content = read_json(self.path)
        content = content if isinstance(content, dict) else {}
        photos = content.get("photos")
        self.photos: dict[str, str] = photos if isinstance(photos, dict) else {}
        self.checked = content.get("copies_checked") is True
        self.plan = SplitPlan()
        if isinstance(content.get("plan"), dict):
            with suppress(TypeError, ValueError):
                self.plan = _sound(SplitPlan(**content["plan"]))

    def write(self, plan: SplitPlan, photos: dict[str, str], checked: bool) -> None:
        write_json(self.path, {"plan": asdict(plan), "copies_checked": checked, "photos": photos})


def _planned(source: Source, plan: SplitPlan, group_of: dict[str, int]) -> dict[str, str]:
    """The plan's split for each photo's name that the folders leave undecided."""
    _check(plan)
    undecided = [photo for photo in source.photos if photo.split != "test" or plan.make_test]
    split_of = divide(undecided, {}, plan, group_of)
    for names in _torn(split_of, group_of).values():  # one file under two kinds: train, where it does least harm
        split_of |= dict.fromkeys(names, "train")
    return split_of


def _check(plan: SplitPlan) -> None:
    parts = (plan.valid, plan.test) if plan.make_test else (plan.valid,)
    unit = (lambda part: f"{part:g}") if plan.per_kind else (lambda part: f"{100 * part:g}%")
    said = ", ".join(f"{name} {unit(part)}" for name, part in zip(("valid", "test"), parts, strict=False))
    if not all(0 <= part <= MOST for part in parts):
        hint = "Give shares from 0 to 1 (0 to 100%), or numbers of photos per kind."
        raise ConfigError("A part of the photos can't be less than nothing, or more than all", said, hint)
    if plan.per_kind and any(part % 1 for part in parts):
        raise ConfigError("Photos per kind must be whole numbers", said, "Give whole numbers, or shares instead.")
    if abs(plan.seed) > MOST_SEED:
        raise ConfigError(f"A seed must lie between -{MOST_SEED} and {MOST_SEED}", None, "Give a smaller number.")
    if not plan.per_kind and sum(parts) >= 1:
        hint = "Leave some to learn from: together less than 100% (1 on the command line)."
        raise ConfigError("Nothing would be left to train on", said, hint)


def _sound(plan: SplitPlan) -> SplitPlan:
    if type(plan.seed) is not int or type(plan.per_kind) is not bool or type(plan.make_test) is not bool:
        raise ValueError
    if not all(isinstance(part, int | float) and 0 <= part <= MOST for part in (plan.valid, plan.test)):
        raise ValueError
    if abs(plan.seed) > MOST_SEED:
        raise ValueError
    return plan


def _units(names: list[str], group_of: dict[str, int]) -> list[list[str]]:
    """Names that stay together, in the order of their first."""
    units: dict[object, list[str]] = defaultdict(list)
    for name in names:
        units[group_of.get(name, name)].append(name)
    return list(units.values())


def _chosen(units: list[list[str]], missing: int, keep: int) -> list[list[str]]:
    """Units from the end with `missing` names together, as nearly as they allow; `keep` of them stay at least."""
    chosen: list[list[str]] = []
    left = missing
    for unit in reversed(units):
        if len(units) - len(chosen) <= keep:
            break
        if len(unit) <= left:
            chosen.append(unit)
            left -= len(unit)
    if missing > 0 and not chosen and len(units) > keep:
        chosen.append(min(reversed(units), key=len))
    return chosen


def _torn(split_of: dict[str, str], group_of: dict[str, int]) -> dict[int, list[str]]:
    """The names in each group that lies in more than one split."""
    groups: dict[int, list[str]] = defaultdict(list)
    for name, group in group_of.items():
        if name in split_of:
            groups[group].append(name)
    return {group: names for group, names in groups.items() if len({split_of[name] for name in names}) > 1}


def _with(source: Source, split_of: dict[str, str], plan: SplitPlan) -> Source:
    photos = tuple(
        photo if split_of.get(photo.name, photo.split) == photo.split else replace(photo, split=split_of[photo.name])
        for photo in source.photos
    )
    who = f"this app (seed {plan.seed})"
    origin = who if plan.make_test else f"the folders, valid by {who}"
    return replace(source, photos=photos, split_origin=origin, plan=plan)
