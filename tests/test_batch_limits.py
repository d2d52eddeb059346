"""A batch keeps to what endpoints and its budget allow, and gives up where going on would be in vain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from fusion_magic.batch import Progress, map, map_background
from fusion_magic.batch.gates import Gate
from fusion_magic.batch.purse import Purse
from fusion_magic.errors import CallError, RateLimited, SettingsError
from fusion_magic.providers.limits import closed_for, seconds_until
from pipeline.asking import at, chats, judged
from servers.openrouter import Fault, Reply, Server

SECONDS = 20.0  # a guard against hangs


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged("A"))
        running.reply("writer", Reply("Fused."))
        yield running


@pytest.fixture
def seats(server: Server) -> dict[str, Any]:
    (models, judge, writer) = at(server, "a", "judge", "writer")
    return {"models": models, "judge": judge, "synthesizer": writer, "progress": False}


def refused(after: float | None = None) -> RateLimited:
    return RateLimited("429.", status_code=429, retryable=True, retry_after=after)


# --- the gate -----------------------------------------------------------------------------------------


async def turn(gate: Gate, error: CallError | None = None, gone: asyncio.Event | None = None) -> float:
    """One attempt, as long as the event says; returns how long it waited."""
    async with gate.turn() as mine:
        if gone:
            await gone.wait()
        mine.error = error
        return mine.waited


def in_loop(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main(), SECONDS))


def test_no_more_than_allowed_are_under_way_and_the_first_to_come_goes_first():
    order: list[int] = []

    async def main() -> int:
        gate, most, under_way = Gate(3, print), 0, 0

        async def one(number: int) -> None:
            nonlocal most, under_way
            async with gate.turn():
                order.append(number)
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1

        await asyncio.gather(*(one(number) for number in range(20)))
        return most

    assert in_loop(main) == 3
    assert order == list(range(20))


def test_a_refusal_halves_the_limit_once_for_calls_that_were_under_way_together():
    async def main() -> list[float]:
        gate, gone = Gate(16, print), asyncio.Event()
        calls = [asyncio.create_task(turn(gate, refused(0.0), gone)) for _ in range(8)]
        await asyncio.sleep(0)
        gone.set()
        await asyncio.gather(*calls)
        limits = [gate.limit]
        await turn(gate, refused(0.0))
        return [*limits, gate.limit]

    assert in_loop(main) == [8.0, 4.0]


def test_the_limit_comes_back_by_one_for_a_limit_s_worth_of_good_answers_and_stops_at_the_most():
    async def main() -> list[float]:
        gate = Gate(8, print)
        await turn(gate, refused(0.0))
        limits = [gate.limit]
        for _ in range(4):
            await turn(gate)
        limits.append(gate.limit)
        for _ in range(60):
            await turn(gate)
        return [*limits, gate.limit]

    low, more, most = in_loop(main)
    assert (low, most) == (4.0, 8.0)
    assert more == pytest.approx(5.0, abs=0.15)


def test_nobody_is_let_in_before_the_time_that_the_server_asked_for():
    async def main() -> float:
        gate = Gate(4, print)
        await turn(gate, refused(0.2))
        return await turn(gate)

    assert in_loop(main) >= 0.15


def test_a_server_that_says_nothing_gets_a_pause_too():
    async def main() -> float:
        gate = Gate(4, print)
        await turn(gate, refused())
        return await turn(gate)

    assert in_loop(main) >= 0.2


def test_headers_of_a_good_answer_close_the_gate_for_a_while():
    async def main() -> float:
        gate = Gate(4, print)
        gate.hear({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "200ms"})
        return await turn(gate)

    assert in_loop(main) >= 0.15


def test_who_gives_up_waiting_takes_no_turn_with_it():
    async def main() -> float:
        gate, gone = Gate(1, print), asyncio.Event()
        first = asyncio.create_task(turn(gate, gone=gone))
        second, third = (asyncio.create_task(turn(gate)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        gone.set()
        await first
        return await third

    assert in_loop(main) < SECONDS


def test_who_is_cancelled_as_its_turn_comes_hands_it_on():
    async def main() -> float:
        gate, gone = Gate(1, print), asyncio.Event()
        first = asyncio.create_task(turn(gate, gone=gone))
        second, third = (asyncio.create_task(turn(gate)) for _ in range(2))
        await asyncio.sleep(0)
        gone.set()
        await first  # the second's turn has come, and it does not know yet
        second.cancel()
        return await third

    assert in_loop(main) < SECONDS


@pytest.mark.parametrize(
    "error", [CallError("401.", status_code=401), CallError("402.", status_code=402), refused(36_000)]
)
def test_what_every_other_call_would_meet_ends_all(error: CallError):
    async def main() -> list[str]:
        ends: list[str] = []
        await turn(Gate(4, ends.append), error)
        return ends

    (reason,) = in_loop(main)
    assert reason.startswith(str(error))


def test_other_failures_change_nothing():
    async def main() -> float:
        gate = Gate(4, pytest.fail)
        await turn(gate, CallError("500.", status_code=500))
        return gate.limit

    assert in_loop(main) == 4.0


# --- what headers say ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("6m0s", 360),
        ("20ms", 0.02),
        ("7.66s", 7.66),
        ("1h2m3s", 3723),
        ("60", 60),
        ("", 0),
        ("soon", 0),
        ("1s later", 0),
    ],
)
def test_a_reset_is_read_in_every_form_that_is_sent(reset: str, seconds: float):
    assert seconds_until(reset) == pytest.approx(seconds)


@pytest.mark.parametrize("form", ["{0:.3f}", "{1:.0f}"])
def test_a_reset_may_be_a_moment(form: str):
    moment = time.time() + 60

    assert seconds_until(form.format(moment, moment * 1000)) == pytest.approx(60, abs=5)


def test_only_a_limit_that_is_used_up_closes():
    left = {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "1s"}
    tokens = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3s"}
    azure = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}

    assert closed_for({}) is None
    assert closed_for(left) is None
    assert closed_for(left | tokens) == 3
    assert closed_for(azure) is None


# --- a batch against a server that refuses ------------------------------------------------------------


def test_more_calls_than_allowed_never_meet_at_the_server(server: Server, seats: Any):
    server.reply("a", Reply("An answer.", first_token=0.05))

    map([str(number) for number in range(12)], "{x}", **seats, concurrency=3)

    assert server.most_open_streams == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, retry_after=0.1),
        Fault(429),
        Fault(429, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        Fault(429, metadata={"headers": {"Retry-After": "0.1"}}),
    ],
)
def test_calls_that_are_told_to_slow_down_are_sent_again_and_use_up_no_retry(server: Server, seats: Any, fault: Fault):
    server.reply("a", [*[fault] * 3, Reply("An answer.")])

    out = map(["x", "y"], "{x}", **seats, retries=0, concurrency=2)

    assert [row.status for row in out] == ["ok", "ok"]
    assert len(chats(server, "a")) == 5


def test_a_server_that_takes_two_at_a_time_is_soon_asked_by_few(server: Server, seats: Any):
    """Of all that are sent little more than the rows' own calls are refused."""

    def answer(text: str, _: Any) -> Any:
        if server.open_streams > 2:
            return Fault(429, retry_after=0.02)
        return Reply(text, first_token=0.01)

    for name, text in {"a": "An answer.", "judge": judged("A").text, "writer": "Fused."}.items():
        server.reply(name, partial(answer, text))

    out = map([str(number) for number in range(20)], "{x}", **seats, concurrency=16)

    assert {row.answer for row in out} == {"Fused."}
    refusals = sum(request.status == 429 for request in chats(server))
    assert 0 < refusals < 60


