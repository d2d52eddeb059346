"""What we keep of a run: one plain value that says everything that happened and what it cost."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import SettingsError
from .values import BUILT_LATER, Value
from .votes import Ballot, Change, Decision, Vote
from .workable import Workable

SCHEMA_VERSION = 1
RECORD = "application/vnd.fusion+json"  # the MIME type under which a notebook keeps a result
PACKING = "json, zlib, base85"
MAX_RECORD = 20_000_000  # bytes of JSON in a record: far above eight seats of a megabyte
MANY = 10_000  # entries of a list in a result: far above any run; without a bound a small record unfolds to gigabytes
Stage = Literal["panel", "judge", "synthesis", "hosted"]  # hosted: all of them in one call, on OpenRouter
Status = Literal["ok", "cancelled", "limited", "error"]


class Usage(Value):
    """Tokens of one call, or of several added up."""

    prompt_tokens: int = Field(default=0, description="input tokens")
    completion_tokens: int = Field(default=0, description="output tokens, reasoning included")
    reasoning_tokens: int = Field(default=0, description="output tokens spent on reasoning, where reported")
    cached_tokens: int = Field(default=0, description="input tokens read from the provider's prompt cache")
    cache_write_tokens: int = Field(default=0, description="input tokens written to the provider's prompt cache")
    web_searches: int = Field(default=0, description="searches that the server ran, which it may bill; where reported")

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


class Source(Value):
    """A page that a seat rests on: cited, found by a search and cited, or read."""

    url: str = Field(description="address of the page; corpus:… for a document of a local collection")
    title: str = Field(default="", description="its title, as the model or the search gave it")
    labels: tuple[str, ...] = Field(default=(), description="seats that used it")
    quotes: tuple[str, ...] = Field(default=(), max_length=MANY, description="passages that were cited or shown")


class Call(Value):
    """One call to one model, as it went. `cost` is None where no price is known, never 0 for that."""

    stage: Stage = Field(description="panel, judge, synthesis, or hosted: all of it, run by OpenRouter")
    round: int = Field(default=1, description="1, or 2 for a repair; the field-wise judge counts its fields")
    label: str = Field(default="", description="the seat's letter; empty for judge and synthesis")
    model: str = Field(description="the model that was asked for, with its endpoint")
    served_model: str | None = Field(default=None, description="the model the server says it used")
    usage: Usage | None = Field(default=None, description="tokens; None if the server did not report them")
    cost: float | None = Field(default=None, description="US dollars; None if no price is known")
    ttft: float | None = Field(default=None, description="seconds to the first token, reasoning included")
    duration: float = Field(default=0.0, description="seconds, retries included")
    attempts: int = Field(default=1, description="how often it was sent")
    unreported: int = Field(default=0, description="attempts that had begun to answer, failed, and may be billed")
    finish_reason: str | None = Field(default=None, description="why the model stopped; None if the call failed")
    error: str | None = Field(default=None, description="why the call failed, or None")
    reused: bool = Field(default=False, description="answered from the store or an earlier result instead of asked")
    made: datetime | None = Field(default=None, description="when a reused answer was made, UTC")
    saved: float | None = Field(default=None, description="US dollars that a reused answer had cost; None if unknown")
    request_id: str | None = Field(default=None, description="the server's id of the generation")
    messages_hash: str = Field(default="", description="SHA-256 of the messages that were sent")
    prompt_version: str = Field(default="", description="version of the prompt that was used")
    seed: str = Field(default="", description="what order and code of the responses came from, for judge and synthesis")
    batched: bool = Field(default=False, description="asked in a batch, so its seconds are those of waiting for that")
    started: float = Field(default=0.0, description="seconds after the run's beginning")


class ToolUse(Value):
    """One call of a tool by a model, as it went."""

    stage: Stage = Field(description="panel or judge")
    label: str = Field(default="", description="the seat's letter; empty for the judge")
    step: int = Field(default=1, description="which of the model's calls asked for it, counted from 1")
    number: int = Field(default=1, description="its place among the calls of that step, counted from 1")
    tool: str = Field(description="the tool's name; openrouter:… ran on OpenRouter's servers")
    arguments: str = Field(default="", description="JSON as the model wrote it; a long one only begins")
    output: str = Field(default="", description="the beginning of what the model read")
    size: int = Field(default=0, description="characters that the model read")
    error: str | None = Field(default=None, description="why it failed, as the model read it, or None")
    duration: float | None = Field(default=None, description="seconds; None where a server ran it")
    started: float = Field(default=0.0, description="seconds after the run's beginning")


class Response(Value):
    """One panelist's whole answer."""

    label: str = Field(description="the seat's letter, A to H")
    model: str = Field(description="the model that was asked for")
    served_model: str | None = Field(default=None, description="the model the server says it used")
    content: str = Field(description="the answer, as Markdown")
    reasoning: str = Field(default="", description="what the model showed of its reasoning")
    sources: tuple[Source, ...] = Field(default=(), max_length=MANY, description="pages it cited")
    usage: Usage | None = Field(default=None, description="tokens, None if not reported")
    cost: float | None = Field(default=None, description="US dollars, None if not priced")
    duration: float = Field(default=0.0, description="seconds")
    round: int = Field(default=1, description="the strategy's round it was written in; 1 unless there are more")


