"""What a token costs: prices and where they come from, a call's cost, a guess at a run's. Unknown stays unknown."""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from .endpoints import Endpoint, split_model
from .presets import OwnPrice
from .results import Usage
from .settings import Panel

# What an estimate takes for granted: tokens of a question of a page, of an answer of two, and of an analysis.
PROMPT_TOKENS, RESPONSE_TOKENS, ANALYSIS_TOKENS = 1_000, 1_500, 1_000


# Exa's fee at OpenRouter for a search and for a fetch, in US dollars; it runs where a model's provider has none.
SEARCH_FEE, FETCH_FEE = 0.007, 0.001


@dataclass(frozen=True, slots=True)
class Override:
    """Amounts that replace a price's own where its conditions hold; None leaves the price's own.

    Attributes:
        above: prompts of more tokens than this.
        hours: a time of each day in UTC, first minute and first minute after it, as 1030 for 10:30; None for all.
    """

    above: float = 0
    hours: tuple[int, int] | None = None
    prompt: float | None = None
    completion: float | None = None
    input_cache_read: float | None = None
    input_cache_write: float | None = None

    def amounts(self) -> dict[str, float]:
        """The amounts it has."""
        names = ("prompt", "completion", "input_cache_read", "input_cache_write")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def holds(self, prompt_tokens: float, when: datetime) -> bool:
        """Whether it is in force for a prompt of so many tokens at this time."""
        if self.hours is None:
            return prompt_tokens > self.above
        (begin, end), now = self.hours, when.hour * 100 + when.minute
        inside = begin <= now < end if begin <= end else now >= begin or now < end
        return inside and prompt_tokens > self.above


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token, per request and per web search; None for prompt, completion or request is not known.

    What is read from or written to a prompt cache, and reasoning, cost as much as other input and output where their
    own price is None. A search without a price costs SEARCH_FEE.
    """

    prompt: float | None = None
    completion: float | None = None
    request: float | None = 0.0
    input_cache_read: float | None = None
    input_cache_write: float | None = None
    internal_reasoning: float | None = None
    web_search: float | None = None
    overrides: tuple[Override, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether tokens can be turned into US dollars."""
        return None not in (self.prompt, self.completion, self.request)

    def at(self, prompt_tokens: float, when: datetime | None = None) -> Price:
        """The price in force for a prompt of so many tokens, now or at another time; later overrides win."""
        found: dict[str, Any] = {}
        for override in self.overrides:
            if override.holds(prompt_tokens, when or datetime.now(UTC)):
                found |= override.amounts()
        return replace(self, overrides=(), **found)

    def __str__(self) -> str:
        if self.prompt is None or self.completion is None or self.request is None:
            return "not priced"
        if self.prompt == self.completion == self.request == 0:
            return "free"
        fee = f" and ${self.request:,.4f} per request" if self.request else ""
        return f"${self.prompt * 1e6:,.2f} / ${self.completion * 1e6:,.2f} per million tokens{fee}"


FREE = Price(0.0, 0.0)
UNKNOWN = Price()


def price_from_catalogue(pricing: Mapping[str, Any] | None) -> Price:
    """The price in a catalogue entry's `pricing`: strings in US dollars per token, "-1" where it varies."""
    pricing = pricing or {}

    def apart(name: str) -> float | None:
        # Catalogues write "0" for what is not priced apart: reasoning is not free where output is paid.
        return amount(pricing.get(name)) or None

    return Price(
        amount(pricing.get("prompt")),
        amount(pricing.get("completion")),
        amount(pricing.get("request") or 0),
        apart("input_cache_read"),
        apart("input_cache_write"),
        apart("internal_reasoning"),
        apart("web_search"),
        _overrides(pricing.get("overrides")),
    )


CONDITIONS = {"min_prompt_tokens", "utc_start", "utc_end"}
AMOUNTS = ("prompt", "completion", "input_cache_read", "input_cache_write")
ELSEWHERE = {"audio", "input_audio_cache", "input_cache_write_1h"}  # prices of what is never sent


