"""Many rows: memory that does not grow with what models write, and a process that may die at any moment."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batch.asking import InterruptsAt, subject
from fusion_magic import scripted
from fusion_magic.batch import BatchInterrupted, Progress, last, map, map_background, show_with
from fusion_magic.progress import Terminal, clock
from fusion_magic.store import open_store
from pipeline.asking import at, chats, judged
from servers.openrouter import Broken, Fault, Reply, Server, analysis_json

pytestmark = pytest.mark.thorough

ROWS = 2_000
TRACED = 200
AT_A_TIME = 16  # calls under way
LONG = "word " * 2_000  # a response of 10 kB
SECONDS = 60.0


def test_memory_does_not_grow_with_what_the_panel_writes():
    """All that stays of a row is what its columns hold: of the last rows far less than a response each."""

    def answer(_: Any) -> str:
        script.requests.clear()  # the script's own log
        return LONG

    def rows() -> Iterator[str]:
        for number in range(ROWS):
            if number == ROWS - TRACED:  # tracing is slow, and every row is like the others
                tracemalloc.start()
            yield f"row {number}"
        held.extend(tracemalloc.get_traced_memory())

    held: list[int] = []
    answers: Any = {"judge": analysis_json("A"), "synthesis": "Fused.", "*": answer}
    with scripted(answers) as script:
        try:
            out = map(rows(), "{x}", models=["a"], judge="j", synthesizer="w", progress=False, concurrency=4)
        finally:
            tracemalloc.stop()

    assert len(out) == ROWS
    assert {row.answer for row in out} == {"Fused."}
    at_the_end, peak = held
    assert at_the_end < TRACED * len(LONG) / 4  # three rows under way are in it
    assert peak < TRACED * len(LONG) / 2


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not there on Windows")
def test_a_batch_whose_process_was_killed_is_finished_without_asking_again():
    with Server() as server:
        server.reply("*", Reply("An answer."))
        server.reply("judge", judged("A"))
        script = Path(__file__).with_name("killed_batch.py")
        with subprocess.Popen([sys.executable, script, server.base_url]) as child:
            deadline = time.monotonic() + SECONDS
            while sum(request.finished for request in chats(server, "writer")) < 6:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            os.kill(child.pid, signal.SIGKILL)
        server.wait_closed()
        written = [request for request in chats(server, "writer") if request.finished]
        models, judge, writer = at(server, "a", "judge", "writer")
        rows = [f"row {number}" for number in range(20)]

        out = map(rows, "{x}", models=models, judge=judge, synthesizer=writer, progress=False, concurrency=2)

        again = [request for request in chats(server, "writer") if request not in written]
        assert {row.status for row in out} == {"ok"}
        assert sum(row.cost == 0.0 for row in out) >= 4
        # Those that ended in the moment of the kill may not have come to the disk.
        assert len(written) + len(again) <= 20 + 2


def faults(number: int) -> Fault | Broken | None:
    """What goes wrong with a call: 5 % fail, and as many are told to slow down."""
    return {3: Fault(500), 7: Fault(429, retry_after=0.05), 11: Broken(after=1), 15: Fault(429)}.get(number % 40)


def memory(client: Any) -> dict[str, int]:
    """What each worker takes, in bytes; a lambda, as workers can't import a test."""
    return client.run(lambda: __import__("psutil").Process().memory_info().rss)


