"""What a person sees of a `%%fusion` cell in JupyterLab: while it runs, when it is done, stopped, or attacked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import nbformat
import pytest

from browser.driver import Lab, Notebook, write_notebook
from fusion_magic import fuse, scripted
from fusion_magic.jupyter.static import bundle

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser

ANALYSIS = {
    "consensus": ["It lies on the Seine."],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [{"label": "A", "insight": "Bread is $5 there."}],
    "blind_spots": ["Nobody says since when."],
}
ANSWER = "It is **Paris**. It costs $5 and $6, and $x^2$ is a formula.\n\n" + "\n".join(
    [
        "|" + "|".join(f"column{n}" for n in range(30)) + "|",
        "|" + "---|" * 30,
        "|" + "|".join(map(str, range(30))) + "|",
    ]
)
EVIL = """<script>window.__pwned = 1</script><img src=x onerror="window.__pwned = 2">
<svg onload="window.__pwned = 3"></svg> ![](https://evil.example/leak.png) [x](javascript:window.__pwned=4)
<iframe srcdoc="<script>parent.__pwned = 5</script>"></iframe> $\\href{javascript:window.__pwned=6}{y}$
<style>@import 'https://evil.example/x.css'</style><link rel=stylesheet href=https://evil.example/y.css>"""
CELL = "%%fusion -m a/one -m b/two\nWhat is the capital of France?"
# Parts of the result that stick out of it to the right, unless they scroll inside something that does not.
STICKING_OUT = """result => {
    const scrolls = node => node !== result
        && (getComputedStyle(node).overflowX === 'auto' || scrolls(node.parentElement));
    const edge = result.getBoundingClientRect().right + 1;
    return [...result.querySelectorAll('*')]
        .filter(node => node.getBoundingClientRect().right > edge && !scrolls(node.parentElement))
        .map(node => node.outerHTML.slice(0, 100));
}"""


def answers(panel: str = "'Paris, says the panelist.'") -> str:
    return f"{{'judge': {ANALYSIS!r}, 'synthesis': {ANSWER!r}, '*': {panel}}}"


SCRIPTS = {  # one notebook for all tests, as opening one takes longer than all its runs
    "progress": answers("Line('Paris.', first_token=1.5)"),
    "plain": answers(),
    "stopped": "{'a/one': 'Paris, says A.', '*': Line('Never.', first_token=600)}",
    "hostile": f"{{'judge': {ANALYSIS | {'consensus': [EVIL]}!r}, '*': Line({EVIL!r}, reasoning={EVIL!r})}}",
}


@dataclass(frozen=True)
class Scene:
    """The open notebook: for each script a cell that installs it, the `%%fusion` cell, and one behind it."""

    notebook: Notebook

    def start(self, name: str) -> Locator:
        """Run a script's cells; returns the outputs of its `%%fusion` cell."""
        first = 1 + 3 * list(SCRIPTS).index(name)
        self.notebook.start_cell(first)
        self.notebook.wait_idle()
        self.notebook.start_cell(first + 1)
        self.notebook.start_cell(first + 2)
        return self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(first + 1).locator(".jp-OutputArea-child")

    def play(self, name: str) -> Locator:
        """The same, to the end; returns the drawn result."""
        outputs = self.start(name)
        self.notebook.wait_idle()
        return outputs.locator(".fm-result")

    def output_behind(self, name: str) -> list[str]:
        return self.notebook.outputs()[3 + 3 * list(SCRIPTS).index(name)]


# Ends with the module: while playwright's synchronous API is open, asyncio.run fails in this thread.
@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("notebooks"), request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Scene:
    cells = ["%load_ext fusion_magic\nfrom fusion_magic import Line, scripted"]
    for script in SCRIPTS.values():
        cells += [f"script = scripted({script})", CELL, "print('ran on')"]
    write_notebook(lab.root / "cells.ipynb", cells)
    notebook = lab.open("cells.ipynb")
    notebook.start_cell(0)
    notebook.wait_idle()
    return Scene(notebook)


in_light = pytest.mark.parametrize("lab", ["light"], indirect=True)


def test_a_cell_shows_its_run_then_the_answer_in_its_place(scene: Scene) -> None:
    outputs = scene.start("progress")
    outputs.locator(".fm-card").nth(3).wait_for()
    planned = outputs.inner_text().lower()
    scene.notebook.wait_idle()

    result = outputs.locator(".fm-result")
    assert all(word in planned for word in ("a/one", "b/two", "judge", "answer"))
    assert result.count() == 1
    assert outputs.locator(".fm-live").count() == 0
    assert "It is Paris." in result.inner_text()
    assert result.evaluate(STICKING_OUT) == []
    assert scene.output_behind("progress") == ["ran on\n"]
    assert scene.notebook.errors == []


@in_light
def test_money_stays_money_and_formulas_are_typeset(scene: Scene) -> None:
    result = scene.play("plain")
    result.locator("mjx-container").wait_for()

    assert result.locator("mjx-container").count() == 1
    assert "It costs $5 and $6, and" in result.locator(".fm-answer").inner_text()
    assert "Bread is $5 there." in result.locator(".fm-analysis").inner_text()


@in_light
def test_an_answer_of_a_panelist_opens_with_the_keyboard(scene: Scene) -> None:
    details = scene.play("plain").locator("details.fm-response").first
    before = details.evaluate("part => part.open")

    details.locator("summary").focus()
    scene.notebook.page.keyboard.press("Enter")

    assert before is False
    assert details.evaluate("part => part.open") is True
    assert details.locator(".fm-text").is_visible()


@in_light
def test_the_stop_button_draws_what_was_answered_and_stops_the_rest(scene: Scene) -> None:
    outputs = scene.start("stopped")
    outputs.locator(".fm-card[data-state=done]", has_text="a/one").wait_for()

    scene.notebook.interrupt()
    scene.notebook.wait_idle()

    result, error = outputs.all_inner_texts()
    assert "Stopped. What was answered is kept." in result
    assert "A · a/one" in result
    assert "B · b/two · no answer" in result
    assert "FusionInterrupted: The run was stopped; 1 of 2 answers are kept" in error
    assert scene.output_behind("stopped") == []


@in_light
def test_a_hostile_answer_runs_nothing_and_asks_no_other_machine(scene: Scene) -> None:
    page, hosts = scene.notebook.page, set[str]()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))

    result = scene.play("hostile")
    page.evaluate("() => document.querySelectorAll('details').forEach(part => { part.open = true })")
    scene.notebook.save()

    assert "window.__pwned = 1" in result.inner_text()
    assert page.evaluate("() => window.__pwned") is None
    assert hosts <= {"127.0.0.1", ""}
    assert result.locator(":is(script, img, svg, iframe, link, style)").count() == 0
    assert result.locator("a[href^='javascript']").count() == 0


@in_light
def test_a_notebook_that_is_not_trusted_shows_every_part(lab: Lab) -> None:
    with scripted({"judge": ANALYSIS, "synthesis": ANSWER, "*": "Paris, says the panelist."}):
        shown = bundle(fuse("What is the capital of France?", models=["a/one", "b/two"]))
    output = nbformat.v4.new_output("display_data", shown)
    cell = nbformat.v4.new_code_cell(CELL, outputs=[output])
    path = lab.root / "received.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)

    notebook = lab.open(path.name)

    (text,) = notebook.outputs()[0]
    assert notebook.page.evaluate("() => jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted") is False
    assert notebook.page.locator(".jp-OutputArea style").count() == 0
    for part in ("It is Paris.", "Consensus", "It lies on the Seine.", "A · a/one", "B · b/two", "4 calls"):
        assert part in text
    assert notebook.page.locator("details").count() == 3
