"""One model alone, and the same model several times at the panel's price, beside the fusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..api import estimate_for
from ..chosen import checked
from ..results import FusionResult, dollars
from ..settings import LABELS, Panelist
from ..verbs import panel_of
from .columns import Columns, Row, documented, table
from .costs import cost_shown, full_cost, full_seconds, seat_costs, seconds_text
from .extra_runs import (
    Confirm,
    carry_out,
    confirm_price,
    needs_answer,
    price_of,
    refuse_loop_thread,
    seated,
    seats_like,
)
from .report import Report, Shown, Table
from .restated import Missing, missing

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

System = Literal["fusion", "alone", "repeated"]
COLUMNS: Columns = {
    "system": ("text", "fusion, alone or repeated"),
    "run": ("text", "the run's id"),
    "models": ("text", "who was asked, once each"),
    "seats": ("count", "seats that answered"),
    "cost": ("number", "US dollars with nothing reused; missing if a call's price is not known"),
    "seconds": ("number", "the slowest seat, then judge and synthesizer; missing if the store answered a call"),
    "characters": ("count", "of the answer"),
    "claims": ("count", "sentences of the answer that claim anything"),
    "only": ("count", "those of which no other system's answer has anything"),
    "unclear": ("count", "those that could not be decided"),
}


@dataclass(frozen=True, slots=True)
class Beside:
    """One of the systems that are compared.

    Attributes:
        system: the fusion, the model alone, or the model several times with the fusion's judge and synthesizer.
        result: its run.
        only: the claims of its answer that no other system's answer has.
    """

    system: System
    result: FusionResult
    only: Missing

    @property
    def models(self) -> str:
        """Who was asked, once each."""
        return ", ".join(dict.fromkeys(seat.model for seat in self.result.responses))


@dataclass(frozen=True, repr=False)
class Baseline(Shown):
    """The fusion, one model alone and the same model several times, side by side; no verdict on which is better."""

    systems: tuple[Beside, ...]
    notes: tuple[str, ...] = ()

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each system."""
        return table(COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for each in self.systems:
            yield {
                "system": each.system,
                "run": each.result.id,
                "models": each.models,
                "seats": len(each.result.responses),
                "cost": full_cost(each.result),
                "seconds": full_seconds(each.result),
                "characters": len(each.result.answer or ""),
                "claims": each.only.claims,
                "only": len(each.only.sentences),
                "unclear": each.only.unclear,
            }

    @property
    def report(self) -> Report:
        """What is shown: a line for each system, then the claims that only one has."""
        head = ("", "models", "seats", "cost", "seconds", "characters", "claims", "only here", "unclear")
        rows = tuple(
            (
                str(row["system"]),
                str(row["models"]),
                str(row["seats"]),
                cost_shown(row["cost"]),
                seconds_text(row["seconds"]),
                f"{row['characters']:,}",
                str(row["claims"]),
                str(row["only"]),
                str(row["unclear"]),
            )
            for row in self._rows()
        )
        only = (
            Table(f"Claims that only {each.system} has", ("",), tuple((sentence,) for sentence in each.only.sentences))
            for each in self.systems
        )
        return Report(f"Run {self.systems[0].result.id} beside one model", (Table("", head, rows), *only), self.notes)


def baseline(result: FusionResult, model: str | Panelist | None = None, *, confirm: Confirm = False) -> Baseline:
    """One model N times with the run's judge and synthesizer at the same price, and that model alone, beside the run.

    N is what the panel cost over what the model costs alone, rounded, from 2 to 8: so the seats cost together what the
    panel did, and judge and synthesizer read about as much. Without prices it is the number of seats. The model alone
    is one of the N: what it answered is both an answer and a response. The N are put together as `fusion` does.

    It makes N calls, or one less for each seat of the panel that is this model and has answered; then one of the judge
    and one of the synthesizer. With tools a seat may take several calls, as in the run.

    Args:
        result: a run with an answer, also one loaded from the store or a notebook.
        model: who is asked; without it the model of the dearest seat. A seat of the panel keeps its own settings.
        confirm: True asks before anybody is called; a function gets the price and says whether to go on.

    Raises:
        SettingsError: there is no answer, or a seat would need tools or attachments that are not at hand.
        FusionError: the price was not confirmed, or as `fuse`.
    """
    needs_answer(result)
    refuse_loop_thread()
    seat = _seat(result, model)
    count, why = _count(result, seat)
    request = seated(result, seat, count)
    confirm_price(price_of(f"Baseline, {seat.model} × {count}", [request]), confirm)
    (repeated,) = carry_out([request])
    (alone,) = carry_out([seated(repeated, seat, 1)])
    runs: dict[System, FusionResult] = {"fusion": result, "alone": alone, "repeated": repeated}
    lost = (f"{system} has no answer: {run.error}" for system, run in runs.items() if run.answer is None)
    return Baseline(_compared(runs), (why, *lost, LIMITS))


LIMITS = "Claims are compared sentence by sentence; one in other words altogether counts as one that only one has."


def _seat(result: FusionResult, model: str | Panelist | None) -> Panelist:
    """Who is asked: a seat of the panel if it is one, as it sits there."""
    if isinstance(model, Panelist):
        return model
    seats, costs = panel_of(result).models, seat_costs(result)
    if model is None:
        return max(seats, key=lambda seat: costs.get(seat.label) or 0.0)
    return next((seat for seat in seats if seat.model == model), None) or checked(Panelist, {"model": model})


def _count(result: FusionResult, seat: Panelist) -> tuple[int, str]:
    """How often the model is asked for the price of the panel, and why."""
    costs = seat_costs(result)
    known = [cost for cost in costs.values() if cost is not None]
    one = next((costs[label] for label in seats_like(result, seat) if label in costs), None)
    if one is None:
        row = estimate_for(seated(result, seat, 1)).planned[0]
        one = row.cost.expected if row.cost and not row.reused else None
    if not one or len(known) < len(costs):
        count = max(2, len(costs))
        return count, f"{seat.model} was asked {count} times, as often as seats answered: prices are not known, or 0."
    count = min(len(LABELS), max(2, round(sum(known) / one)))
    told = f"the panel cost {dollars(sum(known))}, {seat.model} alone {dollars(one)}"
    return count, f"{seat.model} was asked {count} times: {told}."


def _compared(runs: Mapping[System, FusionResult]) -> tuple[Beside, ...]:
    answers: dict[System, str] = {system: run.answer or "" for system, run in runs.items()}
    return tuple(
        Beside(system, run, missing(answers[system], dict(zip(LABELS, _others(answers, system), strict=False))))
        for system, run in runs.items()
    )


def _others(answers: Mapping[System, str], system: System) -> list[str]:
    return [answer for other, answer in answers.items() if other != system]
