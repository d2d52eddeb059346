"""The notebooks in `notebooks/`: what each must keep to, and that their figures are the recorded ones."""

from __future__ import annotations

import csv
import re
import statistics
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fusion_magic import FusionResult
from fusion_magic.results import RECORD

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
AT_MOST = 15  # cells: a story, not a manual
IGNORED = "nbval-ignore-output"
HOMES = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|opt|var)/|\b[A-Z]:\\")  # paths of somebody's machine
KEYS = re.compile(r"sk-[A-Za-z0-9_-]{16,}|tvly-\w{16,}|Bearer [A-Za-z0-9._-]{16,}")

Cell = Any
Scores = dict[str, dict[str, float]]  # of each run by task


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request: pytest.FixtureRequest) -> list[Cell]:
    return nbformat.read(request.param, as_version=4).cells


def code(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.cell_type == "code"]


def held(cell: Cell) -> str:
    """What a cell's outputs hold as text, the packed records included; pictures hold none."""
    texts = [output.get("text", "") for output in cell.outputs]
    for output in cell.outputs:
        for kind, data in output.get("data", {}).items():
            if kind == RECORD:
                texts.append(FusionResult.from_record(data).model_dump_json())
            elif kind.startswith("text/"):
                texts.append(data)
    return "\n".join(texts)


def test_the_notebooks_are_numbered_from_one_to_six() -> None:
    numbers = [int(path.stem.partition("_")[0]) for path in NOTEBOOKS]

    assert numbers == [1, 2, 3, 4, 5, 6]


def test_a_notebook_is_a_story_of_few_cells_that_begins_with_its_title(cells: list[Cell]) -> None:
    first = cells[0]

    assert len(cells) <= AT_MOST
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


def test_at_least_half_of_the_code_cells_fail_if_their_output_changes(cells: list[Cell]) -> None:
    ignored = [cell for cell in code(cells) if IGNORED in cell.metadata.get("tags", ())]

    assert 2 * len(ignored) <= len(code(cells))


def test_each_notebook_compares_the_output_of_some_cell(cells: list[Cell]) -> None:
    compared = [cell for cell in code(cells) if cell.outputs and IGNORED not in cell.metadata.get("tags", ())]

    assert compared


def test_it_was_run_from_its_first_cell_to_its_last_in_a_new_kernel(cells: list[Cell]) -> None:
    counts = [cell.execution_count for cell in code(cells)]

    assert counts == list(range(1, len(counts) + 1))


def test_no_saved_output_is_an_error_or_needs_a_live_widget(cells: list[Cell]) -> None:
    outputs = [output for cell in code(cells) for output in cell.outputs]

    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]


def test_nothing_in_it_tells_of_the_machine_it_ran_on(cells: list[Cell]) -> None:
    texts = [cell.source for cell in cells] + [held(cell) for cell in code(cells)]

    assert not [found.group() for text in texts for found in HOMES.finditer(text)]


def test_there_is_no_key_in_it(cells: list[Cell]) -> None:
    texts = [cell.source for cell in cells] + [held(cell) for cell in code(cells)]

    assert not [text[:80] for text in texts if KEYS.search(text)]


# --- 06_does_it_help: its figures against the recorded scores --------------------------------------------


@pytest.fixture(scope="module")
def summaries() -> dict[str, Any]:
    """The tables that stand in the notebook."""
    notebook = nbformat.read(FOLDER / "06_does_it_help.ipynb", as_version=4)
    tables: dict[str, Any] = {}
    exec(code(notebook.cells)[0].source, tables)
    return tables


@pytest.fixture(scope="module")
def scores(shared: Path) -> Scores:
    """The recorded scores of each run, and of each configuration of a run that has several."""
    found: Scores = defaultdict(dict)
    recorded = shared / "data" / "draco" / "recorded-scores.csv"
    with recorded.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["score"]]
    configurations = {(row["run"], row["config"]) for row in rows}
    alone = {run for run, _ in configurations if sum(run == other for other, _ in configurations) == 1}
    for row in rows:
        name = row["run"] if row["run"] in alone else f"{row['run']}/{row['config']}"
        found[name][row["task_id"]] = float(row["score"])
    return found


def on_common_tasks(one: dict[str, float], other: dict[str, float]) -> tuple[list[float], list[float]]:
    tasks = sorted(one.keys() & other.keys())
    return [one[task] for task in tasks], [other[task] for task in tasks]


def test_means_and_deviations_are_those_of_the_recorded_scores(summaries: dict[str, Any], scores: Scores) -> None:
    for run, (_, n, mean, deviation) in summaries["RUNS"].items():
        recorded = list(scores[run].values())

        assert n == len(recorded)
        assert mean == pytest.approx(statistics.mean(recorded), abs=6e-4)
        assert deviation == pytest.approx(statistics.stdev(recorded), abs=6e-4)


def test_pairs_are_compared_on_the_tasks_that_both_have(summaries: dict[str, Any], scores: Scores) -> None:
    for names, (_, n, *figures, r) in summaries["PAIRS"].items():
        one, other = on_common_tasks(*(scores.get(name) or scores[f"finance20-secfacts/{name}"] for name in names))

        assert n == len(one)
        assert figures == pytest.approx(
            [statistics.mean(one), statistics.stdev(one), statistics.mean(other), statistics.stdev(other)], abs=6e-4
        )
        assert r == pytest.approx(statistics.correlation(one, other), abs=6e-5)


def test_the_spread_is_that_of_all_pairs_of_whole_runs(summaries: dict[str, Any], scores: Scores) -> None:
    whole = [run for run, recorded in scores.items() if len(recorded) >= 93]
    spreads: list[float] = []
    for one, other in combinations(whole, 2):
        pairs = zip(*on_common_tasks(scores[one], scores[other]), strict=True)
        spreads.append(statistics.stdev(a - b for a, b in pairs))

    found = [min(spreads), *statistics.quantiles(spreads), max(spreads)]

    assert (len(whole), len(spreads)) == (21, 210)
    assert list(summaries["SPREAD"].values()) == pytest.approx(found, abs=6e-3)
