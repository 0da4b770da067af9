"""What every page lets a person choose: the photos and the model; and opening them with progress and errors."""

import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import streamlit as st

from flowers_core.errors import FlowersError
from flowers_core.machine import memory
from flowers_core.network import checkpoint
from flowers_core.network.checkpoint import Card
from flowers_core.photos.cache import DecodedSource, decode_original, edited
from flowers_core.runs import ACTIVE, Run, trash
from flowers_core.sources import edits, library, open_source, own, splits
from flowers_core.storage import studies_dir
from flowers_core.ui import changes, frame, linked, words
from flowers_core.ui.errors import show_error
from flowers_core.ui.plain import plain

OPEN_SOURCES = 4
"""Sets kept open in memory (their lists; pixels stay on disk)."""


def choose_set(label: str = "Photos", drops: Sequence[str] = (), usual: str | None = None) -> library.KnownSet:
    """A select box of all known sets; the choice is shared by all pages and part of the address.

    Args:
        label: of the box.
        usual: the data of the set that is chosen on this page before anybody has; when None or not there, `usual_set`.
        drops: see `linked.choose`.
    """
    sets = {known.id: known for known in (usual_set(), *library.known_sets())}
    names = {known.id: known.name for known in sets.values()}
    first = next((known.id for known in sets.values() if known.data == usual), None)
    take = st.session_state.pop("new-set", None)
    chosen = linked.choose(
        label, names, "data", take=take, first=first, follow=first is not None, drops=drops, called=_deleted_name
    )
    return sets[chosen]


def _deleted_name(set_id: str) -> str:
    """What a set was called that lies in the trash; else its id."""
    return next((deleted.name for deleted in library.deleted_sets() if deleted.set_id == set_id), set_id)


def usual_set() -> library.KnownSet:
    """The set where nobody has chosen one: the newest that can be trained on. The garden always can.

    My own set comes after those that were brought in whole: a few photos in it don't make it what one works with.
    """
    added = sorted((known for known in library.known_sets() if known.added), key=lambda known: known.id == library.OWN)
    return next((known for known in added if can_train(known)), library.BUILT_IN[0])


def chosen_data() -> str | None:
    """The data of the set that this viewer has chosen, on whatever page; None while they have not."""
    chosen = st.query_params.get("data") or linked.by_hand("data")
    return next((known.data for known in library.known_sets() if known.id == chosen), None)


def can_train(known: library.KnownSet) -> bool:
    """Have at least two of its kinds training photos, as its folders tell?"""
    return len(kinds_by_split(known).get("train", ())) >= 2


def kinds_by_split(known: library.KnownSet) -> dict[str, set[str]]:
    """The kinds that have photos in each split, as the set's folders tell; empty when they can't be read."""
    return _kinds_by_split(known, _stamp(known.data))


@st.cache_data(show_spinner=False, max_entries=64)
def _kinds_by_split(known: library.KnownSet, stamp: tuple) -> dict[str, set[str]]:
    kinds = defaultdict(set)
    with suppress(FlowersError):  # opening the set says what is wrong with it
        source = open_source(known.data, least_classes=1)
        for photo in source.photos:
            kinds[photo.split].add(source.classes[photo.label])
    return dict(kinds)


def open_set(known: library.KnownSet, remedy: Callable[[library.KnownSet], None] | None = None) -> DecodedSource:
    """The set's photos, decoded, with people's edits; with a progress bar the first time.

    Ends the page with a message where the set can't be opened.

    Args:
        known: the set.
        remedy: draws below that message what can be done about it, on the page that has the means.
    """
    if known.data == library.FLOWERS102 and not known.added:
        st.info("Oxford Flowers-102 is not here yet.", icon=":material/download:")
        if remedy:
            remedy(known)
        else:
            frame.link("photos", "Download it on the page Photos", "download", data=known.id)
        st.stop()
    if known.id == library.OWN and not own.kinds():
        st.info(f"{plain(known.name)} is empty: all its photos were taken back.", icon=":material/photo_library:")
        if remedy:
            st.caption("Add photos one by one, with the button “Add photos”; or delete the set.")
            remedy(known)
        else:
            frame.link("photos", "Add photos on the page Photos", "add_photo_alternate", data=known.id)
        st.stop()
    with st.container():  # always there: where it comes and goes, a browser takes what stands below for something new
        kept = _kept(known, lambda: _opened(known, remedy))
    try:
        return _with_edits(known, kept)
    except FlowersError as error:
        show_error(error)
        changes.log(replace(kept.original, edits=edits.load(kept.original.source.key)), expanded=True)
        st.stop()


