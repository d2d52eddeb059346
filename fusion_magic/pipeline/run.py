"""One run from prompt to result: panel, judge, synthesis, told as events."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import FusionError, PanelFailed, SettingsError
from ..events import Event, Fold, Notice, RunEnded, RunStarted, Warned
from ..providers import Providers
from ..results import FusionResult
from .forecast import budget_for, planned
from .given import NOTHING
from .kit import Kit
from .memory import NO_MEMORY, Memory
from .panel import Skips
from .plan import Plan
from .question import Run
from .request import FusionRequest
from .strategies import carry_out, strategy_of
from .synthesis import check_schema

if TYPE_CHECKING:
    from ..store import Store
    from .budget import Budget


# Set while a run goes on, in its own context: what a model calls from it must not start another.
_inside: ContextVar[bool] = ContextVar("fusion_magic_inside", default=False)


@contextmanager
def _no_run_inside() -> Generator[None]:
    """Raise FusionError inside a run: a fusion that starts fusions would have no bound in calls or cost."""
    if _inside.get():
        raise FusionError("A fusion inside a fusion is refused: the panel is being asked already. Answer without it.")
    before = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(before)


class Sink:
    """Where a run's events go: into its state, then to the listener, whose failure must not cost the run."""

    def __init__(self, state: Fold, listen: Callable[[Event], None]) -> None:
        self._state, self.memory = state, NO_MEMORY
        self.budget: Budget | None = None
        self._listen: Callable[[Event], None] | None = listen

    def tell(self, event: Event) -> None:
        """Take one event; a listener that raises is left out from then on, with a warning in the result."""
        self._state.apply(event)
        self.memory.note(event, self._state)
        if self.budget:
            self.budget.take(event)
        if self._listen is None:
            return
        try:
            self._listen(event)
        except Exception as exc:
            self._listen = None
            self._state.apply(Warned(f"What listened to this run failed and heard no more of it: {exc!r}."))


async def run(
    request: FusionRequest,
    *,
    emit: Callable[[Event], None],
    providers: Providers,
    state: Fold | None = None,
    skips: Skips | None = None,
    store: Store | None = None,
) -> FusionResult:
    """Run the panel, the judge and the synthesizer.

    Args:
        request: prompt and settings.
        emit: gets every event, in order, in the event loop of the run.
        providers: who answers.
        state: takes the events in; after a cancellation it holds what was answered.
        skips: lets a reader leave seats out while the panel is asked.
        store: where calls and the run are kept, and calls of earlier runs are found.

    Returns:
        The fold of the events. Its status is `error` if the synthesizer failed; the responses are kept.

    Raises:
        SettingsError, KeyMissing, LocalModelError: before the first call.
        PanelFailed: no panelist answered.
        FusionError: it is asked inside another run.
        asyncio.CancelledError: cancelled; `state.result()` is what there is.
    """
    _check(request)
    state = state if state is not None else Fold()
    with _no_run_inside():
        return await _told_run(request, Sink(state, emit), state, providers, skips or Skips(), store)


async def _told_run(
    request: FusionRequest, sink: Sink, state: Fold, providers: Providers, skips: Skips, store: Store | None
) -> FusionResult:
    tell = sink.tell
    notify = _from_any_thread(lambda text: tell(Notice(text)))
    plan = await planned(request, providers, notify)
    sink.memory = memory = _memory(request, plan, store)
    async with request.tools(plan, notify, store) as kit:
        sink.budget = budget = await budget_for(plan, kit, request, store)
        begun = Run(uuid.uuid4().hex[:12], plan.settings, providers, tell, time.monotonic(), memory, budget)
        _tell_plan(begun, plan, kit, request, await memory.opened())
        try:
            if request.before_calls is not None:
                await request.before_calls()
            with memory.keeping_drafts(state):
                status, error = await carry_out(begun, plan, kit, request, skips)
        except asyncio.CancelledError:
            tell(RunEnded("cancelled", begun.now(), "The run was stopped."))
            raise
    await memory.has_begun()
    if memory.problem:
        tell(Warned(memory.problem))
    tell(RunEnded(status, begun.now(), error))
    await memory.has_ended()
    return _checked(state.result())


def _check(request: FusionRequest) -> None:
    if not request.prompt.strip():
        raise SettingsError("The prompt is empty; write it below the %%fusion line.")
    if request.settings.engine == "openrouter" and (request.given != NOTHING or request.material.screen):
        raise SettingsError(
            "OpenRouter's Fusion asks a whole panel on its own servers, so nothing of an earlier result or of this "
            "machine can take part; leave out engine."
        )
    if request.schema is not None:
        check_schema(request.schema)
        strategy_of(request.settings).check(request.schema)
        if request.settings.one_pass:
            raise SettingsError(
                "One pass writes its answer below a report, so it takes no schema; leave one of them out."
            )


def _checked(result: FusionResult) -> FusionResult:
    """The result. Raises PanelFailed, with the reasons, if nobody answered and nobody stopped it."""
    if not result.responses and result.answer is None and result.status != "cancelled":
        reasons = " ".join(f"{lost.label}: {lost.error}" for lost in result.failed_models) or result.error or ""
        raise PanelFailed(f"No panelist answered. {reasons}" if reasons else result.error or "Nobody answered.", result)
    return result


def _memory(request: FusionRequest, plan: Plan, store: Store | None) -> Memory:
    if plan.settings.reuse == "only" and plan.settings.fresh:
        raise SettingsError("--reuse only asks nobody and --fresh asks anew; leave one of them out.")
    if store is None:
        if plan.settings.reuse == "only":
            raise SettingsError("--reuse only answers from the store, and there is none: it is turned off.")
        return Memory(None, plan.settings)
    from ..store import Place

    return Memory(store, plan.settings, Place(request.notebook, plan.panel.name), any_age=request.any_age)


def _tell_plan(run: Run, plan: Plan, kit: Kit, request: FusionRequest, of_store: tuple[str, ...]) -> None:
    run.emit(RunStarted(run.id, datetime.now(UTC), request.prompt, _settings(plan), plan.calls(), request.parent))
    for text in (*of_store, *request.notes, *plan.warnings, *kit.told, *request.told(plan)):
        run.emit(Warned(text))


def _settings(plan: Plan) -> dict[str, object]:
    """The settings in force, with the panel written out in place of its name."""
    chosen = plan.settings.model_dump(mode="json", exclude={"panel", "models", "judge", "synthesizer"})
    return {"panel": plan.panel.model_dump(mode="json"), **chosen}


def _from_any_thread(notify: Callable[[str], None]) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        loop.call_soon_threadsafe(notify, text)

    return tell
