"""`%%fusion` in a real kernel: the messages it sends, the notebook it leaves, and what an interrupt keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import nbformat
import pytest
from nbclient import NotebookClient

from fusion_magic.jupyter.live.widget import ENDED_KEPT
from servers.openrouter import Fault, Reply, Server, analysis_json

from .kernels import SECONDS, Kernel, Ran, start, stop

pytest.importorskip("ipykernel")

KEY = "nobodys-secret"
HELLO = "from fusion_magic import Line, fuse, fuse_async, last, scripted\n%load_ext fusion_magic"
SCRIPT = """
script = scripted({
    "judge": {"consensus": ["It is Paris."], "contradictions": [], "partial_coverage": [], "unique_insights": [],
              "blind_spots": []},
    "synthesis": "The capital is **Paris**.", "*": Line("Paris.", first_token=0.4)})
"""
CELL = "%%fusion -m a/one -m b/two --into r\nWhat is the capital of France?"
WIDGET, RECORD = "application/vnd.jupyter.widget-view+json", "application/vnd.fusion+json"
ANSWER = "The capital is <strong>Paris</strong>."


@pytest.fixture(scope="module")
def shared_kernel() -> Iterator[Kernel]:
    kernel = start(KEY)
    kernel.run(HELLO)
    yield kernel
    stop(kernel)


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    """The module's kernel with a script that answers."""
    assert shared_kernel.run(SCRIPT).reply["status"] == "ok"
    yield shared_kernel
    shared_kernel.run("script.close()")


@pytest.fixture
def server(shared_kernel: Kernel) -> Iterator[Server]:
    with Server() as running:
        yield running


# --- a whole run ------------------------------------------------------------------------------------


def test_a_cell_shows_the_plan_then_puts_the_answer_in_its_place(kernel: Kernel) -> None:
    ran = kernel.run(CELL)

    shown = {m["content"]["transient"]["display_id"] for m in ran.messages if "display_data" in m["msg_type"]}
    # On a busy machine an empty picture comes first.
    plan = next(content for content in ran.of("comm_msg") if content["data"].get("content", {}).get("cards"))
    cards = plan["data"]["content"]["cards"]
    assert ran.reply["status"] == "ok"
    assert len(ran.of("display_data")) == 1
    assert WIDGET in ran.of("display_data")[0]["data"]
    assert len(shown) == 1
    assert {card["model"] for card in cards.values()} == {"a/one", "b/two"}
    assert {card["state"] for card in cards.values()} == {"queued"}
    assert ran.html[-1].count(ANSWER) == 1
    assert ran.of("execute_result") == []
    assert ran.text == ""


def test_the_last_picture_is_html_markdown_and_text_and_no_widget(kernel: Kernel) -> None:
    ran = kernel.run(CELL)

    assert set(ran.of("update_display_data")[-1]["data"]) == {"text/html", "text/markdown", "text/plain", RECORD}


def test_without_the_record_the_output_has_only_what_people_read(kernel: Kernel) -> None:
    ran = kernel.run(CELL.replace("--into r", "--no-record"))

    assert set(ran.of("update_display_data")[-1]["data"]) == {"text/html", "text/markdown", "text/plain"}


def test_the_value_and_both_names_are_one_object(kernel: Kernel) -> None:
    kernel.run(CELL)

    assert kernel.value("[_fusion is r, last() == r, r.answer, r.status]") == [
        True,
        True,
        "The capital is **Paris**.",
        "ok",
    ]


def test_only_the_views_of_the_last_runs_stay_for_a_page_that_is_reloaded(kernel: Kernel) -> None:
    for _ in range(ENDED_KEPT + 1):
        closed = kernel.run(CELL).of("comm_close")

    alive = "import gc; from fusion_magic.jupyter.live import LiveView; gc.collect(); views = "
    kernel.run(alive + "sum(isinstance(thing, LiveView) for thing in gc.get_objects())")

    assert kernel.value("views") == ENDED_KEPT
    assert len(closed) == 1


def test_static_sends_one_display_and_nothing_else(kernel: Kernel) -> None:
    ran = kernel.run(CELL.replace("--into r", "--static"))

    assert len(ran.html) == 1
    assert ANSWER in ran.html[0]


def test_a_result_is_drawn_again_by_a_cell_that_asks_for_it(kernel: Kernel) -> None:
    kernel.run(CELL)

    assert [ANSWER in shown for shown in kernel.run("_fusion").html] == [True]


