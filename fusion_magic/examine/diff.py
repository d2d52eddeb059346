"""What changed between two results: settings, seats, findings, sentences of the answer, cost and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..results import FusionResult, cost_text, dollars
from .columns import Columns, Row, documented, table
from .costs import full_cost, full_seconds, seconds_text
from .findings import gone_and_new
from .report import Report, Shown, Table
from .restated import missing

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

What = Literal["prompt", "setting", "seat", "finding", "sentence", "cost", "seconds"]
COLUMNS: Columns = {
    "what": ("text", "prompt, setting, seat, finding, sentence, cost or seconds"),
    "change": ("text", "gone, new or changed"),
    "name": ("text", "the setting, the field of the finding; missing for others"),
    "before": ("text", "as it is in the first result; missing if it is new"),
    "after": ("text", "as it is in the second result; missing if it is gone"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. `before` is None for what is new, `after` for what is gone."""

    what: What
    name: str | None
    before: str | None
    after: str | None

    @property
    def change(self) -> str:
        """gone, new or changed"""
        return "new" if self.before is None else "gone" if self.after is None else "changed"


@dataclass(frozen=True, repr=False)
class Diff(Shown):
    """What changed from one result to another; findings and sentences are compared by what they say."""

    before: FusionResult
    after: FusionResult
    changes: tuple[Change, ...]

    def of(self, *what: What) -> tuple[Change, ...]:
        """The changes of these sorts."""
        return tuple(change for change in self.changes if change.what in what)

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each change."""
        return table(COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for each in self.changes:
            yield {"change": each.change} | {name: getattr(each, name) for name in ("what", "name", "before", "after")}

    @property
    def report(self) -> Report:
        """What is shown: a table for each sort of change."""
        tables = (
            _both("Prompt and settings", self.of("prompt", "setting")),
            _both("Cost and time, with nothing reused", self.of("cost", "seconds")),
            _one_sided("Seats", self.of("seat")),
            _one_sided("Findings", self.of("finding")),
            _one_sided("Sentences of the answer", self.of("sentence")),
        )
        told = "" if self.changes else ": nothing differs"
        return Report(f"From run {self.before.id} to run {self.after.id}{told}", tables)


def _both(title: str, changes: tuple[Change, ...]) -> Table:
    rows = tuple((each.name or each.what, each.before or "–", each.after or "–") for each in changes)
    return Table(title, ("", "before", "after"), rows)


def _one_sided(title: str, changes: tuple[Change, ...]) -> Table:
    rows = tuple(
        ("−" if each.change == "gone" else "+", each.name or "", each.before or each.after or "") for each in changes
    )
    return Table(title, ("", "", ""), rows)


def diff(before: FusionResult, after: FusionResult) -> Diff:
    """What changed from one result to another; nobody is asked.

    Seats are compared by their models, so letters may have moved; findings as `examine.findings.grouped` says and
    sentences by the claims ledger, so that other words for the same are no change, as far as these find it.
    """
    changes = (*_settings(before, after), *_seats(before, after), *_findings(before, after))
    return Diff(before, after, (*changes, *_sentences(before, after), *_figures(before, after)))


def _settings(before: FusionResult, after: FusionResult) -> Iterator[Change]:
    if before.prompt != after.prompt:
        yield Change("prompt", None, before.prompt, after.prompt)
    one, other = _flat(before.settings), _flat(after.settings)
    for name in dict.fromkeys((*one, *other)):
        if one.get(name) != other.get(name):
            yield Change("setting", name, one.get(name), other.get(name))


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    """Settings that are set, as texts; of the panel its judge and synthesizer, as seats are told apart from these."""
    panel: dict[str, Any] = settings.get("panel") or {}
    chairs: dict[str, Any] = {role: panel.get(role) or {} for role in ("judge", "synthesizer")}
    told: dict[str, Any] = {"panel": panel.get("name")} | {role: chair.get("model") for role, chair in chairs.items()}
    told |= {name: value for name, value in settings.items() if name != "panel"}
    return {name: _told(value) for name, value in told.items() if value not in (None, "", [], ())}


def _told(value: Any) -> str:
    values: list[object] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType]
    return ", ".join(map(str, values))


def _seats(before: FusionResult, after: FusionResult) -> Iterator[Change]:
    one, other = _sitting(before), _sitting(after)
    for seat in (one - other).elements():
        yield Change("seat", None, seat, None)
    for seat in (other - one).elements():
        yield Change("seat", None, None, seat)


def _sitting(result: FusionResult) -> Counter[str]:
    lost = (f"{seat.model}, without an answer" for seat in result.failed_models)
    return Counter((*(seat.model for seat in result.responses), *lost))


def _findings(before: FusionResult, after: FusionResult) -> Iterator[Change]:
    gone, new = gone_and_new(before.analysis, after.analysis)
    for finding in gone:
        yield Change("finding", finding.kind, str(finding), None)
    for finding in new:
        yield Change("finding", finding.kind, None, str(finding))


def _sentences(before: FusionResult, after: FusionResult) -> Iterator[Change]:
    one, other = before.answer or "", after.answer or ""
    if one == other:
        return
    for sentence in missing(one, {"A": other}).sentences:
        yield Change("sentence", None, sentence, None)
    for sentence in missing(other, {"A": one}).sentences:
        yield Change("sentence", None, None, sentence)


def _figures(before: FusionResult, after: FusionResult) -> Iterator[Change]:
    costs, seconds = (_cost(before), _cost(after)), (_seconds(before), _seconds(after))
    if costs[0] != costs[1]:
        yield Change("cost", None, *costs)
    if seconds[0] != seconds[1]:
        yield Change("seconds", None, *seconds)


def _cost(result: FusionResult) -> str:
    whole = full_cost(result)
    return cost_text([result]) if whole is None else dollars(whole)


def _seconds(result: FusionResult) -> str:
    return seconds_text(full_seconds(result))
