"""`%fusion costs`: what was paid, over the whole history, as a table with bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..static.money import counted
from .past import amount
from .store import opened
from .tables import show

if TYPE_CHECKING:
    from ...store import CostLine

KINDS = ("model", "day", "notebook", "preset")
SHOWN = 60  # rows


def costs(words: list[str]) -> None:
    """Show what was paid, by model if nothing else is said."""
    match words:
        case []:
            by = "model"
        case ["--by", ("model" | "day" | "notebook" | "preset") as by]:
            pass
        case _:
            raise UsageError(f"%fusion costs takes --by and one of {', '.join(KINDS)}, or nothing")
    lines = opened().costs(by)
    if not lines:
        return print("No call is booked yet.")
    most = max(line.cost or 0.0 for line in lines)
    rows = [_row(line, most) for line in lines]
    left_out = f"; {counted(len(rows) - SHOWN, 'row')} more are in the sum" if len(rows) > SHOWN else ""
    show(rows[:SHOWN], (by, "calls", "tokens", "cost", "", "unknown"), _sum(lines) + left_out, aligned=True)


def _row(line: CostLine, most: float) -> list[str | float]:
    cost = amount(line.cost, partial=bool(line.not_priced or line.not_reported))
    share = (line.cost or 0.0) / most if most else 0.0
    return [line.name or "–", f"{line.calls:,}", f"{line.tokens:,}", cost, share, _unknown([line])]


def _unknown(lines: list[CostLine]) -> str:
    unpriced, unreported = sum(line.not_priced for line in lines), sum(line.not_reported for line in lines)
    parts = ((unpriced, f"{unpriced:,} not priced"), (unreported, f"{unreported:,} not reported"))
    return ", ".join(text for number, text in parts if number)


def _sum(lines: list[CostLine]) -> str:
    known = [line.cost for line in lines if line.cost is not None]
    unknown = _unknown(lines)
    total = amount(sum(known) if known else None, partial=bool(unknown))
    return ", ".join(
        filter(None, (f"In all {total} for {counted(sum(line.calls for line in lines), 'call')}", unknown))
    )