@pytest.mark.parametrize(
    "code",
    [
        f"get_ipython().run_cell_magic('time', '', {CELL!r})",
        f"def ask():\n    return get_ipython().run_cell_magic(*{['fusion', '-m a/one --into r', 'What?']!r})\nask()",
        "r = fuse('What?', models=['a/one', 'b/two'])",
        "def ask():\n    return fuse('What?', models=['a/one'])\nr = ask()",
        "r = await fuse_async('What?', models=['a/one', 'b/two'])",
        "import asyncio\nr, _ = await asyncio.gather(*[fuse_async('What?', models=['a/one']) for _ in range(2)])",
        "%%time\nr = fuse('What?', models=['a/one'])",
        "%%capture said\nr = fuse('What?', models=['a/one'])",
    ],
    ids=[
        "%%time",
        "in a function",
        "fuse",
        "fuse in a function",
        "fuse_async",
        "two at once",
        "fuse timed",
        "%%capture",
    ],
)
def test_it_works_wherever_a_cell_can_call_it(kernel: Kernel, code: str) -> None:
    kernel.run("r = None")
    ran = kernel.run(code)

    assert ran.reply["status"] == "ok", ran.error
    assert kernel.value("r.answer") == "The capital is **Paris**."


def test_capture_keeps_the_output_to_itself(kernel: Kernel) -> None:
    ran = kernel.run("%%capture said\nget_ipython().run_cell_magic('fusion', '-m a/one', 'What?')")

    assert ran.html == []
    assert kernel.value("'The capital is' in str([shown.data for shown in said.outputs])")


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("%%fusion -p budgt\nWhat?", 'UnknownPanel: There is no panel "budgt"'),
        ("%%fusion -m a/one\n  \n", "SettingsError: The prompt is empty"),
        ("%%fusion -m x@olama\nWhat?", 'SettingsError: No endpoint "olama"'),
    ],
)
def test_an_expected_error_is_one_line(kernel: Kernel, cell: str, line: str) -> None:
    ran = kernel.run(cell)

    assert len(ran.error) == 1
    assert ran.error[0].startswith(line)
    assert "\n" not in ran.error[0]


def test_a_panel_that_failed_leaves_one_result(shared_kernel: Kernel, server: Server) -> None:
    server.reply("*", Fault(400))

    shared_kernel.run(f"%%fusion -m a@{server.base_url} --into r\nWhat?")

    assert shared_kernel.value("[r.status, r is _fusion, r is last()]") == ["error", True, True]


def test_an_error_takes_the_progress_away(shared_kernel: Kernel, server: Server) -> None:
    server.models = []
    listening = f"import os; os.environ['OPENROUTER_BASE_URL'] = {server.base_url!r}"
    shared_kernel.run(listening)
    server.reply("*", Fault(503, delay=0.3))

    ran = shared_kernel.run("%%fusion -m a/one --retries 0\nWhat?")

    assert ran.error[0].startswith("PanelFailed: No panelist answered. A: ")
    assert WIDGET not in ran.of("update_display_data")[-1]["data"]
    assert ran.of("comm_close")


def test_a_key_that_a_server_echoes_is_nowhere(shared_kernel: Kernel, server: Server) -> None:
    server.reply("a/one", Reply("Paris."))
    server.reply("b/two", Fault(401, echo_key=True))
    server.models = []
    shared_kernel.run(f"import os; os.environ['OPENROUTER_BASE_URL'] = {server.base_url!r}")

    ran = shared_kernel.run(CELL)

    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert "[key]" in ran.html[-1]
    assert KEY not in json.dumps([message["content"] for message in ran.messages])
    assert KEY not in json.dumps(shared_kernel.value("[r.model_dump_json(), repr(r), str(r.settings), str(vars(r))]"))


# --- interrupt --------------------------------------------------------------------------------------


def interrupt_when(kernel: Kernel, server: Server, arranged: Callable[[], None], *cells: str) -> list[Ran]:
    """Send cells, interrupt the first one when the server sees what was arranged, wait for them all."""
    sent = [kernel.send(cell) for cell in cells]
    arranged()
    kernel.manager.interrupt_kernel()
    return kernel.ends(*sent)


def panel_of(server: Server) -> str:
    """One seat that answers at once and two that write for minutes."""
    server.reply("quick", Reply("Paris, quickly."))
    server.reply("slow*", Reply("word " * 4000, chunks=4000, gap=0.05))
    return " ".join(f"-m {name}@{server.base_url}" for name in ("quick", "slow1", "slow2"))


