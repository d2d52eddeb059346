"""What a terminal tells of a run that goes on: a fold of its events."""

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
    ToolEnded,
    ToolStarted,
)
from fusion_magic.jupyter.progress import NBSP, Progress
from fusion_magic.results import Analysis, Call, FailedModel, ToolUse

PLAN = (
    PlannedCall("panel", "A", "a/one", 1e-6, 5e-6),
    PlannedCall("panel", "A", "a/spare", None, None, fallback=True),
    PlannedCall("panel", "B", "b/two@ollama", 0.0, 0.0),
    PlannedCall("judge", "", "j/x", None, None),
    PlannedCall("synthesis", "", "s/x", None, None),
)
BEGUN = RunStarted("id", datetime(2026, 1, 1, tzinfo=UTC), "What?", {}, PLAN)


def told(*events: Event) -> list[str]:
    progress = Progress()
    for event in events:
        progress.apply(event)
    return [line for _, line in progress.news()]


def line(who: str, *events: Event) -> str:
    return next(line for line in told(BEGUN, *events) if line.startswith(f"{who} "))


def test_before_the_plan_it_says_what_takes_time() -> None:
    assert told(Notice("Fetching a model.")) == ["Fetching a model."]


def test_a_download_that_goes_on_is_one_piece_of_news() -> None:
    progress = Progress()
    subjects = set[str]()
    for megabytes in (10, 20, 30):
        progress.apply(Notice(f"Fetching a model: {megabytes} MB."))
        subjects |= {subject for subject, _ in progress.news()}

    assert len(subjects) == 1


def test_the_plan_shows_every_call_with_its_price_before_the_first_one() -> None:
    assert told(Notice("Fetching a model."), BEGUN) == [
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
        ((SeatFailed(FailedModel(label="B", model="b/two@ollama", error="Skipped.", skipped=True)),), "skipped"),
    ],
)
def test_a_seat_says_what_it_is_doing(events: tuple[Event, ...], state: str) -> None:
    assert f"  {state}" in line("B", *events)


SEARCH = ToolStarted("panel", "B", 1, 1, "web_search", '{"query": "tides"}')
READ = ToolStarted("panel", "B", 1, 2, "web_fetch", '{"url": "https://a.example/"}')
SEARCHED = ToolEnded(ToolUse(stage="panel", label="B", tool="web_search"))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((SEARCH,), "searching: web_search tides"),
        ((SEARCH, READ), "searching: web_fetch https://a.example/"),
        ((SEARCH, READ, SEARCHED), "searching: web_fetch https://a.example/"),
        ((SEARCH, READ, SEARCHED, SEARCHED), "thinking"),
        ((SEARCH, SEARCHED, CallStarted("panel", "B", "b/two@ollama")), "asked"),
    ],
)
def test_a_seat_whose_tool_runs_says_which(events: tuple[Event, ...], state: str) -> None:
    asked = (CallStarted("panel", "B", "b/two@ollama"), CallEnded(Call(stage="panel", label="B", model="b")))

    assert line("B", *asked, *events).rpartition("  ")[0].endswith(f"  {state}")


def test_what_a_server_ran_changes_no_state() -> None:
    assert "  writing  " in line("B", CallStarted("panel", "B", "b"), Delta("panel", "B", "So"), SEARCHED)


def test_the_judge_searches_too() -> None:
    assert "  searching: bash ls" in line("judge", ToolStarted("judge", "", 1, 1, "bash", '{"command": "ls"}'))


def test_the_clock_of_a_seat_goes_on_while_its_tool_runs() -> None:
    progress = Progress()
    for event in (BEGUN, CallStarted("panel", "B", "b"), CallEnded(Call(stage="panel", label="B", model="b")), SEARCH):
        progress.apply(event)

    assert progress.seats["panel", "B"].ended is None


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

    lines = [line for _, line in progress.news()]
    assert lines == [line for _, line in progress.news()]
    assert "".join(lines).count(f"{NBSP}s") == 1


def test_judge_and_synthesizer_are_done_with_what_they_bring() -> None:
    assert "  done" in line("judge", AnalysisReady(Analysis()))
    assert "  done" in line("synthesizer", AnswerReady("Paris."))


def test_a_judge_that_failed_says_why() -> None:
    assert "  It wrote prose." in line("judge", CallEnded(Call(stage="judge", model="j/x", error="It wrote prose.")))


def test_hostile_names_and_errors_move_no_cursor_and_turn_no_text() -> None:
    evil = "<img src=x onerror=alert(1)>\x1b[2J\n\n\u202egnp"
    begun = RunStarted("id", BEGUN.created, evil, {}, (PlannedCall("panel", "A", evil, None, None),))
    failed = SeatFailed(FailedModel(label="A", model=evil, error=evil))
    searches = ToolStarted("panel", "A", 1, 1, evil, evil * 50)

    lines = [*told(begun, failed), *told(begun, searches)]

    assert len(lines) == 2
    assert all(not set("\x1b\n\u202e") & set(line) and len(line) < 400 for line in lines)


def test_a_model_that_writes_line_breaks_into_an_error_still_has_one_line() -> None:
    events = SeatFailed(FailedModel(label="B", model="b/two@ollama", error="First.\n\nSecond."))

    assert "no answer: First. Second." in line("B", events)
