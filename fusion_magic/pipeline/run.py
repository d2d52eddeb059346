"""One run from prompt to result: panel, judge, synthesis, told as events."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..errors import CallError, PanelFailed, SettingsError
from ..events import Event, Fold, Notice, RunEnded, RunStarted, Warned
from ..providers import Providers
from ..results import FusionResult, Status
from ..settings import Settings
from .calls import Run
from .judge import judge
from .kit import Kit, open_kit
from .material import Material
from .panel import Briefing, Skips, ask_panel
from .plan import Plan, prepare
from .synthesis import check_schema, synthesize

if TYPE_CHECKING:
    from ..attachments import Attachment


@dataclass(frozen=True, slots=True)
class FusionRequest:
    """What a run is asked to do; `before_calls` is awaited between the plan and the first call."""

    prompt: str
    settings: Settings
    default_panel: str | None = None
    schema: type[BaseModel] | None = None
    parent: str | None = None
    notes: tuple[str, ...] = ()
    material: Material = field(default_factory=Material)
    before_calls: Callable[[], Awaitable[None]] | None = None


class Sink:
    """Where a run's events go: into its state, then to the listener, whose failure must not cost the run."""

    def __init__(self, state: Fold, listen: Callable[[Event], None]) -> None:
        self._state = state
        self._listen: Callable[[Event], None] | None = listen

    def tell(self, event: Event) -> None:
        """Take one event; a listener that raises is left out from then on, with a warning in the result."""
        self._state.apply(event)
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
) -> FusionResult:
    """Run the panel, the judge and the synthesizer.

    Args:
        request: prompt and settings.
        emit: gets every event, in order, in the event loop of the run.
        providers: who answers.
        state: takes the events in; after a cancellation it holds what was answered.
        skips: lets a reader leave seats out while the panel is asked.

    Returns:
        The fold of the events. Its status is `error` if the synthesizer failed; the responses are kept.

    Raises:
        SettingsError, KeyMissing, LocalModelError: before the first call.
        PanelFailed: no panelist answered.
        asyncio.CancelledError: cancelled; `state.result()` is what there is.
    """
    _check(request)
    state = state if state is not None else Fold()
    tell = Sink(state, emit).tell
    notify = _from_any_thread(lambda text: tell(Notice(text)))
    plan = await prepare(request.settings, providers, default_panel=request.default_panel, notify=notify)
    async with open_kit(plan, request.material, notify) as kit:
        begun = Run(uuid.uuid4().hex[:12], plan.settings, providers, tell, time.monotonic())
        _tell_plan(begun, plan, kit, request)
        try:
            if request.before_calls is not None:
                await request.before_calls()
            status, error = await _stages(begun, plan, kit, request, skips or Skips())
        except asyncio.CancelledError:
            tell(RunEnded("cancelled", begun.now(), "The run was stopped."))
            raise
    tell(RunEnded(status, begun.now(), error))
    return _checked(state.result())


def _check(request: FusionRequest) -> None:
    if not request.prompt.strip():
        raise SettingsError("The prompt is empty; write it below the %%fusion line.")
    if request.schema is not None:
        check_schema(request.schema)


def _checked(result: FusionResult) -> FusionResult:
    """The result. Raises PanelFailed, with the reasons, if nobody answered and nobody stopped it."""
    if not result.responses and result.status != "cancelled":
        reasons = " ".join(f"{lost.label}: {lost.error}" for lost in result.failed_models)
        raise PanelFailed(f"No panelist answered. {reasons}", result)
    return result


def _tell_plan(run: Run, plan: Plan, kit: Kit, request: FusionRequest) -> None:
    run.emit(RunStarted(run.id, datetime.now(UTC), request.prompt, _settings(plan), plan.calls(), request.parent))
    for text in (*request.notes, *plan.warnings, *kit.told, *_who_saw(plan, request.material.attachments)):
        run.emit(Warned(text))


def _who_saw(plan: Plan, attachments: tuple[Attachment, ...]) -> tuple[str, ...]:
    if not attachments:
        return ()
    from ..attachments import message_parts, told

    return told({chair.seat.label: message_parts("", attachments, chair.inputs)[1] for chair in plan.seats})


def _question(request: FusionRequest) -> str:
    """What judge and synthesizer are told was asked."""
    if not request.material.attachments:
        return request.prompt
    from ..attachments import names_for_others

    return f"{request.prompt}\n\n{names_for_others(request.material.attachments)}"


async def _stages(run: Run, plan: Plan, kit: Kit, request: FusionRequest, skips: Skips) -> tuple[Status, str | None]:
    briefing = Briefing(request.prompt, kit, request.material.attachments)
    responses = await ask_panel(run, plan, briefing, skips)
    if not responses:
        all_skipped = skips.labels >= {chair.seat.label for chair in plan.seats}
        return ("cancelled", "Every seat was skipped.") if all_skipped else ("error", "No panelist answered.")
    question = _question(request)
    analysis = await judge(run, plan, question, responses, kit)
    try:
        await synthesize(run, plan, question, responses, analysis, request.schema)
    except CallError as exc:
        return "error", f"There is no fused answer: {exc} The responses are kept."
    return "ok", None


def _settings(plan: Plan) -> dict[str, object]:
    """The settings in force, with the panel written out in place of its name."""
    chosen = plan.settings.model_dump(mode="json", exclude={"panel", "models", "judge", "synthesizer"})
    return {"panel": plan.panel.model_dump(mode="json"), **chosen}


def _from_any_thread(notify: Callable[[str], None]) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        loop.call_soon_threadsafe(notify, text)

    return tell
