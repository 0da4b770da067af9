"""Commands about sets of photos: what they hold, bringing them in, their cards."""

import argparse
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flowers_core.cli.common import (
    Command,
    add_data,
    ask_consent,
    end_progress,
    folds_hint,
    named_photos,
    open_data,
    print_table,
    progress,
)
from flowers_core.errors import ConfigError, FlowersError, ImageError
from flowers_core.sources import SPLITS
from flowers_core.sources.records import first_few

if TYPE_CHECKING:
    from flowers_core.photos.cache import DecodedSource
    from flowers_core.sources.library import KnownSet


def add_commands(command: Command) -> None:
    """Adds the commands to the parser."""
    data = command("data", _data, "List what a data source holds and which files can't be read.")
    add_data(data)
    data.add_argument(
        "--problems", action="store_true",
        help="also list copies, tiny, blurred, dark and odd photos, and doubtful labels (looks at each photo once)",
    )  # fmt: skip
    data.add_argument(
        "--grow", type=int, nargs=3, metavar=("TRAIN", "VALID", "TEST"),
        help="first bring the garden to so many pictures per kind",
    )  # fmt: skip

    bring = command("import", _import, "Bring photos in for good: a zip, a Google Drive link, flowers102, or a folder.")
    add_data(bring, nargs="?")
    bring.add_argument("--name", default="", help="what to call the set (default: as its folder or file)")
    bring.add_argument("--kinds", default="30", choices=["30", "all"], help="of Flowers-102 (default: 30)")
    bring.add_argument("--job", type=Path, help=argparse.SUPPRESS)  # how a page starts an import

    add = command("add", _add, "Add photos to a kind of My own set, or take the last one back.")
    add.add_argument("kind", metavar="KIND", nargs="?", help="one of the set's kinds, or a new one")
    add.add_argument("images", metavar="IMAGE", type=Path, nargs="*", help="a photo, or a folder of them")
    add.add_argument("--undo", action="store_true", help="take the photo that was added last out again")

    sets = command("sets", _sets, "List all sets of photos with their cards, rename, delete or bring back one.")
    sets.add_argument("set", metavar="SET", nargs="?", help="a set's id or name")
    sets.add_argument("--rename", metavar="NAME", help="give it another name")
    sets.add_argument("--delete", action="store_true", help="move it to the trash, for seven days")
    sets.add_argument("--restore", action="store_true", help="bring it back from there")
    sets.add_argument("--empty-trash", action="store_true", help="remove deleted sets for good")


def _data(options: argparse.Namespace) -> dict:
    from flowers_core.photos.cache import decode_source

    if options.grow:
        _grow(options)
    decoded = decode_source(open_data(options), progress)
    source = decoded.source
    findings = _findings(decoded) if options.problems else []
    end_progress()
    if not options.json:
        counts = ", ".join(f"{count} {split}" for split, count in source.counts().items())
        print(f"{source.name}: {len(source.classes)} kinds, {counts} (split by {source.split_origin})")
        print(", ".join(source.classes))
        for problem in source.problems:
            print(f"left out: {problem.path}: {problem.reason}")
        if hint := folds_hint(source):
            print(hint)
        if decoded.edits:
            print(f"{len(decoded.edits)} changes made in the app apply")
        for finding in findings:
            print(f"{finding['title']}: {', '.join(finding['photos'])}: {finding['note']}")
        if options.problems and not findings:
            print("No problems found.")
    result = {
        "name": source.name,
        "classes": list(source.classes),
        "images": source.counts(),
        "split_origin": source.split_origin,
        "fingerprint": decoded.fingerprint,
        "problems": [{"path": problem.path, "reason": problem.reason} for problem in source.problems],
        "changes": len(decoded.edits),
    }
    return {**result, "findings": findings} if options.problems else result


def _grow(options: argparse.Namespace) -> None:
    from flowers_core.garden import plot

    if options.data.strip() != "garden":
        raise ConfigError("Only the garden grows", options.data, "Give garden as DATA.")
    counts = dict(zip(SPLITS, options.grow, strict=True))
    plot.grow(counts, lambda done, total: progress("Growing the garden", done, total))


def _findings(decoded: "DecodedSource") -> list[dict]:
    from flowers_core.photos import features, problems

    photos, classes = decoded.source.photos, decoded.source.classes
    return [
        {
            "problem": finding.problem,
            "title": problems.PROBLEMS[finding.problem].title,
            "photos": [photos[i].name for i in finding.photos],
            "note": finding.note,
            "across_splits": finding.crosses,
            "suggestion": None if finding.suggestion is None else classes[finding.suggestion],
        }
        for finding in problems.find(decoded, features.compute(decoded, progress))
    ]


