"""One call: what reaches the wire, what is retried, when time is over, and what the books say."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fusion_magic import Line, fuse, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.endpoints import Endpoint, builtin_endpoints
from fusion_magic.errors import (
    CallError,
    ContextOverflow,
    EmptyResponse,
    FusionInterrupted,
    ModelNotFound,
    NotAuthorized,
    PanelFailed,
    RateLimited,
    StreamBroken,
)
from fusion_magic.events import CallEnded, CallRetried, CallStarted, Delta, Event, SeatFailed
from fusion_magic.pipeline import attempts
from fusion_magic.pipeline.accounts import Allowance
from fusion_magic.pipeline.calls import Run, ask_or_fallback, same_model
from fusion_magic.pipeline.plan import Chair
from fusion_magic.pipeline.run import run
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from fusion_magic.providers.chat_completions import ChatCompletions
from fusion_magic.results import Call, Usage
from fusion_magic.settings import Panelist, Settings
from pipeline.asking import at, chats, panel, record
from servers.openrouter import Broken, Fault, Reply, Server, analysis_json, context_exceeded, ollama

OPUS = "anthropic/claude-opus-4.8"


def call_of(calls: tuple[Call, ...], label: str) -> Call:
    return next(call for call in calls if call.label == label)


# --- retries


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_a_passing_refusal_is_asked_again(server: Server, status: int):
    server.reply("a", [Fault(status, retry_after=0), Reply("Second time.")])

    told = record(**panel(server))

    assert told.kept.responses[0].content == "Second time."
    assert call_of(told.kept.calls, "A").attempts == 2
    assert call_of(told.kept.calls, "A").unreported == 0
    assert [(retried.label, retried.wait) for retried in told.of(CallRetried)] == [("A", 0.0)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
def test_a_lasting_refusal_is_not_asked_again(server: Server, status: int):
    server.reply("a", Fault(status, retry_after=0))

    result = fuse("Why?", **panel(server))

    assert result.failed_models[0].status_code == status
    assert len(chats(server, "a")) == 1
    assert call_of(result.calls, "A").cost == 0.0


def test_retry_after_is_obeyed(server: Server):
    server.reply("a", [Fault(429, retry_after=0.3), Reply()])

    told = record(**panel(server, "a"))

    first, second = chats(server, "a")
    assert told.of(CallRetried)[0].wait == 0.3
    assert second.arrived - first.arrived >= 0.3


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(server: Server):
    server.reply("a", Fault(429, retry_after=3600))

    result = fuse("Why?", **panel(server))

    assert result.failed_models[0].status_code == 429
    assert len(chats(server, "a")) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_says_how_often_a_call_is_sent_again(server: Server, retries: int):
    server.reply("a", Fault(503, retry_after=0))

    result = fuse("Why?", **panel(server), retries=retries)

    assert len(chats(server, "a")) == retries + 1
    assert call_of(result.calls, "A").attempts == retries + 1


@pytest.mark.parametrize("kind", ["truncate", "malformed", "disconnect", "error"])
def test_a_broken_stream_is_retried_and_never_passed_on_as_whole(server: Server, kind: Any):
    server.reply("a", [Broken(Reply("one two three four five six seven eight nine"), 1, kind), Reply("Whole.")])

    told = record(**panel(server, "a"))

    assert [response.content for response in told.kept.responses] == ["Whole."]
    assert len(chats(server, "a")) == 2
    assert len([event for event in told.of(CallStarted) if event.label == "A"]) == 2


@pytest.mark.parametrize("kind", ["truncate", "malformed", "disconnect", "error"])
def test_a_stream_that_stays_broken_loses_the_seat_and_keeps_what_it_wrote(server: Server, kind: Any):
    server.reply("a", Broken(Reply("one two three four five six seven eight nine"), 1, kind))

    result = fuse("Why?", **panel(server), retries=0)

    assert [response.label for response in result.responses] == ["B"]
    assert result.failed_models[0].label == "A"
    assert result.failed_models[0].content.startswith("one two three")
    assert "nine" not in result.failed_models[0].content


def test_a_retried_attempt_begins_its_text_anew(server: Server):
    server.reply("a", [Broken(Reply("First try that broke off."), 1, "truncate"), Reply("Second.")])

    told = record(**panel(server, "a"))

    started = [n for n, e in enumerate(told.events) if isinstance(e, CallStarted) and e.label == "A"]
    second = told.events[started[1] :]
    assert "".join(e.text for e in second if isinstance(e, Delta) and e.label == "A") == "Second."


def test_a_refused_retry_leaves_what_the_attempt_before_it_had_written(server: Server):
    server.reply("a", [Broken(Reply("one two three four five six"), 1, "truncate"), Fault(402)])

    result = fuse("Why?", **panel(server))

    assert (result.failed_models[0].status_code, result.failed_models[0].content) == (402, "one two three")


def test_a_run_stopped_in_a_retry_keeps_what_the_attempt_before_it_had_written(server: Server):
    server.reply("a", [Broken(Reply("one two three four five six"), 1, "truncate"), Reply(first_token=30)])

    def stop(event: Event) -> None:
        if isinstance(event, CallStarted) and event.attempt == 2:
            running.cancel()

    running = Running(request_for("Why?", **panel(server, "a")), stop)
    with pytest.raises(FusionInterrupted) as interrupted:
        running.wait()

    assert interrupted.value.result is not None
    assert interrupted.value.result.failed_models[0].content == "one two three"


def test_a_provider_s_nonsense_costs_one_seat_and_not_the_run():
    def nonsense(request: ChatRequest) -> Line:
        raise TypeError("a bug in a provider")

    script: Any = {"a": nonsense, "*": "Text."}
    with scripted(script):
        result = fuse("Why?", models=["a", "b"], judge="j", retries=0)

    assert [response.label for response in result.responses] == ["B"]
    assert "can't be read (TypeError)" in result.failed_models[0].error


# --- time


def test_a_first_token_that_does_not_come_is_a_failure_that_names_the_setting(server: Server):
    server.reply("a", Reply(first_token=30))

    result = fuse("Why?", **panel(server), connect_timeout=0.5, first_token_timeout=0.5, retries=0)

    assert "--first-token-timeout raises the limit" in result.failed_models[0].error
    assert [request.model for request in server.wait_closed()] == ["a"]


def test_a_stall_between_chunks_is_a_failure_that_keeps_the_text(server: Server):
    server.reply("a", Broken(Reply("one two three four five six"), 1, "stall"))

    result = fuse("Why?", **panel(server), gap_timeout=0.5, retries=0)

    assert "--gap-timeout raises the limit" in result.failed_models[0].error
    assert result.failed_models[0].content == "one two three"
    assert [request.model for request in server.wait_closed()] == ["a"]


def test_comments_do_not_pass_for_an_answer(server: Server):
    reply = Reply("one two three four five six", comments=True, comment_every=0.02)
    server.reply("a", Broken(reply, 1, "stall"))

    result = fuse("Why?", **panel(server), gap_timeout=0.5, retries=0)

    assert result.failed_models[0].content == "one two three"


class SlowThinker:
    """Says at once that it is there, and thinks for longer than a gap may be."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(served=request.model)
        await asyncio.sleep(0.2 if request.label else 0.0)
        yield Chunk(text="Late.")
        yield Chunk(finish="stop", usage=Usage(), cost=0.0)

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return ()


