"""The quickstart, run twice by the embedded model: the second Run All asks nobody."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from fusion_magic import FusionResult, from_notebook

pytest.importorskip("ipykernel")
pytestmark = pytest.mark.local_model
QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"


def run_all(folder: Path) -> list[FusionResult]:
    """Run the notebook from its first cell in a new kernel; returns the results that it saved."""
    from nbclient import NotebookClient

    notebook = nbformat.read(QUICKSTART, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "run.ipynb")
    return from_notebook(folder / "run.ipynb")


def test_a_second_run_all_of_the_quickstart_makes_no_call(tmp_path: Path) -> None:
    first = run_all(tmp_path)

    second = run_all(tmp_path)

    assert len(first) == len(second) == 2
    assert not any(call.reused for call in first[0].calls)
    assert all(call.reused for result in second for call in result.calls)
    assert [result.answer for result in second] == [result.answer for result in first]
