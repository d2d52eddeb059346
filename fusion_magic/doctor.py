"""What works on this machine and what to do about the rest: keys, credit, endpoints, models, the embedded model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from ._loop import loop_thread
from .api import providers
from .errors import CallError, FusionError, KeyMissing, SettingsError
from .keys import find_key
from .presets import FREE_MEMBER, default_panel, endpoint_of, endpoints, panel_named, panels
from .providers import ModelInfo, Providers
from .providers.catalogue import catalogue, find, free_models, successors
from .providers.chat_completions import ChatCompletions
from .results import dollars
from .settings import Endpoint, Panel, split_model

T = TypeVar("T")
SERVERS = ("ollama", "lmstudio", "llamacpp", "vllm")


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
    openrouter = known["openrouter"]
    servers = [
        endpoint for name, endpoint in known.items() if name not in ("openrouter", "openai", "local", "scripted")
    ]
    found = await asyncio.gather(
        _key_and_credit(openrouter, using),
        _default_panel(using, known),
        *(_server(endpoint, using) for endpoint in servers),
        asyncio.to_thread(_embedded),
    )
    return [check for group in found for check in group]


async def _key_and_credit(endpoint: Endpoint, using: Providers) -> list[Check]:
    if find_key(endpoint) is None:
        fix = "Set OPENROUTER_API_KEY, or type `%fusion login`."
        return [Check(False, "OpenRouter key", "none", fix)]
    client = using.client
    assert isinstance(client, ChatCompletions)
    try:
        data: dict[str, Any] = (await client.get(endpoint, "/key")).get("data") or {}
    except (CallError, KeyMissing) as exc:
        return [Check(False, "OpenRouter key", str(exc), "`%fusion login` stores another.")]
    left = data.get("limit_remaining")
    said = "no limit on this key" if left is None else f"{dollars(max(0.0, float(left)))} left on this key"
    enough = left is None or float(left) > 0
    fix = "" if enough else "Raise the key's limit or add credit to the account."
    return [Check(True, "OpenRouter key", "accepted"), Check(enough, "OpenRouter credit", said, fix)]


async def _default_panel(using: Providers, known: dict[str, Endpoint]) -> list[Check]:
    """Each model of the default panel: whether its endpoint's catalogue has it."""
    name = default_panel()
    if name is None:
        said = "none without a key; %%fusion uses `local`"
        return [Check(True, "default panel", said, "Set OPENROUTER_API_KEY for `budget`.")]
    try:
        panel = panel_named(name)
        models = dict.fromkeys(seat.model for seat in (*panel.models, panel.judge, panel.synthesizer))
        listed = await catalogue(known["openrouter"], using)
        return [_known(model, known, listed, name) for model in models]
    except SettingsError as exc:
        return [Check(False, "default panel", str(exc), "Mend fusion.toml, or choose another panel there.")]


def _known(model: str, known: dict[str, Endpoint], listed: tuple[ModelInfo, ...] | None, panel: str) -> Check:
    subject = f"{model} (panel {panel})"
    if not endpoint_of(model, known).is_openrouter:
        return Check(True, subject, "not checked: not on OpenRouter")
    if not listed:
        return Check(False, subject, "the catalogue can't be read", "Check the network and the proxy settings.")
    slug = split_model(model)[0]
    if entry := find(listed, slug):
        return Check(True, subject, f"known, {entry.price}")
    near = ", ".join(successors(listed, slug))
    return Check(False, subject, "no longer in the catalogue", f"Nearest now: {near}." if near else "Choose another.")


async def _server(endpoint: Endpoint, using: Providers) -> list[Check]:
    """A server of one's own: it is well if it answers; a built-in one that does not run is no fault."""
    try:
        models = await asyncio.wait_for(using.models(endpoint), timeout=5.0)
    except (CallError, KeyMissing, TimeoutError) as exc:
        if endpoint.name in SERVERS:
            return [Check(True, endpoint.name, "not running", f"Start it to use -m MODEL@{endpoint.name}.")]
        return [Check(False, endpoint.name, str(exc) or "no answer in 5 s", "Check base_url in fusion.toml.")]
    some = ", ".join(model.id for model in models[:3])
    return [Check(True, endpoint.name, f"{len(models)} models{f': {some}' if some else ''}")]


def _embedded() -> list[Check]:
    from .providers.local import ready

    missing = ready()
    return [Check(missing is None, "embedded model", "ready" if missing is None else "not ready", missing or "")]