def one_answered(kernel: Kernel, server: Server) -> Callable[[], None]:
    """The cell shows that a seat is done, and the server that the other two still write."""

    def arranged() -> None:
        kernel.until("'state': 'done'")
        server.wait_open(2)

    return arranged


def test_an_interrupt_keeps_what_was_answered_and_closes_every_connection(
    shared_kernel: Kernel, server: Server
) -> None:
    line = panel_of(server)

    (ran,) = interrupt_when(
        shared_kernel, server, one_answered(shared_kernel, server), f"%%fusion {line} --into r\nCount."
    )

    assert sorted(str(request.model) for request in server.wait_closed()) == ["slow1", "slow2"]
    assert ran.reply["ename"] == "FusionInterrupted"
    assert len(ran.error) == 1
    assert ran.error[0].startswith("FusionInterrupted: The run was stopped; 1 of 3 answers are kept")
    assert "Stopped. What was answered is kept." in ran.html[-1]
    assert "Paris, quickly." in ran.html[-1]
    kept = shared_kernel.value("[_fusion.status, _fusion is r, [seat.content for seat in r.responses]]")
    assert kept == ["cancelled", True, ["Paris, quickly."]]
    assert "Paris, quickly." in shared_kernel.run("_fusion").html[0]


def test_cells_queued_behind_an_interrupted_one_do_not_run(shared_kernel: Kernel, server: Server) -> None:
    line = panel_of(server)
    shared_kernel.run("ran_on = False")

    first, second = interrupt_when(
        shared_kernel, server, one_answered(shared_kernel, server), f"%%fusion {line}\nCount.", "ran_on = True"
    )

    assert first.reply["ename"] == "FusionInterrupted"
    assert second.reply["status"] == "aborted"
    assert shared_kernel.value("ran_on") is False


@pytest.mark.parametrize("call", ["fuse", "await fuse_async"])
def test_an_interrupt_of_a_loop_ends_the_loop(shared_kernel: Kernel, server: Server, call: str) -> None:
    panel_of(server)
    code = f"for n in range(3):\n    {call}('Count.', models=['slow1@{server.base_url}', 'slow2@{server.base_url}'])"
    shared_kernel.run("n = None")

    (ran,) = interrupt_when(shared_kernel, server, lambda: server.wait_open(2), code)

    assert len(server.wait_closed()) == 2
    assert ran.reply["status"] == "error"
    assert shared_kernel.value("[n, last().status]") == [0, "cancelled"]


def test_the_next_run_after_an_interrupt_is_whole(kernel: Kernel) -> None:
    assert ANSWER in kernel.run(CELL).html[-1]


# --- files and kernels ------------------------------------------------------------------------------


def test_a_saved_notebook_reads_without_a_kernel_and_holds_no_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    server.reply("*", Reply(analysis_json(("A", "B")), first_token=0.3))
    server.reply("s/x", Reply("The capital is **Paris**."))
    server.reply("c/three", Fault(403, echo_key=True))
    server.models = []
    cells = ["%load_ext fusion_magic", CELL.replace("--into r", "-m c/three --synthesizer s/x --into r"), "r.answer"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])

    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()

    saved = nbformat.writes(notebook)
    (shown,) = notebook.cells[1].outputs
    assert set(shown.data) == {"text/html", "text/markdown", "text/plain", RECORD}
    assert "widgets" not in notebook.metadata
    assert notebook.cells[2].outputs[0].data["text/plain"] == "'The capital is **Paris**.'"
    assert "[key]" in saved
    assert KEY not in saved
    nbconvert = pytest.importorskip("nbconvert")
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert ANSWER in page
    assert KEY not in page


def test_two_kernels_run_at_once_and_an_interrupt_stops_one(shared_kernel: Kernel, server: Server) -> None:
    other = start(KEY)
    try:
        other.run(HELLO)
        server.reply("slow", Reply("word " * 4000, chunks=4000, gap=0.05))
        server.reply("mine", Reply("Paris."))
        first = shared_kernel.send(f"%%fusion -m slow@{server.base_url}\nCount.")
        server.wait_open(1)
        second = other.run(f"%%fusion -m mine@{server.base_url}\nWhat?")
        shared_kernel.manager.interrupt_kernel()
        stopped = shared_kernel.end(first)
    finally:
        stop(other)

    assert second.reply["status"] == "ok"
    assert "Paris." in second.html[-1]
    assert stopped.reply["ename"] == "FusionInterrupted"
