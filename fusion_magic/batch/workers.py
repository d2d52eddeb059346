"""The lines to all workers of a batch: who is there, who was lost, and their turns at the endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..endpoints import Endpoint
from ..errors import CallError
from .gates import Gated
from .line import GONE, LEASE, Note, Sender, packed, queue_name, unpacked

WATCH = 1.0  # seconds between two looks at who is there
PINGS = LEASE // 3  # looks between two signs of life
CLOSING = 1.5  # seconds in which workers close their connections at the end


class Worker:
    """One worker, and its turns."""

    def __init__(self, address: str, queue: Any) -> None:
        self.address, self.queue = address, queue
        self.sender = Sender(queue)
        self.gone = asyncio.Event()
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._inside: dict[int, asyncio.Future[CallError | None]] = {}

    def ask_turn(self, ticket: int, gate: Gated, endpoint: Endpoint) -> None:
        """Let the worker know when the turn has come."""
        self._waiting[ticket] = asyncio.create_task(self._turn(ticket, gate, endpoint))

    def leave(self, ticket: int, error: CallError | None) -> None:
        """The worker is done with a turn, or does not want it any more."""
        if ticket in self._inside:
            self._inside.pop(ticket).set_result(error)
        elif ticket in self._waiting:
            self._waiting[ticket].cancel()

    def leave_all(self) -> None:
        """Nobody is there any more who could."""
        for ticket in list(self._waiting):
            self.leave(ticket, CallError("The worker was lost."))  # which says nothing of the endpoint

    async def _turn(self, ticket: int, gates: Gated, endpoint: Endpoint) -> None:
        try:
            async with gates.gate(endpoint).turn() as turn:
                left = self._inside[ticket] = asyncio.get_running_loop().create_future()
                self.sender.put(Note("reply", ticket=ticket))
                turn.error = await left
        except CallError as exc:
            self.sender.put(Note("reply", exc, ticket=ticket))
        finally:
            self._waiting.pop(ticket, None)


class Workers:
    """Lives in the event loop of the runs.

    Args:
        client: a `distributed.Client` of this loop.
        batch: its id.
        gates: of all endpoints.
        do: told what needs no answer, in the order in which a worker says it.
        answer: asked what does.

    Attributes:
        listening: done, with its error, when nothing can be heard any more.
    """

    def __init__(
        self,
        client: Any,
        batch: str,
        gates: Gated,
        do: Callable[[Note], None],
        answer: Callable[[Note], Awaitable[Any]],
    ) -> None:
        self._client, self._batch, self._gates, self._do, self._answer = client, batch, gates, do, answer
        self._workers: dict[str, Worker] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.listening = asyncio.create_task(self._listen())
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop what is under way, hear what there is still to be said of it, and let the workers forget the batch."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.sender.put(Note("goodbye"))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*(worker.gone.wait() for worker in workers))
        for worker in workers:
            await self._part(worker)
        for task in (*self._answering, self._watching):
            task.cancel()
        await self._hush()

    async def _listen(self) -> None:
        home = await self._queue()
        while True:
            address, notes = unpacked(await home.get())
            if not address:
                return home.close()
            worker = self._workers.get(address)
            if worker is None:
                worker = self._workers[address] = Worker(address, await self._queue(address))
            for note in notes:
                self._take(worker, note)

    async def _hush(self) -> None:
        """End the listening by a last message: what is only cancelled here goes on waiting in the scheduler."""
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(CLOSING):
                home = await self._queue()
                await home.put(packed(("", [])))
                await asyncio.wait({self.listening})
                home.close()
        self.listening.cancel()

    async def _queue(self, worker: str = "") -> Any:
        from distributed import Queue

        return await Queue(queue_name(self._batch, worker), client=self._client)

    def _take(self, worker: Worker, note: Note) -> None:
        match note.about:
            case "turn":
                worker.ask_turn(note.ticket, self._gates, note.value)
            case "leave":
                worker.leave(*note.value)
            case "hear":
                endpoint, headers = note.value
                self._gates.gate(endpoint).hear(headers)
            case "gone":
                worker.gone.set()
            case _ if note.ticket or note.about == "arrived":
                task = asyncio.create_task(self._reply(worker, note))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case _:
                self._do(note)

    async def _reply(self, worker: Worker, note: Note) -> None:
        try:
            value = await self._answer(note)
        except Exception as exc:  # is raised where it was asked
            value = exc
        if note.about == "arrived":
            worker.leave_all()  # it may have been here before, and have given the batch up
            worker.gone.clear()
        worker.sender.put(Note("welcome" if note.about == "arrived" else "reply", value, ticket=note.ticket))

    async def _watch(self) -> None:
        looks = 0
        with suppress(*GONE):  # who listens says so
            while True:
                await asyncio.sleep(WATCH)
                looks += 1
                known = await self._client.nthreads()
                for address in self._workers.keys() - known.keys():
                    await self._part(self._workers.pop(address))
                for worker in self._workers.values() if looks % PINGS == 0 else ():
                    worker.sender.put(Note("ping"))

    async def _part(self, worker: Worker) -> None:
        worker.leave_all()
        await worker.sender.close(0)
        with suppress(*GONE):
            await worker.queue.get(batch=True)  # the scheduler must not keep what nobody fetches: keys are in it
            worker.queue.close()
