"""Results as tidy pandas DataFrames: one row for each response, stance, point, call and so on, of one run or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from ..errors import SettingsError
from ..results import Call, FailedModel, FusionResult, Response, Usage
from . import columns
from .columns import Columns, Row, documented, table
from .quotes import quote

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]


def frames(runs: FusionResult | Iterable[FusionResult]) -> Frames:
    """Frames over one result or many, stacked: `frames(runs).calls` has the calls of all of them, with `run` the id.

    Raises:
        SettingsError: something is not a result.
    """
    results: list[object] = [runs] if isinstance(runs, FusionResult) else list(runs)
    for result in results:
        if not isinstance(result, FusionResult):
            what = type(result).__name__
            raise SettingsError(f"frames() takes results, not a {what}; fusion_magic.load(run) gets one by its id.")
    return Frames(tuple(cast("list[FusionResult]", results)))


class Frames:
    """The frames of one run or many; each is made when it is asked for, and is the caller's to change.

    Columns and dtypes are the same for any runs, also where a frame is empty. Each property lists its columns: in a
    notebook, `r.frames.calls?` shows them. A missing value of any kind is one for which pandas' `isna` is true.
    Every property raises SettingsError if pandas is not installed.
    """

    def __init__(self, runs: tuple[FusionResult, ...]) -> None:
        self._runs = runs

    def __repr__(self) -> str:
        names = [name for name, value in vars(Frames).items() if isinstance(value, property)]
        return f"<Frames of {', '.join(run.id for run in self._runs) or 'no run'}: {', '.join(names)}>"

    def _stacked(self, kind: Columns, rows: Callable[[FusionResult], Iterable[Row]]) -> DataFrame:
        return table(kind, ({"run": run.id, **row} for run in self._runs for row in rows(run)))

    @property
    @documented(columns.RESPONSES)
    def responses(self) -> DataFrame:
        """One row for each seat, those that did not answer included."""
        return self._stacked(columns.RESPONSES, _responses)

    @property
    @documented(columns.CLAIMS)
    def claims(self) -> DataFrame:
        """One row for each sentence of the answer and each passage of a response that supports or contradicts it.

        A sentence without any has one row. `frame.drop_duplicates(["run", "number"])` has each sentence once.
        """
        return self._stacked(columns.CLAIMS, _claims)

    @property
    @documented(columns.CONTRADICTIONS)
    def contradictions(self) -> DataFrame:
        """One row for each stance: topic × seat, with the passage of the response that is nearest to it."""
        return self._stacked(columns.CONTRADICTIONS, _contradictions)

    @property
    @documented(columns.COVERAGE)
    def coverage(self) -> DataFrame:
        """One row for each point of the analysis and each seat that answered: does the seat make the point?"""
        return self._stacked(columns.COVERAGE, _coverage)

    @property
    @documented(columns.INSIGHTS)
    def insights(self) -> DataFrame:
        """One row for each unique insight of the analysis."""
        return self._stacked(columns.INSIGHTS, _insights)

    @property
    @documented(columns.SOURCES)
    def sources(self) -> DataFrame:
        """One row for each page and seat that rests on it."""
        return self._stacked(columns.SOURCES, _sources)

    @property
    @documented(columns.TOOLS)
    def tools(self) -> DataFrame:
        """One row for each call of a tool, in the order they ended."""
        return self._stacked(columns.TOOLS, _tools)

    @property
    @documented(columns.CALLS)
    def calls(self) -> DataFrame:
        """One row for each call to a model, in the order they ended; the cost of a run is the sum of theirs."""
        return self._stacked(columns.CALLS, _calls)

    @property
    @documented(columns.TIMELINE)
    def timeline(self) -> DataFrame:
        """One row for each call to a model or of a tool, with when it began and ended, in the order they began."""
        return self._stacked(columns.TIMELINE, timeline_rows)


# --- rows ---------------------------------------------------------------------------------------------


def _models(run: FusionResult) -> dict[str, str]:
    """Each seat's model, by its letter."""
    return {seat.label: seat.model for seat in (*run.responses, *run.failed_models)}


def _responses(run: FusionResult) -> Iterator[Row]:
    seats = sorted((*run.responses, *run.failed_models), key=lambda seat: seat.label)
    for seat in seats:
        about = _answered(seat) if isinstance(seat, Response) else _failed(run, seat)
        yield {
            "seat": seat.label,
            "model": seat.model,
            "content": seat.content,
            "characters": len(seat.content),
            "sources": sum(seat.label in source.labels for source in run.sources),
            "tools": sum(use.label == seat.label for use in run.tools),
            **about,
        }


def _answered(seat: Response) -> Row:
    return {
        "served_model": seat.served_model,
        "status": "ok",
        "error": None,
        "reasoning": seat.reasoning,
        **_tokens(seat.usage),
        "cost": seat.cost,
        "duration": seat.duration,
    }


