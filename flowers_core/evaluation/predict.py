"""One path from a photo to probabilities, for uploads, the camera, whole folders and evaluation alike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowers_core.errors import ImageError
from flowers_core.images import SIDE, decode, to_square
from flowers_core.images.augment import stacked_views, view_windows
from flowers_core.machine import precision
from flowers_core.machine.parallel import in_order
from flowers_core.network import calibrate, checkpoint, int8, mahalanobis, prepacked

VIEWS_AT_ONCE = 32
"""That go through the network together: a photo's six views then read its weights once, not six times."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo.

    Args:
        file: its name, for people.
        top: (class name, probability) pairs, most probable first; empty when there is an error.
        error: why the photo could not be read, "" when it could.
        known: whether it shows one of the model's kinds at all, as far as the model can tell; False with an error.
    """

    file: str
    top: tuple[tuple[str, float], ...] = ()
    error: str = ""
    known: bool = True

    def to_dict(self) -> dict:
        """As `predict --json` prints it."""
        top = [{"name": name, "probability": round(p, 6)} for name, p in self.top]
        return {"file": self.file, "known": self.known, "top": top, "error": self.error or None}


@dataclass(frozen=True, eq=False)
class Square:
    """A photo ready for the network, or the reason why there is none.

    Args:
        file: its name, for people.
        pixels: (256, 256, 3) uint8, from `images.to_square`.
        aspect: width over height of the photo.
        error: why it could not be read, "" when it could.
    """

    file: str
    pixels: np.ndarray | None = None
    aspect: float = 1.0
    error: str = ""

    @classmethod
    def of(cls, image: Image.Image, file: str) -> "Square":
        """From an upright RGB picture."""
        return cls(file, to_square(image), image.width / image.height)


def read_square(source: Path | bytes, file: str) -> Square:
    """From a path or a file's bytes."""
    try:
        return Square.of(decode(source, want=SIDE), file)
    except ImageError as error:
        return Square(file, error=error.what)


class Classifier:
    """A checkpoint ready to answer. Treat it as immutable: one may serve many sessions at once."""

    def __init__(self, path: Path):
        """Loads the checkpoint.

        Raises:
            CheckpointError: it can't be used.
        """
        self.path = path
        self.device = precision.device()
        # The whole network in bfloat16, where that is fast: one photo's time goes into reading the weights.
        number_format = precision.choose("auto", self.device)
        self.dtype = getattr(torch, number_format)
        self.network, self.card = checkpoint.load(path, number_format)
        self.transform = self.card.eval_transform()
        self.network.requires_grad_(False).to(self.device)  # it has its format; the reader has its own
        # Models trained here answer as they were scored: of 30 photos a single other answer shows in every figure.
        if checkpoint.is_shipped(path):
            self.network = int8.if_faster(self.network, self.dtype)
        self.network = prepacked.converted(self.network, len(view_windows(self.transform)))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @property
    def photos_at_once(self) -> int:
        """How many of many are looked at together: the fewer, the more views each has."""
        return max(1, VIEWS_AT_ONCE // len(view_windows(self.transform)))

    def logits(self, squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
        """What the network says of each view: (n, views, classes) float32. Arguments as for `see`."""
        return self.see(squares, aspects)[0]

    @torch.inference_mode()
    def see(self, squares: np.ndarray, aspects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network says of each view, and what its convolutions see.

        Args:
            squares: (n, 256, 256, 3) uint8, from `images.to_square`.
            aspects: (n,) width over height of the photos.

        Returns:
            (n, views, classes), and (n, columns) the mean over the views of their summary (see `alexnet.summarised`);
            both float32.
        """
        pixels = torch.from_numpy(np.require(squares, requirements="W")).to(self.device)
        views = stacked_views(pixels, torch.from_numpy(aspects.astype(np.float32)), self.transform, self.dtype)
        at_once = len(views) if len(views) <= VIEWS_AT_ONCE else len(pixels)
        read = [self.network.logits_and_summary(part) for part in views.split(max(1, at_once))]
        answers, seen = (torch.cat([each.float().cpu() for each in part]) for part in zip(*read, strict=True))
        by_view = answers.unflatten(0, (-1, len(pixels))), seen.unflatten(0, (-1, len(pixels)))
        return by_view[0].transpose(0, 1).numpy(), by_view[1].mean(0).numpy()

    def probabilities(self, squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
        """Mean over the transform's views: (n, classes), each row summing to 1. Arguments as for `logits`."""
        return calibrate.probabilities(self.logits(squares, aspects), self.card.temperature)

    def knows(self, logits: np.ndarray, summaries: np.ndarray) -> np.ndarray:
        """(n,) whether each photo, as `see` saw it, shows one of the kinds; always so when the card holds no
        threshold."""
        space, filters = self.network.mahalanobis, self.network.summary_filters
        if space:
            weight = self.card.rejection.get("logit_weight", 0.0)  # older models have distances alone
            found = space.scores(mahalanobis.columns(summaries, filters), logits.mean(1), weight)
        else:
            found = calibrate.scores(logits, self.card.temperature)
        return found >= self.card.rejection.get("threshold", -np.inf)

    def classify(self, image: Image.Image, file: str = "", top: int = 5) -> Prediction:
        """The most probable kinds of an upright RGB picture."""
        return self.classify_squares([Square.of(image, file)], top)[0]

    def classify_file(self, source: Path | bytes, file: str, top: int = 5) -> Prediction:
        """Like `classify`, from a path or a file's bytes; what can't be read becomes a prediction with an error."""
        return self.classify_squares([read_square(source, file)], top)[0]

    def classify_files(self, files: Iterable[tuple[Path | bytes, str]], top: int = 5) -> Iterator[Prediction]:
        """Like `classify_file`, for many (source, name) pairs, in their order: decoded by all cores, then looked at
        together."""
        squares = in_order(lambda file: read_square(*file), files)
        while batch := list(islice(squares, self.photos_at_once)):
            yield from self.classify_squares(batch, top)

    def classify_squares(self, squares: Sequence[Square], top: int = 5) -> list[Prediction]:
        """The answers to photos that go through the network together; what can't be read keeps its error."""
        answers = iter(())
        if readable := [square for square in squares if not square.error]:
            seen = self.see(np.stack([square.pixels for square in readable]), np.array([s.aspect for s in readable]))
            probabilities = calibrate.probabilities(seen[0], self.card.temperature)
            answers = zip(probabilities, self.knows(*seen), strict=True)
        return [
            Prediction(square.file, error=square.error, known=False)
            if square.error
            else self._named(square.file, *next(answers), top)
            for square in squares
        ]

    def _named(self, file: str, probabilities: np.ndarray, known: bool, top: int) -> Prediction:
        best = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(file, tuple((self.classes[i], float(probabilities[i])) for i in best), known=bool(known))