def test_an_empty_first_chunk_does_not_end_the_patience_for_the_first_token(server: Server):
    asked = request_for("Why?", **panel(server, "a"), gap_timeout=0.1, retries=0)

    result = asyncio.run(run(asked, emit=lambda event: None, providers=Providers(SlowThinker())))

    assert result.responses[0].content == "Late."


class StopsWithEachChunk(SlowThinker):
    """Gives the reason for its end at once, as some bridges do, and goes on writing."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text="one", finish="stop", served=request.model)
        for word in ("two", "three", "four", "five"):
            await asyncio.sleep(0.1)
            yield Chunk(text=f" {word}")


def test_an_answer_that_goes_on_after_its_finish_reason_is_heard_to_its_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "USAGE_GRACE", 0.25)
    asked = request_for("Why?", **panel(server, "a"), gap_timeout=0.25, retries=0)

    result = asyncio.run(run(asked, emit=lambda event: None, providers=Providers(StopsWithEachChunk())))

    assert result.responses[0].content == "one two three four five"


def test_timeout_is_the_limit_of_a_call_with_its_retries(server: Server):
    server.reply("a", Reply("one two three " * 400, gap=0.05))

    result = fuse("Why?", **panel(server), timeout=1)

    assert "took more than 1 s; --timeout raises the limit" in result.failed_models[0].error
    assert len(chats(server, "a")) == 1


def test_a_server_that_refuses_connections_is_named_with_what_to_do(server: Server):
    asked = panel(server) | {"models": ["x@http://127.0.0.1:9/v1", *at(server, "b")]}

    result = fuse("Why?", **asked, retries=0)

    assert "can't be reached" in result.failed_models[0].error
    assert result.answer == "The fused answer."


def test_a_connection_that_was_never_made_is_not_counted_as_a_bill(monkeypatch: pytest.MonkeyPatch):
    def never(sent: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("slow")

    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
    asked = request_for("Why?", models=["openai/gpt-5.5"], judge=OPUS, retries=0)
    client = ChatCompletions(httpx.MockTransport(never))

    with pytest.raises(PanelFailed, match="in time") as failed:
        asyncio.run(run(asked, emit=lambda event: None, providers=Providers(client)))

    assert (failed.value.result.calls[0].cost, failed.value.result.calls[0].unreported) == (0.0, 0)


# --- a fallback


@pytest.mark.parametrize(("left", "asked"), [(1, ["first", "spare"]), (0, ["first"])])
def test_a_fallback_is_asked_only_while_something_may_still_be_billed(left: int, asked: list[str]):
    tried: list[str] = []
    endpoint = builtin_endpoints()["openrouter"]
    spare = Chair(Panelist(model="spare"), "spare", endpoint)
    first = Chair(Panelist(model="first"), "first", endpoint, fallback=spare)
    shared = Run("r1", Settings(), Providers(), lambda event: None, 0.0)

    async def fail(chair: Chair) -> None:
        tried.append(chair.model)
        raise CallError(f"{chair.model} is gone.", text=chair.model)

    with pytest.raises(CallError, match="first is gone") as failed:
        asyncio.run(ask_or_fallback(shared, "judge", first, fail, Allowance(left)))

    assert tried == asked
    assert failed.value.text == "first"


# --- how an answer ends


def test_an_answer_cut_at_its_limit_is_kept_with_a_warning(server: Server):
    server.reply("a", Reply("Half an", finish="length"))

    result = fuse("Why?", **panel(server))

    assert result.responses[0].content == "Half an"
    assert any(
        text.startswith("A: a@") and text.endswith("stopped at its token limit; --max-tokens raises it.")
        for text in result.warnings
    )


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "a_new_word"])
def test_an_answer_with_an_unknown_end_is_kept_with_a_warning(server: Server, finish: str):
    server.reply("a", Reply("Half an", finish=finish))

    result = fuse("Why?", **panel(server))

    model = at(server, "a")[0]
    assert result.responses[0].content == "Half an"
    assert result.warnings == (f'A: {model} ended with "{finish}", not with "stop"; it may not be whole.',)


def test_a_synthesizer_with_an_unknown_end_is_named_by_its_stage(server: Server):
    server.reply("writer", Reply("Half an", finish="tool_calls"))

    result = fuse("Why?", **panel(server))

    assert result.warnings[0].startswith("The synthesizer: writer@")


def test_an_answer_that_outgrew_the_model_s_context_is_told_as_cut(server: Server):
    server.reply("a", Reply("Half an", finish="model_context_window_exceeded"))

    result = fuse("Why?", **panel(server))

    assert "stopped at its token limit" in result.warnings[0]


@pytest.mark.parametrize(("name", "told"), [("smollm2", False), ("another", True)])
def test_of_the_embedded_models_only_the_tiny_one_may_be_cut_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, told: bool
):
    if told:
        monkeypatch.setenv("FUSION_LOCAL_MODEL", str(tmp_path / f"{name}.gguf"))

    with scripted({"panel": Line("Half an", finish="length"), "*": "Text."}):
        result = fuse("Why?", models=[f"{name}@local"], judge="j")

    assert any(text.startswith(f"A: {name}@local stopped at its token limit") for text in result.warnings) is told


def test_tokens_used_up_by_reasoning_are_a_failure_that_says_what_to_do(server: Server):
    server.reply("a", Reply("", reasoning="Hm, hm.", finish="length"))

    result = fuse("Why?", **panel(server))

    assert "raise --max-tokens or lower --effort" in result.failed_models[0].error
    assert len(chats(server, "a")) == 1


def test_a_filtered_answer_is_a_failure(server: Server):
    server.reply("a", Reply("Some", finish="content_filter"))

    result = fuse("Why?", **panel(server))

    assert "a content filter stopped the answer" in result.failed_models[0].error
    assert result.failed_models[0].content == "Some"
    assert len(chats(server, "a")) == 1


def test_an_answer_that_ends_in_error_is_asked_again(server: Server):
    server.reply("a", [Reply("Some", finish="error"), Reply("Whole.")])

    result = fuse("Why?", **panel(server))

    assert result.responses[0].content == "Whole."


def test_an_empty_answer_is_asked_again(server: Server):
    server.reply("a", [Reply(" \n"), Reply("Whole.")])

    result = fuse("Why?", **panel(server))

    assert result.responses[0].content == "Whole."


def test_a_context_overflow_says_so(server: Server):
    server.reply("a", context_exceeded())

    result = fuse("Why?", **panel(server))

    assert "Shorten the prompt, or choose a model with a longer context." in result.failed_models[0].error
    assert len(chats(server, "a")) == 1


def test_reasoning_is_kept_apart_from_the_answer(server: Server):
    server.reply("a", ollama("<think>Let me see.</think>Because.", chunks=9))

    result = fuse("Why?", **panel(server))

    assert result.responses[0].content == "Because."
    assert result.responses[0].reasoning == "Let me see."


def test_citations_become_sources_with_their_seats(server: Server):
    cited = {"url": "https://example.org/a", "title": "A page", "content": "", "start_index": 0, "end_index": 1}
    server.reply("a", Reply("See.", annotations=[cited]))
    server.reply("b", Reply("See.", annotations=[cited]))

    result = fuse("Why?", **panel(server))

    assert [(source.url, source.labels) for source in result.sources] == [("https://example.org/a", ("A", "B"))]


# --- who answered


def test_another_model_than_the_one_asked_is_told(server: Server):
    server.reply("a", Reply(served="impostor"))

    result = fuse("Why?", **panel(server))

    assert result.warnings == (f"a@{server.base_url} was asked, impostor answered.",)
    assert result.responses[0].served_model == "impostor"


def test_the_catalogue_s_dated_name_of_a_model_is_not_another_model(openrouter: Server):
    openrouter.models[0]["id"], openrouter.models[0]["canonical_slug"] = "a/opus-4.8", "a/4.8-opus-20260601"
    openrouter.reply("a/opus-4.8", Reply(analysis_json("A"), served="a/4.8-opus-20260601"))

    result = fuse("Why?", models=["a/opus-4.8"])

    assert not [text for text in result.warnings if "answered" in text]


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("openai/gpt-5.5", "openai/gpt-5.5", True),
        ("openai/gpt-5.5", "openai/gpt-5.5-2026-05-01", True),
        ("openai/gpt-5.5", "gpt-5.5", True),
        ("openai/gpt-5.5", "openai/gpt-5.5-mini", False),
        ("openai/gpt-5.5", "openai/gpt-5", False),
        ("a/b:nitro", "a/b", True),
        ("a/b", "a/b:free", True),
        ("llama3.2", "llama3.2:latest", True),
        ("llama3.2:1b", "llama3.2:8b", False),
        ("~anthropic/claude-opus-latest", "anthropic/claude-opus-4.8", True),
        ("~anthropic/claude-opus-latest", "openai/gpt-5.5", False),
        ("a", "", False),
    ],
)
def test_dates_variants_and_aliases_are_the_same_model(asked: str, served: str, same: bool):
    assert same_model(asked, served) is same


def test_a_lost_seat_is_an_event_with_the_error_s_words():
    errors = {
        "a": NotAuthorized("No.", status_code=401),
        "b": RateLimited("Slow down.", status_code=429),
        "c": ModelNotFound("Who?", status_code=404),
        "d": ContextOverflow("Too long.", status_code=400),
        "e": EmptyResponse("Nothing."),
        "f": StreamBroken("Broke."),
        "g": CallError("Else."),
    }
    script: Any = {**errors, "*": "Text."}
    with scripted(script):
        told = record(models=[*errors, "h"], judge="j")

    lost = {event.failed.model: (event.failed.error, event.failed.status_code) for event in told.of(SeatFailed)}
    assert lost == {model: (str(error), error.status_code) for model, error in errors.items()}
    assert len([event for event in told.of(CallEnded) if event.call.error]) == 7
