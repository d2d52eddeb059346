"""Our accounts against those of the server, over random runs in which things go wrong."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from fusion_magic.api import Running, request_for
from fusion_magic.results import FusionResult
from fusion_magic.store import open_store
from pipeline.asking import chats, judged
from servers.openrouter import Broken, Fault, Reply, Request, Server, refuses

pytestmark = pytest.mark.thorough

RUNS = 50
MODELS = ("google/gemini-3-flash-preview", "deepseek/deepseek-v4-pro", "anthropic/claude-opus-4.8")
JUDGE, WRITER = "openai/gpt-5.5", "moonshotai/kimi-k2.6"


def look(city: str) -> str:
    """Looks a city up."""
    return f"{city} is a city."


def _panelists(chance: random.Random) -> list[Any]:
    """What a panelist may do, call by call."""
    text = "It is so. " * chance.randint(1, 40)
    good = Reply(text, reasoning="Hm. " * chance.randint(0, 9))
    called = Reply("", tool_calls=[("call_1", "look", '{"city": "Paris"}')])
    return [
        good,
        Reply(text, usage=None),
        Reply(text, finish="length"),
        [Fault(429, retry_after=0), good],
        [Fault(503), Fault(503), Fault(503)],
        [Broken(good, 1), good],
        [Broken(good, 1, "truncate"), Broken(good, 0, "error"), good],
        [called, good],
        [called, Broken(good, 1), good],
        [called, called, Reply("", tool_calls=[("call_2", "nowhere", "{}")]), good],
        Reply(""),
    ]


def _chair(chance: random.Random, good: Reply) -> Any:
    return chance.choice(
        [good, good, refuses("response_format", good), Reply("No JSON."), [Fault(502), good], Fault(400)]
    )


def _spent(request: Request) -> Counter[str]:
    usage = request.usage if request.usage and request.finished else {}
    return Counter(
        {name: usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens")}
        | {"cost": round(1e9 * usage.get("cost", 0))}
    )


def _booked(result: FusionResult) -> Counter[str]:
    calls = result.calls
    tokens = {
        name: sum(getattr(call.usage, name) for call in calls if call.usage)
        for name in ("prompt_tokens", "completion_tokens")
    }
    return Counter(tokens | {"cost": round(1e9 * sum(call.cost or 0 for call in calls))})


class Scripts:
    """What each run's models answer; the run is told by the number in its question."""

    def __init__(self) -> None:
        self.panels: dict[int, list[str]] = {}
        self._steps: dict[tuple[int, str], Any] = {}
        self._turns: dict[tuple[int, str], Iterator[int]] = {}
        for run in range(RUNS):
            chance = random.Random(run)
            self.panels[run] = [MODELS[0], *(chance.choice(MODELS[1:]) for _ in range(chance.randint(0, 3)))]
            for model in MODELS[1:]:
                self._steps[run, model] = chance.choice(_panelists(chance))
            kinds = _panelists(chance)
            self._steps[run, MODELS[0]] = kinds[run % len(kinds)]  # each of them, whatever chance brings
            self._steps[run, JUDGE] = _chair(chance, judged(*"ABCD"[: len(self.panels[run])]))
            self._steps[run, WRITER] = _chair(chance, Reply("It is so."))

    def __call__(self, request: Request) -> Any:
        place = number_of(request), str(request.model)
        steps, turn = self._steps[place], next(self._turns.setdefault(place, count()))
        return steps[min(turn, len(steps) - 1)] if isinstance(steps, list) else steps


def number_of(request: Request) -> int:
    found = re.search(r"Question (\d+)\?", str(request.body["messages"]))
    assert found
    return int(found[1])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[FusionResult, set[str], list[Request]]]]:
    """All runs side by side: what each kept, what the server saw of it, and what its plan had listed."""
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_HOME", str(tmp_path_factory.mktemp("books")))
        patch.setenv("OPENROUTER_BASE_URL", server.base_url)
        patch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
        scripts = Scripts()
        for model in (*MODELS, JUDGE, WRITER):
            server.reply(model, scripts)
        running = [_start(run, scripts.panels[run]) for run in range(RUNS)]
        for each in running:
            each.future.exception(timeout=100)
        asked: dict[int, list[Request]] = {}
        for request in chats(server):
            asked.setdefault(number_of(request), []).append(request)
        yield [(*_kept(each), asked[run]) for run, each in enumerate(running)]


def _start(run: int, models: list[str]) -> Running:
    chairs: Any = {"judge": JUDGE, "synthesizer": WRITER}
    return Running(request_for(f"Question {run}?", models=models, tools=[look], max_tool_calls=3, **chairs))


def _kept(running: Running) -> tuple[FusionResult, set[str]]:
    result = running.result()
    assert result is not None
    assert running.state.started is not None
    return result, {call.model for call in running.state.started.plan}


@pytest.mark.parametrize("run", range(RUNS))
def test_our_calls_are_the_server_s_to_the_token_and_what_was_not_sent_is_marked(told: Any, run: int):
    result, planned, asked = told[run]

    unsent = [
        request for request in asked if request.first_token is not None and not (request.usage and request.finished)
    ]

    assert _booked(result) == sum(map(_spent, asked), Counter())
    assert sum(call.attempts for call in result.calls) == len(asked)
    assert result.cost_is_partial == bool(unsent)
    assert {request.model for request in asked} <= planned


def test_the_runs_were_such_that_things_went_wrong(told: Any):
    calls = [call for result, _, _ in told for call in result.calls]

    assert {result.status for result, _, _ in told} >= {"ok", "error"}
    assert any(result.cost_is_partial for result, _, _ in told)
    assert any(call.unreported for call in calls)
    assert any(call.attempts > 1 and call.usage for call in calls)
    assert any(use.error for result, _, _ in told for use in result.tools)


def test_the_history_s_costs_are_those_of_the_calls(
    told: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FUSION_HOME", str(tmp_path_factory.getbasetemp() / "books0"))
    total = sum(call.cost or 0 for result, _, _ in told for call in result.calls)

    booked = {
        by: sum(line.cost or 0 for line in open_store().costs(by)) for by in ("model", "day", "notebook", "preset")
    }

    assert booked == pytest.approx(dict.fromkeys(booked, total))
