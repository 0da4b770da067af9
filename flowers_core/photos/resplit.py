"""What another plan would make of a set's split, before anything is changed; and the change itself."""

from dataclasses import replace
from typing import NamedTuple

from flowers_core.photos import likeness
from flowers_core.photos.cache import DecodedSource, edited
from flowers_core.sources import SPLITS, SplitPlan, splits


class Amount(NamedTuple):
    """Photos of a split: in all, and of the kinds that have the least and the most of them."""

    photos: int
    least: int
    most: int

    @property
    def per_kind(self) -> str:
        """How many each kind has, for people."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"


def preview(decoded: DecodedSource, plan: SplitPlan) -> DecodedSource:
    """The photos as they would be found after `change`, with people's edits on top; saves nothing of it.

    Raises:
        ConfigError: amounts that can't be, or that leave nothing to train on.
    """
    original = decoded.original  # a plan is for all photos; what people changed stays so on top of it
    source = splits.preview(original.source, plan, likeness.groups(original))
    return edited(replace(original, source=source), decoded.edits)


def change(decoded: DecodedSource, plan: SplitPlan) -> None:
    """Divides anew by another plan and saves it; the next opening of the source finds it.

    Raises:
        ConfigError: as `preview`.
        StorageError: the disk is full or read-only.
    """
    original = decoded.original
    splits.change(original.source, plan, likeness.groups(original))


def kept_together(decoded: DecodedSource) -> int:
    """Photos that have a copy or a near copy, which no plan parts from it."""
    return len(likeness.groups(decoded.original))


def amounts(decoded: DecodedSource) -> dict[str, Amount]:
    """How many photos each split holds."""
    columns = zip(SPLITS, decoded.counts.T, strict=True)
    return {split: Amount(int(each.sum()), int(each.min()), int(each.max())) for split, each in columns}