def _failed(run: FusionResult, seat: FailedModel) -> Row:
    """What its calls tell of a seat that did not answer; added up as for one that did."""
    calls = [call for call in run.calls if call.stage == "panel" and call.label == seat.label]
    costs = [call.cost for call in calls if call.cost is not None]
    usages = [call.usage for call in calls if call.usage]
    return {
        "served_model": calls[-1].served_model if calls else None,
        "status": "skipped" if seat.skipped else "failed",
        "error": seat.error,
        "reasoning": "",
        **_tokens(sum(usages, Usage()) if usages else None),
        "cost": sum(costs) if costs and len(costs) == len(calls) else None,
        "duration": calls[-1].started + calls[-1].duration - calls[0].started if calls else None,
    }


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    return {name: getattr(usage, name, None) for name in Usage.model_fields}


def _claims(run: FusionResult) -> Iterator[Row]:
    from .claims import ledger

    models, texts = _models(run), _contents(run)
    for number, entry in enumerate(ledger(run).sentences, 1):
        sentence = {
            "number": number,
            "sentence": entry.text,
            "start": entry.start,
            "end": entry.end,
            "form": entry.form,
            "origin": entry.origin,
        }
        passages = [("supports" if passage.whole else "supports a part", passage) for passage in entry.supported_by]
        passages += [("contradicts", passage) for passage in entry.contradicted_by]
        for relation, passage in passages:
            place = {"quote_start": passage.start, "quote_end": passage.end, "score": passage.score}
            said = texts[passage.label][passage.start : passage.end]
            seat = {"seat": passage.label, "model": models[passage.label], "relation": relation}
            yield {**sentence, **seat, **place, "quote": said}
        if not passages:
            yield {**dict.fromkeys(columns.CLAIMS), "run": run.id, **sentence}


def _contents(run: FusionResult) -> dict[str, str]:
    """Each answered seat's response, by its letter."""
    return {seat.label: seat.content for seat in run.responses}


def _contradictions(run: FusionResult) -> Iterator[Row]:
    if run.analysis is None:
        return
    texts = _contents(run)
    for number, contradiction in enumerate(run.analysis.contradictions, 1):
        for stance in contradiction.stances:
            text = texts.get(stance.label, "")
            start, end = quote(stance.stance, contradiction.topic, text) or (None, None)
            yield {
                "number": number,
                "topic": contradiction.topic,
                "seat": stance.label,
                "model": stance.model,
                "stance": stance.stance,
                "quote": None if start is None else text[start:end],
                "quote_start": start,
                "quote_end": end,
            }


def _coverage(run: FusionResult) -> Iterator[Row]:
    if run.analysis is None:
        return
    partial = [("partial", point.point, point.labels) for point in run.analysis.partial_coverage]
    unique = [("unique", insight.insight, (insight.label,)) for insight in run.analysis.unique_insights]
    for number, (kind, point, labels) in enumerate((*partial, *unique), 1):
        for seat in run.responses:
            about = {"number": number, "kind": kind, "point": point, "seat": seat.label, "model": seat.model}
            yield {**about, "covered": int(seat.label in labels)}


def _insights(run: FusionResult) -> Iterator[Row]:
    for unique in run.analysis.unique_insights if run.analysis else ():
        yield {"seat": unique.label, "model": unique.model, "insight": unique.insight}


def _sources(run: FusionResult) -> Iterator[Row]:
    models = _models(run)
    said = {seat.label: {quote for source in seat.sources for quote in source.quotes} for seat in run.responses}
    for source in run.sources:
        for label in source.labels:
            quotes = [quote for quote in source.quotes if quote in said.get(label, ())]
            about = {"url": source.url, "title": source.title, "seat": label, "model": models.get(label)}
            yield {**about, "quotes": len(quotes), "quote": quotes[0] if quotes else None}


def _tools(run: FusionResult) -> Iterator[Row]:
    asked = {(call.stage, call.label): call.model for call in run.calls}
    for use in run.tools:
        about = {name: getattr(use, name) for name in columns.TOOLS if name in type(use).model_fields}
        model = asked.get((use.stage, use.label)) or _models(run).get(use.label)
        yield {**about, "seat": use.label, "model": model}


def _calls(run: FusionResult) -> Iterator[Row]:
    for call in run.calls:
        about: dict[str, Any] = {name: getattr(call, name) for name in columns.CALLS if name in Call.model_fields}
        yield {**about, "seat": call.label, **_tokens(call.usage)}


def timeline_rows(run: FusionResult) -> list[dict[str, Any]]:
    """Calls to models and of tools as intervals, in seconds after the run's beginning."""
    calls = [
        {
            "kind": "call",
            "stage": call.stage,
            "seat": call.label,
            "name": call.model,
            "start": call.started,
            "first_token": call.started + call.ttft if call.ttft is not None and call.attempts == 1 else None,
            "end": call.started + call.duration,
            "attempts": call.attempts,
            "reused": call.reused,
            "error": call.error,
        }
        for call in run.calls
    ]
    tools = [
        {
            "kind": "tool",
            "stage": use.stage,
            "seat": use.label,
            "name": use.tool,
            "start": use.started,
            "first_token": None,
            "end": None if use.duration is None else use.started + use.duration,
            "attempts": 1,
            "reused": False,
            "error": use.error,
        }
        for use in run.tools
    ]
    return sorted((*calls, *tools), key=lambda row: row["start"])
