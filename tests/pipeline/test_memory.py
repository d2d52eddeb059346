"""What was paid once is not paid again: finished calls are found in the store, unless they may not be reused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fusion_magic import fuse
from fusion_magic.api import providers
from fusion_magic.endpoints import Endpoint
from fusion_magic.errors import PanelFailed, SettingsError
from fusion_magic.events import CallEnded, CallStarted, Delta, SeatAnswered
from fusion_magic.pipeline.memory import content_key, longest_age
from fusion_magic.providers import ChatRequest
from fusion_magic.settings import Settings
from fusion_magic.store import open_store
from pipeline.asking import at, chats, judged, panel, record
from servers.openrouter import Broken, Fault, Reply, Server, refuses

REQUEST = ChatRequest(
    Endpoint(name="openrouter", base_url="https://x.example/v1"), "a/b", ({"role": "user", "content": "Hi"},), 100
)
TOOL = {"type": "function", "function": {"name": "look"}}
OTHERS: dict[str, Any] = {
    "endpoint": Endpoint(name="other", base_url="https://y.example/v1"),
    "model": "a/c",
    "messages": ({"role": "user", "content": "Ho"},),
    "max_tokens": 101,
    "temperature": 0.0,
    "effort": "low",
    "seed": 1,
    "response_format": {"type": "json_object"},
    "private": True,
    "tools": (TOOL,),
    "tool_choice": "none",
    "extra": {"top_k": 1},
}
NO_PART = {"stage": "judge", "label": "B", "session": "other", "connect_timeout": 1.0, "steps": 9}


@pytest.mark.parametrize("part", OTHERS)
def test_another_call_has_another_key(part: str):
    assert content_key(replace(REQUEST, **{part: OTHERS[part]})) != content_key(REQUEST)


def test_a_seat_that_is_asked_the_very_same_has_a_key_of_its_own():
    assert content_key(REQUEST, 1) != content_key(REQUEST)


@pytest.mark.parametrize("part", NO_PART)
def test_what_is_not_asked_is_not_in_the_key(part: str):
    assert content_key(replace(REQUEST, **{part: NO_PART[part]})) == content_key(REQUEST)


def test_the_steps_of_server_tools_are_in_the_key():
    asked = replace(REQUEST, tools=({"type": "openrouter:web_search"},), steps=4)

    assert content_key(replace(asked, steps=5)) != content_key(asked)


SEARCH = {"type": "function", "function": {"name": "web_search"}}
CALLED = {"role": "assistant", "tool_calls": [{"function": {"name": "web_fetch", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("change", "settings", "days"),
    [
        ({}, {}, float("inf")),
        ({"tools": (TOOL,)}, {}, float("inf")),
        ({"tools": (SEARCH,)}, {}, 1),
        ({"tools": ({"type": "openrouter:web_fetch"},)}, {}, 1),
        ({"messages": (CALLED,)}, {}, 1),
        ({"model": "~a/b-latest"}, {}, 7),
        ({"model": "~a/b-latest", "tools": (SEARCH,)}, {}, 1),
        ({"tools": (SEARCH,)}, {"reuse": "only"}, float("inf")),
        ({"tools": (SEARCH,)}, {"max_age": "36h"}, 1.5),
        ({}, {"max_age": "90s"}, 90 / 86_400),
    ],
)
def test_an_answer_from_the_web_is_old_after_a_day_and_one_of_an_alias_after_seven(
    change: dict[str, Any], settings: dict[str, Any], days: float
):
    assert longest_age(replace(REQUEST, **change), Settings(**settings)) == days * 86_400


def test_a_run_that_is_resumed_reuses_however_old():
    assert longest_age(replace(REQUEST, tools=(SEARCH,)), Settings(), any_age=True) == float("inf")


def test_the_same_again_asks_nobody(server: Server):
    first = fuse("Why?", **panel(server))
    asked = len(chats(server))

    again = fuse("Why?", **panel(server))

    assert len(chats(server)) == asked == 4
    assert (again.answer, again.analysis) == (first.answer, first.analysis)
    assert [response.content for response in again.responses] == [response.content for response in first.responses]
    assert [call.reused for call in again.calls] == [True] * 4
    assert again.cost == 0
    assert again.usage.total_tokens == 0
    assert {call.made and call.made >= first.created for call in again.calls} == {True}
    assert again.id != first.id


def test_a_reused_call_is_told_like_any_other_and_is_free(openrouter: Server):
    settings: Any = {"models": ["deepseek/deepseek-v4-pro"], "judge": "anthropic/claude-opus-4.8"}
    first = record(**settings)

    again = record(**settings)

    panel_call = next(event.call for event in again.of(CallEnded) if event.call.stage == "panel")
    assert [type(event) for event in again.events if getattr(event, "stage", "") == "panel"] == [CallStarted, Delta]
    assert again.of(SeatAnswered)[0].response.content == first.kept.responses[0].content
    assert (panel_call.cost, panel_call.attempts) == (0.0, 0)
    assert panel_call.saved == first.kept.calls[0].cost
    assert panel_call.saved is not None
    assert panel_call.saved > 0
    assert panel_call.usage == first.kept.calls[0].usage


def test_another_judge_does_not_pay_the_panel_again(server: Server):
    fuse("Why?", **panel(server))
    server.reply("other", judged())

    fuse("Why?", **panel(server) | {"judge": at(server, "other")[0]})

    assert [len(chats(server, name)) for name in ("a", "b", "judge", "other")] == [1, 1, 1, 1]


def test_another_seat_does_not_pay_the_others_again(server: Server):
    server.reply("c", Reply("Another answer."))
    fuse("Why?", **panel(server, "a", "b"))

    fuse("Why?", **panel(server, "a", "c"))

    assert [len(chats(server, name)) for name in ("a", "b", "c", "judge", "writer")] == [1, 1, 1, 2, 2]


def test_a_model_that_sits_twice_is_asked_twice_and_each_answer_stays_with_its_seat(server: Server):
    server.reply("a", [Reply("One."), Reply("Two.")])
    first = fuse("Why?", **panel(server, "a", "a"))

    again = fuse("Why?", **panel(server, "a", "a"))

    assert len(chats(server, "a")) == 2
    assert {response.content for response in first.responses} == {"One.", "Two."}
    assert [r.content for r in again.responses] == [r.content for r in first.responses]


@pytest.mark.parametrize(
    ("fresh", "asked"),
    [("panel", [2, 1, 1]), ("judge", [1, 2, 1]), ("synthesis", [1, 1, 2]), ("all", [2, 2, 2])],
)
def test_fresh_asks_that_stage_anew_and_keeps_what_it_says(server: Server, fresh: Any, asked: list[int]):
    server.reply("a", [Reply("Old."), Reply("Old.")])
    server.reply("judge", judged("A"))
    fuse("Why?", **panel(server, "a"))

    fuse("Why?", **panel(server, "a"), fresh=fresh)

    assert [len(chats(server, name)) for name in ("a", "judge", "writer")] == asked

    fuse("Why?", **panel(server, "a"))
    assert [len(chats(server, name)) for name in ("a", "judge", "writer")] == asked


def test_a_fresh_answer_takes_the_place_of_the_old_one(server: Server):
    server.reply("a", [Reply("Old."), Reply("New.")])
    fuse("Why?", **panel(server, "a"))
    fuse("Why?", **panel(server, "a"), fresh="panel")

    assert fuse("Why?", **panel(server, "a")).responses[0].content == "New."


def test_never_asks_although_the_store_has_it(server: Server):
    server.reply("judge", judged("A"))
    fuse("Why?", **panel(server, "a"))

    again = fuse("Why?", **panel(server, "a"), reuse="never")

    assert len(chats(server)) == 6
    assert not any(call.reused for call in again.calls)


def test_only_answers_without_a_server_and_fails_rather_than_ask(server: Server):
    settings = panel(server, "a")
    server.reply("judge", judged("A"))
    first = fuse("Why?", **settings)
    with pytest.raises(PanelFailed, match="--reuse only"):
        fuse("Why not?", **settings, reuse="only")

    assert fuse("Why?", **settings, reuse="only").answer == first.answer
    assert len(chats(server)) == 3


def test_only_and_fresh_contradict_each_other(server: Server):
    with pytest.raises(SettingsError, match="--fresh"):
        fuse("Why?", **panel(server, "a"), reuse="only", fresh="judge")

    assert chats(server) == []


def test_only_needs_the_store():
    with pytest.raises(SettingsError, match="--reuse only"):
        fuse("Why?", models=["a@http://127.0.0.1:9/v1"], reuse="only", store=False)


def test_a_call_that_ended_badly_is_asked_again(server: Server):
    server.reply("a", [Broken(Reply("Half an answer."), 1), Reply("Whole.")])
    server.reply("b", Reply("Fine."))
    first = fuse("Why?", **panel(server), retries=0)

    again = fuse("Why?", **panel(server), retries=0)

    assert [lost.label for lost in first.failed_models] == ["A"]
    assert [response.content for response in again.responses] == ["Whole.", "Fine."]
    assert [len(chats(server, name)) for name in ("a", "b")] == [2, 1]


def test_an_analysis_that_could_not_be_read_is_asked_for_again(openrouter: Server):
    settings: Any = {"models": ["deepseek/deepseek-v4-pro"], "judge": "anthropic/claude-opus-4.8"}
    openrouter.reply(settings["judge"], [Reply("No JSON."), Reply("None either."), judged("A")])
    first = fuse("Why?", **settings)

    again = fuse("Why?", **settings)

    assert first.analysis is None
    assert again.analysis is not None
    assert len(chats(openrouter, "deepseek/deepseek-v4-pro")) == 1


def test_a_judge_that_refused_a_schema_is_found_in_the_words_it_took(server: Server):
    server.reply("judge", refuses("response_format", judged()))
    fuse("Why?", **panel(server))
    asked = len(chats(server, "judge"))
    providers().json_levels.clear()  # as in a new process, which knows only what the store has

    fuse("Why?", **panel(server))

    assert asked > 1
    assert len(chats(server, "judge")) == asked


def test_a_model_that_refused_tools_is_found_without_them(server: Server):
    def look(city: str) -> str:
        """Looks a city up."""
        return city

    server.reply("a", refuses("tools", Reply("Without.")))
    settings = panel(server, "a") | {"tools": [look]}
    fuse("Why?", **settings)
    asked = len(chats(server, "a"))
    providers().without_tools.clear()

    again = fuse("Why?", **settings)

    assert asked == 2
    assert len(chats(server, "a")) == asked
    assert again.responses[0].content == "Without."


def test_a_run_without_the_store_says_what_is_lost_and_keeps_nothing(server: Server):
    first = fuse("Why?", **panel(server, "a"), store=False)

    fuse("Why?", **panel(server, "a"))

    assert any("--no-store" in warning for warning in first.warnings)
    assert len(chats(server, "a")) == 2
    with pytest.raises(SettingsError):
        open_store().load(first.id)


def test_the_first_run_says_where_it_is_kept_and_the_second_does_not(server: Server):
    open_store().path.unlink()
    first, second = (fuse(prompt, **panel(server, "a")) for prompt in ("Why?", "How?"))

    assert sum("--no-store" in warning for warning in first.warnings) == 1
    assert not any("--no-store" in warning for warning in second.warnings)


def test_a_kept_run_is_the_result_that_was_returned(server: Server):
    server.reply("b", Fault(500))
    result = fuse("Why?", **panel(server), retries=0)

    assert open_store().load(result.id) == result
    assert open_store().load(result.id[:6]) == result
