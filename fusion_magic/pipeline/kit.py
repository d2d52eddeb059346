"""The tools of one run: opened before its first call, the same for every seat, closed when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..chosen import checked, nearest
from ..errors import SettingsError
from ..folders import config_dir
from ..keys import environment_keys
from ..presets import endpoints, user_file
from ..providers import Notify
from ..settings import BUILT_IN, Panel, Settings, seconds_of
from ..tools import Tool
from .material import Material, distinct
from .plan import Chair, Plan
from .tool_loop import Bag, no_tools

if TYPE_CHECKING:
    from ..store import Store
    from ..tools.domains import Domains
    from ..tools.kept import Kept


@dataclass(frozen=True, slots=True)
class ClientWeb:
    """Search and fetch from this machine, shared by the seats; each has its own list of addresses it has seen."""

    names: tuple[str, ...]
    settings: Settings
    search: Any
    fetcher: Any
    seen: dict[str, Any] = field(default_factory=dict[str, Any])

    def tools(self, label: str, prompt: str) -> list[Tool]:
        """The tools of one seat."""
        from ..tools.search import search_tool
        from ..tools.seen import Seen
        from ..tools.web_fetch import fetch_tool

        seen = self.seen.setdefault(label, Seen(unrestricted=self.settings.url_policy == "any"))
        seen.add_text(prompt)
        made = {
            "web_search": lambda: search_tool(self.search, seen),
            "web_fetch": lambda: fetch_tool(self.fetcher, seen),
        }
        return [made[name]() for name in self.names]


@dataclass(frozen=True, slots=True)
class Kit:
    """What the chairs of a run may use.

    Attributes:
        shared: tools without a state of their own.
        server: the web tools that OpenRouter runs, in its form.
        client: the web tools that run here.
        told: what the reader should know of them.
        keys: values that no output of a tool may carry to a model.
        screen: see `Material`.
    """

    domains: Domains | None = None
    shared: tuple[Tool, ...] = ()
    server: tuple[Mapping[str, Any], ...] = ()
    client: ClientWeb | None = None
    told: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    screen: Callable[[str], str] | None = None

    def permits(self, url: str) -> bool:
        """Whether the run may rest on this page; documents of a collection are not of any site."""
        return self.domains is None or not url.startswith(("http://", "https://")) or self.domains.permits(url)

    def bag(self, chair: Chair, label: str, prompt: str) -> Bag:
        """The tools of one chair; none for a model that takes none."""
        if chair.takes_tools is False:
            return Bag()
        server = self.server if chair.endpoint.is_openrouter else ()
        own = [*self.shared, *(self.client.tools(label, prompt) if self.client and not server else ())]
        return Bag({tool.name: tool for tool in own}, server, self.keys, self.screen)


def chosen_tools(settings: Settings, panel: Panel) -> tuple[str, ...]:
    """The names of the tools in force: the run's, else the panel's, unless the run is private."""
    if settings.tools is not None:
        return settings.tools
    return () if settings.private else panel.tools or ()


def web_names(tools: tuple[str, ...]) -> tuple[str, ...]:
    """The web tools among the names; `web` is both."""
    return tuple(name for name in ("web_search", "web_fetch") if name in tools or "web" in tools)


@asynccontextmanager
async def open_kit(plan: Plan, material: Material, notify: Notify, store: Store | None = None) -> AsyncGenerator[Kit]:
    """Open what the run's settings name; what the web says is kept in the store, if there is one.

    Raises:
        SettingsError: a tool that does not exist, or that can't run here.
    """
    settings = plan.settings
    names = chosen_tools(settings, plan.panel)
    _check(names, material)
    web, domains = web_names(names), _domains(settings)
    async with AsyncExitStack() as stack:
        shared = [material.functions[name] for name in names if name in material.functions]
        shared += await _own_tools(stack, settings, names, material, notify)
        client = await _client_web(stack, plan, web, store)
        server = server_tools(settings, web)
        told = tuple(_told(plan, names, bool(shared), bool(server)))
        keys = tuple(environment_keys(endpoints().values()).values()) if shared or client else ()
        yield Kit(domains, tuple(distinct(shared).values()), server, client, told, keys, material.screen)


def _domains(settings: Settings) -> Domains | None:
    if not (settings.allow_domains or settings.block_domains):
        return None
    from ..tools.domains import Domains

    return Domains(settings.allow_domains, settings.block_domains)


def _told(plan: Plan, names: tuple[str, ...], has_shared: bool, has_server: bool) -> Iterator[str]:
    """Who goes without tools, and what `private` does not reach."""
    settings, web = plan.settings, bool(web_names(names))
    if settings.private and web:
        yield "Searches and pages are asked of third parties, whom `private` does not bind."
    elif settings.private and settings.tools is None and plan.panel.tools:
        yield "The panel's web tools are off: searches would not be private; --tools web turns them on."
    if not (web or has_shared):
        return
    for stage, _, chair, *_ in plan.places():
        if stage == "synthesis" or (stage == "judge" and not settings.judge_tools):
            continue
        if chair.takes_tools is False:
            yield no_tools(chair)
        elif web and settings.web == "server" and not chair.endpoint.is_openrouter:
            yield f"{chair.model} is not on OpenRouter and has no web tools; --web auto gives it those of this machine."


def _check(names: tuple[str, ...], material: Material) -> None:
    for name in names:
        if name not in BUILT_IN and name not in material.functions:
            raise SettingsError(f'There is no tool "{name}"{nearest(name, (*BUILT_IN, *material.functions))}')


async def _own_tools(
    stack: AsyncExitStack, settings: Settings, names: tuple[str, ...], material: Material, notify: Notify
) -> list[Tool]:
    made: list[Tool] = []
    if material.corpora:
        from ..tools.corpus import as_corpus
        from ..tools.corpus_tools import corpus_tools

        notify("Reading the collections …")
        made += corpus_tools([await asyncio.to_thread(as_corpus, value) for value in material.corpora])
    if material.frames:
        from ..tools.frames import frame_tools

        made += frame_tools(material.frames)
    if "bash" in names:
        from ..tools.bash import bash_tool
        from ..tools.sandboxes import find_sandbox

        made.append(bash_tool(await find_sandbox()))
    for name in settings.mcp:
        from ..tools.mcp import McpServer, mcp_tools

        notify(f"Starting the MCP server {name} …")
        made += await stack.enter_async_context(mcp_tools(name, checked(McpServer, _entry(name), f"[mcp.{name}] ")))
    return made


def _entry(name: str) -> dict[str, Any]:
    known = user_file().mcp
    if name not in known:
        raise SettingsError(f"There is no [mcp.{name}] in {config_dir() / 'fusion.toml'}{nearest(name, known)}")
    return known[name]


async def _client_web(stack: AsyncExitStack, plan: Plan, web: tuple[str, ...], store: Store | None) -> ClientWeb | None:
    settings = plan.settings
    chairs = [*plan.seats, *([plan.judge] if settings.judge_tools else [])]
    here = settings.web == "client" or (
        settings.web == "auto"
        and any(not chair.endpoint.is_openrouter and chair.takes_tools is not False for chair in chairs)
    )
    if not web or not here:
        return None
    from ..tools.domains import Domains
    from ..tools.fetch import Fetcher
    from ..tools.search import RECENT, Recent, Search
    from ..tools.search_engines import engines_from_environment

    kept = _kept(settings, store)
    lists = settings.allow_domains, settings.block_domains
    search = (
        Search(engines_from_environment(), *lists, recent=Recent() if kept else RECENT, kept=kept)
        if "web_search" in web
        else None
    )
    fetcher = Fetcher(_domains(settings) or Domains(), kept=kept)
    stack.push_async_callback(fetcher.aclose)
    return ClientWeb(web, settings, search, fetcher)


def _kept(settings: Settings, store: Store | None) -> Kept | None:
    """What earlier runs have read, unless the panel is asked anew; then what it reads replaces that."""
    if store is None:
        return None
    from ..tools.kept import DAY, Kept

    reads = settings.reuse != "never" and settings.fresh not in ("panel", "all")
    limit = seconds_of(settings.max_age) if settings.max_age else float("inf") if settings.reuse == "only" else DAY
    return Kept(store, max_age=limit, reads=reads)


def server_tools(settings: Settings, web: tuple[str, ...]) -> tuple[Mapping[str, Any], ...]:
    """OpenRouter's server tools with the run's domains; it takes either a list of sites or one of exceptions."""
    if settings.web == "client":
        return ()
    allowed, blocked = list(settings.allow_domains), list(settings.block_domains)
    lists = {
        "web_search": {"allowed_domains": allowed} if allowed else {"excluded_domains": blocked} if blocked else {},
        "web_fetch": {"allowed_domains": allowed} if allowed else {"blocked_domains": blocked} if blocked else {},
    }
    return tuple({"type": f"openrouter:{name}"} | ({"parameters": lists[name]} if lists[name] else {}) for name in web)
