"""The line between a batch and a worker of its cluster: notes in two queues of the scheduler, each in order.

Everything passes the scheduler, as workers often can't reach the process that asks. Queues rather than tasks, so that
neither prompts nor keys are in the task graph, which the scheduler keeps and its dashboard shows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

Subject = Literal[
    "arrived", "row", "turn", "leave", "hear", "store", "gone",  # of a worker
    "welcome", "reply", "ping", "goodbye",  # to it
]  # fmt: skip
# What is raised without a scheduler; the last two by a client that has closed itself.
GONE = (OSError, AttributeError, RuntimeError)
LEASE = 30.0  # seconds without a note after which a worker takes the batch for dead and asks nobody any more


@dataclass(frozen=True, slots=True)
class Note:
    """What one side tells the other.

    Attributes:
        about: what it is.
        row: the number of the row that it belongs to, if it does.
        ticket: the number under which an answer is waited for, and given; 0 where none is.
        value: anything that pickle takes; an exception as an answer is raised.
    """

    about: Subject
    value: Any = None
    row: int = -1
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a worker says of itself.

    Attributes:
        worker: its address.
        version: of this package there.
        scheduler: the scheduler's address as the worker knows it.
    """

    worker: str
    version: str
    scheduler: str


@dataclass(frozen=True, slots=True)
class Asking:
    """What a worker is told of a row.

    Attributes:
        prompt, notes: as in a request.
        limit: US dollars that it may still cost.
        is_again: a worker that had it was lost: what that one was answered counts, even if all is to be asked afresh.
    """

    prompt: str
    notes: tuple[str, ...]
    limit: float | None
    is_again: bool


def queue_name(batch: str, worker: str = "") -> str:
    """The name of the queue to a worker, or of the one to the batch."""
    return f"fusion-{batch}-{worker or 'home'}"


class Sender:
    """Sends notes in order, all that wait in one message; lives in the event loop of the runs.

    Args:
        queue: a `distributed.Queue`.
        sender: who they are from.
    """

    def __init__(self, queue: Any, sender: str = "") -> None:
        self._queue, self._from = queue, sender
        self._waiting: list[Note] = []
        self._filled = asyncio.Event()
        self._is_closing = False
        self._task = asyncio.create_task(self._send())

    def put(self, note: Note) -> None:
        """Send it soon."""
        self._waiting.append(note)
        self._filled.set()

    async def close(self, seconds: float) -> None:
        """Send what waits, for so many seconds at most, and end."""
        self._is_closing = True
        self._filled.set()
        await asyncio.wait([self._task], timeout=seconds)
        self._task.cancel()

    async def _send(self) -> None:
        with suppress(*GONE):  # which who listens finds out too
            while not (self._is_closing and not self._waiting):
                await self._filled.wait()
                self._filled.clear()
                notes, self._waiting = self._waiting, []
                if notes:
                    # Not in a thread: on a worker all threads may be waiting for what is sent here.
                    await self._queue.put(packed((self._from, notes)))


def packed(value: Any) -> bytes:
    """The value as bytes; what a notebook defines goes along with it."""
    from distributed.protocol import pickle

    library: Any = pickle
    return library.dumps(value)


def unpacked(message: bytes) -> Any:
    """What `packed` was given. Raises anything where a library is missing."""
    from distributed.protocol import pickle

    library: Any = pickle
    return library.loads(message)
