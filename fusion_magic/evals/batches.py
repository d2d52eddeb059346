"""Which part of an evaluation goes into an endpoint's batches, at half the price, and why a part can't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..api import providers
from ..batch.half_price import at_half_price, check_batch
from ..errors import SettingsError
from ..pipeline.forecast import planned
from ..pipeline.plan import Plan
from ..pipeline.request import FusionRequest

Batching = bool | Literal["grading"]


def check_batching(batch: Batching, *, has_grader: bool) -> None:
    """Raise SettingsError for what `batch` can't be."""
    if batch not in (False, True, "grading"):
        raise SettingsError(f'batch is True, for answers and grading, or "grading"; it is {batch!r}.')
    if batch == "grading" and not has_grader:
        raise SettingsError('batch="grading" has nothing to send without a grader; give one, or leave batch out.')


@dataclass(frozen=True, slots=True)
class Asked:
    """A run of an evaluation, and how it is asked.

    Attributes:
        request: what is the same for all its rows.
        batched: whether in batches.
        name: the system's; empty for the grader.
        client: of the cluster that carries it out, or None.
    """

    request: FusionRequest
    batched: bool = False
    name: str = ""
    client: Any = None

    async def plan(self, *, asks: bool) -> Plan:
        """Who is asked, at the price at which they are.

        Args:
            asks: whether keys are looked for, and weights fetched.

        Raises:
            SettingsError: it can't be asked, or not in batches.
            KeyMissing, LocalModelError: somebody can't be asked.
        """
        if not self.batched:
            return await self._planned(asks=asks)
        plan = self._halved(await self._planned(asks=False))  # said before a key is looked for
        return at_half_price(await self._planned(asks=True)) if asks else plan

    async def _planned(self, *, asks: bool) -> Plan:
        return await planned(self.request, providers(), lambda text: None, asks=asks)

    def _halved(self, plan: Plan) -> Plan:
        try:
            check_batch(self.request.settings, self.client)
            return at_half_price(plan)
        except SettingsError as exc:
            if not self.name:
                raise
            only = f'{self.name!r} can\'t answer in batches; with batch="grading" only the grading goes there.'
            raise SettingsError(f"{only} {exc}") from exc
