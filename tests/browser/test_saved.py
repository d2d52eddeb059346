"""What a person reads in a saved notebook without a kernel: not trusted and trusted, light and dark, and exported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from browser.driver import Lab, Notebook
from browser.saved import INSIDE, SAYS, hostile_results, result, write
from fusion_magic import from_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

# The contrast of an element's text with what is behind it, half-transparent layers included, as WCAG 2 computes it.
UNREADABLE = """result => {
    const rgba = text => { const [r, g, b, a = 1] = (text.match(/[\\d.]+/g) || []).map(Number); return [r, g, b, a]; };
    const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
    const light = color => color.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = node => {
        const color = node ? rgba(getComputedStyle(node).backgroundColor) : [255, 255, 255, 1];
        return color[3] === 1 ? color : over(color, behind(node.parentElement));
    };
    const contrast = node => {
        const back = behind(node), front = over(rgba(getComputedStyle(node).color), back);
        const [low, high] = [light(front), light(back)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    };
    return [...result.querySelectorAll('*')]
        .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
        .filter(node => !node.closest('style, mjx-container') && contrast(node) < 4.5)
        .map(node => `${contrast(node).toFixed(2)} ${node.outerHTML.slice(0, 120)}`);
}"""
# Parts of the result that stick out of it to the right, unless they scroll inside something that does not.
STICKING_OUT = """result => {
    const scrolls = node => node !== result
        && (getComputedStyle(node).overflowX === 'auto' || scrolls(node.parentElement));
    const edge = result.getBoundingClientRect().right + 1;
    return [...result.querySelectorAll('*')]
        .filter(node => node.getBoundingClientRect().right > edge && !scrolls(node.parentElement))
        .map(node => node.outerHTML.slice(0, 100));
}"""
FOLD = """result => result.querySelectorAll('details').forEach(
    part => { part.open = part.classList.contains('fm-analysis') })"""
# Where the line ends that stands before a citation; and which lines behind it its card lies on.
LINE_BEFORE = """citation => {
    const text = document.createRange();
    text.selectNodeContents(citation.previousSibling);
    return [...text.getClientRects()].at(-1).bottom;
}"""
COVERED = """citation => {
    const text = document.createRange(), card = citation.querySelector('div').getBoundingClientRect();
    text.selectNodeContents(citation.nextSibling);
    return [...text.getClientRects()].filter(line => line.top < card.bottom - 2 && line.bottom > card.top + 2
        && line.left < card.right - 2 && line.right > card.left + 2).map(line => line.top);
}"""
UNFOLD = "result => result.querySelectorAll('details').forEach(part => { part.open = true })"


def in_order(text: str, parts: list[str]) -> bool:
    """Whether each part stands behind the one before; some also stand in the list of where sentences come from."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
    return True


def hosts(page: Page) -> set[str]:
    """Fills with the machines that the page asks."""
    found = set[str]()
    page.on("request", lambda request: found.add(urlsplit(request.url).hostname or ""))
    return found


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("saved"), request.param) as lab:
        yield lab


@dataclass(frozen=True)
class Reader:
    """The saved notebook as it is open: its one result, and the machines that were asked since."""

    notebook: Notebook
    result: Locator
    asked: set[str]


@pytest.fixture(scope="module", params=["untrusted", "trusted"])
def opened(request: pytest.FixtureRequest, lab: Lab) -> Reader:
    path = write(lab.root / f"{request.param}.ipynb", result())
    notebook = lab.read(path.name)
    asked = hosts(notebook.page)
    if request.param == "trusted":
        notebook.trust()
        notebook.page.locator(".jp-OutputArea style").wait_for(state="attached")
    notebook.page.locator("mjx-container").first.wait_for()
    return Reader(notebook, notebook.page.locator(".fm-result"), asked)


@pytest.fixture
def reader(opened: Reader) -> Reader:
    """Folded as it was when it was opened."""
    opened.result.evaluate(FOLD)
    return opened


in_light = pytest.mark.parametrize("lab", ["light"], indirect=True)


def test_everything_is_there_in_order_and_readable(reader: Reader) -> None:
    before = reader.result.inner_text()
    reader.result.evaluate(UNFOLD)

    unfolded = reader.result.inner_text()
    assert in_order(before, SAYS)
    assert not any(part in before for part in INSIDE)
    assert all(part in unfolded for part in INSIDE)
    assert reader.result.evaluate(UNREADABLE) == []
    assert reader.result.evaluate(STICKING_OUT) == []
    assert reader.result.locator("mjx-container").count() == 1