@pytest.mark.parametrize("fault", [Fault(402), Fault(401), Fault(429, retry_after=36_000)])
def test_where_going_on_is_in_vain_the_rest_is_not_asked(server: Server, seats: Any, fault: Fault):
    server.reply("a", fault)
    drawn: list[int] = []

    def rows() -> Iterator[str]:
        for number in range(50):
            drawn.append(number)
            yield str(number)

    batch = map_background(list(map_names(50)), "{x}", **seats, concurrency=2)
    out = batch.wait()
    pulled = map(rows(), "{x}", **seats, concurrency=2)

    assert {row.status for row in out} == {"error"}
    assert all(row.error for row in out)
    assert batch.progress.stopped
    assert len(chats(server)) <= 8
    assert len(drawn) <= 4
    assert {row.status for row in pulled} == {"error"}


def map_names(count: int) -> Iterator[str]:
    return (f"name {number}" for number in range(count))


# --- money --------------------------------------------------------------------------------------------


@pytest.fixture
def priced(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A panel on OpenRouter, where calls have prices; each row costs $0.03 to the cent."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
    for name in ("panel", "judge", "writer"):
        server.models.append({"id": f"x/{name}", "pricing": {"prompt": "0.000001", "completion": "0.000002"}})
    server.reply("x/panel", Reply("An answer.", cost=0.01))
    server.reply("x/judge", judged("A", cost=0.01))
    server.reply("x/writer", Reply("Fused.", cost=0.01))
    return {"models": "x/panel", "judge": "x/judge", "synthesizer": "x/writer", "progress": False, "max_tokens": 500}


def test_the_whole_batch_keeps_its_limit_and_more_money_finishes_it(server: Server, priced: Any):
    rows = [f"row {number}" for number in range(12)]

    some = map(rows, "{x}", **priced, max_usd=0.20, concurrency=3)
    paid = sum(row.cost or 0 for row in some)
    asked = len(chats(server))
    rest = map(rows, "{x}", **priced, max_usd=1.0, concurrency=3)

    assert 0.1 < paid <= 0.20
    assert {row.status for row in some} == {"ok", "limited"}
    assert "higher max_usd" in str([row.error for row in some if row.status == "limited"][-1])
    assert {row.status for row in rest} == {"ok"}
    assert paid + sum(row.cost or 0 for row in rest) == pytest.approx(0.36)
    assert len(chats(server)) - asked == 36 - round(paid / 0.01)


def test_a_batch_whose_first_row_costs_more_than_all_does_not_begin(server: Server, priced: Any):
    with pytest.raises(SettingsError, match=r"more than .*the batch's limit"):
        map(["x"] * 3, "{x}", **priced, max_usd=0.000001)

    assert not chats(server)


def test_a_model_without_a_price_is_refused_before_the_first_row(server: Server, priced: Any):
    server.models.append({"id": "x/unpriced", "pricing": {}})

    limits: list[dict[str, Any]] = [{"max_usd": 1.0}, {"max_usd_row": 1.0}]
    for limit in limits:
        with pytest.raises(SettingsError, match="Not priced: x/unpriced"):
            map(["x"], "{x}", **{**priced, "models": "x/unpriced"}, **limit)

    assert not chats(server)


def test_a_row_s_limit_is_of_one_row(server: Server, priced: Any):
    rows = ["short", "long " * 30_000]

    out = map(rows, "{x}", **priced, max_usd_row=0.04)

    assert [row.status for row in out] == ["ok", "limited"]


def test_rows_under_way_hold_what_they_may_cost():
    async def main() -> list[float | None]:
        purse = Purse(1.0, None, 2)
        purse.expect(0.3)
        first = await purse.draw()
        waiting = asyncio.create_task(purse.draw())
        await asyncio.sleep(0)
        assert not waiting.done()
        purse.settle(first, 0.3, was_asked=True, is_partial=False)
        second = await waiting
        purse.settle(second, 0.5, was_asked=True, is_partial=False)
        return [first, second, await purse.draw()]

    first, second, third = in_loop(main)
    assert first == pytest.approx(0.9)
    assert second == pytest.approx(0.7)
    assert third is None


def test_the_projection_is_what_rows_have_cost_so_far(server: Server, priced: Any):
    server.reply(
        "x/panel", lambda request: Reply("slow", gap=60, chunks=3) if b"stay" in request.raw else Reply("x", cost=0.01)
    )
    batch = map_background(["a", "b", "stay", "stay 2"], "{x}", **priced, concurrency=3)
    while batch.progress.done < 2:
        assert not batch.done()

    progress: Progress = batch.progress

    assert progress.cost == pytest.approx(0.06)
    assert progress.projected == pytest.approx(0.12)
    assert progress.left is not None
    batch.stop()
