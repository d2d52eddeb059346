"""Web search as a tool: engines asked in turn until one answers, with results checked, cleaned and kept for a day."""

from __future__ import annotations

import asyncio
import functools
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

from ..errors import SettingsError, ToolError
from ..results import Source
from . import Output, Tool, typed
from .domains import Domains
from .pages import clean
from .search_engines import KEYS, Hit, SearchEngine, Sites, engines_from_environment

if TYPE_CHECKING:
    from .kept import Kept
    from .seen import Seen

__all__ = ["Found", "Hit", "Search", "SearchEngine", "engines_from_environment", "search_tool"]

DAY = 86_400.0
MAX_SNIPPET = 1_800  # characters of one result, as in the DRACO replication of TrustedRouter
NO_ENGINE = (
    'No web search is set up: `pip install "fusion-magic[web]"` searches without a key; '
    f"or set {', '.join(names[0] for names in KEYS.values())}."
)
MAX_ADDRESS = 2_000  # characters; longer ones carry data rather than name a page


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought.

    Attributes:
        hits: the pages, the engine's best first.
        engine: who answered.
        passed_over: who was asked before and failed, each with why.
    """

    hits: tuple[Hit, ...]
    engine: str
    passed_over: tuple[str, ...] = ()


Key = tuple[object, ...]


class Recent:
    """Results in memory, up to `size` of the last `seconds`."""

    def __init__(self, size: int = 512, seconds: float = DAY, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._seconds, self._clock = size, seconds, clock
        self._entries: dict[Key, tuple[float, Found]] = {}
        self._lock = threading.Lock()  # one for the process, and a process may have several event loops

    def get(self, key: Key, /) -> Found | None:
        with self._lock:
            since, found = self._entries.get(key, (0.0, None))
            return found if found and self._clock() - since <= self._seconds else None

    def __setitem__(self, key: Key, found: Found, /) -> None:
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (self._clock(), found)


RECENT = Recent()


class _UnderWay:
    """A search that one or more callers wait for."""

    def __init__(self, task: asyncio.Task[Found]) -> None:
        self.task, self.waiting = task, 0


class Search:
    """Engines asked one after the other until one finds something.

    Args:
        engines: in the order in which they are asked.
        allow: the only domains whose pages may be found, as `Domains` takes them; empty for all.
        block: domains whose pages are left out.
        recent: where results are kept in memory; by default for a day, for the whole process.
        kept: where they are kept for later runs.

    Raises:
        SettingsError: there is no engine, or an entry is no domain.
    """

    def __init__(
        self,
        engines: Sequence[SearchEngine],
        allow: tuple[str, ...] = (),
        block: tuple[str, ...] = (),
        *,
        recent: Recent = RECENT,
        kept: Kept | None = None,
    ) -> None:
        if not engines:
            raise SettingsError(NO_ENGINE)
        self._engines, self._recent, self._kept = tuple(engines), recent, kept
        self._domains, self._sites = Domains(allow, block), _sites(allow, block)
        self._key: Key = (tuple(engine.name for engine in engines), allow, block)
        self._under_way: dict[Key, _UnderWay] = {}

    async def find(self, query: str, count: int = 5) -> Found:
        """Up to `count` pages for a query. Callers that ask the same at one time share the request.

        Raises:
            ToolError: every engine failed; the message says why each did.
        """
        key = (*self._key, query, count)
        if found := self._recent.get(key) or await self._from_store(key):
            return found
        if key not in self._under_way:
            self._under_way[key] = _UnderWay(asyncio.create_task(self._asked(key, query, count)))
        return await self._joined(key)

    async def _from_store(self, key: Key) -> Found | None:
        value = await self._kept.get(f"search {key}") if self._kept else None
        return _stored().validate_python(value) if value else None

    def _keep(self, key: Key, found: Found) -> None:
        self._recent[key] = found
        if self._kept:
            self._kept.put(f"search {key}", _stored().dump_python(found, mode="json"))

    async def _joined(self, key: Key) -> Found:
        """Wait for a search; the last one to give up on it ends it."""
        shared = self._under_way[key]
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                self._under_way.pop(key, None)
                shared.task.cancel()
                await asyncio.wait([shared.task])
                _ = shared.task.cancelled() or shared.task.exception()  # else asyncio warns that nobody looked

    async def _asked(self, key: Key, query: str, count: int) -> Found:
        failures: list[str] = []
        nothing: Found | None = None
        for engine in self._engines:
            try:
                hits = self._fit(await engine.search(query, count, self._sites))[:count]
            except ToolError as exc:
                failures.append(f"{engine.name} {exc}")
            except Exception as exc:  # an engine of the user's own; its text may hold a key
                failures.append(f"{engine.name} failed ({type(exc).__name__})")
            else:
                found = Found(hits, engine.name, tuple(failures))
                if hits:
                    self._keep(key, found)
                    return found
                nothing = nothing or found
        if nothing:
            return replace(nothing, passed_over=tuple(failures))
        raise ToolError(f"The web could not be searched: {'; '.join(failures)}.")

    def _fit(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The hits with an address that may be used, each page once, their text cleaned."""
        once: dict[str, Hit] = {}
        for hit in hits:
            if _is_address(hit.url) and self._domains.permits(hit.url):
                once.setdefault(hit.url.partition("#")[0].rstrip("/"), _cleaned(hit))
        return tuple(once.values())


