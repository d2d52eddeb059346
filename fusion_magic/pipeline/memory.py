"""What a run remembers: finished calls that need not be paid twice, and a journal that survives a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import CallError
from ..events import CallEnded, CallStarted, Delta, Event, Fold, Notice, RunEnded, RunStarted
from ..folders import shown
from ..prompts import digest
from ..providers import ChatRequest
from ..results import Call, Stage
from ..settings import WEB, Settings, seconds_of

if TYPE_CHECKING:
    from ..store import KeptCall, Place, Store

DAY = 86_400.0
# Pages change within days, and `~vendor/model-latest` is another model within weeks; all else answers the same.
WEB_SECONDS, LATEST_SECONDS = DAY, 7 * DAY
DRAFT_SECONDS = 2.0  # how much of a text that is being written may be lost in a crash
SETTLE_SECONDS = 10.0  # a disk that hangs must not hold the run for longer


def content_key(request: ChatRequest, sample: int = 0) -> str:
    """What makes two calls the same: the address, the model and everything that is sent.

    `sample` tells apart the seats that are asked the very same.
    """
    told: dict[str, Any] = {
        "address": request.endpoint.base_url,
        "model": request.model,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "effort": request.effort,
        "seed": request.seed,
        "format": request.response_format,
        "private": request.private,
        "tools": request.tools,
        "choice": request.tool_choice,
        "steps": request.steps if has_server_tools(request) else None,
        "extra": dict(request.extra),
        "sample": sample,
    }
    return digest(json.dumps(told, sort_keys=True, ensure_ascii=False))


def has_server_tools(request: ChatRequest) -> bool:
    """Whether the server may run tools of its own before it answers."""
    return any(str(tool.get("type", "")).startswith("openrouter:") for tool in request.tools)


def reads_web(request: ChatRequest) -> bool:
    """Whether the answer rests, or may rest, on pages of the web."""
    offered = {str(tool.get("function", {}).get("name")) for tool in request.tools}
    called = {
        str(call.get("function", {}).get("name"))
        for message in request.messages
        for call in message.get("tool_calls") or ()
    }
    return has_server_tools(request) or not (offered | called).isdisjoint(WEB)


def longest_age(request: ChatRequest, settings: Settings, *, any_age: bool = False) -> float:
    """Seconds that a reusable answer may be old."""
    if settings.max_age is not None:
        return seconds_of(settings.max_age)
    if any_age or settings.reuse == "only":
        return float("inf")
    if reads_web(request):
        return WEB_SECONDS
    is_alias = request.model.startswith("~") or request.model.endswith("-latest")
    return LATEST_SECONDS if is_alias else float("inf")


class Memory:
    """One run's way to the store; without a store it remembers nothing.

    Args:
        store: where calls and runs are kept, or None.
        settings: what may be reused.
        place: the account on which calls are booked.
        any_age: reuse however old: a run that is resumed goes on with what it had.
    """

    def __init__(
        self, store: Store | None, settings: Settings, place: Place | None = None, *, any_age: bool = False
    ) -> None:
        self._store, self._settings, self._any_age = store, settings, any_age
        self._place = place
        self._run = ""
        self._begun: Future[None] | None = None
        self._settling: Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight: set[tuple[Stage, str]] = set()
        self._drafts: Mapping[tuple[Stage, str], str] = {}

    # --- calls ---------------------------------------------------------------------------------------

    async def recall(self, stage: Stage, request: ChatRequest, key: str) -> KeptCall | None:
        """The answer that an earlier run got to the very same call, if it may be reused.

        Raises:
            CallError: only answers of the store are wanted, and it has none.
        """
        if self._store is None or request.simulated or not self.recalls(stage):
            return None
        kept = await asyncio.to_thread(self._store.find, key)
        limit = longest_age(request, self._settings, any_age=self._any_age)
        if kept and (datetime.now(UTC) - kept.made).total_seconds() <= limit:
            return kept
        if self._settings.reuse == "only":
            raise CallError(
                f"{request.name}: nobody is asked (--reuse only), and the store has no answer to this call."
            )
        return None

    async def has(self, stage: Stage, request: ChatRequest, key: str) -> bool:
        """Whether `recall` would find an answer."""
        try:
            return await self.recall(stage, request, key) is not None
        except CallError:
            return False

    def recalls(self, stage: Stage) -> bool:
        """Whether calls of a stage may be answered by the store."""
        settings = self._settings
        asks_anew = settings.fresh if stage == "hosted" else settings.fresh in (stage, "all")
        return self._store is not None and settings.reuse != "never" and not asks_anew

    def keep(self, request: ChatRequest, key: str, call: Call, answer: Mapping[str, Any], *, reusable: bool) -> None:
        """Keep a call that was asked, with its answer or what there is of it."""
        if self._store is None or self._place is None or request.simulated:
            return
        from ..store import KeptCall

        asked = {"model": request.name, "messages": request.messages, "tools": request.tools}
        kept = KeptCall(key, call, asked, dict(answer), datetime.now(UTC), self._run)
        self._store.keep(kept, self._place, reusable=reusable)

    def disown(self, keys: list[str]) -> None:
        """Never reuse these calls: what they brought could not be used."""
        if self._store is not None:
            for key in keys:
                self._store.disown(key)

    # --- the journal ---------------------------------------------------------------------------------

    def note(self, event: Event, state: Fold) -> None:
        """Write an event down; `state` has it already."""
        if self._store is None or self._place is None:
            return
        match event:
            case RunStarted():
                self._run = event.id
                self._begun = self._store.begin(event, self._place, self._settings.thread)
            case RunEnded():
                self._store.end(state.result(), self._place)
            case Delta() | Notice():
                return
            case _ if self._run:
                self._follow(event)
                self._store.note(self._run, event)
            case _:
                pass

    def _follow(self, event: Event) -> None:
        if isinstance(event, CallStarted):
            self._in_flight.add((event.stage, event.label))
        elif isinstance(event, CallEnded):
            self._in_flight.discard((event.call.stage, event.call.label))

    @contextmanager
    def keeping_drafts(self, state: Fold) -> Generator[None]:
        """In this block the texts that are being written are kept every two seconds."""
        if self._store is None:
            yield
            return
        self._watch_drafts(state)
        try:
            yield
        finally:
            if self._timer:
                self._timer.cancel()

    def _watch_drafts(self, state: Fold) -> None:
        self._timer = asyncio.get_running_loop().call_later(DRAFT_SECONDS, self._keep_drafts, state)

    def _keep_drafts(self, state: Fold) -> None:
        self._watch_drafts(state)
        drafts = {place: text for place in self._in_flight if (text := state.written(*place))}
        if self._store is not None and drafts != self._drafts:
            self._drafts = drafts
            self._store.draft(self._run, drafts)

    def settle(self) -> None:
        """Have all that was kept written to the disk; the next call waits for it, see `settled`."""
        if self._store is not None:
            self._settling = self._store.settled()

    async def settled(self) -> None:
        """Wait until what was to be written is on the disk, if it is not long since."""
        settling = self._settling
        if settling is not None and not settling.done():
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await asyncio.wrap_future(settling)
            except TimeoutError:
                if settling is self._settling:
                    self._settling = None  # one wait for a disk that hangs is enough

    async def has_begun(self) -> None:
        """Wait until the run's beginning is on the disk, or `problem` says why not; mostly it is, long since."""
        if self._begun is not None and not self._begun.done():
            self.settle()
            await self.settled()

    async def has_ended(self) -> None:
        """Wait until all is on the disk, in a child of multiprocessing: it may be gone as soon as it has returned."""
        if (processes := sys.modules.get("multiprocessing.process")) and processes.parent_process():
            self.settle()
            await self.settled()

    # --- what the reader should know -----------------------------------------------------------------

    async def opened(self) -> tuple[str, ...]:
        """Open the store; returns what to say of it: where it is, the first time, or what is lost without it."""
        if self._store is None:
            return () if self._settings.store else (NOT_KEPT,)
        is_new = self._store.is_new() if self._store.has_begun else await asyncio.to_thread(self._store.is_new)
        if is_new:
            return (f"Calls and results are kept in {shown(self._store.path)}; --no-store keeps nothing.",)
        return ()

    @property
    def problem(self) -> str | None:
        """Why the store could not be written, in a sentence, or None."""
        return self._store.problem if self._store else None


NOT_KEPT = "Nothing of this run is kept (--no-store): it can be neither reused nor, after a crash, resumed."
NO_MEMORY = Memory(None, Settings.model_construct())  # unchecked: at import nothing is there yet to check with
