"""Which calls a run would make: every seat with its endpoint and price, checked before anything is paid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import prompts_small
from ..endpoints import Endpoint, split_model
from ..errors import SettingsError, UnknownModel
from ..events import PlannedCall
from ..presets import FREE_MEMBER, choose_panel, endpoint_of, endpoints, user_file
from ..prices import FREE, UNKNOWN, Price, price_for, prices_are_at_hand
from ..providers import ModelInfo, Notify, Providers
from ..providers.catalogue import DAY, catalogue, find, free_models, successors
from ..providers.installed import installed
from ..results import Stage
from ..settings import Panel, Panelist, Settings
from .places import Count, Place, counted, fusing, judging, seated
from .simulation import simulated, simulations

if TYPE_CHECKING:
    from .strategies.strategy import Strategy
    from .task import Task

# What a request parameter is called in a catalogue's `supported_parameters`.
PARAMETERS = {"temperature": "temperature", "effort": "reasoning", "seed": "seed"}
# Options of the run that some calls go without, and those of them that a seat may have for itself.
OPTIONS = ("rubric", "temperature", "max_tokens", "effort", "system")
PER_SEAT = ("temperature", "max_tokens", "effort")
# Where a seat stands that an earlier result answers for: its endpoint, key and model need not be there any more.
NOWHERE = Endpoint.model_construct(name="given", base_url="scripted", free=True)


@dataclass(frozen=True, slots=True)
class Chair:
    """A seat with all that a call needs to know about it."""

    seat: Panelist
    slug: str
    endpoint: Endpoint
    price: Price = UNKNOWN
    fallback: Chair | None = None
    canonical: str = ""
    takes_tools: bool | None = None  # None where the catalogue does not say
    inputs: frozenset[str] | None = None  # what it reads, as in a catalogue
    simulated: str = ""  # how it fails without being asked

    @property
    def model(self) -> str:
        """The model as the user wrote it."""
        return self.seat.model

    @property
    def is_tiny(self) -> bool:
        """The embedded model itself, which needs prompts of its own; another GGUF in its place does not."""
        return self.endpoint.is_local and self.slug == "smollm2"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's panel, judge and synthesizer, ready to be asked as the strategy says; None is `fusion`."""

    panel: Panel
    settings: Settings
    seats: tuple[Chair, ...]
    judge: Chair
    synthesizer: Chair
    warnings: tuple[str, ...] = ()
    alone: bool = False  # without judge and synthesizer
    judged_only: bool = False  # without synthesizer
    strategy: Strategy | None = None

    def calls(self) -> tuple[PlannedCall, ...]:
        """Every call the run will or may make; nothing else is called."""
        return tuple(place.planned() for place in self.places())

    def count(self) -> Count:
        """How many calls the run makes if each is answered: without retries and fallbacks.

        It depends on the answers where the strategy decides by them, where a judge's JSON has to be repaired, and
        where tools are used, as each step with them is a call.
        """
        return counted(self)

    def chairs(self) -> tuple[Chair, ...]:
        """Seats, judge, synthesizer and every fallback that may be asked; not who only fails."""
        asked = (place.chair for place in self.places())
        return tuple(chair for chair in asked if chair.endpoint is not NOWHERE and not chair.simulated)

    def places(self) -> Iterator[Place]:
        """Every place of the run, in the order in which they are asked."""
        if self.strategy and not (self.alone or self.judged_only):
            yield from self.strategy.places(self)
            return
        yield from seated(self.seats)
        if self.judged_only:
            yield from judging(self)
        elif not self.alone:
            yield from fusing(self)

    @property
    def task(self) -> Task | None:
        """What the strategy asks of the seats beside the prompt."""
        return self.strategy.task if self.strategy else None

    @property
    def one_pass(self) -> bool:
        """Whether one call is judge and synthesizer."""
        reads = self.strategy is None or "one_pass" in self.strategy.options
        return self.settings.one_pass and reads and not (self.alone or self.judged_only)

    @property
    def has_tools(self) -> bool:
        """Whether seats may be given tools."""
        settings = self.settings
        named = settings.tools if settings.tools is not None else () if settings.private else self.panel.tools
        return bool(named or settings.corpus or settings.data or settings.mcp)


