"""Web search services behind one protocol, each a small adapter, found by the keys in the environment."""

from __future__ import annotations

import asyncio
import html
import importlib
import importlib.util
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pydantic import SecretStr

from ..chosen import nearest
from ..errors import SettingsError, ToolError
from ..providers.json_values import as_list, as_object, as_text
from .search_http import ENGINE_TIMEOUT, REFUSALS, ask

KEYS = {
    "tavily": ("TAVILY_API_KEY",),
    "exa": ("EXA_API_KEY",),
    "brave": ("BRAVE_API_KEY", "BRAVE_SEARCH_API_KEY"),
    "serper": ("SERPER_API_KEY",),
    "searxng": ("SEARXNG_URL",),
}
ORDER = (*KEYS, "ddgs")  # paid services first: whoever has a key has chosen it


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that an engine offers. `published` is a date as the engine wrote it; `score` is the engine's own."""

    title: str
    url: str
    snippet: str = ""
    published: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Sites:
    """Hosts that an engine is asked to keep to, or to leave out. It may do less: `Search` looks at each result."""

    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()

    def operators(self, query: str) -> str:
        """The query in the words that most engines understand: (site:a OR site:b) -site:c."""
        allowed = " OR ".join(f"site:{host}" for host in self.allow)
        words = (query, f"({allowed})" if len(self.allow) > 1 else allowed, *(f"-site:{host}" for host in self.block))
        return " ".join(word for word in words if word)


class SearchEngine(Protocol):
    """A service that finds pages. `search` raises ToolError with the rest of a sentence: "has no credit left"."""

    @property
    def name(self) -> str: ...

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]: ...


class Tavily:
    """docs.tavily.com; the cheapest depth, one credit a query."""

    name = "tavily"

    def __init__(self, key: SecretStr, base_url: str = "https://api.tavily.com") -> None:
        self._key, self._base_url = key, base_url

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        body = {"query": query, "max_results": count, "search_depth": "basic"}
        body |= _given(include_domains=sites.allow, exclude_domains=sites.block)
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        found = await ask("POST", f"{self._base_url}/search", headers=headers, json=body)
        return _hits(found.get("results"), snippet="content", published="published_date")


class Exa:
    """exa.ai/docs; snippets are its highlights, the sentences nearest to the query."""

    name = "exa"

    def __init__(self, key: SecretStr, base_url: str = "https://api.exa.ai") -> None:
        self._key, self._base_url = key, base_url

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        body = {"query": query, "numResults": count, "contents": {"highlights": True}}
        body |= _given(includeDomains=sites.allow, excludeDomains=sites.block)
        headers = {"x-api-key": self._key.get_secret_value()}
        found = await ask("POST", f"{self._base_url}/search", headers=headers, json=body)
        return _hits(found.get("results"), snippet="highlights", published="publishedDate")


class Brave:
    """api-dashboard.search.brave.com; domains travel in the query."""

    name = "brave"

    def __init__(self, key: SecretStr, base_url: str = "https://api.search.brave.com") -> None:
        self._key, self._base_url = key, base_url

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        params = {"q": _within(query, sites), "count": str(count), "text_decorations": "false"}
        headers = {"X-Subscription-Token": self._key.get_secret_value()}
        refused = REFUSALS | {422: "refused the key or the query"}
        url = f"{self._base_url}/res/v1/web/search"
        found = await ask("GET", url, headers=headers, params=params, refusals=refused)
        return _hits(as_object(found.get("web")).get("results"), snippet="description", published="page_age")


def _within(query: str, sites: Sites) -> str:
    """What fits into Brave's 400 characters and 50 words; operators that do not fit are left to `Search`."""
    full = sites.operators(query)
    return full if len(full) <= 400 and len(full.split()) <= 50 else " ".join(query.split()[:50])[:400]


class Serper:
    """serper.dev, which asks Google; domains travel in the query."""

    name = "serper"

    def __init__(self, key: SecretStr, base_url: str = "https://google.serper.dev") -> None:
        self._key, self._base_url = key, base_url

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        headers = {"X-API-KEY": self._key.get_secret_value()}
        body = {"q": sites.operators(query), "num": count}
        refused = REFUSALS | {400: "has no credit left, or refused the query"}
        found = await ask("POST", f"{self._base_url}/search", headers=headers, json=body, refusals=refused)
        return _hits(found.get("organic"), url="link", published="date")


class SearXNG:
    """A SearXNG server of one's own (docs.searxng.org/dev/search_api.html); it has no key and no count."""

    name = "searxng"

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        params = {"q": sites.operators(query), "format": "json"}
        refused = {403: "gives no JSON: its settings.yml needs json in search.formats"}
        found = await ask("GET", f"{self._base_url}/search", params=params, refusals=REFUSALS | refused)
        hits = _hits(found.get("results"), snippet="content", published="publishedDate")
        if not hits and as_list(found.get("unresponsive_engines")):
            raise ToolError("had no answer from the engines behind it")
        return hits


