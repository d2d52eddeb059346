"""An unknown price stays unknown; a known one is multiplied by the tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fusion_magic import Panel
from fusion_magic.prices import (
    FREE,
    SEARCH_FEE,
    UNKNOWN,
    Override,
    Price,
    amount,
    cost_of,
    estimate,
    price_from_catalogue,
    roughly,
)
from fusion_magic.results import Usage

USAGE = Usage(prompt_tokens=1000, completion_tokens=100)


@pytest.mark.parametrize(
    ("value", "dollars"),
    [("0.000005", 5e-6), (0, 0.0), ("0", 0.0), (2, 2.0), ("-1", None), (-0.1, None), ("free", None), ("", None)],
)
def test_an_amount_is_a_number_or_a_string_and_never_negative(value, dollars):
    assert amount(value) == dollars


@pytest.mark.parametrize("value", [None, True, [], {}, "nan", "inf", float("nan"), float("inf"), 10**400])
def test_what_is_no_amount_is_unknown(value):
    assert amount(value) is None


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"prompt": "0.000005", "completion": "0.00003"}, Price(5e-6, 3e-5)),
        ({"prompt": "0", "completion": "0"}, FREE),
        ({"prompt": "0", "completion": "0", "request": "0", "web_search": "0", "internal_reasoning": "0"}, FREE),
        ({"prompt": "0.000005", "completion": "0.00003", "internal_reasoning": "0"}, Price(5e-6, 3e-5)),
        ({"prompt": "0", "completion": "0", "request": "0.01"}, Price(0.0, 0.0, request=0.01)),
        ({"prompt": "0", "completion": "0", "request": "-1"}, Price(0.0, 0.0, request=None)),
        (
            {"prompt": "0.000005", "completion": "0.000025", "input_cache_read": "0.0000005", "web_search": "0.01"},
            Price(5e-6, 2.5e-5, input_cache_read=5e-7, web_search=0.01),
        ),
        (
            {
                "prompt": "0.000002",
                "completion": "0.000012",
                "overrides": [{"min_prompt_tokens": 200000, "prompt": "0.000004", "completion": "0.000018"}],
            },
            Price(2e-6, 1.2e-5, overrides=(Override(200_000, None, 4e-6, 1.8e-5),)),
        ),
        ({"prompt": "-1", "completion": "-1"}, UNKNOWN),
        ({}, UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_catalogue_s_price_is_per_token(pricing, price):
    assert price_from_catalogue(pricing) == price


@pytest.mark.parametrize(
    ("usage", "price", "cost"),
    [
        (USAGE, Price(5e-6, 3e-5), 0.008),
        (USAGE, UNKNOWN, None),
        (USAGE, Price(5e-6, None), None),
        (None, Price(5e-6, 3e-5), None),
        (None, FREE, 0.0),
    ],
)
def test_a_cost_is_known_only_with_tokens_and_both_prices(usage, price, cost):
    assert cost_of(usage, price) == (None if cost is None else pytest.approx(cost))


PRICED = Price(1.0, 10.0, request=100.0, input_cache_read=0.5, input_cache_write=2.0, internal_reasoning=20.0)


@pytest.mark.parametrize(
    ("used", "cost"),
    [
        (Usage(prompt_tokens=4, completion_tokens=3), 100 + 4 + 30),
        (Usage(prompt_tokens=4, cached_tokens=3), 100 + 1 + 1.5),
        (Usage(prompt_tokens=4, cached_tokens=1, cache_write_tokens=2), 100 + 1 + 0.5 + 4),
        (Usage(prompt_tokens=4, cached_tokens=9), 100 + 2),
        (Usage(completion_tokens=3, reasoning_tokens=1), 100 + 20 + 20),
        (Usage(web_searches=2), 100 + 2 * SEARCH_FEE),
    ],
)
def test_requests_caches_reasoning_and_searches_have_prices_of_their_own(used: Usage, cost: float):
    assert cost_of(used, PRICED) == pytest.approx(cost)


def test_what_has_no_price_of_its_own_costs_what_other_tokens_do():
    used = Usage(prompt_tokens=10, cached_tokens=5, cache_write_tokens=2, completion_tokens=10, reasoning_tokens=5)

    assert cost_of(used, Price(1.0, 2.0)) == 30.0


def test_a_catalogue_s_price_of_a_search_goes_before_the_general_one():
    assert cost_of(Usage(web_searches=3), Price(1.0, 1.0, web_search=0.01)) == pytest.approx(0.03)


@pytest.mark.parametrize(("tokens", "cost"), [(200_000, 200_000.0), (200_001, 400_002.0)])
def test_a_long_prompt_is_dearer_from_the_first_token_beyond_the_threshold(tokens: int, cost: float):
    price = Price(1.0, 1.0, overrides=(Override(200_000, prompt=2.0),))

    assert cost_of(Usage(prompt_tokens=tokens), price) == cost


@pytest.mark.parametrize(
    ("hours", "clock", "holds"),
    [
        ((100, 1030), "01:00", True),
        ((100, 1030), "10:29", True),
        ((100, 1030), "10:30", False),
        ((1630, 30), "23:59", True),
        ((1630, 30), "00:29", True),
        ((1630, 30), "12:00", False),
    ],
)
def test_hours_are_utc_half_open_and_may_wrap_past_midnight(hours: tuple[int, int], clock: str, holds: bool):
    when = datetime.fromisoformat(f"2026-11-01T{clock}").replace(tzinfo=UTC)
    price = Price(1.0, 1.0, overrides=(Override(hours=hours, prompt=0.5),))

    assert (price.at(10, when).prompt == 0.5) is holds


def test_the_last_override_that_holds_wins_for_each_amount():
    tiers = (Override(0, None, 2.0, 3.0), Override(5, None, 4.0))

    assert Price(1.0, 1.0, overrides=tiers).at(10) == Price(4.0, 3.0)


def test_an_override_under_a_condition_unknown_here_is_left_out():
    pricing = {"prompt": "1", "completion": "1", "overrides": [{"utc_days": [6], "prompt": "0"}, "nonsense"]}

    assert price_from_catalogue(pricing).overrides == ()


def test_a_price_per_request_that_varies_makes_the_cost_unknown():
    assert cost_of(USAGE, replace(PRICED, request=None)) is None


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Price(5e-6, 3e-5), "$5.00 / $30.00 per million tokens"),
        (FREE, "free"),
        (UNKNOWN, "not priced"),
        (Price(None, 1e-6), "not priced"),
        (Price(1e-6, 2e-6, request=0.005), "$1.00 / $2.00 per million tokens and $0.0050 per request"),
        (Price(0.0, 0.0, request=None), "not priced"),
    ],
)
def test_a_price_in_words(price, words):
    assert str(price) == words


# --- what a run would cost --------------------------------------------------------------------------

PRICES = {"cheap": Price(1e-6, 2e-6), "dear": Price(1e-5, 5e-5), "mine@ollama": FREE}


def made(**parts: Any) -> Panel:
    return Panel(**parts)


def price_of(model: str) -> Price:
    return PRICES.get(model, UNKNOWN)


def test_a_run_is_every_seat_and_two_readers_of_all_responses():
    panel = made(models=["cheap", "cheap"], judge="dear", synthesizer="cheap")

    cost = estimate(panel, price_of, prompt=100, response=200)

    assert cost.panel == pytest.approx(2 * (100 * 1e-6 + 200 * 2e-6))
    assert cost.judge == pytest.approx((100 + 2 * 200) * 1e-5 + 1000 * 5e-5)
    assert cost.synthesizer == pytest.approx((100 + 2 * 200 + 1000) * 1e-6 + 200 * 2e-6)
    assert cost.total == cost.panel + cost.judge + cost.synthesizer
    assert cost.unpriced == ()


@pytest.mark.parametrize(
    ("models", "judge", "said"),
    [
        (["mine@ollama"], "mine@ollama", "no cost"),
        (["nobody/knows"], "nobody/knows", "not priced"),
        (["cheap", "nobody/knows"], "cheap", "at least $0.018"),
        (["cheap"], "cheap", "about $0.015"),
    ],
)
def test_an_unknown_price_makes_the_estimate_a_lower_bound(models: list[str], judge: str, said: str):
    assert str(estimate(made(models=models, judge=judge), price_of)) == said


def test_a_model_without_a_price_is_named_once():
    assert estimate(made(models=["x", "x", "cheap"]), price_of).unpriced == ("x",)


@pytest.mark.parametrize(
    ("dollars", "said"),
    [(0, "$0"), (0.0000012, "$0.0000012"), (0.00419, "$0.0042"), (0.1414, "$0.14"), (1.26, "$1.30"), (12.4, "$12.00")],
)
def test_an_estimate_has_two_digits(dollars: float, said: str):
    assert roughly(dollars) == said
