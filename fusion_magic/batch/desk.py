"""What a worker of a cluster has of a batch: its rows under way, and the line to the process that asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from .._loop import loop_thread
from ..endpoints import Endpoint
from ..errors import FusionError, KeyMissing
from ..keys import find_key
from ..pipeline.request import FusionRequest
from ..providers import ChatRequest, Chunk, Providers, Turn
from ..providers.limits import closed_for
from ..results import FusionResult
from ..store import Store
from .carrying import Ended, ended, limited
from .gates import PATIENCE
from .line import GONE, LEASE, Arrival, Asking, Note, Sender, Subject, queue_name, unpacked

CLOSING = 1.0  # seconds for connections to close when the batch is stopped


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a worker is told of the batch.

    Attributes:
        request: what is the same for every row, with the plan.
        keys: by the name of the endpoint.
        withheld: endpoints whose keys were not sent, as others could read them on the way.
        keeps: whether there is a store.
    """

    request: FusionRequest
    keys: Mapping[str, SecretStr]
    withheld: frozenset[str]
    keeps: bool


class LeftAlone(Exception):
    """The batch has ended, or its process can't be heard any more."""


def carry_row(batch: str, number: int) -> Ended:
    """The task of a row, in a thread of a worker; what it needs to know comes over the line."""
    from distributed import Reschedule, get_worker, secede

    worker: Any = get_worker()
    secede()  # rows wait for models, so there are more of them than threads
    place = (worker.address, worker.scheduler.address, worker.security)
    try:
        return loop_thread().submit(_carried(batch, number, *place)).future.result()
    except (LeftAlone, CancelledError):
        raise Reschedule from None  # to where the batch is heard, if there is one


async def _carried(batch: str, number: int, address: str, scheduler: str, security: Any) -> Ended:
    desk = _desks.get((batch, address))
    if desk is None:
        desk = _desks[batch, address] = Desk(batch, address, scheduler, security)
    return await desk.carry(number)


class Desk:
    """Lives in the event loop of the runs.

    Args:
        batch: its id.
        address: of this worker.
        scheduler: its address.
        security: what connections to it need.
    """

    def __init__(self, batch: str, address: str, scheduler: str, security: Any) -> None:
        self._batch, self._address, self._scheduler = batch, address, scheduler
        self.numbers = count(time.time_ns())  # an answer to an earlier desk of this batch must not be taken for ours
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._rows: set[asyncio.Task[Any]] = set()
        self._early: list[Note] = []
        self._sender: Sender | None = None
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self._providers: Distant | None = None
        self._serving = asyncio.create_task(self._serve(security))

    # --- rows ----------------------------------------------------------------------------------------

    async def carry(self, number: int) -> Ended:
        """Carry a row out.

        Raises:
            FusionError: as `run`, before the first call.
            LeftAlone: the batch has ended.
        """
        task = asyncio.current_task()
        assert task is not None
        self._rows.add(task)
        try:
            welcome = await asyncio.shield(self._welcome)
            asking = await self.ask("row", row=number)
            store = cast("Store", Relay(self, number)) if welcome.keeps else None
            self._providers = self._providers or Distant(self, welcome, self._address)
            end = await ended(_request(welcome.request, asking), self._providers, store)
            if store is not None:  # what it was answered is on the disk before the row counts as done
                await asyncio.wrap_future(store.settled())
            return replace(end, result=end.result and without_parsed(end.result))
        finally:
            self._rows.discard(task)

    # --- the line ------------------------------------------------------------------------------------

    def tell(self, about: Subject, value: Any = None, *, row: int = -1, ticket: int = 0) -> None:
        """Send a note; in the loop."""
        note = Note(about, value, row, ticket)
        if self._sender:
            self._sender.put(note)
        else:
            self._early.append(note)

    async def ask(self, about: Subject, value: Any = None, *, row: int = -1, ticket: int = 0) -> Any:
        """Send a note and wait for the answer. Raises what the answer is, if that is an exception."""
        if self._serving.done():
            raise LeftAlone
        ticket = ticket or next(self.numbers)
        answer = self._asked[ticket] = asyncio.get_running_loop().create_future()
        try:
            self.tell(about, value, row=row, ticket=ticket)
            return await answer
        finally:
            del self._asked[ticket]

    async def _serve(self, security: Any) -> None:
        from distributed import Client, Queue

        try:
            options: Any = {"asynchronous": True, "set_as_default": False, "security": security}
            async with Client(self._scheduler, name="fusion-worker", **options) as client:
                mine: Any = await Queue(queue_name(self._batch, self._address), client=client)
                home: Any = await Queue(queue_name(self._batch), client=client)
                self._sender = Sender(home, self._address)
                self.tell("arrived", Arrival(self._address, version("fusion-magic"), self._scheduler))
                for note in self._early:
                    self._sender.put(note)
                with suppress(TimeoutError):
                    while self._hears(unpacked(await mine.get(timeout=LEASE))[1]):
                        pass
                await self._leave()
                mine.close()
                home.close()
        except GONE:  # and the worker with it
            pass
        finally:
            self._end()

    def _hears(self, notes: list[Note]) -> bool:
        """Take notes in; False after the last."""
        for note in notes:
            if note.about == "goodbye":
                return False
            if note.about == "welcome":
                _settle(self._welcome, self._read_welcome(note.value))
            elif waiting := self._asked.get(note.ticket):
                _settle(waiting, note.value)
        return True

    def _read_welcome(self, value: Any) -> Any:
        try:
            return unpacked(value) if isinstance(value, bytes) else value
        except Exception as exc:  # a library that is not here
            return FusionError(f"The worker {self._address} can't read what is asked ({exc!r}); install it there.")

    async def _leave(self) -> None:
        """Stop the rows under way, and send what there is to be said of them."""
        for row in self._rows:
            row.cancel()
        if self._rows:
            await asyncio.wait(self._rows, timeout=CLOSING)
        self.tell("gone")
        assert self._sender is not None
        await self._sender.close(CLOSING)

    def _end(self) -> None:
        _desks.pop((self._batch, self._address), None)  # and with it the keys
        for waiting in (self._welcome, *self._asked.values()):
            if not waiting.done():
                waiting.set_exception(LeftAlone())
                waiting.exception()  # nobody need have waited
        for row in self._rows:
            row.cancel()


