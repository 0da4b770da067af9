"""What every exported file says of itself: kinds, preprocessing and card, as one table."""

from dataclasses import asdict

from flowers_core import __version__, species
from flowers_core.export.layers import Layer
from flowers_core.images import SIDE
from flowers_core.network.checkpoint import Card, is_number

INPUT = (
    f"A photo, upright and in RGB, squeezed to {SIDE} x {SIDE} pixels with an antialiased bicubic filter, and its "
    "aspect (width over height). Each view is a square window of the photo, undistorted, cut out by bilinear sampling; "
    "values of 0 to 1 minus mean, over std. The answer is the mean over the views of the softmax of logits over "
    "temperature."
)


def about(card: Card, layers: list[Layer]) -> dict:
    """Everything that an exported file needs to be used and judged, ready for JSON.

    Returns:
        "classes": names of the outputs in their order; "latin": botanical names, and "notes": a line on each, None
        where unknown; "input": how photos are prepared, in words; "square": the side that photos are squeezed to;
        "transform": its figures; "views": (window, x, y, mirror) of each, see `augment.EvalTransform`; "temperature";
        "rejection" or None; "layers": the network's steps; "card": the checkpoint's card as it is; "program".
    """
    from flowers_core.images.augment import view_windows

    found = [species.find(name) for name in card.classes]
    return {
        "classes": list(card.classes),
        "latin": [kind.latin if kind else None for kind in found],
        "notes": [kind.note if kind else None for kind in found],
        "input": INPUT,
        "square": SIDE,
        "transform": card.transform,
        "views": [list(view) for view in view_windows(card.eval_transform())],
        "temperature": card.temperature,
        "rejection": rejection(card),
        "layers": [layer.to_dict() for layer in layers],
        "card": asdict(card),
        "program": f"AlexNet Flowers {__version__}",
    }


def rejection(card: Card) -> dict | None:
    """The card's score and threshold below which a photo is none of the kinds; None when it has none we know."""
    rejection = card.rejection
    known = rejection.get("score") in ("kinds", "energy")
    return rejection if known and is_number(rejection.get("threshold")) else None
