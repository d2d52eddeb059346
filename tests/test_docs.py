"""README, reference, presets and pictures say what the code does."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from fusion_magic import fuse, scripted
from fusion_magic.jupyter import flags
from fusion_magic.presets import panels

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOOLS = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
MONEY = (ROOT / "docs" / "money.md").read_text(encoding="utf-8")
STRATEGIES = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
BATCH = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
EVALS = (ROOT / "docs" / "evals.md").read_text(encoding="utf-8")
ENGINES = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
EXAMINE = (ROOT / "docs" / "examine.md").read_text(encoding="utf-8")
ANALYSIS = {
    "consensus": ["It is."],
    "contradictions": [{"topic": "why", "stances": [{"label": "A", "stance": "Rayleigh"}]}],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    yield made
    made.history_manager.end_session()  # type: ignore[union-attr]


def snippets(language: str) -> list[str]:
    pages = f"{README}\n{TOOLS}\n{MONEY}\n{STRATEGIES}\n{ENGINES}\n{EXAMINE}\n{BATCH}\n{EVALS}"
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", pages, re.DOTALL | re.MULTILINE)
    return [text for kind, text in fences if kind == language]


def test_reference_is_what_the_code_says():
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["reference"]()

    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == made, "run python docs/generate.py"


def test_the_table_of_strategies_is_what_the_code_says():
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["strategies"](STRATEGIES)

    assert made == STRATEGIES, "run python docs/generate.py"


def test_the_columns_of_the_frames_are_what_the_code_says():
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["examine"](EXAMINE)

    assert made == EXAMINE, "run python docs/generate.py"


def test_readme_has_at_most_200_lines():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("code", [code for code in snippets("python") if "%load_ext" not in code])
def test_every_python_snippet_of_the_readme_runs(code: str):
    with scripted({"judge": ANALYSIS, "*": "Because."}):
        exec(compile(code, "README.md", "exec", dont_inherit=True), {})

        assert fuse("Still answered by the script?", panel="budget").answer == "Because."


@pytest.mark.parametrize("cell", [cell for cell in snippets("") if cell.startswith("%%fusion")])
def test_every_cell_of_the_readme_is_a_line_that_fusion_takes(cell: str):
    line = cell.splitlines()[0].removeprefix("%%fusion")

    assert flags.parse(line).settings


def test_the_load_ext_snippet_loads_the_extension(shell):
    code = next(code for code in snippets("python") if "%load_ext" in code)

    shell.run_cell(code).raise_error()

    assert "fusion" in shell.magics_manager.magics["cell"]


def test_the_fusion_toml_of_the_readme_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = next(text for text in snippets("toml"))
    (tmp_path / "fusion.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("FUSION_HOME", str(tmp_path))

    with scripted({"judge": ANALYSIS, "*": "Yes."}):
        result = fuse("Taken?")

    assert [response.model for response in result.responses] == ["gpt-oss-120b@work", "llama3.2@ollama"]
    assert result.settings["panel"]["name"] == "mine"


def test_every_flag_in_the_readme_exists():
    known = {option for action in flags.parser()._actions for option in action.option_strings}
    known |= {"--check", "--nbval", "--dist"}

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def test_panels_and_scores_in_the_readme_are_the_presets():
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d.–]+) \|$", README, re.MULTILINE)
    scores = {name: "–" if panel.score is None else f"{panel.score:.1f}" for name, panel in panels().items()}

    assert rows
    assert all(scores[name] == score for name, score in rows)


def test_pictures_and_links_of_the_readme_are_files_of_the_repository_at_public_addresses():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    owner = project.removeprefix("https://github.com/")
    pictures = re.findall(rf"https://raw\.githubusercontent\.com/{owner}/main/([^)\s]+)", README)
    links = re.findall(rf"https://github\.com/{owner}/blob/main/([^)\s]+)", README)

    assert pictures
    assert not re.findall(r"\]\((?!https://)[^)]*\)", README)
    assert [name for name in (*pictures, *links) if not (ROOT / name).is_file()] == []


def test_importing_the_package_loads_neither_notebook_nor_data_libraries():
    heavy = ["IPython", "ipywidgets", "anywidget", "pandas", "matplotlib", "xllamacpp", "markdown_it", "keyring"]
    code = f"import sys; from fusion_magic import fuse; print([name for name in {heavy} if name in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


def test_importing_the_package_alone_loads_nothing():
    code = "import sys, fusion_magic; print([name for name in ('httpx', 'pydantic', 'asyncio') if name in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


def test_the_local_panel_has_three_seats_with_different_personas_and_seeds():
    seats = panels()["local"].models

    assert len({seat.system for seat in seats}) == len({seat.seed for seat in seats}) == 3
