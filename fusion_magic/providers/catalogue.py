"""The models an endpoint offers, kept for a day in the user's cache and usable when the endpoint is away."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from ..errors import CallError, KeyMissing
from ..settings import Endpoint, cache_dir
from . import ModelInfo, Providers
from .scripted import installed

DAY = 86_400.0
# A free model that does not write answers, by its id: `ModelInfo` does not keep what a model's output is.
NO_WRITER = re.compile(r"guard|safety|moderation|embed|rerank|image|vision-only|\btts\b")
# Variants that only choose among a model's endpoints; others, such as ":free", are models of their own.
ROUTED = frozenset({"nitro", "floor", "exacto", "online"})


async def catalogue(endpoint: Endpoint, providers: Providers, *, max_age: float = DAY) -> tuple[ModelInfo, ...] | None:
    """The endpoint's models: from the cache if younger than `max_age` seconds, else asked anew.

    An endpoint that can't be asked leaves the old catalogue in force; None if there is none, or while a script
    answers.
    """
    if installed():
        return None
    path = _path(endpoint)
    if 0 <= _age(path) <= max_age and (cached := _load(path)):
        return cached
    try:
        models = await providers.models(endpoint)
    except (CallError, KeyMissing):
        return _load(path)
    if models:
        _store(path, models)
    return models or None


def find(models: Iterable[ModelInfo], slug: str) -> ModelInfo | None:
    """The entry of a slug; a variant such as ":nitro", which is not listed, has its model's entry."""
    by_id = {model.id: model for model in models}
    model, _, variant = slug.partition(":")
    return by_id.get(slug) or (by_id.get(model) if variant in ROUTED else None)


def successors(models: Iterable[ModelInfo], slug: str, count: int = 3) -> list[str]:
    """The nearest present models of a slug that has vanished: the same vendor's first, then by likeness."""
    vendor = slug.lstrip("~").partition("/")[0]
    ids = [model.id for model in models]
    kin = [name for name in ids if name.lstrip("~").partition("/")[0] == vendor]
    near = difflib.get_close_matches(slug, kin, n=count, cutoff=0.4)
    return near or difflib.get_close_matches(slug, ids, n=count, cutoff=0.6)


def free_models(models: Iterable[ModelInfo], count: int = 3) -> list[str]:
    """Free models of different vendors that write text, the longest context first, newest among equals."""
    free = [model for model in models if model.id.endswith(":free") and not NO_WRITER.search(model.id)]
    chosen: dict[str, str] = {}
    for model in sorted(free, key=lambda model: (-(model.context or 0), -model.created, model.id)):
        chosen.setdefault(model.id.partition("/")[0], model.id)
    return list(chosen.values())[:count]


def _path(endpoint: Endpoint) -> Path:
    name = hashlib.sha256(endpoint.base_url.encode()).hexdigest()[:16]
    return cache_dir() / f"models-{name}.json"


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _load(path: Path) -> tuple[ModelInfo, ...] | None:
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
