"""What a lesson sends to a page and to a program that runs notebooks: a widget, then HTML in its place."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest

from fusion_magic.jupyter.teach.widget import WIDGET

from . import kernels
from .kernels import Kernel

SETUP = """%load_ext fusion_magic
from fusion_magic import scripted
script = scripted({"judge": {"consensus": [], "contradictions": [], "partial_coverage": [], "unique_insights": [],
    "blind_spots": []}, "*": "Paris is the capital of France."})"""
CELL = "%%fusion --teach -m vendor/alpha -m vendor/beta\nWhat is the capital of France?"
HEADINGS = ["1 · Predict", "2 · The answers", "3 · Vote", "4 · What the judge", "5 · The answer", "6 · Who it was"]


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    started = kernels.start("nobodys")
    started.run(SETUP)
    yield started
    kernels.stop(started)


def test_a_page_gets_the_widget_and_with_the_last_stage_plain_html_in_its_place(kernel: Kernel) -> None:
    cell = kernel.run(CELL)
    opened = kernel.run("_lesson.vote('B', 7)\nfor _ in range(5):\n    _lesson.next()")

    shown, updated = cell.of("display_data"), opened.of("update_display_data")
    assert [WIDGET in message["data"] for message in shown] == [True]
    assert "alpha" not in str(shown)
    assert [WIDGET in message["data"] for message in updated] == [False]
    assert updated[0]["transient"] == shown[0]["transient"]
    assert "A: 0 · B: 7" in updated[0]["data"]["text/html"]
    assert cell.of("execute_result") == []


def test_an_error_before_the_first_call_leaves_no_lesson_behind(kernel: Kernel) -> None:
    cell = kernel.run(CELL.replace("--teach", "--teach --simulate Z=down"))
    unseated = kernel.run(CELL.replace("--teach", "--teach --simulate D=down"))

    assert "names no place" in cell.error[-1]
    assert "D is not asked in this run" in unseated.error[-1]
    assert [message["data"]["text/html"] for message in unseated.of("update_display_data")] == [""]


def test_a_program_that_runs_notebooks_gets_every_stage_and_no_widget() -> None:
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (SETUP, CELL)])
    NotebookClient(book, kernel_name="python3").execute()

    (output,) = book.cells[1].outputs
    places = [output.data["text/html"].find(heading) for heading in HEADINGS]
    assert -1 not in places
    assert places == sorted(places)
    assert WIDGET not in output.data
    assert output.data["text/markdown"].count("### ") >= 6
