"""The exception tree: every message says what went wrong, where, and what to do next."""


class FlowersError(Exception):
    """Base of all errors that a user can cause or mend.

    Args:
        what: what went wrong, without a full stop ("No photos found").
        where: the file, folder, field or step it concerns; left out of the text when None.
        hint: what to do next, one sentence.
    """

    def __init__(self, what: str, where: object = None, hint: str = ""):
        self.what, self.where, self.hint = what, where, hint
        place = "" if where is None else f": {where}"
        super().__init__(f"{what}{place}." + (f" {hint}" if hint else ""))


class ConfigError(FlowersError):
    """Settings that can't be used; lists every problem found, not only the first."""


class DataError(FlowersError):
    """A data source that is missing, empty, or laid out in a way that no adapter knows."""


class ImageError(FlowersError):
    """Bytes that don't decode to a photo. `what` is a reason short enough for a table cell."""


class CheckpointError(FlowersError):
    """A model file that is missing, damaged, unsafe, or of another format version."""


class RunError(FlowersError):
    """A training run that can't be started, resumed or found."""


class TrainingError(FlowersError):
    """Training itself went wrong: a non-finite loss, too few classes, no memory."""


class DivergedError(TrainingError):
    """The loss is not a finite number any more. The same settings would end the same way again."""


class StorageError(FlowersError):
    """The disk refused: full, read-only, or no permission."""
