"""The one place that imports torchvision, also where its compiled operators don't fit the installed torch."""

from types import ModuleType


def torchvision() -> ModuleType:
    """The torchvision package.

    A CPU build of torch beside a CUDA build of torchvision fails to import because the operators' library
    does not load and `torchvision::nms` is then unknown. Models, transforms and data sets need none of the
    operators, so declaring the two names that the import looks up is enough.
    """
    try:
        import torchvision as module
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _declare_operators()
        import torchvision as module
    return module


def _declare_operators() -> None:
    import sys

    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)  # the names vanish with the library object


_declared: list = []
