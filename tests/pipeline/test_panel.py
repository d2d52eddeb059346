"""The panel: seats asked in parallel, a lost one an event, fallbacks, quorum and grace."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from fusion_magic import PanelFailed, Panelist, fuse, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.endpoints import Endpoint
from fusion_magic.events import Delta, Event, RunStarted, SeatAnswered, SeatFailed
from fusion_magic.pipeline.run import run
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from pipeline.asking import at, chats, judged, panel, record
from servers.openrouter import Broken, Fault, Reply, Request, Server, analysis_json


def test_the_seats_are_asked_in_parallel(server: Server):
    def waits_for_the_others(request: Request) -> Reply:
        return Reply("Together.", first_token=0.2)

    server.reply("*", waits_for_the_others)
    server.reply("judge", judged(*"ABCD"))

    fuse("Why?", **panel(server, *"abcd"))

    assert server.most_open_streams == 4


def test_the_judge_waits_for_the_panel(server: Server):
    server.reply("a", Reply(first_token=0.1))

    fuse("Why?", **panel(server))

    order = [request.model for request in chats(server)]
    ended = [request.ended or 0.0 for request in chats(server)]
    assert order[2:] == ["judge", "writer"]
    assert chats(server, "judge")[0].arrived >= max(ended[:2])
    assert chats(server, "writer")[0].arrived >= ended[2]


def test_one_model_may_sit_twice_and_each_seat_keeps_its_own(server: Server):
    server.reply("a", lambda request: Reply(f"With {request.body['temperature']}."))
    twice = [Panelist(model=at(server, "a")[0], temperature=t) for t in (0.1, 0.9)]

    result = fuse("Why?", **panel(server) | {"models": twice})

    assert [(r.label, r.content) for r in result.responses] == [("A", "With 0.1."), ("B", "With 0.9.")]
    assert len({call.request_id for call in result.calls if call.stage == "panel"}) == 2


def test_answers_are_in_seat_order_whoever_came_first(server: Server):
    server.reply("a", Reply("Last.", first_token=0.1))

    told = record(**panel(server))

    assert [event.response.label for event in told.of(SeatAnswered)] == ["B", "A"]
    assert [response.label for response in told.kept.responses] == ["A", "B"]


def test_a_dead_seat_does_not_stop_the_others(server: Server):
    server.reply("a", Fault(401))

    result = fuse("Why?", **panel(server, "a", "b", "c"))

    assert [response.label for response in result.responses] == ["B", "C"]
    lost = result.failed_models[0]
    assert (lost.label, lost.model, lost.status_code) == ("A", at(server, "a")[0], 401)
    assert result.status == "ok"
    assert result.answer == "The fused answer."


def test_a_panel_on_which_all_fail_is_one_error_with_each_reason(server: Server):
    server.reply("a", Fault(401))
    server.reply("b", Fault(402))

    with pytest.raises(PanelFailed) as failed:
        fuse("Why?", **panel(server))

    assert str(failed.value).startswith("No panelist answered. A: ")
    assert " B: " in str(failed.value)
    assert [lost.status_code for lost in failed.value.result.failed_models] == [401, 402]
    assert failed.value.result.status == "error"
    assert chats(server, "judge") == chats(server, "writer") == []


def test_a_fallback_is_asked_when_the_first_choice_fails(server: Server):
    server.reply("a", Fault(404))
    server.reply("spare", Reply("From the spare."))
    seat = Panelist(model=at(server, "a")[0], fallback=at(server, "spare")[0], system="Persona.", temperature=0.3)

    result = fuse("Why?", **panel(server) | {"models": [seat, *at(server, "b")]})

    first = result.responses[0]
    assert (first.label, first.model, first.content) == ("A", at(server, "spare")[0], "From the spare.")
    assert chats(server, "spare")[0].body["temperature"] == 0.3
    assert chats(server, "spare")[0].body["messages"][0]["content"] == "Persona."
    assert any("is asked in its place" in text for text in result.warnings)
    assert result.failed_models == ()


def test_a_fallback_is_left_alone_while_the_first_choice_answers(server: Server):
    seat = Panelist(model=at(server, "a")[0], fallback=at(server, "spare")[0])

    fuse("Why?", **panel(server) | {"models": [seat]})

    assert chats(server, "spare") == []


def test_a_seat_whose_fallback_fails_too_has_both_reasons(server: Server):
    server.reply("a", Broken(Reply("one two three four"), 1, "truncate"))
    server.reply("spare", Fault(402))
    seat = Panelist(model=at(server, "a")[0], fallback=at(server, "spare")[0])

    result = fuse("Why?", **panel(server) | {"models": [seat, *at(server, "b")]}, retries=0)

    lost = result.failed_models[0]
    assert "ended before the answer did" in lost.error
    assert " Its fallback: spare@" in lost.error
    assert (lost.status_code, lost.content) == (402, "one two three")


def test_of_a_seat_and_its_fallback_the_longer_text_is_kept(server: Server):
    server.reply("a", Broken(Reply("one two three four five"), 2, "truncate"))
    server.reply("spare", Broken(Reply("uno due"), 1, "truncate"))
    seat = Panelist(model=at(server, "a")[0], fallback=at(server, "spare")[0])

    result = fuse("Why?", **panel(server) | {"models": [seat, *at(server, "b")]}, retries=0)

    assert result.failed_models[0].content.startswith("one two")


def test_a_quorum_leaves_late_seats_behind_closes_them_and_names_them(server: Server):
    server.reply("slow", Reply("one two three four five", gap=30))

    result = fuse("Why?", **panel(server, "a", "slow", "b"), quorum=2, grace=0.3)

    assert [response.label for response in result.responses] == ["A", "C"]
    lost = result.failed_models[0]
    assert (lost.label, lost.error) == ("B", "Left behind: the quorum of 2 had answered.")
    assert lost.content.startswith("one")
    assert [request.model for request in server.wait_closed()] == ["slow"]
    assert result.status == "ok"


def test_a_seat_left_behind_in_its_second_attempt_keeps_the_longest_text_it_wrote(server: Server):
    server.reply("slow", [Broken(Reply("one two three four"), 1, "truncate"), Reply("Hm. Hm. Hm.", gap=30)])

    told = record(**panel(server, "a", "slow"), quorum=1, grace=2)

    assert told.kept.failed_models[0].content == "one two three"
    assert told.of(SeatFailed)[0].failed.content == "one two three"


class LateUsage:
    """The model "late" has said its last word, and never says what it used; "a" answers after that."""

    def __init__(self) -> None:
        self._said = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        if request.model == "a":
            await self._said.wait()
        yield Chunk(text=analysis_json("AB") if request.model == "judge" else "Whole.", served=request.model)
        yield Chunk(finish="stop")
        if request.model == "late":
            self._said.set()
            await asyncio.Event().wait()

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return ()


def test_a_seat_left_behind_after_its_last_word_has_answered(server: Server):
    asked = request_for("Why?", **panel(server, "a", "late"), quorum=1, grace=0)

    result = asyncio.run(run(asked, emit=lambda event: None, providers=Providers(LateUsage())))

    assert [(response.label, response.content) for response in result.responses] == [("A", "Whole."), ("B", "Whole.")]
    assert (result.failed_models, result.status, result.answer) == ((), "ok", "Whole.")
    assert result.analysis is not None
    assert "B" in result.analysis.model_dump_json()


def test_without_a_quorum_nobody_is_left_behind(server: Server):
    server.reply("slow", Reply("Here.", first_token=0.3))

    result = fuse("Why?", **panel(server, "a", "slow"), grace=0)

    assert [response.label for response in result.responses] == ["A", "B"]


def test_a_seat_that_answers_within_the_grace_is_kept(server: Server):
    server.reply("slow", Reply("Just in time.", first_token=0.2))

    result = fuse("Why?", **panel(server, "a", "slow"), quorum=1, grace=20)

    assert [response.label for response in result.responses] == ["A", "B"]


def test_a_quorum_that_can_t_be_reached_ends_with_the_last_seat(server: Server):
    server.reply("a", Fault(401))

    result = fuse("Why?", **panel(server, "a", "b"), quorum=2, grace=60)

    assert [response.label for response in result.responses] == ["B"]


def test_what_a_seat_left_behind_may_have_cost_makes_the_total_at_least(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", Reply("one two three four", gap=30))
    models = ["openai/gpt-5.5", "moonshotai/kimi-k2.6"]

    result = fuse("Why?", models=models, judge="anthropic/claude-opus-4.8", quorum=1, grace=0.2)

    assert result.cost_is_partial
    assert next(call for call in result.calls if call.label == "A").error == "Cancelled."


def test_every_seat_ends_in_exactly_one_event(server: Server):
    server.reply("a", Fault(500, retry_after=0))
    server.reply("slow", Reply("one two three four", gap=30))

    told = record(**panel(server, "a", "b", "slow", "c"), quorum=2, grace=0.2)

    ended = [e.response.label for e in told.of(SeatAnswered)] + [e.failed.label for e in told.of(SeatFailed)]
    assert sorted(ended) == ["A", "B", "C", "D"]


def test_an_answer_loses_the_space_around_it():
    script: Any = {"*": "\n  Text. \n"}
    with scripted(script):
        result = fuse("Why?", models=["a"], judge="j")

    assert (result.responses[0].content, result.answer) == ("Text.", "Text.")


def test_a_seat_that_is_skipped_closes_its_connection_and_the_others_go_on(server: Server):
    server.reply("a", Reply("The beginning of a long answer", gap=600.0))

    result = skipping(server, "A", when=Delta).wait()

    assert result.answer == "The fused answer."
    assert [response.label for response in result.responses] == ["B"]
    (lost,) = result.failed_models
    assert (lost.label, lost.error, lost.skipped) == ("A", "Skipped.", True)
    assert lost.content
    assert "The beginning of a long answer".startswith(lost.content)
    assert next(call for call in result.calls if call.label == "A").finish_reason is None
    assert [request.model for request in server.wait_closed()] == ["a"]


def test_a_seat_skipped_before_it_begins_is_never_asked(server: Server):
    result = skipping(server, "B", when=RunStarted).wait()

    assert [lost.label for lost in result.failed_models if lost.skipped] == ["B"]
    assert chats(server, "b") == []


def test_skipping_a_seat_that_has_answered_keeps_its_answer(server: Server):
    server.reply("b", Reply("Later.", first_token=0.1))

    result = skipping(server, "A", when=SeatAnswered).wait()

    assert [response.label for response in result.responses] == ["A", "B"]
    assert not result.failed_models


def test_skipping_every_seat_stops_the_run_and_is_no_error(server: Server):
    server.reply("*", Reply("Never whole", gap=600.0))

    result = skipping(server, "A", "B", when=Delta).wait()

    assert (result.status, result.error) == ("cancelled", "Every seat was skipped.")
    assert [lost.skipped for lost in result.failed_models] == [True, True]
    assert chats(server, "judge") == []


def skipping(server: Server, *labels: str, when: type[Event]) -> Running:
    """A run whose reader skips seats as soon as an event of that kind is about one of them, or about none."""
    is_there = threading.Event()

    def listen(event: Event) -> None:
        is_there.wait()  # until `running` has its name
        about = getattr(event, "label", None) or getattr(getattr(event, "response", None), "label", None)
        if isinstance(event, when):
            for label in labels:
                if about in (label, None):
                    running.skip(label)

    running = Running(request_for("Why?", **panel(server)), listen)
    is_there.set()
    return running