def _overrides(given: object) -> tuple[Override, ...]:
    """A catalogue's overrides, without those that have a condition unknown here: they can't be checked."""
    listed = cast("list[Any]", given) if isinstance(given, list) else []
    entries = [cast("dict[str, Any]", entry) for entry in listed if isinstance(entry, dict)]
    known = CONDITIONS | ELSEWHERE | set(AMOUNTS)
    return tuple(
        Override(amount(entry.get("min_prompt_tokens")) or 0, _hours(entry), *(amount(entry.get(n)) for n in AMOUNTS))
        for entry in entries
        if known.issuperset(entry)
    )


def _hours(entry: dict[str, Any]) -> tuple[int, int] | None:
    begin, end = amount(entry.get("utc_start")), amount(entry.get("utc_end"))
    return None if begin is None or end is None else (int(begin), int(end))


def price_for(model: str, endpoint: Endpoint, listed: Price, own: Mapping[str, OwnPrice]) -> Price:
    """What a model costs, from the first place that says: the endpoint's catalogue, the user's file, `genai-prices`.

    An endpoint that costs nothing is free, unless the user's file prices this very model at this endpoint: a price
    under a plain slug is for wherever it is paid. The first use of `genai-prices` takes half a second.

    Args:
        model: as the user writes it.
        endpoint: where it is asked.
        listed: what the endpoint's catalogue says, else UNKNOWN.
        own: `[prices]` of the user's file.
    """
    slug = split_model(model)[0]
    exact = own.get(model) or own.get(f"{slug}@{endpoint.name}")
    if endpoint.costs_nothing:
        return _of_own(exact) if exact else FREE
    if listed.is_known:
        return listed
    if written := exact or own.get(slug):
        return _of_own(written)
    return _of_library(slug, endpoint.base_url)


def _of_own(written: OwnPrice) -> Price:
    cached = None if written.cached is None else written.cached / 1e6
    return Price(written.input / 1e6, written.output / 1e6, input_cache_read=cached)


@functools.lru_cache(maxsize=256)
def _of_library(slug: str, address: str) -> Price:
    """What `genai-prices` knows of a model at this address, from the data that comes with it; it asks nobody."""
    try:
        from genai_prices import Usage as Counted
        from genai_prices import calc_price
    except ImportError:
        return UNKNOWN
    try:
        found = calc_price(Counted(input_tokens=0, output_tokens=0), slug, provider_api_url=address).model_price
    except LookupError:  # no such model, or an address that is nobody's in its list
        return UNKNOWN
    return _from_library(found)


def prices_are_at_hand() -> bool:
    """Whether a look takes no time; the first one into the library's data takes a third of a second."""
    return not _has_library() or _of_library.cache_info().currsize > 0


@functools.cache
def _has_library() -> bool:
    return importlib.util.find_spec("genai_prices") is not None


def _from_library(found: Any) -> Price:
    """A price of `genai-prices`, in US dollars per million tokens, dearer for long prompts where it has tiers."""
    names = dict(zip(AMOUNTS, ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"), strict=True))
    amounts = {name: getattr(found, theirs, None) for name, theirs in names.items()}

    def per_token(value: Any) -> float | None:
        return None if value is None else float(getattr(value, "base", value)) / 1e6

    tiers = [(name, tier) for name, value in amounts.items() for tier in getattr(value, "tiers", ())]
    overrides = (replace(Override(tier.start), **{name: float(tier.price) / 1e6}) for name, tier in tiers)
    base = {name: per_token(value) for name, value in amounts.items()}
    return Price(**base, overrides=tuple(sorted(overrides, key=lambda override: override.above)))


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
    """US dollars for what one request used, at the price; None if either is unknown. A price of 0 needs no usage."""
    if price == FREE:
        return 0.0
    now = price.at(usage.prompt_tokens if usage else 0)
    if usage is None or now.prompt is None or now.completion is None or now.request is None:
        return None

    def at(own: float | None, otherwise: float) -> float:
        return otherwise if own is None else own

    cached = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
    thought = min(usage.reasoning_tokens, usage.completion_tokens)
    return (
        now.request
        + (usage.prompt_tokens - cached - written) * now.prompt
        + cached * at(now.input_cache_read, now.prompt)
        + written * at(now.input_cache_write, now.prompt)
        + (usage.completion_tokens - thought) * now.completion
        + thought * at(now.internal_reasoning, now.completion)
        + usage.web_searches * at(now.web_search, SEARCH_FEE)
    )


class Estimate(NamedTuple):
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
