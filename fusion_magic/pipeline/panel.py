"""The panel: every seat asked in parallel; a lost seat is an event, not an exception."""

from __future__ import annotations

import asyncio

from .. import prompts_small
from ..errors import CallError
from ..events import SeatAnswered, SeatFailed, Warned
from ..prompts import PANEL_VERSION, panel_messages
from ..results import FailedModel, Response, Source
from .calls import Outcome, Question, Run, ask
from .plan import Chair, Plan


class Quorum:
    """Counts seats; `reached` when enough have answered or all have ended."""

    def __init__(self, seats: int, wanted: int | None) -> None:
        self._left, self._wanted = seats, wanted or seats
        self._answers = 0
        self.reached = asyncio.Event()
        self.left_behind = False

    def seat_ended(self, answered: bool) -> None:
        self._left -= 1
        self._answers += answered
        if not self._left or self._answers >= self._wanted:
            self.reached.set()


async def ask_panel(run: Run, plan: Plan, prompt: str) -> tuple[Response, ...]:
    """Ask every seat; returns the answers in seat order, perhaps none.

    With a quorum of K the seats that have not answered `grace` seconds after the K-th answer are left behind.
    """
    quorum = Quorum(len(plan.seats), plan.settings.quorum)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_seat(run, chair, prompt, quorum)) for chair in plan.seats]
        await quorum.reached.wait()
        _, late = await asyncio.wait(tasks, timeout=plan.settings.grace)
        quorum.left_behind = bool(late)
        for task in late:
            task.cancel()
    answers = [task.result() for task in tasks if not task.cancelled()]
    return tuple(answer for answer in answers if answer)


async def _seat(run: Run, chair: Chair, prompt: str, quorum: Quorum) -> Response | None:
    try:
        response = await _ask_with_fallback(run, chair, prompt)
    except CallError as exc:
        _lose(run, chair, str(exc), exc.status_code, exc.text)
        quorum.seat_ended(answered=False)
        return None
    except asyncio.CancelledError:
        if quorum.left_behind:
            _lose(run, chair, f"Left behind: the quorum of {run.settings.quorum} had answered.", None, "")
        raise
    run.emit(SeatAnswered(response))
    quorum.seat_ended(answered=True)
    return response


async def _ask_with_fallback(run: Run, chair: Chair, prompt: str) -> Response:
    try:
        return _response(chair, await _ask(run, chair, prompt))
    except CallError as exc:
        spare = chair.fallback
        if spare is None:
            raise
        run.emit(Warned(f"{chair.seat.label}: {exc} {spare.model} is asked in its place."))
        try:
            return _response(spare, await _ask(run, spare, prompt))
        except CallError as second:
            text = second.text or exc.text
            raise CallError(f"{exc} Its fallback: {second}", status_code=second.status_code, text=text) from second


async def _ask(run: Run, chair: Chair, prompt: str) -> Outcome:
    seat, settings, small = chair.seat, run.settings, chair.is_tiny
    question = Question(
        stage="panel",
        label=seat.label,
        messages=panel_messages(prompt, seat.system, settings.system),
        version=prompts_small.PANEL_VERSION if small else PANEL_VERSION,
        extra=prompts_small.SAMPLING["panel"] if small else {},
        temperature=settings.temperature if seat.temperature is None else seat.temperature,
    )
    return await ask(run, chair, question)


def _response(chair: Chair, outcome: Outcome) -> Response:
    call, label = outcome.call, chair.seat.label
    return Response(
        label=label,
        model=chair.model,
        served_model=call.served_model,
        content=outcome.text.strip(),
        reasoning=outcome.reasoning,
        sources=tuple(Source(url=source.url, title=source.title, labels=(label,)) for source in outcome.sources),
        usage=call.usage,
        cost=call.cost,
        duration=call.duration,
    )


def _lose(run: Run, chair: Chair, error: str, status: int | None, text: str) -> None:
    seat = chair.seat
    failed = FailedModel(label=seat.label, model=chair.model, error=error, status_code=status, content=text)
    run.emit(SeatFailed(failed))