class Pace:
    """At most one turn in so many seconds, over all threads and event loops of the process."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._next, self._lock = 0.0, threading.Lock()

    def reserve(self) -> float:
        """Take the next turn; returns the seconds until it comes."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._seconds
            return turn - now


PACE = Pace(1.0)  # queries a second that the services behind ddgs bear; smolagents keeps the same
Find = Callable[[str, int], list[dict[str, Any]]]


def _ddgs(query: str, count: int) -> list[dict[str, Any]]:
    return importlib.import_module("ddgs").DDGS(timeout=5).text(query, max_results=count)


class Ddgs:
    """The ddgs package: public result pages of several engines, without a key; they often refuse.

    Args:
        find: asks for (query, count), in a thread; it can't be stopped there, but ends by its own timeouts.
        pace: when the next query may go.
    """

    name = "ddgs"

    def __init__(self, find: Find = _ddgs, pace: Pace = PACE) -> None:
        self._find, self._pace = find, pace

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        await asyncio.sleep(self._pace.reserve())
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT):
                found = await asyncio.to_thread(self._find, sites.operators(query), count)
        except TimeoutError as exc:
            raise ToolError(f"did not answer within {ENGINE_TIMEOUT:.0f} s") from exc
        except ImportError as exc:
            raise ToolError('is not installed: pip install "fusion-magic[web]"') from exc
        except Exception as exc:
            raise ToolError(_trouble(exc)) from exc
        return _hits(found, url="href", snippet="body")


def _trouble(error: Exception) -> str:
    """What ddgs met. Its errors hold whole addresses, so only their kind is told."""
    if "No results" in str(error):
        return "found nothing, or was refused"
    return "has had too many requests" if "Ratelimit" in type(error).__name__ else f"failed ({type(error).__name__})"


def _hits(
    results: object, *, url: str = "url", snippet: str = "snippet", published: str = "published"
) -> tuple[Hit, ...]:
    """The hits in a service's list, by the names of its fields; entries of a wrong shape are left out."""
    entries = [as_object(entry) for entry in as_list(results)]
    return tuple(
        Hit(
            html.unescape(as_text(entry.get("title"))),
            as_text(entry.get(url)),
            html.unescape(_snippet(entry.get(snippet))),
            as_text(entry.get(published)),
            float(score) if isinstance(score := entry.get("score"), int | float) else None,
        )
        for entry in entries
        if as_text(entry.get(url))
    )


def _snippet(value: object) -> str:
    """Exa has a list of passages where the others have a text."""
    return (
        " … ".join(filter(None, map(as_text, cast("list[object]", value))))
        if isinstance(value, list)
        else as_text(value)
    )


def _given(**lists: tuple[str, ...]) -> dict[str, Any]:
    return {name: list(values) for name, values in lists.items() if values}


def engines_from_environment() -> tuple[SearchEngine, ...]:
    """The engines that can be asked, in the order in which they are: Tavily, Exa, Brave, Serper, SearXNG, ddgs.

    Each is known by its key (or SEARXNG_URL) in the environment, and ddgs by being installed. FUSION_SEARCH,
    such as "brave,ddgs", picks and orders them.

    Raises:
        SettingsError: FUSION_SEARCH names one that can't be asked, or a key is no key.
    """
    chosen = [name.strip().lower() for name in os.environ.get("FUSION_SEARCH", "").split(",") if name.strip()]
    for name in chosen:
        _require_known(name)
    return tuple(engine for name in dict.fromkeys(chosen or ORDER) if (engine := _engine(name)))


def _require_known(name: str) -> None:
    if name not in ORDER:
        raise SettingsError(f'FUSION_SEARCH names "{name}", which is no search engine{nearest(name, ORDER)}')
    if _engine(name) is None:
        need = f"set {' or '.join(KEYS[name])}" if name in KEYS else 'run `pip install "fusion-magic[web]"`'
        raise SettingsError(f"FUSION_SEARCH names {name}; {need} to use it.")


def _engine(name: str) -> SearchEngine | None:
    """The engine of a name, or None if the environment has nothing for it."""
    if name == "ddgs":
        return Ddgs() if importlib.util.find_spec("ddgs") else None
    variable, value = _setting(KEYS[name])
    if not value:
        return None
    if not re.fullmatch(r"[!-~]+", value):  # HTTP libraries show a header that they can't send
        raise SettingsError(f"{variable} holds a space or a letter that no key has; copy it again.")
    if name != "searxng":
        keyed = {"tavily": Tavily, "exa": Exa, "brave": Brave, "serper": Serper}
        return keyed[name](SecretStr(value))
    if not re.match(r"https?://[^/]", value):
        raise SettingsError('SEARXNG_URL is not an address like "http://localhost:8888".')
    return SearXNG(value)


def _setting(names: Sequence[str]) -> tuple[str, str]:
    """The first of these variables that is set, and its value."""
    values = ((name, os.environ.get(name, "").strip()) for name in names)
    return next((pair for pair in values if pair[1]), ("", ""))
