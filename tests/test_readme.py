"""The README under test: its commands are the ones CI runs, and its tree names every file."""

import re
from pathlib import Path

import pytest

from flowers_core.settings.config import PRESETS
from flowers_core.storage import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)```", README, re.DOTALL)


def test_command_one_installs_and_starts_the_app() -> None:
    install, start = BLOCKS[1].splitlines()
    assert install == "python -m pip install -r requirements.txt"
    assert start == "python -m streamlit run streamlit_app.py"
    assert (REPOSITORY / "streamlit_app.py").exists()


def test_command_two_is_what_ci_runs() -> None:
    install, test = BLOCKS[2].splitlines()
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert "pip install --quiet -r requirements-dev.txt" in script
    assert install == "python -m pip install -r requirements-dev.txt"
    assert test == "python -m pytest"
    assert script.rstrip().endswith(test)


def test_every_preset_is_named() -> None:
    (named,) = re.findall(r"--preset ([a-z0-9, -]+)", README)
    assert set(re.split(r", | or ", named.strip())) == set(PRESETS)


def test_commands_run_in_every_shell_as_they_stand() -> None:
    assert BLOCKS[0].splitlines()[0].startswith("git clone ")
    assert not any("&&" in block for block in BLOCKS), "Windows PowerShell 5 knows no &&"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_exactly(name: str) -> None:
    for line in (REPOSITORY / name).read_text().splitlines():
        assert re.fullmatch(r"-r requirements\.txt|[a-z0-9-]+==[0-9.]+", line), line


def test_the_tree_names_every_module_in_one_sentence() -> None:
    core = REPOSITORY / "flowers_core"
    rooms = {path.name for path in core.glob("*.py")} - {"__init__.py"}
    rooms |= {f"{path.parent.name}/" for path in core.glob("*/__init__.py")}
    told = dict(re.findall(r"^\| `([\w./]+)` \| (.+) \|$", README, re.MULTILINE))
    assert rooms <= set(told)
    assert not any(". " in told[name] for name in rooms)


def test_every_module_of_the_core_is_told_in_the_architecture() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    tables = re.findall(r"^\| `(\w+)/` \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert len(tables) == 9
    for package, table in tables:
        modules = {path.stem for path in (REPOSITORY / "flowers_core" / package).glob("*.py")}
        told = re.findall(r"^\| `(\w+)` \| .+ \|$", table, re.MULTILINE)
        assert set(told) - {"__init__"} == modules - {"__init__"}, package


def test_the_tree_names_every_page() -> None:
    (line,) = [line for line in README.splitlines() if line.startswith("| `pages/`")]
    assert set(re.findall(r"`(\w+)`", line)) == {path.stem for path in (REPOSITORY / "pages").glob("*.py")}


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "checkpoints/alexnet-imagenet-features.md"])
def test_links_and_named_files_exist(document: str) -> None:
    text = (REPOSITORY / document).read_text()
    folder = (REPOSITORY / document).parent
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (folder / target).exists(), target
    for target in re.findall(r"`((?:tests|docs|pages|benchmarks)/[\w./-]+\.\w+)`", text):
        assert Path(REPOSITORY, target).exists(), target
