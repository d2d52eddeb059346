"""Prompts asked of several panels, judges and strategies, side by side; responses are shared where they can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ..api import Running, estimate_for
from ..errors import PanelFailed, SettingsError
from ..pipeline.estimate import RunEstimate
from ..pipeline.given import taken_over
from ..pipeline.request import FusionRequest
from ..presets import choose_panel
from ..request import request_for
from ..results import FusionResult
from ..settings import LABELS, Panel, Panelist
from ..verbs import letters_of
from .comparison import Compared, Comparison
from .extra_runs import Confirm, carry_out, confirm_price, priced, refuse_loop_thread

PanelLike = str | Panel | Sequence[str | Panelist]
SHARES = "fusion"  # the strategy whose responses another judge can read without asking a seat


def compare(
    prompts: str | Iterable[str],
    panels: Iterable[PanelLike] = (),
    judges: Iterable[str | Panelist | None] = (None,),
    strategies: Iterable[str] = (SHARES,),
    seeds: Iterable[int | None] = (None,),
    engines: Iterable[str] = (),
    *,
    confirm: Confirm = False,
    **settings: Any,
) -> Comparison:
    """Ask every prompt of every panel, with every judge, strategy, seed and engine; the price is printed first.

    With the strategy `fusion` a panel is asked once for each prompt and seed, and every judge reads the same responses.
    Beyond that the store is shared: a seat that is asked the very same by another panel or strategy is asked once. The
    price counts it each time, so less may be asked than it says. Runs that differ in their judge alone are made at the
    same time, all others one after the other. A panel that fails leaves rows with its error.

    Args:
        prompts: what to ask.
        panels: names, Panels or lists of models; without any the default panel.
        judges: models that compare; None is the panel's own. The synthesizer stays the panel's.
        strategies: names, see `Settings.strategy`.
        seeds: each seat gets a seed of its own made from one of these, for servers that honour it; from all others
            each seed gets new answers. None sends no seed.
        engines: "kernel", "openrouter" or both; OpenRouter's Fusion is asked once for each judge, see docs/engines.md.
        confirm: True asks before anybody is called; a function gets the price and says whether to go on.
        settings: any field of `Settings`, as for `fuse`.

    Raises:
        SettingsError: nothing to compare, or a panel, model or setting that can't be used; nobody was asked.
        FusionError: the price was not confirmed, or as `fuse`; what was answered is in the store.
    """
    refuse_loop_thread()
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    who, chosen = list(panels) or [None], tuple(judges)
    by = list(engines) or [settings.get("engine")]
    ways = product(enumerate(asked, 1), who, list(strategies), list(seeds), by)
    groups = [
        _group(number, prompt, panel, chosen, seed, {**settings, "strategy": strategy, "engine": engine})
        for (number, prompt), panel, strategy, seed, engine in ways
    ]
    if not groups or not chosen:
        raise SettingsError("There is nothing to compare: a list of prompts, judges, strategies, … is empty.")
    confirm_price(priced("Comparison", (estimate for group in groups for estimate in group.estimates())), confirm)
    return Comparison(tuple(row for group in groups for row in group.carried_out()))


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs that differ in their judge alone; `number` is the prompt's."""

    number: int
    seed: int | None
    requests: tuple[FusionRequest, ...]

    @property
    def is_shared(self) -> bool:
        """Whether later runs can take the responses over from the first."""
        settings = self.requests[0].settings
        return settings.strategy == SHARES and settings.engine == "kernel"

    def estimates(self) -> Iterator[RunEstimate]:
        """What each run would cost, the panel's part once where it is shared."""
        for place, request in enumerate(self.requests):
            estimate = estimate_for(request)
            judged = tuple(row for row in estimate.rows if row.stage != "panel")
            yield replace(estimate, rows=judged) if place and self.is_shared else estimate

    def carried_out(self) -> list[Compared]:
        """The rows, in the order of the judges."""
        try:
            first = Running(self.requests[0]).wait()
        except PanelFailed as exc:
            return [self._row(exc.result)] * len(self.requests)
        others = [self._judged_by(first, request) if self.is_shared else request for request in self.requests[1:]]
        return [self._row(result) for result in (first, *carry_out(others))]

    def _judged_by(self, first: FusionResult, request: FusionRequest) -> FusionRequest:
        # Not `rejudge`: what is attached, and the judge's tools, are at hand here.
        return replace(request, given=taken_over(first, letters_of(first)), parent=first.id)

    def _row(self, result: FusionResult) -> Compared:
        return Compared(self.number, self.seed, result)


def _group(
    number: int,
    prompt: str,
    panel: PanelLike | None,
    judges: tuple[str | Panelist | None, ...],
    seed: int | None,
    settings: Mapping[str, Any],
) -> _Group:
    chosen: dict[str, Any] = dict(settings)
    if panel is not None:
        chosen |= {"panel": panel} if isinstance(panel, str | Panel) else {"models": tuple(panel)}
    named: list[dict[str, Any]] = [{"judge": judge} if judge else {} for judge in judges]
    requests = (request_for(prompt, **{**chosen, **judge}) for judge in named)
    return _Group(number, seed, tuple(_seeded(request, seed) for request in requests))


def _seeded(request: FusionRequest, seed: int | None) -> FusionRequest:
    """The request with its panel written out, and each of the seats with a seed that no other has."""
    panel = choose_panel(request.settings, default=request.default_panel)
    if seed is not None:
        seeds = {seat.label: seed * len(LABELS) + place for place, seat in enumerate(panel.models)}
        seats = tuple(seat.model_copy(update={"seed": seeds[seat.label]}) for seat in panel.models)
        panel = panel.model_copy(update={"models": seats})
    chosen = {"panel": panel, "models": None, "judge": None, "synthesizer": None}
    return replace(request, settings=request.settings.model_copy(update=chosen))
