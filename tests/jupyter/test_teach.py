"""A lesson without a browser: stages in their order, hands counted, names last, and the lesson as plain output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic import FusionResult, fuse, last, scripted, teach
from fusion_magic.errors import CallError, FusionError
from fusion_magic.events import Event
from fusion_magic.jupyter.teach import Lesson, lesson_bundle
from fusion_magic.results import RECORD
from pipeline.asking import record

from .conftest import Cells
from .samples import result as sample

STAGES = ["predict", "answers", "vote", "judge", "answer", "reveal"]
MODELS = ["vendor/alpha", "vendor/beta", "vendor/gamma"]
NAMES = ["alpha", "beta", "gamma", "arbiter", "writer"]
CHAIRS: dict[str, Any] = {"models": MODELS, "judge": "vendor/arbiter", "synthesizer": "vendor/writer"}
LINE = "--teach " + " ".join(f"-m {model}" for model in MODELS) + " --judge vendor/arbiter --synthesizer vendor/writer"
ANALYSIS = {
    "consensus": ["All name Paris."],
    "contradictions": [{"topic": "Age", "stances": [{"label": "A", "stance": "old"}, {"label": "B", "stance": "new"}]}],
    "partial_coverage": [{"labels": ["A", "C"], "point": "The Seine."}],
    "unique_insights": [{"label": "C", "insight": "The Parisii."}, {"label": "C", "insight": "Their coins."}],
    "blind_spots": [],
}
ANSWERS = {
    "vendor/alpha": "The capital of France is Paris. It lies on the river Seine.",
    "vendor/beta": "The capital of France is Paris.",
    "vendor/gamma": "Paris, on the river Seine, was founded by the Parisii.",
    "judge": ANALYSIS,
    "synthesis": "The capital of France is Paris. It lies on the river Seine. Many tourists visit the Louvre museum.",
}


def run(**more: Any) -> FusionResult:
    with scripted(ANSWERS):
        return fuse("What is the capital of France?", **CHAIRS, **more)


@pytest.fixture
def lesson() -> Iterator[Lesson]:
    made = teach(run())
    yield made
    made.close()


def page_sends(lesson: Lesson, **content: Any) -> None:
    lesson._handle_custom_msg(content, [])


def page_has(lesson: Lesson) -> str:
    """All that the page was sent."""
    return str(lesson.get_state(["_stages", "_next", "_said", "_titles"]))


def test_stages_open_one_by_one_and_then_no_more(lesson: Lesson) -> None:
    opened = [lesson.stage, *(lesson.next() for _ in range(5))]

    assert opened == STAGES
    with pytest.raises(FusionError, match="Every stage is open"):
        lesson.next()


def test_what_is_not_open_is_not_on_the_page_and_names_come_last(lesson: Lesson) -> None:
    before: list[tuple[bool, bool, bool]] = []
    for _ in STAGES[:-1]:
        before.append(("river" in page_has(lesson), "Parisii." in page_has(lesson), "Louvre" in page_has(lesson)))
        assert not [name for name in NAMES if name in page_has(lesson)]
        lesson.next()

    assert before == [(False,) * 3, (True, True, False), (True, True, False), (True, True, False), (True, True, True)]
    assert [name for name in NAMES if name in page_has(lesson)] == NAMES


def test_hands_are_counted_by_click_or_by_call(lesson: Lesson) -> None:
    lesson.predict("differ", 12)
    page_sends(lesson, do="count", ballot="prediction", option="agree", hands=3)
    page_sends(lesson, do="note", text="Paris")
    page_sends(lesson, do="open")
    lesson.vote("A", 4)
    page_sends(lesson, do="count", ballot="votes", option="C", hands=9)
    page_sends(lesson, do="count", ballot="votes", option="C", hands=10)

    assert lesson.stage == "answers"
    assert lesson.prediction == {"differ": 12, "agree": 3}
    assert lesson.votes == {"A": 4, "C": 10}
    assert lesson.note == "Paris"


@pytest.mark.parametrize(
    "content",
    [
        {"do": "count", "ballot": "votes", "option": "Z", "hands": 1},
        {"do": "count", "ballot": "votes", "option": "A", "hands": -1},
        {"do": "count", "ballot": "votes", "option": "A", "hands": 10**9},
        {"do": "count", "ballot": "votes", "option": "A", "hands": "<b>"},
        {"do": "count", "ballot": "_stages", "option": "A", "hands": 1},
        {"do": "close"},
        "open",
        None,
    ],
)
def test_what_a_page_may_not_say_changes_nothing(lesson: Lesson, content: Any) -> None:
    lesson._handle_custom_msg(content, [])

    assert (lesson.stage, lesson.votes, lesson.prediction) == ("predict", {}, {})


def test_a_vote_for_nobody_is_one_sentence(lesson: Lesson) -> None:
    with pytest.raises(FusionError, match="Hands are counted for A, B, C"):
        lesson.vote("D", 1)
    with pytest.raises(FusionError, match="agree, differ, contradict"):
        lesson.predict("maybe", 1)


def test_the_tally_stands_beside_what_judge_and_answer_say(lesson: Lesson) -> None:
    lesson.predict("agree", 8)
    lesson.vote("B", 5)
    lesson.vote("A", 2)

    told = lesson.bundle()["text/plain"]

    assert "The class expected: They will agree: 8 · They will differ in points: 0" in told
    assert "1 point of consensus, 1 contradiction, 1 point that only some have, 2 that only one has." in told
    assert "Most votes of the class: B (5)." in told
    assert "Most insights that no other seat had, says the judge: C (2)." in told
    assert "says a comparison of the texts: A (2 of 3)." in told
    assert "A · vendor/alpha · votes: 2 · judge: alone 0, with others 1, in dispute 1 · supports 2 of 3" in told


@pytest.mark.parametrize("form", ["text/html", "text/markdown", "text/plain"])
def test_every_form_has_every_stage_in_order_with_the_votes(lesson: Lesson, form: str) -> None:
    lesson.vote("B", 5)
    lesson.note = "We think Paris"
    told = re.sub(r"<style>.*</style>", "", lesson.bundle()[form], flags=re.DOTALL)

    places = [told.find(text) for text in (
        "1 · Predict", "We think Paris", "2 · The answers", "3 · Vote", "A: 0 · B: 5 · C: 0", "4 · What the judge",
        "5 · The answer", "Louvre", "6 · Who it was", "alpha",
    )]  # fmt: skip
    assert -1 not in places
    assert places == sorted(places)


def test_the_output_holds_what_the_run_is_rebuilt_from(lesson: Lesson) -> None:
    assert FusionResult.from_record(lesson.bundle()[RECORD]) == lesson.result
    assert RECORD not in lesson_bundle(lesson.result, record=False)


def test_a_seat_that_failed_keeps_its_name_and_its_reason_for_the_end() -> None:
    lesson = teach(run(simulate="B=down,judge=badjson", retries=0))
    told = lesson.bundle()["text/plain"]
    before, _, after = told.partition("6 · Who it was")

    assert "Answer B\n\nThis seat gave no answer" in before
    assert "Simulated: B is down (503)" in before
    assert "There is no analysis; why is told at the end." in before
    assert "beta" not in before
    assert "vendor/beta did not answer. Simulated: vendor/beta answered 503" in after


@pytest.mark.parametrize(
    "broken",
    [
        {"answer": None, "status": "error", "error": "There is no answer."},
        {"answer": None, "unfinished": "The capital", "status": "cancelled"},
        {"analysis": None},
        {"responses": (), "answer": None, "analysis": None, "calls": (), "status": "error"},
    ],
)
def test_a_run_that_failed_can_be_taught_too(broken: dict[str, Any]) -> None:
    lesson = teach(sample(**broken))
    for _ in STAGES[1:]:
        lesson.next()

    assert lesson.stage == "reveal"
    assert "6 · Who it was" in lesson.bundle()["text/markdown"]


# --- a run that goes on -----------------------------------------------------------------------------


def events() -> list[Event]:
    with scripted(ANSWERS):
        return record("What is the capital of France?", **CHAIRS).events


def test_a_stage_of_a_run_that_goes_on_opens_when_it_is_there_and_not_before() -> None:
    told, lesson = events(), Lesson()
    opened_after: list[tuple[str, str]] = []
    refused: list[str] = []
    for event in told:
        lesson.apply(event)
        lesson.flush()
        refused.append(lesson._next["waits"])
        while lesson.stage and lesson.stage != "reveal" and not lesson._next["waits"]:
            opened_after.append((lesson.next(), type(event).__name__))

    assert [stage for stage, _ in opened_after] == STAGES[1:]
    assert dict(opened_after) == {
        "answers": "CallStarted",
        "vote": "CallStarted",
        "judge": "AnalysisReady",
        "answer": "RunEnded",
        "reveal": "RunEnded",
    }
    assert {"0 of 3 seats have ended.", "2 of 3 seats have ended.", "The judge still compares them."} <= {*refused}


def test_before_its_time_a_stage_is_refused_in_a_sentence() -> None:
    lesson = Lesson()
    with pytest.raises(FusionError, match="The run has not begun"):
        lesson.next()

    lesson.apply(events()[0])
    lesson.flush()

    with pytest.raises(FusionError, match="still being written"):
        lesson.next()
    assert lesson.stage == "predict"


def test_a_live_lesson_ends_as_one_of_a_saved_run() -> None:
    told, lesson = events(), Lesson()
    for event in told:
        lesson.apply(event)
    lesson.flush()

    ended = last()
    assert ended is not None
    assert lesson.bundle() == teach(ended).bundle()


# --- the magic in a terminal ------------------------------------------------------------------------


def test_in_a_terminal_the_stages_are_read_one_after_the_other(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell(f"%%fusion {LINE}\nWhat is the capital of France?")

    before, _, after = ran.text.partition("6 · Who it was")
    assert isinstance(ran.value, FusionResult)
    assert "2 · The answers, without names" in before
    assert not [name for name in NAMES if name in before]
    assert [name for name in NAMES if name in after] == NAMES
    assert ran.shown == []


def test_the_line_magic_teaches_an_earlier_run(cell: Cells) -> None:
    cell["kept"] = run()
    ran = cell("%fusion teach")
    too_many = cell("%fusion teach one two")

    assert "1 · Predict" in ran.text
    assert isinstance(cell["_lesson"], Lesson)
    assert "takes the ID of one run" in str(too_many.error)


def test_a_run_that_nobody_answers_is_an_error_after_its_lesson(cell: Cells) -> None:
    with scripted({"*": CallError("Gone.")}):
        ran = cell(f"%%fusion {LINE} --retries 0\nWhat?")

    assert "This seat gave no answer" in ran.text
    assert "No panelist answered" in str(ran.error)