class FailedModel(Value):
    """A panelist that did not answer, and why."""

    label: str = Field(description="the seat's letter")
    model: str = Field(description="the model that was asked for")
    error: str = Field(description="one sentence")
    status_code: int | None = Field(default=None, description="HTTP status, where there was one")
    content: str = Field(default="", description="what it had written before it failed; not used by judge or synthesis")
    skipped: bool = Field(default=False, description="left out by the reader while it ran")


class Stance(Value):
    """What one seat says about a topic."""

    label: str
    model: str
    stance: str


class Contradiction(Value):
    """A topic on which responses disagree."""

    topic: str
    stances: tuple[Stance, ...]


class PartialCoverage(Value):
    """A point that only some responses make."""

    labels: tuple[str, ...]
    models: tuple[str, ...]
    point: str


class UniqueInsight(Value):
    """Something that one response alone brings."""

    label: str
    model: str
    insight: str


class Analysis(Value):
    """The judge's comparison, in OpenRouter Fusion's five fields."""

    consensus: tuple[str, ...] = Field(default=(), description="what all or most responses say")
    contradictions: tuple[Contradiction, ...] = Field(
        default=(), max_length=MANY, description="topics on which they disagree"
    )
    partial_coverage: tuple[PartialCoverage, ...] = Field(default=(), max_length=MANY, description="what only some say")
    unique_insights: tuple[UniqueInsight, ...] = Field(default=(), max_length=MANY, description="what one alone brings")
    blind_spots: tuple[str, ...] = Field(default=(), description="what none of them addresses")


class _Version(BaseModel):
    """Read first: a later version may have fields that this one does not know."""

    model_config = ConfigDict(defer_build=BUILT_LATER)

    schema_version: int


