"""Which of OpenRouter's three forms a hosted fusion takes, and what it can't be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import SettingsError
from ...presets import comes_with_package
from ...prices import UNKNOWN
from ...providers.responses import FUSION
from ...settings import WEB, Panel, Panelist, Settings
from ..kit import chosen_tools
from ..plan import Chair, Plan

SLUG = "openrouter/fusion"
PRESETS = ("general-high", "general-budget", "general-fast")
FORCED = ("fusion", "auto")  # strategies: the panel is always asked, or the model decides
# What only the server tool takes.
OF_TOOL = ("temperature", "effort", "max_tokens")
OWN = ("system", "temperature", "effort", "max_tokens", "seed", "fallback")
UNUSED = ("quorum", "samples", "rounds", "weights", "threshold", "one_pass")
INSTEAD = "leave it out, or use --engine kernel."


@dataclass(frozen=True, slots=True)
class Form:
    """How a fusion is asked for: the model, its tools, and the fields beside them."""

    model: str
    tools: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


def is_preset(plan: Plan) -> bool:
    """Whether OpenRouter chooses who sits: the panel is one of its own presets, as it is."""
    return not _needs_tool(plan) and is_theirs(plan.panel)


def is_theirs(panel: Panel) -> bool:
    """Whether the panel is one of OpenRouter's own presets, whose members only it knows."""
    return panel.name in PRESETS and comes_with_package(panel)


def _needs_tool(plan: Plan) -> bool:
    settings, fields = plan.settings, Settings.model_fields
    own = any(getattr(plan.panel.synthesizer, name) is not None for name in OWN)
    chosen = any(getattr(settings, name) != fields[name].default for name in OF_TOOL)
    return own or chosen or plan.panel.judge.model != plan.panel.synthesizer.model


def outer(plan: Plan) -> Chair:
    """Whom the one call is made to: the slug, or the synthesizer with the fusion as its tool.

    Its price is not known: what goes on inside is in the same bill.
    """
    writer = plan.synthesizer
    if _needs_tool(plan):
        return replace(writer, price=UNKNOWN)
    return Chair(Panelist(model=SLUG), SLUG, writer.endpoint)


def form_of(plan: Plan, web: tuple[Mapping[str, Any], ...]) -> Form:
    """The form that can say all that was chosen.

    OpenRouter's preset by name, else the slug with the panel as plugin, else the fusion as tool of the synthesizer.
    The plugin is always sent, as without it the slug was seen to answer as a single model.

    Args:
        plan: who is asked, and the settings.
        web: the web tools of panel and analyst, in OpenRouter's form.
    """
    settings = plan.settings
    given: dict[str, Any] = {"max_tool_calls": settings.max_tool_calls, "tools": list(web)}
    if is_preset(plan):
        return Form(SLUG, extra={"plugins": [{"id": "fusion", "preset": plan.panel.name, **given}]})
    given |= {"analysis_models": [chair.slug for chair in plan.seats], "model": plan.judge.slug}
    if not _needs_tool(plan):
        return Form(SLUG, extra={"plugins": [{"id": "fusion", **given}]})
    given["max_completion_tokens"] = settings.max_tokens
    if settings.temperature is not None:
        given["temperature"] = settings.temperature
    if settings.effort is not None:
        given["reasoning"] = {"effort": settings.effort}
    return Form(plan.synthesizer.slug, tools=({"type": FUSION, "parameters": given},))


def check(panel: Panel, settings: Settings) -> None:
    """Raise SettingsError for a choice that OpenRouter's Fusion can't honour; the sentence says what to do."""
    for text in _refusals(panel, settings):
        raise SettingsError(f"OpenRouter's Fusion {text}; {INSTEAD}")


def _refusals(panel: Panel, settings: Settings) -> Iterator[str]:
    if settings.strategy not in FORCED:
        yield f"has no strategy {settings.strategy}, only fusion and auto"
    for seat in (*panel.models, panel.judge, panel.synthesizer):
        if "@" in seat.model and not seat.model.endswith("@openrouter"):
            yield f"asks OpenRouter's models only, and {seat.model} is none"
    for seat in (*panel.models, panel.judge):
        if own := next((name for name in OWN if getattr(seat, name) is not None), ""):
            yield f"asks every seat the same; {seat.label or 'the judge'} has a {own} of its own"
    if panel.synthesizer.fallback or panel.synthesizer.seed is not None:
        yield "takes neither fallback nor seed for the synthesizer"
    if other := [name for name in chosen_tools(settings, panel) if name not in ("web", *WEB)]:
        yield f"has OpenRouter's web tools only, not {other[0]}"
    for name in ("corpus", "data", "mcp", "simulate"):
        if getattr(settings, name):
            yield f"runs where `{name}` does not reach"
    if settings.web == "client":
        yield "searches and fetches on OpenRouter's servers, not on this machine"
    if settings.rubric:
        yield "has an analyst that takes no rubric"
    if settings.private:
        yield "does not say whether its inner calls keep to `private`"


def warnings(settings: Settings) -> Iterator[str]:
    """What the reader should know of settings that change nothing here."""
    if unused := [name for name in UNUSED if getattr(settings, name) != Settings.model_fields[name].default]:
        yield f"OpenRouter's Fusion does not use {', '.join(unused)}."
    if settings.must_ask and settings.strategy == "fusion":
        yield "must_ask changes nothing here: the panel is asked unless the strategy is auto."
