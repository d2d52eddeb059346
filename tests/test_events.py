"""The log tells the whole story: folding it gives the result, wherever it is cut off."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Fold,
    Notice,
    PlannedCall,
    RunEnded,
    RunStarted,
    SeatAnswered,
    SeatFailed,
    Warned,
    fold,
    merge_sources,
)
from fusion_magic.results import Analysis, Call, FailedModel, FusionResult, Response, Source

PLAN = (PlannedCall("panel", "A", "a/b", None, None), PlannedCall("panel", "B", "c/d", 1e-6, 1e-6))
START = RunStarted("r1", datetime(2026, 6, 1, tzinfo=UTC), "Why?", {"retries": 2}, PLAN)
PAGE = Source(url="https://a.org", title="A", labels=("A",))
ANSWERED = Response(label="A", model="a/b", content="Hello", sources=(PAGE,))
LOST = FailedModel(label="B", model="c/d", error="Gone.")
CALLS = tuple(Call(stage=stage, model="a/b", cost=0.1) for stage in ("panel", "judge", "synthesis"))
LOG: tuple[Event, ...] = (
    START,
    Notice("Reading the catalogue."),
    CallStarted("panel", "A", "a/b"),
    CallStarted("panel", "B", "c/d"),
    Delta("panel", "B", "half an ans"),
    Delta("panel", "A", "Hel"),
    CallRetried("panel", "A", "a/b", "It broke.", 0.5),
    CallStarted("panel", "A", "a/b", 2),
    Delta("panel", "A", "", "Hm."),
    Delta("panel", "A", "Hello"),
    CallEnded(CALLS[0]),
    SeatAnswered(ANSWERED),
    SeatFailed(LOST),
    CallStarted("judge", "", "a/b"),
    Delta("judge", "", "{}"),
    CallEnded(CALLS[1]),
    AnalysisReady(Analysis(consensus=("one",))),
    Warned("Mind."),
    Warned("Mind."),
    CallStarted("synthesis", "", "a/b"),
    Delta("synthesis", "", "The ans"),
    Delta("synthesis", "", "wer"),
    CallEnded(CALLS[2]),
    AnswerReady("The answer", parsed=42),
    RunEnded("ok", 1.5),
)


def test_the_whole_log_folds_to_the_whole_result():
    result = fold(LOG)

    assert (result.id, result.prompt, result.status, result.duration) == ("r1", "Why?", "ok", 1.5)
    assert (result.answer, result.parsed, result.unfinished) == ("The answer", 42, "")
    assert (result.responses, result.failed_models, result.calls) == ((ANSWERED,), (LOST,), CALLS)
    assert (result.sources, result.warnings) == ((PAGE,), ("Mind.",))
    assert result.analysis == Analysis(consensus=("one",))


@given(st.integers(1, len(LOG)))
def test_any_beginning_of_a_log_folds_to_a_true_result(length):
    result = fold(LOG[:length])

    again = FusionResult.model_validate_json(result.model_dump_json())
    assert again == result.model_copy(update={"parsed": None})
    assert result.status == ("ok" if length == len(LOG) else "cancelled")
    seats = [*(seat.label for seat in result.responses), *(seat.label for seat in result.failed_models)]
    assert sorted(seats) == ["A", "B"]


def test_what_a_seat_had_written_when_the_log_was_cut_is_kept():
    lost = {seat.label: seat.content for seat in fold(LOG[:7]).failed_models}

    assert lost == {"A": "Hel", "B": "half an ans"}


def test_a_new_attempt_leaves_what_the_one_before_had_written_until_it_has_more():
    at_its_start, later = fold(LOG[:8]), fold([*LOG[:8], Delta("panel", "A", "Hello")])

    assert at_its_start.failed_models[0].content == "Hel"
    assert later.failed_models[0].content == "Hello"


def test_what_the_synthesizer_had_written_is_unfinished_not_the_answer():
    result = fold(LOG[:21])

    assert (result.answer, result.unfinished) == (None, "The ans")


def test_a_seat_that_went_to_its_fallback_is_lost_under_the_fallback_s_name():
    lost = fold([START, CallStarted("panel", "A", "a/b"), CallStarted("panel", "A", "e/f")]).failed_models

    assert lost[0].model == "e/f"


def test_nothing_can_be_folded_before_the_run_began():
    with pytest.raises(ValueError, match="not started"):
        Fold().result()


SOURCES = st.lists(
    st.builds(
        Source,
        url=st.sampled_from(["https://a", "https://b", "https://c"]),
        title=st.sampled_from(["", "T", "U"]),
        labels=st.lists(st.sampled_from("ABC"), max_size=3).map(tuple),
    ),
    max_size=8,
)


@given(SOURCES)
def test_sources_are_merged_by_address_and_lose_nothing(sources):
    merged = merge_sources(sources)

    assert [source.url for source in merged] == list(dict.fromkeys(source.url for source in sources))
    for source in merged:
        same = [other for other in sources if other.url == source.url]
        assert set(source.labels) == {label for other in same for label in other.labels}
        assert source.title == next((other.title for other in same if other.title), "")


@given(SOURCES)
def test_merging_once_more_changes_nothing(sources):
    merged = merge_sources(sources)

    assert merge_sources(merged) == tuple(
        source.model_copy(update={"labels": tuple(sorted(set(source.labels)))}) for source in merged
    )