def training_set(card: Card) -> DecodedSource | None:
    """The photos that a model learned from, where they are a set that is known here and is as it was then."""
    known = next((known for known in library.known_sets() if known.data == card.config.get("data")), None)
    if known is None or (known.data == library.FLOWERS102 and not known.added):
        return None
    try:
        with st.spinner("Looking at what it learned from…"):
            kept = _kept(known, lambda: decode_original(open_source(known.data, least_classes=1)))
            decoded = _with_edits(known, kept)
    except FlowersError:  # nothing is known then
        return None
    return decoded if decoded.fingerprint == card.data.get("fingerprint") else None


def _kept(known: library.KnownSet, opened: Callable[[], DecodedSource]) -> "_OpenSet":
    """The set as it is in memory, where its folders are as they were; else as it is when it is opened now."""
    stamp = (known.name, known.kinds, *_stamp(known.data))
    store, lock = _open_sets()
    with lock:
        kept = store.get(known.data)
    if kept is None or kept.stamp != stamp:
        kept = _OpenSet(stamp, opened())
    with lock:
        store[known.data] = kept
        store.move_to_end(known.data)
        while len(store) > OPEN_SOURCES:
            store.popitem(last=False)
    return kept


def _with_edits(known: library.KnownSet, kept: "_OpenSet") -> DecodedSource:
    """The set with people's edits, which stays in memory beside it.

    Raises:
        DataError: the edits leave nothing of it.
    """
    version = edits.version(kept.original.source.key)
    if kept.decoded is None or kept.version != version:
        made = edits.load(kept.original.source.key)
        fresh = replace(kept, version=version, decoded=edited(kept.original, made))
        store, lock = _open_sets()
        with lock:
            if store.get(known.data) is kept:  # else somebody else has had it forgotten, or opened it anew
                store[known.data] = fresh
        kept = fresh
    return kept.decoded


@dataclass(frozen=True)
class _OpenSet:
    """A set in memory: its folders' and its edits' state when it was read, without and with the edits."""

    stamp: tuple
    original: DecodedSource
    version: tuple[int, int] | None = None
    decoded: DecodedSource | None = None


def _opened(known: library.KnownSet, remedy: Callable[[library.KnownSet], None] | None) -> DecodedSource:
    bar = st.empty()

    def report(what: str, done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), f"{what}: {done:,} of {total:,}")

    try:
        with st.spinner("Opening the photos…", show_time=True):
            original = decode_original(open_source(known.data, least_classes=1, progress=report), report)
    except FlowersError as error:
        bar.empty()
        show_error(error)
        if remedy:
            remedy(known)
        st.stop()
    bar.empty()
    memory.trim()
    return original


def look_again(known: library.KnownSet) -> None:
    """Forgets what is kept in memory of a set, so that the next run lists its folders anew."""
    store, lock = _open_sets()
    with lock:
        store.pop(known.data, None)


def choose_checkpoint(
    label: str = "Model", *, built_in: bool = False, drops: Sequence[str] = ()
) -> tuple[Path, Card] | None:
    """A select box of all checkpoints, or None with a word on what to do when there is none yet.

    Args:
        label: of the box.
        built_in: which one stands there before anybody has chosen, see `usual_checkpoint`.
        drops: see `linked.choose`.
    """
    found = {checkpoint_id(path): path for path in checkpoint.find_checkpoints()}
    if not found:
        st.info("There is no trained model yet. Training one takes about a minute.", icon=":material/model_training:")
        st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")
        return None
    names = {key: describe(path) for key, path in found.items()}
    first = _first_checkpoint(found, built_in)
    path = found[linked.choose(label, names, "model", first=first, drops=drops, called=_deleted_model)]
    return path, checkpoint.read_card(path)