_desks: dict[tuple[str, str], Desk] = {}  # by batch and address: several workers may live in one process


class Relay:
    """The store of the process that asks, as runs here use it; see `Store`."""

    path = Path("store.sqlite3")
    problem = None  # the other process says so itself
    has_begun = True

    def __init__(self, desk: Desk, row: int) -> None:
        self._desk, self._row, self._loop = desk, row, asyncio.get_running_loop()

    def is_new(self) -> bool:
        return False

    def settled(self) -> Future[None]:
        return self._ask("settled")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in ("find", "web", "experience", "spent"):  # called in threads, which wait
            return lambda *args, **named: self._ask(name, *args, **named).result()
        if name in ("keep", "disown", "begin", "note", "draft", "end", "keep_web"):
            return lambda *args, **named: self._desk.tell("store", (name, _plain(args), named), row=self._row)
        raise AttributeError(name)

    def _ask(self, name: str, *args: Any, **named: Any) -> Future[Any]:
        asking = self._desk.ask("store", (name, args, named), row=self._row)
        return asyncio.run_coroutine_threadsafe(asking, self._loop)


class Distant(Providers):
    """Who answers, with the turns and the keys of the process that asks.

    Args:
        desk: of this batch.
        welcome: has the keys.
        address: of this worker.
    """

    def __init__(self, desk: Desk, welcome: Welcome, address: str) -> None:
        super().__init__()
        self._desk, self._welcome, self._address = desk, welcome, address

    @asynccontextmanager
    async def turn(self, request: ChatRequest) -> AsyncGenerator[Turn]:
        begun, place = time.monotonic(), next(self._desk.numbers)
        turn = Turn(patience=PATIENCE)
        try:
            await self._desk.ask("turn", request.endpoint, ticket=place)
            turn.waited = time.monotonic() - begun
            yield turn
        finally:
            self._desk.tell("leave", (place, turn.error))

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        endpoint = request.endpoint
        key = self._welcome.keys.get(endpoint.name)
        if endpoint.name in self._welcome.withheld and find_key(endpoint) is None:
            raise KeyMissing(
                f"The key for {endpoint.name} was not sent to the worker {self._address}, as it could be read on the "
                f"way; encrypt the cluster's connections (TLS), or set {endpoint.key_env} where workers are started."
            )
        return super().stream(replace(request, key=key, hear=partial(self._hear, endpoint)))

    def _hear(self, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        if closed_for(headers) is not None:
            self._desk.tell("hear", (endpoint, dict(headers)))


def _settle(waiting: asyncio.Future[Any], value: Any) -> None:
    """Answer, unless nobody waits any more."""
    if waiting.done():
        return
    if isinstance(value, Exception):
        waiting.set_exception(value)
    else:
        waiting.set_result(value)


def _request(same: FusionRequest, asking: Asking) -> FusionRequest:
    request = replace(same, prompt=asking.prompt, notes=(*same.notes, *asking.notes))
    if asking.is_again:
        reuse = "only" if same.settings.reuse == "only" else "calls"
        found = same.settings.model_copy(update={"reuse": reuse, "fresh": None, "max_age": None})
        plan = same.plan and replace(same.plan, settings=found)
        request = replace(request, settings=found, plan=plan)
    return request if asking.limit is None else limited(request, asking.limit)


def without_parsed(result: FusionResult) -> FusionResult:
    """The result without the schema's value, whose class another process may not have."""
    return result if result.parsed is None else result.model_copy(update={"parsed": None})


def _plain(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(without_parsed(arg) if isinstance(arg, FusionResult) else arg for arg in args)
