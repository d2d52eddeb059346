"""Rows on the workers of a dask cluster, with turns, money and store in the process that asks.

A task of the cluster is the number of a row. Its worker asks for all else over the line: what to ask, a turn for each
attempt at a model, what the store knows. So a cluster asks no faster and pays no more than one process would; what is
answered is in the store before the row has ended, and where a worker is lost, the scheduler gives its rows to another,
which finds it there.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ..errors import FusionError, SettingsError
from ..keys import find_key
from ..pipeline.request import FusionRequest
from ..providers.installed import installed
from ..results import FusionResult
from ..store import KeptCall
from .carrying import Carried, Ended, Here, parsed_as
from .desk import Welcome, carry_row
from .gates import Gated
from .line import GONE, Arrival, Asking, Note, packed
from .prompts import Prompt
from .purse import LEAST
from .workers import Workers

if TYPE_CHECKING:
    from ..store import Store

CLOSING = 1.0  # seconds that the scheduler is waited for at the end
ENCRYPTED = ("tls://", "wss://", "gateway://")  # the last is dask-gateway's, which has no other way


def check_client(client: Any) -> None:
    """Raise SettingsError for what is no client of a running cluster, or if a script answers."""
    if client is None:
        return
    distributed = sys.modules.get("distributed")
    if distributed is None or not isinstance(client, distributed.Client):
        raise SettingsError(
            f"client is a dask `distributed.Client`, not a {type(client).__name__}; "
            'install it with `pip install "fusion-magic[batch]"` and give Client("tls://scheduler:8786").'
        )
    if client.status != "running":
        raise SettingsError(f"The client's cluster is not there (it is {client.status}); connect a new client.")
    if installed():
        raise SettingsError("A script answers in its own process only; leave client out, or the script.")


@dataclass(slots=True)
class UnderWay:
    """A row that a worker has, or had.

    Attributes:
        asking: what it is asked.
        kept: what was answered for it, or found in the store, by the key of the call.
        costs: US dollars that were paid for it, by run: more than one where a worker was lost.
        begun: by how many workers it was begun.
    """

    asking: Asking
    kept: dict[str, KeptCall] = field(default_factory=dict[str, KeptCall])
    costs: dict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    begun: int = 0

    def note(self, kept: KeptCall, place: object, *, reusable: bool) -> None:
        """Take in a call that was asked for it."""
        self.costs[kept.run] += kept.call.cost or 0.0
        if reusable:
            self.keep(kept)

    def keep(self, found: KeptCall | None) -> None:
        """Have it at hand, should the worker be lost."""
        if found is not None:
            self.kept[found.key] = found


class There(Here):
    """Carries the rows out on a cluster; see `Here`.

    Args:
        client: of the cluster; only its address and its certificates are used.
    """

    def __init__(
        self,
        request: FusionRequest,
        providers: Gated,
        store: Store | None,
        read: Callable[[FusionResult], Any] | None,
        client: Any,
    ) -> None:
        super().__init__(request, providers, store, read)
        self._gates, self._cluster = providers, client
        self._batch = uuid.uuid4().hex[:8]
        self._rows: dict[int, UnderWay] = {}
        self._tasks: dict[int, Any] = {}

    async def __aenter__(self) -> Here:
        from distributed import Client

        # A client of its own, as the caller's lives in another event loop.
        options: Any = {"asynchronous": True, "set_as_default": False, "security": self._cluster.security}
        self._client: Any = Client(self._cluster.scheduler.address, name="fusion-magic", **options)
        try:
            await self._client
        except OSError as exc:
            raise FusionError(f"The cluster's scheduler can't be reached ({exc}); connect a new client.") from exc
        self._lines = Workers(self._client, self._batch, self._gates, self._do, self._answer)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop what is under way, and take in what the workers have still to say."""
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._client.cancel(list(self._tasks.values()))  # else the scheduler gave them to other workers
        await self._lines.close()
        with suppress(*GONE, TimeoutError):
            await self._client.close(CLOSING)

    async def __call__(self, number: int, prompt: Prompt, limit: float | None = None) -> Carried:
        under_way = UnderWay(Asking(prompt.text, prompt.notes, limit, is_again=False))
        self._rows[number] = under_way
        try:
            carried = await super().__call__(number, prompt, limit)
        finally:
            del self._rows[number]
        return _with_lost(carried, under_way)

    async def _ended(self, number: int, request: FusionRequest) -> Ended:
        from distributed import KilledWorker

        key = f"fusion-row-{number}-{self._batch}"
        task = self._tasks[number] = self._client.submit(carry_row, self._batch, number, key=key, pure=False)
        result = asyncio.ensure_future(_result(task))
        try:
            await asyncio.wait({result, self._lines.listening}, return_when="FIRST_COMPLETED")
            if not result.done():
                raise CancelledError
            return self._with_parsed(result.result())
        except FusionError:
            raise
        except KilledWorker:
            return Ended(None, "Several workers died while they had this row; their logs may say why.")
        except (CancelledError, OSError):
            self._gates.end("The cluster's scheduler can't be reached any more.")
            return Ended(None, "The cluster's scheduler can't be reached any more.")
        except Exception as exc:
            raise FusionError(f"The workers can't run this ({exc!r}); install there what is installed here.") from exc
        finally:
            result.cancel()
            if result.done():
                del self._tasks[number]  # the others are cancelled at the end

    def _with_parsed(self, end: Ended) -> Ended:
        """With the schema's value, whose class is this process's."""
        result = end.result
        if result is None or self._request.schema is None:
            return end
        parsed = parsed_as(result.answer, self._request.schema)
        return Ended(result.model_copy(update={"parsed": parsed}), end.error)

    # --- what workers say and ask --------------------------------------------------------------------

    def _do(self, note: Note) -> None:
        """Write into the store."""
        assert self._store is not None
        name, args, named = note.value
        row = self._rows.get(note.row)
        if name == "keep" and row is not None:
            row.note(*args, **named)
        getattr(self._store, name)(*args, **named)

    async def _answer(self, note: Note) -> Any:
        match note.about:
            case "arrived":
                return self._welcome(note.value)
            case "row":
                return self._begin(self._rows[note.row])
            case _:
                name, args, named = note.value
                return await self._read_store(self._rows[note.row], name, args, named)

    def _welcome(self, arrival: Arrival) -> Any:
        ours = version("fusion-magic")
        if arrival.version != ours:
            return FusionError(f"A worker has fusion_magic {arrival.version}, here is {ours}; install the same there.")
        chairs = self.plan.chairs() if self.plan else ()
        keys = {chair.endpoint.name: key for chair in chairs if (key := find_key(chair.endpoint))}
        is_safe = is_private(arrival.worker, arrival.scheduler, self._client.scheduler.address)
        sent, withheld = (keys, frozenset[str]()) if is_safe else ({}, frozenset(keys))
        welcome = Welcome(replace(self._request, plan=self.plan), sent, withheld, self._store is not None)
        try:
            return packed(welcome)
        except Exception as exc:  # what a schema or a tool holds is the user's
            return FusionError(f"What is asked can't be sent to workers ({exc!r}); leave client out.")

    def _begin(self, row: UnderWay) -> Asking:
        """What a worker is to ask; a row that another had begun may cost what is left of its limit."""
        row.begun += 1
        limit = row.asking.limit
        left = None if limit is None else max(LEAST, limit - sum(row.costs.values()))
        return replace(row.asking, limit=left, is_again=row.begun > 1)

    async def _read_store(self, row: UnderWay, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        assert self._store is not None
        if name == "settled":
            return await asyncio.wrap_future(self._store.settled())
        if name != "find":
            return await asyncio.to_thread(getattr(self._store, name), *args, **named)
        (key,) = args
        settings = self._request.settings
        afresh = settings.reuse == "never" or settings.fresh or settings.max_age
        if key not in row.kept and not (afresh and row.begun > 1):
            row.keep(await asyncio.to_thread(self._store.find, key))
        return row.kept.get(key)


async def _result(task: Any) -> Ended:
    return await task


def _with_lost(carried: Carried, row: UnderWay) -> Carried:
    """With what was paid for the row by workers that were lost; calls under way there may have cost more."""
    lost = sum(cost for run, cost in row.costs.items() if run != carried.row.run)
    if row.begun < 2 and not lost:
        return carried
    cost = carried.row.cost if not lost else (carried.row.cost or 0.0) + lost
    return Carried(replace(carried.row, cost=cost), was_asked=True, is_partial=True)


def is_private(*addresses: str) -> bool:
    """Whether nobody else can read what is sent between these addresses of a cluster."""
    return all(address.startswith((*ENCRYPTED, "inproc://")) or _is_loopback(address) for address in addresses)


def _is_loopback(address: str) -> bool:
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
