"""One call: sent, watched, retried where nothing is lost by it, and always accounted for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ..errors import (
    CallError,
    CallTimeout,
    EmptyResponse,
    EndpointUnreachable,
    FusionError,
    RequestRefused,
    ResponseCutOff,
    ResponseFiltered,
    StreamBroken,
)
from ..events import CallEnded, CallRetried, CallStarted, Delta, Event, Warned, merge_sources
from ..prompts import digest
from ..providers import ChatRequest, Message, Providers, ServerUse, ToolCall
from ..results import Call, Source, Stage
from ..settings import Settings
from .accounts import Allowance, Received, Tally
from .plan import Chair
from .served import same_model

# After the finish reason only the usage is still to come; a server that forgets it must not hold the run.
USAGE_GRACE = 5.0
BACKOFF, BACKOFF_MOST = 0.5, 30.0
SPEAKERS = {"judge": "The judge", "synthesis": "The synthesizer"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """What every stage of one run shares."""

    id: str
    settings: Settings
    providers: Providers
    emit: Callable[[Event], None]
    started: float

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked in one call, apart from whom; `drafts` takes what attempts that came to nothing had written."""

    stage: Stage
    messages: Sequence[Message]
    version: str
    label: str = ""
    round: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Literal["none"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    allowance: Allowance = field(default_factory=Allowance)
    drafts: list[str] = field(default_factory=list[str])
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that ended well: with a text, with tool calls, or both."""

    text: str
    reasoning: str
    sources: tuple[Source, ...]
    call: Call
    tool_calls: tuple[ToolCall, ...] = ()
    server_uses: tuple[ServerUse, ...] = ()
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def ask(run: Run, chair: Chair, question: Question) -> Outcome:
    """Ask until it is answered, the retries are used up or the time is over.

    A cancellation that comes when only the usage is still missing waits for the next await after the return.

    Raises:
        CallError: why there is no answer; its `text` is the longest that was written for this question.
    """
    await checkpoint()
    request = _request(run, chair, question)
    tally = Tally(chair.price, begun=run.now())
    deadline = asyncio.get_running_loop().time() + run.settings.timeout
    try:
        await _attempts(run, chair, question, request, tally, deadline)
    except CallError as exc:
        run.emit(CallEnded(_record(run, chair, question, tally, error=str(exc))))
        raise
    except asyncio.CancelledError:
        run.emit(CallEnded(_record(run, chair, question, tally, error="Cancelled.")))
        raise
    call = _record(run, chair, question, tally)
    run.emit(CallEnded(call))
    _say_if_served_by_another(run, chair, call)
    received = tally.received
    return Outcome(
        "".join(received.text),
        "".join(received.reasoning),
        merge_sources(received.sources),
        call,
        received.tool_calls,
        tuple(received.server_uses),
        received.echo,
    )


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
    run.emit(Warned(f"{_who(stage, chair.seat.label)}: {first} {spare.model} is asked in its place."))
    try:
        return await attempt(spare)
    except CallError as second:
        text = max(first.text, second.text, key=len)
        raise CallError(f"{first} Its fallback: {second}", status_code=second.status_code, text=text) from second


async def checkpoint() -> None:
    """Where a cancellation passes that has waited for an answer to be kept."""
    await asyncio.sleep(0)


async def _attempts(
    run: Run, chair: Chair, question: Question, request: ChatRequest, tally: Tally, deadline: float
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        tally.next_attempt()
        run.emit(CallStarted(question.stage, question.label, chair.model, tally.attempts, run.now()))
        try:
            await _attempt(run, question, request, tally.received, deadline)
            _check_whole(run, chair, question, tally.received)
        except CallError as exc:
            _settle(tally, question, refused=_is_refused(exc, tally.received))
            exc.text = max(question.drafts, key=len)
            wait = _wait(exc, tally.attempts)
            used_up = tally.attempts > run.settings.retries or loop.time() + wait >= deadline
            if not exc.retryable or used_up or question.allowance.is_spent:
                raise
            run.emit(CallRetried(question.stage, question.label, chair.model, str(exc), wait))
        except asyncio.CancelledError:
            _settle(tally, question)
            raise
        else:
            return _settle(tally, question, answered=True)
        await asyncio.sleep(wait)


def _settle(tally: Tally, question: Question, *, answered: bool = False, refused: bool = False) -> None:
    billed = tally.settle(answered=answered, refused=refused)
    question.allowance.left -= billed or answered
    if not answered:
        question.drafts.append("".join(tally.received.text))


def _is_refused(exc: CallError, received: Received) -> bool:
    """Whether an attempt was turned away before it began, which no provider bills."""
    return isinstance(exc, RequestRefused | EndpointUnreachable) and received.ttft is None


async def _attempt(run: Run, question: Question, request: ChatRequest, received: Received, deadline: float) -> None:
    """Stream one attempt into `received`; whatever goes wrong becomes a CallError."""
    loop, settings = asyncio.get_running_loop(), run.settings
    watch = asyncio.timeout_at(min(deadline, loop.time() + settings.connect_timeout + settings.first_token_timeout))
    try:
        async with watch:
            await _read(run, question, request, received, deadline, watch)
    except TimeoutError as exc:
        if received.finish is None:
            raise _late(run, request, received, loop.time() >= deadline) from exc
    except asyncio.CancelledError:
        if received.finish is None:
            raise
        _cancel_again()  # all is written and paid for: it is kept, and only the usage is not waited for
    except CallError:
        raise
    except FusionError as exc:  # a key that is gone by now, an embedded model that died
        raise CallError(str(exc)) from exc
    except Exception as exc:
        # A server's nonsense, or a provider's mistake, must cost one seat and not the answers of the others.
        text = f"{request.name}: what was sent can't be read ({type(exc).__name__})."
        raise StreamBroken(text, retryable=True) from exc


def _cancel_again() -> None:
    """Let the cancellation that was caught come back with the next await; it still counts as one."""
    if task := asyncio.current_task():
        task.uncancel()
        task.cancel()


async def _read(
    run: Run,
    question: Question,
    request: ChatRequest,
    received: Received,
    deadline: float,
    watch: asyncio.Timeout,
) -> None:
    """The stream, with the clock on first token, gaps and the whole."""
    loop, settings = asyncio.get_running_loop(), run.settings
    begun = loop.time()
    async with aclosing(run.providers.stream(request)) as chunks:
        async for chunk in chunks:
            received.take(chunk)
            now = loop.time()
            if chunk.text or chunk.reasoning:
                if received.ttft is None:
                    received.ttft = now - begun
                run.emit(Delta(question.stage, question.label, chunk.text, chunk.reasoning))
            # An empty first chunk only says that the model was found: it may think for minutes yet.
            if received.finish:
                watch.reschedule(min(deadline, now + USAGE_GRACE))
            elif received.ttft is not None:
                watch.reschedule(min(deadline, now + settings.gap_timeout))


def _late(run: Run, request: ChatRequest, received: Received, over: bool) -> CallTimeout:
    settings = run.settings
    if over:
        return CallTimeout(f"{request.name} took more than {settings.timeout:g} s; --timeout raises the limit.")
    if received.ttft is None:
        limit = f"no token within {settings.first_token_timeout:g} s"
        return CallTimeout(f"{request.name}: {limit}; --first-token-timeout raises the limit.", retryable=True)
    limit = f"nothing for {settings.gap_timeout:g} s"
    return CallTimeout(f"{request.name} stalled: {limit}; --gap-timeout raises the limit.", retryable=True)


def _check_whole(run: Run, chair: Chair, question: Question, received: Received) -> None:
    """Raise for an answer that ended badly; warn for one that may not be whole."""
    who = _who(question.stage, question.label)
    match received.finish:
        case "error":
            raise StreamBroken(f"{chair.model}: the provider broke off the answer.", retryable=True)
        case "content_filter":
            raise ResponseFiltered(f"{chair.model}: a content filter stopped the answer.")
        case _ if received.tool_calls:
            pass
        case "length" if not received.has_text:
            raise ResponseCutOff(
                f"{chair.model} used up its tokens before it wrote anything; raise --max-tokens or lower --effort."
            )
        case _ if not received.has_text:
            raise EmptyResponse(f"{chair.model} finished without writing anything.", retryable=True)
        case "stop":
            pass
        case "length":
            if not chair.is_tiny:  # its answers are always cut at their few tokens
                run.emit(Warned(f"{who}: {chair.model} stopped at its token limit; --max-tokens raises it."))
        case other:
            reason = f'"{other[:40]}"' if other else "no reason"
            run.emit(Warned(f'{who}: {chair.model} ended with {reason}, not with "stop"; it may not be whole.'))


def _who(stage: Stage, label: str) -> str:
    return label or SPEAKERS.get(stage, stage)


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
    )


def _wait(exc: CallError, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for, else exponential with full jitter."""
    if exc.retry_after is not None:
        return exc.retry_after
    most = min(BACKOFF_MOST, BACKOFF * 2 ** (attempt - 1))
    return random.uniform(most / 2, most)


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
        started=tally.begun,
    )


def _say_if_served_by_another(run: Run, chair: Chair, call: Call) -> None:
    served = call.served_model
    expected = not served or chair.endpoint.is_local or served == chair.canonical
    if not expected and not same_model(chair.slug, str(served)):
        run.emit(Warned(f"{chair.model} was asked, {served} answered."))
