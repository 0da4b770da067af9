"""Names a flower with an exported model. Needs only torch and safetensors; photo files are opened with Pillow.

    python NAME.py photo.jpg

This file stands alone: copy it into your own program together with the model beside it.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional

MODEL = Path(__file__).with_suffix(".safetensors")


class Model:
    """The network and everything that it says of itself (`about`: classes, preprocessing, card)."""

    def __init__(self, path: Path = MODEL):
        with safe_open(path, framework="pt") as file:
            self.about = json.loads(file.metadata()["about"])
        self.weights = {name: tensor.float() for name, tensor in load_file(path).items()}

    def logits(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Normalised images (batch, 3, side, side) to logits (batch, classes), and to what each convolution sees, in
        (batch, filters, places)."""
        x, maps = images, []
        for layer in self.about["layers"]:
            op = layer["op"]
            weight, bias = (self.weights.get(f"{layer['name']}.{part}") for part in ("weight", "bias"))
            if op == "conv":
                x = functional.conv2d(x, weight, bias, layer["stride"], layer["padding"], groups=layer["groups"])
            elif op == "relu":
                x = functional.relu(x)
                maps += [x.flatten(2)] if x.ndim == 4 else []
            elif op == "lrn":
                n = layer["n"]  # torch divides alpha by it
                x = functional.local_response_norm(x, n, layer["alpha"] * n, layer["beta"], layer["k"])
            elif op == "maxpool":
                x = functional.max_pool2d(x, layer["kernel"], layer["stride"])
            elif op == "avgpool":
                x = functional.adaptive_avg_pool2d(x, layer["side"])
            elif op == "linear":
                x = functional.linear(x.flatten(1), weight, bias)
            elif op == "read":  # a second reader: how much of each thing there is, wherever it is
                seen = maps[-layer["convolutions"] :]
                summary = torch.cat([part for m in seen for part in (m.mean(2), m.std(2, correction=0))], 1)
                x = x + functional.linear(summary.sqrt(), weight, bias)
        return x, maps

    def knows(self, logits: torch.Tensor, maps: list[torch.Tensor]) -> bool:
        """Whether a photo, by what `logits` gave for its views, shows one of the kinds at all; True where the model
        can't tell."""
        rejection = self.about["rejection"]
        if rejection is None:
            return True
        if rejection["score"] == "energy":
            temperature = self.about["temperature"]
            score = temperature * (logits / temperature).logsumexp(1).mean()
        else:  # is it nearer to one of the kinds than to flowers in general, and do the logits say so, too?
            (layer,) = (layer for layer in self.about["layers"] if layer["op"] == "kinds")
            parts = ("middle", "directions", "means", "spread")
            middle, directions, means, spread = (self.weights[f"kinds.{part}"] for part in parts)
            seen = torch.cat([m.mean(2) for m in maps[-layer["convolutions"] :]], 1).mean(0)
            place = directions @ (seen.sqrt() - middle)
            weight = rejection.get("logit_weight", 0.0)
            score = (place**2 / spread).sum() + (weight * logits.mean(0) - ((place - means) ** 2).sum(1)).max()
        return bool(score >= rejection["threshold"])

    def views(self, photo: torch.Tensor) -> torch.Tensor:
        """An upright RGB photo (height, width, 3) uint8 to the network's inputs (views, 3, side, side)."""
        height, width, _ = photo.shape
        planes = photo.permute(2, 0, 1)[None].float()
        square = functional.interpolate(planes, [self.about["square"]] * 2, mode="bicubic", antialias=True)
        square = square.round().clamp(0, 255) / 255
        # Windows are measured in units of the shorter side, so each is a square of the undistorted photo.
        reach_x, reach_y = max(1, width / height), max(1, height / width)
        views = []
        for window, x, y, mirror in self.about["views"]:
            centre_x, centre_y = x * max(0, 1 - window / reach_x), y * max(0, 1 - window / reach_y)
            theta = torch.tensor([[[window * mirror / reach_x, 0, centre_x], [0, window / reach_y, centre_y]]])
            side = self.about["transform"]["size"]
            grid = functional.affine_grid(theta, [1, 3, side, side], align_corners=False)
            views.append(functional.grid_sample(square, grid, padding_mode="reflection", align_corners=False))
        mean, std = (torch.tensor(self.about["transform"][name])[:, None, None] for name in ("mean", "std"))
        return (torch.cat(views) - mean) / std

    @torch.inference_mode()
    def answer(self, photo: torch.Tensor, top: int = 5) -> tuple[list[tuple[str, float]], bool]:
        """The most probable kinds in a photo (height, width, 3) uint8, best first, and whether it shows any of them."""
        logits, maps = self.logits(self.views(photo))
        mean = functional.softmax(logits / self.about["temperature"], 1).mean(0)
        best = [(self.about["classes"][i], float(mean[i])) for i in mean.argsort(descending=True)[:top]]
        return best, self.knows(logits, maps)


def read_photo(path: str) -> torch.Tensor:
    """An upright photo (height, width, 3) uint8; transparent places are white."""
    from PIL import Image, ImageOps

    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
    return torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8).view(photo.height, photo.width, 3)


def percent(probability: float) -> str:
    """For people: no network is ever wholly sure, whatever its last digit rounds to."""
    if probability > 0.999:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.001 else f"{100 * probability:.1f}%"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Name one photo or several.")
    model = Model()
    for path in sys.argv[1:]:
        guesses, known = model.answer(read_photo(path))
        said = ", ".join(f"{name} {percent(p)}" for name, p in guesses)
        print(path, "" if known else "none of the kinds; nearest:", said)
