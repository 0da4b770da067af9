"""Photos to try where none is at hand: held-back photos of a set that somebody added, and drawn flowers."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from flowers_core.errors import ImageError
from flowers_core.images import read_file, to_jpeg
from flowers_core.network.checkpoint import Card
from flowers_core.photos.cache import DecodedSource
from flowers_core.sources import library
from flowers_core.sources.records import class_key
from flowers_core.ui import tiles
from flowers_core.ui.choices import kinds_by_split, open_set
from flowers_core.ui.classify.answers import Picture
from flowers_core.ui.pictures import cover
from flowers_core.ui.plain import plain

DRAWN = (
    ("bird of paradise", 1_000_028),
    ("black-eyed susan", 1_000_018),
    ("morning glory", 1_000_015),
    ("oxeye daisy", 1_000_006),
    ("foxglove", 1_000_030),
    ("english marigold", 1_000_011),
    ("passion flower", 1_000_017),
    ("common dandelion", 1_000_020),
)
"""Kind and seed of the drawn samples, which the built-in model names rightly. After it was trained anew:
`python -m checkpoints.choose_samples`."""

SEEDS_FROM = 1_000_000
"""Seeds of samples begin here; no picture of the drawn garden comes near."""

GARDEN = "Drawn flowers"
PARTS = {"test": "Test", "valid": "Validation"}
SHOWN = 8
TILE = 68
"""Pixels across at least: a phone shows four beside each other, and the answer still on the first screen."""


@dataclass(frozen=True)
class _Held:
    """Photos of a set that were kept apart: the set, which split they are of, and whether the model learned there (from
    its photos as they are, or were)."""

    known: library.KnownSet
    split: str
    home: bool

    @property
    def title(self) -> str:
        return f"{PARTS[self.split]} photos"


@dataclass(frozen=True)
class _Sample:
    """A sample in the grid: its id, how it looks, what reads its file, and its kind."""

    key: str
    look: bytes
    read: Callable[[], bytes]
    kind: str


def choose(card: Card) -> Picture | None:
    """A grid of samples that suit the model; the one that was clicked, or None yet."""
    held = _held_back(card)
    from_drawings = card.config.get("data") == "garden"
    where = GARDEN
    if held is not None:
        names = [GARDEN, held.title] if from_drawings else [held.title, GARDEN]
        where = st.segmented_control("Samples", names, default=names[0], required=True, label_visibility="collapsed",
                                     key="samples", format_func=plain)  # fmt: skip
    if where == GARDEN:
        st.caption(
            "Drawn by this program, and not among the pictures that the model learned from."
            if from_drawings
            else "Drawings, not photos: a model that learned from photos may take one for another flower."
        )
        drawn = [(kind, _drawn(kind, seed)) for kind, seed in DRAWN]
        return _clicked([_Sample(f"drawn-{kind}", file, lambda file=file: file, kind) for kind, file in drawn])
    decoded = open_set(held.known)
    st.caption(_told(held, held.home and decoded.fingerprint == card.data.get("fingerprint")))
    photos, classes = decoded.source.photos, decoded.source.classes
    return _clicked(
        [
            _Sample(f"held-{decoded.entries[i].digest}", cover(decoded, i, 256, 256),
                  lambda i=i: read_file(photos[i].path), classes[photos[i].label])
            for i in _of_different_kinds(decoded, held.split, _keys(card.classes))
        ]
    )  # fmt: skip


def draw(kind: str, seed: int) -> bytes:
    """A drawn sample, as the bytes of a JPEG file."""
    from flowers_core import garden

    return to_jpeg(garden.draw(kind, seed=seed, size=320), quality=90)


def _held_back(card: Card) -> _Held | None:
    """Photos to try the model on: of the set that it learned from, else of the set that was added last."""
    keys, found = _keys(card.classes), []
    for known in library.known_sets():
        home = known.data == card.config.get("data")
        if not known.added:
            continue
        for split in PARTS:
            # A model may have learned from what others call test photos: its card then counts none.
            learned = home and not card.data.get("counts", {}).get(split)
            if not learned and keys & _keys(kinds_by_split(known).get(split, ())):
                found.append(_Held(known, split, home))
                break
    return next((held for held in found if held.home), found[0] if found else None)


def _told(held: _Held, kept_apart: bool) -> str:
    name = plain(held.known.name)
    if not kept_apart:
        return f"Real photos of “{name}”. Whether the model learned from some of them is not known."
    if held.split == "test":
        return f"Real photos of “{name}”, kept apart while the model learned."
    return f"Real photos of “{name}”. The model did not learn from them, but they chose when it was at its best."


def _clicked(samples: list[_Sample]) -> Picture | None:
    looks = [
        tiles.Tile(sample.key, sample.look, 1.0, note="Try it", name=f"Try it: sample {number}")
        for number, sample in enumerate(samples, start=1)
    ]
    tiles.grid(looks, _take, "samples-grid", TILE)
    for sample in samples:
        if sample.key == st.session_state.get("sample"):
            with suppress(ImageError):  # the file went away meanwhile
                return Picture(sample.key, sample.read(), right=sample.kind)
    return None


def _of_different_kinds(decoded: DecodedSource, split: str, keys: set[str]) -> list[int]:
    """One photo each of kinds that the model knows, spread over them."""
    first_of: dict[int, int] = {}
    for i, photo in enumerate(decoded.source.photos):
        if photo.split == split and class_key(decoded.source.classes[photo.label]) in keys:
            first_of.setdefault(photo.label, i)
    return list(first_of.values())[:: max(1, len(first_of) // SHOWN)][:SHOWN]


def _keys(kinds) -> set[str]:
    return {class_key(kind) for kind in kinds}


def _take(key: str) -> None:
    st.session_state["sample"] = key


@st.cache_data(show_spinner=False, max_entries=16)
def _drawn(kind: str, seed: int) -> bytes:
    return draw(kind, seed)
