"""Makes the splits that a source lacks: stratified, seeded, saved, and stable when photos are added."""

import random
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace

from flowers_core.errors import StorageError
from flowers_core.sources.records import SPLITS, Photo, Source
from flowers_core.storage import data_dir, read_json, write_json

SEED = 0
SHARE = 0.15
"""Share of each kind's photos that goes to valid, and the same again to test; never the last training photo."""


def assign(source: Source, given: set[str]) -> Source:
    """The source with a split for every photo.

    Args:
        source: its photos carry the split their folder says, or "".
        given: the splits whose folders hold photos. With all but test given nothing is made: a missing test
            set stays missing. Without valid, a part of train becomes valid. Without any, all three are made.
    """
    if given and ("valid" in given or "train" not in given):
        return source
    undecided = [photo for photo in source.photos if photo.split == "train" or not photo.split]
    make_test = not given
    path = data_dir() / "splits" / f"{source.key}.json"
    saved = read_json(path, {})
    before = saved.get("photos") if isinstance(saved, dict) else None
    before = before if isinstance(before, dict) else {}
    split_of = divide(undecided, before, make_test)
    remembered = before | split_of  # photos that are away for now come back to their split
    if remembered != before:
        # On a read-only disk the same seed gives the same split next time, as long as no photo is added.
        with suppress(StorageError):
            write_json(path, {"seed": SEED, "share": SHARE, "photos": remembered})
    photos = tuple(replace(photo, split=split_of.get(photo.name, photo.split)) for photo in source.photos)
    who = f"this app (seed {SEED})"
    return replace(source, photos=photos, split_origin=who if make_test else f"the folders, valid by {who}")


def divide(photos: list[Photo], before: dict[str, str], make_test: bool) -> dict[str, str]:
    """A split for each photo's name. Photos in `before` keep theirs; new ones fill up what is short.

    A kind with one photo has it in train, with two one is in valid, from three on test gets one too.
    """
    result = {photo.name: before[photo.name] for photo in photos if before.get(photo.name) in SPLITS}
    kinds: dict[int, list[str]] = defaultdict(list)
    for photo in photos:
        kinds[photo.label].append(photo.name)
    for names in kinds.values():
        part = max(1, round(SHARE * len(names)))
        wanted = {"valid": part if len(names) >= 2 else 0, "test": part if make_test and len(names) >= 3 else 0}
        new = sorted(name for name in names if name not in result)
        random.Random(f"{SEED}:{len(names)}:{new}").shuffle(new)
        for split, count in wanted.items():
            missing = count - sum(result.get(name) == split for name in names)
            for _ in range(min(missing, len(new))):
                result[new.pop()] = split
        result.update(dict.fromkeys(new, "train"))
        if "train" not in map(result.get, names):  # its training photos were deleted; test gives one before valid
            result[min(names, key=lambda name: (result[name], name))] = "train"
    return result
