"""The picture of a run that goes on: a fold of its events."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fusion_magic.events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Notice,
    PlannedCall,
    RunStarted,
    SeatFailed,
)
from fusion_magic.jupyter.progress import NBSP, Progress
from fusion_magic.results import Analysis, Call, FailedModel

PLAN = (
    PlannedCall("panel", "A", "a/one", 1e-6, 5e-6),
    PlannedCall("panel", "A", "a/spare", None, None, fallback=True),
    PlannedCall("panel", "B", "b/two@ollama", 0.0, 0.0),
    PlannedCall("judge", "", "j/x", None, None),
    PlannedCall("synthesis", "", "s/x", None, None),
)
BEGUN = RunStarted("id", datetime(2026, 1, 1, tzinfo=UTC), "What?", {}, PLAN)


def drawn(*events: Event) -> dict[str, str]:
    progress = Progress()
    for event in events:
        progress.apply(event)
    return progress.draw()


def line(who: str, *events: Event) -> str:
    lines = drawn(BEGUN, *events)["text/plain"].splitlines()
    return next(line for line in lines if line.startswith(f"{who} "))


def test_before_the_plan_it_says_what_takes_time() -> None:
    assert drawn()["text/plain"] == "Getting ready …"
    assert drawn(Notice("Fetching a model."))["text/plain"] == "Fetching a model."


def test_the_plan_shows_every_call_with_its_price_before_the_first_one() -> None:
    lines = drawn(Notice("Fetching a model."), BEGUN)["text/plain"].splitlines()

    assert lines == [
        "A  a/one (or a/spare, not priced)  $1.00 / $5.00 per million tokens  waiting",
        "B  b/two@ollama  no cost  waiting",
        "judge  j/x  not priced  waiting",
        "synthesizer  s/x  not priced  waiting",
    ]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((CallStarted("panel", "B", "b/two@ollama"),), "asked"),
        ((CallStarted("panel", "B", "b/two@ollama"), Delta("panel", "B", reasoning="Hm")), "thinking"),
        ((CallStarted("panel", "B", "b/two@ollama"), Delta("panel", "B", "Hello")), f"writing  5{NBSP}characters"),
        ((CallRetried("panel", "B", "b/two@ollama", "It is busy.", 2.5),), "again in 2.5 s: It is busy."),
        ((CallEnded(Call(stage="panel", label="B", model="b/two@ollama")),), "done"),
        ((SeatFailed(FailedModel(label="B", model="b/two@ollama", error="Gone.")),), "no answer: Gone."),
    ],
)
def test_a_seat_says_what_it_is_doing(events: tuple[Event, ...], state: str) -> None:
    assert f"  {state}" in line("B", *events)


def test_a_new_attempt_counts_from_nothing() -> None:
    asked = CallStarted("panel", "B", "b/two@ollama")

    assert "characters" not in line("B", asked, Delta("panel", "B", "Hello"), asked)


def test_a_fallback_that_is_asked_takes_the_seats_line() -> None:
    assert line("A", CallStarted("panel", "A", "a/spare")).startswith("A  a/spare  ")


def test_the_clock_of_a_seat_stops_with_its_call() -> None:
    progress = Progress()
    for event in (
        BEGUN,
        CallStarted("panel", "B", "b/two@ollama"),
        CallEnded(Call(stage="panel", label="B", model="b")),
    ):
        progress.apply(event)

    assert progress.draw() == progress.draw()
    assert progress.draw()["text/plain"].count(f"{NBSP}s") == 1


def test_judge_and_synthesizer_are_done_with_what_they_bring() -> None:
    assert "  done" in line("judge", AnalysisReady(Analysis()))
    assert "  done" in line("synthesizer", AnswerReady("Paris."))


def test_a_judge_that_failed_says_why() -> None:
    assert "  It wrote prose." in line("judge", CallEnded(Call(stage="judge", model="j/x", error="It wrote prose.")))


def test_hostile_names_and_errors_are_text() -> None:
    evil = "<img src=x onerror=alert(1)>\x1b[2J\n\n$x$"
    begun = RunStarted("id", BEGUN.created, evil, {}, (PlannedCall("panel", "A", evil, None, None),))
    failed = SeatFailed(FailedModel(label="A", model=evil, error=evil))

    shown = drawn(begun, failed)

    assert "<img" not in shown["text/html"]
    assert "\x1b" not in shown["text/html"] + shown["text/plain"]
    assert 'class="fm-result mathjax_ignore"' in shown["text/html"]


def test_a_model_that_writes_line_breaks_into_an_error_still_has_one_line() -> None:
    events = SeatFailed(FailedModel(label="B", model="b/two@ollama", error="First.\n\nSecond."))

    assert "no answer: First. Second." in line("B", events)
