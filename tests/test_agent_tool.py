"""`fusion_tool`: the panel as a tool of one's own agent loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fusion_magic import Line, fuse, fusion_tool, scripted
from fusion_magic.errors import CallError, SettingsError
from servers.openrouter import analysis_json

SCRIPT: Any = {"judge": analysis_json("AB"), "synthesis": "Fused.", "*": "Text."}
PANEL: Any = {"models": ["a", "b"], "judge": "j", "synthesizer": "w"}


def test_its_schema_is_a_function_in_openai_s_form(schema: Callable[[Any, str], None]):
    tool = fusion_tool(name="ask_panel", **PANEL)

    body = {"model": "x/y", "messages": [{"role": "user", "content": "Why?"}], "tools": [tool.schema]}
    schema(body, "ChatRequest")
    function = tool.schema["function"]
    assert (function["name"], function["parameters"]["required"]) == ("ask_panel", ["question"])


def test_a_model_s_call_is_answered_with_openrouter_s_fields_and_the_result_is_kept():
    tool = fusion_tool(**PANEL)
    arguments = json.loads('{"question": "Why is it blue?"}')

    with scripted(SCRIPT) as script:
        told = json.loads(tool(**arguments))

    assert script.requests[0].messages[-1]["content"] == "Why is it blue?"
    assert (told["status"], told["answer"]) == ("ok", "Fused.")
    assert told["responses"][0] == {"label": "A", "model": "a", "content": "Text."}
    assert set(told["analysis"]) >= {"consensus", "contradictions", "blind_spots"}
    assert [result.answer for result in tool.results] == ["Fused."]


def test_a_panel_without_answers_is_told_to_the_model():
    with scripted({"*": CallError("Dead.")}):
        told = json.loads(fusion_tool(**PANEL)("Why?"))

    assert told["status"] == "error"
    assert [lost["label"] for lost in told["failed_models"]] == ["A", "B"]


def test_it_can_be_awaited():
    with scripted(SCRIPT):
        told = json.loads(asyncio.run(fusion_tool(**PANEL).call_async("Why?")))

    assert told["answer"] == "Fused."


def test_a_mistake_in_the_settings_does_not_wait_for_the_first_call():
    with pytest.raises(SettingsError, match='did you mean "rounds"'):
        fusion_tool(**PANEL, round=2)


@pytest.mark.parametrize("kind", ["tool", "function"])
def test_a_fusion_inside_a_fusion_is_refused_with_a_sentence_that_the_model_reads(kind: str):
    tool = fusion_tool(**PANEL)

    def ask(question: str) -> str:
        """Ask others."""
        return tool(question) if kind == "tool" else str(fuse(question, **PANEL).answer)

    call = Line("", tools=[("ask", {"question": "Again?"})])
    with scripted({"a": [call, "Text."]} | SCRIPT) as script:
        result = fuse("Why?", **PANEL, tools=[ask])

    assert [use.error for use in result.tools] == [
        "FusionError: A fusion inside a fusion is refused: the panel is being asked already. Answer without it."
    ]
    assert result.answer == "Fused."
    assert len(script.requests) == 5
    assert tool.results == []


def test_after_a_run_the_next_one_is_no_fusion_inside_it():
    with scripted(SCRIPT):
        assert fuse("Why?", **PANEL).answer == fuse("Why?", **PANEL).answer
