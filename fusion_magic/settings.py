"""What the user chose: panelists, panels and every setting of a run, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from .chosen import Chosen, check_names, checked
from .errors import SettingsError

LABELS = "ABCDEFGH"
StrategyName = Literal["fusion", "self", "vote", "moa", "debate", "rank", "scout", "guide", "auto"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
AGE = r"^\d+(\.\d+)?[smhdw]$"  # a number and s, m, h, d or w
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Panelist(Chosen):
    """A seat: a model with what it is asked differently from the others."""

    model: str = Field(description='"vendor/model" on OpenRouter, or "model@endpoint"', min_length=1)
    label: str = Field(default="", description="the seat's letter; given by position")
    system: str | None = Field(default=None, description="the seat's persona, put before the system text of the run")
    temperature: float | None = Field(default=None, ge=0, le=2, description="overrides the run's temperature")
    effort: Effort | None = Field(default=None, description="overrides the run's reasoning effort")
    max_tokens: int | None = Field(default=None, gt=0, description="overrides the run's limit of output tokens")
    seed: int | None = Field(default=None, description="seed for servers that honour one")
    fallback: str | None = Field(default=None, description="model asked when the first one fails")


def _seat(value: object) -> object:
    return {"model": value.strip()} if isinstance(value, str) else value


Seat = Annotated[Panelist, BeforeValidator(_seat)]


def _seats(value: object) -> object:
    """One model alone is a panel of one."""
    alone: object = value
    return (alone,) if isinstance(value, str | Panelist | Mapping) else alone


Seats = Annotated[tuple[Seat, ...], BeforeValidator(_seats)]


def _names(value: Any) -> Any:
    """Names one by one or with commas between them; "none" is no name."""
    given: list[Any] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType]
    if not all(isinstance(item, str) for item in given):
        return value  # pyright: ignore[reportUnknownVariableType]
    words = (word.strip() for item in given for word in item.split(","))
    return tuple(word for word in words if word not in ("", "none"))


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
# A path may hold a comma.
Paths = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
WEB = ("web_search", "web_fetch")
BUILT_IN = ("web", *WEB, "bash")
# How a call can be made to fail; see providers/simulated.py. Only a judge is asked for JSON.
FAILURES = ("timeout", "refused", "down", "cut", "empty", "filter", "slow")
JUDGE_FAILURES = (*FAILURES, "badjson")


def _simulations(words: tuple[str, ...]) -> tuple[str, ...]:
    """Each a place and how it fails, "B=timeout"; a letter may be small."""
    found: dict[str, str] = {}
    for word in words:
        place, _, failure = (part.strip() for part in word.partition("="))
        place = place.upper() if place.upper() in LABELS else place
        if not place or place not in (*LABELS, "judge", "synthesizer"):
            raise ValueError(f'"{word}" names no place; write the letter of a seat, judge or synthesizer: B=timeout')
        ways = JUDGE_FAILURES if place == "judge" else FAILURES
        if failure not in ways:
            raise ValueError(f'{place} can\'t fail with "{failure}"; it can with {", ".join(ways)}')
        if place in found:
            raise ValueError(f"{place} can fail in one way only, and two are given")
        found[place] = failure
    return tuple("=".join(pair) for pair in found.items())


Simulations = Annotated[Names, AfterValidator(_simulations)]


class Panel(Chosen):
    """One to eight seats with a judge and a synthesizer.

    Without a judge the first seat's model judges, as OpenRouter's Fusion does; without a synthesizer the
    judge's model writes the answer. `Panel(models=["a/b", "c/d"], judge="e/f")`.
    """

    models: Seats = Field(description="one to eight models, each a name or a Panelist; the same may sit twice")
    judge: Seat = Field(default=None, validate_default=False, description="who compares the responses")  # type: ignore[assignment]
    synthesizer: Seat = Field(default=None, validate_default=False, description="who writes the answer")  # type: ignore[assignment]
    tools: Names | None = Field(default=None, description="web tools of its panelists, unless a run says otherwise")
    max_usd: float | None = Field(
        default=None, gt=0, description="US dollars of a run at most; a run may only set less"
    )
    name: str = Field(default="", description="the panel's name, if it has one")
    about: str = Field(default="", description="one sentence")
    score: float | None = Field(default=None, description="published DRACO score in percent, measured with tools")
    source: str = Field(default="", description="where the members and the score are published")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        check_names(cls, cast("object", data))  # pydantic runs this validator before the inherited one
        given = dict(cast("Mapping[str, Any]", data))
        models = _seats(given.get("models") or ())
        seats = tuple(cast("Iterable[object]", models)) if isinstance(models, Iterable) else (models,)
        if not seats:
            raise ValueError("a panel needs at least one model")
        if len(seats) > len(LABELS):
            raise ValueError(f"a panel has at most {len(LABELS)} models; {len(seats)} were given")
        given["models"] = seats
        given["judge"] = given.get("judge") or _model_name(seats[0])
        given["synthesizer"] = given.get("synthesizer") or _model_name(given["judge"])
        return given

    @field_validator("tools")
    @classmethod
    def _only_web(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        # A panel may come with a cloned project, which must not be able to start a program.
        for name in value or ():
            if name not in ("web", *WEB):
                raise ValueError(f'a panel may have the tools web, web_search and web_fetch, not "{name}"')
        return value

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        wanted = zip(LABELS, self.models, strict=False)
        seats = tuple(seat.model_copy(update={"label": letter}) for letter, seat in wanted)
        object.__setattr__(self, "models", seats)
        for chair in ("judge", "synthesizer"):  # a seat of the panel may judge too; its letter stays there
            object.__setattr__(self, chair, getattr(self, chair).model_copy(update={"label": ""}))
        return self


def _model_name(seat: object) -> object:
    if isinstance(seat, Panelist):
        return seat.model
    return cast("Mapping[str, object]", seat).get("model") if isinstance(seat, Mapping) else seat


class Settings(Chosen):
    """Every setting of a run. The defaults are reasoned beside each field."""

    panel: str | Panel | None = Field(default=None, description="name of a panel, or a Panel")
    models: Seats | None = Field(default=None, description="models that sit on the panel instead of the named ones")
    judge: Seat | None = Field(default=None, description="model that compares the responses")
    synthesizer: Seat | None = Field(default=None, description="model that writes the answer")
    strategy: StrategyName = Field(default="fusion", description="how the models are put together; docs/strategies.md")
    samples: int | None = Field(default=None, ge=2, le=8, description="how often self and vote ask the same model")
    # The cheaper form of Mixture-of-Agents has two layers, and one rebuttal is the least that is a debate.
    rounds: int = Field(default=2, ge=1, le=5, description="layers of moa, rounds of debate")
    weights: Literal["equal", "confidence"] = Field(
        default="equal", description="what a vote counts: the same for all, or how sure the seat says it is"
    )
    threshold: float = Field(
        default=0.6, ge=0, le=1, description="from which agreement of the two scouts on nobody else is asked"
    )
    engine: Literal["kernel", "openrouter"] = Field(
        default="kernel", description="who runs the fusion: this machine, or OpenRouter's own; docs/engines.md"
    )
    must_ask: bool = Field(default=False, description="auto has to ask the panel, as far as its model can be made to")
    one_pass: bool = Field(
        default=False, description="one call compares and writes; judge and synthesizer are one model"
    )
    # OpenRouter's own default for every inner call of Fusion since August 2026; it includes reasoning.
    max_tokens: int = Field(default=16_000, gt=0, description="output tokens of a call at most, reasoning included")
    temperature: float | None = Field(default=None, ge=0, le=2, description="of the panel; the judge is always at 0")
    effort: Effort | None = Field(default=None, description="reasoning effort of every call")
    system: str | None = Field(default=None, description="system text for the panel and the synthesizer")
    rubric: str | None = Field(default=None, description="what the judge should weigh")
    # A frontier model with much reasoning took up to 30 minutes in DRACO runs; most answer within 5.
    timeout: float = Field(default=900.0, gt=0, description="seconds for one call in all, retries included")
    connect_timeout: float = Field(default=10.0, gt=0, description="seconds to reach the server")
    # Models that hide their reasoning send nothing for minutes.
    first_token_timeout: float = Field(default=300.0, gt=0, description="seconds to the first token")
    gap_timeout: float = Field(default=120.0, gt=0, description="seconds between two chunks of a stream")
    retries: int = Field(default=2, ge=0, le=10, description="how often a failed call is sent again")
    quorum: int | None = Field(default=None, ge=1, le=8, description="go on once this many panelists have answered")
    grace: float = Field(default=10.0, ge=0, description="seconds the others still have after the quorum")
    private: bool = Field(default=False, description="only OpenRouter endpoints that neither keep nor train on data")
    tools: Names | None = Field(
        default=None, description="what panelists may use: web, web_search, web_fetch, bash, your functions, or none"
    )
    judge_tools: bool = Field(default=False, description="the judge may use the panel's tools too")
    # OpenRouter's default and range for its Fusion since August 2026.
    max_tool_calls: int = Field(default=4, ge=1, le=16, description="steps with tools that a seat may take")
    web: Literal["auto", "server", "client"] = Field(
        default="auto", description="who searches and fetches: OpenRouter's servers, this machine, or auto"
    )
    allow_domains: Names = Field(default=(), description="the only sites to search and fetch, subdomains included")
    block_domains: Names = Field(default=(), description="sites never to search or fetch, subdomains included")
    url_policy: Literal["seen", "any"] = Field(
        default="seen", description="which pages may be fetched: those that prompt, searches and pages name, or any"
    )
    corpus: Paths = Field(default=(), description="folders or collections that the panel may search and read")
    data: Names = Field(default=(), description="DataFrames that the panel may query, read-only")
    attach: Paths = Field(default=(), description="files or variables that go along with the prompt")
    mcp: Names = Field(default=(), description="configured MCP servers whose tools the panel may use")
    store: bool = Field(default=True, description="keep calls and results in a file of yours, to reuse and resume them")
    reuse: Literal["never", "calls", "only"] = Field(
        default="calls", description="answer finished calls from the store; only: fail rather than ask anybody"
    )
    fresh: Literal["panel", "judge", "synthesis", "all"] | None = Field(
        default=None, description="what is asked anew although the store has it"
    )
    max_age: str | None = Field(
        default=None, pattern=AGE, description="how old a reused answer may be: 30m, 12h, 7d; see docs/money.md"
    )
    max_usd: float | None = Field(default=None, gt=0, description="US dollars that the run may cost at most")
    max_usd_day: float | None = Field(default=None, gt=0, description="US dollars of a day, all notebooks together")
    max_usd_notebook: float | None = Field(default=None, gt=0, description="US dollars of this notebook, for ever")
    allow_unpriced: bool = Field(default=False, description="run under a limit although a model's price is unknown")
    thread: str | None = Field(default=None, min_length=1, max_length=80, description="name of a conversation to go on")
    simulate: Simulations = Field(
        default=(), description="who fails, and how, to see what comes of it: B=timeout,judge=badjson"
    )


def seconds_of(age: str) -> float:
    """Seconds of an age such as "90s", "30m", "12h", "7d" or "2w". Raises SettingsError for anything else."""
    if not re.fullmatch(AGE.strip("^$"), age):
        raise SettingsError(f'"{age}" is no age; write a number and s, m, h, d or w, such as 12h or 90d.')
    return float(age[:-1]) * UNITS[age[-1]]


ASKED = ("panel", "models", "judge", "synthesizer")


def build_settings(*layers: Mapping[str, Any]) -> Settings:
    """Settings from layers, the first one strongest; a value of None leaves the next layer in force.

    A layer that names a panel, or models, replaces who the weaker layers would have asked: a question to models of
    one's own must not go to the judge of another panel.

    Raises:
        SettingsError: a name or value is not valid; one sentence says which.
    """
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        given = {name: value for name, value in layer.items() if value is not None}
        if "panel" in given or "models" in given:
            merged = {name: value for name, value in merged.items() if name not in ASKED}
        merged |= given
    return checked(Settings, merged)