async def prepare(
    settings: Settings,
    providers: Providers,
    *,
    default_panel: str | None = None,
    alone: bool = False,
    judged_only: bool = False,
    taken: frozenset[str] = frozenset(),
    strategy: Strategy | None = None,
    asks: bool = True,
    notify: Notify,
) -> Plan:
    """Settle who is asked, and check it before the first call.

    Args:
        settings: what the user chose.
        providers: who answers.
        default_panel: name of the panel if none was chosen; without it, `budget`.
        alone: whether the panel is all there is: no judge, no synthesizer.
        judged_only: whether the run ends with the judge: no synthesizer.
        taken: letters of the seats that an earlier result answers for.
        strategy: how they are put together; None is `fusion`.
        asks: whether anybody will be asked; else neither key nor model need be there.
        notify: told in a sentence when something takes time (a catalogue, a download).

    Raises:
        SettingsError: a panel, model or endpoint that does not exist, or an option that can't be honoured.
        KeyMissing: an endpoint needs a key and has none.
        LocalModelError: the embedded model can't run here.
    """
    known = endpoints()
    panel = await _with_free_members(choose_panel(settings, default=default_panel), known, providers)
    panel = strategy.seat(panel, settings) if strategy else panel
    ends: dict[str, Any] = {"alone": alone, "judged_only": judged_only, "strategy": strategy}
    seated = partial(_seat, panel, settings, known, taken=taken, **ends)
    _check_private(plan := seated() if prices_are_at_hand() else await asyncio.to_thread(seated))
    for endpoint in {chair.endpoint.name: chair.endpoint for chair in plan.chairs()}.values():
        if asks and settings.reuse != "only":
            await providers.make_ready(endpoint, notify)
    return await _checked_with_catalogue(plan, known, providers, taken)


def _seat(
    panel: Panel,
    settings: Settings,
    known: Mapping[str, Endpoint],
    entries: Mapping[str, ModelInfo] | None = None,
    *,
    taken: frozenset[str] = frozenset(),
    **ends: Any,
) -> Plan:
    own = user_file().prices

    def chair(seat: Panelist) -> Chair:
        if seat.label in taken:
            return Chair(seat, split_model(seat.model)[0], NOWHERE, FREE)
        endpoint, slug = endpoint_of(seat.model, known), split_model(seat.model)[0]
        listed = (entries or {}).get(seat.model)
        price = listed.price if listed else UNKNOWN
        if installed():  # whose words have no price, whatever a library knows of the names they go by
            price = FREE if endpoint.costs_nothing else price
        else:
            price = price_for(seat.model, endpoint, price, own)
        spare = seat.model_copy(update={"model": seat.fallback, "fallback": None}) if seat.fallback else None
        made = Chair(seat, slug, endpoint, price, chair(spare) if spare else None)
        return replace(made, **abilities) if (abilities := _abilities(made, listed)) else made

    seats = tuple(chair(seat) for seat in panel.models)
    plan = simulated(Plan(panel, settings, seats, chair(panel.judge), chair(panel.synthesizer), **ends))
    strategy = plan.strategy
    related = () if plan.alone or (strategy and not strategy.is_judged) else kinship(panel)
    unread = strategy.unread(settings) if strategy else ()
    return replace(plan, warnings=(*simulations(plan), *related, *_told(plan), *_unused(plan), *unread))


def _abilities(chair: Chair, listed: ModelInfo | None) -> dict[str, Any]:
    if chair.is_tiny:
        return {"takes_tools": False, "inputs": frozenset({"text"})}
    if listed is None:
        return {}
    takes_tools = None if listed.parameters is None else "tools" in listed.parameters
    return {"canonical": listed.canonical, "takes_tools": takes_tools, "inputs": listed.inputs}


def kinship(panel: Panel) -> Iterator[str]:
    """A warning when the judge or the synthesizer also sits on the panel."""
    sitting = {seat.model: seat.label for seat in reversed(panel.models)}
    both = [
        f"the {role} ({seat.model})"
        for role, seat in (("judge", panel.judge), ("synthesizer", panel.synthesizer))
        if seat.model in sitting
    ]
    if both and not panel.judge.model.endswith("@local"):
        yield f"{' and '.join(both)} also sit{'s' if len(both) == 1 else ''} on the panel.".replace("the", "The", 1)


def _told(plan: Plan) -> Iterator[str]:
    """What the reader should know of the settings: which change nothing on this panel, and what was asked for."""
    judge, settings, seats = plan.panel.judge, plan.settings, len(plan.seats)
    if judge.system:
        yield "The judge's system text is not used; `rubric` tells the judge what to weigh."
    if judge.temperature:
        yield "The judge's own temperature is not used; the judge is always at 0."
    if settings.private:
        yield from _trusted(plan)
    if settings.quorum and settings.quorum > seats:
        yield f"A quorum of {settings.quorum} is more than the panel has; all {seats} are waited for."


def _trusted(plan: Plan) -> Iterator[str]:
    """Who keeps the prompt private: OpenRouter was asked to, a server of one's own may yet send it on."""
    asked = {chair.endpoint.name: chair.endpoint for chair in plan.chairs()}
    if any(endpoint.is_openrouter for endpoint in asked.values()):
        yield "OpenRouter was asked for endpoints that neither keep nor train on data."
    for endpoint in asked.values():
        # Ollama, for one, sends the prompts of its cloud models to its makers.
        if endpoint.is_loopback and not endpoint.is_local and not endpoint.is_openrouter:
            yield f"Your own server {endpoint.name} is trusted to keep the prompt to itself."


