"""A lesson as a class sees it in JupyterLab: stages by click and by keyboard, votes, what the notebook keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from browser import lessons
from browser.driver import Lab, Notebook, write_notebook
from browser.test_live import COPIED, STICKING_OUT

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser

TITLES = [
    "1 · Predict",
    "2 · The answers, without names",
    "3 · Vote",
    "4 · What the judge found",
    "5 · The answer",
    "6 · Who it was",
]
NAMES = ["alpha", "beta", "gamma", "vendor/judge", "writer"]
WIDGET = "application/vnd.jupyter.widget-view+json"
FOCUSED = "() => document.activeElement.textContent || document.activeElement.ariaLabel"


@dataclass(frozen=True)
class Scene:
    """The open notebook, with a cell for each lesson."""

    notebook: Notebook

    def cell(self, index: int) -> Locator:
        return self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def start(self, index: int) -> Locator:
        """Start a cell; returns its lesson when the first stage is there."""
        self.notebook.start_cell(index)
        lesson = self.cell(index).locator(".fm-teach").first
        lesson.locator("section").first.wait_for()
        return lesson

    def run(self, index: int) -> str:
        self.notebook.start_cell(index)
        self.notebook.wait_idle()
        return "\n".join(self.notebook.outputs()[index])

    def press(self, *keys: str) -> None:
        for key in keys:
            self.notebook.page.keyboard.press(key)

    def focused(self, text: str) -> None:
        """Wait until the element with this text has the focus."""
        self.notebook.page.wait_for_function("text => document.activeElement.textContent === text", arg=text)


@pytest.fixture(scope="module", params=["light", "dark"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("notebooks")
    write_notebook(root / "lessons.ipynb", lessons.CELLS)
    with Lab(root, request.param) as lab:
        scene = Scene(lab.open("lessons.ipynb"))
        scene.run(lessons.START)
        yield scene


in_light = pytest.mark.parametrize("scene", ["light"], indirect=True)


def go_on(scene: Scene, lesson: Locator, title: str) -> None:
    """Open the next stage by a click, and wait until it has the focus."""
    lesson.locator(".fm-next:not([aria-disabled=true])").click()
    scene.focused(title)


def problems(scene: Scene, part: Locator) -> list[Any]:
    """What axe finds in a copy of a part that lies in front of the page, its folds open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    part.evaluate(COPIED)
    found = axe.run(scene.notebook.page, context={"include": [["#looked-at"]]}).response
    scene.notebook.page.evaluate("() => document.getElementById('looked-at').remove()")
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    return [(rule["id"], node["html"]) for rule in found["violations"] for node in rule["nodes"]]


def test_a_class_goes_through_all_stages_and_its_votes_stay_in_the_notebook(scene: Scene) -> None:
    lesson = scene.start(lessons.LIVE)
    lesson.get_by_role("button", name="One more: They will differ").click()
    lesson.get_by_label("What does the class expect").fill("Paris, of course")
    go_on(scene, lesson, TITLES[1])
    go_on(scene, lesson, TITLES[2])
    lesson.get_by_role("button", name="One more: Answer C").click(click_count=3)
    lesson.get_by_label("Hands: Answer A").fill("12")
    go_on(scene, lesson, TITLES[3])
    go_on(scene, lesson, TITLES[4])
    before = lesson.inner_text()
    mended = problems(scene, lesson)
    sticking = lesson.evaluate(STICKING_OUT)

    lesson.locator(".fm-next").click()
    scene.cell(lessons.LIVE).locator("h2.fm-stage").last.wait_for()
    scene.focused(TITLES[5])
    after = scene.cell(lessons.LIVE)
    mended += problems(scene, after.locator(".fm-result"))
    saved = scene.notebook.save().cells[lessons.LIVE].outputs

    assert [title for title in TITLES[:5] if title not in before] == []
    assert [name for name in NAMES if name in before] == []
    assert [name for name in NAMES if name in after.inner_text()] == NAMES
    assert after.locator(".fm-teach").count() == 0
    assert len(saved) == 1
    assert WIDGET not in saved[0].data
    assert "A: 12 · B: 0 · C: 3" in saved[0].data["text/html"]
    assert "The class wrote: Paris, of course" in saved[0].data["text/plain"]
    assert "{'C': 3, 'A': 12} Paris, of course reveal" in scene.run(lessons.SAID)
    assert (mended, sticking, scene.notebook.errors) == ([], [], [])


