"""A batch keeps to what endpoints and its budget allow, and gives up where going on would be in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from fusion_magic.batch import Progress, map, map_background
from fusion_magic.batch.purse import Purse
from fusion_magic.errors import SettingsError
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


@pytest.mark.parametrize("store", [True, False])
def test_rows_that_cost_less_than_expected_are_all_paid_by_what_covers_them(server: Server, priced: Any, store: bool):
    """A row is expected to cost $0.003, and costs a thirtieth of that."""
    server.reply("x/panel", Reply("Yes.", cost=0.0001))
    alone = {"models": "x/panel", "alone": True, "progress": False}

    out = map([f"row {number}" for number in range(20)], "{x}", **alone, store=store, max_usd=0.01, concurrency=4)

    assert {row.status for row in out} == {"ok"}


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

    first, second, third = asyncio.run(asyncio.wait_for(main(), SECONDS))
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
