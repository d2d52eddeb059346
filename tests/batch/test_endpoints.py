"""Calls of all rows go into an endpoint's batches at half price, and what is under way there is never paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from batch.asking import CALL, settle, subject, words
from fusion_magic import load
from fusion_magic.batch import BatchInterrupted, map, map_background, show_with
from fusion_magic.errors import NotAuthorized, SettingsError
from fusion_magic.examine.costs import full_seconds
from fusion_magic.progress import NBSP, Progress
from fusion_magic.settings import Settings
from fusion_magic.store import open_store
from servers.batches import BatchServer, Json, Refused
from servers.openrouter import analysis_json

SECONDS = 20.0  # a guard against hangs
ALONE: dict[str, Any] = {"models": "m@half", "alone": True, "batch": True, "progress": False}
FUSED: dict[str, Any] = {"models": ["m@half", "other@half"], "judge": "m@half", "batch": True, "progress": False}


def answer(body: Json) -> str:
    told = str(body["messages"])
    if "response_format" in body:
        return analysis_json("AB")
    return f"About {subject(told)}"


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer(answer) as running:
        settle(running, "m", "other")
        yield running


def sent(server: BatchServer) -> list[int]:
    return [len(batch.lines) for batch in server.batches.values()]


# --- the way through ----------------------------------------------------------------------------------


def test_the_calls_of_all_rows_go_in_one_batch_and_come_back_to_their_rows_at_half_price(server: BatchServer):
    out = map(words(12), "«{t}»", **ALONE)

    assert sent(server) == [12]
    assert [row.answer for row in out] == [f"About word{number}" for number in range(12)]
    assert [row.cost for row in out] == pytest.approx([CALL] * 12)
    (call,) = load(out[0].run).calls
    assert (call.cost, call.model, call.attempts) == (pytest.approx(CALL), "m@half", 1)
    assert str(call.request_id).startswith("batch_abc0/batch_req_")


def test_how_long_a_batch_took_is_not_taken_for_the_model_s_time(server: BatchServer):
    (row, *_) = map(words(3), "«{t}»", **ALONE)

    run = load(row.run)
    known = open_store().experience("panel", "m@half")
    assert {call.batched for call in run.calls} == {True}
    assert full_seconds(run) is None
    assert known is not None
    assert (known.n, known.seconds) == (3, None)
    assert known.tokens == (100, 100, 100)


def test_each_stage_goes_in_a_later_batch_with_one_model_in_each(server: BatchServer):
    out = map(words(4), "«{t}»", **FUSED)

    assert {row.status for row in out} == {"ok"}
    assert [row.cost for row in out] == pytest.approx([4 * CALL] * 4)
    assert sent(server) == [4, 4, 4, 4]
    models = [{line["body"]["model"] for line in batch.lines} for batch in server.batches.values()]
    assert sorted(models[:2], key=str) == [{"m"}, {"other"}]
    assert models[2:] == [{"m"}, {"m"}]
    assert {row.contradictions for row in out} != {None}


def test_seats_of_one_model_are_asked_the_same_in_lines_of_their_own(server: BatchServer):
    (row,) = map(["x"], "«{t}»", **{**ALONE, "models": ["m@half", "m@half"]})

    assert sent(server) == [2]
    assert row.cost == pytest.approx(2 * CALL)


def test_the_same_call_again_asks_nobody(server: BatchServer):
    first = map(words(2), "«{t}»", **FUSED)
    asked = len(server.requests)

    again = map(words(2), "«{t}»", **FUSED)

    assert len(server.requests) == asked
    assert [row.run for row in again] == [row.run for row in first]


def test_what_has_come_back_is_no_longer_kept_as_under_way(server: BatchServer):
    server.answer = lambda body: None if "word1" in str(body) else "Fine."
    map(words(2), "«{t}»", **ALONE)
    store = open_store()
    store.settled().result(SECONDS)

    (batch,) = server.batches.values()
    assert store.lines(line["custom_id"] for line in batch.lines) == {}


def test_an_estimate_and_a_limit_are_of_the_half_price(server: BatchServer):
    with pytest.raises(SettingsError, match="max_usd"):
        map(["x"], "«{t}»", **ALONE, max_usd=1e-6)
    assert server.requests == []

    out = map(words(3), "«{t}»", **ALONE, max_usd=0.2, max_tokens=1000)

    assert {row.status for row in out} == {"ok"}
    assert sum(row.cost for row in out) == pytest.approx(3 * CALL)


def test_progress_says_what_is_waited_for(server: BatchServer):
    seen: list[Progress] = []
    user = type("Watching", (), {"show": lambda self, progress: seen.append(progress)})
    server.looks = 2
    show_with(cast("Any", user))
    try:
        map(words(6), "«{t}»", **{**ALONE, "progress": True})
    finally:
        show_with(None)

    waits = f"waiting for a batch at half, 3{NBSP}of{NBSP}6{NBSP}done"
    assert waits in {progress.waiting for progress in seen}
    assert any(str(progress).endswith(waits) for progress in seen)


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_line_that_is_refused_or_not_carried_out_fails_its_row_and_only_that_is_asked_again(server: BatchServer):
    bad = {"word1": Refused(400, "Too rude."), "word2": None}
    server.answer = lambda body: bad.get(subject(str(body["messages"])), "Fine.")
    first = map(words(4), "«{t}»", **ALONE)
    server.answer = answer

    again = map(words(4), "«{t}»", **ALONE)

    assert [row.status for row in first] == ["ok", "error", "error", "ok"]
    assert "Too rude" in str(first[1].error)
    assert "completion window" in str(first[2].error)
    assert [row.cost for row in first[1:3]] == [0.0, 0.0]
    assert sent(server) == [4, 2]
    assert {row.status for row in again} == {"ok"}


@pytest.mark.parametrize(
    ("ends", "said"), [("expired", "expired"), ("cancelled", "was cancelled"), ("failed", "Enqueued token limit")]
)
def test_what_a_batch_leaves_undone_is_said_in_each_row_and_asked_anew(server: BatchServer, ends: str, said: str):
    server.ends = ends
    server.answer = lambda body: None
    first = map(words(2), "«{t}»", **ALONE)
    server.ends, server.answer = "completed", answer

    again = map(words(2), "«{t}»", **ALONE)

    assert {row.status for row in first} == {"error"}
    assert all(said in str(row.error) for row in first)
    assert all("run the same call again" in str(row.error) and "batch_abc0" in str(row.error) for row in first)
    assert {row.cost for row in first} == {0.0}
    assert {row.status for row in again} == {"ok"}
    assert sent(server) == [2, 2]


def test_a_network_that_breaks_costs_nothing_twice(server: BatchServer):
    server.faults = {"POST /files": [500], "POST /batches": [502], "GET /batches/batch_abc0": [503, 500]}

    out = map(words(2), "«{t}»", **ALONE)

    assert {row.status for row in out} == {"ok"}
    assert sent(server) == [2]
    assert ("GET", "/batches") in server.requests  # the answer may have been lost, so it looks before it asks again


def test_a_key_that_is_refused_ends_it_with_that_sentence(server: BatchServer):
    server.faults = {"POST /files": [401] * 9}

    out = map(words(3), "«{t}»", **ALONE)

    assert {row.status for row in out} == {"error"}
    assert "answered 401" in str(out[0].error)
    assert server.requests == [("POST", "/files")]
    assert NotAuthorized.__name__ not in str(out[0].error)


# --- stop and go on -----------------------------------------------------------------------------------


def test_a_batch_that_was_left_is_named_and_taken_in_by_the_same_call(server: BatchServer):
    server.open.clear()
    batch = map_background(words(5), "«{t}»", **ALONE)
    assert server.half_way.wait(SECONDS)

    left = batch.stop()
    server.open.set()
    out = map(words(5), "«{t}»", **ALONE)

    assert {row.status for row in left} != {"ok"}
    assert batch.progress.stopped.startswith("batch_abc0 at half goes on")
    with pytest.raises(BatchInterrupted, match="batch_abc0 at half goes on"):
        batch.wait()
    assert {row.status for row in out} == {"ok"}
    assert sent(server) == [5]
    assert sum(row.cost for row in out) == pytest.approx(5 * CALL)


def leave_at_half(server: BatchServer, rows: int, **settings: Any) -> None:
    """A batch of so many rows under way at the server, that nobody waits for any more."""
    server.open.clear()
    batch = map_background(words(rows), "«{t}»", **ALONE, **settings)
    assert server.half_way.wait(SECONDS)
    batch.stop()
    server.open.set()


def test_a_batch_that_was_left_is_taken_in_beside_rows_that_are_new(server: BatchServer):
    leave_at_half(server, 3)

    out = map(words(5), "«{t}»", **ALONE)

    assert {row.status for row in out} == {"ok"}
    assert sent(server) == [3, 2]


def test_a_batch_that_was_left_is_found_under_another_limit_of_money(server: BatchServer):
    leave_at_half(server, 3, max_usd_row=0.02)

    out = map(words(3), "«{t}»", **ALONE, max_usd_row=0.03)

    assert {row.status for row in out} == {"ok"}
    assert sent(server) == [3]
    assert all(0 < body["max_tokens"] < Settings().max_tokens for body in server.bodies)


def test_who_asks_afresh_takes_nothing_in_that_was_left(server: BatchServer):
    leave_at_half(server, 2)

    map(words(2), "«{t}»", **ALONE, fresh="all")

    assert sent(server) == [2, 2]


def test_a_batch_that_its_endpoint_has_forgotten_is_said_and_asked_anew(server: BatchServer):
    leave_at_half(server, 2)
    server.batches.clear()

    lost, found = (map(words(2), "«{t}»", **ALONE) for _ in range(2))

    assert {row.status for row in lost} == {"error"}
    assert "half does not know the batch batch_abc0" in str(lost[0].error)
    assert {row.status for row in found} == {"ok"}


def test_a_file_that_nobody_carries_out_yet_is_carried_out_once(server: BatchServer):
    server.faults = {"POST /batches": [401]}
    failed = map(words(2), "«{t}»", **ALONE)

    again = map(words(2), "«{t}»", **ALONE)

    assert {row.status for row in failed} == {"error"}
    assert {row.status for row in again} == {"ok"}
    assert [request for request in server.requests if request[1] == "/files"] == [("POST", "/files")]


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_was_killed_leaves_its_batch_to_the_next_which_pays_once(server: BatchServer):
    server.open.clear()
    script = Path(__file__).with_name("killed_endpoint.py")
    with subprocess.Popen([sys.executable, script, "20", "20", "0"], env=dict(os.environ)) as child:
        assert server.half_way.wait(SECONDS)
        os.kill(child.pid, signal.SIGKILL)
    server.open.set()

    out = map(words(20), "«{t}»", **ALONE)

    assert {row.status for row in out} == {"ok"}
    assert sent(server) == [20]
    assert sum(row.cost for row in out) == pytest.approx(20 * CALL)


# --- what can't be asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": ["m@half", "x@plain"]}, "x@plain can't be asked in batches: plain has none"),
        ({"models": "x@local"}, "x@local can't be asked in batches"),
        ({"tools": ["web_search"]}, "leave out the tools"),
        ({"engine": "openrouter"}, "OpenRouter's own fusion has no batches"),
        ({"strategy": "debate"}, "leave out strategy"),
        ({"quorum": 1}, "leave out quorum"),
    ],
)
def test_what_can_t_be_asked_is_said_before_anybody_is(server: BatchServer, change: dict[str, Any], said: str):
    with pytest.raises(SettingsError, match=said):
        map(words(2), "«{t}»", **{**ALONE, **change})

    assert server.requests == []
