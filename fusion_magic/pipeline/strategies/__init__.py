"""Ways of putting models together: small functions over the same steps, with what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...settings import Settings
from ..kit import Kit
from ..panel import Skips
from ..plan import Plan
from ..question import Run
from ..stages import Ending, Work
from .auto import AUTO
from .debate import DEBATE
from .fusion import FUSION
from .guide import GUIDE
from .moa import MOA
from .rank import RANK
from .samples import SELF
from .scout import SCOUT
from .strategy import Strategy
from .vote import VOTE

if TYPE_CHECKING:
    from ..request import FusionRequest

STRATEGIES = {made.name: made for made in (FUSION, SELF, VOTE, MOA, DEBATE, RANK, SCOUT, GUIDE, AUTO)}


def strategy_of(settings: Settings) -> Strategy:
    """The strategy that was chosen, or the engine that has one of its own."""
    if settings.engine == "openrouter":
        from ..hosted import HOSTED

        return HOSTED
    return STRATEGIES[settings.strategy]


async def carry_out(run: Run, plan: Plan, kit: Kit, request: FusionRequest, skips: Skips) -> Ending:
    """Make the plan's calls in its strategy's way; returns how that ended, and why there is no answer."""
    work = Work(run, plan, kit, request, skips)
    work.take_over()
    given = request.given
    is_of_result = given.alone or given.judged_only
    return await (FUSION if is_of_result or plan.strategy is None else plan.strategy).carry_out(work)


__all__ = ["FUSION", "STRATEGIES", "Strategy", "carry_out", "strategy_of"]
