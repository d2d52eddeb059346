"""`evaluate`: systems asked, answers graded, nothing paid twice, and no number where there is no score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from batch.asking import InterruptsAt
from evals.weather import TASKS, evaluated, reply, rows, systems
from fusion_magic import evals, load, scripted
from fusion_magic.batch import BatchInterrupted, show_with
from fusion_magic.errors import FusionError, SettingsError
from fusion_magic.evals.datasets import Dataset
from pipeline.asking import at, chats
from servers.openrouter import Fault, Reply, Request, Server, analysis_json


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", reply)
        yield running


# --- from end to end --------------------------------------------------------------------------------


def test_a_model_alone_and_a_panel_are_asked_and_graded(server: Server):
    found = evaluated(server, passes=2)

    by = rows(found)
    assert [(row["config"], row["task"], row["score"], row["status"]) for row in by.values()] == [
        ("alone", "noon", pytest.approx(100 * 5 / 15), "ok"),
        ("alone", "night", 100.0, "ok"),
        ("alone", "sum", 100.0, "ok"),
        ("panel", "noon", pytest.approx(100 * 5 / 15), "ok"),
        ("panel", "night", 100.0, "ok"),
        ("panel", "sum", 100.0, "ok"),
    ]
    noon = by["alone", "noon"]
    assert (noon["cost"], noon["grading_cost"]) == (pytest.approx(0.01), pytest.approx(3 * 2 * 0.01))
    assert (noon["passes"], noon["coverage"], noon["protocol"], noon["flip_rate"]) == (2, 1.0, "official", 0.0)
    assert noon["negative_penalty"] == pytest.approx(100 * 5 / 15)
    assert (by["alone", "sum"]["protocol"], by["alone", "sum"]["grading_cost"]) == ("numeric", 0.0)
    assert by["panel", "noon"]["cost"] == pytest.approx(0.04)
    assert load(noon["run"]).answer == "It is warm and cold."
    assert len(found.verdicts) == 2 * 2 * 3 * 2  # systems, tasks, criteria, passes
    assert len(chats(server, "judge")) == 3  # the model alone is not judged


# --- nothing is paid twice --------------------------------------------------------------------------


def test_the_same_call_again_asks_nobody_and_scores_the_same(server: Server):
    first = evaluated(server, passes=2)
    asked = len(chats(server))

    again = evaluated(server, passes=2)

    assert len(chats(server)) == asked
    assert again.frame.equals(first.frame)
    assert again.verdicts.equals(first.verdicts)


def test_what_was_stopped_is_finished_by_the_same_call_and_what_had_ended_is_not_asked_again(server: Server):
    alone = {"alone": at(server, "a")[0]}
    watching = InterruptsAt(2, 3)
    show_with(lambda: watching)

    def stopped_while(model: str, words: str) -> None:
        """Interrupted when all rows have ended but those of this model with these words, which hang."""

        def hangs(request: Request) -> Reply:
            is_it = request.model == model and words in str(request.body["messages"])
            return replace(reply(request), first_token=60.0 if is_it else 0.0)

        server.reply("*", hangs)
        with pytest.raises(BatchInterrupted, match="run the same call again to finish"):
            evaluated(server, alone, passes=2, progress=True)

    try:
        stopped_while("a", "2 + 2")
        stopped_while("grader", "How is night?")
        server.wait_closed()
        asked = len(chats(server))
        server.reply("*", reply)
        found = evaluated(server, alone, passes=2, progress=True)
    finally:
        show_with(None)

    assert set(found.frame["status"]) == {"ok"}
    assert len(chats(server, "a")) in (3, 3 + 1)  # the sum's was stopped once, if it had been sent
    assert [request.model for request in chats(server)[asked:]] == ["grader"] * 3 * 2  # those of the night


def test_more_passes_and_another_system_ask_only_for_what_is_new(server: Server):
    alone = {"alone": at(server, "a")[0]}
    evaluated(server, alone, tasks=["noon"], passes=1)
    asked = len(chats(server))

    more = evaluated(server, {**alone, "other": at(server, "b")[0]}, tasks=["noon"], passes=3)

    # The other system writes the same words, so its grading is the same too.
    assert len(chats(server)) == asked + 1 + 3 * 2
    assert len(more.verdicts) == 2 * 3 * 3


def test_more_tasks_do_not_carry_out_again_what_was_answered(server: Server):
    alone = {"alone": at(server, "a")[0]}
    first = evaluated(server, alone, tasks=["noon"])

    more = evaluated(server, alone)

    assert rows(more)["alone", "noon"]["run"] == rows(first)["alone", "noon"]["run"]


def test_a_grading_that_failed_is_no_score_and_is_finished_by_the_same_call(server: Server):
    server.reply("grader", lambda request: Fault(400) if "is cold" in str(request.body) else reply(request))
    alone = {"alone": at(server, "a")[0]}

    first = evaluated(server, alone, tasks=["noon"])
    server.reply("grader", reply)
    before = len(chats(server))
    second = evaluated(server, alone, tasks=["noon"])

    row = rows(first)["alone", "noon"]
    assert (row["status"], row["coverage"]) == ("ungraded", pytest.approx(2 / 3))
    assert row["score"] != row["score"]  # NaN
    assert row["error"].startswith("Only 67% of the verdicts exist; run the same call again. grader@")
    assert len(chats(server)) == before + 1
    assert rows(second)["alone", "noon"]["status"] == "ok"


def test_one_failed_pass_of_several_is_asked_again_alone(server: Server):
    turns = iter([False, True])
    server.reply("grader", lambda request: Fault(400) if next(turns, False) else reply(request))
    alone = {"alone": at(server, "a")[0]}

    first = evaluated(server, alone, tasks=["noon"], passes=2, concurrency=1)
    before = len(chats(server))
    second = evaluated(server, alone, tasks=["noon"], passes=2, concurrency=1)

    assert rows(first)["alone", "noon"]["passes"] == 1
    assert len(chats(server)) == before + 1
    assert rows(second)["alone", "noon"]["passes"] == 2


# --- what is no score -------------------------------------------------------------------------------


def test_a_task_without_an_answer_is_a_row_without_a_number(server: Server):
    server.reply("a", lambda request: Fault(400) if "noon" in str(request.body) else reply(request))

    found = evaluated(server, {"alone": at(server, "a")[0]})

    row = rows(found)["alone", "noon"]
    assert row["status"] == "failed"
    assert row["score"] != row["score"]
    assert "No panelist answered" in row["error"]
    assert rows(found)["alone", "night"]["score"] == 100.0


def test_without_a_grader_a_rubric_is_ungraded_and_a_target_is_scored(server: Server):
    found = evaluated(server, {"alone": at(server, "a")[0]}, grader=None)

    assert [rows(found)["alone", task]["status"] for task in ("noon", "night", "sum")] == ["ungraded", "ungraded", "ok"]
    assert "no grader was given" in rows(found)["alone", "noon"]["error"]


def test_seats_that_failed_are_told_beside_the_score(server: Server):
    server.reply("b", Fault(400))

    found = evaluated(server, {"panel": systems(server)["panel"]}, tasks=["noon"])

    row = rows(found)["panel", "noon"]
    assert row["status"] == "ok"
    assert row["error"].startswith("Of its seats failed B: ")


# --- money ------------------------------------------------------------------------------------------


def test_money_covers_answers_and_grading_and_what_it_leaves_out_is_finished_later(server: Server):
    alone = {"alone": at(server, "a")[0]}

    poor = evaluated(server, alone, max_usd=0.06, allow_unpriced=True, concurrency=1)
    spent = len(chats(server))
    rich = evaluated(server, alone, max_usd=5, allow_unpriced=True)

    assert spent * 0.01 <= 0.06 + 1e-9
    assert "ungraded" in {row["status"] for row in rows(poor).values()}
    assert {row["status"] for row in rows(rich).values()} == {"ok"}
    assert len(chats(server)) == 3 + 6  # each answer and each verdict once


def test_an_estimate_counts_calls_and_asks_nobody():
    with scripted({"*": "?"}) as script:
        found = evals.estimate(TASKS, {"alone": "x/y", "panel": {"models": ["a", "b"]}}, grader="g/grader", passes=5)

    assert script.requests == []
    assert [(part.config, part.what, part.runs, part.calls) for part in found.parts] == [
        ("alone", "answers", 3, 3),
        ("alone", "grading", 6, 30),
        ("panel", "answers", 3, 12),
        ("panel", "grading", 6, 30),
    ]
    assert "30 calls, cost not known" in str(found)
    assert list(found.frame["calls"]) == [3, 30, 12, 30]


# --- said before anything is paid -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "more", "says"),
    [
        ({}, {}, "no system to evaluate"),
        ({"x": 3}, {}, "The system 'x' is no model name"),
        ({"x": {"model": "a", "judge": "b"}}, {}, "leave judge out"),
        ({"x": {"model": "a", "max_usd": 2}}, {}, "can't set max_usd"),
        ({"x": {"model": "a", "efort": "low"}}, {}, "efort"),
        ({"x": {"panel": "no such panel"}}, {}, "no such panel"),
        ({"x": "a"}, {"protocol": "whole"}, 'no protocol "whole"'),
        ({"x": "a"}, {"passes": 9}, "1 to 8"),
        ({"x": "a"}, {"grader": "g@nowhere"}, "nowhere"),
        ({"x": "a"}, {"tasks": ["morning"]}, "no task"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_anybody_is_asked(which: Any, more: Any, says: str):
    with scripted({"*": "It is warm."}) as script, pytest.raises(FusionError, match=says):
        evals.evaluate(TASKS, which, **{"grader": "g/grader", "progress": False, **more})

    assert script.requests == []


def test_a_limit_that_cannot_be_kept_for_want_of_a_price_is_said_before_the_answers_are_paid():
    with (
        scripted({"*": "Answer: 4"}) as played,
        pytest.raises(SettingsError, match="g/grader has no known price, so max_usd can't be kept"),
    ):
        evals.evaluate(TASKS, {"x": "smollm2@local"}, grader="g/grader", max_usd=3, progress=False)

    assert played.requests == []


@pytest.mark.parametrize("ask", [evals.evaluate, evals.estimate])
def test_a_system_that_the_screen_cannot_be_held_before_is_refused_before_the_others_are_paid(ask: Any):
    which = {"good": "a/b", "hosted": {"models": ["a/b", "c/d"], "engine": "openrouter"}}

    with (
        scripted({"*": "It is warm."}) as played,
        pytest.raises(SettingsError, match=r"'hosted' .*screen against leaked"),
    ):
        ask(TASKS, which, grader="g/grader")

    assert played.requests == []


def test_a_dataset_without_tasks_is_an_error():
    with pytest.raises(SettingsError, match="has no tasks"):
        evals.estimate(Dataset("empty", ()), {"x": "a"})


def test_a_judge_for_all_is_nothing_to_a_model_asked_alone():
    script: Any = {"j/*": analysis_json("AB"), "w/*": "Answer: 4", "*": "Answer: 5"}

    with scripted(script) as played:
        found = evals.evaluate(
            TASKS,
            {"alone": "a/b", "panel": {"models": ["a/b", "c/d"]}},
            tasks=["sum"],
            judge="j/j",
            synthesizer="w/w",
            progress=False,
        )

    assert [row["score"] for row in rows(found).values()] == [0.0, 100.0]
    assert sum(request.name == "j/j" for request in played.requests) == 1


def test_every_seat_of_a_strategy_is_told_apart_from_a_model_alone():
    script: Any = {"judge": analysis_json("AB"), "synthesis": "Answer: 4", "*": "Answer: 5"}

    with scripted(script):
        found = evals.evaluate(
            TASKS,
            {"alone": "a/b", "self": {"models": "a/b", "strategy": "self", "samples": 2}},
            tasks=["sum"],
            progress=False,
        )

    assert [row["score"] for row in rows(found).values()] == [0.0, 100.0]
