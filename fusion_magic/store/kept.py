"""What the store takes in and gives out: calls, places, and lines of its lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..results import Call, Status


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call with what was asked and what came.

    Attributes:
        key: what it is: two calls of one key are the same.
        call: how it went.
        request: what was asked, as JSON; of pictures and files in it only length and hash are kept.
        answer: what came, as JSON.
        made: when, UTC.
        run: the run that asked.
    """

    key: str
    call: Call
    request: dict[str, Any]
    answer: dict[str, Any]
    made: datetime
    run: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose account a call is booked on: a notebook's path and a panel's name, empty where there is none."""

    notebook: str = ""
    preset: str = ""


class RunLine(NamedTuple):  # ten thousand are made at a time
    """A run in the history. Unfinished: it still runs, or was cut off and can be resumed.

    Attributes:
        prompt: its first line, shortened.
        panel: the panel's name, or its models.
        cost: US dollars; None if no call is priced.
        cost_is_partial: whether a call may have cost something that `cost` does not hold.
        saved: US dollars that its reused calls had cost.
        parent: the run that it was made from.
    """

    id: str
    created: datetime
    prompt: str
    status: Status | Literal["unfinished"]
    panel: str
    notebook: str
    cost: float | None
    cost_is_partial: bool
    saved: float
    thread: str | None
    parent: str | None


@dataclass(frozen=True, slots=True)
class CostLine:
    """What calls of one model, day, notebook or preset cost.

    Attributes:
        name: the model, the day (2026-11-22), the notebook or the preset; empty where there is none.
        calls: how many were asked; reused ones are not counted.
        tokens: input and output tokens, where reported.
        cost: US dollars of those whose cost is known; None if it is of none.
        not_priced: how many brought their tokens, but have no known price.
        not_reported: how many may have cost something that no server told.
    """

    name: str
    calls: int
    tokens: int
    cost: float | None
    not_priced: int
    not_reported: int


class Points(NamedTuple):
    """Where 20 %, 50 % and 90 % of past values lie below."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True)
class Experience:
    """How this user's calls of a model went in a stage.

    Attributes:
        n: how many calls it rests on.
        tokens: output tokens of a call, reasoning included; None if no server reported them.
        seconds: of a call; None if too few were asked outside of batches.
        steps: calls of a seat in a run: more than 1 where it uses tools.
    """

    n: int
    tokens: Points | None
    seconds: Points | None
    steps: Points


@dataclass(frozen=True, slots=True)
class StoreSize:
    """What is in the store; `bytes` on the disk, `since` the oldest run or call, None if there is none."""

    path: Path
    bytes: int
    calls: int
    runs: int
    since: datetime | None