@in_light
def test_the_keyboard_alone_predicts_votes_and_opens_every_stage(scene: Scene) -> None:
    lesson = scene.start(lessons.FROM_RESULT)
    scene.notebook.wait_idle()
    page = scene.notebook.page
    reached: list[str] = []

    lesson.get_by_label("Hands: They will agree").focus()
    scene.press("ArrowUp", "ArrowUp", "Tab", "Enter", "Tab", "Tab", "Space", "Tab", "Tab", "Tab")
    page.keyboard.type("We say Paris")
    scene.press("Tab")
    reached.append(page.evaluate(FOCUSED))
    for title in TITLES[1:3]:
        scene.press("Enter")
        scene.focused(title)
        lesson.locator(".fm-next").focus()
    scene.press("Shift+Tab")
    reached.append(page.evaluate("() => document.activeElement.ariaLabel"))
    scene.press("Space", "Space", "Tab")
    reached.append(page.evaluate(FOCUSED))
    for title in TITLES[3:]:
        scene.press("Enter")
        scene.focused(title)
        if title != TITLES[5]:
            scene.press("Tab")
            while "Open:" not in page.evaluate(FOCUSED):
                scene.press("Tab")
    told = scene.cell(lessons.FROM_RESULT).inner_text()

    assert reached == ["Open: The answers, without names", "One more: Answer C", "Open: What the judge found"]
    assert "They will agree: 3 · They will differ in points: 1 ·" in told
    assert "The class wrote: We say Paris" in told
    assert "A: 0 · C: 2" in told
    assert scene.notebook.errors == []


@in_light
def test_a_stage_that_is_not_there_waits_and_says_what_for(scene: Scene) -> None:
    scene.run(lessons.HOLD)
    lesson = scene.start(lessons.STALLS)
    status = lesson.get_by_role("status")
    status.filter(has_text="2 of 3 seats have ended.").wait_for()
    lesson.get_by_role("button", name="One more: They will agree").click()
    lesson.get_by_role("button", name="Open: The answers").click(force=True)
    opened = lesson.locator("section").count()

    scene.notebook.interrupt()
    status.filter(has_text="Ready.").wait_for()
    scene.notebook.wait_idle()
    for title in TITLES[1:5]:
        go_on(scene, lesson, title)
    told = lesson.inner_text()

    assert opened == 1
    assert "This seat gave no answer" in told
    assert "There is no analysis" in told
    assert lesson.locator("[aria-live]:not([role=status])").count() == 0


@in_light
def test_a_page_that_is_reloaded_finds_the_lesson_where_it_was(scene: Scene) -> None:
    page = scene.notebook.page
    page.on("dialog", lambda dialog: dialog.accept())
    scene.run(lessons.AGAIN)
    lesson = scene.start(lessons.FROM_RESULT)
    go_on(scene, lesson, TITLES[1])
    go_on(scene, lesson, TITLES[2])
    lesson.get_by_role("button", name="One more: Answer A").click()
    scene.notebook.wait_idle()
    scene.notebook.save()

    lesson = scene.cell(lessons.FROM_RESULT).locator(".fm-teach")
    scene.notebook.reload(lesson.locator("section").nth(2))
    hands = lesson.get_by_label("Hands: Answer A").input_value()
    for title in TITLES[3:5]:
        go_on(scene, lesson, title)

    assert hands == "1"


@in_light
def test_hostile_texts_in_a_lesson_run_nothing_and_ask_no_other_machine(scene: Scene) -> None:
    page, hosts = scene.notebook.page, set[str]()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.evaluate("() => { window.alert = () => { window.__alerted = true } }")
    forbidden = ":is(script, img, svg, math, iframe, object, embed, link, form, base, meta)"

    scene.run(lessons.ATTACK)
    views = scene.cell(lessons.ATTACK).locator(".fm-teach")
    views.last.locator("section").nth(4).wait_for()
    count, found = views.count(), views.locator(forbidden).count()
    links = views.locator("a:not([href^='http']):not([href^='mailto'])").count()
    sticking = [each for n in range(count) for each in views.nth(n).evaluate(STICKING_OUT)]
    scene.run(lessons.REVEAL)
    results = scene.cell(lessons.ATTACK).locator(".fm-result")
    results.nth(count - 1).locator("h2.fm-stage").nth(5).wait_for()

    assert count > 25
    assert (found, links, sticking) == (0, 0, [])
    assert results.locator(f"{forbidden}:not(mjx-container *)").count() == 0  # but formulas are set as such
    assert page.evaluate("() => window.__alerted") is None
    assert hosts <= {"127.0.0.1", ""}
