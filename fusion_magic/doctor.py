"""What works on this machine and what to do about the rest: keys, credit, endpoints, models and tools."""

from __future__ import annotations

import asyncio
import importlib.util
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ._loop import loop_thread
from .api import providers
from .chosen import nearest
from .endpoints import Endpoint, split_model
from .errors import CallError, FusionError, KeyMissing, SettingsError
from .folders import config_dir
from .keys import find_key
from .presets import FREE_MEMBER, default_panel, endpoint_of, endpoints, panel_named, panels, user_file
from .providers import ModelInfo, Providers
from .providers.catalogue import catalogue, find, free_models, successors
from .providers.json_values import as_object
from .results import dollars
from .settings import Panel

if TYPE_CHECKING:
    from .providers.chat_completions import ChatCompletions

T = TypeVar("T")
# Seconds that a server has to list its models; the endpoints are asked side by side.
PATIENCE = 5.0
SERVERS = ("ollama", "lmstudio", "llamacpp", "vllm")
WEB_EXTRA = 'pip install "fusion-magic[web]"'
READERS = ("trafilatura", "lxml_html_clean", "pypdf")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, whether it is well, what was found and how to mend it."""

    ok: bool
    subject: str
    said: str
    fix: str = ""


def examine() -> list[Check]:
    """Look at everything a run needs; takes some seconds at most. Nothing is paid for."""
    return _in_loop(_examine(providers()))


def check_panels() -> dict[str, str]:
    """For every named panel whether its models are in OpenRouter's present catalogue, in a sentence.

    Raises:
        FusionError: the catalogue can't be had.
    """
    listed = _in_loop(_listed())
    return {name: _standing(panel, listed) for name, panel in panels().items()}


def find_models(word: str) -> list[ModelInfo]:
    """Models of OpenRouter's catalogue whose id or name has the word, in the order of their ids.

    Raises:
        FusionError: the catalogue can't be had.
    """
    wanted = word.lower()
    found = [model for model in _in_loop(_listed()) if wanted in f"{model.id} {model.name}".lower()]
    return sorted(found, key=lambda model: model.id.lstrip("~"))


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    looking = loop_thread().submit(work)
    try:
        return looking.future.result()
    finally:
        looking.cancel()  # an interrupt leaves nothing behind


async def _listed() -> tuple[ModelInfo, ...]:
    listed = await catalogue(endpoints()["openrouter"], providers())
    if not listed:
        raise FusionError("OpenRouter's catalogue can't be read; check the network and `%fusion doctor`.")
    return listed


def _standing(panel: Panel, listed: tuple[ModelInfo, ...]) -> str:
    asked = {seat.model for seat in (*panel.models, panel.judge, panel.synthesizer)}
    if FREE_MEMBER in asked:
        members = free_models(listed)
        return f"now {', '.join(members)}" if members else "no free models are listed"
    slugs = sorted(split_model(model)[0] for model in asked if split_model(model)[1] == "openrouter")
    gone = [slug for slug in slugs if find(listed, slug) is None]
    if gone:
        return "; ".join(f"{slug} is gone, nearest now: {', '.join(successors(listed, slug)) or '–'}" for slug in gone)
    return "stands" if slugs else "not on OpenRouter"


async def _examine(using: Providers) -> list[Check]:
    try:
        known = endpoints()
    except SettingsError as exc:
        return [Check(False, "fusion.toml", str(exc), "Mend the file; it is read anew each time.")]
    servers = [endpoint for name, endpoint in known.items() if _is_server(name, endpoint)]
    found = await asyncio.gather(
        _key_and_credit(known["openrouter"], using),
        _default_panel(using, known),
        *(_server(endpoint, using) for endpoint in servers),
        asyncio.to_thread(_embedded),
        asyncio.to_thread(_tools),
        _shell(),
    )
    return [_settings(), *(check for group in found for check in group)]


def _settings() -> Check:
    path = config_dir() / "fusion.toml"
    return Check(True, "settings", f"{path}{'' if path.exists() else ' (none yet)'}")


def _is_server(name: str, endpoint: Endpoint) -> bool:
    """Whether `_server` looks at it: OpenRouter and the embedded model have checks of their own."""
    if name == "openai":
        return find_key(endpoint) is not None
    return name not in ("openrouter", "local", "scripted")


async def _key_and_credit(endpoint: Endpoint, using: Providers) -> list[Check]:
    from .providers.chat_completions import ChatCompletions

    if find_key(endpoint) is None:
        fix = "Set OPENROUTER_API_KEY, or type `%fusion login`."
        return [Check(False, "OpenRouter key", "none", fix)]
    client = using.client
    assert isinstance(client, ChatCompletions)
    try:
        data = as_object((await client.get(endpoint, "/key")).get("data"))
    except (CallError, KeyMissing) as exc:
        return [Check(False, "OpenRouter key", str(exc), "`%fusion login` stores another.")]
    accepted = Check(True, "OpenRouter key", "accepted")
    return [accepted, _limit(data.get("limit_remaining")), *await _account(endpoint, client)]


def _limit(given: object) -> Check:
    """What the key may still spend."""
    if given is None:
        return Check(True, "OpenRouter credit", "no limit on this key")
    left = _number(given)
    if left is None:
        return Check(True, "OpenRouter credit", "the key's limit can't be read")
    said = f"{dollars(max(0.0, left))} left on this key"
    fix = "" if left > 0 else "Raise the key's limit or add credit to the account."
    return Check(left > 0, "OpenRouter credit", said, fix)


async def _account(endpoint: Endpoint, client: ChatCompletions) -> list[Check]:
    """What the account has left; nothing where the endpoint, or the key, does not tell."""
    try:
        data = as_object((await client.get(endpoint, "/credits")).get("data"))
    except (CallError, KeyMissing):
        return []
    bought, used = _number(data.get("total_credits")), _number(data.get("total_usage"))
    if bought is None or used is None:
        return []
    left = bought - used
    fix = "" if left > 0 else "Add credit to the account; without it only free models answer."
    return [Check(left > 0, "OpenRouter account", f"{dollars(max(0.0, left))} of credit left", fix)]


def _number(value: object) -> float | None:
    """US dollars in a JSON number or string, debts included; None for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


