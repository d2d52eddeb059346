"""What a terminal shows while a run goes on: the plan, then one line for each seat; a fold of the run's events."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..characters import plain
from ..events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Notice,
    PlannedCall,
    RunStarted,
    SeatAnswered,
    SeatFailed,
    ToolEnded,
    ToolStarted,
)
from ..prices import FREE, UNKNOWN, Price
from .static.words import called

NBSP = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
DIGITS = re.compile(r"[\d.,]+")
CALLED = 80  # characters of a call of a tool
PERHAPS = "perhaps"  # of a call that depends on others' answers
NAMES = {"judge": "judge", "synthesis": "synthesizer", "hosted": "OpenRouter"}


@dataclass(slots=True)
class Seat:
    """One line: who, in what state, how much written."""

    name: str
    model: str
    price: Price
    state: str = "waiting"
    tools: int = 0  # that run now
    characters: int = 0
    begun: float | None = None
    ended: float | None = None

    def end(self, state: str) -> None:
        """It is over, if not by its own call then inside another one."""
        self.state = state
        self.ended = time.monotonic() if self.ended is None else self.ended

    def cells(self) -> tuple[str, ...]:
        """Who, price, state, how much, how long."""
        written = f"{self.characters:,}{NBSP}characters" if self.characters else ""
        until = self.ended if self.ended is not None else time.monotonic()
        clock = f"{until - self.begun:.1f}{NBSP}s" if self.begun is not None else ""
        price = "no cost" if self.price == FREE else str(self.price)
        return self.name, " ".join(self.model.split()), price, " ".join(self.state.split()), written, clock


@dataclass(slots=True)
class Progress:
    """The lines of a run; `apply` events, then read the `news`."""

    notice: str = ""
    seats: dict[tuple[str, str], Seat] = field(default_factory=dict[tuple[str, str], Seat])

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.notice = ""
                self._plan(event.plan)
            case Notice():
                self.notice = event.text
            case CallStarted():
                self._start(event)
            case Delta():
                seat = self.seats[event.stage, event.label]
                seat.characters += len(event.text)
                seat.state = "writing" if event.text else "thinking"
            case CallRetried():
                self.seats[event.stage, event.label].state = f"again in {event.wait:.1f} s: {event.error}"
            case CallEnded():
                # OpenRouter's call that this run's responses come from has no line.
                if seat := self.seats.get((event.call.stage, event.call.label)):
                    seat.state, seat.ended = event.call.error or "done", time.monotonic()
            case ToolStarted():
                seat = self.seats[event.stage, event.label]
                seat.tools, seat.ended = seat.tools + 1, None
                seat.state = f"searching: {called(event.tool, event.arguments)[:CALLED]}"
            case ToolEnded():
                # What a server ran was never told to begin, nor does anybody wait for it.
                seat = self.seats[event.use.stage, event.use.label]
                if seat.tools:
                    seat.tools -= 1
                    seat.state = seat.state if seat.tools else "thinking"
            case SeatFailed():
                lost = event.failed
                self.seats["panel", lost.label].end("skipped" if lost.skipped else f"no answer: {lost.error}")
            case SeatAnswered():
                self.seats["panel", event.response.label].end("done")
            case AnalysisReady():
                self.seats["judge", ""].end("done")
            case AnswerReady():
                # Where nobody writes, a seat's own words are the answer.
                if (writer := self.seats.get(("synthesis", ""))) and writer.state != PERHAPS:
                    writer.end("done")
            case _:
                pass

    def _start(self, event: CallStarted) -> None:
        new = Seat(event.label or NAMES[event.stage], event.model, UNKNOWN)  # a seat that OpenRouter added
        seat = self.seats.setdefault((event.stage, event.label), new)
        seat.model, seat.characters, seat.state, seat.ended, seat.tools = event.model, 0, "asked", None, 0
        seat.begun = seat.begun if seat.begun is not None else time.monotonic()

    def _plan(self, plan: tuple[PlannedCall, ...]) -> None:
        for call in plan:
            price = Price(call.prompt_price, call.completion_price)
            if call.fallback:
                spare = f" (or {call.model}, {price})"
                seat = self.seats[call.stage, call.label]
                seat.model += "" if seat.model.endswith(spare) else spare  # told once for all rounds
            else:
                state = PERHAPS if call.maybe else "waiting"
                self.seats.setdefault((call.stage, call.label), Seat(_name(call), call.model, price, state))

    def news(self) -> Iterator[tuple[str, str]]:
        """(subject, line) of what takes time and of each seat; a new subject is worth telling."""
        if self.notice:
            # A download that goes on is told once.
            yield f"notice {DIGITS.sub('', self.notice)}", plain(self.notice)
        for seat in self.seats.values():
            yield f"{seat.name} {seat.model} {seat.state}", plain("  ".join(filter(None, seat.cells())))


def _name(call: PlannedCall) -> str:
    return f"{call.label}'s ballot" if call.label and call.stage == "judge" else call.label or NAMES[call.stage]
