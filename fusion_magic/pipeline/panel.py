"""The panel: every seat asked in parallel; a lost seat is an event, not an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from .. import prompts_small
from ..errors import CallError
from ..events import SeatAnswered, SeatFailed
from ..prompts import PANEL_VERSION, panel_messages
from ..results import FailedModel, Response, Source
from .calls import Outcome, Question, Run, ask, ask_or_fallback
from .plan import Chair, Plan


class Skips:
    """Seats that the reader leaves out while they are asked; lives in the run's event loop."""

    def __init__(self) -> None:
        self.labels: set[str] = set()
        self._asking: dict[str, asyncio.Task[None]] = {}

    def skip(self, label: str) -> None:
        """Leave a seat out: now, or as soon as it begins. One that has answered keeps its answer."""
        self.labels.add(label)
        if task := self._asking.get(label):
            task.cancel()

    @contextmanager
    def may_interrupt(self, label: str) -> Generator[None]:
        """The block that asks a seat. Raises CancelledError where the seat is skipped."""
        if label in self.labels:
            raise asyncio.CancelledError
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        self._asking[label] = task
        try:
            yield
        finally:
            del self._asking[label]


class Quorum:
    """Gathers answers; `reached` when there are enough or all seats have ended."""

    def __init__(self, seats: int, wanted: int | None) -> None:
        self._left, self._wanted = seats, wanted or seats
        self.answers: dict[str, Response] = {}
        self.reached = asyncio.Event()
        self.left_behind = False

    def seat_ended(self, answer: Response | None) -> None:
        self._left -= 1
        if answer:
            self.answers[answer.label] = answer
        if not self._left or len(self.answers) >= self._wanted:
            self.reached.set()


async def ask_panel(run: Run, plan: Plan, prompt: str, skips: Skips) -> tuple[Response, ...]:
    """Ask every seat; returns the answers in seat order, perhaps none.

    With a quorum of K the seats that have not answered `grace` seconds after the K-th answer are left behind.
    """
    quorum = Quorum(len(plan.seats), plan.settings.quorum)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_seat(run, chair, prompt, quorum, skips)) for chair in plan.seats]
        await quorum.reached.wait()
        _, late = await asyncio.wait(tasks, timeout=plan.settings.grace)
        quorum.left_behind = bool(late)
        for task in late:
            task.cancel()
    # Not the tasks' results: one that was cancelled with its last word has answered and has no result.
    return tuple(answer for _, answer in sorted(quorum.answers.items()))


async def _seat(run: Run, chair: Chair, prompt: str, quorum: Quorum, skips: Skips) -> None:
    drafts: list[str] = []

    async def answer(chair: Chair) -> Response:
        return _response(chair, await _ask(run, chair, prompt, drafts))

    try:
        with skips.may_interrupt(chair.seat.label):
            response = await ask_or_fallback(run, "panel", chair, answer)
    except CallError as exc:
        _lose(run, chair, str(exc), exc.status_code, exc.text)
        return quorum.seat_ended(None)
    except asyncio.CancelledError:
        written = max(drafts, key=len, default="")
        if chair.seat.label in skips.labels:
            _lose(run, chair, "Skipped.", None, written, skipped=True)
            quorum.seat_ended(None)
        elif quorum.left_behind:
            _lose(run, chair, f"Left behind: the quorum of {run.settings.quorum} had answered.", None, written)
        raise
    run.emit(SeatAnswered(response))
    quorum.seat_ended(response)


async def _ask(run: Run, chair: Chair, prompt: str, drafts: list[str]) -> Outcome:
    seat, settings, small = chair.seat, run.settings, chair.is_tiny
    question = Question(
        stage="panel",
        label=seat.label,
        messages=panel_messages(prompt, seat.system, settings.system),
        version=prompts_small.PANEL_VERSION if small else PANEL_VERSION,
        extra=prompts_small.SAMPLING["panel"] if small else {},
        temperature=settings.temperature if seat.temperature is None else seat.temperature,
        drafts=drafts,
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


def _lose(run: Run, chair: Chair, error: str, status: int | None, text: str, *, skipped: bool = False) -> None:
    label, model = chair.seat.label, chair.model
    lost = FailedModel(label=label, model=model, error=error, status_code=status, content=text, skipped=skipped)
    run.emit(SeatFailed(lost))
