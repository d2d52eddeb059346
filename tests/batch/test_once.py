"""What was answered is never asked again, wherever a batch was stopped; and the other doors to it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from batch.asking import SEATS, InterruptsAt, subject, whole, words
from fusion_magic import fuse, scripted
from fusion_magic.batch import BatchInterrupted, map, map_async, map_background
from fusion_magic.errors import CallError
from fusion_magic.store import open_store
from pipeline.asking import at, chats, judged
from servers.openrouter import Broken, Fault, Reply, Request, Server


def test_rows_that_ask_the_same_are_asked_once(server: Server, seats: Any):
    out = map(["x"] * 6 + ["y"], "«{t}»", **seats)

    assert len(chats(server)) == 8
    assert len({row.run for row in out}) == 2
    assert sum(row.cost for row in out) == pytest.approx(0.08)


def test_the_same_call_again_asks_nobody_and_finds_the_same_runs(server: Server, seats: Any):
    first = map(words(5), "«{t}»", **seats, schema=None)
    asked = len(chats(server))

    again = map(words(5), "«{t}»", **seats)

    assert len(chats(server)) == asked
    assert [row.run for row in again] == [row.run for row in first]
    assert {row.cost for row in again} == {0.0}


def test_what_the_answer_depends_on_is_asked_again(server: Server, seats: Any):
    map(["x"], "«{t}»", **seats)

    for change in ({"fresh": "all"}, {"temperature": 0.5}, {"judge": at(server, "other")[0]}, {"reuse": "never"}):
        asked = len(chats(server))
        server.reply("other", judged())
        map(["x"], "«{t}»", **{**seats, **change})
        assert len(chats(server)) > asked, change


def test_a_row_finds_what_fuse_has_asked(server: Server, seats: Any):
    fuse("«x»", **{name: value for name, value in seats.items() if name != "progress"})
    asked = len(chats(server))

    (row,) = map(["x"], "«{t}»", **seats)

    assert len(chats(server)) == asked
    assert row.cost == 0.0


def test_a_finished_row_whose_seat_had_failed_is_finished(server: Server, seats: Any):
    server.reply("b", Fault(400, "Refused."))
    map(["x"], "«{t}»", **seats)
    server.reply("b", Reply("Back."))
    asked = len(chats(server))

    map(["x"], "«{t}»", **seats)

    assert len(chats(server)) == asked


def test_a_run_that_was_forgotten_is_asked_again(server: Server, seats: Any):
    (row,) = map(["x"], "«{t}»", **seats)
    open_store().forget(row.run)

    (again,) = map(["x"], "«{t}»", **seats)

    assert again.status == "ok"
    assert again.run != row.run
    assert len(chats(server)) == 8


def test_through_faults_and_two_interrupts_every_row_is_answered_once(
    server: Server, seats: Any, interrupts: InterruptsAt
):
    """5 % of calls fail, as many are told to slow down; what was answered whole is never asked again."""
    number = iter(range(10**6))
    troubles: dict[int, Any] = {3: Fault(500), 7: Fault(429, retry_after=0.05), 11: Broken(after=1), 15: Fault(429)}

    def answer(request: Request) -> Any:
        return troubles.get(next(number) % 40) or whole(request)

    server.reply("*", answer)
    settings, frame = {**seats, "progress": True, "retries": 5}, pd.DataFrame({"t": words(40)})
    ended: list[tuple[int, set[str]]] = []  # requests so far, and the rows that had ended then
    for _ in range(2):
        with pytest.raises(BatchInterrupted, match="run the same call again to finish") as stopped:
            map(frame, "«{t}»", **settings, concurrency=4)
        partial = stopped.value.batch.frame
        assert set(partial.status) == {"ok", "pending"}
        ended.append((len(chats(server)), set(frame.t[partial.status == "ok"])))

    out = map(frame, "«{t}»", **settings, concurrency=4)

    assert list(out.answer) == [f"Fused: {word}" for word in words(40)]
    for asked, rows in ended:
        assert rows.isdisjoint(subject(request.body["messages"]) for request in chats(server)[asked:])
    # Of rows that were half done, what had arrived: the store has every answered call once.
    with sqlite3.connect(open_store().path) as db:
        counts = db.execute("SELECT count(*) FROM calls WHERE reusable GROUP BY key").fetchall()
    assert counts == [(1,)] * 160


def test_a_connection_is_closed_when_the_batch_is_stopped(server: Server, seats: Any):
    server.reply("*", Reply("one two three four five six", gap=60))
    running = map_background(["x", "y"], "«{t}»", **seats)
    server.wait_open(4)

    out = running.stop()

    assert len(server.wait_closed()) == 4
    assert [row.status for row in out] == ["pending", "pending"]
    with pytest.raises(BatchInterrupted):
        running.wait()


# --- doors --------------------------------------------------------------------------------------------


def test_map_async_is_map_for_async_code(server: Server, seats: Any):
    out = asyncio.run(map_async(["x", "y"], "«{t}»", **seats))

    assert [row.answer for row in out] == ["Fused: x", "Fused: y"]


def test_cancelling_the_task_stops_the_batch(server: Server, seats: Any):
    server.reply("*", Reply("one two three four five six", gap=60))

    async def main() -> None:
        task = asyncio.create_task(map_async(["x"], "«{t}»", **seats))
        await asyncio.to_thread(server.wait_open, 2)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert len(server.wait_closed()) == 2


def test_in_the_background_the_frame_is_there_while_it_grows(server: Server, seats: Any):
    server.reply(
        "a", lambda request: Reply("slow", gap=60, chunks=3) if "«y»".encode() in request.raw else whole(request)
    )
    running = map_background(pd.DataFrame({"t": ["x", "y"]}), "«{t}»", **seats)
    while running.progress.done < 1:
        assert not running.done()

    partial = running.frame

    assert list(partial.status) == ["ok", "pending"]
    assert "1\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}2" in repr(running)
    running.stop()


def test_a_generator_is_not_run_ahead_of(server: Server, seats: Any):
    ahead: list[int] = []

    def rows() -> Iterator[str]:
        for number, word in enumerate(words(20)):
            written = sum(request.finished for request in chats(server, "writer"))
            ahead.append(number + 1 - written)
            yield word

    out = map(rows(), "«{t}»", **seats, concurrency=3)

    assert [row.answer for row in out] == [f"Fused: {word}" for word in words(20)]
    assert max(ahead) <= 3


def test_without_a_store_nothing_is_found_again(server: Server, seats: Any):
    map(["x", "x"], "«{t}»", **seats, store=False)

    assert len(chats(server)) == 8


def test_when_no_seat_answers_any_row_every_row_says_so():
    with scripted({"*": CallError("Dead.")}):
        out = map(["x", "y"], "«{t}»", **SEATS, progress=False)

    assert {row.status for row in out} == {"error"}
    assert all("Dead." in str(row.error) for row in out)
