"""`scout`: two cheap seats first, the others only if these disagree."""

from typing import Any

import pytest

from fusion_magic import Panel, Settings, fold, fuse, scripted
from fusion_magic.errors import CallError, SettingsError
from fusion_magic.pipeline.strategies.scout import agreement, conclusion_in, scouts_of
from pipeline.asking import Recorded, record
from pipeline.plans import plan_of
from servers.openrouter import analysis_json

AGREE: dict[str, Any] = {
    "a": "Because.\nIn short: the sky scatters blue light.",
    "b": "In short: the sky scatters blue light",
}
DIFFER: dict[str, Any] = AGREE | {"b": "Well.\nIn short: the sea is mirrored"}
REST: dict[str, Any] = {"c": "Text of c.", "judge": analysis_json("ABC"), "*": "Fused."}


def scout(**settings: Any) -> Recorded:
    return record(models=["a", "b", "c"], judge="j", synthesizer="w", strategy="scout", **settings)


def test_where_the_scouts_agree_nobody_else_is_asked_and_the_first_one_s_words_are_the_answer():
    with scripted(AGREE | REST) as script:
        told = scout()

    result = told.kept
    assert [request.model for request in script.requests] == ["a", "b"]
    assert (result.status, result.answer) == ("ok", AGREE["a"])
    assert result.failed_models == ()
    assert result.decision is not None
    assert (result.decision.asked, result.decision.agreement, result.decision.threshold) == (False, 1.0, 0.6)
    assert result.decision.reason == "Nobody else was asked: A and B agree (agreement 1.00, threshold 0.6)."
    assert fold(told.events) == result


def test_where_they_disagree_the_rest_is_asked_and_the_judge_reads_all_three():
    with scripted(DIFFER | REST) as script:
        told = scout()

    result = told.kept
    assert [request.model for request in script.requests] == ["a", "b", "c", "j", "w"]
    read = str(script.requests[3].messages)
    assert all(text in read for text in ("Because.", "Well.", "Text of c."))
    assert "In short" not in str(script.requests[2].messages)
    assert result.answer == "Fused."
    assert result.decision is not None
    assert result.decision.asked
    assert [vote.choice for vote in result.votes] == ["the sky scatters blue light.", "the sea is mirrored"]
    assert fold(told.events) == result


def test_the_threshold_decides():
    with scripted(DIFFER | REST) as script:
        scout(threshold=0.0)

    assert len(script.requests) == 2


@pytest.mark.parametrize("second", ["No conclusion\nin two lines.", CallError("Dead.")])
def test_a_scout_without_a_conclusion_or_an_answer_is_no_agreement(second):
    with scripted(AGREE | {"b": second} | REST) as script:
        result = scout().kept

    assert result.decision is not None
    assert result.decision.asked
    assert "c" in [request.model for request in script.requests]
    assert result.answer == "Fused."


def test_a_scout_that_fails_is_not_asked_twice():
    with scripted(AGREE | {"b": CallError("Dead.")} | REST | {"judge": analysis_json("AC")}) as script:
        result = scout().kept

    assert [request.model for request in script.requests] == ["a", "b", "c", "j", "w"]
    assert [lost.label for lost in result.failed_models] == ["B"]


def test_the_scouts_are_the_two_whose_words_cost_least():
    plan = plan_of("dear", "cheap", "unknown", "middle")

    assert [chair.seat.label for chair in scouts_of(plan)] == ["B", "D"]


def test_without_prices_they_are_the_first_two():
    assert [chair.seat.label for chair in scouts_of(plan_of("unknown", "unknown", "unknown"))] == ["A", "B"]


def test_a_panel_that_has_nobody_else_is_refused():
    with scripted(REST), pytest.raises(SettingsError, match="scout needs 3 seats or more"):
        fuse("Why?", panel=Panel(models=["a", "b"]), strategy="scout")  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("Blue light is scattered", "blue light is scattered.", 1.0, 1.0),
        ("Yes, water them in the morning", "Water in the morning", 0.6, 0.9),
        ("It is safe", "It is not safe", 0.0, 0.0),
        ("It isn't safe", "It is safe", 0.0, 0.0),
        ("It costs 40 euros", "It costs 400 euros", 0.0, 0.0),
        ("1,000 people", "1000 people", 1.0, 1.0),
        ("The sea", "A mountain", 0.0, 0.0),
    ],
)
def test_few_words_that_turn_a_sentence_round_are_no_agreement(one: str, other: str, least: float, most: float):
    assert least <= agreement(one, other) <= most
    assert agreement(one, other) == agreement(other, one)


def test_a_conclusion_is_the_last_line_that_says_so():
    assert conclusion_in("In short: no.\nMore.\n**In short:** yes") == "yes"
    assert conclusion_in("One line only.") == "One line only."
    assert conclusion_in("Two\nlines") is None


def test_the_threshold_s_default_is_stated():
    assert Settings().threshold == 0.6
