"""What a run takes over keeps its place and its price; of a conversation that is too long the beginning goes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.pipeline.given import TURNS_LIMIT, Turn, as_reused, bounded, taken_over
from fusion_magic.results import Analysis, Call, FailedModel, FusionResult, Response, Source, ToolUse, Usage

CREATED = datetime(2026, 11, 1, 12, tzinfo=UTC)
IDS = {"A": "A", "B": "B", "C": "C"}


def call(stage: Any = "panel", label: str = "A", **more: Any) -> Call:
    told = {"cost": 0.25, "usage": Usage(prompt_tokens=3), "started": 1.0, "duration": 2.0, "finish_reason": "stop"}
    return Call(stage=stage, label=label, model="m", **(told | more))


def result(**parts: Any) -> FusionResult:
    source = Source(url="https://a.org", labels=("B",))
    told: dict[str, Any] = {
        "responses": (
            Response(label="A", model="a", content="One.", cost=0.25),
            Response(label="B", model="b", content="Two.", sources=(source,), cost=0.5),
        ),
        "failed_models": (FailedModel(label="C", model="c", error="Lost."),),
        "analysis": Analysis(consensus=("Yes.",)),
        "calls": (call(), call(label="B"), call(label="C", error="Lost."), call("judge", ""), call("synthesis", "")),
        "tools": (
            ToolUse(stage="panel", label="B", tool="look"),
            ToolUse(stage="panel", label="C", tool="look"),
            ToolUse(stage="judge", tool="look"),
        ),
    }
    made = {"id": "r", "created": CREATED, "prompt": "Why?", "settings": {}, **told, **parts}
    return FusionResult.model_validate(made)


def test_a_call_that_is_taken_over_is_free_and_says_what_it_had_cost_and_when_it_ended():
    taken = as_reused(call(unreported=1), result())

    assert (taken.reused, taken.cost, taken.saved, taken.unreported) == (True, 0.0, 0.25, 0)
    assert taken.made == CREATED + timedelta(seconds=3)
    assert taken.usage == call().usage


def test_a_call_of_unknown_price_saves_an_unknown_amount():
    assert as_reused(call(cost=None), result()).saved is None


def test_a_call_that_is_taken_over_twice_still_says_what_it_had_cost_first():
    once = as_reused(call(), result())
    later = result(created=CREATED + timedelta(days=1))

    assert as_reused(once, later) == once


def test_seats_bring_their_calls_and_tools_and_leave_those_of_judge_and_synthesizer():
    taken = taken_over(result(), IDS)

    assert [(made.stage, made.label) for made in taken.calls] == [("panel", "A"), ("panel", "B")]
    assert [use.label for use in taken.tools] == ["B"]
    assert [seat.label for seat in taken.failed] == ["C"]
    assert taken.labels == {"A", "B", "C"}
    assert taken.analysis is None


def test_the_analysis_comes_with_the_judges_calls_and_tools():
    taken = taken_over(result(), IDS, analysis=True)

    assert taken.analysis == result().analysis
    assert [made.stage for made in taken.calls] == ["panel", "panel", "judge"]
    assert [use.stage for use in taken.tools] == ["panel", "judge"]


def test_a_seat_that_moves_takes_its_letter_along_everywhere():
    taken = taken_over(result(), {"B": "A", "C": "B"})

    assert [(seat.label, seat.content) for seat in taken.responses] == [("A", "Two.")]
    assert taken.responses[0].sources[0].labels == ("A",)
    assert [(made.stage, made.label) for made in taken.calls] == [("panel", "A")]
    assert [use.label for use in taken.tools] == ["A"]
    assert [(seat.label, seat.model) for seat in taken.failed] == [("B", "c")]


def test_calls_that_failed_on_the_way_to_an_answer_are_left_behind():
    taken = taken_over(result(calls=(call(error="Broken."), call())), {"A": "A"})

    assert [made.error for made in taken.calls] == [None]


def test_a_response_that_is_taken_over_costs_nothing_now():
    assert [seat.cost for seat in taken_over(result(), IDS).responses] == [0.0, 0.0]


def test_a_short_conversation_stays_whole():
    turns = (Turn("One?", "1"), Turn("Two?", "2"))

    assert bounded(turns, "x") == (turns, "")


def test_the_first_turns_go_first_and_that_is_said():
    turns = [Turn(f"{n}?", "x" * 9_998) for n in range(5)]

    kept, note = bounded(turns, "trip")

    assert [turn.prompt for turn in kept[1:]] == ["3?", "4?"]
    assert kept[0].answer.endswith("[shortened]")
    assert note == "Thread trip: the first 2 turns were left out and the oldest one that is left was shortened."


def test_a_turn_that_would_keep_only_a_scrap_is_left_out_whole():
    kept, note = bounded([Turn("One?", "x" * 1000), Turn("Two?", "y" * 23_800)], "trip")

    assert [turn.prompt for turn in kept] == ["Two?"]
    assert note == "Thread trip: the first turn was left out."


def test_one_turn_too_long_keeps_the_beginning_of_question_and_answer():
    kept, note = bounded([Turn("q" * 50_000, "a" * 50_000)], "trip")

    assert kept[0].prompt.startswith("qqq")
    assert kept[0].answer.startswith("aaa")
    assert note == "Thread trip: the first turn was shortened."


TURNS = st.lists(st.builds(Turn, st.text(max_size=900), st.text(max_size=900)), max_size=6)


@given(TURNS, st.integers(30, 3_000))
def test_what_is_kept_fits_is_the_end_and_is_told_about_if_it_is_not_all(turns: list[Turn], limit: int):
    kept, note = bounded(turns, "x", limit)

    assert sum(turn.size for turn in kept) <= limit
    assert list(kept[1:]) == turns[len(turns) - len(kept) + 1 :]
    assert bool(note) == (list(kept) != turns)


def test_the_limit_is_what_a_run_uses():
    kept, _ = bounded([Turn("q", "a" * 100_000)], "x")

    assert kept[0].size == TURNS_LIMIT
