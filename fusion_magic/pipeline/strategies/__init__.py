"""Ways of putting models together: small functions over the same steps, with what is known of each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...settings import Settings, StrategyName
from ..kit import Kit
from ..panel import Skips
from ..plan import Plan
from ..question import Run
from ..stages import Ending, Work
from .fusion import FUSION
from .strategy import Strategy

if TYPE_CHECKING:
    from ..request import FusionRequest


def strategy_named(name: StrategyName) -> Strategy:
    """The strategy of a name; its module is imported now, as a run needs no other."""
    module = import_module(f".{'samples' if name == 'self' else name}", __name__)
    return getattr(module, name.upper())


def strategy_of(settings: Settings) -> Strategy:
    """The strategy that was chosen, or the engine that has one of its own."""
    if settings.engine == "openrouter":
        from ..hosted import HOSTED

        return HOSTED
    return strategy_named(settings.strategy)


async def carry_out(run: Run, plan: Plan, kit: Kit, request: FusionRequest, skips: Skips) -> Ending:
    """Make the plan's calls in its strategy's way; returns how that ended, and why there is no answer."""
    work = Work(run, plan, kit, request, skips)
    work.take_over()
    given = request.given
    is_of_result = given.alone or given.judged_only
    return await (FUSION if is_of_result or plan.strategy is None else plan.strategy).carry_out(work)


__all__ = ["FUSION", "Strategy", "carry_out", "strategy_named", "strategy_of"]
