"""The line of counts and the cost ratio: counts, no verdict, and nothing where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fusion_magic import FusionResult
from fusion_magic.jupyter.static import bundle
from fusion_magic.jupyter.static.words import counts
from fusion_magic.results import Analysis, Call, Contradiction, Response, UniqueInsight

LINE = "3 contradictions, 2 points only one seat had, 5.1 × the dearest seat alone"


def call(stage: Any, label: str = "", cost: float | None = 0.01, **more: Any) -> Call:
    return Call(stage=stage, label=label, model="m", cost=cost, **more)


def run(*calls: Call, **more: Any) -> FusionResult:
    seats = sorted({made.label for made in calls if made.label})
    fields: dict[str, Any] = {
        "id": "r",
        "created": datetime(2026, 11, 1, tzinfo=UTC),
        "prompt": "Why?",
        "settings": {},
        "answer": "So.",
        "responses": tuple(Response(label=label, model="m", content="Text.") for label in seats),
        "calls": calls,
    }
    return FusionResult(**fields | more)


def found(contradictions: int, insights: int) -> Analysis:
    return Analysis(
        contradictions=(Contradiction(topic="t", stances=()),) * contradictions,
        unique_insights=(UniqueInsight(label="A", model="m", insight="i"),) * insights,
    )


PAID = (call("panel", "A", 0.10), call("panel", "B", 0.05), call("judge", cost=0.06), call("synthesis", cost=0.30))


def test_findings_and_the_ratio_to_the_dearest_seat_are_one_line():
    assert counts(run(*PAID, analysis=found(3, 2))) == LINE


@pytest.mark.parametrize("form", ["text/html", "text/markdown", "text/plain"])
def test_it_stands_once_in_every_form_near_the_foot(form: str):
    shown = bundle(run(*PAID, analysis=found(3, 2)), record=False)[form]

    assert shown.count(LINE) == 1
    assert shown.index("Text.") < shown.index(LINE) < shown.index("4 calls")


def test_one_is_singular():
    told = counts(run(*PAID, analysis=found(1, 1)))

    assert told.startswith("1 contradiction, 1 point only one seat had, ")


def test_what_was_reused_counts_with_what_it_had_cost():
    reused = (made.model_copy(update={"reused": True, "saved": made.cost, "cost": 0.0}) for made in PAID[:2])

    assert counts(run(*reused, *PAID[2:])) == "5.1 × the dearest seat alone"


def test_the_steps_of_a_seat_are_its_price():
    assert counts(run(*PAID, call("panel", "A", 0.10))) == "3.0 × the dearest seat alone"


@pytest.mark.parametrize(
    "calls",
    [
        (*PAID[:3], call("synthesis", cost=None)),
        (call("panel", "A", None), *PAID[1:]),
        (*PAID[:3], call("synthesis", unreported=1)),
        tuple(made.model_copy(update={"cost": 0.0}) for made in PAID),
        PAID[:1],
    ],
    ids=["unpriced synthesizer", "unpriced seat", "unreported attempt", "free", "one seat alone"],
)
def test_without_all_prices_there_is_no_ratio(calls: tuple[Call, ...]):
    assert counts(run(*calls)) == ""


def test_a_run_without_an_answer_has_no_ratio():
    assert counts(run(*PAID, answer=None, analysis=found(0, 0))) == "0 contradictions, 0 points only one seat had"


def test_of_several_rounds_the_first_one_is_the_seat_alone():
    first = Response(label="A", model="m", content="Text.", cost=0.05)

    told = counts(run(call("panel", "A", 0.05), call("panel", "A", 0.15, round=2), PAID[3], earlier=(first,)))

    assert told == "10.0 × the dearest seat alone"
