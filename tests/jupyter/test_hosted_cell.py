"""`%%fusion --engine openrouter` in a cell: the same views and the same saved output as any run's."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from fusion_magic import FusionResult
from fusion_magic.results import RECORD
from pipeline.hosting import JUDGE, ONE, TWO, hosting, posts
from servers.responses import Fusion, analysis_json

from .conftest import Cells
from .kernels import SECONDS

pytest.importorskip("ipykernel")

LINE = f"%%fusion --engine openrouter -m {ONE} -m {TWO} --judge {JUDGE}"


def test_a_notebook_shows_and_keeps_a_hosted_run_as_any_other():
    cells = ["%load_ext fusion_magic", f"{LINE} --into r\nWhy?", "r.to_record() == _fusion.to_record()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])

    with hosting(Fusion(analysis=analysis_json(ONE, TWO))) as server:
        NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()

    (shown,) = notebook.cells[1].outputs
    kept = FusionResult.from_record(shown.data[RECORD])
    assert len(posts(server)) == 1
    assert [call.stage for call in kept.calls] == ["hosted"]
    assert notebook.cells[2].outputs[0].data["text/plain"] == "True"
    for form in ("text/html", "text/markdown", "text/plain"):
        assert "The panel says so." in shown.data[form]
        assert "By law." in shown.data[form]
        assert "does not itemise" in shown.data[form]


def test_a_cell_says_when_the_model_did_not_ask_its_panel(cell: Cells):
    with hosting(Fusion(fuses=False, answer="Paris.")):
        ran = cell(f"{LINE}\nWhy?")

    assert "Paris." in ran.everything
    assert "answered without asking the panel, although it was told to" in ran.everything


def test_a_dry_run_asks_nobody_and_shows_one_call(cell: Cells):
    with hosting() as server:
        ran = cell(f"{LINE} --dry-run\nWhy?")

        assert not posts(server)
    assert "openrouter/fusion" in ran.everything
    assert "not itemised" in ran.everything


@pytest.mark.parametrize("flag", ["--strategy vote", "--tools bash", "--private"])
def test_what_can_not_be_honoured_is_one_line(cell: Cells, flag: str):
    with hosting() as server:
        ran = cell(f"{LINE} {flag}\nWhy?")

        assert "--engine kernel" in str(ran.error)
        assert not posts(server)


@pytest.mark.parametrize("line", [LINE, "%%fusion --engine openrouter -p general-high"])
def test_a_lesson_of_a_hosted_run_has_its_stages(cell: Cells, line: str):
    with hosting(Fusion(analysis=analysis_json(ONE, TWO))):
        ran = cell(f"{line} --teach\nWhy?")

    assert ran.error is None
    assert cell["_fusion"].answer == "The panel says so."
