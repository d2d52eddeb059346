"""One call: answered from memory or asked, and always accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import CallError
from ..events import CallEnded, CallStarted, Delta, Warned, merge_sources
from ..prompts import digest
from ..providers import ChatRequest
from ..results import Call, Stage
from .accounts import Allowance, Received, Tally
from .attempts import attempts
from .memory import content_key
from .plan import Chair
from .question import Outcome, Question, Run, who
from .served import same_model

if TYPE_CHECKING:
    from ..store import KeptCall

# A text cut at the limit of tokens is what the same call would bring again.
ENDED_WELL = ("stop", "tool_calls", "length")

T = TypeVar("T")


async def ask(run: Run, chair: Chair, question: Question) -> Outcome:
    """The answer of an earlier run to the very same call, if it may be reused; else ask.

    It is asked until it is answered, the retries are used up or the time is over. A cancellation that comes when only
    the usage is still missing waits for the next await after the return.

    Raises:
        CallError: why there is no answer; its `text` is the longest that was written for this question.
    """
    await checkpoint()
    request = _request(run, chair, question)
    # A failure that is simulated says nothing of the real call, whose answer may be in the store.
    key = "" if request.simulated else content_key(request, question.sample)
    if kept := await run.memory.recall(question.stage, request, key):
        return _replayed(run, chair, question, kept)
    tally = Tally(chair.price, begun=run.now())
    deadline = asyncio.get_running_loop().time() + run.settings.timeout
    try:
        await attempts(run, chair, question, request, tally, deadline)
    except (CallError, asyncio.CancelledError) as exc:
        error = str(exc) if isinstance(exc, CallError) else "Cancelled."
        lost = _outcome(_record(run, chair, question, tally, error), tally.received, key)
        _end(run, request, lost, reusable=False)
        raise
    outcome = _outcome(_record(run, chair, question, tally), tally.received, key)
    was_cut = tally.is_shortened and outcome.call.finish_reason == "length"
    _end(run, request, outcome, reusable=outcome.call.finish_reason in ENDED_WELL and not was_cut)
    _say_if_served_by_another(run, chair, outcome.call)
    return outcome


async def is_remembered(run: Run, chair: Chair, question: Question) -> bool:
    """Whether `ask` would be answered from the store."""
    request = _request(run, chair, question)
    return await run.memory.has(question.stage, request, content_key(request, question.sample))


def _end(run: Run, request: ChatRequest, outcome: Outcome, *, reusable: bool) -> None:
    run.memory.keep(request, outcome.key, outcome.call, outcome.to_json(), reusable=reusable)
    run.emit(CallEnded(outcome.call))


def _outcome(call: Call, received: Received, key: str) -> Outcome:
    return Outcome(
        "".join(received.text),
        "".join(received.reasoning),
        merge_sources(received.sources),
        call,
        received.tool_calls,
        tuple(received.server_uses),
        received.echo,
        key,
    )


def _replayed(run: Run, chair: Chair, question: Question, kept: KeptCall) -> Outcome:
    """An answer of an earlier run as this run's own: told like any other, and free."""
    now = {"stage": question.stage, "round": question.round, "label": question.label, "model": chair.model}
    free = {"reused": True, "cost": 0.0, "saved": kept.call.cost, "made": kept.made}
    unsent = {"attempts": 0, "unreported": 0, "ttft": None, "duration": 0.0, "started": run.now()}
    outcome = Outcome.from_json(kept.answer, kept.call.model_copy(update={**now, **free, **unsent}), kept.key)
    run.emit(CallStarted(question.stage, question.label, chair.model, 1, run.now()))
    if outcome.text or outcome.reasoning:
        run.emit(Delta(question.stage, question.label, question.listen()(outcome.text), outcome.reasoning))
    run.emit(CallEnded(outcome.call))
    question.allowance.left -= 1  # so that what follows is what followed then
    return outcome


async def ask_or_fallback(
    run: Run, stage: Stage, chair: Chair, attempt: Callable[[Chair], Awaitable[T]], allowance: Allowance | None = None
) -> T:
    """What `attempt` brings with the chair, else with its fallback unless the allowance is spent.

    Raises:
        CallError: nobody answered; with both reasons, and the longer of both texts.
    """
    try:
        return await attempt(chair)
    except CallError as exc:
        first, spare = exc, chair.fallback
        if spare is None or (allowance and allowance.is_spent):
            raise
    run.emit(Warned(f"{who(stage, chair.seat.label)}: {first} {spare.model} is asked in its place."))
    try:
        return await attempt(spare)
    except CallError as second:
        text = max(first.text, second.text, key=len)
        raise CallError(f"{first} Its fallback: {second}", status_code=second.status_code, text=text) from second


async def checkpoint() -> None:
    """Where a cancellation passes that has waited for an answer to be kept."""
    await asyncio.sleep(0)


def _request(run: Run, chair: Chair, question: Question) -> ChatRequest:
    seat, settings = chair.seat, run.settings
    return ChatRequest(
        endpoint=chair.endpoint,
        model=chair.slug,
        messages=tuple(question.messages),
        max_tokens=question.max_tokens or seat.max_tokens or settings.max_tokens,
        stage=question.stage,
        label=question.label,
        temperature=question.temperature,
        effort=seat.effort or settings.effort,
        seed=seat.seed,
        response_format=question.response_format,
        private=settings.private,
        tools=question.tools,
        tool_choice=question.tool_choice,
        steps=settings.max_tool_calls,
        connect_timeout=settings.connect_timeout,
        session=run.id,
        extra=question.extra,
        simulated=chair.simulated,
    )


def _record(run: Run, chair: Chair, question: Question, tally: Tally, error: str | None = None) -> Call:
    received = tally.received
    return Call(
        stage=question.stage,
        round=question.round,
        label=question.label,
        model=chair.model,
        served_model=received.served,
        usage=tally.usage,
        cost=tally.cost,
        ttft=received.ttft,
        duration=run.now() - tally.begun,
        attempts=tally.attempts,
        unreported=tally.unreported,
        finish_reason=received.finish,
        error=error,
        request_id=received.request_id,
        messages_hash=digest(*(str(sorted(message.items())) for message in question.messages)),
        prompt_version=question.version,
        seed=question.seed,
        batched=run.providers.batched,
        started=tally.begun,
    )


def _say_if_served_by_another(run: Run, chair: Chair, call: Call) -> None:
    served = call.served_model
    expected = not served or chair.simulated or chair.endpoint.is_local or served == chair.canonical
    expected = expected or call.stage == "hosted"  # told where it is known who should answer
    if not expected and not same_model(chair.slug, str(served)):
        run.emit(Warned(f"{chair.model} was asked, {served} answered."))
