"""The picker as a person uses it in JupyterLab: search, seats, saving, copying, running; with the keyboard alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from browser.driver import Lab, Notebook, Theme, write_notebook
from servers.openrouter import Reply, Server

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser

KEY = "nobodys-secret"
OPUS, GPT, KIMI = "anthropic/claude-opus-4.8", "openai/gpt-5.5", "moonshotai/kimi-k2.6"
VENDORS = ["openai", "google", "mistralai", "qwen", "deepseek", "meta-llama", "x-ai", "cohere", "nvidia", "z-ai"]
EVIL = [
    "<img src=x onerror=window.__pwned=1>/a",
    "evil/{__import__('os').environ}",
    "evil/<script>window.__pwned=2</script>",
    "javascript:window.__pwned=3//x",
]
EVIL_NAME = "Evil: <svg onload=window.__pwned=4></svg><a href='https://evil.example'>x</a>\u202e{name}"
BUDGET, EMPTY, BOXED = 1, 2, 3  # cells
CELLS = [
    "%load_ext fusion_magic\nfrom fusion_magic import pick_panel\nimport ipywidgets",
    "budget = pick_panel('budget')\nbudget",
    f"empty = pick_panel(['{GPT}'])\nempty",
    "one, two = pick_panel('self'), pick_panel('frugal')\nipywidgets.VBox([one, ipywidgets.HBox([two])])",
    "print([seat.model for seat in empty.panel.models], empty.panel.judge.model)",
    "%%fusion --panel doubting --static\nIs it so?",
    "print(_fusion.answer, [seat.model for seat in empty.panel.models])",
    "print([seat.model for seat in one.panel.models], [seat.model for seat in two.panel.models])",
    "input()",
]
PRINT, ASK, RESULT, PRINT_BOXED, BUSY = 4, 5, 6, 7, 8


def crowd(count: int = 420) -> list[dict[str, Any]]:
    """Entries of a large catalogue, always the same."""
    dice = random.Random(1)
    abilities = ["tools", "reasoning", "structured_outputs"]
    return [
        {
            "id": f"{vendor}/model-{n}",
            "name": f"{vendor.title()}: Model {n}",
            "created": 1_700_000_000 + n,
            "context_length": dice.choice([8_192, 131_072, 200_000, 1_048_576]),
            "architecture": {"input_modalities": dice.choice([["text"], ["text", "image"]])},
            "pricing": {"prompt": f"{n / 20 * 1e-6:.9f}", "completion": f"{n / 5 * 1e-6:.9f}"},
            "supported_parameters": [ability for ability in abilities if dice.random() < 0.5],
        }
        for n, vendor in enumerate(VENDORS * (count // len(VENDORS)), 1)
    ]


@dataclass
class Scene:
    """The open notebook with its pickers, the server behind it, and every host that the page has asked."""

    notebook: Notebook
    server: Server
    home: Path
    hosts: set[str] = field(default_factory=set[str])

    def picker(self, cell: int = EMPTY) -> Locator:
        return self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".fm-picker").first

    def run(self, cell: int) -> str:
        self.notebook.start_cell(cell)
        self.notebook.wait_idle()
        return "\n".join(self.notebook.outputs()[cell])

    def fresh(self) -> Locator:
        """A picker with one seat, made anew."""
        self.run(EMPTY)
        picker = self.picker()
        picker.locator(".fm-row").first.wait_for()
        return picker

    def found(self, picker: Locator, query: str) -> list[str]:
        """The models that a search leaves, as far as they are in sight."""
        search(picker).fill(query)
        return [row.splitlines()[0] for row in picker.locator(".fm-row").all_inner_texts()]

    def press(self, key: str) -> None:
        self.notebook.page.keyboard.press(key)

    def focused(self) -> str:
        return self.notebook.page.evaluate("() => document.activeElement.getAttribute('aria-label') || ''")


FOCUSED = "() => document.activeElement.dataset.key"


def search(picker: Locator) -> Locator:
    return picker.get_by_role("combobox", name="Add a seat")


def seats(picker: Locator) -> list[str]:
    return picker.locator(".fm-seat .fm-name").evaluate_all("names => names.map(name => name.title)")


def settled(picker: Locator) -> Locator:
    """The picker once Python has answered everything it proposed."""
    picker.locator(".fm-cost:not(.fm-waits)").wait_for()
    return picker


# Ends with the module: while playwright's synchronous API is open, asyncio.run fails in this thread.
@pytest.fixture(scope="module", params=["light", "dark"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    theme: Theme = request.param
    root, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    with Server(key=KEY) as server, pytest.MonkeyPatch.context() as environment:
        server.models += crowd() + [{"id": name, "name": EVIL_NAME} for name in EVIL]
        server.reply("*", Reply("It is so."))
        settings = {"OPENROUTER_BASE_URL": server.base_url, "OPENROUTER_API_KEY": KEY, "FUSION_HOME": str(home)}
        for name, value in settings.items():
            environment.setenv(name, value)
        write_notebook(root / "cells.ipynb", CELLS)
        with Lab(root, theme, size=(1280, 1000)) as lab:
            scene = Scene(lab.open("cells.ipynb"), server, home)
            page = scene.notebook.page
            page.on("request", lambda request: scene.hosts.add(urlsplit(request.url).hostname or ""))
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            for cell in (0, BUDGET, BOXED):
                scene.run(cell)
            yield scene


in_light = pytest.mark.parametrize("scene", ["light"], indirect=True)


def test_it_is_accessible_and_has_no_errors_in_either_theme(scene: Scene) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    picker = scene.fresh()
    search(picker).fill("vendor:google")
    search(picker).press("Enter")
    settled(picker).get_by_role("button", name="Options of B").click()
    picker.get_by_label("Temperature").fill("0.4")
    picker.get_by_label("Persona").fill("You doubt.")
    picker.get_by_role("button", name="Change the judge").click()
    picker.get_by_label("Save as").fill("two words")
    picker.get_by_role("button", name="Save", exact=True).click()
    settled(picker).locator(".fm-problem").wait_for()

    found = axe.run(scene.notebook.page, context=".fm-picker").response["violations"]

    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    assert scene.notebook.errors == []
    assert scene.hosts <= {"127.0.0.1", ""}


@in_light
@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("kimi", "MoonshotAI: Kimi K2.6", "1 of"),
        ("vendor:mistralai", "Mistralai: Model 413", "42 of"),
        ("vendor:z-ai <$10", "Z-Ai: Model 40", "4 of"),
        ("model-4 >1m", None, None),
        ("nobody knows", None, "0 of"),
        ("llama9@ollama", "Use “llama9@ollama”, which is in no list", "1 of"),
    ],
)
def test_a_search_by_name_vendor_price_or_context_finds_it(
    scene: Scene, query: str, first: str | None, count: str | None
) -> None:
    picker = scene.picker(BUDGET)

    found = scene.found(picker, query)

    assert first is None or found[0].startswith(first)
    assert count is None or picker.locator("output").inner_text().startswith(count)
    search(picker).fill("")


@in_light
def test_the_search_works_while_the_kernel_is_busy(scene: Scene) -> None:
    scene.notebook.start_cell(BUSY)
    scene.notebook.page.locator(".jp-Stdin-input").wait_for()

    found = scene.found(scene.picker(BUDGET), "kimi")

    assert len(found) == 1
    search(scene.picker(BUDGET)).fill("")
    scene.notebook.interrupt()
    scene.notebook.wait_idle()


@in_light
def test_filters_vendors_and_columns_narrow_and_sort(scene: Scene) -> None:
    picker = scene.picker(BUDGET)
    picker.get_by_label("Vendor", exact=True).select_option("qwen")
    picker.get_by_role("button", name="tools").click()
    picker.get_by_role("button", name="Out, $/M").click()

    prices = picker.locator(".fm-row > span:nth-child(3)").all_inner_texts()
    abilities = picker.locator(".fm-row > span:nth-child(5)").all_inner_texts()
    dollars = [0.0 if price == "free" else float(price) for price in prices]
    assert dollars == sorted(dollars) != []
    assert all("tools" in able for able in abilities)


@in_light
def test_every_model_of_a_long_list_can_be_scrolled_to(scene: Scene) -> None:
    picker = scene.picker(BOXED)
    picker.get_by_role("listbox").evaluate("list => { list.scrollTop = list.scrollHeight }")
    last = picker.locator(".fm-row").last

    last.wait_for()

    count = int(picker.locator("output").inner_text().split()[0])
    assert count >= 400
    assert picker.locator(f".fm-row[aria-posinset='{count}']").count() == 1
    assert picker.locator(".fm-row").count() < 40


@in_light
def test_the_keyboard_alone_adds_twice_reorders_and_removes(scene: Scene) -> None:
    picker = scene.fresh()
    search(picker).focus()
    scene.notebook.page.keyboard.type("kimi")
    scene.press("Enter")
    scene.press("Enter")
    doubled = seats(settled(picker))
    picker.get_by_role("button", name=f"Move B, {KIMI} left").focus()
    scene.press("Enter")
    moved, where = seats(settled(picker)), scene.focused()
    picker.get_by_role("button", name=f"Remove C, {KIMI}").focus()
    scene.press("Space")
    settled(picker)

    assert doubled == [GPT, KIMI, KIMI]
    assert moved == [KIMI, GPT, KIMI]
    assert where.startswith("Move A")  # its own other button: a first seat goes no further left
    assert seats(picker) == [KIMI, GPT]
    assert f"['{KIMI}', '{GPT}'] {GPT}" in scene.run(PRINT)


@in_light
def test_arrows_choose_and_the_screen_reader_is_told_which(scene: Scene) -> None:
    picker = scene.fresh()
    search(picker).fill("vendor:anthropic")
    scene.press("ArrowDown")

    active = search(picker).get_attribute("aria-activedescendant")

    assert active
    option = picker.locator(f"#{active}")
    assert option.get_attribute("aria-selected") == "true"
    assert option.get_attribute("aria-posinset") == "2"


@in_light
def test_a_judge_is_chosen_by_the_same_search_and_can_be_the_first_seat_again(scene: Scene) -> None:
    picker = scene.fresh()
    picker.get_by_role("button", name="Change the judge").click()
    choosing = picker.get_by_role("combobox", name="Choose the judge")
    choosing.fill("kimi")
    choosing.press("Enter")
    chosen = scene.run(PRINT)
    settled(picker).get_by_role("button", name="Use seat A as judge").click()
    settled(picker)

    assert f"['{GPT}'] {KIMI}" in chosen
    assert f"['{GPT}'] {GPT}" in scene.run(PRINT)


@in_light
def test_a_panel_with_a_persona_is_saved_and_asked_by_its_name(scene: Scene) -> None:
    picker = scene.fresh()
    line = picker.locator(".fm-line")
    picker.get_by_role("button", name="Options of A").click()
    picker.get_by_label("Temperature").fill("0.4")
    picker.get_by_label("Persona").fill("You doubt everything.")
    picker.get_by_label("Save as").fill("doubting")
    line.get_by_text("the persona").wait_for()
    unsaid = line.inner_text()
    picker.get_by_role("button", name="Save", exact=True).click()
    line.get_by_label("Line", exact=True).wait_for()
    shown = line.get_by_label("Line", exact=True).input_value()

    answer = scene.run(ASK)

    assert "can't say the persona, temperature of seat A" in unsaid
    assert shown == "%%fusion --panel doubting"
    assert "It is so." in answer
    asked = [request.body for request in scene.server.requests if request.path.endswith("/chat/completions")]
    assert any("You doubt everything." in json.dumps(body) and body.get("temperature") == 0.4 for body in asked)
    assert "[panels.doubting]" in (scene.home / "fusion.toml").read_text()


@in_light
def test_the_web_is_switched_by_the_keyboard_and_kept_in_line_and_file(scene: Scene) -> None:
    picker = scene.fresh()
    switch, line = picker.get_by_role("switch", name="Web search and pages"), picker.get_by_label("Line", exact=True)
    before = switch.is_checked()
    switch.focus()
    scene.press("Space")
    switched, focused = settled(picker).locator(".fm-line input").input_value(), scene.notebook.page.evaluate(FOCUSED)
    costs = picker.locator(".fm-cost").inner_text()
    picker.get_by_label("Save as").fill("searching")
    picker.get_by_role("button", name="Save", exact=True).click()
    picker.get_by_text("Saved in").wait_for()

    assert before is False
    assert switched == f"%%fusion -m {GPT} --tools web"
    assert focused == "web"
    assert "Fees of web searches" in costs
    assert 'tools = ["web"]' in (scene.home / "fusion.toml").read_text().partition("[panels.searching]")[2]
    assert line.input_value() == "%%fusion --panel searching"


@in_light
def test_a_taken_name_is_replaced_only_after_a_second_click(scene: Scene) -> None:
    picker = scene.fresh()
    picker.get_by_label("Save as").fill("twice")
    picker.get_by_role("button", name="Save", exact=True).click()
    picker.get_by_text("Saved in").wait_for()
    search(picker).fill("kimi")
    search(picker).press("Enter")
    settled(picker).get_by_role("button", name="Save", exact=True).click()
    picker.get_by_role("button", name="Replace it").wait_for()
    before = (scene.home / "fusion.toml").read_text()
    picker.get_by_role("button", name="Replace it").click()
    picker.get_by_text("Saved in").wait_for()

    assert KIMI not in before.partition("[panels.twice]")[2]
    assert KIMI in (scene.home / "fusion.toml").read_text().partition("[panels.twice]")[2]


@in_light
def test_the_line_is_copied(scene: Scene) -> None:
    picker = scene.fresh()
    search(picker).fill(OPUS)
    search(picker).press("Enter")

    settled(picker).get_by_role("button", name="Copy as magic line").click()
    picker.get_by_text("The line is copied.").wait_for()

    copied = scene.notebook.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == f"%%fusion -m {GPT} -m {OPUS}"


@in_light
def test_run_asks_the_prompt_and_shows_the_run_below(scene: Scene) -> None:
    picker = scene.fresh()
    picker.get_by_label("Prompt").fill("Is it so?")

    picker.get_by_role("button", name="Run", exact=True).click()
    below = scene.notebook.page.locator(".jp-Notebook .jp-Cell").nth(EMPTY).locator(".fm-result")
    below.get_by_text("It is so.").first.wait_for()

    assert f"It is so. ['{GPT}']" in scene.run(RESULT)
    assert picker.locator(".fm-said").inner_text().startswith("Asked; `_fusion`")


@in_light
def test_hostile_names_run_nothing_and_ask_nobody(scene: Scene) -> None:
    picker = scene.fresh()
    listed = scene.found(picker, "evil")
    for name in EVIL:
        search(picker).fill(name.replace(" ", "")[:12] if " " in name else name)
        search(picker).press("Enter")
        settled(picker)

    assert any("<svg onload" in title for title in listed)
    assert len(seats(picker)) >= 4
    assert "the name of seat" in picker.locator(".fm-line").inner_text()
    assert picker.locator(":is(script, img, svg, iframe, a)").count() == 0
    assert scene.notebook.page.evaluate("() => window.__pwned") is None
    assert scene.hosts <= {"127.0.0.1", ""}


@in_light
def test_pickers_sit_inside_other_widgets_and_do_not_share_anything(scene: Scene) -> None:
    both = scene.notebook.page.locator(".jp-Notebook .jp-Cell").nth(BOXED).locator(".fm-picker")
    second = both.nth(1)
    search(second).fill("kimi")
    search(second).press("Enter")
    settled(second)

    printed = scene.run(PRINT_BOXED)

    assert both.count() == 2
    assert printed.startswith(f"['{OPUS}', '{OPUS}'] [")
    assert printed.count(KIMI) == 2  # it sits on `frugal` already


@in_light
def test_after_a_reload_everything_stands_and_run_says_why_it_shows_nothing(scene: Scene) -> None:
    picker = scene.fresh()
    search(picker).fill("kimi")
    search(picker).press("Enter")
    settled(picker)
    picker.get_by_label("Prompt").fill("Is it so?")
    picker.get_by_label("Prompt").blur()
    scene.notebook.save()
    scene.notebook.page.reload()

    picker = scene.picker()
    picker.locator(".fm-row").first.wait_for()
    stands, prompt = seats(picker), picker.get_by_label("Prompt").input_value()
    picker.get_by_role("button", name="Run", exact=True).click()
    picker.get_by_text("This page was loaded after the picker was shown").wait_for()

    assert stands == [GPT, KIMI]
    assert prompt == "Is it so?"
