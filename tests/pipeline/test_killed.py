"""A process that dies with a run takes nothing with it that was paid for."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import FusionResult, load
from fusion_magic.prompts import digest
from fusion_magic.store import open_store
from pipeline.asking import chats, judged
from pipeline.killed_runs import look
from servers.openrouter import Reply, Request, Server

RUNS = 20
LENGTH = 1.2  # seconds that a run takes at least; kills are spread over them
EARLY = 0.1  # seconds: its beginning is on the disk, and nothing is answered
SECONDS = 60.0
CALLED = Reply("", tool_calls=[("call_1", "look", '{"city": "Paris"}')])

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are not there on Windows"),
]


@dataclass
class Killed:
    """A run that was cut off: what the store had of it then, and what it became."""

    before: FusionResult
    after: FusionResult
    asked_again: set[tuple[str, str]]

    @property
    def committed(self) -> set[tuple[str, str]]:
        done = (call for call in self.before.calls if call.error is None)
        return {(call.model.partition("@")[0], call.messages_hash) for call in done}


def answer(request: Request, gap: float = 0.0) -> Reply:
    """Seat c looks something up first."""
    has_looked = any(message["role"] == "tool" for message in request.body["messages"])
    if request.model == "c" and not has_looked:
        return CALLED
    text = {"judge": judged(*"ABC").text, "writer": "The fused answer. " * 4}
    return Reply(text.get(str(request.model), f"Answer of {request.model}. " * 4), chunks=8, gap=gap)


def number_of(request: Request) -> int:
    found = re.search(r"Question (\d+)\?", str(request.body["messages"]))
    assert found
    return int(found[1])


def identity(request: Request) -> tuple[str, str]:
    messages = request.body["messages"]
    return str(request.model), digest(*(str(sorted(message.items())) for message in messages))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Killed]]:
    """Runs in processes of their own, each killed at its own moment, then resumed in this process."""
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_HOME", str(tmp_path_factory.mktemp("killed")))
        server.reply("*", partial(answer, gap=0.05))  # so that there is time for a kill in every stage
        script = Path(__file__).with_name("killed_runs.py")
        with subprocess.Popen(
            [sys.executable, script, server.base_url, str(RUNS)], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout
            pids = {int(number): int(pid) for number, pid in (parent.stdout.readline().split() for _ in range(RUNS))}
            kill_each(server, pids)
        asked = len(chats(server))
        server.reply("*", answer)
        yield [resumed(server, number, asked) for number in range(RUNS)]


def kill_each(server: Server, pids: dict[int, int]) -> None:
    """Kill every run a random time after its first request came, some before any answer."""
    chance, begun = random.Random(5), dict[int, float]()
    waits = {number: chance.uniform(0, LENGTH) if number > 2 else EARLY for number in pids}
    deadline = time.monotonic() + SECONDS
    while waits and time.monotonic() < deadline:
        for request in chats(server):
            begun.setdefault(number_of(request), request.arrived)
        for number in [n for n in waits if n in begun and time.monotonic() >= begun[n] + waits[n]]:
            with suppress(ProcessLookupError):  # it has come to its end already
                os.kill(pids[number], signal.SIGKILL)
            del waits[number]
        time.sleep(0.005)
    assert not waits


def resumed(server: Server, number: int, asked: int) -> Killed:
    (found,) = open_store().history(f"Question {number}?")
    before = load(found.id)
    after = before if before.answer is not None else before.resume(tools=[look])
    later = [request for request in chats(server)[asked:] if number_of(request) == number]
    return Killed(before, after, set(map(identity, later)))


@pytest.mark.parametrize("number", range(RUNS))
def test_a_run_that_was_killed_is_finished_without_asking_again_what_was_committed(killed: list[Killed], number: int):
    run = killed[number]

    assert run.after.answer == ("The fused answer. " * 4).strip()
    assert run.after is run.before or run.after.status == "ok"
    assert len(run.after.responses) == 3
    assert not run.asked_again & run.committed


def test_the_kills_came_in_every_stage(killed: list[Killed]):
    stages = [max((call.stage for call in run.before.calls), default="none") for run in killed]

    assert {"none", "panel"} <= set(stages)
    assert any(run.asked_again for run in killed)
    assert any(run.committed and run.asked_again for run in killed)


def test_the_store_is_whole(killed: list[Killed], tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "killed0" / "store.sqlite3"

    with sqlite3.connect(path) as db:
        found: Any = db.execute("PRAGMA integrity_check").fetchone()

    assert found == ("ok",)
