"""A `%%fusion` cell while it runs, in JupyterLab: watched, clicked, left alone and come back to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from browser.driver import Lab, Notebook, write_notebook
from servers.openrouter import Reply, Server, analysis_json

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser

SECONDS = 60_000  # milliseconds, of which playwright's expectations use what they need
LONG = "One sentence follows the other. " * 2000
CELLS = {
    "load": "import asyncio\n%load_ext fusion_magic",
    "run": "%%fusion {line}\nWhat is the capital of France?",
    "hold": "import pathlib, time\nasync def hold():\n"
    "    while not pathlib.Path('hold').exists(): await asyncio.sleep(0.1)\n"
    "    while pathlib.Path('hold').exists(): time.sleep(0.1)\n"
    "held = asyncio.create_task(hold())",
    "behind": "print('ran on', _fusion.status, [lost.label for lost in _fusion.failed_models if lost.skipped])",
    "timed": "%%time\nget_ipython().run_cell_magic('fusion', {line!r}, 'What?')",
    "background": "%%fusion {line} --background --into job\nWhat?",
    "meanwhile": "print('meanwhile', job.done())",
}


@dataclass(frozen=True)
class Scene:
    """The notebook and the server whose models its cells ask: a to c, judge and writer."""

    notebook: Notebook
    server: Server

    def start(self, *names: str) -> Locator:
        """Run cells without waiting; returns the outputs of the first one."""
        for name in names:
            self.notebook.start_cell(list(CELLS).index(name))
        return self.outputs(names[0])

    def outputs(self, name: str) -> Locator:
        cell = self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(list(CELLS).index(name))
        return cell.locator(".jp-OutputArea-child")

    def text(self, name: str) -> str:
        return "".join(self.notebook.outputs()[list(CELLS).index(name)])

    def card(self, outputs: Locator, seat: str) -> Locator:
        return outputs.locator(".fm-card.fm-panel", has=self.notebook.page.locator(f".fm-name:text-is('{seat}')"))


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("notebooks"), request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Scene]:
    with Server() as server:
        models = [f"-m {name}@{server.base_url}" for name in "abc"]
        chairs = [f"--{chair} {name}@{server.base_url}" for chair, name in (("judge", "j"), ("synthesizer", "w"))]
        line = " ".join([*models, *chairs, "--fresh all"])  # the cells of one test are those of the next
        write_notebook(lab.root / "run.ipynb", [source.format(line=line) for source in CELLS.values()])
        notebook = lab.open("run.ipynb")
        notebook.page.on("dialog", lambda dialog: dialog.accept())  # a reload asks whether to leave the page
        notebook.start_cell(0)
        notebook.wait_idle()
        yield Scene(notebook, server)


@pytest.fixture
def scene(opened: Scene) -> Iterator[Scene]:
    """Seats that write for minutes; judge and writer answer at once."""
    opened.notebook.errors.clear()
    for name in "abc":
        opened.server.reply(name, Reply(LONG, gap=0.02))
    opened.server.reply("j", Reply(analysis_json(("A", "B", "C"))))
    opened.server.reply("w", Reply("It is **Paris**, as [A] says."))
    yield opened
    opened.notebook.interrupt()
    opened.notebook.wait_idle()
    # JupyterLab says this of messages to a widget that a reloaded page has not restored yet.
    assert [error for error in opened.notebook.errors if not error.startswith("Comm not found")] == []


def shows(part: Locator, text: str) -> None:
    """Wait until a part of the page shows a text."""
    from playwright.sync_api import expect

    expect(part).to_contain_text(text, timeout=SECONDS)


in_light = pytest.mark.parametrize("lab", ["light"], indirect=True)


def test_every_seat_writes_before_the_eyes_of_the_reader_then_the_answer_stands_there(scene: Scene) -> None:
    for name in "abc":
        scene.server.reply(name, Reply("Paris, I am sure of it. " * 12, gap=0.05))

    outputs = scene.start("run")
    for seat in "ABC":
        shows(scene.card(outputs, seat).locator(".fm-text"), "Paris, I am")
    before_the_end = outputs.locator(".fm-answer").count()
    scene.notebook.wait_idle()

    assert before_the_end == 0
    shows(outputs.locator(".fm-answer"), "It is Paris")
    assert outputs.locator(".fm-live").count() == 0


def test_skipping_a_seat_lets_the_others_end_the_run(scene: Scene) -> None:
    for name in "bc":
        scene.server.reply(name, Reply("Paris. " * 5, gap=0.2))
    outputs = scene.start("run", "behind")
    shows(scene.card(outputs, "A").locator(".fm-text"), "One sentence")

    scene.card(outputs, "A").get_by_role("button").click()
    scene.notebook.wait_idle()

    shows(outputs.locator(".fm-answer"), "It is Paris")
    assert "ran on ok ['A']" in scene.text("behind")


def test_the_stop_button_ends_the_run_and_the_notebook_goes_on(scene: Scene) -> None:
    outputs = scene.start("run", "behind")
    shows(scene.card(outputs, "B").locator(".fm-text"), "One sentence")

    outputs.get_by_role("button", name="Stop").click()
    scene.notebook.wait_idle()

    assert "Stopped." in scene.text("run")
    shows(outputs.locator(".fm-result"), "One sentence follows")
    assert "ran on cancelled []" in scene.text("behind")
    assert scene.server.wait_closed()


@in_light
def test_the_notebooks_own_stop_keeps_what_was_written_and_runs_no_other_cell(scene: Scene) -> None:
    outputs = scene.start("run", "behind")
    shows(scene.card(outputs, "C").locator(".fm-text"), "One sentence")

    scene.notebook.interrupt()
    scene.notebook.wait_idle()

    assert "FusionInterrupted" in scene.text("run")
    assert scene.text("behind") == ""


@in_light
def test_under_another_magic_there_are_no_buttons_and_the_text_still_streams(scene: Scene) -> None:
    outputs = scene.start("timed")
    shows(scene.card(outputs, "A").locator(".fm-text"), "One sentence")

    buttons = outputs.get_by_role("button").count()
    told = outputs.locator(".fm-live").inner_text()
    scene.notebook.interrupt()
    scene.notebook.wait_idle()

    assert buttons == 0
    assert "■" in told


@in_light
def test_in_the_background_later_cells_run_while_the_cell_goes_on_showing_the_run(scene: Scene) -> None:
    outputs = scene.start("background", "meanwhile")
    scene.notebook.wait_idle()
    shows(scene.card(outputs, "A").locator(".fm-text"), "One sentence")

    outputs.get_by_role("button", name="Stop").click()

    shows(outputs.locator(".fm-result"), "Stopped.")
    assert scene.text("meanwhile") == "meanwhile False\n"


@in_light
def test_what_is_saved_is_the_result_and_no_widget(scene: Scene) -> None:
    for name in "abc":
        scene.server.reply(name, Reply("Paris."))
    scene.start("run")
    scene.notebook.wait_idle()

    saved = scene.notebook.save()

    (output,) = saved.cells[list(CELLS).index("run")].outputs
    assert set(output.data) == {"text/html", "text/markdown", "text/plain", "application/vnd.fusion+json"}
    assert "widgets" not in saved.metadata


@in_light
def test_a_page_that_is_reloaded_finds_the_run_and_gets_its_end(scene: Scene) -> None:
    outputs = scene.start("run")
    text = scene.card(outputs, "A").locator(".fm-text")
    shows(text, "One sentence")
    scene.notebook.save()

    scene.notebook.reload(text)
    shows(text, "One sentence")
    outputs.get_by_role("button", name="Stop").click()
    shows(outputs.locator(".fm-result"), "Stopped.")

    assert outputs.locator(".fm-live").count() == 0


@in_light
def test_a_page_that_was_reloaded_while_the_kernel_was_busy_gets_the_result_when_the_cell_ends(scene: Scene) -> None:
    page, hold = scene.notebook.page, scene.notebook.path.with_name("hold")
    scene.start("hold")
    scene.notebook.wait_idle()
    outputs = scene.start("run")
    shows(scene.card(outputs, "A").locator(".fm-text"), "One sentence")
    scene.notebook.save()
    hold.touch()

    with page.expect_websocket(lambda socket: "/channels" in socket.url) as socket:
        page.reload()
    # What JupyterLab asks when the widgets were not there in time; the kernel answers at the cell's end.
    socket.value.wait_for_event("framesent", lambda frame: "comm_info_request" in str(frame))
    hold.unlink()
    scene.notebook.interrupt()

    shows(outputs.locator(".fm-result"), "Stopped.")
    assert outputs.locator(".fm-live").count() == 0
