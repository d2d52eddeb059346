"""The models an endpoint offers, kept for a day in the user's cache and usable when the endpoint is away."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from ..endpoints import Endpoint
from ..errors import CallError, KeyMissing
from ..folders import cache_dir
from . import ModelInfo, Providers
from .installed import installed

DAY = 86_400.0
# A model that does not write answers, by its id: a guard's verdict is text, and not every endpoint says what comes out.
NO_WRITER = re.compile(r"guard|safety|moderation|embed|rerank|image|vision-only|\btts\b")
# Variants that only choose among a model's endpoints; others, such as ":free", are models of their own.
ROUTED = frozenset({"nitro", "floor", "exacto", "online"})


class Listing(NamedTuple):
    """What is known of an endpoint's models.

    Attributes:
        models: the entries, empty if nothing is known.
        asked: when the endpoint gave them, in seconds since 1970; None if it never did.
        problem: why it could not be asked now, in a sentence; empty if it was, or was not asked.
    """

    models: tuple[ModelInfo, ...] = ()
    asked: float | None = None
    problem: str = ""

    @property
    def age(self) -> float:
        """Seconds since the endpoint was asked; infinite if it never was, or if a clock went back."""
        age = time.time() - self.asked if self.asked is not None else -1.0
        return age if age >= 0 else float("inf")


async def catalogue(endpoint: Endpoint, providers: Providers, *, max_age: float = DAY) -> tuple[ModelInfo, ...] | None:
    """The endpoint's models, as `listing` has them; None if there are none, or while a script answers."""
    return (await listing(endpoint, providers, max_age=max_age)).models or None


async def listing(endpoint: Endpoint, providers: Providers, *, max_age: float = DAY) -> Listing:
    """The endpoint's models: from the cache if younger than `max_age` seconds, else asked anew.

    An endpoint that can't be asked leaves the old ones in force, with the `problem`. While a script answers there
    are none.
    """
    if installed():
        return Listing()
    cached = kept(endpoint)
    if cached.models and cached.age <= max_age:
        return cached
    try:
        models = await providers.models(endpoint)
    except (CallError, KeyMissing) as exc:
        return Listing(cached.models, cached.asked, str(exc))
    if not models:
        return Listing(problem=f"{endpoint.name} lists no models.")
    _store(_path(endpoint), models)
    return Listing(models, time.time())


def kept(endpoint: Endpoint) -> Listing:
    """What the cache has of the endpoint, however old; nothing is asked."""
    path = _path(endpoint)
    try:
        asked = path.stat().st_mtime_ns
    except OSError:
        return Listing()
    models = _load(path, asked)
    return Listing(models, asked / 1e9) if models else Listing()


def cached_ids(endpoint: Endpoint) -> tuple[str, ...]:
    """The ids of the endpoint's models that the cache has, however old; cheap enough for every press of a key."""
    return tuple(model.id for model in kept(endpoint).models)


def find(models: Iterable[ModelInfo], slug: str) -> ModelInfo | None:
    """The entry of a slug; a variant such as ":nitro", which is not listed, has its model's entry."""
    by_id = {model.id: model for model in models}
    model, _, variant = slug.partition(":")
    return by_id.get(slug) or (by_id.get(model) if variant in ROUTED else None)


def successors(models: Iterable[ModelInfo], slug: str, count: int = 3) -> list[str]:
    """The nearest present models of a slug that has vanished: the same vendor's first, then by likeness."""
    import difflib

    vendor = slug.lstrip("~").partition("/")[0]
    ids = [model.id for model in models]
    kin = [name for name in ids if name.lstrip("~").partition("/")[0] == vendor]
    near = difflib.get_close_matches(slug, kin, n=count, cutoff=0.4)
    return near or difflib.get_close_matches(slug, ids, n=count, cutoff=0.6)


def free_models(models: Iterable[ModelInfo], count: int = 3) -> list[str]:
    """Free models of different vendors that write text, the longest context first, newest among equals."""
    free = [model for model in models if model.id.endswith(":free") and writes_text(model)]
    chosen: dict[str, str] = {}
    for model in sorted(free, key=lambda model: (-(model.context or 0), -model.created, model.id)):
        chosen.setdefault(model.id.partition("/")[0], model.id)
    return list(chosen.values())[:count]


def writes_text(model: ModelInfo) -> bool:
    """Whether a model answers in text, as far as its id and its endpoint say."""
    return not NO_WRITER.search(model.id) and (model.outputs is None or "text" in model.outputs)


def _path(endpoint: Endpoint) -> Path:
    name = hashlib.sha256(endpoint.base_url.encode()).hexdigest()[:16]
    return cache_dir() / f"models-{name}.json"


@functools.lru_cache(maxsize=16)  # a file of 400 models takes some milliseconds to read
def _load(path: Path, written: int) -> tuple[ModelInfo, ...] | None:
    """The models of a file as it was `written`, in nanoseconds since 1970; None for a damaged one."""
    try:
        return _stored().validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


@functools.cache
def _stored() -> TypeAdapter[tuple[ModelInfo, ...]]:
    return TypeAdapter(tuple[ModelInfo, ...])


def _store(path: Path, models: tuple[ModelInfo, ...]) -> None:
    """Written beside and moved into place; a full disk or a read-only home costs only the cache."""
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(_stored().dump_json(models))
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
