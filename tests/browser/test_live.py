"""What a person sees of a run while it goes on, and what a click, a key or a reload does to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from browser.driver import Lab, Notebook, write_notebook
from browser.live_scenes import SCENES, SETUP

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser

STICKING_OUT = """root => {
    const scrolls = node => node !== root
        && (getComputedStyle(node).overflowX !== 'visible' || scrolls(node.parentElement));
    const edge = root.getBoundingClientRect().right + 1;
    return [...root.querySelectorAll('*')]
        .filter(node => node.getBoundingClientRect().right > edge && !scrolls(node.parentElement))
        .map(node => node.outerHTML.slice(0, 100));
}"""

# Blocks that come into sight have another height than was guessed, and the browser keeps the text where it is.
SCROLL_UP = """async text => {
    text.scrollTop = 40;
    for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
    return text.scrollTop;
}"""

# axe takes text in JupyterLab's nested scroll areas for hidden and checks no contrast there: it gets a copy in front.
COPIED = """root => {
    const copy = document.createElement('div');
    copy.id = 'looked-at';
    copy.style = 'position:fixed;inset:0;overflow:auto;z-index:10000;background:var(--jp-layout-color0)';
    copy.append(root.cloneNode(true));
    document.body.append(copy);
    document.body.style.height = '100vh';
}"""


@dataclass(frozen=True)
class Scene:
    """The open notebook, with one cell for each scene."""

    notebook: Notebook

    def start(self, name: str) -> Locator:
        """Start a scene; returns its view when the cards are there."""
        index = 1 + list(SCENES).index(name)
        self.notebook.start_cell(index)
        live = self.cell(name).locator(".fm-live")
        live.locator(".fm-card").first.wait_for()
        return live

    def cell(self, name: str) -> Locator:
        return self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(1 + list(SCENES).index(name))

    def stop(self, live: Locator) -> None:
        live.get_by_role("button", name="Stop").click()
        self.notebook.wait_idle()

    def heard(self, name: str) -> str:
        """What the cell printed of the clicks that reached Python."""
        return self.cell(name).locator("pre", has_text="clicks:").inner_text().strip()


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("notebooks"), request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Scene:
    write_notebook(lab.root / "live.ipynb", [SETUP, *SCENES.values()])
    notebook = lab.open("live.ipynb")
    notebook.start_cell(0)
    notebook.wait_idle()
    return Scene(notebook)


in_light = pytest.mark.parametrize("lab", ["light"], indirect=True)


def card(live: Locator, letter: str) -> Locator:
    return live.locator(f"section[aria-label^='Seat {letter}']")


def grown(part: Locator, than: int) -> None:
    """Wait until a text is longer than that many characters."""
    handle = part.element_handle()
    part.page.wait_for_function("([part, than]) => part.textContent.length > than", arg=[handle, than])


def length(part: Locator) -> int:
    return part.evaluate("part => part.textContent.length")


@in_light
def test_text_is_live_in_every_card_before_the_run_ends_and_a_click_skips_a_seat_or_stops_the_run(scene: Scene) -> None:
    live = scene.start("eight")
    for letter in "ABCDEFGH":
        card(live, letter).locator(".fm-block", has_text="One two.").wait_for()
    before = {letter: card(live, letter).get_attribute("data-state") for letter in "ABCDEFGH"}

    live.get_by_role("button", name="Skip Seat C").click()
    live.locator("[data-state=skipped]").wait_for()
    after = {letter: card(live, letter).get_attribute("data-state") for letter in "ABCDEFGH"}
    scene.stop(live)

    assert set(before.values()) == {"writing"}
    assert after == before | {"C": "skipped"}
    assert scene.heard("eight") == "clicks: C stop"
    assert live.locator(".fm-title").inner_text() == "What is the capital of France?"
    assert live.locator("button:visible").count() == 0
    assert scene.notebook.errors == []


@in_light
def test_the_keyboard_alone_skips_and_stops_and_never_loses_its_place(scene: Scene) -> None:
    live, press = scene.start("eight"), scene.notebook.page.keyboard.press
    card(live, "H").locator(".fm-block", has_text="One two.").wait_for()
    names: list[str] = []
    focused = "() => document.activeElement.ariaLabel || document.activeElement.textContent"

    live.get_by_role("button", name="Stop").focus()
    for _ in range(4):
        press("Tab")
        names.append(scene.notebook.page.evaluate(focused))
    press("Shift+Tab")
    press("Enter")
    card(live, "B").and_(live.locator("[data-state=skipped]")).wait_for()
    behind = scene.notebook.page.evaluate(focused)
    live.get_by_role("button", name="Stop").focus()
    press("Space")
    scene.notebook.wait_idle()

    assert names[0].startswith("Skip Seat A")
    assert names[1:] == ["Seat A, text", "Skip Seat B, vendor1/model-1", "Seat B, text"]
    assert behind == "Seat B, text"
    assert scene.heard("eight") == "clicks: B stop"


@in_light
def test_where_clicks_would_wait_there_are_no_buttons_but_the_text_is_live(scene: Scene) -> None:
    live = scene.start("waiting")
    grown(card(live, "C").locator(".fm-text"), 500)

    told = live.locator(".fm-hint").inner_text()
    buttons = live.locator("button:visible").count()
    scene.notebook.interrupt()
    scene.notebook.wait_idle()

    assert told == "Stop with the notebook’s ■"
    assert buttons == 0


@in_light
def test_what_the_reader_folds_and_scrolls_stays_while_text_goes_on(scene: Scene) -> None:
    live = scene.start("streaming")
    texts = [card(live, letter).locator(".fm-text") for letter in "AB"]
    grown(texts[0], 1500)
    grown(texts[1], 1500)
    folded = card(live, "A").locator("details:visible")

    folded.locator("summary").click()
    read = texts[0].evaluate(SCROLL_UP)
    known = length(texts[0])
    first = card(live, "A").locator(".fm-block").first.element_handle()
    for text in texts:
        grown(text, known + 500)
    kept, ends = (text.evaluate("t => [t.scrollTop, t.scrollHeight - t.scrollTop - t.clientHeight]") for text in texts)
    is_open = (
        folded.evaluate("part => part.open"),
        card(live, "B").locator("details:visible").evaluate("part => part.open"),
    )
    same = first.evaluate("(block, card) => card.contains(block)", card(live, "A").element_handle())
    scene.stop(live)

    assert 0 < read <= 40
    assert kept[0] == read
    assert ends[1] < 24
    assert is_open == (True, False)
    assert same


@in_light
def test_rows_of_tools_show_what_runs_scroll_and_stay_folded(scene: Scene) -> None:
    live = scene.start("tools")
    first, second = card(live, "A"), card(live, "B")
    first.locator("[data-use=going]").wait_for()
    second.locator(".fm-block", has_text="One two.").wait_for()
    rows = first.locator(".fm-uses")
    shown = second.locator(".fm-uses li").all_inner_texts()

    states = [card(live, letter).get_attribute("data-state") for letter in "ABC"]
    size, end, top = rows.evaluate("r => [r.clientHeight, r.scrollHeight - r.clientHeight, r.scrollTop]")
    card(live, "C").locator(".fm-tools summary").click()
    live.get_by_role("button", name="Skip Seat A").click()
    live.locator("[data-state=skipped]").wait_for()
    folded = [card(live, letter).locator(".fm-tools").evaluate("part => part.open") for letter in "ABC"]
    over = first.locator(".fm-uses li").last.inner_text()
    scene.stop(live)

    assert states == ["searching", "writing", "searching"]
    assert re.fullmatch(r"look_up Paris & <i>Lyon</i>0\.\d s · 1,480 characters", shown[0])
    assert shown[1] == f"refuse {'Atlantis' * 12}failed: ValueError: nothing is known of <b>{'Atlantis' * 12}</b>"
    assert first.locator(".fm-tools summary").inner_text() == "Tools (19)"
    assert end > size > 50
    assert end - top < 24
    assert folded == [True, True, False]
    assert over == "wait Romefailed: Cancelled."
    assert scene.notebook.errors == []


@in_light
def test_the_keyboard_reaches_the_rows_of_tools_and_folds_them(scene: Scene) -> None:
    live, press = scene.start("tools"), scene.notebook.page.keyboard.press
    card(live, "A").locator("[data-use=going]").wait_for()
    names: list[str] = []

    card(live, "A").get_by_role("button", name="Skip Seat A").focus()
    for _ in range(5):
        press("Tab")
        names.append(
            scene.notebook.page.evaluate("() => document.activeElement.ariaLabel || document.activeElement.textContent")
        )
    card(live, "A").locator(".fm-tools summary").focus()
    press("Enter")
    is_open = card(live, "A").locator(".fm-tools").evaluate("part => part.open")
    scene.stop(live)

    assert names[:4] == ["Tools (19)", "Seat A, tools", "Reasoning", "Seat A, text"]
    assert is_open is False


@in_light
def test_state_changes_are_announced_and_text_is_not(scene: Scene) -> None:
    live = scene.start("eight")
    card(live, "H").locator(".fm-block", has_text="One two.").wait_for()
    status = live.get_by_role("status")

    live.get_by_role("button", name="Skip Seat D").click()
    status.filter(has_text="D: skipped").wait_for()
    scene.stop(live)

    assert "Title" not in status.inner_text()
    assert live.locator("[aria-live]:not([role=status])").count() == 0


def test_axe_finds_nothing_to_mend_in_either_theme(scene: Scene) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    problems: list[Any] = []
    checked: set[str] = set()

    last = {"rich": "[data-state=waiting]", "answer": ".fm-synthesis .fm-block pre", "tools": "[data-use=going]"}
    for name, selector in last.items():
        live = scene.start(name)
        live.locator(selector).first.wait_for()
        live.locator("details:visible").evaluate_all("parts => parts.forEach(part => { part.open = true })")
        live.evaluate(COPIED)
        found = axe.run(scene.notebook.page, context={"include": [["#looked-at"]]})
        scene.notebook.page.evaluate("() => document.getElementById('looked-at').remove()")
        checked |= {rule["id"] for rule in found.response["passes"]}
        problems += [(rule["id"], node["html"]) for rule in found.response["violations"] for node in rule["nodes"]]
        scene.stop(live)

    assert problems == []
    assert checked >= {"color-contrast", "button-name", "scrollable-region-focusable", "aria-allowed-attr"}


@in_light
@pytest.mark.parametrize(("width", "columns"), [(600, 2), (1000, 3), (2000, 4)])
def test_eight_seats_fit_in_columns_without_anything_sticking_out(scene: Scene, width: int, columns: int) -> None:
    scene.notebook.page.set_viewport_size({"width": 2400, "height": 1200})
    live = scene.start("eight")
    card(live, "H").locator(".fm-block", has_text="One two.").wait_for()

    live.evaluate("(root, width) => { root.parentElement.style.width = `${width}px` }", width)
    places = live.locator(".fm-panel").evaluate_all("cards => cards.map(card => card.getBoundingClientRect().x)")
    sticking = live.evaluate(STICKING_OUT)
    scene.stop(live)

    assert live.evaluate("root => root.getBoundingClientRect().width") == width
    assert len(set(places)) == columns
    assert sticking == []


@in_light
def test_hostile_texts_anywhere_run_nothing_and_ask_no_other_machine(scene: Scene) -> None:
    page, hosts = scene.notebook.page, set[str]()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.evaluate("() => { window.alert = () => { window.__alerted = true } }")

    scene.start("hostile")
    scene.notebook.wait_idle()
    views = scene.cell("hostile").locator(".fm-live")
    views.last.locator(".fm-card[data-state=waiting] .fm-block").first.wait_for()

    assert views.count() > 5
    assert page.evaluate("() => window.__alerted") is None
    assert hosts <= {"127.0.0.1", ""}
    assert (
        views.locator(":is(script, img, svg, math, iframe, object, embed, link, style, form, base, meta)").count() == 0
    )
    assert views.locator("a:not([href^='http']):not([href^='mailto'])").count() == 0
    assert [sticking for n in range(views.count()) for sticking in views.nth(n).evaluate(STICKING_OUT)] == []
    assert scene.notebook.errors == []


@in_light
def test_a_page_that_is_reloaded_finds_the_run_with_its_text_and_then_the_result(scene: Scene) -> None:
    page = scene.notebook.page
    page.on("dialog", lambda dialog: dialog.accept())
    live = scene.start("reloaded")
    grown(card(live, "B").locator(".fm-text"), 800)
    scene.notebook.save()
    known = length(card(live, "B").locator(".fm-text"))

    live = scene.cell("reloaded").locator(".fm-live")
    text = card(live, "B").locator(".fm-text")
    scene.notebook.reload(text)
    first, so_far = text.locator(".fm-block").first.text_content(), length(text)
    grown(text, so_far + 200)
    live.get_by_role("button", name="Stop").click()
    scene.cell("reloaded").locator(".fm-done").wait_for()

    assert (first or "").strip() == "Paragraph 0 has some words."
    assert so_far >= known
    assert scene.cell("reloaded").locator(".fm-card").count() == 0
    assert scene.notebook.errors == []
