"""Audits of a stored run: does its analysis hold in other orders and with another judge; what did each seat change.

Nobody of the panel is asked: the responses are taken from the result. Each audit prints its price first. What another
strategy than `fusion` made is compared and written here as `fusion` does, from each seat's last answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..prompts import run_digest, shuffled
from ..results import Call, FusionResult
from ..settings import LABELS, Panelist
from ..verbs import panel_of
from .columns import Columns, Row, documented, table
from .extra_runs import (
    Confirm,
    carry_out,
    confirm_price,
    judging,
    needs_answer,
    price_of,
    refuse_loop_thread,
    told_anew,
    without,
)
from .findings import Finding, findings, gone_and_new, grouped, relettered
from .judge_audit import JudgeAudit, Reading, Same
from .report import Report, Shown, Table
from .restated import Missing, missing

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

TRIED = 200  # samples among which orders are chosen: enough that of three seats all six come up


def audit_judge(
    result: FusionResult, k: int = 3, judge: str | Panelist | None = None, *, confirm: Confirm = False
) -> JudgeAudit:
    """Let the judge read the same responses in `k` other orders, and perhaps a second judge in the first one.

    The orders are chosen so that each seat is read in as many places as possible. It makes k calls of the judge, one
    more where the run has no analysis or its order is not known, and one of the second judge; what an earlier audit
    asked is in the store. What the run's own judge said is the first reading.

    Args:
        result: a run, also one loaded from the store or a notebook.
        k: other orders; of two seats there is one, of three there are five.
        judge: a second judge, who reads the first order.
        confirm: True asks before anybody is called; a function gets the price and says whether to go on.

    Returns:
        Which findings hold, in which places seats got credit, and how judges treat their own family.

    Raises:
        SettingsError: k is less than 1, or fewer than two seats have answered.
        FusionError: the price was not confirmed, or as `fuse`.
    """
    if k < 1:
        raise SettingsError(f"An audit reads at least one other order, not {k}.")
    if len(result.responses) < 2:
        raise SettingsError("One response has no order to shuffle; an audit of the judge needs two.")
    refuse_loop_thread()
    texts = {response.label: response.content for response in result.responses}
    question = judging(result).matter().question
    first = order_of(result) if result.analysis else _order(question, texts, 0)
    samples = [*([] if result.analysis else [0]), *chosen_samples(question, texts, k, first)]
    requests = [judging(result, sample) for sample in samples]
    requests += [judging(result, judge=judge)] if judge else []
    confirm_price(price_of("Audit of the judge", requests), confirm)
    runs = carry_out(requests)
    readings = [*([_reading(result, stored=True)] if result.analysis else []), *map(_reading, runs)]
    rows = grouped([findings(reading.analysis) for reading in readings])
    found = tuple(Same(tuple(row)) for row in rows)
    return JudgeAudit(result, tuple(readings), found, told_anew(result, runs))


def order_of(result: FusionResult) -> tuple[str, ...]:
    """The seats' letters as the judge of a result read them; a judge that is asked field by field reads A first."""
    call, labels = _judge_call(result), [response.label for response in result.responses]
    return tuple(shuffled(labels, call.seed) if call and call.seed else labels)


def _order(question: str, texts: dict[str, str], sample: int) -> tuple[str, ...]:
    return tuple(shuffled(list(texts), run_digest(question, texts, sample)))


def chosen_samples(question: str, texts: dict[str, str], k: int, first: Sequence[str]) -> list[int]:
    """Sample numbers of up to `k` orders that differ from the first and from each other.

    Each is the one in which the fewest seats stand where they stood before, the smallest number among equals.
    """
    orders: dict[tuple[str, ...], int] = {}
    for sample in range(1, TRIED):
        orders.setdefault(_order(question, texts, sample), sample)
    orders.pop(tuple(first), None)
    seen, samples = [set(enumerate(first))], list[int]()

    def cost(order: tuple[str, ...]) -> tuple[int, int]:
        return sum(len(known & set(enumerate(order))) for known in seen), orders[order]

    while orders and len(samples) < k:
        best = min(orders, key=cost)
        seen.append(set(enumerate(best)))
        samples.append(orders.pop(best))
    return samples


def _judge_call(result: FusionResult) -> Call | None:
    return next((call for call in reversed(result.calls) if call.stage == "judge" and not call.error), None)


def _reading(result: FusionResult, *, stored: bool = False) -> Reading:
    call = _judge_call(result)
    model = call.model if call else panel_of(result).judge.model
    return Reading(model, order_of(result), result.analysis, result.id, stored)


# --- one seat less ------------------------------------------------------------------------------------

