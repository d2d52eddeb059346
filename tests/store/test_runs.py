"""The journal of a run tells what happened, wherever it was cut off; history and threads list what has ended."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Notice,
    RunEnded,
    RunStarted,
    SeatAnswered,
    SeatFailed,
    Told,
    ToolEnded,
    ToolStarted,
    Warned,
    fold,
)
from fusion_magic.results import Analysis, FailedModel, FusionResult, Response, Source, ToolUse
from fusion_magic.store import Store
from fusion_magic.store.bodies import events_body, events_from, packed, unpacked
from fusion_magic.votes import Ballot, Change, Decision, Vote
from store.keeping import HERE, NOW, alter, call, keep_run, kept, one_seat, started

HOSTILE = "NUL \x00, half a pair \ud800, '\"; DROP TABLE runs; --\n\u202e"
WHOLE: list[Event] = [
    started(),
    Warned(HOSTILE),
    Notice("Downloading."),
    CallStarted("panel", "A", "vendor/a"),
    Delta("panel", "A", "An answ"),
    CallRetried("panel", "A", "vendor/a", "It broke.", 0.5),
    CallStarted("panel", "A", "vendor/a", 2, 1.0),
    Delta("panel", "A", "An"),
    CallEnded(call(cost=None)),
    ToolStarted("panel", "A", 1, 1, "web_search", '{"query": "x"}'),
    ToolEnded(ToolUse(stage="panel", label="A", tool="web_search", output=HOSTILE)),
    SeatAnswered(Response(label="A", model="vendor/a", content=HOSTILE, sources=(Source(url="https://a.org"),))),
    SeatFailed(FailedModel(label="B", model="vendor/b", error="Gone.", status_code=404)),
    AnalysisReady(Analysis(consensus=("All agree.",))),
    Told(Vote(label="A", choice="17")),
    Told(Ballot(label="A", ranking=("B", "C"))),
    Told(Change(label="A", round=2, changed=None)),
    Told(Decision(asked=True, reason="They disagree.", agreement=0.1, threshold=0.6)),
    CallStarted("synthesis", "", "vendor/j"),
    Delta("synthesis", "", "The ans"),
    AnswerReady("The answer."),
    RunEnded("ok", 3.5),
]


def journal(store: Store, events: list[Event]) -> None:
    for event in events:
        if isinstance(event, RunStarted):
            store.begin(event, HERE, None)
        store.note("run1", event)
    store.settled().result(30)


def test_every_kind_of_event_comes_back_as_it_was():
    assert {type(event) for event in WHOLE} == set(get_args(Event))
    assert events_from(events_body(WHOLE)) == WHOLE


def test_an_answer_that_was_parsed_into_any_object_is_kept_as_text():
    assert events_from(events_body([AnswerReady("text", parsed=object())])) == [AnswerReady("text")]


@pytest.mark.parametrize("cut", range(1, len(WHOLE) + 1))
def test_a_run_that_was_cut_off_is_the_fold_of_its_journal(store: Store, cut: int):
    journal(store, WHOLE[:cut])

    assert store.load("run1") == fold(event for event in WHOLE[:cut] if not isinstance(event, Delta | Notice))


def test_text_in_flight_is_in_what_was_cut_off(store: Store):
    events: list[Event] = [started(), CallStarted("panel", "A", "vendor/a")]
    journal(store, events)
    store.draft("run1", {("panel", "A"): "half", ("synthesis", ""): "old"})
    store.draft("run1", {("panel", "A"): "half an answer"}).result(30)

    result = store.load("run1")

    assert result == fold([*events, Delta("panel", "A", "half an answer")])
    assert result.failed_models[0].content == "half an answer"


def test_an_older_draft_is_nothing_once_the_seat_has_answered(store: Store):
    journal(store, one_seat(started()))
    store.draft("run1", {("panel", "A"): "half"}).result(30)

    assert store.load("run1").responses[0].content == "An answer."
    assert store.load("run1").failed_models == ()


def test_the_record_of_a_run_that_ended_comes_back_as_it_was(store: Store):
    result = fold(WHOLE).model_copy(update={"settings": {"system": HOSTILE}})
    journal(store, WHOLE)
    store.draft("run1", {("panel", "A"): "half"})
    store.end(result, HERE).result(30)

    assert store.load("run1") == result
    assert store.history()[0].status == "ok"


def test_a_run_whose_beginning_was_not_kept_is_kept_at_its_end(store: Store):
    result = fold([started(), RunEnded("cancelled", 1.0)])
    store.end(result, HERE).result(30)

    assert store.load("run1") == result


def test_a_journal_of_an_earlier_version_is_read():
    events = [event for event in WHOLE if not isinstance(event, AnswerReady)]
    one_by_one = [packed(unpacked(events_body([event]))[0]) for event in events]

    assert [event for body in one_by_one for event in events_from(body)] == events


def test_an_event_of_a_later_version_is_passed_over():
    assert events_from(packed([["Celebrated", {"with": "cake"}]])) == []


def test_a_run_is_found_by_a_beginning_that_no_other_has(store: Store):
    for run in ("abc1", "abc2", "abd"):
        keep_run(store, run)

    assert store.load("abd").id == "abd"
    assert store.load("abc2").id == "abc2"
    with pytest.raises(SettingsError, match="beginning of more than one run: abc1, abc2; write more"):
        store.load("abc")


def test_an_id_that_another_one_begins_with_is_itself(store: Store):
    keep_run(store, "abc")
    keep_run(store, "abcd")

    assert store.load("abc").id == "abc"


@pytest.mark.parametrize("run", ["3f9a0c2b1d4f", "", "%", "3f9a\x00"])
def test_an_unknown_run_names_the_nearest(store: Store, run: str):
    keep_run(store, "3f9a0c2b1d4e")

    with pytest.raises(SettingsError, match="The store has no run"):
        store.load(run)
    with pytest.raises(SettingsError, match='did you mean "3f9a0c2b1d4e"'):
        store.load("3f9a0c2b1d4f")


def test_an_empty_store_says_that_nothing_has_been_kept(store: Store):
    with pytest.raises(SettingsError, match="nothing has been kept yet"):
        store.load("abc")
    assert store.history() == []
    assert not store.path.exists()


def test_a_damaged_record_is_one_sentence(store: Store):
    keep_run(store, "abc")
    alter(store, "UPDATE records SET body = substr(body, 1, 50)")

    with pytest.raises(SettingsError, match=r"Run abc can't be read: it is damaged, or of a later fusion_magic\."):
        store.load("abc")


# --- history ----------------------------------------------------------------------------------------


def test_history_lists_the_newest_first_with_what_each_cost_and_saved(store: Store):
    keep_run(store, "old", "\n  First line.  \nSecond.")
    calls = (call(cost=0.02), call(reused=True, cost=0.0, saved=0.25), call(reused=True, cost=0.0, saved=None))
    keep_run(store, "new", "Again?", minutes=1, calls=calls, status="limited", thread="talk")

    new, old = store.history()

    assert (old.id, old.created, old.prompt, old.thread) == ("old", NOW, "First line.", None)
    assert (new.id, new.status, new.panel, new.notebook) == ("new", "limited", "budget", "work/report.ipynb")
    assert (new.cost, new.cost_is_partial, new.saved, new.thread) == (0.02, False, 0.25, "talk")


def test_a_run_without_an_end_is_unfinished_and_costs_at_least_what_its_calls_did(store: Store):
    store.begin(started(), HERE, "talk")
    store.keep(kept(cost=0.5), HERE, reusable=True)
    store.keep(kept(cost=0.25), HERE, reusable=False)
    store.keep(kept(cost=9.0, run="other"), HERE, reusable=False).result(30)

    (line,) = store.history()

    assert (line.status, line.cost, line.cost_is_partial, line.thread) == ("unfinished", 0.75, True, "talk")


@pytest.mark.parametrize("word", ["straSSe", "REPORT", "budget", "zweite", "talk", "abc"])
def test_history_finds_a_word_in_prompt_panel_notebook_thread_and_id(store: Store, word: str):
    keep_run(store, "abc", "Die Straße.\nZweite Zeile \x00 danach.", thread="talk")

    assert [line.id for line in store.history(word)] == ["abc"]
    assert store.history(word + " not there") == []


@pytest.mark.parametrize("word", ["%", "_", "'", "\ud800"])
def test_a_word_in_the_history_is_no_pattern(store: Store, word: str):
    keep_run(store, "abc", "Why?")

    assert store.history(word) == []


def test_history_ends_at_its_limit(store: Store):
    for number in range(5):
        keep_run(store, f"run{number}", minutes=number)

    assert [line.id for line in store.history(limit=2)] == ["run4", "run3"]


def test_a_panel_without_a_name_is_its_models(store: Store):
    settings = {"panel": {"name": "", "models": [{"model": "a/b"}, {"model": "c@ollama"}]}}
    store.begin(started(settings=settings), HERE, None).result(30)

    assert store.history()[0].panel == "a/b, c@ollama"


# --- threads ----------------------------------------------------------------------------------------


def test_the_turns_of_a_thread_are_in_order(store: Store):
    keep_run(store, "two", "Second?", "Two.", minutes=2, thread="talk")
    keep_run(store, "one", "First?", "One.", minutes=1, thread="talk")
    keep_run(store, "other", "Elsewhere?", minutes=1, thread="other")

    assert store.turns("talk") == [("one", "First?", "One."), ("two", "Second?", "Two.")]


def test_a_turn_that_was_asked_again_stands_in_its_old_place(store: Store):
    for minutes, run, prompt, answer in ((0, "a", "First?", "1"), (1, "b", "Second?", "2"), (2, "c", "First?", "3")):
        keep_run(store, run, prompt, answer, minutes=minutes, thread="talk")

    assert store.turns("talk") == [("c", "First?", "3"), ("b", "Second?", "2")]


def test_a_turn_without_an_answer_is_none(store: Store):
    keep_run(store, "a", "First?", None, thread="talk")
    store.begin(started("b", "Second?", created=NOW + timedelta(minutes=1)), HERE, "talk").result(30)

    assert store.turns("talk") == []
    assert store.turns("\ud800") == []


def test_of_a_long_prompt_the_history_has_the_beginning_and_the_record_all(store: Store):
    result: FusionResult = keep_run(store, "a", "x" * 100_000)

    assert len(store.history()[0].prompt) <= 200
    assert store.load("a") == result
