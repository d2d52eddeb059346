"""`vote`: one word or one number from each seat, counted."""

from typing import Any

import pytest

from fusion_magic import fold, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.pipeline.strategies.choices import choice_in, same_as
from fusion_magic.votes import tally
from pipeline.asking import record


def answers(*texts: str) -> dict[str, Any]:
    return dict(zip("abcdefgh", texts, strict=False))


def vote(*texts: str, **settings: Any):
    with scripted(answers(*texts)):
        return record("How many?", models=list("abcdefgh"[: len(texts)]), strategy="vote", **settings)


def test_the_answer_that_most_give_wins_and_the_votes_are_data():
    told = vote("Let me see.\nAnswer: 42\nConfidence: 90", "Answer: **42.0**", "Answer: forty", "I do not know, sorry.")

    result = told.kept
    assert (result.status, result.answer) == ("ok", "42")
    assert [(vote.label, vote.choice, vote.weight) for vote in result.votes] == [
        ("A", "42", 1.0),
        ("B", "42", 1.0),
        ("C", "forty", 1.0),
        ("D", None, 0.0),
    ]
    assert tally(result.votes) == {"42": 2.0, "forty": 1.0}
    assert result.warnings == ("D: no single word or number could be read; it was not counted.",)
    assert fold(told.events) == result


def test_every_seat_is_asked_for_one_word_and_nobody_judges_or_writes():
    with scripted({"*": "Answer: 4"}) as script:
        result = fuse("2 + 2?", models=["v/m"], strategy="vote")

    assert [request.stage for request in script.requests] == ["panel"] * 5
    assert all("Answer: one word or one number" in str(request.messages[-1]["content"]) for request in script.requests)
    assert {call.prompt_version for call in result.calls} == {"panel-1+vote-1"}


def test_by_confidence_one_sure_seat_outweighs_two_that_guess():
    texts = ("Answer: red\nConfidence: 95", "Answer: blue\nConfidence: 40%", "Answer: Blue\nConfidence: 0.3")

    result = vote(*texts, weights="confidence").kept

    assert result.answer == "red"
    assert tally(result.votes) == pytest.approx({"red": 0.95, "blue": 0.7})


def test_a_seat_that_does_not_say_how_sure_it_is_weighs_the_mean_of_the_others():
    result = vote("Answer: a\nConfidence: 80", "Answer: b", weights="confidence").kept

    assert [vote.weight for vote in result.votes] == [0.8, 0.8]


def test_a_tie_goes_to_the_earliest_seat_and_is_told():
    result = vote("Answer: right", "Answer: left").kept

    assert result.answer == "right"
    assert result.warnings == ("A tie between right, left; the answer of the earliest seat was taken.",)


def test_without_a_countable_answer_there_is_none_and_the_responses_are_kept():
    result = vote("It depends on many things.", "Who can say what is right here?").kept

    assert (result.status, result.answer) == ("error", None)
    assert len(result.responses) == 2


def test_a_schema_is_refused_before_anything_is_asked():
    from pydantic import BaseModel

    class Colour(BaseModel):
        name: str

    with scripted({"*": "x"}) as script, pytest.raises(SettingsError, match="vote takes no schema"):
        fuse("Which?", models=["a"], strategy="vote", schema=Colour)

    assert script.requests == []


@pytest.mark.parametrize(
    ("response", "choice", "confidence"),
    [
        ("Reasons.\nAnswer: Paris\nConfidence: 90", "Paris", 0.9),
        ("**Answer:** *Paris*.", "Paris", None),
        ("The final answer: 3.5", "3.5", None),
        ("Answer: 1\nNo, wait.\nAnswer: 2", "2", None),
        (r"So \boxed{17}.", "17", None),
        (r"Answer: $\boxed{17}$", "17", None),
        ("Paris", "Paris", None),
        ("Answer: yes\nConfidence: 0.75", "yes", 0.75),
        ("Answer: yes\nConfidence: 1", "yes", 0.01),
        ("Answer: yes\nConfidence: 250", "yes", 1.0),
        ("I think that it is Paris, mostly.", None, None),
        ("Answer: " + "x" * 81, None, None),
        ("", None, None),
    ],
)
def test_a_short_answer_is_read_however_it_is_dressed(response: str, choice: str | None, confidence: float | None):
    found = choice_in(response)

    assert (found and found.text) == choice
    assert (found and found.confidence) == confidence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1000.00"),
        ("1 000", "1000"),
        (".5", "0.50"),
        ("−3", "-3.0"),
        ("The Moon", "moon"),
        ("yes.", "Yes"),
        ("5 km", "5km"),
        ("New  York", "new york"),
        ("-0", "0"),
    ],
)
def test_two_ways_of_writing_the_same_count_as_one(one: str, other: str):
    assert same_as(one) == same_as(other)


@pytest.mark.parametrize(("one", "other"), [("5 km", "5 m"), ("3", "-3"), ("1.5", "15"), ("yes", "no"), ("10", "1")])
def test_different_answers_stay_different(one: str, other: str):
    assert same_as(one) != same_as(other)
