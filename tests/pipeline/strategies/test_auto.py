"""`auto`: the outer model decides through a tool whether the panel is asked; else in words, and that is told."""

from typing import Any

import pytest

from fusion_magic import Line, fold, fuse, scripted
from pipeline.asking import chats, panel, record
from servers.openrouter import Fault, Reply, Request, Server, analysis_json

CALL = Line("", tools=[("fusion", {"question": "Why is the sky blue, in short?"})])
PANEL = {"judge": analysis_json("AB"), "*": "Words of a seat."}
SETTINGS: Any = {"models": ["a", "b"], "judge": "j", "synthesizer": "w", "strategy": "auto"}


def test_it_may_answer_alone():
    with scripted({"w": "By myself."} | PANEL) as script:
        told = record("2 + 2?", **SETTINGS)

    result = told.kept
    assert [request.model for request in script.requests] == ["w"]
    assert [tool["function"]["name"] for tool in script.requests[0].tools] == ["fusion"]
    assert script.requests[0].tool_choice is None
    assert (result.status, result.answer, result.responses, result.failed_models) == ("ok", "By myself.", (), ())
    assert result.decision is not None
    assert (result.decision.asked, result.decision.reason) == (False, "w answered alone (by its tool).")
    assert fold(told.events) == result


def test_when_it_calls_the_tool_the_panel_gets_its_question_and_it_writes_from_all():
    with scripted({"w": [CALL, "Fused."]} | PANEL) as script:
        told = record("Why?", **SETTINGS)

    assert [request.model for request in script.requests] == ["w", "a", "b", "j", "w"]
    assert script.requests[1].messages == ({"role": "user", "content": "Why is the sky blue, in short?"},)
    last = str(script.requests[-1].messages)
    assert "Words of a seat." in last and "Question:" in last and "Why?" in last  # noqa: PT018
    assert script.requests[-1].tools == ()
    assert told.kept.answer == "Fused."
    assert told.kept.decision is not None
    assert told.kept.decision.asked
    assert fold(told.events) == told.kept


@pytest.mark.parametrize("arguments", ["", "not json", "[]", '{"question": 7}', "{}"])
def test_a_call_without_a_question_asks_the_prompt(arguments: str):
    with scripted({"w": [Line("", tools=[("fusion", arguments)]), "Fused."]} | PANEL) as script:
        fuse("Why?", **SETTINGS)

    assert script.requests[1].messages[0]["content"] == "Why?"


def test_it_can_be_made_to_ask(server: Server):
    def outer(request: Request) -> Reply:
        call = ("call_1", "fusion", '{"question": "Why?"}')
        return Reply("", tool_calls=[call]) if request.body.get("tool_choice") == "required" else Reply("Fused.")

    server.reply("writer", outer)

    result = fuse("Why?", **panel(server), strategy="auto", must_ask=True)

    assert [request.body.get("tool_choice") for request in chats(server, "writer")] == ["required", None]
    assert result.answer == "Fused."
    assert result.warnings == ()


@pytest.mark.parametrize(
    "message",
    [
        "Thinking mode does not support this tool_choice",
        "The tool_choice parameter does not support being set to required or object in thinking mode",
    ],
)
def test_a_model_that_refuses_to_be_forced_is_asked_in_words_and_the_output_says_so(server: Server, message: str):
    def outer(request: Request) -> Reply | Fault:
        if request.body.get("tool_choice") == "required":
            return Fault(400, message)
        return Reply("", tool_calls=[("call_1", "fusion", "{}")]) if "tools" in request.body else Reply("Fused.")

    server.reply("writer", outer)

    result = fuse("Why?", **panel(server), strategy="auto", must_ask=True)

    asked = chats(server, "writer")[1].body
    assert "Use the tool fusion before you answer." in asked["messages"][0]["content"]
    assert result.answer == "Fused."
    assert any("refuses to be forced to use a tool; it was asked in words" in text for text in result.warnings)
    assert result.decision is not None
    assert "asked in words" in result.decision.reason


def test_a_server_that_ignores_the_force_is_found_out():
    with scripted({"w": "By myself."} | PANEL):
        result = fuse("Why?", **SETTINGS, must_ask=True)

    assert result.warnings == ("w did not ask the panel, although it was to.",)
    assert result.answer == "By myself."


def test_a_model_without_tools_is_asked_in_words(server: Server):
    def outer(request: Request) -> Reply | Fault:
        if "tools" in request.body:
            return Fault(404, "No endpoints found that support tool use.")
        told = str(request.body["messages"][0]["content"])
        return Reply("ASK THE PANEL: Why blue?") if "ASK THE PANEL" in told else Reply("Fused.")

    server.reply("writer", outer)

    result = fuse("Why?", **panel(server), strategy="auto")

    assert chats(server, "a")[0].body["messages"][-1]["content"] == "Why blue?"
    assert result.answer == "Fused."
    assert any("takes no tools; it was asked in words" in text for text in result.warnings)


def test_in_words_it_may_answer_alone_too(server: Server):
    server.reply(
        "writer", lambda request: Fault(400, "tools are not supported") if "tools" in request.body else Reply("4")
    )

    result = fuse("2 + 2?", **panel(server), strategy="auto")

    assert (result.answer, result.responses) == ("4", ())


def test_an_outer_model_that_fails_leaves_no_answer():
    from fusion_magic.errors import CallError, PanelFailed

    with scripted({"w": CallError("Dead.")} | PANEL), pytest.raises(PanelFailed) as failed:
        fuse("Why?", **SETTINGS)

    assert failed.value.result.status == "error"
