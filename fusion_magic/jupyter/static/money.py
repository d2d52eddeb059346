"""What a finished run cost, what it did not cost anew, and what of that nobody knows, in words; not yet escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ...results import Call, FusionResult, Response, cost_text, dollars

UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def reused_line(result: FusionResult) -> str:
    """How many calls were answered without asking anew, how old they are and what they had cost; "" if none was."""
    reused = [call for call in result.calls if call.reused]
    if not reused:
        return ""
    many = f"Reused {len(reused)} of {counted(len(result.calls), 'call')}{_ages(reused, result.created)}"
    told = ", ".join(filter(None, (many, cost_text([result]), _saved(reused))))
    # What was made from an earlier result takes its parts from there; no flag asks them again.
    return f"{told}." if result.parent else f"{told}; --fresh asks again."


def _ages(reused: Sequence[Call], now: datetime) -> str:
    ages = [(_utc(now) - _utc(call.made)).total_seconds() for call in reused if call.made is not None]
    if not ages:
        return ""
    oldest, newest = age(max(ages)), age(min(ages))
    return f" from {oldest} ago" if oldest == newest else f" from up to {oldest} ago"


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _saved(reused: Sequence[Call]) -> str:
    known = [call.saved for call in reused if call.saved is not None]
    if not sum(known):
        return ""
    return f"saved {'at least ' if len(known) < len(reused) else ''}{dollars(sum(known))}"


def age(seconds: float) -> str:
    """A time in its largest whole unit: "12 minutes", "1 day"."""
    whole = max(1, int(seconds))
    name, size = next((name, size) for name, size in UNITS if whole >= size)
    return counted(whole // size, name)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 call", "1,200 calls"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def seat_money(result: FusionResult, response: Response) -> str:
    """Output tokens and cost of one seat, or that they are not known."""
    calls = [call for call in result.calls if (call.stage, call.label) == ("panel", response.label)]
    cost = _seat_cost(calls, response)
    if not calls and any(call.stage == "hosted" for call in result.calls):
        return "not itemised by OpenRouter"
    if response.usage is None:
        return "tokens and cost not reported" if cost is None else f"tokens not reported · {cost}"
    return f"{response.usage.completion_tokens:,} tokens · {cost or 'not priced'}"


def _seat_cost(calls: Sequence[Call], response: Response) -> str | None:
    """What a seat cost with all its steps; None if nothing of it is known."""
    if not calls:
        return None if response.cost is None else dollars(response.cost)
    if all(call.reused for call in calls):
        return f"reused, {_saved(calls) or '$0'}"
    amount = sum(call.cost for call in calls if call.cost is not None)
    if any(call.cost is None or call.unreported for call in calls):
        return f"at least {dollars(amount)}" if amount else None
    return dollars(amount)


def unknown(result: FusionResult) -> list[str]:
    """What the total does not hold: calls without a usage, attempts that may be billed, calls without a price."""
    unreported = sum(call.usage is None and call.cost is None for call in result.calls)
    attempts = sum(call.unreported for call in result.calls if call.cost is not None)
    unpriced = sum(call.usage is not None and call.cost is None for call in result.calls)
    parts = (
        (unreported, f"{counted(unreported, 'call')} not reported"),
        (attempts, f"{counted(attempts, 'failed attempt')} not reported"),
        (unpriced, f"{counted(unpriced, 'call')} not priced"),
    )
    return [text for number, text in parts if number]
