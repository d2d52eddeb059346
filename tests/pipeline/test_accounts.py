"""The books: what a call cost over its attempts, and what nobody reported."""

import pytest

from fusion_magic import Line, fuse, scripted
from fusion_magic.pipeline.accounts import Received, Tally
from fusion_magic.prices import FREE, UNKNOWN, Price
from fusion_magic.results import Call, Usage, cost_text
from pipeline.asking import chats, panel
from servers.openrouter import Broken, Reply, Server

OPUS = "anthropic/claude-opus-4.8"


def call_of(calls: tuple[Call, ...], label: str) -> Call:
    return next(call for call in calls if call.label == label)


def test_a_call_has_what_happened(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", Reply("Because.", cost=0.25))

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    call = result.calls[0]
    assert (call.stage, call.label, call.model, call.served_model) == ("panel", "A", *(["openai/gpt-5.5"] * 2))
    assert (call.attempts, call.unreported, call.finish_reason, call.reused) == (1, 0, "stop", False)
    assert call.cost == 0.25
    assert call.usage is not None
    assert call.usage.completion_tokens > 0
    assert call.ttft is not None
    assert 0 <= call.ttft <= call.duration
    assert call.request_id == chats(openrouter, "openai/gpt-5.5")[0].id
    assert len(call.messages_hash) == 64
    assert call.prompt_version.startswith("panel-")
    assert result.cost is not None
    assert result.cost > 0.25
    assert result.usage.total_tokens == sum(c.usage.total_tokens for c in result.calls if c.usage)


def test_a_broken_attempt_makes_the_cost_at_least(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", [Broken(Reply("a b c d e f"), 1, "truncate"), Reply("Whole.", cost=0.25)])

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    assert (result.calls[0].unreported, result.calls[0].cost) == (1, 0.25)
    assert result.cost_is_partial
    assert cost_text([result]).startswith("at least ")


def test_what_a_failed_attempt_reported_is_added_up(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", [Reply("", cost=0.5), Reply("Whole.", cost=0.25)])

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    assert (result.calls[0].cost, result.calls[0].unreported, result.calls[0].attempts) == (0.75, 0, 2)
    assert not result.cost_is_partial


def test_a_call_that_failed_after_it_was_paid_keeps_its_cost(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", Reply("Some", finish="content_filter", cost=0.5))

    result = fuse("Why?", models=["openai/gpt-5.5", "moonshotai/kimi-k2.6"], judge=OPUS)

    assert call_of(result.calls, "A").cost == 0.5
    assert not result.cost_is_partial


def test_usage_without_a_cost_is_priced_from_the_catalogue(openrouter: Server):
    openrouter.reply(
        "openai/gpt-5.5", Reply(usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100})
    )

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    assert result.calls[0].cost == pytest.approx(1000 * 5e-6 + 100 * 3e-5)


def test_an_unknown_price_is_none_and_makes_the_total_at_least():
    with scripted({"a": Line("Text.", cost=None), "*": Line("Text.", cost=0.1)}):
        result = fuse("Why?", models=["a", "b"], judge="j")

    assert result.calls[0].cost is None
    assert result.cost_is_partial


def test_a_refused_attempt_is_not_booked_as_a_bill():
    tally = Tally(UNKNOWN)
    tally.next_attempt()

    assert tally.settle(answered=False, refused=True) is False
    assert (tally.cost, tally.unreported) == (0.0, 0)


@pytest.mark.parametrize(("cost", "billed"), [(None, False), (0.0, False), (0.5, True)])
def test_a_free_price_is_a_bill_once_the_server_reports_a_cost(cost: float | None, billed: bool):
    tally = Tally(FREE)
    tally.next_attempt()
    tally.received = Received(cost=cost)

    assert tally.settle(answered=False) is billed


def test_a_cost_that_a_server_of_one_s_own_reports_is_in_the_total(server: Server):
    server.reply("a", Reply("Because.", cost=0.25))

    result = fuse("Why?", **panel(server, "a"))

    assert call_of(result.calls, "A").cost == 0.25


def test_failed_judge_calls_that_a_free_endpoint_reports_as_billed_use_up_the_allowance(server: Server):
    server.reply("judge", Reply("Half", finish="error", cost=0.5))

    result = fuse("Why?", **panel(server), retries=5)

    assert len(chats(server, "judge")) == 2
    assert result.analysis is None


@pytest.mark.parametrize(
    ("price", "received", "answered", "cost", "unreported"),
    [
        (UNKNOWN, Received(cost=0.5), True, 0.5, 0),
        (UNKNOWN, Received(), True, None, 0),
        (UNKNOWN, Received(), False, None, 1),
        (UNKNOWN, Received(cost=0.5), False, 0.5, 0),
        (FREE, Received(), False, 0.0, 0),
        (FREE, Received(cost=0.5), True, 0.5, 0),
        (FREE, Received(cost=0.5), False, 0.5, 0),
        (FREE, Received(usage=Usage(prompt_tokens=1, completion_tokens=1)), True, 0.0, 0),
        (Price(1.0, 2.0), Received(usage=Usage(prompt_tokens=1, completion_tokens=1)), False, 3.0, 0),
    ],
)
def test_an_attempt_is_booked_once(
    price: Price, received: Received, answered: bool, cost: float | None, unreported: int
):
    tally = Tally(price)
    tally.next_attempt()
    tally.received = received

    tally.settle(answered=answered)

    assert (tally.cost, tally.unreported) == (cost, unreported)
