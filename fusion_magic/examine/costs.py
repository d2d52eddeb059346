"""What a run costs and takes with all of its parts, those that were reused included."""

from __future__ import annotations

from collections.abc import Iterable

from ..results import Call, FusionResult, dollars


def full_cost(result: FusionResult) -> float | None:
    """US dollars that all calls of a result cost when they were made; None if of any call that is not known."""
    return sum_of(result.calls)


def sum_of(calls: Iterable[Call]) -> float | None:
    """US dollars of calls, reused ones at what they had cost; None if one is unknown."""
    total = 0.0
    for call in calls:
        cost = call.saved if call.reused else call.cost
        if cost is None or call.unreported:
            return None
        total += cost
    return total


def seat_costs(result: FusionResult) -> dict[str, float | None]:
    """US dollars of each seat that answered, with all its steps, as if it were asked alone; None if not known.

    A fusion that OpenRouter ran is one call with one price: of its seats none is known.
    Of a strategy with several rounds it is the first one, before a seat has read the others.
    """
    return {seat.label: _first_round(result, seat.label) for seat in result.responses}


def _first_round(result: FusionResult, label: str) -> float | None:
    calls = [call for call in result.calls if (call.stage, call.label) == ("panel", label)]
    if not calls and hosted(result):
        return None
    first = next((response for response in result.earlier if response.label == label), None)
    if first is None:
        return sum_of(calls)
    return None if any(call.reused or call.unreported for call in calls) else first.cost


def hosted(result: FusionResult) -> Call | None:
    """The call in which OpenRouter ran a fusion, if the result has one."""
    return next((call for call in result.calls if call.stage == "hosted"), None)


def times_the_dearest(result: FusionResult) -> float | None:
    """The cost of an answered run over that of its dearest seat; None where it is not known or nobody was paid.

    None too if nobody but seats was asked: one seat alone is not compared with itself.
    """
    seats, whole = seat_costs(result), full_cost(result)
    known = [cost for cost in seats.values() if cost is not None]
    if result.answer is None or whole is None or len(known) < len(seats) or not any(known):
        return None
    is_fused = any(call.stage == "synthesis" for call in result.calls)
    return whole / max(known) if is_fused else None


def full_seconds(result: FusionResult) -> float | None:
    """Seconds from the prompt to the answer with nothing reused: the slowest seat, then judge and synthesizer.

    None if the store answered a call, as how long that took when it was made is not kept, if a call waited in a batch,
    and for several rounds.
    """
    if result.earlier or any(call.batched or (call.reused and not call.attempts) for call in result.calls):
        return None
    whole = hosted(result)
    if whole and not whole.reused:
        return whole.duration
    slowest = max((seat.duration for seat in result.responses), default=0.0)
    return slowest + sum(call.duration for call in result.calls if call.stage in ("judge", "synthesis"))


def seconds_text(seconds: float | None) -> str:
    """Seconds as they are shown: "12.3", or "not known"."""
    return "not known" if seconds is None else f"{seconds:.1f}"


def cost_shown(cost: float | None) -> str:
    """US dollars as they are shown: "$0.0123", or "not known"."""
    return "not known" if cost is None else dollars(cost)