async def _default_panel(using: Providers, known: dict[str, Endpoint]) -> list[Check]:
    """Each model of the default panel: whether its endpoint has it."""
    name = default_panel()
    if name is None:
        said = "none without a key; %%fusion uses `local`"
        return [Check(True, "default panel", said, "Set OPENROUTER_API_KEY for `budget`.")]
    try:
        panel = panel_named(name)
        models = dict.fromkeys(seat.model for seat in (*panel.models, panel.judge, panel.synthesizer))
        asked = {(place := endpoint_of(model, known)).name: place for model in models}
    except SettingsError as exc:
        return [Check(False, "default panel", str(exc), "Mend fusion.toml, or choose another panel there.")]
    listed = dict(zip(asked, await asyncio.gather(*(_offered(place, using) for place in asked.values())), strict=True))
    places = {model: endpoint_of(model, known) for model in models}
    return [_known(model, place, listed[place.name], f"{model} (panel {name})") for model, place in places.items()]


async def _offered(endpoint: Endpoint, using: Providers) -> tuple[ModelInfo, ...] | None:
    """The endpoint's models, or None if it can't be asked."""
    if endpoint.is_openrouter:
        return await catalogue(endpoint, using)
    try:
        return await asyncio.wait_for(using.models(endpoint), timeout=PATIENCE)
    except (CallError, KeyMissing, TimeoutError):
        return None


def _known(model: str, endpoint: Endpoint, listed: tuple[ModelInfo, ...] | None, subject: str) -> Check:
    slug = split_model(model)[0]
    if model == FREE_MEMBER and listed:
        members = free_models(listed)
        return Check(bool(members), subject, f"now {', '.join(members)}" if members else "no free models are listed")
    if not endpoint.is_openrouter:
        return _offers(slug, endpoint, listed, subject)
    if not listed:
        return Check(False, subject, "the catalogue can't be read", "Check the network and the proxy settings.")
    if entry := find(listed, slug):
        return Check(True, subject, f"known, {entry.price}")
    near = ", ".join(successors(listed, slug))
    return Check(False, subject, "no longer in the catalogue", f"Nearest now: {near}." if near else "Choose another.")


