"""What the convolutions see in several views of each photo: for what is solved in closed form, and for frozen ones.

The first views of a photo are plain, the others varied as in training. A view of all photos is computed as a whole, in
the same batches and by chance of its own, so that a resumed run finds the same bits.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from flowers_core.images.augment import EvalTransform, TrainTransform, eval_views, train_batch
from flowers_core.machine import precision
from flowers_core.network.alexnet import AlexNet, summarised
from flowers_core.photos.dataset import CPU, Split
from flowers_core.training import seeds

T = TypeVar("T")

Seen = Callable[[int], None]
"""Told how many photos of a view have been looked at."""

Progress = Callable[[int, int], None]
"""Told how many looks at photos are done, of how many."""


def ignore(*_: int) -> None:
    """For who doesn't want to be told."""


PLAIN = (2, 5, 0, 3, 4, 1)
"""Places of the plain views among those of three sizes with their mirror images: the usual window first."""

FEW = 6
"""Photos per kind up to which epochs show the variations that the head start was solved from. With more photos that
named fewer rightly, and they show others (docs/experiments.md, "Each view once")."""

FEW_VARIED, MOST_VARIED = 8, 16
"""Variations of each photo in training then, and otherwise, at most; later epochs show the same ones again."""

MOST_BYTES = 256 * 2**20
LEAN_BYTES = 32 * 2**20
"""Memory that these may take, and where memory is short."""

BATCH = 32
LEAN_BATCH = 2
"""Photos at once, and where memory is short."""

SUMMARIES = 6000
LEAN_SUMMARIES = 480
"""Views whose summaries say what the convolutions see of the kinds, about, and where memory is short."""

SUMMARIES_EACH = 12
"""Of each photo at most; at least two."""


@dataclass(frozen=True)
class View:
    """One view of every photo: of the plain ones, or of the varied ones, the one of that number."""

    is_varied: bool
    number: int


CENTRE = View(False, 0)
"""The usual window in the photo's middle."""


