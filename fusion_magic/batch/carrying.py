"""Carries one row out in this process: from the store if it was answered before, else as a run.

A row goes in as a prompt and comes out as a `Carried`; nothing else passes between this and the batch. On a cluster
`cluster.There` takes this place, which runs `ended` in workers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ..errors import FusionError, PanelFailed
from ..events import Fold
from ..pipeline.memory import LATEST_SECONDS, WEB_SECONDS
from ..pipeline.reply import first_object
from ..pipeline.request import FusionRequest
from ..pipeline.run import run
from ..presets import choose_panel, endpoint_of, endpoints
from ..prompts import digest
from ..providers import Providers
from ..results import FusionResult
from ..settings import ASKED, Settings, seconds_of
from .prompts import Prompt
from .rows import Row

if TYPE_CHECKING:
    from ..pipeline.plan import Plan
    from ..store import Store

# What changes nothing about the answer that a finished row has.
BESIDE_THE_POINT = {
    *ASKED,
    "timeout",
    "connect_timeout",
    "first_token_timeout",
    "gap_timeout",
    "retries",
    "store",
    "reuse",
    "fresh",
    "max_age",
    "max_usd",
    "max_usd_day",
    "max_usd_notebook",
    "allow_unpriced",
}


@dataclass(frozen=True, slots=True)
class Carried:
    """A row with what its books need: whether a call of it was asked, and whether it may have cost more."""

    row: Row
    was_asked: bool = False
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its result if there is one, and why there is no answer if nobody gave one."""

    result: FusionResult | None
    error: str | None = None


async def ended(request: FusionRequest, providers: Providers, store: Store | None) -> Ended:
    """Run it; whatever goes wrong is in what comes back.

    Raises:
        SettingsError, KeyMissing, LocalModelError: as `run`, before the first call.
    """
    try:
        return Ended(await run(request, emit=lambda event: None, providers=providers, state=Fold(), store=store))
    except PanelFailed as exc:
        return Ended(exc.result, str(exc))
    except FusionError:
        raise
    except Exception as exc:  # a mistake of ours, or of a tool or a schema of the user's, costs one row
        return Ended(None, f"The run failed: {exc!r}")


