"""The attempts of one call: streamed, watched by the clock, sent again where nothing is lost by it."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace

from ..errors import (
    CallError,
    CallTimeout,
    EmptyResponse,
    EndpointUnreachable,
    FusionError,
    OverBudget,
    RequestRefused,
    ResponseCutOff,
    ResponseFiltered,
    StreamBroken,
)
from ..events import CallRetried, CallStarted, Delta, Warned
from ..providers import ChatRequest
from .accounts import Received, Tally
from .memory import has_server_tools
from .plan import Chair
from .question import Question, Run, who
from .tokens import request_tokens

# After the finish reason only the usage is still to come; a server that forgets it must not hold the run.
USAGE_GRACE = 5.0
# The clock on gaps is not set anew for each of many tokens; so it may ring this many seconds late.
WATCH_SLACK = 0.1
BACKOFF, BACKOFF_MOST = 0.5, 30.0


async def attempts(
    run: Run, chair: Chair, question: Question, request: ChatRequest, tally: Tally, deadline: float
) -> None:
    loop = asyncio.get_running_loop()
    await run.memory.settled()
    while True:
        async with run.providers.turn(request) as turn:
            deadline += turn.waited
            tally.begun += turn.waited
            sent = _within_budget(run, chair, question, request)
            tally.next_attempt()
            tally.is_shortened = sent.max_tokens < request.max_tokens
            run.emit(CallStarted(question.stage, question.label, chair.model, tally.attempts, run.now()))
            try:
                await _attempt(run, question, sent, tally.received, deadline)
                _check_whole(run, chair, question, tally)
            except CallError as exc:
                turn.error = exc
                refused = _is_refused(exc, tally.received)
                _settle(tally, question, refused=refused)
                if refused and run.budget:
                    run.budget.release(question.stage, question.label)
                exc.text = max(question.drafts, key=len)
                wait = _wait(exc, tally.attempts)
                most = run.settings.retries + (turn.patience if exc.slows_down else 0)
                used_up = tally.attempts > most or loop.time() + wait >= deadline
                if not exc.retryable or used_up or question.allowance.is_spent:
                    raise
                run.emit(CallRetried(question.stage, question.label, chair.model, str(exc), wait))
            except asyncio.CancelledError:
                _settle(tally, question)
                raise
            else:
                return _settle(tally, question, answered=True)
        await asyncio.sleep(wait)


def _within_budget(run: Run, chair: Chair, question: Question, request: ChatRequest) -> ChatRequest:
    """The request with as many output tokens as the run's budget has left for it.

    Raises:
        OverBudget: it is too little; the call is not sent.
    """
    if run.budget is None or request.simulated:
        return request
    stage, label, has_tools = question.stage, question.label, has_server_tools(request)
    try:
        tokens = run.budget.admit(
            stage, label, chair.price, request_tokens(request), request.max_tokens, has_server_tools=has_tools
        )
    except OverBudget as exc:
        exc.text = max(question.drafts, key=len, default="")
        raise
    return replace(request, max_tokens=tokens)


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
    begun, heard = loop.time(), question.listen()
    slack, watched = min(WATCH_SLACK, settings.gap_timeout / 10), 0.0
    async with aclosing(run.providers.stream(request)) as chunks:
        async for chunk in chunks:
            received.take(chunk)
            now = loop.time()
            if question.overhear:
                question.overhear(chunk)
            if chunk.text or chunk.reasoning or chunk.inner:
                if received.ttft is None:
                    received.ttft = now - begun
                shown = heard(chunk.text) if chunk.text else ""
                if shown or chunk.reasoning:
                    run.emit(Delta(question.stage, question.label, shown, chunk.reasoning))
            # An empty first chunk only says that the model was found: it may think for minutes yet.
            says_more = chunk.text or chunk.reasoning or chunk.inner  # some servers say "stop" with every chunk
            if chunk.finish or (received.finish and says_more):
                watch.reschedule(min(deadline, now + USAGE_GRACE))
            elif not received.finish and received.ttft is not None and now - watched >= slack:
                watched = now
                watch.reschedule(min(deadline, now + settings.gap_timeout + slack))


def _late(run: Run, request: ChatRequest, received: Received, over: bool) -> CallTimeout:
    settings = run.settings
    if over:
        return CallTimeout(f"{request.name} took more than {settings.timeout:g} s; --timeout raises the limit.")
    if received.ttft is None:
        limit = f"no token within {settings.first_token_timeout:g} s"
        return CallTimeout(f"{request.name}: {limit}; --first-token-timeout raises the limit.", retryable=True)
    limit = f"nothing for {settings.gap_timeout:g} s"
    return CallTimeout(f"{request.name} stalled: {limit}; --gap-timeout raises the limit.", retryable=True)


def _check_whole(run: Run, chair: Chair, question: Question, tally: Tally) -> None:
    """Raise for an answer that ended badly; warn for one that may not be whole."""
    received = tally.received
    speaker = who(question.stage, question.label)
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
        case "length" if tally.is_shortened:
            run.emit(Warned(f"{speaker}: {chair.model} was cut short by the run's budget."))
        case "length":
            if not chair.is_tiny:  # its answers are always cut at their few tokens
                run.emit(Warned(f"{speaker}: {chair.model} stopped at its token limit; --max-tokens raises it."))
        case other:
            reason = f'"{other[:40]}"' if other else "no reason"
            run.emit(Warned(f'{speaker}: {chair.model} ended with {reason}, not with "stop"; it may not be whole.'))


def _wait(exc: CallError, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for, else exponential with full jitter."""
    if exc.retry_after is not None:
        return exc.retry_after
    most = min(BACKOFF_MOST, BACKOFF * 2 ** (attempt - 1))
    return random.uniform(most / 2, most)
