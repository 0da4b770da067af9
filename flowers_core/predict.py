"""One path from a photo to probabilities, for uploads, the camera, whole folders and evaluation alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowers_core import checkpoint, precision
from flowers_core.augment import eval_views
from flowers_core.errors import ImageError
from flowers_core.images import SIDE, decode, to_square


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo.

    Args:
        file: its name, for people.
        top: (class name, probability) pairs, most probable first; empty when there is an error.
        error: why the photo could not be read, "" when it could.
    """

    file: str
    top: tuple[tuple[str, float], ...] = ()
    error: str = ""

    @property
    def known(self) -> bool:
        """Is there an answer?"""
        return not self.error

    def to_dict(self) -> dict:
        """As `predict --json` prints it."""
        top = [{"name": name, "probability": round(p, 6)} for name, p in self.top]
        return {"file": self.file, "known": self.known, "top": top, "error": self.error or None}


class Classifier:
    """A checkpoint ready to answer. Treat it as immutable: one may serve many sessions at once."""

    def __init__(self, path: Path):
        """Loads the checkpoint.

        Raises:
            CheckpointError: it can't be used.
        """
        self.path = path
        self.network, self.card = checkpoint.load(path)
        self.transform = self.card.eval_transform()
        self.device = precision.device()
        # The whole network in bfloat16, where that is fast: one photo's time goes into reading the weights.
        self.dtype = getattr(torch, precision.choose("auto", self.device))
        self.network.requires_grad_(False).to(self.device, self.dtype)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @torch.inference_mode()
    def probabilities(self, squares: np.ndarray, aspects: np.ndarray) -> np.ndarray:
        """Mean over the transform's views.

        Args:
            squares: (n, 256, 256, 3) uint8, from `images.to_square`.
            aspects: (n,) width over height of the photos.

        Returns:
            (n, classes) float32, each row summing to 1.
        """
        pixels = torch.from_numpy(np.require(squares, requirements="W"))
        views = eval_views(pixels, torch.from_numpy(aspects.astype(np.float32)), self.transform)
        answers = [self.network(view.to(self.device, self.dtype)).float().softmax(1) for view in views]
        return torch.stack(answers).mean(0).cpu().numpy()

    def classify(self, image: Image.Image, file: str = "", top: int = 5) -> Prediction:
        """The most probable kinds of an upright RGB picture."""
        probabilities = self.probabilities(to_square(image)[None], np.array([image.width / image.height]))[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(file, tuple((self.classes[i], float(probabilities[i])) for i in best))

    def classify_file(self, source: Path | bytes, file: str, top: int = 5) -> Prediction:
        """Like `classify`, from a path or a file's bytes; what can't be read becomes a prediction with an error."""
        try:
            return self.classify(decode(source, want=SIDE), file, top)
        except ImageError as error:
            return Prediction(file, error=error.what)
