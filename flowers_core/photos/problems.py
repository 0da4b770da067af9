"""What is wrong with a set's photos: copies, near copies, tiny, blurred, dark and odd ones, and doubtful labels.

Thresholds are set on 2,192 of Flowers-102's photos (30 kinds), so that what is fine there is left in peace; see
docs/experiments.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowers_core.images import SIDE
from flowers_core.network import sureness
from flowers_core.photos import label_errors, likeness
from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.features import Features
from flowers_core.sources import SPLITS
from flowers_core.sources.edits import ACCEPT, Edit, targets

TINY_SIDE = 64
"""Pixels of the shorter side below which little of a flower is left: a third of what the network looks at (224)."""

BLUR_BELOW = 5.0
"""Standard deviation of the Laplacian, in grey levels. Sharp photos have 6.3 and more; blurred by a Gaussian of 2
pixels (of 256), 95 % of them have less than 3.8."""

DARK_BELOW = 60
"""Grey level that only 1 % of the pixels exceed. Flowers before black have 78 and more."""

ODD_ASPECT = 3.0
"""Longer over shorter side above which the centre that the network sees is less than a third of the photo."""


@dataclass(frozen=True)
class ProblemType:
    """A type of problem: its title and what it does to a training."""

    title: str
    why: str


PROBLEMS: dict[str, ProblemType] = {
    "copies": ProblemType("The same file twice", "Copies in two splits fake accuracy: one was learned by heart."),
    "near-copies": ProblemType("Nearly the same photo", "Cropped, scaled or brightened copies do the same harm."),
    "label": ProblemType("Perhaps another kind", "A photo in the wrong folder teaches the wrong name."),
    "tiny": ProblemType("Tiny", f"Less than {TINY_SIDE} pixels on the shorter side; the network looks at 224."),
    "blurred": ProblemType("Blurred", "No edge is left that a petal could be known by."),
    "dark": ProblemType("Dark", "Hardly any pixel is bright enough to see."),
    "aspect": ProblemType("Odd shape", "Very long or very high: most of it lies outside of what the network sees."),
}


@dataclass(frozen=True)
class Finding:
    """One problem with one photo, or with several that belong together.

    Args:
        problem: key of PROBLEMS.
        photos: indices into the decoded source.
        note: the figure behind it, for people.
        suggestion: for "label" the class that it looks like.
        crosses: the photos lie in different splits.
    """

    problem: str
    photos: tuple[int, ...]
    note: str
    suggestion: int | None = None
    crosses: bool = False


def find(decoded: DecodedSource, features: Features | None = None) -> list[Finding]:
    """All problems, by type in the order of PROBLEMS, copies across splits first.

    Args:
        decoded: the photos, as edited; what people accepted as fine is left out.
        features: with them doubtful labels are looked for too.
    """
    # Files with the same bytes share a row of the cache.
    found = _by_crossing(decoded, "copies", likeness.equal(decoded.rows))
    found += _by_crossing(decoded, "near-copies", likeness.near_copies(decoded))
    if features is not None:
        classes = decoded.source.classes
        for suspect in label_errors.find(decoded, features):
            note = f"looks like {classes[suspect.label]} ({sureness.percent(suspect.other)})"
            found.append(Finding("label", (suspect.index,), note, suspect.label))
    found += _single(decoded)
    fine = _accepted(decoded)
    return [finding for finding in found if not all((i, finding.problem) in fine for i in finding.photos)]


def edits_for(decoded: DecodedSource, indices: Sequence[int], action: str, value: str = "") -> list[Edit]:
    """The edits of some photos (see `sources.edits.Edit`), ready to add."""
    original, meant = decoded.original, set(decoded.rows[list(indices)].tolist())
    names: dict[int, list[str]] = {row: [] for row in meant}
    for i in np.flatnonzero(np.isin(original.rows, list(meant))):
        names[int(original.rows[i])].append(original.source.photos[i].name)
    copies = {row: tuple(same) for row, same in names.items()}
    return [
        Edit(decoded.entries[i].digest, decoded.source.photos[i].name, action, value, copies[int(decoded.rows[i])])
        for i in indices
    ]


def to_keep(decoded: DecodedSource, photos: Sequence[int]) -> int:
    """Of several copies the one to keep: in train before valid before test, then the largest, then by name."""
    sizes = decoded.sizes
    return min(photos, key=lambda i: (decoded.splits[i], -int(sizes[i].prod()), decoded.source.photos[i].name))


def _accepted(decoded: DecodedSource) -> set[tuple[int, str]]:
    accepts = [edit for edit in decoded.edits if edit.action == ACCEPT]
    if not accepts:
        return set()
    digests = [entry.digest for entry in decoded.entries]
    places = targets(accepts, decoded.source.photos, digests)
    return {(i, edit.value) for edit, i in zip(accepts, places, strict=True) if i is not None}


def _by_crossing(decoded: DecodedSource, problem: str, groups) -> list[Finding]:
    found = []
    for group in groups:
        splits = sorted(set(decoded.splits[group].tolist()))
        kinds = len(set(decoded.labels[group].tolist()))
        where = " and ".join(SPLITS[n] for n in splits)
        note = f"in {where}" + (f", as {kinds} kinds" if kinds > 1 else "")
        found.append(Finding(problem, tuple(group.tolist()), note, crosses=len(splits) > 1))
    return sorted(found, key=lambda finding: (not finding.crosses, finding.photos))


def _single(decoded: DecodedSource) -> list[Finding]:
    """Photos that are tiny, dark, blurred or odd, each by its worst trouble: tiny and dark ones are blurred too."""
    records, sizes = decoded.records, decoded.sizes
    white, sharpness = records["white"][decoded.rows], records["sharpness"][decoded.rows]
    short = sizes.min(1)
    aspect = sizes.max(1) / np.maximum(1, short)
    tiny, dark, odd = short < TINY_SIDE, white < DARK_BELOW, aspect > ODD_ASPECT
    enlarged = np.minimum(1.0, short / SIDE)  # small photos lose edges when they are brought to the square
    blurred = (sharpness < BLUR_BELOW * enlarged) & ~dark & ~tiny
    found = [Finding("tiny", (int(i),), "{}×{} pixels".format(*sizes[i])) for i in np.flatnonzero(tiny)]
    found += [
        Finding("blurred", (int(i),), f"sharpness {sharpness[i]:.1f}, usual is 10 and more")
        for i in np.flatnonzero(blurred)[np.argsort(sharpness[blurred], kind="stable")]
    ]
    found += [Finding("dark", (int(i),), f"brightest parts {white[i] / 255:.0%}") for i in np.flatnonzero(dark)]
    found += [Finding("aspect", (int(i),), f"{aspect[i]:.1f} to 1") for i in np.flatnonzero(odd)]
    return found
