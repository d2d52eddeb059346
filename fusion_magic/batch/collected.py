"""Calls of all rows, collected until nobody goes on without an answer, and asked together in an endpoint's batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..endpoints import Endpoint
from ..errors import CallError, FusionError, ModelNotFound, SettingsError
from ..progress import NBSP
from ..providers import ChatRequest, Chunk, ModelInfo, Notify, Providers, Turn
from ..providers.chat_completions import ChatCompletions
from ..providers.installed import installed
from ..providers.json_values import as_count, as_object, as_text
from .gates import ENDS_ALL
from .jsonl import AGAIN, Line, Told, chunk_in, entries_in, files_of, line_of, why_missing
from .server import BatchServer

if TYPE_CHECKING:
    from ..store import Store

Place = tuple[str, str, str]  # run, stage, label
LULL = 0.1  # seconds without a new call after which all who can go on have done so
STUCK = 5.0  # seconds after which a row that stands elsewhere is not waited for


@dataclass(eq=False, slots=True)
class File:
    """A file of calls on its way; without an id it is still to be sent, without a batch to be carried out."""

    endpoint: Endpoint
    id: str = ""
    batch: str = ""
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    done: int = 0
    total: int = 0
    is_read: bool = False

    def look(self, state: dict[str, Any]) -> None:
        """Take in how far its batch is."""
        counts = as_object(state.get("request_counts"))
        self.done = as_count(counts.get("completed")) + as_count(counts.get("failed"))
        self.total = as_count(counts.get("total")) or len(self.lines)


class Collected(Providers):
    """The providers of all runs of a `map` at half price; lives in the event loop of the runs.

    Args:
        inner: who speaks to the endpoints.
        store: keeps which calls are under way, so that another process finds them; or None.
        under_way: how many rows are.
        end: told why nothing more should be asked.
        finds: whether calls that are under way since an earlier time may be taken.
    """

    batched = True

    def __init__(
        self,
        inner: Providers,
        store: Store | None,
        under_way: Callable[[], int],
        end: Callable[[str], None],
        *,
        finds: bool,
    ) -> None:
        super().__init__()
        self._inner, self._store, self._rows, self._end = inner, store, under_way, end
        self.json_levels, self.without_tools = inner.json_levels, inner.without_tools
        self._finds = finds
        self._lines: dict[str, Line] = {}
        self._tokens: dict[Place, int] = {}
        self._waiting: list[Line] = []
        self._arrived = 0.0
        self._files: list[File] = []
        self._collecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._uploading = asyncio.Lock()

    @property
    def waiting(self) -> str:
        """What is waited for, or empty: "waiting for a batch at openai, 812 of 2,000 done"."""
        files = tuple(self._files)  # read from other threads
        if not files:
            return ""
        names = " and ".join(sorted({file.endpoint.name for file in files}))
        what = "a batch" if len(files) == 1 else f"{len(files):,} batches"
        done, total = sum(file.done for file in files), sum(file.total for file in files)
        return f"waiting for {what} at {names}, {done:,}{NBSP}of{NBSP}{total:,}{NBSP}done"

    @property
    def left_behind(self) -> str:
        """What goes on at the endpoints when nobody waits for it any more, in a sentence, or empty."""
        known = [f"{file.batch} at {file.endpoint.name}" for file in self._files if file.batch]
        if not known:
            return ""
        more = f" and {len(known) - 3:,} more" if len(known) > 3 else ""
        goes = "goes" if len(known) == 1 else "go"
        then = "the same call takes its answers in" if self._store else "with the store turned off it can't be found"
        return f"{', '.join(known[:3])}{more} {goes} on and will be billed; {then}."

    @asynccontextmanager
    async def turn(self, request: ChatRequest) -> AsyncGenerator[Turn]:
        """The block of one attempt. A budget may leave it fewer tokens, and another number at another time."""
        place = (request.session, request.stage, request.label)
        self._tokens[place] = request.max_tokens
        try:
            yield Turn()
        finally:
            self._tokens.pop(place, None)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """The answer, as one chunk, when its batch has ended. Raises CallError."""
        if request.simulated or installed():
            async with aclosing(self._inner.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        tokens = self._tokens.get((request.session, request.stage, request.label), request.max_tokens)
        line = line_of(request, tokens, self._lines)
        self._lines[line.id] = line
        try:
            self._collect(line)
            told = await line.told
            try:
                answer = chunk_in(request, told)
            except CallError:
                self._drop(line)
                raise
            yield answer
            # What follows in this very step is that the pipeline keeps the call; only then may the line go.
            asyncio.get_running_loop().call_soon(self._drop, line)
        finally:
            del self._lines[line.id]

    async def make_ready(self, endpoint: Endpoint, notify: Notify) -> None:
        await self._inner.make_ready(endpoint, notify)

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return await self._inner.models(endpoint)

    async def close(self) -> None:
        """Leave what is under way to the endpoints, and close the connections."""
        tasks = {*self._tasks, *([self._collecting] if self._collecting else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- collecting ----------------------------------------------------------------------------------

    def _collect(self, line: Line) -> None:
        self._waiting.append(line)
        self._arrived = asyncio.get_running_loop().time()
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.create_task(self._send())

    async def _send(self) -> None:
        """Send what waits whenever nothing more is to be expected."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(LULL)
            quiet = loop.time() - self._arrived
            if quiet < 0.9 * LULL or (quiet < STUCK and self._standing() < self._rows()):
                continue
            lines, self._waiting = [line for line in self._waiting if not line.told.done()], []
            try:
                await self._send_off(lines)
            except Exception as exc:
                _fail(lines, exc)

    def _standing(self) -> int:
        """Rows that wait for an answer."""
        return len({line.request.session for line in self._lines.values()})

    async def _send_off(self, lines: list[Line]) -> None:
        found: dict[str, tuple[str, str]] = {}
        if self._store is not None and self._finds:
            found = await asyncio.to_thread(self._store.lines, [line.id for line in lines])
        for line in lines:
            if line.id in found:
                self._join(line, *found[line.id])
        for new in files_of(line for line in lines if line.id not in found):
            self._begin(File(new[0].request.endpoint), new)

    def _join(self, line: Line, file: str, batch: str) -> None:
        """Wait with a line for a file that was sent before."""
        known = next((known for known in self._files if known.id == file and not known.is_read), None)
        if known is None:
            self._begin(File(line.request.endpoint, file, batch), [line])
        else:
            known.lines[line.id] = line

    def _begin(self, file: File, lines: Iterable[Line]) -> None:
        file.lines = {line.id: line for line in lines}
        file.total = len(file.lines)
        self._files.append(file)
        task = asyncio.create_task(self._carry(file))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- a file ---------------------------------------------------------------------------------------

    async def _carry(self, file: File) -> None:
        """Bring a file to its end; whatever goes wrong is told to its lines."""
        try:
            await self._carry_out(file, BatchServer(self._client_of(), file.endpoint))
        except Exception as exc:
            if file.batch and isinstance(exc, ModelNotFound):
                said = f"{file.endpoint.name} does not know the batch {file.batch} or its files any more; {AGAIN}."
                exc = CallError(said, status_code=exc.status_code)
            if isinstance(exc, CallError) and exc.status_code in ENDS_ALL:
                self._end(str(exc))
            elif isinstance(exc, CallError) and not exc.retryable:
                for line in file.lines.values():  # else another time may get what is paid for
                    self._drop(line)
            _fail(file.lines.values(), exc)
        self._files.remove(file)

    async def _carry_out(self, file: File, server: BatchServer) -> None:
        was_sent = bool(file.id)
        if not was_sent:
            async with self._uploading:  # one at a time in memory: it may have 200 MB
                file.id = await server.upload(b"".join(line.data for line in file.lines.values()))
            for line in file.lines.values():
                line.data = b""  # it may be a day until the line comes back
            await self._kept(file)
        if not file.batch:
            file.batch = await server.start(file.id, may_be_there=was_sent)
            if self._store is not None:
                self._store.name_batch(file.id, file.batch)
        state = await server.ended(file.batch, file.look)
        file.is_read = True
        ids = frozenset(file.lines)
        for name in ("output_file_id", "error_file_id"):
            if written := as_text(state.get(name)):
                content = await server.content(written)
                entries = await asyncio.to_thread(entries_in, content, ids)
                self._hand_out(file, entries)
        for line in file.lines.values():
            if not line.told.done():
                self._drop(line)
                line.fail(why_missing(state, line.request))

    def _hand_out(self, file: File, entries: dict[str, dict[str, Any]]) -> None:
        for line, entry in entries.items():
            if not file.lines[line].told.done():
                file.lines[line].told.set_result(Told(file.batch, entry))

    async def _kept(self, file: File) -> None:
        """Write down which calls are in the file before anybody carries it out."""
        if self._store is not None:
            await asyncio.wrap_future(self._store.keep_lines(list(file.lines), file.id))

    def _client_of(self) -> ChatCompletions:
        client = self._inner.client
        if not isinstance(client, ChatCompletions):
            raise SettingsError(
                "Only the client that comes with fusion_magic can ask in batches; leave out batch=True."
            )
        return client

    def _drop(self, line: Line) -> None:
        """Another process need not look for it any more."""
        if self._store is not None:
            self._store.drop_line(line.id)


def _fail(lines: Iterable[Line], exc: Exception) -> None:
    error = exc if isinstance(exc, CallError) else CallError(str(exc) if isinstance(exc, FusionError) else repr(exc))
    for line in lines:
        line.fail(error)
