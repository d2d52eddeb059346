"""One call: sent, watched, retried where nothing is lost by it, and always accounted for."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    CallError,
    CallTimeout,
    EmptyResponse,
    EndpointUnreachable,
    RequestRefused,
    ResponseCutOff,
    ResponseFiltered,
    StreamBroken,
)
from ..events import CallEnded, CallRetried, CallStarted, Delta, Event, Warned, merge_sources
from ..prices import FREE, cost_of
from ..prompts import digest
from ..providers import ChatRequest, Chunk, Providers
from ..results import Call, Source, Stage, Usage
from ..settings import Settings
from .plan import Chair

# After the finish reason only the usage is still to come; a server that forgets it must not hold the run.
USAGE_GRACE = 5.0
BACKOFF, BACKOFF_MOST = 0.5, 30.0
DATED = re.compile(r"[-@:](\d{8}|\d{4}-\d{2}-\d{2})$")


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
    """What is asked in one call, apart from whom."""

    stage: Stage
    messages: Sequence[Mapping[str, Any]]
    version: str
    label: str = ""
    round: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    may_bill: int | None = None


@dataclass(slots=True)
class Received:
    """What one attempt has brought so far."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    sources: list[Source] = field(default_factory=list[Source])
    ttft: float | None = None
    served: str | None = None
    request_id: str | None = None
    finish: str | None = None
    usage: Usage | None = None
    cost: float | None = None

    def take(self, chunk: Chunk) -> None:
        if chunk.text:
            self.text.append(chunk.text)
        if chunk.reasoning:
            self.reasoning.append(chunk.reasoning)
        if chunk.sources:
            self.sources.extend(chunk.sources)
        self.served = chunk.served or self.served
        self.request_id = chunk.request_id or self.request_id
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage
        self.cost = chunk.cost if chunk.cost is not None else self.cost


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that ended well."""

    text: str
    reasoning: str
    sources: tuple[Source, ...]
    call: Call


@dataclass(slots=True)
class Tally:
    """What is known of a call over its attempts."""

    attempts: int = 0
    unreported: int = 0
    begun: float = 0.0
    received: Received = field(default_factory=Received)


async def ask(run: Run, chair: Chair, question: Question) -> Outcome:
    """Ask until it is answered, the retries are used up or the time is over.

    Raises:
        CallError: why there is no answer; its `text` is what had been written.
    """
    request = _request(run, chair, question)
    tally = Tally(begun=run.now())
    deadline = asyncio.get_running_loop().time() + run.settings.timeout
    try:
        await _attempts(run, chair, question, request, tally, deadline)
    except CallError as exc:
        run.emit(CallEnded(_record(run, chair, question, tally, error=str(exc))))
        raise
    except asyncio.CancelledError:
        tally.unreported += not chair.endpoint.costs_nothing
        run.emit(CallEnded(_record(run, chair, question, tally, error="Cancelled.")))
        raise
    call = _record(run, chair, question, tally)
    run.emit(CallEnded(call))
    _say_if_served_by_another(run, chair, call)
    received = tally.received
    return Outcome("".join(received.text), "".join(received.reasoning), merge_sources(received.sources), call)


async def _attempts(
    run: Run, chair: Chair, question: Question, request: ChatRequest, tally: Tally, deadline: float
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        tally.attempts += 1
        tally.received = Received()
        run.emit(CallStarted(question.stage, question.label, chair.model, tally.attempts, run.now()))
        try:
            await _attempt(run, question, request, tally.received, deadline)
            return _check_whole(run, chair, question, tally.received)
        except CallError as exc:
            exc.text = "".join(tally.received.text)
            tally.unreported += _may_be_billed(exc, chair, tally.received)
            wait = _wait(exc, tally.attempts)
            spent = question.may_bill is not None and tally.unreported >= question.may_bill
            used_up = tally.attempts > run.settings.retries or loop.time() + wait >= deadline
            if not exc.retryable or used_up or spent:
                raise
            run.emit(CallRetried(question.stage, question.label, chair.model, str(exc), wait))
            await asyncio.sleep(wait)


async def _attempt(
    run: Run, question: Question, request: ChatRequest, received: Received, deadline: float
) -> None:
    """Stream one attempt into `received`, with the clock on first token, gaps and the whole."""
    loop, settings = asyncio.get_running_loop(), run.settings
    begun = loop.time()
    watch = asyncio.timeout_at(min(deadline, begun + settings.connect_timeout + settings.first_token_timeout))
    try:
        async with watch, aclosing(run.providers.stream(request)) as chunks:
            async for chunk in chunks:
                received.take(chunk)
                now = loop.time()
                if chunk.text or chunk.reasoning:
                    if received.ttft is None:
                        received.ttft = now - begun
                    run.emit(Delta(question.stage, question.label, chunk.text, chunk.reasoning))
                patience = USAGE_GRACE if received.finish else settings.gap_timeout
                watch.reschedule(min(deadline, now + patience))
    except TimeoutError as exc:
        if received.finish is None:
            raise _late(run, request, received, loop.time() >= deadline) from exc


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
    """Raise for an answer that ended badly; warn for one that stopped at its limit."""
    has_text = any(piece.strip() for piece in received.text)
    match received.finish:
        case "error":
            raise StreamBroken(f"{chair.model}: the provider broke off the answer.", retryable=True)
        case "content_filter":
            raise ResponseFiltered(f"{chair.model}: a content filter stopped the answer.")
        case "length" if not has_text:
            raise ResponseCutOff(
                f"{chair.model} used up its tokens before it wrote anything; raise --max-tokens or lower --effort."
            )
        case "length" if not chair.endpoint.is_local:
            run.emit(Warned(f"{_who(question)}{chair.model} stopped at its token limit; --max-tokens raises it."))
        case _ if not has_text:
            raise EmptyResponse(f"{chair.model} finished without writing anything.", retryable=True)
        case _:
            pass


def _who(question: Question) -> str:
    return f"{question.label or question.stage}: "


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


def _may_be_billed(exc: CallError, chair: Chair, received: Received) -> bool:
    """Whether a failed attempt may cost something that nobody reported."""
    refused = isinstance(exc, RequestRefused | EndpointUnreachable) and received.ttft is None
    return not (refused or chair.endpoint.costs_nothing or received.cost is not None)


def _record(run: Run, chair: Chair, question: Question, tally: Tally, error: str | None = None) -> Call:
    received = tally.received
    if error is None:
        cost = received.cost if received.cost is not None else cost_of(received.usage, chair.price)
    else:
        cost = received.cost if received.cost is not None else None if tally.unreported else 0.0
    if chair.price == FREE:
        cost = 0.0
    return Call(
        stage=question.stage,
        round=question.round,
        label=question.label,
        model=chair.model,
        served_model=received.served,
        usage=received.usage,
        cost=cost,
        ttft=received.ttft,
        duration=run.now() - tally.begun,
        attempts=tally.attempts,
        unreported=tally.unreported,
        finish_reason=received.finish,
        error=error,
        request_id=received.request_id,
        messages_hash=digest(*(str(sorted(message.items())) for message in question.messages)),
        prompt_version=question.version,
        started=tally.begun,
    )


def _say_if_served_by_another(run: Run, chair: Chair, call: Call) -> None:
    served = call.served_model
    if served and not chair.endpoint.is_local and not same_model(chair.slug, served):
        run.emit(Warned(f"{chair.model} was asked, {served} answered."))


def same_model(asked: str, served: str) -> bool:
    """Whether the served model is the one asked for: variants, dates and `~…-latest` aliases count as the same."""
    if asked.startswith("~"):
        return True
    wanted, got = (DATED.sub("", name.partition(":")[0]) for name in (asked, served))
    return got in (wanted, wanted.rpartition("/")[2]) or got.startswith(f"{wanted}-20")
