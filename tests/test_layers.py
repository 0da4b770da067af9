"""The layers of docs/architecture.md: imports go downward, and only the pages' side knows Streamlit."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "flowers_core"
LAYERS = [
    {"errors", "storage", "recipes", "config", "presets", "memory", "species", "kind_space", "parallel"},
    {
        "images",
        "looks",
        "augment",
        "alexnet",
        "metrics",
        "calibrate",
        "sureness",
        "reader",
        "overfitting",
        "chance",
        "precision",
        "distributed",
        "outer_sgd",
        "graphed_step",
        "disturb",
        "torchvision_import",
    },
    {
        "garden",
        "sources",
        "cache",
        "likeness",
        "resplit",
        "dataset",
        "checkpoint",
        "starts",
        "runs",
        "turns",
        "trash",
        "studies",
        "events",
        "schedule",
    },
    {
        "validate",
        "balanced_start",
        "head_start",
        "views",
        "loop_state",
        "keeping",
        "search",
        "compress",
        "train",
        "lr_finder",
        "predict",
        "features",
        "label_errors",
        "problems",
    },
    {
        "worker",
        "importer",
        "tune",
        "evaluate",
        "cross_validate",
        "compare",
        "export",
        "robustness",
        "explain",
        "similar",
    },
    {"__main__", "cli", "ui"},
]
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def core_files() -> list[Path]:
    return [path for path in sorted(CORE.rglob("*.py")) if path != CORE / "__init__.py"]


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_go_downward(path: Path) -> None:
    own = room(path)
    assert own in LAYER_OF, f"{own} belongs to no layer: add it to LAYERS and to docs/architecture.md"
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "flowers_core" and len(parts) > 1 and parts[1] in LAYER_OF and parts[1] != own:
            above = LAYER_OF[parts[1]] > LAYER_OF[own]
            assert not above, f"{own} imports {parts[1]}, which lies above it"


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(CORE)))
def test_only_the_ui_knows_streamlit(path: Path) -> None:
    if room(path) != "ui":
        assert not any(module.split(".")[0] == "streamlit" for module in imported_modules(path))


def test_torch_is_not_imported_where_it_is_not_needed() -> None:
    light = [
        "config", "species", "storage", "errors", "metrics", "images", "looks", "sources", "sources.library",
        "sureness", "sources.own", "sources.edits", "likeness", "importer", "cache", "garden", "garden.plot",
        "presets", "memory", "studies", "search", "tune",
        "features", "label_errors", "problems",
        "checkpoint", "runs", "turns", "trash", "overfitting", "lr_finder", "worker", "evaluate", "cross_validate",
        "compare", "export", "__main__",
    ]  # fmt: skip
    light += [f"ui.{path.stem}" for path in (CORE / "ui").glob("*.py") if path.stem != "__init__"]
    code = "import importlib, sys\n" + "".join(f"importlib.import_module('flowers_core.{name}')\n" for name in light)
    code += "sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", [*core_files(), *(ROOT / "pages").glob("*.py")], ids=lambda path: path.stem)
def test_files_open_with_their_one_job(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
