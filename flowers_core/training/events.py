"""TensorBoard's event files, on request: the run's metrics once more, for those who have a board already."""

import shutil

from flowers_core.errors import ConfigError
from flowers_core.runs import Run


class Events:
    """Writes a run's metrics to `<run>/tensorboard`.

    The files are written anew from the metrics log whenever training begins or goes on, so that after a crash they
    hold every step once, as the log does.

    Args:
        run: whose metrics; its log is already cut back to where training goes on.

    Raises:
        ConfigError: the package is not installed.
    """

    def __init__(self, run: Run):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            hint = "Run: python -m pip install tensorboard; or train without it."
            raise ConfigError("Event files need the package tensorboard, which is not installed", None, hint) from error
        folder = run.folder / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder), flush_secs=10)
        for record in run.metrics()[0]:
            self.add(record)

    def add(self, record: dict) -> None:
        """One record of the metrics log: figures of a step, or of an epoch's train and valid photos."""
        for name, value in record.items():
            if name in ("kind", "step", "epoch"):
                continue
            split, _, figure = name.rpartition("_")
            tag = f"{figure}/{split}" if split else f"{figure}/{record['kind']}"
            self._writer.add_scalar(tag, value, record["step"])

    def close(self) -> None:
        """Writes what is still in memory."""
        self._writer.close()
