"""A later round: every seat that has answered is asked again, with what was said before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ... import prompts_small
from ...errors import CallError
from ...events import SeatAnswered, Warned
from ...prompts import run_digest, version_of
from ...results import Response
from ...settings import LABELS
from ..calls import ask, ask_or_fallback
from ..panel import samples_of
from ..plan import Chair
from ..question import Outcome, Question
from ..stages import Work

Asking = Callable[[Chair, Response], Question]


async def ask_again(work: Work, before: tuple[Response, ...], number: int, asking: Asking) -> tuple[Response, ...]:
    """The responses of round `number`, without tools; a seat that fails in it keeps its answer of the round before.

    Args:
        work: the run.
        before: the responses of the round before; seats without one are not asked.
        number: of the round, from 2.
        asking: what a chair is asked that wrote this response.
    """
    chairs = {chair.seat.label: chair for chair in work.plan.seats}
    now = {response.label: response for response in before}
    async with asyncio.TaskGroup() as group:
        for response in before:
            group.create_task(_again(work, chairs[response.label], response, number, asking, now))
    work.run.memory.settle()
    return tuple(now[response.label] for response in before)


async def _again(
    work: Work, chair: Chair, last: Response, number: int, asking: Asking, now: dict[str, Response]
) -> None:
    label, run = chair.seat.label, work.run

    async def attempt(chair: Chair) -> Response:
        return _response(last, chair, number, await ask(run, chair, asking(chair, last)))

    try:
        with work.skips.may_interrupt(label):
            response = await ask_or_fallback(run, "panel", chair, attempt)
    except CallError as exc:
        run.emit(Warned(f"{label} did not answer in round {number}, so its answer of round {last.round} stands: {exc}"))
        return
    except asyncio.CancelledError:
        if label in work.skips.labels:
            run.emit(Warned(f"{label} was skipped in round {number}; its answer of round {last.round} stands."))
        raise
    run.emit(SeatAnswered(response))
    now[label] = response


def _response(last: Response, chair: Chair, number: int, outcome: Outcome) -> Response:
    call = outcome.call
    return Response(
        label=last.label,
        model=chair.model,
        served_model=call.served_model,
        content=outcome.text.strip(),
        reasoning=outcome.reasoning,
        sources=outcome.sources,
        usage=call.usage,
        cost=call.cost,
        duration=call.duration,
        round=number,
    )


def question_of(
    work: Work, chair: Chair, number: int, version: str, texts: Mapping[str, str], messages: list[dict[str, Any]]
) -> Question:
    """What a seat is asked in round `number`, having read these texts; the embedded model only rewrites them."""
    matter, settings = work.matter(), work.plan.settings
    if chair.is_tiny:
        messages, version = (
            prompts_small.synthesis_messages(matter.question, texts, None),
            prompts_small.SYNTHESIS_VERSION,
        )
    return Question(
        "panel",
        messages,
        version if chair.is_tiny else version_of(version, matter.turns),
        label=chair.seat.label,
        round=number,
        temperature=settings.temperature if chair.seat.temperature is None else chair.seat.temperature,
        max_tokens=prompts_small.SYNTHESIS_TOKENS if chair.is_tiny else None,
        extra=prompts_small.SAMPLING["synthesis"] if chair.is_tiny else {},
        seed="" if chair.is_tiny else run_digest(matter.question, texts),
        # A layer that reads what the one before read is asked all the same: so many calls were announced.
        sample=samples_of(work.plan)[chair.seat.label] + len(LABELS) * (number - 2),
    )


def standing_orders(work: Work, chair: Chair) -> str:
    """The seat's persona and the run's system text."""
    return "\n\n".join(text for text in (chair.seat.system, work.plan.settings.system) if text)
