"""A panel as a model of inspect_ai: its evaluation runs, and what a panel can't take is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import scripted
from fusion_magic.errors import SettingsError

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed", exc_type=ImportError)

from inspect_ai import Task, eval  # pyright: ignore[reportMissingImports]
from inspect_ai.dataset import Sample  # pyright: ignore[reportMissingImports]
from inspect_ai.model import (  # pyright: ignore[reportMissingImports]
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import includes  # pyright: ignore[reportMissingImports]

from fusion_magic.evals.inspect import FusionModel
from servers.openrouter import analysis_json

SCRIPT: Any = {"judge": analysis_json("AB"), "synthesis": "It is Paris.", "*": "Paris."}


def model() -> Any:
    return get_model("fusion/custom", models=("a/one", "b/two"), memoize=False)


def test_an_evaluation_of_inspect_ai_runs_with_a_panel(tmp_path: Path):
    task = Task(dataset=[Sample(input="What is the capital of France?", target="Paris")], scorer=includes())

    with scripted(SCRIPT):
        (log,) = eval(task, model=model(), log_dir=str(tmp_path), display="none")

    assert log.status == "success"
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    assert log.samples[0].output.usage.total_tokens == 4 * 30  # two seats, the judge, the synthesizer
    assert log.samples[0].output.metadata["run"]


def asked(*messages: Any, **tools: Any) -> Any:
    chosen = FusionModel("custom", models=("a/one", "b/two"))
    return asyncio.run(chosen.generate(list(messages), tools.get("tools", []), "auto", GenerateConfig()))


def test_a_conversation_reaches_the_panel_as_earlier_turns():
    with scripted(SCRIPT) as script:
        asked(
            ChatMessageSystem(content="Be brief."),
            ChatMessageUser(content="And Italy?"),
            ChatMessageAssistant(content="Rome."),
            ChatMessageUser(content="And France?"),
        )

    seat = next(request for request in script.requests if request.stage == "panel")
    assert [message["role"] for message in seat.messages] == ["system", "user", "assistant", "user"]
    assert seat.messages[-1]["content"] == "And France?"


def test_tools_of_inspect_ai_are_refused_in_a_sentence():
    with scripted(SCRIPT), pytest.raises(SettingsError, match="takes no tools of inspect_ai"):
        asked(ChatMessageUser(content="Hello"), tools=[object()])
