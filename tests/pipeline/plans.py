"""Plans made by hand: chairs with the prices that a test gives them."""

from __future__ import annotations

from typing import Any

from fusion_magic.endpoints import builtin_endpoints
from fusion_magic.pipeline.kit import Kit
from fusion_magic.pipeline.panel import Briefing
from fusion_magic.pipeline.plan import Chair, Plan
from fusion_magic.prices import FREE, UNKNOWN, Price
from fusion_magic.settings import Panel, Panelist, Settings

OPENROUTER = builtin_endpoints()["openrouter"]
PRICES = {
    "cheap": Price(1e-6, 2e-6),
    "middle": Price(2e-6, 1e-5),
    "dear": Price(5e-6, 2.5e-5),
    "free": FREE,
    "unknown": UNKNOWN,
}
SEARCHED = Kit(server=({"type": "openrouter:web_search"}, {"type": "openrouter:web_fetch"}))


def plan_of(*models: str | Panelist, judge: str = "dear", writer: str = "dear", **settings: Any) -> Plan:
    """A plan on OpenRouter with the models of PRICES."""
    made: Any = {"models": models, "judge": judge, "synthesizer": writer}
    panel = Panel(**made)
    chairs = [_chair(seat) for seat in (*panel.models, panel.judge, panel.synthesizer)]
    *seats, compares, writes = chairs
    return Plan(panel, Settings(**settings), tuple(seats), compares, writes)


def _chair(seat: Panelist) -> Chair:
    spare = seat.model_copy(update={"model": seat.fallback, "fallback": None}) if seat.fallback else None
    return Chair(seat, seat.model, OPENROUTER, PRICES[seat.model], _chair(spare) if spare else None)


def brief(prompt: str = "Why is the sky blue?", kit: Kit | None = None, **more: Any) -> Briefing:
    """What the seats are given."""
    return Briefing(prompt, kit or Kit(), **more)
