"""`%%fusion --background`: the cell returns at once, the run goes on, and its own output shows it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import nbformat
import pytest
from nbclient import NotebookClient

from servers.openrouter import Fault, Reply, Request, Server, analysis_json

from .kernels import SECONDS, Kernel, start, stop

pytestmark = pytest.mark.thorough

pytest.importorskip("ipykernel")

CELL = "%%fusion -m {a} -m {b} --judge {judge} --synthesizer {writer} --background --into job\nWhat?"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = start("")
    kernel.run("import asyncio\n%load_ext fusion_magic")
    yield kernel
    stop(kernel)


@pytest.fixture
def server() -> Iterator[Server]:
    """`a` answers at once; `b` when the test says so."""
    with Server() as running:
        running.reply("*", Reply("Paris."))
        running.reply("judge", Reply(analysis_json(("A", "B"))))
        running.reply("writer", Reply("The capital is **Paris**."))
        yield running


def cell(server: Server) -> str:
    return CELL.format(**{name: f"{name}@{server.base_url}" for name in ("a", "b", "judge", "writer")})


def never_ending(server: Server) -> None:
    server.reply("b", Reply("word " * 4000, chunks=4000, gap=0.05))


def test_the_cell_returns_a_handle_while_the_run_goes_on(kernel: Kernel, server: Server) -> None:
    never_ending(server)

    ran = kernel.run(cell(server))
    server.wait_open(1)
    going_on = kernel.value("[job.done(), job.wait(0.05), repr(job)]")
    kernel.run("job.cancel()")

    assert ran.reply["status"] == "ok"
    assert ran.of("execute_result") == []
    assert going_on == [False, False, "<Background run, going on: .result(), .wait(), .cancel(), await>"]
    assert "b" in [request.model for request in server.wait_closed()]


def test_waiting_no_longer_than_allowed_is_one_line(kernel: Kernel, server: Server) -> None:
    never_ending(server)
    kernel.run(cell(server))

    ran = kernel.run("job.result(timeout=0.1)")
    kernel.run("job.cancel()")

    assert ran.reply["ename"] == "TimeoutError"
    assert ran.reply["evalue"] == "The run goes on; 0.1 s were not enough."


@pytest.mark.parametrize("code", ["r = job.result()", "r = await job", "job.wait()\nr = job.result()"])
def test_a_later_cell_waits_for_the_result(kernel: Kernel, server: Server, code: str) -> None:
    kernel.run(cell(server))

    ran = kernel.run(code)

    assert ran.reply["status"] == "ok", ran.error
    assert kernel.value("[r.answer, r.status, _fusion is r]") == ["The capital is **Paris**.", "ok", True]


def test_a_result_that_a_later_cell_ends_with_is_drawn_there_too(kernel: Kernel, server: Server) -> None:
    kernel.run(cell(server))

    ran = kernel.run("job.result()")

    assert "The capital is <strong>Paris</strong>." in ran.of("display_data")[-1]["data"]["text/html"]


def test_the_result_lands_in_the_output_of_the_cell_that_asked(kernel: Kernel, server: Server) -> None:
    server.reply("b", Reply("Later.", first_token=0.3))

    first, later = kernel.ends(kernel.send(cell(server)), kernel.send("print('meanwhile')\njob.wait();"))

    (opened,) = first.of("display_data")
    updates = [*first.of("update_display_data"), *later.of("update_display_data")]
    assert later.text == "meanwhile\n"
    assert later.of("display_data") == []
    assert {update["transient"]["display_id"] for update in updates} == {opened["transient"]["display_id"]}
    assert "The capital is <strong>Paris</strong>." in updates[-1]["data"]["text/html"]


def test_cancelling_keeps_what_was_answered(kernel: Kernel, server: Server) -> None:
    asked = threading.Event()

    def never_ends(_: Request) -> Reply:
        asked.set()
        return Reply("word " * 4000, chunks=4000, gap=0.05)

    server.reply("judge", never_ends)
    kernel.run(cell(server))
    assert asked.wait(SECONDS)

    kernel.run("job.cancel()\nr = job.result()")

    assert [request.model for request in server.wait_closed()] == ["judge"]
    kept = kernel.value("[r.status, [seat.content for seat in r.responses], r.answer]")
    assert kept == ["cancelled", ["Paris.", "Paris."], None]


def test_an_interrupt_of_the_waiting_leaves_the_run(kernel: Kernel, server: Server) -> None:
    never_ending(server)
    kernel.run(cell(server))
    server.wait_open(1)

    waiting = kernel.send("print('waiting', flush=True)\njob.result()")
    kernel.until_printed("waiting")
    kernel.manager.interrupt_kernel()
    stopped = kernel.end(waiting)
    goes_on = kernel.value("not job.done()")
    kernel.run("job.cancel()")

    assert stopped.reply["ename"] == "KeyboardInterrupt"
    assert goes_on


def test_a_panel_that_fails_says_so_in_its_cell_and_to_who_waits(kernel: Kernel, server: Server) -> None:
    for name in ("a", "b"):
        server.reply(name, Fault(400))

    asked, ran = kernel.ends(kernel.send(cell(server)), kernel.send("job.result()"))

    assert ran.reply["ename"] == "PanelFailed"
    assert "No panelist answered." in ran.error[0]
    assert "No panelist answered." in (asked.html + ran.html)[-1]


def test_a_program_that_runs_the_notebook_gets_the_whole_result_from_a_cell_that_waits(server: Server) -> None:
    server.reply("b", Reply("Later.", first_token=0.3))
    cells = ["%load_ext fusion_magic", cell(server), "job.wait();"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])

    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()

    (shown,) = notebook.cells[1].outputs
    assert "The capital is <strong>Paris</strong>." in shown.data["text/html"]


@pytest.mark.parametrize("flags", ["", " --static"])
def test_a_run_that_never_began_says_why_in_its_cell(kernel: Kernel, flags: str) -> None:
    line = f"%%fusion -m a@nowhere --background --into job{flags}\nWhat?"

    asked, waited = kernel.ends(kernel.send(line), kernel.send("job.wait();"))

    assert asked.reply["status"] == waited.reply["status"] == "ok"
    assert "No endpoint &quot;nowhere&quot;" in (asked.html + waited.html)[-1]


def test_a_task_that_awaits_a_run_stopped_before_its_first_call_does_not_end_the_kernel(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        setup = "import os; os.environ |= {'OPENROUTER_BASE_URL': %r, 'OPENROUTER_API_KEY': 'k'}"
        kernel.run(setup % address)
        kernel.run("%%fusion -m a/b --background --into job\nWhat?")
        kernel.run("async def result():\n    return await job\njob.cancel()")

        ran = kernel.run("await asyncio.wait([asyncio.create_task(result())])\njob.result()")
        kernel.run("del os.environ['OPENROUTER_BASE_URL'], os.environ['OPENROUTER_API_KEY']")

    assert (ran.reply["ename"], ran.reply["evalue"]) == (
        "FusionError",
        "The run was stopped before its first call; nothing was asked.",
    )
    assert kernel.manager.is_alive()
