"""An unknown price stays unknown; a known one is multiplied by the tokens."""

from __future__ import annotations

import pytest

from fusion_magic.prices import FREE, UNKNOWN, Price, amount, cost_of, price_from_catalogue
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