@pytest.mark.parametrize("by", ["click", "keyboard"])
def test_a_citation_opens_in_its_place_and_closes_again(reader: Reader, by: str) -> None:
    citation = reader.result.locator("details.fm-cite").first
    summary, passage = citation.locator("summary"), citation.locator("blockquote")
    assert summary.inner_text().strip() == "[A]"
    assert not passage.is_visible()

    def press() -> None:
        if by == "click":
            return summary.click()
        summary.focus()
        reader.notebook.page.keyboard.press("Enter")

    press()
    assert passage.is_visible()
    assert "Its oldest bridge is the Pont Neuf, built of stone in 1607." in passage.inner_text()
    assert "A · one" in citation.inner_text()
    press()
    assert not passage.is_visible()


def test_a_closed_citation_stands_in_its_line_and_an_open_one_covers_no_text(reader: Reader) -> None:
    citation = reader.result.locator("details.fm-cite").first
    line, summary = citation.evaluate(LINE_BEFORE), citation.locator("summary").bounding_box()

    citation.locator("summary").click()

    assert summary
    assert abs(summary["y"] + summary["height"] - line) < 8
    assert citation.evaluate(COVERED) == []


def test_a_link_to_a_source_opens_to_who_cited_it(reader: Reader) -> None:
    link = reader.result.locator("details.fm-cite", has=reader.notebook.page.locator("summary", has_text="the paper"))

    link.locator("summary").click()

    assert "The paper · https://a.example/paper · cited by A" in link.inner_text()


def test_axe_finds_nothing_to_mend(reader: Reader) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    reader.result.evaluate(UNFOLD)
    reader.result.evaluate("result => { result.parentElement.id = 'looked-at' }")

    found = axe.run(reader.notebook.page, context={"include": [["#looked-at"]]})

    assert found.violations_count == 0, found.generate_report()


def test_reading_asks_no_other_machine_and_makes_no_error(reader: Reader) -> None:
    reader.result.evaluate(UNFOLD)

    assert reader.asked <= {"127.0.0.1", ""}
    assert reader.notebook.errors == []


def test_code_is_highlighted_where_the_style_is_allowed(reader: Reader) -> None:
    colours = "code => new Set([...code.querySelectorAll('span')].map(word => getComputedStyle(word).color)).size"

    found = reader.result.locator(".fm-code code").first.evaluate(colours)

    is_trusted = reader.notebook.page.locator(".jp-OutputArea style").count() == 1
    assert found >= 4 if is_trusted else found == 1


@in_light
def test_a_notebook_saved_again_keeps_the_record(reader: Reader) -> None:
    reader.notebook.save()

    assert from_notebook(reader.notebook.path) == [result()]


@in_light
@pytest.mark.parametrize("trust", [False, True], ids=["untrusted", "trusted"])
def test_the_hostile_corpus_runs_nothing_and_asks_no_other_machine(lab: Lab, trust: bool) -> None:
    name = f"hostile-{trust}.ipynb"
    shown = hostile_results()
    notebook = lab.read(write(lab.root / name, *shown).name)
    page, asked = notebook.page, hosts(notebook.page)
    page.evaluate("() => { window.alert = text => { window.__pwned = text } }")

    if trust:
        notebook.trust()
    results = page.locator(".fm-result")
    results.nth(len(shown) - 1).wait_for()
    page.evaluate("() => document.querySelectorAll('.fm-result details').forEach(part => { part.open = true })")

    assert results.count() == len(shown) >= 40
    assert page.evaluate("() => window.__pwned") is None
    assert asked <= {"127.0.0.1", ""}
    assert (
        results.locator(":is(script, img, svg:not(mjx-container *), iframe, link, form, object, base, meta)").count()
        == 0
    )
    assert results.locator("a:not([href^='http']):not([href^='mailto:'])").count() == 0
    assert page.locator("h1", has_text="Session expired").count() == 0


@in_light
@pytest.mark.parametrize("sanitize", [False, True], ids=["as it is", "sanitized"])
def test_an_exported_page_reads_the_same(lab: Lab, tmp_path: Path, sanitize: bool) -> None:
    source = write(tmp_path / "export.ipynb", result())
    command = [sys.executable, "-m", "nbconvert", "--to", "html", f"--HTMLExporter.sanitize_html={sanitize}", source]
    subprocess.run(command, check=True, capture_output=True)
    page = lab.blank_page()
    page.route(
        lambda url: not url.startswith("file:"), lambda route: route.abort()
    )  # the page's own MathJax and require

    page.goto((tmp_path / "export.html").as_uri(), wait_until="domcontentloaded")

    text = page.locator("body").inner_text()
    assert in_order(text, SAYS)
    assert ".fm-result" not in text
    assert all(part in text for part in INSIDE) == sanitize  # which turns <details> into text, so that all is unfolded
    if not sanitize:
        page.locator("details.fm-cite > summary").first.click()
        assert page.locator("details.fm-cite blockquote").first.is_visible()
        assert page.locator(".fm-result").evaluate(STICKING_OUT) == []
