"""A gate lets in as many calls as an endpoint takes, and learns that from what it answers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from fusion_magic.batch.gates import Gate
from fusion_magic.errors import CallError, RateLimited
from fusion_magic.providers.limits import closed_for, seconds_until

SECONDS = 20.0  # a guard against hangs


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


def test_an_endpoint_that_is_closed_for_hours_lets_nobody_wait_for_it():
    told: list[str] = []

    async def main() -> list[Any]:
        gate, gone = Gate(1, told.append), asyncio.Event()
        first = asyncio.create_task(turn(gate, refused(after=36_000), gone))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(turn(gate)) for _ in range(3)]
        await asyncio.sleep(0)
        gone.set()
        await first
        return [*await asyncio.gather(*waiting, return_exceptions=True), *await _late(gate)]

    ended = in_loop(main)

    assert [str(each) for each in ended] == ["429. It is closed for 600 minutes."] * 4
    assert all(isinstance(each, CallError) for each in ended)
    assert told == ["429. It is closed for 600 minutes."]


async def _late(gate: Gate) -> list[Any]:
    return list(await asyncio.gather(turn(gate), return_exceptions=True))


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
