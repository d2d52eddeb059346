"""What a token costs: prices of a catalogue, and the cost of a call. Unknown stays unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .results import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token; None where it is not known."""

    prompt: float | None = None
    completion: float | None = None

    def __str__(self) -> str:
        if self.prompt is None or self.completion is None:
            return "not priced"
        if self.prompt == self.completion == 0:
            return "free"
        return f"${self.prompt * 1e6:,.2f} / ${self.completion * 1e6:,.2f} per million tokens"


FREE = Price(0.0, 0.0)
UNKNOWN = Price()


def price_from_catalogue(pricing: Mapping[str, Any] | None) -> Price:
    """The price in a catalogue entry's `pricing`: strings in US dollars per token, "-1" where it varies."""
    pricing = pricing or {}
    return Price(amount(pricing.get("prompt")), amount(pricing.get("completion")))


def amount(value: object) -> float | None:
    """US dollars in a JSON number or string; None for anything else, and for a negative or endless number."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        dollars = float(value)
    except (ValueError, OverflowError):
        return None
    return dollars if math.isfinite(dollars) and dollars >= 0 else None


def cost_of(usage: Usage | None, price: Price) -> float | None:
    """US dollars for the tokens, at the price; None if either is unknown. A price of 0 needs no usage."""
    if price == FREE:
        return 0.0
    if usage is None or price.prompt is None or price.completion is None:
        return None
    return usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion
