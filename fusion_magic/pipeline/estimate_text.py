"""The estimate of a run as plain text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..prices import roughly

if TYPE_CHECKING:
    from .estimate import CallEstimate, RunEstimate
    from .spans import Span

HEAD = ("", "model", "calls", "tokens in", "tokens out", "low", "expected", "high", "seconds", "known from")
NAMES = {"judge": "judge", "synthesis": "synthesizer", "hosted": "OpenRouter"}


def table(estimate: RunEstimate) -> str:
    """Every call on a line, the total, and what the dearest model alone would cost."""
    lines = [HEAD, *rows(estimate)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    drawn = [
        "  ".join(cell.ljust(width) if place in (0, 1, 9) else cell.rjust(width) for place, (cell, width) in cells)
        for cells in (enumerate(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([*(line.rstrip() for line in drawn), *notes(estimate)])


def rows(estimate: RunEstimate) -> list[tuple[str, ...]]:
    """Every call and the total as cells below `HEAD`."""
    return [*map(_line, estimate.rows), _total(estimate)]


def _line(row: CallEstimate) -> tuple[str, ...]:
    name = _who(row)
    if row.fallback:
        name = f"if {name} fails"
    elif row.maybe:
        name = f"{name}, perhaps"
    known = "reused" if row.reused else f"{row.learned} of your calls" if row.learned else "general figures"
    tokens = (f"{row.input_tokens.expected:,.0f}", f"{row.output_tokens.expected:,.0f}")
    model = " ".join(row.model.split())
    return name, model, _range(row.calls), *tokens, *_amounts(row.cost), _range(row.seconds), known


def _who(row: CallEstimate) -> str:
    if row.stage == "judge" and row.label:
        return f"{row.label}'s ballot"
    name = row.label or NAMES[row.stage]
    return f"{name}, round {row.round}" if row.round > 1 else name


def _total(estimate: RunEstimate) -> tuple[str, ...]:
    read, written = (sum(figures) for figures in zip(*map(_tokens, estimate.planned), strict=True))
    at_least = "at least" if estimate.unpriced else ""
    amounts = _amounts(estimate.cost)
    calls = _between(*estimate.count) if estimate.count else ""
    return "total", at_least, calls, f"{read:,.0f}", f"{written:,.0f}", *amounts, _range(estimate.seconds), ""


def _tokens(row: CallEstimate) -> tuple[float, float]:
    return row.input_tokens.expected, row.output_tokens.expected


def _amounts(cost: Span | None) -> tuple[str, str, str]:
    if cost is None:
        return "", "not priced", ""
    if not cost.high:
        return "", "free", ""
    return roughly(cost.low), roughly(cost.expected), roughly(cost.high)


def _range(span: Span) -> str:
    return _between(span.low, span.high)


def _between(least: float, most: float) -> str:
    low, high = f"{least:.0f}", f"{most:.0f}"
    return low if low == high else f"{low}–{high}"


def notes(estimate: RunEstimate) -> Iterable[str]:
    """What stands below the table: models without a price, and what the dearest alone would cost."""
    if estimate.unpriced:
        yield f"Not priced: {', '.join(estimate.unpriced)}."
    if any(row.stage == "hosted" for row in estimate.rows):
        yield "OpenRouter's Fusion is one call that is not itemised; the figures are its models', asked one by one."
    if (saved := estimate.saved) and saved.tokens > 0:
        dollars = f" and about {roughly(saved.cost)}" if saved.cost and saved.cost > 0 else ""
        yield f"In one pass the responses are read once: about {saved.tokens:,.0f} input tokens{dollars} less."
    if (alone := estimate.dearest_alone) and alone.cost:
        yield f"The dearest of these models alone: {alone.model}, about {roughly(alone.cost)}."
