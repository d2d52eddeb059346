"""What a token costs: prices of a catalogue, the cost of a call, and what a run would cost. Unknown stays unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .results import Usage
from .settings import Panel

# What an estimate takes for granted: tokens of a question of a page, of an answer of two, and of an analysis.
PROMPT_TOKENS, RESPONSE_TOKENS, ANALYSIS_TOKENS = 1_000, 1_500, 1_000


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
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def cost_of(usage: Usage | None, price: Price) -> float | None:
    """US dollars for the tokens, at the price; None if either is unknown. A price of 0 needs no usage."""
    if price == FREE:
        return 0.0
    if usage is None or price.prompt is None or price.completion is None:
        return None
    return usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would cost in US dollars, by stage; `unpriced` are the models without a known price."""

    panel: float
    judge: float
    synthesizer: float
    unpriced: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """US dollars; a lower bound if a model is unpriced."""
        return self.panel + self.judge + self.synthesizer

    def __str__(self) -> str:
        if self.unpriced:
            return f"at least {roughly(self.total)}" if self.total else "not priced"
        return f"about {roughly(self.total)}" if self.total else "no cost"


def roughly(dollars: float) -> str:
    """US dollars with the two digits that an estimate is good for, cents at least: "$0.0042", "$0.14", "$12.00"."""
    if dollars == 0:
        return "$0"
    digits = max(2, 1 - math.floor(math.log10(dollars)))
    return f"${float(f'{dollars:.2g}'):.{digits}f}"


def estimate(
    panel: Panel,
    price_of: Callable[[str], Price],
    *,
    prompt: int = PROMPT_TOKENS,
    response: int = RESPONSE_TOKENS,
) -> Estimate:
    """What a run of the panel would cost, from list prices.

    Every seat reads the prompt and writes a response, the judge reads the prompt and all responses and writes an
    analysis, the synthesizer reads all of these and writes the answer. Not in it: instructions (some hundred tokens),
    reasoning (which may be several times the answer), tools, retries, and discounts for cached prompts.

    Args:
        panel: who would be asked.
        price_of: the price of a model, by the name that the user writes.
        prompt: tokens of the question.
        response: tokens of each response, and of the answer.
    """
    unpriced: dict[str, None] = {}

    def cost(model: str, read: int, written: int) -> float:
        found = cost_of(Usage(prompt_tokens=read, completion_tokens=written), price_of(model))
        if found is None:
            unpriced[model] = None
        return found or 0.0

    seats = sum(cost(seat.model, prompt, response) for seat in panel.models)
    read = prompt + response * len(panel.models)
    judge = cost(panel.judge.model, read, ANALYSIS_TOKENS)
    writer = cost(panel.synthesizer.model, read + ANALYSIS_TOKENS, response)
    return Estimate(seats, judge, writer, tuple(unpriced))