@functools.cache
def _stored() -> TypeAdapter[Found]:
    return TypeAdapter(Found)


def _sites(allow: Sequence[str], block: Sequence[str]) -> Sites:
    """What engines are asked for: hosts alone, and so a blocked path is not sent, as it would block its host."""
    allowed = [_bare(entry).partition("/")[0] for entry in allow]
    blocked = [entry for entry in map(_bare, block) if "/" not in entry]
    return Sites(tuple(dict.fromkeys(allowed)), tuple(dict.fromkeys(blocked)))


def _bare(entry: str) -> str:
    return re.sub(r"^(?:https?://)?(?:\*\.)?", "", entry.strip().lower()).rstrip("/")


def _is_address(url: str) -> bool:
    return len(url) <= MAX_ADDRESS and re.fullmatch(r"https?://[^\s<>\"\x00-\x1f\x7f]+", url, re.I) is not None


def _cleaned(hit: Hit) -> Hit:
    return replace(hit, title=_line(hit.title, 300), snippet=_line(hit.snippet, MAX_SNIPPET), published=_date(hit))


def _line(text: str, limit: int) -> str:
    """Cleaned text on one line, so that no result can look like the next one."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _date(hit: Hit) -> str:
    """The day of an ISO date; other words, such as "2 days ago", as they are."""
    day = re.match(r"\d{4}-\d\d-\d\d(?=T|\s|$)", hit.published)
    return day[0] if day else _line(hit.published, 40)


class _Arguments(BaseModel):
    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)] = Field(
        description="what to search for, as you would type it into a search engine"
    )
    count: int = Field(default=5, ge=1, le=10, description="how many results")


def search_tool(search: Search, seen: Seen) -> Tool:
    """The tool "web_search". Every address that it returns may be fetched afterwards: it is added to `seen`."""

    async def call(arguments: _Arguments) -> Output:
        found = await search.find(arguments.query, arguments.count)
        for hit in found.hits:
            seen.add(hit.url)
        return Output(_listing(found), found=tuple(map(_source, found.hits)))

    return typed(
        "web_search",
        "Search the web. Returns titles, addresses, dates and snippets of pages; read a page before you rely on it.",
        _Arguments,
        call,
    )


def _source(hit: Hit) -> Source:
    return Source(url=hit.url, title=hit.title, quotes=(hit.snippet,) if hit.snippet else ())


def _listing(found: Found) -> str:
    """The results as a numbered list, under a line that says who answered and who could not."""
    passed = f" ({'; '.join(found.passed_over)})" if found.passed_over else ""
    if not found.hits:
        return f"{found.engine} found nothing{passed}. Try other or fewer words."
    entries = (
        "\n   ".join(filter(None, (f"{number}. {hit.title or '(no title)'}", hit.url, hit.published, hit.snippet)))
        for number, hit in enumerate(found.hits, 1)
    )
    return "\n\n".join((f"Results of {found.engine}{passed}:", *entries))