def _offers(slug: str, endpoint: Endpoint, listed: tuple[ModelInfo, ...] | None, subject: str) -> Check:
    """Whether a server other than OpenRouter has the model; one that lists nothing may have it all the same."""
    if listed is None:
        return Check(False, subject, f"{endpoint.name} does not answer", "Start it, or choose another panel.")
    if not listed:
        return Check(True, subject, f"not checked: {endpoint.name} lists no models")
    # Ollama lists "llama3.2:latest" where one asks for "llama3.2".
    if find(listed, slug) or find(listed, f"{slug}:latest"):
        return Check(True, subject, f"known to {endpoint.name}")
    near = nearest(slug, (model.id for model in listed))
    return Check(False, subject, f"not among the models of {endpoint.name}{near}", "Load it there, or choose another.")


async def _server(endpoint: Endpoint, using: Providers) -> list[Check]:
    """A server of one's own: it is well if it answers; a built-in one that does not run is no fault."""
    try:
        models = await asyncio.wait_for(using.models(endpoint), timeout=PATIENCE)
    except (CallError, KeyMissing, TimeoutError) as exc:
        if endpoint.name in SERVERS:
            return [Check(True, endpoint.name, "not running", f"Start it to use -m MODEL@{endpoint.name}.")]
        refused = isinstance(exc, KeyMissing) or getattr(exc, "status_code", None) in (401, 403)
        fix = f"`%fusion login {endpoint.name}` stores another key." if refused else "Check base_url in fusion.toml."
        return [Check(False, endpoint.name, str(exc) or f"no answer in {PATIENCE:g} s", fix)]
    some = ", ".join(model.id for model in models[:3])
    return [Check(True, endpoint.name, f"{len(models)} models{f': {some}' if some else ''}")]


def _embedded() -> list[Check]:
    from .providers.local import ready

    missing = ready()
    return [Check(missing is None, "embedded model", "ready" if missing is None else "not ready", missing or "")]


# --- tools ------------------------------------------------------------------------------------------


def missing_for_web() -> str:
    """What this machine lacks to search and read for models that are not on OpenRouter; empty if nothing."""
    return next((check.fix for check in (_search(), _reading()) if check.fix), "")


def _tools() -> list[Check]:
    """What panelists may use here; a tool that nobody has set up is no fault."""
    return [_search(), _reading(), _sql(), _mcp()]


def _search() -> Check:
    from .tools.search_engines import engines_from_environment

    try:
        names = [engine.name for engine in engines_from_environment()]
    except SettingsError as exc:
        return Check(False, "web search", "can't be set up", str(exc))
    if names:
        return Check(True, "web search", ", ".join(names))
    fix = f"Set a key such as TAVILY_API_KEY, or {WEB_EXTRA}, for models elsewhere."
    return Check(True, "web search", "only by OpenRouter, for its models", fix)


def _reading() -> Check:
    missing = [name for name in READERS if not _is_installed(name)]
    if not missing:
        return Check(True, "page reading", "HTML and PDF")
    return Check(True, "page reading", f"{', '.join(missing)} not installed", f"{WEB_EXTRA} reads pages here.")


def _sql() -> Check:
    if _is_installed("duckdb"):
        return Check(True, "SQL over frames", "duckdb")
    return Check(True, "SQL over frames", "duckdb not installed", 'For --data: pip install "fusion-magic[data]".')


def _mcp() -> Check:
    names = ", ".join(user_file().mcp)
    if not names:
        return Check(True, "MCP servers", "none in fusion.toml", "[mcp.NAME] there makes --mcp NAME work.")
    fix = "" if _is_installed("mcp") else 'For --mcp: pip install "fusion-magic[mcp]".'
    return Check(True, "MCP servers", names, fix)


async def _shell() -> list[Check]:
    """The sandbox in which --tools bash would run a command; each is tried for real."""
    from .tools.sandboxes import find_sandbox

    try:
        sandbox = await asyncio.wait_for(find_sandbox(), timeout=PATIENCE)
    except SettingsError as exc:
        return [Check(True, "shell sandbox", "none", str(exc))]
    except TimeoutError:
        return [Check(True, "shell sandbox", f"none that starts within {PATIENCE:g} s")]
    return [Check(True, "shell sandbox", sandbox.name)]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
