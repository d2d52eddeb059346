"""A script answers every call, with the timings and faults it was given, and nothing reaches the network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fusion_magic import Line, scripted
from fusion_magic.endpoints import Endpoint
from fusion_magic.errors import CallError, RateLimited, StreamBroken
from fusion_magic.providers import ChatRequest, Chunk, Providers
from fusion_magic.providers.installed import installed
from fusion_magic.results import Source, Usage

NOWHERE = Endpoint(name="openrouter", base_url="http://nowhere.invalid/v1", key_env="OPENROUTER_API_KEY")


def ask(model: str = "a/b", **more: Any) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        request = ChatRequest(NOWHERE, model, (), 10, **more)
        return [chunk async for chunk in Providers().stream(request)]

    return asyncio.run(collect())


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_a_text_comes_in_pieces_and_ends_with_a_finish():
    with scripted({"*": "Hello world."}):
        chunks = ask()

    assert text(chunks) == "Hello world."
    assert len(chunks) == 5
    assert (chunks[-1].finish, chunks[-1].cost) == ("stop", 0.0)


def test_the_first_key_that_fits_answers_be_it_a_model_or_a_stage():
    with scripted({"c/*": "by pattern", "judge": {"consensus": ["é"]}, "*": "anybody"}):
        said = [text(ask("c/d")), text(ask("a/b", stage="judge")), text(ask("a/b"))]

    assert said == ["by pattern", '{"consensus": ["\\u00e9"]}', "anybody"]


def test_a_list_is_answered_in_turn_and_its_last_entry_repeats():
    with scripted({"*": ["one", "two"]}):
        said = [text(ask()) for _ in range(3)]

    assert said == ["one", "two", "two"]


def test_a_function_sees_the_request():
    with scripted({"*": lambda request: f"{request.model} at {request.temperature}"}) as script:
        said = text(ask(temperature=0.5))

    assert said == "a/b at 0.5"
    assert [request.model for request in script.requests] == ["a/b"]


def test_a_line_says_everything_a_server_would():
    page, usage = Source(url="https://a.org"), Usage(prompt_tokens=1)
    line = Line("Yes.", "Hm.", pieces=1, finish="length", usage=usage, cost=0.5, served="a/b-1", sources=(page,))
    with scripted({"*": line}):
        chunks = ask()

    assert chunks == [
        Chunk(reasoning="Hm.", served="a/b-1"),
        Chunk(text="Yes.", served="a/b-1"),
        Chunk(finish="length", usage=usage, cost=0.5, served="a/b-1", sources=(page,)),
    ]


def test_a_line_without_a_finish_is_a_broken_stream():
    with scripted({"*": Line("half", finish=None)}), pytest.raises(StreamBroken) as caught:
        ask()

    assert caught.value.retryable


def test_an_error_is_raised_anew_for_each_call():
    failed = RateLimited("Slow down.", status_code=429, retryable=True)
    raised: list[CallError] = []
    with scripted({"*": failed}):
        for _ in range(2):
            with pytest.raises(RateLimited, match="Slow down") as caught:
                ask()
            raised.append(caught.value)

    assert raised[0] is not raised[1]
    assert failed.__traceback__ is None
    assert raised[0].status_code == 429


def test_an_error_may_come_after_some_text():
    with scripted({"*": Line("half", error=CallError("Gone."))}) as script, pytest.raises(CallError, match="Gone"):
        ask()

    assert len(script.requests) == 1


@pytest.mark.parametrize("answers", [{}, {"other": "x"}, {"*": []}])
def test_a_call_the_script_has_no_line_for_is_a_call_error(answers):
    with scripted(answers), pytest.raises(CallError, match="script"):
        ask()


def test_scripts_nest_and_each_ends_with_its_block():
    with scripted({"*": "outer"}):
        with scripted({"*": "inner"}):
            inner = text(ask())
        outer = text(ask())

    assert (inner, outer, installed()) == ("inner", "outer", None)


def test_while_a_script_answers_no_key_is_needed():
    with scripted({"*": "Hello"}):
        asyncio.run(Providers().make_ready(NOWHERE, print))


def test_timings_are_kept():
    async def order() -> list[str]:
        done: list[str] = []

        async def one(model: str) -> None:
            async for _ in Providers().stream(ChatRequest(NOWHERE, model, (), 10)):
                pass
            done.append(model)

        async with asyncio.TaskGroup() as group:
            group.create_task(one("slow"))
            group.create_task(one("quick"))
        return done

    with scripted({"slow": Line("x", first_token=0.02, gap=0.005), "quick": "x"}):
        assert asyncio.run(order()) == ["quick", "slow"]
