"""Strategies under a limit, stopped, and gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import FusionResult, estimate, fuse
from fusion_magic.errors import FusionInterrupted, SettingsError
from pipeline.asking import chats, record
from servers.openrouter import Fault, Reply, Request, Server, analysis_json

MODELS: Any = {
    "models": ["openai/gpt-5.5", "google/gemini-3-flash-preview", "moonshotai/kimi-k2.6"],
    "judge": "anthropic/claude-opus-4.8",
    "synthesizer": "anthropic/claude-opus-4.8",
}


@pytest.fixture
def answering(openrouter: Server) -> Server:
    """OpenRouter's place, with a judge whose JSON fits three seats and answers of some length."""
    openrouter.reply("*", lambda request: Reply(f"Words of {request.model}.\n" * 20 + "Answer: 7"))
    openrouter.reply(MODELS["judge"], judge_or_writer)
    return openrouter


def judge_or_writer(request: Request) -> Reply:
    return Reply(analysis_json("ABC") if "response_format" in request.body else "The fused answer.")


@pytest.mark.parametrize("strategy", ["moa", "debate", "rank", "scout", "guide", "auto", "vote"])
def test_a_run_never_costs_more_than_its_limit_and_says_where_it_stopped(answering: Server, strategy: str):
    expected = estimate("Why?", **MODELS, strategy=strategy).cost.expected

    told = record("Why?", **MODELS, strategy=strategy, max_usd=expected * 1.05, max_tokens=2_000)

    assert told.result is not None
    assert (told.result.cost or 0.0) <= expected * 1.05
    assert told.result.status in ("ok", "limited")


def test_a_limit_below_what_all_rounds_are_expected_to_cost_is_refused_before_the_first_call(answering: Server):
    expected = estimate("Why?", **MODELS, strategy="moa", rounds=4).cost.expected

    with pytest.raises(SettingsError, match="expected to cost"):
        fuse("Why?", **MODELS, strategy="moa", rounds=4, max_usd=expected / 2)

    assert chats(answering) == []


def test_long_answers_in_the_first_round_leave_the_writer_what_it_needs(answering: Server):
    answering.reply("*", Reply("word " * 4_000))
    expected = estimate("Why?", **MODELS, strategy="moa").cost.expected

    told = record("Why?", **MODELS, strategy="moa", max_usd=expected * 1.1)

    assert told.result is not None
    assert (told.result.cost or 0.0) <= expected * 1.1


def test_a_run_that_failed_at_its_end_goes_on_from_the_store_and_asks_only_the_writer(answering: Server):
    answering.reply(MODELS["judge"], Fault(401))
    first = fuse("Why?", **MODELS, strategy="moa")
    assert first.status == "error"
    answering.reply(MODELS["judge"], judge_or_writer)
    before = len(chats(answering))

    again = FusionResult.model_validate_json(first.model_dump_json()).resume()

    assert [request.model for request in chats(answering)[before:]] == [MODELS["judge"]]
    assert (again.status, again.parent) == ("ok", first.id)
    assert [seat.round for seat in again.responses] == [2, 2, 2]
    assert [seat.content for seat in again.earlier] == [seat.content for seat in first.earlier]


def test_a_run_that_was_interrupted_in_its_second_round_goes_on_there(answering: Server):
    import signal
    import threading

    waiting = threading.Event()

    def slow(request: Request) -> Reply:
        if "<A " not in str(request.body["messages"]):
            return Reply("First words.")
        waiting.set()
        return Reply("Later words.", first_token=30.0)

    answering.reply("moonshotai/kimi-k2.6", slow)

    def interrupt() -> None:
        waiting.wait(20)
        answering.wait_open()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(FusionInterrupted) as stopped:
        fuse("Why?", **MODELS, strategy="debate")
    first = stopped.value.result
    assert first is not None
    assert {seat.label: seat.round for seat in first.responses}["C"] == 1
    answering.reply("moonshotai/kimi-k2.6", Reply("Later words."))
    before = len(chats(answering))

    again = first.resume()

    assert again.status == "ok"
    asked = [request.model for request in chats(answering)[before:]]
    assert "moonshotai/kimi-k2.6" in asked
    assert [call.label for call in again.calls if call.stage == "panel" and call.round == 1 and not call.reused] == []


def test_a_finished_run_is_not_resumed(answering: Server):
    result = fuse("Why?", **MODELS, strategy="rank")

    with pytest.raises(SettingsError, match="is finished"):
        result.resume()


def test_a_verb_judges_the_last_round_as_fusion_does(answering: Server):
    result = fuse("Why?", **MODELS, strategy="moa", rounds=3)
    before = len(chats(answering))

    again = result.rejudge(rubric="Brevity.")

    assert len(chats(answering)) - before == 2
    assert again.settings["strategy"] == "fusion"
    assert again.settings["rounds"] == 2
    assert again.analysis is not None
    assert [seat.content for seat in again.responses] == [seat.content for seat in result.responses]
    assert again.warnings == result.warnings
