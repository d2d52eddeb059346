"""An unknown price stays unknown; a known one is multiplied by the tokens."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import Panel
from fusion_magic.prices import FREE, UNKNOWN, Price, amount, cost_of, estimate, price_from_catalogue, roughly
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


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Price(5e-6, 3e-5), "$5.00 / $30.00 per million tokens"),
        (FREE, "free"),
        (UNKNOWN, "not priced"),
        (Price(None, 1e-6), "not priced"),
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
