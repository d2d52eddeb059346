"""How many calls may be under way at an endpoint: fewer when it refuses, more when all goes well."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from ..endpoints import Endpoint
from ..errors import CallError
from ..providers import ChatRequest, Chunk, ModelInfo, Notify, Providers, Turn
from ..providers.limits import closed_for

PATIENCE = 10  # how often more than its retries a call that was told to slow down is sent again
PAUSE, PAUSE_MOST = 0.5, 30.0  # seconds after a refusal that does not say how long
TOO_LONG = 900.0  # seconds; an endpoint that is closed for longer has ended the batch
# OpenAI's reset says when all is there again, not when there is room; its refusals say that.
FORESIGHT = 5.0
LOCAL = 3  # the embedded model answers three at once; see providers/_local_server.py
ENDS_ALL = (401, 402)  # a key that is refused, an account without credit: every other call would meet the same


class Gate:
    """The turns at one endpoint, first come, first served; lives in the event loop of the runs.

    Additive increase, multiplicative decrease (Chiu and Jain 1989, Computer Networks and ISDN Systems 17: 1-14): a
    refusal halves the limit, once for all calls that were under way together; a limit's worth of good answers adds one.

    Args:
        most: calls under way at a time.
        end: told, in a sentence, why nothing more should be asked.

    Attributes:
        limit: calls that may be under way now.
    """

    def __init__(self, most: int, end: Callable[[str], None]) -> None:
        self.limit = float(most)
        self._most, self._end = most, end
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._opening: asyncio.TimerHandle | None = None
        self._lowered = 0.0
        self._refusals = 0  # one after the other
        self._shut = ""  # why nobody is let in any more

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn]:
        """The block of one attempt. Raises CallError where the endpoint is closed for too long to wait."""
        asked = self._loop.time()
        await self._enter()
        begun = self._loop.time()
        turn = Turn(begun - asked, PATIENCE)
        try:
            yield turn
        finally:
            self._under_way -= 1
            self._learn(turn.error, begun)
            self._let_in()

    def hear(self, headers: Mapping[str, str]) -> None:
        """Read what a response says of the endpoint's limits."""
        wait = closed_for(headers)
        if wait is not None:
            self._close(min(wait, FORESIGHT))

    async def _enter(self) -> None:
        if self._shut:
            raise CallError(self._shut)
        if not self._waiting and self._has_room():
            self._under_way += 1
            return
        place: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(place)
        self._let_in()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # its turn had come in the same moment
                self._under_way -= 1
                self._let_in()
            raise

    def _has_room(self) -> bool:
        return self._under_way < int(self.limit) and self._loop.time() >= self._closed_until

    def _let_in(self) -> None:
        while self._waiting and self._has_room():
            place = self._waiting.popleft()
            if not place.done():  # who was cancelled has left
                self._under_way += 1
                place.set_result(None)
        if self._waiting and self._opening is None and self._closed_until > self._loop.time():
            self._opening = self._loop.call_at(self._closed_until, self._open)

    def _open(self) -> None:
        self._opening = None
        self._let_in()

    def _learn(self, error: CallError | None, begun: float) -> None:
        if error is None:
            self._refusals = 0
            self.limit = min(self._most, self.limit + 1 / self.limit)
        elif error.slows_down:
            self._slow_down(error, begun)
        elif error.status_code in ENDS_ALL:
            self._end(str(error))

    def _slow_down(self, error: CallError, begun: float) -> None:
        if begun >= self._lowered:
            self.limit = max(1.0, self.limit / 2)
            self._lowered = self._loop.time()
            self._refusals += 1
        if error.retry_after is not None and error.retry_after > TOO_LONG:
            self._shut_down(f"{error} It is closed for {error.retry_after / 60:,.0f} minutes.")
        most = min(PAUSE_MOST, PAUSE * 2 ** (self._refusals - 1))
        wait = random.uniform(most / 2, most) if error.retry_after is None else error.retry_after
        self._close(min(wait, TOO_LONG))

    def _shut_down(self, reason: str) -> None:
        self._shut = reason
        self._end(reason)
        while self._waiting:
            if not (place := self._waiting.popleft()).done():
                place.set_exception(CallError(reason))

    def _close(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._loop.time() + seconds)


class Gated(Providers):
    """The providers of all runs of a batch, behind one gate for each endpoint.

    Args:
        inner: who answers.
        most: calls under way at an endpoint.
        end: told why nothing more should be asked; also an attribute.
    """

    def __init__(self, inner: Providers, most: int, end: Callable[[str], None]) -> None:
        super().__init__()
        self._inner, self._most, self.end = inner, most, end
        self.json_levels, self.without_tools = inner.json_levels, inner.without_tools
        self._gates: dict[str, Gate] = {}
        self._ready: dict[str, Endpoint] = {}

    def gate(self, endpoint: Endpoint) -> Gate:
        """The gate before an endpoint."""
        most = min(self._most, LOCAL) if endpoint.is_local else self._most
        return self._gates.get(endpoint.base_url) or self._gates.setdefault(endpoint.base_url, Gate(most, self.end))

    def turn(self, request: ChatRequest) -> AbstractAsyncContextManager[Turn]:
        return self.gate(request.endpoint).turn()

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        return self._inner.stream(replace(request, hear=self.gate(request.endpoint).hear))

    async def make_ready(self, endpoint: Endpoint, notify: Notify) -> None:
        if self._ready.get(endpoint.name) != endpoint:  # once is enough: the batch's rows need the same
            await self._inner.make_ready(endpoint, notify)
            self._ready[endpoint.name] = endpoint

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return await self._inner.models(endpoint)
