"""The panel: every seat asked in parallel; a lost seat is an event, not an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import prompts_small
from ..errors import CallError
from ..events import SeatAnswered, SeatFailed, Warned
from ..prompts import PANEL_VERSION, TOOLS_VERSION, USE_TOOLS, panel_messages, version_of
from ..results import FailedModel, Response, Source
from .calls import ask_or_fallback
from .given import NOTHING, Given, Turn, bounded
from .kit import Kit
from .plan import Chair, Plan
from .question import Outcome, Question, Run
from .task import Task
from .tool_loop import Bag, Talk, converse

if TYPE_CHECKING:
    from ..attachments import Attachment


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


@dataclass(frozen=True, slots=True)
class Briefing:
    """What every seat is given: the prompt with what goes along, and the tools of the run."""

    prompt: str
    kit: Kit
    attachments: tuple[Attachment, ...] = ()
    given: Given = NOTHING
    turns: tuple[Turn, ...] = ()
    task: Task | None = None
    usable: Callable[[str], bool] | None = None

    def content(self, chair: Chair) -> Any:
        """The user's message in the form that the chair's model takes."""
        if not self.attachments:
            return self._asked(chair)
        from ..attachments import message_parts

        return message_parts(self._asked(chair), self.attachments, chair.inputs)[0]

    def _asked(self, chair: Chair) -> str:
        words = (self.task.tiny_words if chair.is_tiny else self.task.words) if self.task else ""
        return f"{self.prompt}\n\n{words}" if words else self.prompt

    def bag(self, chair: Chair) -> Bag:
        """The chair's tools."""
        return self.kit.bag(chair, chair.seat.label, self.prompt)


async def ask_panel(run: Run, plan: Plan, briefing: Briefing, skips: Skips) -> tuple[Response, ...]:
    """Ask every seat; returns the answers in seat order, perhaps none.

    With a quorum of K the seats that have not answered `grace` seconds after the K-th answer are left behind.
    """
    quorum = Quorum(len(plan.seats), plan.settings.quorum)
    given = {response.label: response for response in briefing.given.responses}
    for response in given.values():
        run.emit(SeatAnswered(response))
        quorum.seat_ended(response)
    for lost in briefing.given.failed:
        run.emit(SeatFailed(lost))
        quorum.seat_ended(None)
    asked = [chair for chair in plan.seats if chair.seat.label not in briefing.given.labels]
    if not asked:
        return tuple(answer for _, answer in sorted(given.items()))
    samples = samples_of(plan)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_seat(run, chair, briefing, quorum, skips, samples[chair.seat.label])) for chair in asked
        ]
        await quorum.reached.wait()
        late = {task for task in tasks if not task.done()}
        if late:
            _, late = await asyncio.wait(late, timeout=plan.settings.grace)
        quorum.left_behind = bool(late)
        for task in late:
            task.cancel()
    # Not the tasks' results: one that was cancelled with its last word has answered and has no result.
    return tuple(answer for _, answer in sorted(quorum.answers.items()))


def samples_of(plan: Plan) -> dict[str, int]:
    """How many seats before this one are the very same, so that a model which sits twice is asked twice."""
    seats = [chair.seat.model_copy(update={"label": ""}) for chair in plan.seats]
    return {chair.seat.label: seats[:place].count(seats[place]) for place, chair in enumerate(plan.seats)}


async def _seat(run: Run, chair: Chair, briefing: Briefing, quorum: Quorum, skips: Skips, sample: int) -> None:
    drafts: list[str] = []

    async def answer(chair: Chair) -> Response:
        bag = briefing.bag(chair)
        question = question_for(run, chair, briefing, bag, drafts, sample)
        outcome, talk = await converse(run, chair, question, bag)
        if briefing.usable and not briefing.usable(outcome.text):
            run.memory.disown([outcome.key])
        return _response(run, chair, briefing.kit, outcome, talk)

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


def question_for(run: Run, chair: Chair, briefing: Briefing, bag: Bag, drafts: list[str], sample: int) -> Question:
    """What a seat is asked first; `sample` tells apart those that are asked the very same."""
    seat, settings, small = chair.seat, run.settings, chair.is_tiny
    system = (seat.system, settings.system, USE_TOOLS if bag else None)
    version = prompts_small.PANEL_VERSION if small else TOOLS_VERSION if bag else PANEL_VERSION
    turns = bounded(briefing.turns, "", prompts_small.TURNS_LIMIT)[0] if small else briefing.turns
    task = briefing.task
    version = f"{version}+{task.version}" if task else version
    return Question(
        stage="panel",
        label=seat.label,
        messages=panel_messages(briefing.content(chair), *system, turns=turns),
        version=version_of(version, turns),
        extra=((task and task.tiny_sampling) or prompts_small.SAMPLING["panel"]) if small else {},
        temperature=settings.temperature if seat.temperature is None else seat.temperature,
        drafts=drafts,
        sample=sample,
    )


def _response(run: Run, chair: Chair, kit: Kit, outcome: Outcome, talk: Talk) -> Response:
    label, text = chair.seat.label, outcome.text.strip()
    usage, cost, duration = talk.spent()
    return Response(
        label=label,
        model=chair.model,
        served_model=outcome.call.served_model,
        content=text,
        reasoning="\n\n".join(filter(None, talk.reasoning)),
        sources=_permitted(run, kit, label, talk.sources(text)),
        usage=usage,
        cost=cost,
        duration=duration,
    )


def _permitted(run: Run, kit: Kit, label: str, sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """The sources of sites that the run allows: a server may not keep to the lists it was given."""
    kept = tuple(source for source in sources if kit.permits(source.url))
    if len(kept) < len(sources):
        run.emit(Warned(f"{label}: {len(sources) - len(kept)} pages of sites that are not allowed were cited."))
    return tuple(source.model_copy(update={"labels": (label,)}) for source in kept)


def _lose(run: Run, chair: Chair, error: str, status: int | None, text: str, *, skipped: bool = False) -> None:
    label, model = chair.seat.label, chair.model
    lost = FailedModel(label=label, model=model, error=error, status_code=status, content=text, skipped=skipped)
    run.emit(SeatFailed(lost))