COLUMNS: Columns = {
    "seat": ("text", "the seat that was left out"),
    "model": ("text", "its model"),
    "run": ("text", "id of the run without it"),
    "what": ("text", "finding or sentence"),
    "change": ("text", "gone or new; of sentences only what is gone is listed"),
    "kind": ("text", "the field of a finding; missing for a sentence"),
    "text": ("text", "the finding or sentence"),
}


@dataclass(frozen=True, slots=True)
class WithoutSeat:
    """Judge and synthesizer without one seat, compared with the run.

    Attributes:
        label, model: the seat that was left out.
        result: the run without it; later seats stand one letter earlier there.
        gone, new: findings that only the run has, and only the run without the seat; letters are the run's. Empty if
            one of the two has no analysis.
        sentences: of the run's answer against the other's: those that are gone; None if there is no other.
    """

    label: str
    model: str
    result: FusionResult
    gone: tuple[Finding, ...]
    new: tuple[Finding, ...]
    sentences: Missing | None


@dataclass(frozen=True, repr=False)
class LeaveOneOut(Shown):
    """What each seat changed: the run with each of its seats left out in turn."""

    result: FusionResult
    seats: tuple[WithoutSeat, ...]
    warnings: tuple[str, ...] = ()

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each finding that is gone or new without a seat, and for each sentence that is gone."""
        return table(COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for seat in self.seats:
            about = {"seat": seat.label, "model": seat.model, "run": seat.result.id}
            for change, those in (("gone", seat.gone), ("new", seat.new)):
                for finding in those:
                    told = {"what": "finding", "change": change, "kind": finding.kind, "text": str(finding)}
                    yield {**about, **told}
            for sentence in seat.sentences.sentences if seat.sentences else ():
                yield {**about, "what": "sentence", "change": "gone", "kind": None, "text": sentence}

    @property
    def report(self) -> Report:
        """What is shown: a line for each seat, then what is gone without it."""
        head = ("without", "model", "findings gone", "new", "sentences of the answer gone", "unclear")
        rows = tuple((seat.label, seat.model, *self._found(seat), *_said(seat.sentences)) for seat in self.seats)
        return Report(
            f"Run {self.result.id} with one seat left out",
            (Table("", head, rows), *(_gone_table(seat) for seat in self.seats)),
            (*self.warnings, CHANCE),
        )

    def _found(self, seat: WithoutSeat) -> tuple[str, str]:
        is_known = self.result.analysis and seat.result.analysis
        return (str(len(seat.gone)), str(len(seat.new))) if is_known else ("not known", "not known")


CHANCE = (
    "A judge and a synthesizer that are asked twice write something else twice, also with the same seats: "
    "audit_judge() shows how much of that is the judge's."
)


def _said(sentences: Missing | None) -> tuple[str, str]:
    if sentences is None:
        return "not known", ""
    return f"{len(sentences.sentences)} of {sentences.claims}", str(sentences.unclear)


def _gone_table(seat: WithoutSeat) -> Table:
    found = [(f"{finding.kind} gone", str(finding)) for finding in seat.gone]
    said = [("sentence gone", sentence) for sentence in (seat.sentences.sentences if seat.sentences else ())]
    return Table(f"Without {seat.label}, {seat.model}", ("", ""), (*found, *said))


def leave_one_out(result: FusionResult, *, confirm: Confirm = False) -> LeaveOneOut:
    """Judge and synthesize again without each seat in turn: which findings and sentences go with it.

    It makes one call of the judge and one of the synthesizer for each seat that answered; nobody of the panel is
    asked. What an earlier audit asked is in the store.

    Args:
        result: a run with an answer of two seats or more, also one loaded from the store or a notebook.
        confirm: True asks before anybody is called; a function gets the price and says whether to go on.

    Raises:
        SettingsError: there is no answer, or fewer than two seats have answered.
        FusionError: the price was not confirmed, or as `fuse`.
    """
    needs_answer(result)
    if len(result.responses) < 2:
        raise SettingsError("Without its only response a run has none; leave_one_out needs two.")
    refuse_loop_thread()
    labels = [response.label for response in result.responses]
    requests = [without(result, label) for label in labels]
    confirm_price(price_of("Leave one out", requests), confirm)
    runs = carry_out(requests)
    seats = tuple(_without(result, *each) for each in zip(labels, runs, strict=True))
    return LeaveOneOut(result, seats, told_anew(result, runs))


def _without(result: FusionResult, label: str, less: FusionResult) -> WithoutSeat:
    left = (seat.label for seat in panel_of(result).models if seat.label != label)
    letters = dict(zip(LABELS, left, strict=False))
    gone = new = tuple[Finding, ...]()
    if result.analysis and less.analysis:
        gone, new = gone_and_new(result.analysis, relettered(less.analysis, letters))
    model = next(response.model for response in result.responses if response.label == label)
    sentences = missing(result.answer or "", {"A": less.answer}) if less.answer else None
    return WithoutSeat(label, model, less, gone, new, sentences)