def _unused(plan: Plan) -> Iterator[str]:
    """One sentence for the run's options that the embedded model does not use, or that every seat overrides."""
    settings, fields = plan.settings, Settings.model_fields
    given = [name for name in OPTIONS if getattr(settings, name) != fields[name].default]
    tiny: set[Stage] = {place.stage for place in plan.places() if place.chair.is_tiny}
    deaf = [name for name in given if any(_goes_without(name, stage, settings) for stage in tiny)]
    overridden = [
        name
        for name in given
        if name in PER_SEAT and name not in deaf and all(getattr(chair.seat, name) is not None for chair in plan.seats)
    ]
    parts: list[str] = []
    if deaf:
        names = (f"{name} (as synthesizer)" if name == "system" else name for name in deaf)
        parts.append(f"the embedded model does not use {', '.join(names)}")
    if overridden:
        parts.append(f"every seat has its own {', '.join(overridden)} in place of the run's")
    if parts:
        text = "; ".join(parts)
        yield f"{text[0].upper()}{text[1:]}."


def _goes_without(option: str, stage: Stage, settings: Settings) -> bool:
    """Whether the embedded model can't follow the option in this stage; its own limits are in `prompts_small`."""
    match option:
        case "rubric":
            return stage == "judge"
        case "system":
            return stage == "synthesis"
        case "max_tokens" if stage == "judge":
            return settings.max_tokens < prompts_small.FIELD_TOKENS
        case "max_tokens":
            return stage == "synthesis" and settings.max_tokens > prompts_small.SYNTHESIS_TOKENS
        case _:
            return option == "effort"


def _check_private(plan: Plan) -> None:
    if not plan.settings.private:
        return
    for chair in plan.chairs():
        if not (chair.endpoint.is_openrouter or chair.endpoint.is_loopback):
            raise SettingsError(
                f"`private` can't be asked of {chair.endpoint.name} ({chair.model}): only OpenRouter routes by it, "
                "and only a server on your own machine is trusted to keep it."
            )


async def _with_free_members(panel: Panel, known: Mapping[str, Endpoint], providers: Providers) -> Panel:
    if all(seat.model != FREE_MEMBER for seat in (*panel.models, panel.judge, panel.synthesizer)):
        return panel
    listed = await catalogue(known["openrouter"], providers)
    members = free_models(listed or ())
    if not members:
        raise SettingsError("No free models: OpenRouter's catalogue can't be read, or lists none just now.")
    # With `-p free -m x/y` the models are given, and only the judge is still to be chosen.
    seats = members if any(seat.model == FREE_MEMBER for seat in panel.models) else panel.models
    judge = panel.judge if panel.judge.model != FREE_MEMBER else members[0]
    writer = panel.synthesizer if panel.synthesizer.model != FREE_MEMBER else judge
    return Panel.model_validate({**panel.model_dump(), "models": seats, "judge": judge, "synthesizer": writer})


async def _checked_with_catalogue(
    plan: Plan, known: Mapping[str, Endpoint], providers: Providers, taken: frozenset[str]
) -> Plan:
    """The plan with OpenRouter's prices. Other servers' catalogues are incomplete or slow: they answer 404."""
    asked = [chair for chair in plan.chairs() if chair.endpoint.is_openrouter]
    age = float("inf") if plan.settings.reuse == "only" else DAY
    listed = await catalogue(known["openrouter"], providers, max_age=age) if asked else None
    if not listed:
        return plan
    if age == DAY and any(find(listed, chair.slug) is None for chair in asked):
        listed = await catalogue(known["openrouter"], providers, max_age=60) or listed
    entries = {chair.model: entry for chair in asked if (entry := find(listed, chair.slug))}
    for chair in asked:
        if chair.model not in entries:
            raise UnknownModel(_vanished(chair.slug, listed))
    ends: dict[str, Any] = {"alone": plan.alone, "judged_only": plan.judged_only, "strategy": plan.strategy}
    priced = _seat(plan.panel, plan.settings, known, entries, taken=taken, **ends)
    return replace(priced, warnings=(*plan.warnings, *_ignored(priced, entries)))


def _vanished(slug: str, listed: tuple[ModelInfo, ...]) -> str:
    near = successors(listed, slug)
    hint = f"nearest now: {', '.join(near)}" if near else "`%fusion models WORD` searches the catalogue"
    return f'OpenRouter has no model "{slug}"; {hint}.'


def _ignored(plan: Plan, entries: Mapping[str, ModelInfo]) -> Iterator[str]:
    """A warning for each option that a model's catalogue entry does not list."""
    told: set[str] = set()
    for stage, _, chair, *_ in plan.places():
        entry = entries.get(chair.model)
        if entry is None or entry.parameters is None:
            continue
        for option, parameter in PARAMETERS.items():
            text = f"{chair.model} does not take {option}; it runs with its own."
            if _asked(stage, chair, plan.settings, option) and parameter not in entry.parameters and text not in told:
                told.add(text)
                yield text


def _asked(stage: Stage, chair: Chair, settings: Settings, option: str) -> bool:
    """Whether the user chose this option for this call; the run's temperature is the panel's, the judge's is 0."""
    own: object = None if option == "temperature" and stage == "judge" else getattr(chair.seat, option)
    of_run: object = None if option == "temperature" and stage != "panel" else getattr(settings, option, None)
    return own is not None or of_run is not None
