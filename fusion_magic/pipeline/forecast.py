"""What a run would cost before it begins: its estimate, net of what the store answers, and the limit it has to keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import CallError, SettingsError
from ..events import CallEnded, Event
from ..providers import ChatRequest, Chunk, Notify, Providers
from ..results import Stage
from .budget import Budget, limit_of
from .calls import is_remembered
from .judge import judge
from .kit import Kit
from .memory import Memory
from .panel import Briefing, Skips, ask_panel, question_for, samples_of
from .plan import Plan, prepare
from .question import Run
from .request import FusionRequest
from .strategies import FUSION, carry_out, strategy_of
from .synthesis import synthesize

if TYPE_CHECKING:
    from ..store import Store
    from .estimate import RunEstimate

Place = tuple[Stage, str]


class Nobody(Providers):
    """Asks nobody: for finding out what the store answers."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Raises CallError."""
        raise CallError(f"{request.name} is not asked.")
        yield


async def forecast(plan: Plan, kit: Kit, request: FusionRequest, store: Store | None) -> RunEstimate:
    """Every call of the plan with what it would cost, from the user's own history where there is any.

    What the store would answer is marked as reused. Nobody is asked and no tool runs; so of a seat with tools only the
    first step is looked up, and then neither judge nor synthesizer.
    """
    from .estimate import estimate_run

    briefing = replace(request.briefing(kit), task=plan.task)
    if store is None:
        return estimate_run(plan, briefing)
    memory = Memory(store, plan.settings, any_age=request.any_age)
    find = _remembered(plan, briefing, request, memory) if _fuses(plan) else _replayed(plan, kit, request, memory)
    reused = await find
    return await asyncio.to_thread(estimate_run, plan, briefing, history=store.experience, reused=reused)


async def planned(request: FusionRequest, providers: Providers, notify: Notify, *, asks: bool = True) -> Plan:
    """The plan of a request, made unless it brings one. Raises as `prepare`."""
    given = request.given
    return request.plan or await prepare(
        request.settings,
        providers,
        default_panel=request.default_panel,
        alone=given.alone,
        judged_only=given.judged_only,
        taken=given.labels,
        strategy=strategy_of(request.settings),
        asks=asks,
        notify=notify,
    )


async def estimated(request: FusionRequest, providers: Providers, store: Store | None) -> RunEstimate:
    """The estimate of a run that is not begun. Raises SettingsError as `run`; no key is needed."""
    plan = await planned(request, providers, _say_nothing, asks=False)
    async with request.tools(plan, _say_nothing, store) as kit:
        return await forecast(plan, kit, request, store)


async def budget_for(plan: Plan, kit: Kit, request: FusionRequest, store: Store | None) -> Budget | None:
    """What the run may spend; None without a limit.

    Raises:
        SettingsError: it is expected to cost more, a model has no price, or what was spent is not known.
    """
    settings, today, ever = plan.settings, 0.0, 0.0
    if settings.max_usd_day or settings.max_usd_notebook:
        if store is None:
            raise SettingsError("A limit for the day or the notebook needs the store, which is turned off.")
        day = datetime.now().astimezone().date()
        today = await asyncio.to_thread(lambda: store.spent(day=day))
        ever = await asyncio.to_thread(lambda: store.spent(notebook=request.notebook))
    limit = limit_of(settings, plan.panel, today=today, notebook=ever)
    if limit is None:
        return None
    from .budget_rounds import RoundsBudget

    kind = Budget if _fuses(plan) else RoundsBudget
    budget = kind(limit, await forecast(plan, kit, request, store))
    budget.check_start(allow_unpriced=settings.allow_unpriced)
    return budget


async def _remembered(plan: Plan, briefing: Briefing, request: FusionRequest, memory: Memory) -> set[Place]:
    """The places whose calls the store would answer."""
    told: list[Event] = []
    looking = Run("", plan.settings, Nobody(), told.append, time.monotonic(), memory)
    samples, given = samples_of(plan), briefing.given
    asked = [chair for chair in plan.seats if chair.seat.label not in given.labels]
    found: set[Place] = set()
    for chair in asked:
        label, bag = chair.seat.label, briefing.bag(chair)
        question = question_for(looking, chair, briefing, bag, [], samples[label])
        if await is_remembered(looking, chair, replace(question, tools=bag.specs())):
            found.add(("panel", label))
    uses_tools = any(briefing.bag(chair).own for chair in plan.seats) or plan.settings.judge_tools
    if len(found) == len(asked) and not uses_tools and not given.alone:
        found |= await _chairs_remembered(looking, plan, briefing, request)
    return found


def _fuses(plan: Plan) -> bool:
    """Whether it is panel, judge and synthesizer, once each."""
    return not plan.one_pass and (plan.strategy is None or plan.strategy.carry_out is FUSION.carry_out)


async def _replayed(plan: Plan, kit: Kit, request: FusionRequest, memory: Memory) -> list[Place]:
    """The places whose calls the store would answer, found by carrying out the strategy while nobody is asked.

    With tools nothing is looked up, as they would run.
    """
    if plan.has_tools and not any(place.inner for place in plan.places()):
        return []
    told: list[Event] = []
    looking = Run("", plan.settings, Nobody(), told.append, time.monotonic(), memory)
    await carry_out(looking, plan, kit, request, Skips())
    return [
        (event.call.stage, event.call.label) for event in told if isinstance(event, CallEnded) and event.call.reused
    ]


async def _chairs_remembered(looking: Run, plan: Plan, briefing: Briefing, request: FusionRequest) -> set[Place]:
    """Judge and synthesizer, if the store answers them for the responses that it has."""
    responses = await ask_panel(looking, plan, briefing, Skips())
    analysis = briefing.given.analysis or await judge(looking, plan, request.matter(), responses, briefing.kit)
    if analysis is None:
        return set()
    if plan.judged_only:
        return {("judge", "")}
    try:
        await synthesize(looking, plan, request.matter(), responses, analysis, request.schema)
    except CallError:
        return {("judge", "")}
    return {("judge", ""), ("synthesis", "")}


def _say_nothing(_: str) -> None:
    return None
