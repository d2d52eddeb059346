"""Many rows in batches: through failures and kills each is answered and paid once, in memory that does not grow."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from batch.asking import CALL, settle, subject, words
from fusion_magic.batch import Row, map
from fusion_magic.store import open_store
from servers.batches import BatchServer, Json, Refused

pytestmark = pytest.mark.thorough

ROWS, AT_A_TIME = 2_000, 500
CHILD = Path(__file__).with_name("killed_endpoint.py")
LONG = 4_000  # words of a prompt, 20 kB
ALONE: dict[str, Any] = {"models": "m@half", "alone": True, "batch": True, "progress": False}
SECONDS = 60.0  # a guard against hangs


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as running:
        settle(running, "m")
        yield running


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_two_thousand_rows_through_failures_and_kills_are_answered_and_paid_once(server: BatchServer):
    """5 % of the lines fail at first. One process dies as its third batch is carried out, one as it takes that in."""
    met: set[str] = set()
    answered: Counter[str] = Counter()

    def answer(body: Json) -> str | Refused | None:
        row = subject(body["messages"])
        wrong = int(row.removeprefix("word")) % 40
        if row not in met and wrong in (3, 7):
            met.add(row)
            return Refused(400, "Too rude.") if wrong == 3 else None
        answered[row] += 1
        if len(answered) == AT_A_TIME:  # in the second batch; the third has to wait
            server.open.clear()
        return f"About {row}"

    def again() -> list[Row]:
        return map(words(ROWS), "«{t}»", **ALONE, concurrency=AT_A_TIME)

    server.answer = answer
    with killed_child():
        assert server.half_way.wait(SECONDS)
    of_two_batches = len(answered)
    server.open.set()
    with killed_child():
        wait_for_answers(of_two_batches + AT_A_TIME // 2)

    second, third = again(), again()

    assert of_two_batches == 2 * AT_A_TIME * 0.95
    assert {row.status for row in second} == {"ok", "error"}
    assert [row.answer for row in third] == [f"About {row}" for row in words(ROWS)]
    assert Counter(answered.values()) == {1: ROWS}
    assert open_store().spent() == pytest.approx(ROWS * CALL)


@contextmanager
def killed_child() -> Generator[None]:
    """Another process with the same rows, until the end of the block."""
    script = [sys.executable, CHILD, str(ROWS), str(AT_A_TIME), "0"]
    with subprocess.Popen(script, env=dict(os.environ)) as child:
        try:
            yield
            assert child.poll() is None
        finally:
            child.kill()


def wait_for_answers(count: int) -> None:
    """Until the store has so many."""
    deadline = time.monotonic() + SECONDS
    with closing(sqlite3.connect(open_store().path)) as db:
        while db.execute("SELECT count(*) FROM calls WHERE reusable").fetchone()[0] < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_memory_does_not_grow_with_rows(server: BatchServer):
    """From a quarter of the rows to the last, when as many are under way, with prompts of 20 kB."""
    pytest.importorskip("psutil", reason="psutil is not installed")
    script = [sys.executable, CHILD, str(ROWS), str(AT_A_TIME // 2), str(LONG)]

    told = subprocess.run(script, env=dict(os.environ), capture_output=True, check=True, timeout=2 * SECONDS)

    early, late = (int(line) for line in told.stdout.split())
    text = len("word ") * LONG
    assert late - early < ROWS * 3 / 4 * text / 2  # a leak of requests, lines or answers would be all of it and more
