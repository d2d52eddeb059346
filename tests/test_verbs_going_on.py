"""Going on from a result: what is missing is asked, and what only the earlier run had is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Semaphore
from typing import Any

import pytest

from again import New, answering, judging, rebuilt
from fusion_magic import FusionResult, fuse, load, verbs
from fusion_magic.api import Running, request_for
from fusion_magic.errors import SettingsError
from fusion_magic.events import CallStarted, SeatAnswered
from fusion_magic.store import open_store
from pipeline.asking import at, chats, panel, sent
from servers.openrouter import Fault, Reply, Server

NO_STORE: Any = {"store": False}


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as running:
        yield running


# --- retry_failed


def test_seats_that_failed_are_asked_again_and_no_other(server: Server):
    server.reply("b", [Fault(401), Reply("At last.")])
    first = fuse("Why?", **panel(server, "a", "b", "c"), quorum=2)
    new = New(server)

    again = first.retry_failed()

    assert new.models == ["b", "judge", "writer"]
    assert [seat.content for seat in again.responses] == ["Answer of a.", "At last.", "Answer of c."]
    assert again.failed_models == ()


def test_where_no_seat_failed_there_is_nothing_to_retry(server: Server):
    with pytest.raises(SettingsError, match="No seat failed"):
        fuse("Why?", **panel(server)).retry_failed()


# --- resume


def interrupted(server: Server, waiting: str, **settings: Any) -> FusionResult:
    """A run of three seats that was stopped when everybody before this model had answered."""
    asking, answers = Event(), Semaphore(0)
    server.reply(waiting, Reply(first_token=60))

    def listen(event: object) -> None:
        match event:
            case SeatAnswered():
                answers.release()
            case CallStarted() if event.model.startswith(f"{waiting}@"):
                asking.set()
            case _:
                pass

    running = Running(request_for("Why?", **panel(server, "a", "b", "c"), **settings), listen)
    assert asking.wait(10)
    assert all(answers.acquire(timeout=10) for seat in "abc" if seat != waiting)
    server.wait_open()
    result = running.stop()
    assert result
    server.reply(waiting, judging if waiting == "judge" else Reply(f"Late answer of {waiting}."))
    return result


@pytest.mark.parametrize("store", [True, False])
def test_a_run_stopped_in_the_panel_asks_the_seats_that_had_not_ended(server: Server, store: bool):
    stopped = rebuilt(interrupted(server, "b", store=store))
    new = New(server)

    done = stopped.resume()

    assert new.models == ["b", "judge", "writer"]
    assert (done.status, done.parent) == ("ok", stopped.id)
    assert [seat.content for seat in done.responses] == ["Answer of a.", "Late answer of b.", "Answer of c."]


@pytest.mark.parametrize("store", [True, False])
def test_a_run_stopped_at_the_judge_asks_no_seat(server: Server, store: bool):
    stopped = interrupted(server, "judge", store=store)
    new = New(server)

    done = stopped.resume()

    assert new.models == ["judge", "writer"]
    assert done.status == "ok"


def test_a_failed_synthesizer_is_resumed_with_the_analysis_there_is(server: Server):
    server.reply("writer", Fault(401))
    first = fuse("Why?", **panel(server), **NO_STORE)
    server.reply("writer", Reply("At last."))
    new = New(server)

    done = first.resume()

    assert (first.status, done.answer, new.models) == ("error", "At last.", ["writer"])


def test_a_seat_that_failed_is_not_asked_by_resume(server: Server):
    server.reply("a", Fault(401))
    server.reply("writer", [Fault(401), Reply("At last.")])
    first = fuse("Why?", **panel(server), **NO_STORE)
    new = New(server)

    first.resume()

    assert new.models == ["writer"]


def test_a_finished_run_is_not_resumed(server: Server):
    first = fuse("Why?", **panel(server))

    with pytest.raises(SettingsError, match=f"Run {first.id} is finished; rejudge"):
        first.resume()


def test_a_run_is_found_in_the_store_by_the_beginning_of_its_id(server: Server):
    first = fuse("Why?", **panel(server))

    assert load(first.id[:6]) == first


# --- ask


def test_one_panelist_goes_on_from_its_own_answer_and_nobody_judges_it(server: Server):
    first = fuse("Why?", **panel(server), system="Be kind.")
    server.reply("b", Reply("Because of b."))
    new = New(server)

    more = first.ask("b", "How so?")

    assert new.models == ["b"]
    assert chats(server, "b")[-1].body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Answer of b."},
        {"role": "user", "content": "How so?"},
    ]
    assert (more.prompt, more.answer, more.parent, more.analysis) == ("How so?", "Because of b.", first.id, None)
    assert [seat.content for seat in more.responses] == ["Because of b."]


def test_a_panelist_that_has_not_answered_is_not_asked_further(server: Server):
    server.reply("b", Fault(401))

    with pytest.raises(SettingsError, match="Seat B has not answered"):
        fuse("Why?", **panel(server)).ask("B", "How so?")


# --- what a result does not hold


def look() -> str:
    """Look."""
    return "Seen."


def test_a_tool_of_the_notebook_has_to_be_given_again_where_a_seat_is_asked(server: Server):
    first = rebuilt(fuse("Why?", **panel(server), tools=[look]))
    new = New(server)

    with pytest.raises(SettingsError, match=r"The run had look in `tools`.*give it again, tools=….*tools=\(\)"):
        first.add(at(server, "x")[0])

    assert new.models == []
    assert first.add(at(server, "x")[0], tools=[look]).settings["tools"] == ["look"]
    assert first.add(at(server, "x")[0], tools=()).settings["tools"] == []
    assert verbs.add(first, "x", {"look": look}).material.functions.keys() == {"look"}


def test_what_only_seats_need_is_not_asked_for_by_a_new_judge(server: Server):
    first = rebuilt(fuse("Why?", **panel(server), tools=[look]))

    again = first.rejudge(rubric="Brevity.")

    assert again.settings["tools"] == ["look"]


@pytest.mark.parametrize("model", ["openai/gpt-5.5", "vanished/model", "llama3.2@lab"])
def test_seats_that_are_not_asked_need_neither_key_nor_model_nor_endpoint(server: Server, model: str):
    told = fuse("Why?", **panel(server), store=False).model_dump(mode="json")
    told["settings"]["panel"]["models"][0]["model"] = model
    elsewhere = FusionResult.model_validate(told)
    new = New(server)

    elsewhere.rejudge(rubric="Brevity.")

    assert new.models == ["judge", "writer"]


def test_a_judge_is_told_that_the_attachments_are_gone(server: Server, tmp_path: Any):
    (tmp_path / "notes.txt").write_text("Rain.")
    first = fuse("Why?", **panel(server), attach=[str(tmp_path / "notes.txt")])

    again = first.rejudge(rubric="Brevity.")

    assert again.warnings == ("Judge and synthesizer were not told of the attachments again.",)
    assert first.rejudge(rubric="Wit.", attach=[str(tmp_path / "notes.txt")]).warnings == (
        "A and B read notes.txt as text.",
    )


# --- threads


def test_a_thread_goes_on_for_panel_judge_and_synthesizer(server: Server):
    server.reply("writer", [Reply("First answer."), Reply("Second answer.")])
    fuse("First?", **panel(server), thread="trip")

    fuse("Second?", **panel(server), thread="trip")

    assert chats(server, "a")[-1].body["messages"] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "First answer."},
        {"role": "user", "content": "Second?"},
    ]
    for model in ("judge", "writer"):
        assert "First answer.\n</earlier answer 1" in sent(server, model)


def test_a_turn_is_judged_again_with_the_turns_before_it_and_not_with_itself(server: Server):
    fuse("First?", **panel(server), thread="trip")
    second = fuse("Second?", **panel(server), thread="trip")
    fuse("Third?", **panel(server), thread="trip")

    second.rejudge(rubric="Brevity.")

    text = sent(server, "judge")
    assert "First?\n</earlier question 1" in text
    assert "earlier question 2" not in text
    assert [asked for _, asked, _ in open_store().turns("trip")] == ["First?", "Second?", "Third?"]
