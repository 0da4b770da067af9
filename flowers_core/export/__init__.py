"""A trained model as a file for elsewhere: ONNX, safetensors with an example, or a page that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowers_core.errors import ConfigError, StorageError

FORMATS = {
    "html": "A page that names flowers in any browser, without a network: it holds the model, and photos stay at home.",
    "onnx": "For programs in any language: squared photos in, probabilities out. Its properties say how.",
    "safetensors": "Weights for PyTorch, with a short example that needs only torch and safetensors.",
}
"""What a model can be exported to, for people."""

Progress = Callable[[str, int, int], None]
"""Told (what is done, steps done, steps in all)."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        format: one of FORMATS.
        files: the files, the asked one first.
        bytes: size of the first.
        warning: what its user should know before relying on it, "" for nothing.
        difference: for html: what shrinking changed, see `check.Comparison`.
    """

    format: str
    files: tuple[Path, ...]
    bytes: int
    warning: str = ""
    difference: dict | None = None

    def to_dict(self) -> dict:
        """As `export --json` prints it."""
        files = [str(path) for path in self.files]
        return {"format": self.format, "files": files, "bytes": self.bytes, "warning": self.warning or None,
                "difference": self.difference}  # fmt: skip


def export(checkpoint_path: Path, format: str, out: Path, progress: Progress | None = None) -> Exported:
    """Writes the checkpoint's model as another kind of file. Every file carries class names, preprocessing and card.

    Args:
        checkpoint_path: the model.
        format: one of FORMATS.
        out: the file; for safetensors, an example ending in .py appears beside it, or inside when `out` is a .zip.
        progress: told about steps that take long.

    Raises:
        ConfigError: no such format, or the name doesn't suit it.
        CheckpointError: the checkpoint can't be used.
        StorageError: the file is already there, its folder is not, or the disk refuses.
    """
    if format not in FORMATS:
        raise ConfigError("There is no such format", format, f"Choose one of {', '.join(FORMATS)}.")
    files = (out,)
    if format == "safetensors" and out.suffix.casefold() != ".zip":
        if out.suffix != ".safetensors":  # the example beside it looks for that name
            raise ConfigError("This is no name for weights", out, "Let it end in .safetensors, or in .zip.")
        files = (out, out.with_suffix(".py"))
    for path in files:
        _require_free(path)
    say = progress or (lambda what, done, total: None)

    say("Reading the model", 0, 3)
    from flowers_core.export import layers
    from flowers_core.export.about import about
    from flowers_core.network import checkpoint

    network, card = checkpoint.load(checkpoint_path)
    steps = layers.read(network)
    del network
    if format == "html":
        return _html(out, steps, card, say)
    say("Writing the file", 2, 3)
    if format == "onnx":
        from flowers_core.export import onnx_file as writer
    else:
        from flowers_core.export import safetensors_file as writer
    writer.write(out, steps, about(card, steps))
    return Exported(format, files, out.stat().st_size)


def _html(out: Path, steps: list, card, say: Progress) -> Exported:
    from flowers_core.export import check, html_file, shrink
    from flowers_core.export.about import about

    say("Making the weights small", 1, 3)
    small, coded = shrink.fit(steps, html_file.budget())
    say("Comparing its answers with the full model's", 2, 3)
    cost = check.compare(steps, small, card)
    html_file.write(out, small, coded, about(card, small), cost)
    warning = ""
    if not cost.is_close:
        warning = f"Made small for a page, it names {cost.changed} of {cost.n} {cost.pictures} differently."
    return Exported("html", (out,), out.stat().st_size, warning, cost.to_dict())


def _require_free(path: Path) -> None:
    """Raises StorageError when `path` can't be a new file."""
    if path.is_dir():
        raise StorageError("This is a folder, not a file to write", path, "Add a file name.")
    if path.exists():
        raise StorageError("There is already such a file", path, "Choose another name, or delete it first.")
    if not path.parent.is_dir():
        raise StorageError("There is no such folder", path.parent, "Make it first, or choose another.")
