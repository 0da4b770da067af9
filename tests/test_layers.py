"""The layers of docs/architecture.md: imports go downward, and only the pages' side knows Streamlit."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "flowers_core"
LAYERS = [
    {"errors", "species"},
    {"storage"},
    {"machine", "settings", "garden"},
    {"images", "runs"},
    {"network", "sources"},
    {"photos", "export"},
    {"evaluation"},
    {"training"},
    {"tuning"},
    {"cli", "ui"},
    {"__main__"},
]
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}


def imported_modules(path: Path, only_to_run: bool = False) -> set[str]:
    """What a file imports; `only_to_run`: without what it imports for its type hints."""
    tree, found = ast.parse(path.read_text()), set()
    if only_to_run:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import: say from where"
            found |= {_imported(node.module, alias.name) for alias in node.names}
    return found


def _imported(package: str, name: str) -> str:
    """The module that `from package import name` imports: the name itself where that is one."""
    place = ROOT.joinpath(*package.split("."))
    is_module = (place / f"{name}.py").exists() or (place / name / "__init__.py").exists()
    return f"{package}.{name}" if is_module else package


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
            assert LAYER_OF[parts[1]] < LAYER_OF[own], f"{own} imports {parts[1]}, which doesn't lie below it"


@pytest.mark.parametrize(
    "package", sorted(path.parent for path in CORE.glob("*/__init__.py")), ids=lambda path: path.name
)
def test_modules_of_a_package_import_each_other_one_way(package: Path) -> None:
    inside = {_module(path): path for path in package.rglob("*.py")}
    needs = {module: imported_modules(path, only_to_run=True) & set(inside) for module, path in inside.items()}
    graphlib.TopologicalSorter(needs).prepare()  # raises where modules import each other in a ring


def test_what_pages_share_needs_no_page() -> None:
    pages = {_module(path.parent) for path in CORE.glob("ui/*/__init__.py")}
    assert pages
    for path in (CORE / "ui").glob("*.py"):
        assert not {module.rpartition(".")[0] for module in imported_modules(path)} & pages, path


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


OUTSIDE = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "checkpoints").glob("*.py"), *(ROOT / "tests").glob("*.py")]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_programs_in_strings_import_what_there_is(path: Path) -> None:
    """Those of other processes, which no linter reads."""
    for package, names in re.findall(r"^\W*from (flowers_core[\w.]*) import ([\w, ]+)", path.read_text(), re.MULTILINE):
        place = ROOT.joinpath(*package.split("."))
        assert place.is_dir() or place.with_suffix(".py").exists(), package
        for name in names.split(", "):
            module = importlib.import_module(_imported(package, name.split(" as ")[0]))
            assert _imported(package, name) != package or hasattr(module, name), f"{package} has no {name}"


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(CORE)))
def test_only_the_ui_knows_streamlit(path: Path) -> None:
    if room(path) != "ui":
        assert not any(module.split(".")[0] == "streamlit" for module in imported_modules(path))


def test_torch_is_not_imported_where_it_is_not_needed() -> None:
    light = [
        "__main__", "errors", "evaluation.evaluate", "evaluation.metrics", "export", "garden", "garden.plot",
        "images", "images.looks", "machine.memory", "network.checkpoint", "network.sureness", "photos.cache",
        "photos.features", "photos.importer", "photos.label_errors", "photos.likeness", "photos.problems", "runs",
        "runs.overfitting", "runs.speed", "runs.trash", "runs.turns", "settings.config", "settings.presets", "sources",
        "sources.edits", "sources.library", "sources.own", "species", "storage", "training.compare",
        "training.cross_validate", "training.lr_finder", "training.worker", "tuning.search", "tuning.studies",
        "tuning.tune",
    ]  # fmt: skip
    light += [_module(path).removeprefix("flowers_core.") for path in (CORE / "ui").rglob("*.py")]
    code = "import importlib, sys\n" + "".join(f"importlib.import_module('flowers_core.{name}')\n" for name in light)
    code += "sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", [*core_files(), *(ROOT / "pages").glob("*.py")], ids=lambda path: path.stem)
def test_files_open_with_their_one_job(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