class Here:
    """Carries out the rows of one batch in the event loop it is called in.

    Args:
        request: what is the same for every row.
        providers: who answers.
        store: where calls and runs are kept, or None.
        read: what is taken from each result into the row's `parsed`, in place of the schema's.

    Attributes:
        plan: who is asked; without one each run settles that for itself.
    """

    def __init__(
        self,
        request: FusionRequest,
        providers: Providers,
        store: Store | None,
        read: Callable[[FusionResult], Any] | None = None,
    ) -> None:
        self._request, self._providers, self._store, self._read = request, providers, store, read
        self.plan: Plan | None = None
        self._busy: dict[str, asyncio.Event] = {}

    async def find(self, prompt: str) -> Carried | None:
        """The row as the store has it, if it was answered before and may be reused."""
        key, settings = self._key(prompt), self._request.settings
        if self._store is None or key is None or settings.reuse == "never" or settings.fresh:
            return None
        found = await asyncio.to_thread(self._store.answered, key)
        if found is None or (datetime.now(UTC) - found.created).total_seconds() > _longest_age(found, settings):
            return None
        parsed = parsed_as(found.answer, self._request.schema)
        if (parsed is None and self._request.schema is not None) or not self._is_usable(found):
            return None
        return Carried(replace(self._row(found), cost=0.0, **({} if self._read else {"parsed": parsed})))

    @asynccontextmanager
    async def alone(self, prompt: str) -> AsyncGenerator[None]:
        """The block in which no other row with this prompt is carried out: the second finds the first's answer."""
        key = self._key(prompt)
        while key is not None and (busy := self._busy.get(key)):
            await busy.wait()
        if key is None:
            yield
            return
        self._busy[key] = asyncio.Event()
        try:
            yield
        finally:
            self._busy.pop(key).set()

    async def __aenter__(self) -> Here:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """The batch has ended."""

    async def __call__(self, number: int, prompt: Prompt, limit: float | None = None) -> Carried:
        """Ask. Whatever goes wrong is in the row.

        Args:
            number: of the row, from 0.
            prompt: of the row.
            limit: US dollars that it may cost.

        Raises:
            SettingsError, KeyMissing, LocalModelError: as `run`, before the first call.
        """
        end = await self._ended(number, self._asking(prompt, limit))
        result = end.result
        if result is None:
            return Carried(Row(status="error", error=end.error))
        await self._keep(prompt.text, result)
        asked = any(not call.reused for call in result.calls)
        row = self._row(result)
        return Carried(replace(row, error=end.error or row.error), asked, result.cost_is_partial)

    async def _ended(self, number: int, request: FusionRequest) -> Ended:
        return await ended(request, self._providers, self._store)

    def _asking(self, prompt: Prompt, limit: float | None) -> FusionRequest:
        """What is asked about a row."""
        notes = (*self._request.notes, *prompt.notes)
        request = replace(self._request, prompt=prompt.text, notes=notes, plan=self.plan)
        return request if limit is None else limited(request, limit)

    def _row(self, result: FusionResult) -> Row:
        row = _row(result)
        return replace(row, parsed=self._read(result)) if self._read else row

    async def _keep(self, prompt: str, result: FusionResult) -> None:
        """Remember which run answers this; it is on the disk when this returns."""
        key = self._key(prompt)
        fits = self._request.schema is None or result.parsed is not None
        # Seats that are asked alone stand for themselves: one that failed is asked again.
        fits = fits and not (self._request.given.alone and result.failed_models)
        fits = fits and self._is_usable(result)
        if self._store is not None and key is not None and result.status == "ok" and fits:
            await asyncio.wrap_future(self._store.keep_answer(key, result.id))

    def _is_usable(self, result: FusionResult) -> bool:
        usable = self._request.material.usable
        return usable is None or all(usable(response.content) for response in result.responses)

    def _key(self, prompt: str) -> str | None:
        """What makes two rows the same; None where values go along that have no text of their own."""
        return None if self._same is None else digest(self._same, prompt)

    @cached_property
    def _same(self) -> str | None:
        request = self._request
        material = request.material
        if self._store is None or material.attachments or material.functions or material.frames or material.corpora:
            return None
        panel, known = choose_panel(request.settings, default=request.default_panel), endpoints()
        chairs = (*panel.models, panel.judge, panel.synthesizer)
        told: dict[str, Any] = {
            "version": version("fusion-magic"),  # another may ask with other prompts
            "panel": panel.model_dump(mode="json", exclude={"name", "about", "score", "source", "max_usd"}),
            "addresses": [endpoint_of(chair.model, known).base_url for chair in chairs],
            "settings": request.settings.model_dump(mode="json", exclude=BESIDE_THE_POINT),
            "schema": request.schema.model_json_schema() if request.schema else None,
            **({"alone": True} if request.given.alone else {}),
            **({"screen": repr(material.screen)} if material.screen else {}),
        }
        return json.dumps(told, sort_keys=True, ensure_ascii=False)


def limited(request: FusionRequest, limit: float) -> FusionRequest:
    """The request with US dollars that it may cost."""
    own = {"max_usd": limit}
    plan = request.plan and replace(request.plan, settings=request.plan.settings.model_copy(update=own))
    return replace(request, settings=request.settings.model_copy(update=own), plan=plan)


def _longest_age(found: FusionResult, settings: Settings) -> float:
    """Seconds that a finished row may be old: as for calls; see `pipeline.memory.longest_age`."""
    if settings.max_age is not None:
        return seconds_of(settings.max_age)
    if settings.reuse == "only":
        return float("inf")
    if found.tools or found.sources:
        return WEB_SECONDS
    slugs = (call.model.partition("@")[0] for call in found.calls)
    is_alias = any(slug.startswith("~") or slug.endswith("-latest") for slug in slugs)
    return LATEST_SECONDS if is_alias else float("inf")


def parsed_as(answer: str | None, schema: type[BaseModel] | None) -> BaseModel | None:
    if schema is None or answer is None:
        return None
    try:
        return schema.model_validate_json(json.dumps(first_object(answer, schema.model_fields)))
    except (ValueError, ValidationError):
        return None
    except Exception:  # the schema is the user's: its validators may raise anything
        return None


def _row(result: FusionResult) -> Row:
    return Row(
        answer=result.answer,
        parsed=result.parsed,
        agreement=_agreement(result),
        contradictions=None if result.analysis is None else len(result.analysis.contradictions),
        cost=result.cost,
        status=result.status,
        error=result.error,
        run=result.id,
    )


def _agreement(result: FusionResult) -> float | None:
    """The mean agreement of two seats by the judge's points; by words it would mean something else in other rows."""
    from ..examine.agreement import basis, similarity

    seats = len(result.responses)
    if seats < 2 or basis(result) != "points":
        return None
    together = sum(map(sum, similarity(result, "points"))) - seats
    return together / (seats * (seats - 1))
