"""What happens during a run, as frozen values, and the fold that turns them into a result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from .results import (
    Analysis,
    Call,
    FailedModel,
    FusionResult,
    Response,
    Source,
    Stage,
    Status,
    ToolUse,
)
from .votes import Ballot, Change, Counted, Decision, Vote

QUOTES = 10  # passages kept of one page
# Of seats that nothing was told of: of ours, and of those in OpenRouter's own Fusion.
UNENDED, CUT_OFF = "Stopped before it ended.", "OpenRouter's run ended before it answered."


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that the run will or may make. Prices are US dollars per token, None if unknown.

    `maybe` is one that depends on what others answer; a fallback depends on a failure.
    """

    stage: Stage
    label: str
    model: str
    prompt_price: float | None
    completion_price: float | None
    fallback: bool = False
    round: int = 1
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: what was asked and every call that may follow."""

    id: str
    created: datetime
    prompt: str
    settings: dict[str, Any]
    plan: tuple[PlannedCall, ...]
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call is sent; again with a higher attempt when it is retried."""

    stage: Stage
    label: str
    model: str
    attempt: int = 1
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """Text or reasoning as it streams; a new attempt begins from nothing."""

    stage: Stage
    label: str
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class CallRetried:
    """An attempt failed and another follows after `wait` seconds."""

    stage: Stage
    label: str
    model: str
    error: str
    wait: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call ended, well or not, with what it cost."""

    call: Call


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A model calls a tool; `arguments` is the JSON it wrote, or its beginning."""

    stage: Stage
    label: str
    step: int
    number: int
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A call of a tool ended, well or not."""

    use: ToolUse


@dataclass(frozen=True, slots=True)
class SeatAnswered:
    """A panelist answered; in a later round again."""

    response: Response


@dataclass(frozen=True, slots=True)
class SeatFailed:
    """A panelist is lost; the run goes on."""

    failed: FailedModel


@dataclass(frozen=True, slots=True)
class AnalysisReady:
    """The judge compared the responses."""

    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Told:
    """A vote, a ballot, a change of mind, or a decision about the panel."""

    what: Counted


@dataclass(frozen=True, slots=True)
class AnswerReady:
    """The synthesizer finished; `parsed` is the answer as the schema that was given."""

    answer: str
    parsed: Any = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that takes time before the first call (a download, a catalogue); not kept in the result."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the reader should know."""

    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event."""

    status: Status
    duration: float
    error: str | None = None


Event = (
    RunStarted
    | CallStarted
    | Delta
    | CallRetried
    | CallEnded
    | ToolStarted
    | ToolEnded
    | SeatAnswered
    | SeatFailed
    | AnalysisReady
    | Told
    | AnswerReady
    | Notice
    | Warned
    | RunEnded
)


@dataclass(slots=True)
class Fold:
    """A run's state so far: apply events, ask for the result at any moment.

    Until RunEnded has come the status is `cancelled`, and seats still writing are among the failed models
    with what they had written, so that a log cut off anywhere folds to a true result.
    """

    started: RunStarted | None = None
    ended: RunEnded | None = None
    writing: dict[tuple[Stage, str], list[str]] = field(default_factory=dict[tuple[Stage, str], list[str]])
    drafts: dict[tuple[Stage, str], str] = field(default_factory=dict[tuple[Stage, str], str])
    models: dict[str, str] = field(default_factory=dict[str, str])
    responses: dict[str, Response] = field(default_factory=dict[str, Response])
    earlier: list[Response] = field(default_factory=list[Response])
    told: list[Counted] = field(default_factory=list[Counted])
    failed: dict[str, FailedModel] = field(default_factory=dict[str, FailedModel])
    calls: list[Call] = field(default_factory=list[Call])
    tools: list[ToolUse] = field(default_factory=list[ToolUse])
    warnings: list[str] = field(default_factory=list[str])
    analysis: Analysis | None = None
    answer: AnswerReady | None = None

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Delta():
                if event.text:
                    self.writing[event.stage, event.label].append(event.text)
            case CallStarted():
                # A retry or a fallback may bring less than what the attempt before it had written.
                self.drafts[event.stage, event.label] = self.written(event.stage, event.label)
                self.writing[event.stage, event.label] = []
                if event.stage == "panel":
                    self.models[event.label] = event.model
            case CallEnded():
                self.calls.append(event.call)
            case ToolEnded():
                self.tools.append(event.use)
            case SeatAnswered():
                self._answered(event.response)
            case SeatFailed():
                self.failed[event.failed.label] = event.failed
            case AnalysisReady():
                self.analysis = event.analysis
            case Told():
                self.told.append(event.what)
            case AnswerReady():
                self.answer = event
            case Warned():
                self._warn(event.text)
            case RunStarted():
                self.started = event
                # A seat counts from the beginning: a run may be stopped before its call is sent.
                seats = (call for call in event.plan if call.stage == "panel" and not (call.fallback or call.maybe))
                self.models = {call.label: call.model for call in seats}
            case RunEnded():
                self.ended = event
            case CallRetried() | ToolStarted() | Notice():
                pass
            case _:
                assert_never(event)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _answered(self, response: Response) -> None:
        """A seat's answer takes the place of the one from the round before."""
        last = self.responses.get(response.label)
        if last and last.round < response.round:
            self.earlier.append(last)
        self.responses[response.label] = response

    def result(self) -> FusionResult:
        """The result as it stands. Raises ValueError before RunStarted."""
        if self.started is None:
            raise ValueError("the run has not started")
        begun = self.started
        ended = self.ended or RunEnded("cancelled", 0.0, "The run was cut off.")
        responses = tuple(self.responses[label] for label in sorted(self.responses))
        earlier = tuple(sorted(self.earlier, key=lambda response: (response.round, response.label)))
        return FusionResult(
            id=begun.id,
            parent=begun.parent,
            created=begun.created,
            prompt=begun.prompt,
            settings=begun.settings,
            status=ended.status,
            error=ended.error,
            answer=self.answer.answer if self.answer else None,
            unfinished="" if self.answer else self.written("synthesis", ""),
            parsed=self.answer.parsed if self.answer else None,
            responses=responses,
            earlier=earlier,
            votes=tuple(what for what in self.told if isinstance(what, Vote)),
            ballots=tuple(what for what in self.told if isinstance(what, Ballot)),
            changes=tuple(what for what in self.told if isinstance(what, Change)),
            decision=next((what for what in reversed(self.told) if isinstance(what, Decision)), None),
            failed_models=self._failed_models(),
            analysis=self.analysis,
            sources=merge_sources(source for response in (*responses, *earlier) for source in response.sources),
            calls=tuple(self.calls),
            tools=tuple(self.tools),
            warnings=tuple(self.warnings),
            duration=ended.duration,
        )

    def written(self, stage: Stage, label: str) -> str:
        """What a call has written so far, or an attempt before it if that was more."""
        draft, now = self.drafts.get((stage, label), ""), "".join(self.writing.get((stage, label), ()))
        return max(now, draft, key=len)

    def _failed_models(self) -> tuple[FailedModel, ...]:
        lost = dict(self.failed)
        for label, model in self.models.items():
            if label not in self.responses and label not in lost:
                written = self.written("panel", label)
                lost[label] = FailedModel(label=label, model=model, error=UNENDED, content=written)
        return tuple(lost[label] for label in sorted(lost))


def fold(events: Iterable[Event]) -> FusionResult:
    """The result that a run's events tell; equal to what the run returned."""
    state = Fold()
    for event in events:
        state.apply(event)
    return state.result()


def merge_sources(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Sources once for each page, with the seats that used it and what they quoted, in order of first mention."""
    merged: dict[str, Source] = {}
    for source in sources:
        page = _page(source.url)
        known = merged.get(page, source)
        merged[page] = Source(
            url=known.url,
            title=known.title or source.title,
            labels=tuple(sorted({*known.labels, *source.labels})),
            quotes=tuple(dict.fromkeys((*known.quotes, *source.quotes)))[:QUOTES],
        )
    return tuple(merged.values())


def _page(url: str) -> str:
    """An address without what does not lead to another page; a collection's places keep their page or cell."""
    if not url.startswith(("http://", "https://")):
        return url
    host, slash, path = url.partition("://")[2].partition("#")[0].partition("/")
    return f"{host.lower().removeprefix('www.')}{slash}{path}".rstrip("/")
