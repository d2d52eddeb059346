"""`evaluate` in batches: the same scores at half price, what is under way is found again, and what can't go is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batch.asking import CALL, settle
from evals.weather import TASKS, answer, evaluated, reply, rows, systems, verdict
from fusion_magic import evals
from fusion_magic.batch import BatchInterrupted, Progress, show_with
from fusion_magic.errors import SettingsError
from pipeline.asking import chats
from servers.batches import BatchServer, Json
from servers.openrouter import Server, analysis_json

HALF: dict[str, Any] = {"grader": "grader@half", "progress": False}
ALONE = {"alone": "a@half"}
PANEL: dict[str, Any] = {"models": ["a@half", "b@half"], "judge": "judge@half", "synthesizer": "writer@half"}
SCORE = ["config", "task", "score", "raw", "pass_rate", "negative_penalty", "passes", "coverage", "axis:Facts"]


def said(body: Json) -> str:
    prompt = str(body["messages"][-1]["content"])
    if body["model"] == "judge":
        return analysis_json("AB")
    return verdict(prompt) if body["model"] == "grader" else answer(prompt)


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer(said) as running:
        settle(running, "a", "b", "judge", "writer", "grader")
        yield running


@pytest.fixture
def plain() -> Iterator[Server]:
    """A server that answers at once, at the full price."""
    with Server() as running:
        running.reply("*", reply)
        yield running


def sent(server: BatchServer) -> list[tuple[str, int]]:
    """The model and the number of lines of each batch."""
    return [(batch.lines[0]["body"]["model"], len(batch.lines)) for batch in server.batches.values()]


class InterruptsIn:
    """A user who interrupts while a batch is half way."""

    def __init__(self, server: BatchServer) -> None:
        self._server = server

    def show(self, progress: Progress) -> None:
        if not progress.has_ended and self._server.half_way.is_set():
            raise KeyboardInterrupt


def test_answers_and_grading_in_batches_have_the_scores_of_those_asked_at_once(server: BatchServer, plain: Server):
    at_once = evaluated(plain, passes=2)

    found = evals.evaluate(TASKS, {**ALONE, "panel": PANEL}, **HALF, passes=2, batch=True)

    assert found.frame[SCORE].equals(at_once.frame[SCORE])
    assert found.verdicts["met"].equals(at_once.verdicts["met"])
    of_alone, of_panel = [("a", 3)], [("b", 3), ("judge", 3), ("writer", 3)]  # its first seat has answered alone
    assert sent(server) == [*of_alone, *of_panel, ("grader", 6 * 2)]
    noon = rows(found)["panel", "noon"]
    assert (noon["cost"], noon["grading_cost"]) == (pytest.approx(4 * CALL), pytest.approx(3 * 2 * CALL))
    assert noon["seconds"] != noon["seconds"]  # nan: it waited


def test_the_grading_alone_goes_in_batches_and_the_answers_are_asked_at_once(server: BatchServer, plain: Server):
    found = evals.evaluate(TASKS, systems(plain), **HALF, batch="grading")

    assert set(found.frame["status"]) == {"ok"}
    assert {request.model for request in chats(plain)} == {"a", "b", "judge", "writer"}
    assert sent(server) == [("grader", 6)]


def test_a_verdict_that_cannot_be_read_is_asked_for_again_in_a_batch(server: BatchServer):
    def mumbles(body: Json) -> str:
        unreadable = "is cold" in str(body) and "not readable" not in str(body)
        return "Well." if body["model"] == "grader" and unreadable else said(body)

    server.answer = mumbles

    found = evals.evaluate(TASKS, ALONE, **HALF, passes=2, batch=True)

    assert set(found.frame["status"]) == {"ok"}
    assert sent(server)[1:] == [("grader", 12), ("grader", 4)]


# --- nothing is paid twice --------------------------------------------------------------------------


def test_the_same_call_again_asks_nobody_and_so_does_one_without_batches(server: BatchServer):
    first = evals.evaluate(TASKS, ALONE, **HALF, batch=True)
    asked = len(server.requests)

    again = [evals.evaluate(TASKS, ALONE, **HALF, batch=batch) for batch in (True, False)]

    assert len(server.requests) == asked
    assert all(each.frame.equals(first.frame) and each.verdicts.equals(first.verdicts) for each in again)


def test_grading_that_was_interrupted_in_its_batch_is_taken_in_by_the_same_call(server: BatchServer):
    evals.evaluate(TASKS, ALONE, progress=False, batch=True)
    server.open.clear()
    show_with(lambda: InterruptsIn(server))
    try:
        with pytest.raises(BatchInterrupted, match="batch_abc1 at half goes on and will be billed"):
            evals.evaluate(TASKS, ALONE, **{**HALF, "progress": True}, batch=True)
    finally:
        show_with(None)
    server.open.set()

    found = evals.evaluate(TASKS, ALONE, **HALF, batch=True)

    assert set(found.frame["status"]) == {"ok"}
    assert sent(server) == [("a", 3), ("grader", 6)]


def test_a_limit_is_of_half_prices_and_what_it_leaves_out_is_finished_later(server: BatchServer):
    poor = evals.evaluate(TASKS, ALONE, **HALF, batch=True, max_usd=6 * CALL)
    rich = evals.evaluate(TASKS, ALONE, **HALF, batch=True, max_usd=1)

    assert [row["status"] for row in rows(poor).values()] == ["ungraded", "ungraded", "ok"]
    assert {row["status"] for row in rows(rich).values()} == {"ok"}
    assert sum(count for _, count in sent(server)) == 3 + 6  # each answer and each verdict once
    assert sum(row["cost"] + row["grading_cost"] for row in rows(rich).values()) == pytest.approx(9 * CALL)


# --- said before --------------------------------------------------------------------------------------


def test_an_estimate_says_the_half_price_of_what_goes_in_batches(server: BatchServer):
    choices: Any = (False, True, "grading")

    full, half, graded = (evals.estimate(TASKS, ALONE, grader="grader@half", batch=each) for each in choices)

    answers, grading = (tuple(part.cost or ()) for part in full.parts)
    assert answers[0] > 0
    halves = [pytest.approx([dollars / 2 for dollars in part]) for part in (answers, grading)]
    assert [tuple(part.cost or ()) for part in half.parts] == halves
    assert [tuple(part.cost or ()) for part in graded.parts] == [answers, halves[1]]
    assert list(graded.frame["batched"]) == [False, True]
    first, second, _ = str(graded).splitlines()
    assert "batch" not in first
    assert second.startswith("alone, grading: 6 calls in batches, about $")
    assert second.endswith("at half price")
    assert server.requests == []


@pytest.mark.parametrize(
    ("which", "more", "says"),
    [
        (
            {"panel": {**PANEL, "tools": "web"}},
            {},
            "'panel' can't answer in batches; with batch=\"grading\" only the grading goes there. A seat with tools",
        ),
        ({"plain": "a@plain"}, {}, "'plain' can't answer in batches.*plain has none"),
        ({"self": {"models": "a@half", "strategy": "self"}}, {}, "'self' can't answer in batches.*leave out strategy"),
        (ALONE, {"client": object()}, "'alone' can't answer in batches.*leave out client"),
        (ALONE, {"grader": "grader@plain"}, "^grader@plain can't be asked in batches: plain has none"),
        (ALONE, {"grader": "grader@plain", "batch": "grading"}, "^grader@plain can't be asked in batches"),
        (ALONE, {"grader": None, "batch": "grading"}, 'batch="grading" has nothing to send without a grader'),
        (ALONE, {"batch": "answers"}, "batch is True, for answers and grading, or \"grading\"; it is 'answers'"),
    ],
)
def test_what_cannot_go_in_batches_is_said_before_anybody_is_asked(
    server: BatchServer, which: Any, more: Any, says: str
):
    with pytest.raises(SettingsError, match=says):
        evals.evaluate(TASKS, which, **{**HALF, "batch": True, **more})

    assert server.requests == []


def test_an_estimate_refuses_what_cannot_go_in_batches_too(server: BatchServer):
    which = {"panel": {**PANEL, "tools": "web"}}

    graded = evals.estimate(TASKS, which, grader="grader@half", batch="grading")

    assert [part.batched for part in graded.parts] == [False, True]
    with pytest.raises(SettingsError, match="'panel' can't answer in batches"):
        evals.estimate(TASKS, which, grader="grader@half", batch=True)
