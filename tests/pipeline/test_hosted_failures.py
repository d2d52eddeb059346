"""What goes wrong in a hosted fusion: what was answered is kept, nothing is paid twice, and the reader is told."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.api import Running
from fusion_magic.errors import FusionInterrupted, PanelFailed, SettingsError
from fusion_magic.events import CallRetried, SeatAnswered, fold
from fusion_magic.request import request_for
from fusion_magic.verbs import resume
from pipeline.asking import judged
from pipeline.hosting import JUDGE, ONE, THREE, TWO, ask, by_documents, hosting, posts
from servers.openrouter import Fault, Reply, Request
from servers.responses import Fusion, Panelist, Validate, analysis_json

SEATS = (Panelist(ONE, "First."), Panelist(TWO, "Second."), Panelist(THREE, "Third."))
GOOD = Fusion(panel=SEATS, analysis=analysis_json(ONE, TWO))
AFTER_TWO = 11  # events until two seats have answered: created, item, in_progress, three added, then two seats


@pytest.fixture
def validate(shared: Path) -> Validate:
    return by_documents(shared)


def lost(result: Any) -> dict[str, str]:
    return {seat.label: seat.error for seat in result.failed_models}


def test_a_seat_that_fails_is_named_with_its_error_and_the_others_are_compared(validate: Validate):
    seats = (SEATS[0], Panelist(TWO, error="Rate limited", status_code=429), SEATS[2])
    with hosting(replace(GOOD, panel=seats), validate=validate):
        result = ask().kept

    assert [seat.label for seat in result.responses] == ["A", "C"]
    assert [(seat.label, seat.error, seat.status_code) for seat in result.failed_models] == [("B", "Rate limited", 429)]
    assert result.analysis
    assert result.status == "ok"


def test_an_answer_without_an_analysis_says_that_it_has_none(validate: Validate):
    broken = replace(GOOD, analysis=None, failure=("The analyst wrote no JSON", "judge_not_valid_json"))
    with hosting(broken, validate=validate):
        result = ask().kept

    assert result.analysis is None
    assert result.answer == "The panel says so."
    (told,) = result.warnings
    assert told == (
        "There is no analysis: The analyst wrote no JSON (judge_not_valid_json); the answer was written without it."
    )


@pytest.mark.parametrize("reason", ["all_panels_failed", "insufficient_credits", "rate_limited", "invalid_model"])
def test_an_answer_from_no_panel_says_so(validate: Validate, reason: str):
    seats = [Panelist(model, error="Gone") for model in (ONE, TWO, THREE)]
    failing = replace(GOOD, panel=seats, analysis=None, failure=("all panel models failed", reason))
    with hosting(failing, validate=validate):
        result = ask().kept

    assert list(lost(result)) == ["A", "B", "C"]
    assert result.answer == "The panel says so."
    assert f"No seat answered: all panel models failed ({reason})" in result.warnings[0]


@pytest.mark.parametrize("strategy", ["fusion", "auto"])
def test_a_model_that_did_not_ask_its_panel_is_told_of(validate: Validate, strategy: str):
    with hosting(replace(GOOD, fuses=False, answer="Paris."), validate=validate):
        run = ask(strategy=strategy)

    result = run.kept
    assert (result.answer, result.analysis, result.responses, result.failed_models) == ("Paris.", None, (), ())
    assert result.decision
    assert result.decision.reason == f"{JUDGE} answered without asking the panel."
    assert [("although" in told) for told in result.warnings] == ([True] if strategy == "fusion" else [])
    assert fold(run.events) == result
    assert "without asking the panel" in result._repr_mimebundle_()["text/plain"]


def test_a_model_that_may_decide_and_asks_is_told_of_too(validate: Validate):
    with hosting(GOOD, validate=validate):
        result = ask(strategy="auto").kept

    assert result.decision
    assert result.decision.asked
    assert len(result.responses) == 3


@pytest.mark.parametrize("how", ["truncate", "reset"])
def test_a_stream_that_is_cut_is_not_taken_for_whole_nor_asked_again(validate: Validate, how: Any):
    with hosting(replace(GOOD, cut=AFTER_TWO, how=how), validate=validate) as server:
        run = ask()

    result = run.kept
    assert (result.status, result.answer) == ("error", None)
    assert [seat.content for seat in result.responses] == ["First.", "Second."]
    assert lost(result) == {"C": "OpenRouter's run ended before it answered."}
    assert len(posts(server)) == 1
    assert result.cost_is_partial
    assert ".resume()" in str(result.error)


def test_half_an_answer_is_kept_as_unfinished(validate: Validate):
    long = replace(GOOD, answer="One two three four five six seven eight nine ten.")
    with hosting(long, validate=validate) as server:
        ask(reuse="never")
        events = posts(server)[0].response.count(b"\ndata: {")
    with hosting(replace(long, cut=events - 3), validate=validate):
        result = ask(reuse="never").kept

    assert result.unfinished.startswith("One two three")
    assert result.analysis
    assert result.status == "error"


def test_what_was_answered_goes_on_on_this_machine(validate: Validate):
    def here(request: Request) -> Reply:
        return judged("A", "B", "C") if "response_format" in request.body else Reply("Written here.")

    with hosting(replace(GOOD, cut=AFTER_TWO), validate=validate) as server:
        server.reply(THREE, Reply("Third, from here."))
        server.reply(JUDGE, here)
        result = ask().kept.resume()

    assert [seat.content for seat in result.responses] == ["First.", "Second.", "Third, from here."]
    assert result.answer == "Written here."
    assert len(posts(server)) == 1


def test_a_seat_that_failed_is_not_asked_again_when_a_run_goes_on(validate: Validate):
    def here(request: Request) -> Reply:
        return judged("A", "C") if "response_format" in request.body else Reply("Written here.")

    seats = (SEATS[0], Panelist(TWO, error="Rate limited", status_code=429), SEATS[2])
    with hosting(replace(GOOD, panel=seats, cut=AFTER_TWO - 1), validate=validate) as server:
        server.reply(THREE, Reply("Third, from here."))
        server.reply(JUDGE, here)
        first = ask().kept
        result = first.resume()

    assert lost(first) == {"B": "Rate limited", "C": "OpenRouter's run ended before it answered."}
    assert [seat.content for seat in result.responses] == ["First.", "Third, from here."]
    assert lost(result) == {"B": "Rate limited"}


def test_a_finished_run_with_a_failed_seat_does_not_go_on(validate: Validate):
    seats = (SEATS[0], Panelist(TWO, error="Rate limited", status_code=429), SEATS[2])
    with hosting(replace(GOOD, panel=seats), validate=validate):
        result = ask().kept

        with pytest.raises(SettingsError, match=f"Run {result.id} is finished"):
            result.resume()


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ({"error": {"code": "server_error", "message": "Overloaded"}}, "Overloaded"),
        ({"status": "failed"}, "The model stopped working."),
        ({"status": "incomplete", "why": "content_filter", "answer": "I"}, "content filter"),
    ],
)
def test_an_error_after_the_panel_keeps_the_panel(validate: Validate, ending: dict[str, Any], said: str):
    with hosting(replace(GOOD, **ending), validate=validate) as server:
        result = ask().kept

    assert result.status == "error"
    assert said in str(result.error)
    assert len(result.responses) == 3
    assert result.analysis
    assert len(posts(server)) == 1


def test_what_a_failed_response_cost_is_in_the_bill(validate: Validate):
    with hosting(replace(GOOD, status="failed"), validate=validate):
        result = ask().kept

    assert result.cost == 0.4321


def test_an_answer_at_its_token_limit_is_kept_and_marked(validate: Validate):
    with hosting(replace(GOOD, status="incomplete", why="max_output_tokens"), validate=validate):
        result = ask().kept

    assert result.answer == "The panel says so."
    assert any("stopped at its token limit" in told for told in result.warnings)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(401), "%fusion doctor"),
        (Fault(402), "Add credit"),
        (Fault(400, "openrouter/fusion is not a valid model ID"), "models WORD"),
        (Fault(413), "Shorten the prompt"),
    ],
)
def test_a_refusal_is_the_error_that_it_is_elsewhere(validate: Validate, fault: Fault, said: str):
    with hosting(fault, validate=validate) as server:
        run = ask()

    assert isinstance(run.error, PanelFailed)
    assert said in str(run.error)
    assert run.kept.failed_models == ()
    assert run.kept.cost in (0, None)
    assert len(posts(server)) == 1


def test_a_run_that_was_refused_goes_on_with_openrouter(validate: Validate):
    with hosting(Fault(402), GOOD, validate=validate) as server:
        result = ask().kept.resume()

    assert result.settings["engine"] == "openrouter"
    assert result.status == "ok"
    assert len(posts(server)) == 2


def test_what_openrouter_says_of_a_failure_is_short_and_without_the_key(validate: Validate):
    evil = f"key-of-a-test\x1b[31m {'no ' * 500}"
    broken = replace(
        GOOD, panel=(Panelist(ONE, error=evil), *SEATS[1:]), analysis=None, failure=(evil, "judge_upstream")
    )
    with hosting(broken, validate=validate):
        result = ask().kept

    assert "key-of-a-test" not in result.model_dump_json()
    assert len(result.failed_models[0].error) < 400
    assert "\x1b" not in result.failed_models[0].error


def test_a_server_that_wants_to_wait_is_asked_again(validate: Validate):
    with hosting(Fault(429, retry_after=0.01), Fault(503), GOOD, validate=validate) as server:
        run = ask()

    assert len(run.of(CallRetried)) == 2
    assert len(posts(server)) == 3
    assert run.kept.status == "ok"
    assert not run.kept.cost_is_partial


def test_a_silent_stream_ends_with_what_it_brought(validate: Validate):
    with hosting(replace(GOOD, cut=AFTER_TWO, stall=30.0), validate=validate):
        result = ask(gap_timeout=0.2, first_token_timeout=0.3, connect_timeout=5.0).kept

    assert len(result.responses) == 2
    assert "--gap-timeout" in str(result.error)


def test_seats_of_one_model_that_write_are_not_silent(validate: Validate):
    long = Panelist(ONE, "One two three four five six seven eight nine ten. " * 2)
    twice = replace(GOOD, panel=(long, long), together=True, analysis=analysis_json(ONE, ONE), pace=0.1)
    with hosting(twice, validate=validate):
        result = ask(models=(ONE, ONE), gap_timeout=1.0, first_token_timeout=1.0).kept

    assert (result.status, len(result.responses)) == ("ok", 2)


def test_a_fusion_has_the_time_of_its_three_calls(validate: Validate):
    with hosting(replace(GOOD, stall=1.3), validate=validate):
        result = ask(timeout=1.0).kept

    assert (result.status, result.answer) == ("ok", "The panel says so.")


def test_an_interrupt_closes_the_connection_and_keeps_what_was_answered(validate: Validate):
    seen = threading.Event()
    answered: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, SeatAnswered):
            answered.append(event.response.label)
        if len(answered) == 2:
            seen.set()

    with hosting(replace(GOOD, cut=AFTER_TWO, stall=30.0), validate=validate) as server:
        chosen = request_for("Why?", models=(ONE, TWO, THREE), judge=JUDGE, engine="openrouter")
        running = Running(chosen, listen)
        assert seen.wait(20)
        running.cancel()
        with pytest.raises(FusionInterrupted) as caught:
            running.wait()
        (request,) = server.wait_closed()

    result = caught.value.result
    assert result
    assert result.status == "cancelled"
    assert [seat.label for seat in result.responses] == ["A", "B"]
    assert list(lost(result)) == ["C"]
    assert resume(result).given.labels == {"A", "B"}
    assert request.path.endswith("/responses")


def test_a_seat_can_not_be_skipped_and_the_reader_is_told(validate: Validate):
    with hosting(GOOD, validate=validate):
        chosen = request_for("Why?", models=(ONE, TWO, THREE), judge=JUDGE, engine="openrouter")
        running: list[Running] = []
        begun = threading.Event()

        def listen(event: Any) -> None:
            begun.wait(20)

        running.append(Running(chosen, listen))
        running[0].skip("B")
        begun.set()
        result = running[0].wait()

    assert len(result.responses) == 3
    assert "B can't be skipped: OpenRouter runs this panel." in result.warnings


def test_nonsense_from_the_server_costs_the_run_and_not_the_process(validate: Validate):
    odd = {"consensus": "no list", "contradictions": [{"stances": ["x"]}, 3], "unique_insights": [{"model": None}]}
    with hosting(replace(GOOD, analysis=odd)):
        result = ask().kept

    assert result.answer == "The panel says so."
    assert result.analysis
    assert result.analysis.consensus == ()