def _import(options: argparse.Namespace) -> dict:
    from flowers_core.photos import importer
    from flowers_core.photos.cache import decode_source
    from flowers_core.sources import imports, open_source

    if options.job:
        known = importer.work(importer.Job(options.job))
    elif options.data is None:
        raise ConfigError("import needs DATA", None, "Name a zip, a Google Drive link, flowers102 or a folder.")
    else:
        ask_consent(options.data, options)
        importer.sweep()
        request = imports.request_for(options.data, options.name, "all" if options.kinds == "all" else "")
        known = importer.bring(request, progress)
        end_progress()
    if known is None:
        return {}
    left_out = len(decode_source(open_source(known.data, least_classes=1), progress).source.problems)
    if not options.json:
        print(f"Imported {known.name}. Train on it: python -m flowers_core train {known.id}")
        if left_out:
            print(f"{left_out} left out. See why: python -m flowers_core data {known.id}")
    return _card(known) | {"left_out": left_out}


def _add(options: argparse.Namespace) -> list[dict]:
    from flowers_core.images import read_file
    from flowers_core.sources import own

    done, refused = [], []
    if options.undo:
        done = own.additions(1)
        if not done:
            raise ConfigError("There is nothing to take back", None, "My own set is as it was.")
        own.undo(done[0])
    elif options.kind is None or not options.images:
        raise ConfigError("add needs KIND and IMAGE", None, "Say: add rose photo.jpg")
    else:
        photos = named_photos(options.images)
        for path in photos:
            try:
                done.append(own.add(read_file(path), options.kind))
            except ImageError as error:
                refused.append(f"{path} ({error.what})")
    if not options.json:
        for addition in done:
            print(f"{'Took back' if options.undo else 'Added'} a photo of {addition.folder}")
    if refused:
        what = f"{len(refused)} of {len(photos)} photos can't be added"
        raise ImageError(what, first_few(refused), "The others are in My own set." if done else "Nothing was added.")
    return [asdict(addition) for addition in done]


def _sets(options: argparse.Namespace) -> list[dict]:
    from flowers_core.sources import library

    if options.empty_trash:
        library.empty_trash()
    if options.set:
        _change_set(options)
    elif options.rename is not None or options.delete or options.restore:
        raise ConfigError("sets needs SET for that", None, "Name the set, by its id or its name.")
    sets = library.known_sets()
    rows = [_card(known) | _content(known) for known in sets]
    end_progress()
    if not options.json:
        head = ["ID", "NAME", *map(str.upper, SPLITS), "ADDED", "FINGERPRINT", "LICENCE", "FROM"]
        print_table(head, map(_cells, sets, rows))
        for deleted in library.deleted_sets():
            print(f"in the trash: {deleted.name}")
    return rows


def _change_set(options: argparse.Namespace) -> None:
    from flowers_core.errors import DataError
    from flowers_core.sources import library

    if options.restore:
        deleted = next((d for d in library.deleted_sets() if options.set in (d.name, d.place.split(".")[0])), None)
        if deleted is None:
            raise DataError("There is no such set in the trash", options.set, "List what there is: sets.")
        library.restore(deleted)
        return
    known = library.find(options.set)
    if known is None:
        raise DataError("There is no such set", options.set, "List what there is: sets.")
    if options.rename is not None:
        library.change(known.id, name=options.rename)
    if options.delete:
        library.delete(known.id)


def _card(known: "KnownSet") -> dict:
    keys = ("id", "name", "data", "origin", "licence", "added")
    return {key: getattr(known, key) for key in keys}


def _content(known: "KnownSet") -> dict:
    """What a set holds; a list must not draw or download what is not there yet."""
    from flowers_core.garden import plot
    from flowers_core.photos.cache import decode_source
    from flowers_core.sources import library, open_source

    nothing = {"kinds": None, "images": None, "split_origin": None, "fingerprint": None}
    if known.id == library.FLOWERS102 and not known.added:
        return nothing | {"problem": "not downloaded yet"}
    if known.id == "garden" and not plot.is_planted():
        return nothing | {"problem": "drawn at first use"}
    try:
        decoded = decode_source(open_source(known.data, least_classes=1, progress=progress), progress)
    except FlowersError as error:
        return nothing | {"problem": error.what}
    source = decoded.source
    return {
        "kinds": len(source.classes),
        "images": source.counts(),
        "split_origin": source.split_origin,
        "fingerprint": decoded.fingerprint,
        "problem": None,
    }


def _cells(known: "KnownSet", row: dict) -> list[str]:
    """A set's line in the table."""
    counts = [str(row["images"][split]) if row["images"] else "-" for split in SPLITS]
    added = f"{datetime.fromtimestamp(known.added):%Y-%m-%d %H:%M}" if known.added else "built in"
    fingerprint = row["fingerprint"] or f"({row['problem']})"
    return [known.id, known.name, *counts, added, fingerprint, known.licence_in_words, known.origin or "-"]