def _deleted_model(model_id: str) -> str:
    """What a training was called whose model lies in the trash; else its id."""
    return next((deleted.run.name for deleted in trash.content() if deleted.run.id == model_id), model_id)


def usual_checkpoint(paths: Sequence[Path], built_in: bool) -> Path:
    """The checkpoint where nobody has chosen one: the built-in one, or the newest whose training has ended.

    A training of somebody else's must not change who names the flowers.
    """
    ended = [path for path in paths if not is_learning(path)] or paths
    return next((path for path in ended if checkpoint.is_shipped(path) == built_in), ended[0])


def _first_checkpoint(found: dict[str, Path], built_in: bool) -> str:
    """The id of the usual checkpoint. Shown once it stays, whatever others train, until this viewer's next one."""
    watched = () if built_in else st.session_state.get("watched-runs", ())
    own = [path for key, path in found.items() if key in watched and not is_learning(path)]
    kept = st.session_state.setdefault("usual-models", {})
    if own or kept.get(built_in) not in found:
        kept[built_in] = checkpoint_id(usual_checkpoint(own or list(found.values()), built_in))
    return kept[built_in]


def is_learning(path: Path) -> bool:
    """Is this the model of a training that goes on?"""
    return not checkpoint.is_shipped(path) and Run(path.parent).state() in ACTIVE


def checkpoint_id(path: Path) -> str:
    """Names a checkpoint in links: its run's id, or the shipped file's name."""
    return path.parent.name if path.name == "best.safetensors" else path.stem


def describe(path: Path) -> str:
    """A checkpoint in one line, with its run's name where somebody gave it one."""
    card = checkpoint.read_card(path)
    name = Run(path.parent).label()[0] if path.name == "best.safetensors" else ""
    accuracy = card.results.get("valid_accuracy")
    by = "in cross-validation" if card.results.get("folds") else "on valid"
    reached = f", {accuracy:.0%} {by}" if accuracy is not None else ""
    if checkpoint.is_shipped(path):
        return f"Built in: {words.count(len(card.classes), 'kind')}{reached}"
    in_run = (path.parent / "config.json").exists()  # then it is called as the lists of runs call it
    began = Run(path.parent).started if in_run else datetime.fromtimestamp(path.stat().st_mtime)
    when = "still learning" if is_learning(path) else f"{began:%d %b %H:%M:%S}"
    best_of = ", best of a search" if studies_dir() in path.parents else ""
    recipe = f"AlexNet {card.variant}"
    if in_run:
        with suppress(FlowersError):  # settings of a newer version
            recipe = Run(path.parent).recipe()
    return f"{name or card.data.get('data', path.stem)}: {recipe}{best_of}{reached} ({when})"


@st.cache_resource
def _open_sets() -> tuple[OrderedDict, threading.Lock]:
    return OrderedDict(), threading.Lock()


def _stamp(data: str) -> tuple:
    """Changes when a file is added to or removed from a set's folders, or any set's split is saved; cheap enough for
    every click.

    What folders a folder holds is looked at again only when its own time has changed: there may be many photos
    beside them.
    """
    stamps, seen = [splits.saved_last()], _folders_seen()
    level = [data]
    for _ in range(4):  # a wrapping folder, splits, kinds, and one more
        below = []
        for folder in level[:1000]:
            with suppress(OSError):  # not there, or closed to us: what opening it says is shown to the user
                changed = Path(folder).stat().st_mtime_ns
                stamps.append(changed)
                if folder not in seen or seen[folder][0] != changed:
                    seen[folder] = (changed, tuple(entry.path for entry in os.scandir(folder) if entry.is_dir()))
                below += seen[folder][1]
        level = below
    return tuple(stamps)


@st.cache_resource
def _folders_seen() -> dict[str, tuple[int, tuple[str, ...]]]:
    return {}
