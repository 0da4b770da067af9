"""Commands about what is changed in a set without touching a file: single photos, and the split that the app makes."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from flowers_core.cli.common import Command, add_actions, add_data, end_progress, open_data, print_table, progress
from flowers_core.errors import ConfigError, DataError
from flowers_core.sources import SplitPlan, edits
from flowers_core.sources.edits import Edit
from flowers_core.sources.records import class_key, first_few, printable

if TYPE_CHECKING:
    from flowers_core.photos.cache import DecodedSource


def add_commands(command: Command) -> None:
    """Adds the commands to the parser."""
    photos = command("photos", _photos, "List what was changed about photos; exclude, move or relabel some, or undo.")
    add_data(photos)
    add_action = add_actions(photos)
    for name, value, help in (
        (edits.EXCLUDE, None, "Leave photos out of training and evaluation. The files stay where they are."),
        (edits.MOVE, ("SPLIT", "train, valid or test"), "Move photos to another split."),
        (edits.RELABEL, ("KIND", "one of the set's kinds"), "Give photos another kind."),
        (edits.ACCEPT, ("PROBLEM", "its name in data --problems --json"), "Say that a problem with photos is none."),
    ):
        action = add_action(name, help)
        if value:
            action.add_argument("value", metavar=value[0], help=value[1])
        action.add_argument(
            "photos", metavar="PHOTO", nargs="+", help="its path, or that below the set's folder: Train/rose/1.jpg"
        )
    undo = add_action("undo", "Take changes back; without CHANGE the last one.")
    undo.add_argument("changes", metavar="CHANGE", nargs="*", help="its id, as the list has it")
    undo.add_argument("--all", action="store_true", help="take all changes back")

    split = command("split", _split, "Show how a set is split; where the app made the split, make another one.")
    add_data(split)
    amount = "share of each kind's photos, as 0.15; with --per-kind a number of photos"
    split.add_argument("--valid", type=float, metavar="PART", help=f"for validation: {amount}")
    split.add_argument("--test", type=float, metavar="PART", help=f"for the test: {amount}")
    split.add_argument("--per-kind", action="store_true", help="PART is a number of photos of each kind")
    split.add_argument("--seed", type=int, metavar="N", help="another one gives another choice of photos")
    split.add_argument("--dry-run", action="store_true", help="only show what it would give; change nothing")


def _photos(options: argparse.Namespace) -> dict:
    from flowers_core.photos.cache import decode_original, edited

    original = decode_original(open_data(options), progress)
    end_progress()
    key = original.source.key
    done: list[Edit] = []
    if options.action == "undo":
        done = _undo(options, edits.load(key), key)
    elif options.action:
        done = _change(options, edited(original, edits.load(key)))
    changes = edits.load(key)
    places = edits.targets(changes, original.source.photos, [entry.digest for entry in original.entries])
    rows = [_row(edit, gone=place is None) for edit, place in zip(changes, places, strict=True)][::-1]
    result = {"done": [_row(edit) for edit in done], "changes": rows}
    if not options.json:
        for row in result["done"] if options.action else rows:
            undone = "undone: " if options.action == "undo" else ""
            gone = " (the file is gone or has changed)" if row["gone"] else ""
            print(f"{row['id']}  {undone}{row['photo']}: {row['in_words']}{gone}")
        if not rows:
            print("No photo is changed.")
    decoded = edited(original, changes)
    if not options.json:
        print(_in_one_line(decoded))
    return _about(decoded) | result


def _change(options: argparse.Namespace, decoded: "DecodedSource") -> list[Edit]:
    """Makes the change that the command line asks for; the edits."""
    from flowers_core.photos import problems

    value, classes = getattr(options, "value", ""), decoded.source.classes
    if options.action == edits.RELABEL:
        named = next((name for name in classes if class_key(name) == class_key(value)), None)
        if named is None:
            raise DataError("The set has no such kind", printable(value), f"Choose one of {first_few(classes, 40)}.")
        value = named
    if options.action == edits.ACCEPT and value not in problems.PROBLEMS:
        raise DataError("There is no such problem", printable(value), f"Choose one of {', '.join(problems.PROBLEMS)}.")
    new = problems.edits_for(decoded, _places(decoded, options.photos), options.action, value)
    ids = edits.add(decoded.source.key, new)
    return [replace(edit, id=id) for edit, id in zip(new, ids, strict=True)]


def _undo(options: argparse.Namespace, made: Sequence[Edit], key: str) -> list[Edit]:
    """Takes back what the command line asks for; the edits that are no more."""
    if not made:
        raise ConfigError("There is nothing to undo", options.data, "No photo of it is changed.")
    by_id = {edit.id: edit for edit in made}
    wanted = list(by_id) if options.all else options.changes or [made[-1].id]
    for change in wanted:
        if change not in by_id:
            raise ConfigError("There is no such change", printable(change), "List them: photos DATA.")
    edits.undo(key, wanted)
    return [by_id[change] for change in wanted]


def _places(decoded: "DecodedSource", names: Sequence[str]) -> list[int]:
    """The indices of the photos that are named by their path, or by that below the set's folder; each once.

    Raises:
        DataError: one of them is not there, or excluded.
    """
    photos = decoded.source.photos
    # Text, because a Path for each of a hundred thousand files takes its time.
    place_of = {os.path.abspath(photo.file): place for place, photo in enumerate(photos)}  # noqa: PTH100
    place_of |= {photo.name: place for place, photo in enumerate(photos)}
    places = []
    for name in names:
        place = place_of.get(name, place_of.get(os.path.abspath(name)))  # noqa: PTH100
        if place is None:
            hint = f"Give its path below the set's folder, as {photos[0].name}; photos DATA lists what is excluded."
            raise DataError("The set has no such photo", printable(name), hint)
        places.append(place)
    return list(dict.fromkeys(places))


def _split(options: argparse.Namespace) -> dict:
    from flowers_core.photos import resplit
    from flowers_core.photos.cache import decode_source

    def opened() -> "DecodedSource":
        return decode_source(open_data(options), progress)

    now = then = opened()
    if options.per_kind or any(given is not None for given in (options.valid, options.test, options.seed)):
        plan = _plan(options, now.source.plan)
        if options.dry_run:
            then = resplit.preview(now, plan)
        else:
            resplit.change(now, plan)
            then = opened()
    end_progress()
    source, before, after = then.source, resplit.amounts(now), resplit.amounts(then)
    result = _about(then) | {
        "split_origin": source.split_origin,
        "plan": asdict(source.plan) if source.plan else None,
        "per_kind": {split: {"least": amount.least, "most": amount.most} for split, amount in after.items()},
    }
    if options.dry_run:
        result["kept_together"] = resplit.kept_together(now)
    if not options.json:
        print(f"{'Split' if then is now or not options.dry_run else 'Would be split'} by {source.split_origin}.")
        if options.dry_run:
            rows = [(split, str(before[split].photos), str(new.photos), new.per_kind) for split, new in after.items()]
            print_table(("SPLIT", "NOW", "THEN", "PER KIND THEN"), rows)
            print(f"{result['kept_together']} photos have a copy or a near copy; those stay together.")
        print(_in_one_line(then))
        if options.dry_run:
            print("Nothing was changed.")
    return result


def _plan(options: argparse.Namespace, plan: SplitPlan | None) -> SplitPlan:
    """The plan that the command line asks for, where it gives nothing as before."""
    if plan is None:
        hint = "Move single photos instead: photos DATA move SPLIT PHOTO."
        raise ConfigError("The split came with the photos, so the app keeps to it", options.data, hint)
    if options.test is not None and not plan.make_test:
        raise ConfigError("The folders say which photos are for the test", options.data, "Leave out --test.")
    amounts = {"valid": options.valid, "test": options.test}
    given = {part: amount for part, amount in amounts.items() if amount is not None}
    plan = plan.by(options.per_kind) if given or options.per_kind else plan
    return replace(plan, **given, seed=plan.seed if options.seed is None else options.seed)


def _about(decoded: "DecodedSource") -> dict:
    return {"name": decoded.source.name, "images": decoded.source.counts(), "fingerprint": decoded.fingerprint}


def _in_one_line(decoded: "DecodedSource") -> str:
    about = _about(decoded)
    counts = ", ".join(f"{count} {split}" for split, count in about["images"].items())
    return f"{about['name']}: {counts}, fingerprint {about['fingerprint']}"


def _row(edit: Edit, gone: bool = False) -> dict:
    about = {"id": edit.id, "photo": edit.name, "action": edit.action, "value": edit.value}
    return about | {"in_words": edit.in_words, "gone": gone}
