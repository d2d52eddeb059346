"""One pass: one call compares and writes, the responses are read once, and nothing of either is lost."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_magic import estimate, fold, fuse, scripted
from fusion_magic.errors import CallError, SettingsError
from fusion_magic.events import AnalysisReady, Delta
from fusion_magic.pipeline.one_pass import TwoParts
from fusion_magic.pipeline.tokens import text_tokens
from fusion_magic.results import Analysis
from pipeline.asking import panel, record
from servers.openrouter import Broken, Reply, Server

MODELS = {"A": "a", "B": "b"}
ANALYSIS = {
    "consensus": ['Both say "yes" {so far}.'],
    "contradictions": [{"topic": "When", "stances": [{"label": "A", "stance": "1\\2"}, {"label": "B", "stance": "é"}]}],
    "partial_coverage": [],
    "unique_insights": [{"label": "B", "insight": "Only }B{."}],
    "blind_spots": [],
}
TEXT = json.dumps(ANALYSIS)
ONE: dict[str, Any] = {"models": ["a", "b"], "judge": "w", "synthesizer": "w", "one_pass": True}
SCRIPT = {"a": "Text of a.", "b": "Text of b.", "w": f"{TEXT}\n\nThe answer."}


def heard(*parts: str) -> tuple[str, Analysis | None, str]:
    """The answer, the analysis and what was wrong with it, of a reply in parts."""
    two = TwoParts(MODELS, lambda analysis: None)
    answer = "".join(two.hear(part) for part in parts) + two.end()
    return answer.strip(), two.analysis, two.problem


# --- telling the two apart


@given(st.lists(st.integers(0, len(TEXT) + 20), max_size=12))
@settings(max_examples=200)
def test_wherever_the_stream_is_cut_analysis_and_answer_are_the_same(cuts: list[int]):
    whole = f"{TEXT}\n\nThe answer {{x}}."
    places = [0, *sorted(cuts), len(whole)]
    parts = [whole[start:end] for start, end in pairwise(places)]

    answer, analysis, _ = heard(*parts)

    assert answer == "The answer {x}."
    assert analysis is not None
    assert analysis.consensus == ('Both say "yes" {so far}.',)
    assert analysis.unique_insights[0].model == "b"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (f"```json\n{TEXT}\n```\nThe answer.", "The answer."),
        (f"Here is the report:\n{TEXT}\nThe answer.", "The answer."),
        (f"{TEXT}```python\nprint(1)\n```", "```python\nprint(1)\n```"),
    ],
)
def test_fences_and_words_around_the_report_are_not_the_answers(reply: str, answer: str):
    assert heard(reply)[0] == answer
    assert heard(*reply)[0] == answer


def test_a_reply_without_a_report_is_the_answer_as_a_whole():
    assert heard("It is $\\frac{1}{2}$.", " So {it} is.") == (
        "It is $\\frac{1}{2}$. So {it} is.",
        None,
        "it wrote none",
    )


def test_a_long_reply_without_a_report_is_told_while_it_streams():
    two = TwoParts(MODELS, lambda analysis: None)

    assert two.hear("word " * 500).startswith("word")


def test_a_report_that_can_not_be_read_is_not_part_of_the_answer():
    answer, analysis, problem = heard('{"consensus": 3} The answer.')

    assert (answer, analysis) == ("The answer.", None)
    assert "can't be read" in problem


def test_an_answer_below_a_report_with_a_quote_too_many_is_kept():
    broken = '{"consensus": ["a 5" pipe"], "blind_spots": []}'

    assert heard(f"{broken}\n\nThe paid answer.\n\nIt goes on.")[0] == "The paid answer.\n\nIt goes on."
    assert heard(f"```json\n{broken}\n```\n\nThe paid answer.")[0] == "The paid answer."


def test_braces_before_the_report_do_not_hide_it():
    answer, analysis, _ = heard(f"Report {{as asked}}:\n{TEXT}\nThe answer.")

    assert (answer, analysis is not None) == ("The answer.", True)


def test_a_report_that_never_ends_is_nobodys_answer():
    assert heard(TEXT[:60]) == ("", None, "its JSON never ended")


# --- runs


def test_one_call_brings_analysis_and_answer():
    with scripted(SCRIPT) as script:
        told = record(**ONE)

    assert [request.model for request in script.requests] == ["a", "b", "w"]
    assert told.planned == ["a", "b", "w"]
    result = told.kept
    assert (result.status, result.answer, result.warnings) == ("ok", "The answer.", ())
    assert result.analysis is not None
    assert result.analysis.unique_insights[0].insight == "Only }B{."
    assert result.calls[-1].prompt_version == "one-pass-2"
    assert fold(told.events) == result


def test_the_analysis_comes_before_the_answer_and_is_not_shown_as_one():
    with scripted(SCRIPT):
        told = record(**ONE)

    ready = next(n for n, event in enumerate(told.events) if isinstance(event, AnalysisReady))
    shown = [n for n, event in enumerate(told.events) if isinstance(event, Delta) and event.stage == "synthesis"]
    assert ready < min(shown)
    assert "".join(e.text for e in told.events if isinstance(e, Delta) and e.stage == "synthesis") == "The answer."


def test_the_foot_says_what_was_read_once():
    with scripted(SCRIPT):
        one, two = fuse("Why?", **ONE), fuse("Why?", **{**ONE, "one_pass": False})

    saved = text_tokens("Text of a.") + text_tokens("Text of b.")
    assert f"one pass: {saved} tokens of responses read once, not twice" in str(one._repr_mimebundle_()["text/plain"])
    assert "one pass" not in str(two._repr_mimebundle_()["text/plain"])


def test_the_one_call_reads_rubric_standing_instructions_and_each_response_once():
    with scripted(SCRIPT) as script:
        fuse("Why?", rubric="Weigh costs.", system="In French.", **ONE)

    read = str(script.requests[-1].messages)
    assert [read.count(text) for text in ("Weigh costs.", "In French.", "Text of a.", "Text of b.")] == [1, 1, 1, 1]


def test_who_only_compared_is_asked_again_for_the_answer():
    with scripted({**SCRIPT, "w": [TEXT, "The answer."]}) as script:
        result = fuse("Why?", **ONE)

    assert len(script.requests) == 4
    assert result.answer == "The answer."
    assert "Only }B{." in str(script.requests[-1].messages)
    assert any("wrote no answer" in warning for warning in result.warnings)


def test_an_answer_without_a_report_stands_and_says_so():
    with scripted({**SCRIPT, "w": "Only the answer."}):
        result = fuse("Why?", **ONE)

    assert (result.status, result.answer, result.analysis) == ("ok", "Only the answer.", None)
    assert any("There is no analysis" in warning for warning in result.warnings)


def test_a_reply_without_a_report_is_asked_for_anew_the_next_time(server: Server):
    server.reply("judge", [Reply("Only the answer."), Reply(SCRIPT["w"])])
    chosen = {**panel(server), "synthesizer": panel(server)["judge"], "one_pass": True}

    first, again = fuse("Why?", **chosen), fuse("Why?", **chosen)

    assert (first.analysis, again.analysis is not None) == (None, True)
    assert [call.reused for call in again.calls] == [True, True, False]


def test_the_report_of_an_attempt_that_broke_off_is_not_called_missing(server: Server):
    server.reply("judge", [Broken(Reply(SCRIPT["w"], chunks=40), after=39, kind="truncate"), Reply("Only the answer.")])

    told = record(**{**panel(server), "synthesizer": panel(server)["judge"], "one_pass": True})

    assert (told.kept.answer, told.kept.analysis is not None) == ("Only the answer.", True)
    assert not any("There is no analysis" in warning for warning in told.kept.warnings)
    assert fold(told.events) == told.kept


def test_a_call_that_fails_keeps_the_responses():
    with scripted({**SCRIPT, "w": CallError("Dead.")}):
        result = fuse("Why?", **ONE)

    assert result.status == "error"
    assert [response.content for response in result.responses] == ["Text of a.", "Text of b."]


def test_a_stream_that_breaks_off_in_the_answer_is_asked_and_read_anew(server: Server):
    server.reply("judge", [Broken(Reply(SCRIPT["w"], chunks=40), after=39), Reply(SCRIPT["w"])])

    told = record(**{**panel(server), "synthesizer": panel(server)["judge"], "one_pass": True})

    assert (told.kept.answer, told.kept.calls[-1].attempts) == ("The answer.", 2)
    assert fold(told.events) == told.kept


def test_the_same_run_again_asks_nobody(server: Server):
    server.reply("judge", Reply(SCRIPT["w"]))
    chosen = {**panel(server), "synthesizer": panel(server)["judge"], "one_pass": True}
    first = fuse("Why?", **chosen)

    again = fuse("Why?", **chosen)

    assert all(call.reused for call in again.calls)
    assert (again.answer, again.analysis) == (first.answer, first.analysis)


# --- choosing it


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"synthesizer": "v"}, "needs one model"),
        ({"judge": "smollm2@local", "synthesizer": "smollm2@local"}, "embedded model"),
        ({"judge_tools": True}, "no tools"),
        ({"schema": Analysis}, "no schema"),
    ],
)
def test_what_one_pass_can_not_do_is_said_before_anybody_is_asked(chosen: dict[str, Any], said: str):
    with scripted(SCRIPT) as script, pytest.raises(SettingsError, match=said):
        fuse("Why?", **{**ONE, **chosen})

    assert script.requests == []


def test_a_strategy_without_a_judge_says_that_it_does_not_use_it():
    with scripted({"*": "Text."}):
        result = fuse("Why?", strategy="moa", **ONE)

    assert "The strategy moa does not use one_pass." in result.warnings


def test_another_judge_compares_in_a_call_of_its_own():
    with scripted({**SCRIPT, "j": ANALYSIS, "v": "Another answer."}) as script:
        result = fuse("Why?", **ONE)
        before = len(script.requests)
        again = result.rejudge(judge="j")

    assert again.analysis is not None
    assert [request.stage for request in script.requests[before:]] == ["judge", "synthesis"]


def test_the_estimate_says_what_is_saved():
    one = estimate("Why?", **ONE)
    two = estimate("Why?", **{**ONE, "one_pass": False})

    assert one.saved is not None
    read = [sum(row.input_tokens.expected for row in each.planned) for each in (one, two)]
    assert one.saved.tokens == read[1] - read[0]
    assert f"about {one.saved.tokens:,.0f} input tokens" in str(one)
    assert two.saved is None
