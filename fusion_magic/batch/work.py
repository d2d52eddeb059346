"""The rows of a batch, carried out so many at a time, read no faster than that, and within its money."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import FusionError, SettingsError
from ..pipeline.budget import Budget, Limit
from ..pipeline.forecast import estimated, planned
from ..pipeline.plan import Plan
from ..pipeline.request import FusionRequest
from ..progress import Progress
from ..providers import Providers
from ..request import keys_now, sendable
from ..results import FusionResult
from .carrying import Carried, Here
from .cluster import There
from .collected import Collected
from .gates import Gated
from .half_price import at_half_price
from .prompts import NoColumn, Prompt, Write
from .purse import Purse
from .reading import Reader
from .rows import Row, RowStatus, Source

if TYPE_CHECKING:
    from ..store import Store


@dataclass(frozen=True, slots=True)
class Order:
    """What a batch is asked to do.

    Attributes:
        source: the rows.
        write: makes a row's prompt.
        request: what is the same for every row; its `max_usd` is of one row.
        max_usd: US dollars of the whole batch, or None.
        concurrency: rows under way at a time, and calls at one endpoint.
        read: what is taken from each result into the row's `parsed`.
        client: of the cluster that carries the rows out, or None.
        batch: whether calls go into batches of the endpoints.
    """

    source: Source
    write: Write
    request: FusionRequest
    max_usd: float | None = None
    concurrency: int = 16
    read: Callable[[FusionResult], Any] | None = None
    client: Any = None
    batch: bool = False


@dataclass(slots=True)
class State:
    """What there is so far; written in the event loop of the runs, read from any thread."""

    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    failed: int = 0
    reused: int = 0
    purse: Purse | None = None
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    stopped: str = ""
    status: RowStatus = "pending"  # of rows whose turn did not come
    waits: Callable[[], str] = str  # says what is waited for

    @property
    def not_asked(self) -> Row:
        """What a row is whose turn did not come."""
        return Row(status=self.status, error=self.stopped or None)

    def progress(self, total: int | None) -> Progress:
        """The numbers of this moment."""
        purse, done = self.purse, len(self.rows)
        seconds = (self.ended or time.monotonic()) - self.begun
        asked = purse.paid_rows if purse else 0
        to_do = None if total is None or not asked else total - done
        return Progress(
            total=total,
            done=done,
            failed=self.failed,
            reused=self.reused,
            cost=purse.paid if purse else 0.0,
            is_partial=bool(purse and purse.is_partial),
            projected=None if to_do is None or purse is None else purse.paid + purse.each * to_do,
            seconds=seconds,
            left=None if to_do is None else seconds / asked * to_do,
            waiting=self.waits(),
            stopped=self.stopped,
            has_ended=self.ended is not None,
        )


class Work:
    """One batch in the event loop of the runs.

    Args:
        order: what to do.
        state: what there is so far.
        providers: who answers.
        store: where calls and runs are kept, or None.
    """

    def __init__(self, order: Order, state: State, providers: Providers, store: Store | None) -> None:
        self._order, self._state, self._store = order, state, store
        gated = Gated(providers, order.concurrency, self._end)
        self._batches = self._collected(providers) if order.batch else None
        self._under_way = 0
        self._providers = self._batches or gated
        self._here = self._carrier(gated)
        self._keys = keys_now()
        self._per_row = order.request.settings.max_usd
        self._purse = state.purse = Purse(order.max_usd, self._per_row, order.concurrency)
        self._rows: Iterator[tuple[int, Any]] | None = enumerate(order.source.rows)
        self._reader = Reader(self._read)
        self._reading, self._estimating = asyncio.Lock(), asyncio.Lock()
        self._is_estimated = order.max_usd is None and self._per_row is None
        self._broken: Exception | None = None

    def _collected(self, providers: Providers) -> Collected:
        settings = self._order.request.settings
        finds = settings.reuse != "never" and not settings.fresh
        made = Collected(providers, self._store, lambda: self._under_way, self._end, finds=finds)
        self._state.waits = lambda: made.waiting
        return made

    def _carrier(self, gated: Gated) -> Here:
        order = self._order
        if order.client is None:
            return Here(order.request, self._providers, self._store, order.read)
        return There(order.request, gated, self._store, order.read, order.client)

    async def carry_out(self) -> None:
        """Carry out every row.

        Raises:
            SettingsError, KeyMissing, LocalModelError: nothing can be asked like this; no row was.
            Exception: what the rows' own iterator raised, once the rows under way have ended.
        """
        try:
            await self._check()
            async with self._here, asyncio.TaskGroup() as group:
                for _ in range(self._order.concurrency):
                    group.create_task(self._worker())
        except ExceptionGroup as errors:
            raise _first(errors) from None
        except asyncio.CancelledError:
            if self._batches and (left := self._batches.left_behind):
                self._end(left)
            raise
        finally:
            self._state.ended = time.monotonic()
            self._reader.close()
            if self._batches:
                await self._batches.close()
        if self._broken is not None:
            raise self._broken

    async def _check(self) -> None:
        """Settle once for all rows who is asked, so that what is wrong with it is said before the first."""
        if self._batches:
            at_half_price(await self._plan(asks=False))  # before a key is looked for, or weights are fetched
        plan = await self._plan()
        self._here.plan = at_half_price(plan) if self._batches else plan

    async def _plan(self, *, asks: bool = True) -> Plan:
        return await planned(self._order.request, self._providers, lambda text: None, asks=asks)

    async def _worker(self) -> None:
        while not self._state.stopped and (item := await self._next()) is not None:
            number, prompt = item
            row = prompt if isinstance(prompt, Row) else await self._row(number, prompt)
            if row.status == "pending":
                return
            self._state.failed += row.status != "ok"
            self._state.rows[number] = row

    async def _next(self) -> tuple[int, Prompt | Row] | None:
        """The next row's number with its prompt, or with what is wrong with it; None after the last."""
        async with self._reading:
            if self._rows is None or self._state.stopped:
                return None
            try:
                item = await self._reader.next()
            except FusionError:
                raise
            except Exception as exc:  # the iterator is the user's; what is under way is paid for, and comes first
                self._broken, item = exc, None
            if item is None:
                self._rows = None
            return item

    def _read(self) -> tuple[int, Prompt | Row] | None:
        assert self._rows is not None
        number, values = next(self._rows, (0, _END))
        if values is _END:
            return None
        try:
            prompt = self._order.write(values)
            return number, prompt._replace(text=sendable(prompt.text, self._keys))
        except NoColumn as exc:
            if number == 0:
                raise
            return number, Row(status="error", error=str(exc))
        except SettingsError as exc:
            return number, Row(status="error", error=str(exc))

    async def _row(self, number: int, prompt: Prompt) -> Row:
        async with self._here.alone(prompt.text):
            self._under_way += 1
            try:
                if found := await self._here.find(prompt.text):
                    self._state.reused += 1
                    return found.row
                return await self._asked(number, prompt)
            finally:
                self._under_way -= 1

    async def _asked(self, number: int, prompt: Prompt) -> Row:
        await self._estimate(prompt)
        if self._state.stopped:
            return Row()
        self._under_way -= 1  # it may wait for the money of rows that stand
        drawn = await self._purse.draw()
        self._under_way += 1
        if drawn is None and self._order.max_usd is not None:
            self._end(self._purse.why_empty, "limited")
            return Row()
        carried = Carried(Row())
        try:
            carried = await self._here(number, prompt, drawn)
        except FusionError as exc:
            carried = self._refused(exc, drawn)
        finally:
            cost, partial = carried.row.cost, carried.is_partial
            self._purse.settle(drawn, cost, was_asked=carried.was_asked, is_partial=partial)
        self._state.reused += not carried.was_asked and carried.row.status == "ok"
        return carried.row

    def _refused(self, exc: FusionError, drawn: float | None) -> Carried:
        """The row of a run that did not begin. Raises it again where no row could begin."""
        if drawn is not None and isinstance(exc, SettingsError):
            return Carried(Row(status="limited", error=str(exc)))
        if any(row.run for row in self._state.rows.values()):
            return Carried(Row(status="error", error=str(exc)))
        raise exc

    async def _estimate(self, prompt: Prompt) -> None:
        """Before the first row is asked under a limit: what a row is expected to cost.

        Raises:
            SettingsError: more than the limit, or a model has no known price.
        """
        async with self._estimating:
            if self._is_estimated:
                return
            request = replace(self._order.request, prompt=prompt.text, plan=self._here.plan)
            estimate = await estimated(request, self._providers, self._store)
            # A row that costs more than a row may is that row's trouble.
            budget = Budget(Limit(self._order.max_usd or math.inf, "the batch's limit (max_usd)"), estimate)
            budget.check_start(allow_unpriced=request.settings.allow_unpriced)
            self._purse.expect(estimate.cost.expected)
            self._is_estimated = True

    def _end(self, reason: str, status: RowStatus = "error") -> None:
        """Ask no further row; those under way go on to their end."""
        if not self._state.stopped:
            self._state.stopped, self._state.status = reason, status


_END = object()


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    error = errors.exceptions[0]
    return _first(cast("ExceptionGroup[Exception]", error)) if isinstance(error, ExceptionGroup) else error
