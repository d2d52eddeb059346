"""What JupyterLab's own popup shows after Tab in a `%%fusion` cell, and what Enter then puts into the cell."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from browser.driver import Lab, Notebook, write_notebook
from servers.openrouter import Server

pytestmark = pytest.mark.browser

CASES = [  # what is typed, what the popup must offer, what the cell then says
    ("%%fusion --pan", "--panel", "%%fusion --panel"),
    ("%%fusion --effort=hi", "high", "%%fusion --effort=high"),
    ("%%fusion -p bud", "budget", "%%fusion -p budget"),
    ("%%fusion --raw -p my_", "my_panel", "%%fusion --raw -p my_panel"),
    ("%%fusion -m deepseek/dee", "deepseek/deepseek-v4-pro", "%%fusion -m deepseek/deepseek-v4-pro"),
    ("%%fusion -m kimi", "moonshotai/kimi-k2.6", "%%fusion -m moonshotai/kimi-k2.6"),
    ("%%fusion -m qwen/qwen3-coder:f", "qwen/qwen3-coder:free", "%%fusion -m qwen/qwen3-coder:free"),
    ("%%fusion -m llama3.2@ol", "llama3.2@ollama", "%%fusion -m llama3.2@ollama"),
    ("%%fusion -p budget\nWhy do {sales_ro", "sales_rows", "%%fusion -p budget\nWhy do {sales_rows"),
    ("%fusion doc", "doctor", "%fusion doctor"),
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook with empty cells, whose kernel has read a catalogue."""
    with Lab(tmp_path_factory.mktemp("notebooks")) as lab, Server() as server:
        setup = f"import os; os.environ['OPENROUTER_BASE_URL'] = {server.base_url!r}\n"
        setup += "from fusion_magic import Panel\nmy_panel, sales_rows = Panel(models=['a/one']), [1, 2]\n"
        write_notebook(lab.root / "cells.ipynb", [setup + "%load_ext fusion_magic\n%fusion models gpt", *([""] * 20)])
        notebook = lab.open("cells.ipynb")
        notebook.start_cell(0)
        notebook.wait_idle()
        yield notebook


_cells = count(1)


def type_and_tab(notebook: Notebook, text: str) -> int:
    """Type into an empty cell and press Tab; returns the cell's number when the popup is open."""
    number = next(_cells)
    notebook.page.locator(".jp-Notebook .jp-Cell .cm-content").nth(number).click()
    notebook.page.keyboard.type(text)
    notebook.page.keyboard.press("Tab")
    notebook.page.locator(".jp-Completer-item").first.wait_for()
    return number


def source(notebook: Notebook, number: int) -> str:
    return notebook.page.evaluate(
        "n => jupyterapp.shell.currentWidget.content.model.cells.get(n).sharedModel.source", number
    )


@pytest.mark.parametrize(("typed", "offered", "taken"), CASES)
def test_enter_puts_what_is_chosen_into_the_cell_once(notebook: Notebook, typed: str, offered: str, taken: str) -> None:
    number = type_and_tab(notebook, typed)
    popup = notebook.page.locator(".jp-Completer-item")
    labels = [label.inner_text() for label in popup.locator(".jp-Completer-match").all()]

    # JupyterLab adds the words that stand in the cell, so the one that is meant need not be the first.
    for _ in range(labels.index(offered)):
        notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Enter")
    popup.first.wait_for(state="hidden")

    assert source(notebook, number) == taken
    assert notebook.errors == []


def test_what_is_typed_on_narrows_the_list(notebook: Notebook) -> None:
    type_and_tab(notebook, "%%fusion -m go")
    popup = notebook.page.locator(".jp-Completer-match")
    before = popup.count()

    notebook.page.keyboard.type("ogle/gemma")
    popup.nth(before - 1).wait_for(state="hidden")

    assert popup.all_inner_texts() == ["google/gemma-3-27b-it:free"]
    assert before > 1
