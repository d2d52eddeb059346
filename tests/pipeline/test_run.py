"""A run: its log tells the whole story, however it ends and wherever it is cut off."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from fusion_magic import Line, fold, fuse, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.errors import CallError, SettingsError
from fusion_magic.events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Fold,
    RunEnded,
    RunStarted,
    SeatAnswered,
)
from fusion_magic.pipeline.run import run
from fusion_magic.providers import Providers
from fusion_magic.results import FusionResult
from pipeline.asking import chats, judged, panel, record
from servers.openrouter import Broken, Fault, Reply, Server, analysis_json

WHOLE: Any = {"judge": analysis_json("AB"), "synthesis": "Fused.", "*": Line("Text.", gap=0.0)}
KINDS: dict[str, Any] = {
    "ok": WHOLE,
    "a failed seat": {"a": CallError("Dead.", status_code=500)} | WHOLE,
    "a retried seat": {"a": [CallError("Busy.", retryable=True, retry_after=0), "Text."]} | WHOLE,
    "no judge": WHOLE | {"judge": CallError("Dead.")},
    "an unreadable judge": WHOLE | {"judge": "No."},
    "no synthesizer": WHOLE | {"synthesis": Line("Half", error=CallError("Dead."))},
    "no panel": WHOLE | {"*": CallError("Dead.")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_tells_the_whole_story(kind: str):
    with scripted(KINDS[kind]):
        told = record(models=["a", "b"], judge="j", synthesizer="w")

    assert fold(told.events) == told.kept
    assert isinstance(told.events[0], RunStarted)
    assert isinstance(told.events[-1], RunEnded)


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_cut_off_anywhere_is_a_valid_result(kind: str):
    with scripted(KINDS[kind]):
        told = record(models=["a", "b"], judge="j", synthesizer="w")

    for length in range(1, len(told.events) + 1):
        result = fold(told.events[:length])
        assert FusionResult.model_validate_json(result.model_dump_json()) == result
        assert {r.label for r in result.responses} | {f.label for f in result.failed_models} == {"A", "B"}
        assert result.status == ("cancelled" if length < len(told.events) else told.kept.status)


def _stop_at(kind: type[Any], stage: str | None = None) -> Callable[[Event], bool]:
    def fits(event: Event) -> bool:
        of_stage = stage in (None, getattr(event, "stage", None), getattr(getattr(event, "call", None), "stage", None))
        return isinstance(event, kind) and of_stage

    return fits


@pytest.mark.parametrize(
    "moment",
    [
        _stop_at(RunStarted),
        _stop_at(CallStarted, "panel"),
        _stop_at(Delta, "panel"),
        _stop_at(CallRetried),
        _stop_at(CallEnded, "panel"),
        _stop_at(SeatAnswered),
        _stop_at(CallStarted, "judge"),
        _stop_at(Delta, "judge"),
        _stop_at(AnalysisReady),
        _stop_at(CallStarted, "synthesis"),
        _stop_at(Delta, "synthesis"),
    ],
)
def test_a_run_stopped_at_any_moment_keeps_what_was_answered(moment: Callable[[Event], bool]):
    events: list[Event] = []
    state = Fold()
    busy = CallError("Busy.", retryable=True, retry_after=0.01)
    script: Any = {"a": [busy, Line("Text.", gap=0.001)], "*": Line("Text.", gap=0.001)}

    async def main() -> None:
        def listen(event: Event) -> None:
            events.append(event)
            if moment(event):
                task.cancel()

        asked = request_for("Why?", models=["a", "b"], judge="j", synthesizer="w")
        task = asyncio.create_task(run(asked, emit=listen, providers=Providers(), state=state))
        with pytest.raises(asyncio.CancelledError):
            await task

    with scripted({"judge": Line(analysis_json("AB"), gap=0.001)} | script):
        asyncio.run(main())

    result = state.result()
    assert result.status == "cancelled"
    assert result == fold(events)
    assert events[-1] == RunEnded("cancelled", result.duration, "The run was stopped.")
    assert {r.label for r in result.responses} | {f.label for f in result.failed_models} == {"A", "B"}
    assert [r.label for r in result.responses] == sorted(
        event.response.label for event in events if isinstance(event, SeatAnswered)
    )


def test_a_stop_while_waiting_for_a_retry_books_no_bill(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", Fault(429, retry_after=60))
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, CallRetried):
            running.cancel()

    running = Running(request_for("Why?", models=["openai/gpt-5.5"], judge="anthropic/claude-opus-4.8"), listen)
    with pytest.raises(KeyboardInterrupt):
        running.wait()

    call = fold(events).calls[0]
    assert (call.cost, call.unreported, call.attempts) == (0.0, 0, 1)


def test_the_network_killed_in_the_run_loses_no_answered_seat():
    with ExitStack() as network:
        server = network.enter_context(Server())
        server.reply("a", Reply("Answered."))
        server.reply("b", Reply("one two three four five", gap=30))
        asked = panel(server)

        def kill(event: Event) -> None:
            if isinstance(event, SeatAnswered):
                network.close()

        running = Running(request_for("Why?", **asked, retries=0, gap_timeout=1), kill)
        result = running.wait()

    assert [response.content for response in result.responses] == ["Answered."]
    assert [lost.label for lost in result.failed_models] == ["B"]
    assert (result.status, result.answer, result.analysis) == ("error", None, None)


def test_a_panel_of_faults_keeps_every_paid_answer(server: Server):
    server.reply("a", Broken(Reply("one two three four"), 1, "truncate"))
    server.reply("b", Fault(500, body=b"<html>proxy</html>"))
    server.reply("c", Reply("", reasoning="Hm.", finish="length"))
    server.reply("judge", judged(*"ABCD"))

    result = fuse("Why?", **panel(server, "a", "b", "c", "d"), retries=0)

    assert [response.label for response in result.responses] == ["D"]
    assert [lost.label for lost in result.failed_models] == ["A", "B", "C"]
    assert result.answer == "The fused answer."


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(server: Server, prompt: str):
    with pytest.raises(SettingsError, match="The prompt is empty"):
        fuse(prompt, **panel(server))

    assert server.requests == []


def test_a_listener_that_raises_does_not_cost_the_run():
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Delta):
            raise ValueError("a bug in a view")

    with scripted(WHOLE):
        result = Running(request_for("Why?", models=["a", "b"], judge="j"), listen).wait()

    assert (result.status, result.answer) == ("ok", "Fused.")
    assert len([event for event in heard if isinstance(event, Delta)]) == 1
    assert any("a bug in a view" in text for text in result.warnings)


def test_the_stages_come_in_order():
    with scripted(WHOLE):
        told = record(models=["a", "b"], judge="j", synthesizer="w")

    marks = [type(e) for e in told.events if isinstance(e, SeatAnswered | AnalysisReady | AnswerReady | RunEnded)]
    assert marks == [SeatAnswered, SeatAnswered, AnalysisReady, AnswerReady, RunEnded]


def test_the_result_has_the_names_that_notebooks_rely_on(server: Server):
    result = fuse("Why?", **panel(server))

    data = result.model_dump(mode="json")
    names = "schema_version id parent created prompt settings status answer responses failed_models analysis sources"
    assert set(f"{names} calls duration".split()) <= set(data)
    of_seat = {"label", "model", "served_model", "content", "reasoning", "sources", "usage", "cost", "duration"}
    assert of_seat <= set(data["responses"][0])
    of_call = "stage round label model served_model usage cost ttft duration attempts finish_reason reused"
    assert set(of_call.split()) <= set(data["calls"][0])
    assert (result.status, result.prompt, result.schema_version) == ("ok", "Why?", 1)
    assert result.usage.total_tokens > 0
    assert len(chats(server)) == len(result.calls) == 4


def test_a_key_is_nowhere_in_the_log_or_the_result(openrouter: Server):
    openrouter.reply("openai/gpt-5.5", Fault(401, echo_key=True))

    told = record(models=["openai/gpt-5.5", "moonshotai/kimi-k2.6"], judge="anthropic/claude-opus-4.8")

    assert "key-of-a-test" in chats(openrouter)[0].headers["authorization"]
    assert "key-of-a-test" not in repr(told.events) + told.kept.model_dump_json() + repr(told.kept)


def test_the_plan_can_be_shown_before_the_first_call():
    order: list[str] = []

    async def shown() -> None:
        order.append("shown")

    def listen(event: Event) -> None:
        if isinstance(event, RunStarted | CallStarted):
            order.append(type(event).__name__)

    request = replace(request_for("Why?", models=["a"]), before_calls=shown)
    with scripted(WHOLE):
        Running(request, listen).wait()

    assert order[:3] == ["RunStarted", "shown", "CallStarted"]