def choose(split: Split, rows: int, most_each: int, least_each: int = 1) -> tuple[Split, list[View]]:
    """Photos and their views, about so many in all, for what is solved in closed form: half of the views plain.

    Args:
        split: the photos; they are thinned, kind by kind, when there are too many.
        rows: views of all photos.
        most_each, least_each: views of a photo.
    """
    photos = split if len(split) <= rows // least_each else split.thinned(rows // least_each)
    count = max(least_each, min(rows // len(photos), most_each))
    plain = min((count + 1) // 2, len(PLAIN))
    return photos, [View(False, n) for n in range(plain)] + [View(True, n) for n in range(count - plain)]


def part_of(progress: Progress, place: int, views: list[View], photos: Split) -> Seen:
    """Tells of the whole when one of several views is looked at."""
    return lambda seen: progress(place * len(photos) + seen, len(views) * len(photos))


@dataclass
class Views:
    """Views of photos, and what a network's convolutions see in them.

    Args:
        network: whose convolutions look.
        split: the photos.
        base: input size and normalisation.
        transform: how photos are varied in training.
        seed: of the variations.
        device, number_format: where and how is computed.
        is_lean: memory is short.
    """

    network: AlexNet
    split: Split
    base: EvalTransform
    transform: TrainTransform
    seed: int = 0
    device: torch.device = CPU
    number_format: str = "float32"
    is_lean: bool = False

    count = 0
    """Variations of all photos that are remembered."""

    def of(self, split: Split) -> "Views":
        """The same of other photos."""
        return Views(
            self.network, split, self.base, self.transform, self.seed, self.device, self.number_format, self.is_lean
        )

    def by(self, network: AlexNet) -> "Views":
        """What another network's convolutions see."""
        return replace(self, network=network)

    def forget(self) -> None:
        """Drops what only training needs."""

    @property
    def size(self) -> int:
        """Bytes that the features of one view of all photos take."""
        columns = self.network.classifier[1].in_features
        return len(self.split) * columns * (2 if self.number_format == "bfloat16" else 4)

    @property
    def rows(self) -> int:
        """Views that `summarise` takes, about."""
        return LEAN_SUMMARIES if self.is_lean else SUMMARIES

    def features(self, view: View, seen: Seen = ignore) -> Tensor:
        """(n, columns) what the fully connected layers get, on the device, in the number format."""
        return torch.cat(self._look(view, self.network.pooled_features, seen))

    def summary(self, view: View, seen: Seen = ignore) -> Tensor:
        """(n, columns) float32 on the CPU: see `alexnet.summarised`."""
        return torch.cat(self._look(view, lambda images: summarised(self.network.feature_maps(images)).cpu(), seen))

    @torch.no_grad()
    def _look(self, view: View, ask: Callable[[Tensor], T], seen: Seen) -> list[T]:
        """What is answered to the network's inputs, batch by batch."""
        draws, answers = seeds.generator(self.seed, "view", view.number), []
        for chosen in torch.arange(len(self.split)).split(LEAN_BATCH if self.is_lean else BATCH):
            squares, aspects, _ = self.split.load(chosen)
            if view.is_varied:
                dtype = getattr(torch, self.number_format)
                images = train_batch(squares, aspects, self.transform, self.base, draws, dtype)
            else:
                images = eval_views(squares, aspects, replace(self.base, views="scales"), PLAIN[view.number])[0]
            with precision.autocast(self.device, self.number_format):
                answers.append(ask(images.to(self.device)))
            seen(int(chosen[-1]) + 1)
        return answers


@dataclass
class Remembered:
    """What frozen convolutions saw of the same photos in an earlier training, for the next one: trials of a search
    differ in what comes behind."""

    whose: tuple = ()
    """Which convolutions these were, and how they were asked."""
    features: dict[tuple, Tensor] = field(default_factory=dict)
    summaries: dict[tuple, Tensor] = field(default_factory=dict)
    """By view, and by how it was varied."""

    def of(self, whose: tuple) -> "Remembered":
        """Itself, for a training with these convolutions; emptied when they are others, or when it grows too large."""
        size = sum(tensor.nbytes for part in (self.features, self.summaries) for tensor in part.values())
        if whose != self.whose or size > MOST_BYTES:
            self.whose = whose
            self.features.clear()
            self.summaries.clear()
        return self


@dataclass
class FrozenViews(Views):
    """The same of convolutions that don't change: what will be asked for again is remembered.

    Args:
        remembered: by earlier trainings; they go on with it. None where nobody will ask after this one.
    """

    remembered: Remembered | None = None

    def __post_init__(self) -> None:
        self.memory = self.remembered.of(self._whose()) if self.remembered else Remembered()
        is_few = len(self.split) <= FEW * self.network.classes
        self.first, most = (0, FEW_VARIED) if is_few else (FEW_VARIED, MOST_VARIED)
        """Number of the first variation in training."""
        self.count = min(most, (LEAN_BYTES if self.is_lean else MOST_BYTES) // self.size)
        """0 when not even one of all photos fits."""
        photos, views = choose(self.split, self.rows, SUMMARIES_EACH, 2)
        self.summarised = views if photos is self.split else []

    def by(self, network: AlexNet) -> "Views":
        """Itself: all networks that are trained from here have these convolutions."""
        return self

    def forget(self) -> None:
        """Drops what only training needs."""
        if not self.remembered:
            self.memory.features.clear()

    def features(self, view: View, seen: Seen = ignore) -> Tensor:
        name, memory = self._name(view), self.memory
        if name in memory.features:
            return memory.features[name]
        if view in self.summarised and name not in memory.summaries:
            features, summaries = map(
                torch.cat, zip(*self._look(view, self.network.pooled_and_summary, seen), strict=True)
            )
            memory.summaries[name] = summaries.cpu()
        else:
            features = super().features(view, seen)
        if self.remembered or (view.is_varied and self.first <= view.number < self.first + self.count):
            memory.features[name] = features
        return features

    def summary(self, view: View, seen: Seen = ignore) -> Tensor:
        name = self._name(view)
        return self.memory.summaries[name] if name in self.memory.summaries else super().summary(view, seen)

    def _name(self, view: View) -> tuple:
        return view, self.transform if view.is_varied else None

    def _whose(self) -> tuple:
        digest = hashlib.blake2b(digest_size=16)
        for weights in self.network.features.parameters():
            digest.update(weights.detach().cpu().numpy().tobytes())
        return digest.digest(), self.base, self.seed, self.device, self.number_format, self.is_lean

    def in_epoch(self, epoch: int, photos: Tensor) -> Tensor:
        """(k, columns) of some photos, as varied in this epoch, on the device."""
        return self.features(View(True, self.first + epoch % self.count))[photos]


def summarise(views: Views, rows: int = 0, progress: Progress = ignore) -> tuple[Tensor, Tensor, Tensor, int]:
    """What the convolutions see of the kinds, with so many views of photos, or as many as is usual.

    Returns:
        (n, columns) float32: see `alexnet.summarised`; (n,) labels; (n,) which views are plain; and how many photos
        these are views of, some of every kind.
    """
    photos, asked = choose(views.split, rows or views.rows, SUMMARIES_EACH, 2)
    if photos is not views.split:
        views = views.of(photos)
    seen = torch.cat([views.summary(view, part_of(progress, i, asked, photos)) for i, view in enumerate(asked)])
    plain = torch.tensor([not view.is_varied for view in asked]).repeat_interleave(len(photos))
    return seen, photos.labels.repeat(len(asked)), plain, len(photos)