@pytest.mark.parametrize(("place", "seats"), [("here", "ab"), ("on a cluster", "a")])
def test_two_thousand_rows_through_faults_interruptions_and_a_kill_are_answered_once(
    place: str, seats: str, tmp_path: Path
):
    """Seats and no judge, as it is about calls. On a cluster a worker dies after the second interruption."""
    number = iter(range(10**6))
    user = InterruptsAt(ROWS // 4, ROWS // 2)
    show_with(lambda: user)
    with Server() as server, ExitStack() as stack:
        stack.callback(show_with, None)
        server.reply("*", lambda request: faults(next(number)) or Reply(f"«{request.model}»", cost=0.01))
        settings: Any = {
            "models": at(server, *seats),
            "judge": at(server, "j")[0],
            "retries": 5,
            "alone": True,
            "concurrency": AT_A_TIME,
        }
        client: Any = stack.enter_context(two_workers(tmp_path)) if place != "here" else None
        frame = pd.DataFrame({"t": [f"row {place} {row}" for row in range(ROWS)]})
        for rows in (ROWS // 4, ROWS // 2):
            with pytest.raises(BatchInterrupted):
                map(frame, "«{t}»", **settings, client=client)
            assert sum(last_frame().status == "ok") >= rows
        rss = client and memory(client)

        running = map_background(frame, "«{t}»", **settings, client=client, progress=False)
        if client:
            while running.progress.done < ROWS * 3 // 4:
                time.sleep(0.01)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        out = running.wait()

        assert list(out.answer) == ["«a»"] * ROWS
        # An answer is whole with its usage: the "[DONE]" after it may not have left when the user interrupted.
        answered = [request for request in chats(server) if b'"usage"' in request.response]
        whole = Counter((request.model, subject(request.body["messages"])) for request in answered)
        assert len(whole) == len(seats) * ROWS
        # An answer that was on its way in the moment of an interruption or of the kill has not arrived.
        assert sum(whole.values()) <= len(seats) * ROWS + 3 * AT_A_TIME
        if client:
            grown = [now - rss[worker] for worker, now in memory(client).items() if worker in rss]
            assert max(grown) < 30e6
    open_store().settled().result(30)  # what ended in the last 20 ms is still gathering
    with sqlite3.connect(open_store().path) as db:
        counts = db.execute("SELECT count(*), max(n) FROM (SELECT count(*) n FROM calls WHERE reusable GROUP BY key)")
        assert counts.fetchone() == (len(seats) * ROWS, 1)


@contextmanager
def two_workers(folder: Path) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "local_directory": folder}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def last_frame() -> Any:
    running = last()
    assert running is not None
    return running.frame


def test_rows_that_never_come_do_not_keep_the_interpreter_from_exiting():
    code = """
import threading
from fusion_magic.batch import map_background

def rows():
    began.set()
    yield threading.Event().wait()

began = threading.Event()
map_background(rows(), "{x}", models="a@http://127.0.0.1:9/v1", judge="a@http://127.0.0.1:9/v1", progress=False)
began.wait()
print("leaving")
"""

    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)

    assert left.stdout == "leaving\n"


# --- what is shown ------------------------------------------------------------------------------------


class Console(io.StringIO):
    def isatty(self) -> bool:
        return True


HALF = Progress(
    total=1_000, done=500, failed=3, reused=20, cost=0.5, is_partial=True, projected=1.0, seconds=60, left=70
)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_line_says_how_far_it_is():
    assert plain(str(HALF)) == (
        "500 of 1,000 rows, 3 failed, 20 reused, at least $0.5000 of about $1.00, 1:10 min left"
    )
    assert plain(str(Progress(done=7))) == "7 rows, $0"
    assert [plain(clock(seconds)) for seconds in (0.4, 59, 61, 7_500)] == ["0 s", "59 s", "1:01 min", "2:05 h"]


def test_a_terminal_s_line_is_written_over_and_ends_with_why_it_stopped():
    console = Console()
    terminal = Terminal(console)

    terminal.show(HALF)
    terminal.show(Progress(total=1_000, done=501, stopped="No credit.", has_ended=True))

    lines = console.getvalue().split("\r")
    assert lines[-1].startswith("[##########..........]")
    assert lines[-1].splitlines()[1] == "No credit."


def test_a_log_gets_its_last_line_and_not_one_for_each_row():
    log = io.StringIO()
    terminal = Terminal(log)

    for done in range(100):
        terminal.show(Progress(total=100, done=done))
    terminal.show(Progress(total=100, done=100, has_ended=True))

    assert plain(log.getvalue()) == "100 of 100 rows, $0, 0 s\n"


def test_a_picture_that_breaks_costs_only_the_picture():
    class Broken:
        def show(self, progress: Progress) -> None:
            raise RuntimeError("no")

    show_with(Broken)
    try:
        with scripted({"judge": analysis_json("A"), "*": "Text."}):
            out = map(["x"], "{x}", models=["a"], judge="j")
    finally:
        show_with(None)

    assert out[0].status == "ok"
