"""Failures that are simulated: the run takes them for real, nobody is asked for them, and nothing of them is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import FusionResult, estimate, fold, fuse, scripted
from fusion_magic.errors import PanelFailed, SettingsError
from fusion_magic.settings import FAILURES, JUDGE_FAILURES, Panelist, Settings, build_settings
from pipeline.asking import at, chats, judged, panel, record
from servers.openrouter import Reply, Server

ANALYSIS: dict[str, Any] = {
    "consensus": ["It is Paris."],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}
ANSWERS = {"judge": ANALYSIS, "synthesis": "The capital is Paris.", "*": "Paris."}
SEATS = {"models": ["a/one", "b/two", "c/three"], "judge": "j/x", "synthesizer": "s/x"}
ERRORS = {
    "timeout": "Simulated: b/two: no token in time",
    "refused": "Simulated: b/two answered 429",
    "down": "Simulated: b/two answered 503",
    "cut": "Simulated: b/two: the stream ended before the answer did.",
    "empty": "b/two finished without writing anything.",
    "filter": "b/two: a content filter stopped the answer.",
    "slow": "Simulated: b/two did not end in time",
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged())
        running.reply("writer", Reply("The fused answer."))
        yield running


def asked(simulate: str, **more: Any) -> tuple[FusionResult, set[str]]:
    """A run over three seats, and who was really asked."""
    with scripted(ANSWERS) as script:
        result = fuse("What is the capital of France?", **{**SEATS, "simulate": simulate, "retries": 0, **more})
    return result, {request.name for request in script.requests}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_seat_fails_as_told_and_the_others_answer(failure: str) -> None:
    result, names = asked(f"B={failure}")

    assert [lost.label for lost in result.failed_models] == ["B"]
    assert result.failed_models[0].error.startswith(ERRORS[failure])
    assert [seat.label for seat in result.responses] == ["A", "C"]
    assert result.answer == "The capital is Paris."
    assert names == {"a/one", "c/three", "j/x", "s/x"}


@pytest.mark.parametrize("failure", [failure for failure in JUDGE_FAILURES if failure != "slow"])
def test_a_judge_fails_as_told_and_the_answer_is_written_without_an_analysis(failure: str) -> None:
    result, names = asked(f"judge={failure}")

    assert result.analysis is None
    assert any("There is no analysis" in warning for warning in result.warnings)
    assert (result.status, result.answer) == ("ok", "The capital is Paris.")
    assert "j/x" not in names


@pytest.mark.parametrize("failure", ["refused", "cut", "empty", "filter"])
def test_a_synthesizer_fails_as_told_and_responses_and_analysis_are_kept(failure: str) -> None:
    result, names = asked(f"synthesizer={failure}")

    assert (result.status, result.answer) == ("error", None)
    assert len(result.responses) == 3
    assert result.analysis is not None
    assert bool(result.unfinished) == (failure in ("cut", "filter"))
    assert "s/x" not in names


def test_bad_json_is_sent_back_once_for_repair_and_then_the_run_goes_on_without() -> None:
    result, _ = asked("judge=badjson")

    judging = [call for call in result.calls if call.stage == "judge"]
    assert [call.round for call in judging] == [1, 2]
    assert all(call.error is None for call in judging)


@pytest.mark.parametrize("simulate", ["B=refused", "B=cut", "B=empty", "B=filter", "judge=badjson", "synthesizer=cut"])
def test_what_is_simulated_costs_nothing_and_the_record_says_that_it_is(simulate: str) -> None:
    result, _ = asked(simulate)

    failed = [call for call in result.calls if call.served_model == "simulated"]
    assert failed
    assert {call.cost for call in failed} == {0.0}
    assert not result.cost_is_partial
    assert result.usage.total_tokens == 30 * sum(call.served_model != "simulated" for call in result.calls)


def test_one_warning_says_who_fails_and_how() -> None:
    result, _ = asked("b=timeout, judge=badjson")

    (told,) = (warning for warning in result.warnings if warning.startswith("Simulated"))
    who, _, how = told.partition(". ")
    assert who == "Simulated: B times out; the judge writes JSON that can't be read"
    assert how == "Nobody is asked for it, and a wait of minutes takes 1 s."
    assert result.settings["simulate"] == ["B=timeout", "judge=badjson"]


def test_a_failure_that_may_pass_is_tried_again_as_often_as_a_real_one() -> None:
    result, _ = asked("B=down", retries=2)

    assert [call.attempts for call in result.calls if call.label == "B"] == [3]


def test_the_fallback_of_a_seat_that_fails_is_really_asked() -> None:
    seats = [Panelist(model="a/one"), Panelist(model="b/two", fallback="d/four")]
    result, names = asked("B=timeout", models=seats)

    assert [seat.model for seat in result.responses] == ["a/one", "d/four"]
    assert "d/four" in names


def test_a_panel_that_fails_as_a_whole_says_so() -> None:
    with pytest.raises(PanelFailed, match=r"A: Simulated: a/one answered 503.* B: Simulated"):
        asked("A=down,B=down,C=down")


def test_a_slow_seat_is_left_behind_by_a_quorum() -> None:
    result, _ = asked("C=slow", quorum=2, grace=0.0)

    assert "Left behind" in result.failed_models[0].error


def test_events_of_a_simulated_run_fold_to_its_result() -> None:
    with scripted(ANSWERS):
        told = record("Why?", **SEATS, simulate="B=cut,judge=badjson,synthesizer=filter", retries=1)

    assert fold(told.events) == told.kept


@pytest.mark.parametrize(
    ("simulate", "sentence"),
    [
        ("Z=timeout", '"Z=timeout" names no place; write the letter of a seat, judge or synthesizer'),
        ("timeout", "names no place"),
        ("B=tmeout", 'B can\'t fail with "tmeout"; it can with timeout, refused, down, cut, empty, filter, slow.'),
        ("B", "B can't fail with"),
        ("B=badjson", "B can't fail with"),
        ("B=cut,b=down", "B can fail in one way only"),
        ("D=down", "D is not asked in this run; A, B, C, judge, synthesizer can be made to fail."),
    ],
)
def test_a_wrong_place_or_failure_is_one_sentence_with_the_possible_ones(simulate: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        asked(simulate)

    assert str(raised.value).startswith("simulate: ")
    assert sentence in str(raised.value)


@pytest.mark.parametrize("given", ["B=down,judge=cut", ["b=down", "judge = cut"], ("B=down,judge=cut",)])
def test_it_can_be_written_as_one_text_or_as_a_list(given: Any) -> None:
    assert build_settings({"simulate": given}).simulate == ("B=down", "judge=cut")
    assert Settings().simulate == ()


def test_the_users_file_may_ask_for_it() -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text('[settings]\nsimulate = "C=empty"\n', encoding="utf-8")
    with scripted(ANSWERS):
        result = fuse("What?", **SEATS, retries=0)

    assert [lost.label for lost in result.failed_models] == ["C"]


def test_the_others_are_really_asked_and_the_simulated_one_needs_no_key(server: Server) -> None:
    judge, writer = at(server, "judge", "writer")
    models = [*at(server, "a"), "openai/gpt-5.5"]
    result = fuse("Why?", models=models, judge=judge, synthesizer=writer, simulate="B=down", retries=0)

    assert [seat.content for seat in result.responses] == ["An answer."]
    assert {request.model for request in chats(server)} == {"a", "judge", "writer"}


def test_nothing_of_it_is_kept_and_what_is_in_the_store_is_neither_shown_nor_spoilt(server: Server) -> None:
    fuse("Why?", **panel(server, "a", "b"))
    first = len(chats(server))

    failed = fuse("Why?", **panel(server, "a", "b"), simulate="B=empty,judge=badjson", retries=0)
    second = len(chats(server))
    again = fuse("Why?", **panel(server, "a", "b"))

    assert first == 4
    assert [lost.label for lost in failed.failed_models] == ["B"]
    assert failed.analysis is None
    assert second == first + 1  # the synthesizer, who read something else
    assert len(chats(server)) == second
    assert all(call.reused for call in again.calls)
    assert again.analysis is not None


def test_a_verb_asks_in_earnest_what_was_simulated_before(server: Server) -> None:
    failed = fuse("Why?", **panel(server, "a", "b"), simulate="B=down", retries=0)

    mended = failed.retry_failed()

    assert [seat.label for seat in mended.responses] == ["A", "B"]
    assert not any(warning.startswith("Simulated") for warning in mended.warnings)


def test_a_verb_can_simulate_too_but_not_a_seat_that_it_does_not_ask(server: Server) -> None:
    result = fuse("Why?", **panel(server, "a", "b"))

    unjudged = result.rejudge(simulate="judge=filter")

    assert unjudged.analysis is None
    with pytest.raises(SettingsError, match="B is not asked in this run; judge, synthesizer can be made to fail"):
        result.rejudge(simulate="B=down")


def test_an_estimate_counts_nothing_for_it(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    chosen: Any = {"models": ["openai/gpt-5.5", "anthropic/claude-opus-4.8"], "judge": "openai/gpt-5.5"}

    whole = estimate("Why?", **chosen)
    less = estimate("Why?", **chosen, simulate="B=down")

    costs = [{row.label: row.cost for row in made.planned if row.stage == "panel"} for made in (whole, less)]
    assert costs[0]["B"] is not None
    assert costs[0]["B"].expected > 0
    assert costs[1]["B"] is not None
    assert costs[1]["B"].expected == 0