class FusionResult(Workable, Value):
    """Everything about one run; `answer` is the fused answer, `responses` what each panelist wrote."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="version of this shape")
    id: str = Field(description="the run's id")
    parent: str | None = Field(default=None, description="id of the run this one was made from")
    created: datetime = Field(description="when the run began, UTC")
    prompt: str = Field(description="the prompt that was sent")
    settings: dict[str, Any] = Field(description="the settings in force, the panel written out")
    status: Status = Field(default="ok", description="ok, cancelled, limited (by a budget) or error")
    error: str | None = Field(default=None, description="why there is no answer, or None")
    answer: str | None = Field(default=None, description="the synthesizer's whole answer")
    unfinished: str = Field(default="", description="what the synthesizer had written when it was stopped")
    parsed: Any = Field(default=None, exclude=True, description="the answer as the `schema` that was given")
    responses: tuple[Response, ...] = Field(
        default=(), max_length=8, description="each seat's last answer, in seat order"
    )
    earlier: tuple[Response, ...] = Field(
        default=(), max_length=MANY, description="what seats wrote in earlier rounds, in the order of rounds and seats"
    )
    failed_models: tuple[FailedModel, ...] = Field(default=(), max_length=8, description="who did not answer, and why")
    analysis: Analysis | None = Field(default=None, description="the judge's five fields, or None")
    votes: tuple[Vote, ...] = Field(default=(), max_length=8, description="short answers, where they were counted")
    ballots: tuple[Ballot, ...] = Field(default=(), max_length=8, description="how seats ranked each other")
    changes: tuple[Change, ...] = Field(default=(), max_length=MANY, description="who changed their mind in a debate")
    decision: Decision | None = Field(default=None, description="whether the whole panel was asked, if that was open")
    sources: tuple[Source, ...] = Field(default=(), max_length=MANY, description="pages cited, once each")
    calls: tuple[Call, ...] = Field(default=(), max_length=MANY, description="every call, in the order they ended")
    tools: tuple[ToolUse, ...] = Field(
        default=(), max_length=MANY, description="every call of a tool, in the order they ended"
    )
    warnings: tuple[str, ...] = Field(default=(), max_length=MANY, description="what the reader should know")
    duration: float = Field(default=0.0, description="seconds")

    @property
    def usage(self) -> Usage:
        """Tokens of all calls that were asked for this result and reported them; reused ones are not in it."""
        return sum((call.usage for call in self.calls if call.usage and not call.reused), Usage())

    @property
    def cost(self) -> float | None:
        """US dollars of all calls; None if none is priced. See `cost_is_partial`."""
        priced = [call.cost for call in self.calls if call.cost is not None]
        return sum(priced) if priced else None

    @property
    def cost_is_partial(self) -> bool:
        """Whether a call or a failed attempt may have cost something that `cost` does not hold."""
        return any(call.cost is None or call.unreported for call in self.calls)

    def save(self, path: str | Path) -> Path:
        """Write the result as JSON. Raises OSError if the file can't be written."""
        target = Path(path)
        target.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        return target

    @classmethod
    def open(cls, path: str | Path) -> FusionResult:
        """Read a result that `save` wrote.

        Raises:
            OSError: the file can't be read.
            SettingsError: it holds no result, or one of a later version; a notebook is for `from_notebook`.
        """
        if Path(path).suffix == ".ipynb":
            raise SettingsError(f"{path} is a notebook; from_notebook({str(path)!r}) lists the results in it.")
        return _result_from(Path(path).read_bytes(), str(path))

    def to_record(self) -> dict[str, Any]:
        """The result as a notebook keeps it: compressed JSON, with its version readable beside it."""
        packed = base64.b85encode(zlib.compress(self.model_dump_json().encode(), 9)).decode()
        return {"schema_version": self.schema_version, "packing": PACKING, "result": packed}

    @classmethod
    def from_record(cls, record: object, place: str = "The record") -> FusionResult:
        """The result that `to_record` packed; `place` begins the sentence if it can't be read.

        Raises:
            SettingsError: the record is damaged, or of a later version.
        """
        match record:
            case {"schema_version": int(version)} if version > SCHEMA_VERSION:
                raise SettingsError(_later(place))
            case {"result": str(packed)}:
                return _result_from(_unpacked(packed), place)
            case _:
                raise SettingsError(_nothing(place))

    # --- verbs: each makes a new result of this one, with `parent`, and prints what was kept and saved ---
    # All of them take settings by name too, as `fuse` does, and raise SettingsError for what can't be done. Functions,
    # frames, collections and attachments are not in a result: seats that need them get them again, tools=[f].

    def __repr__(self) -> str:
        seats = f"{len(self.responses)} of {len(self.responses) + len(self.failed_models)} seats"
        return f"<FusionResult {self.id!r} {self.status}, {seats}, {cost_text([self])}>"

    __str__ = __repr__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from .jupyter.static import bundle

        return bundle(self)


def _result_from(text: bytes, place: str) -> FusionResult:
    try:
        if _Version.model_validate_json(text).schema_version > SCHEMA_VERSION:
            raise SettingsError(_later(place))
        return FusionResult.model_validate_json(text)
    except ValidationError as exc:
        raise SettingsError(_nothing(place)) from exc


def _unpacked(packed: str) -> bytes:
    """The JSON in a record; nothing if it is damaged or unfolds to more than any result."""
    try:
        unfolding = zlib.decompressobj()
        text = unfolding.decompress(base64.b85decode(packed), MAX_RECORD)
    except (ValueError, zlib.error):
        return b""
    return text if unfolding.eof else b""


def _later(place: str) -> str:
    return f"{place} was written by a later fusion_magic; update to read it."


def _nothing(place: str) -> str:
    return f"{place} does not hold a result of fusion_magic."


def cost_text(results: Iterable[FusionResult]) -> str:
    """Cost of results in words: "$0.0123", "at least $0.01", "not priced"."""
    known = list(results)
    priced = [result.cost for result in known if result.cost is not None]
    if not priced:
        return "not priced" if any(result.calls for result in known) else "$0"
    amount = dollars(sum(priced))
    return f"at least {amount}" if any(result.cost_is_partial for result in known) else amount


def dollars(amount: float) -> str:
    """US dollars with enough digits to see small amounts: "$0", "$0.000012", "$0.0012", "$1.23"."""
    if amount == 0:
        return "$0"
    digits = 2 if amount >= 1 else 4 if amount >= 0.001 else 6
    return f"${max(amount, 1e-6):.{digits}f}"
