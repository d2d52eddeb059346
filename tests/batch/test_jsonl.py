"""A file has one model and no more than fits; its price is half of every part that is known."""

from __future__ import annotations

import asyncio
import json

from fusion_magic.batch.half_price import halved
from fusion_magic.batch.jsonl import MOST_BYTES, MOST_LINES, Line, entries_in, files_of, line_of
from fusion_magic.endpoints import Endpoint
from fusion_magic.prices import FREE, UNKNOWN, Override, Price
from fusion_magic.providers import ChatRequest

OPENAI = Endpoint(name="openai", base_url="https://api.openai.com/v1")


def asking(text: str = "Why?", model: str = "m", tokens: int = 100) -> ChatRequest:
    return ChatRequest(OPENAI, model, ({"role": "user", "content": text},), tokens, effort="low")


def in_loop(*requests: ChatRequest, whole: int = 100) -> list[Line]:
    async def main() -> list[Line]:
        lines: dict[str, Line] = {}
        for request in requests:
            line = line_of(request, whole, lines)
            lines[line.id] = line
        return list(lines.values())

    return asyncio.run(main())


def test_a_line_is_the_call_without_streaming():
    (line,) = in_loop(asking("Warum – „so“?"))

    assert json.loads(line.data) == {
        "custom_id": line.id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "m",
            "messages": [{"role": "user", "content": "Warum – „so“?"}],
            "max_completion_tokens": 100,
            "reasoning_effort": "low",
        },
    }
    assert len(line.id) <= 64
    assert line.data.count(b"\n") == 1


def test_the_same_call_has_the_same_id_in_another_process_whatever_a_budget_left_it():
    (first,), (second,) = in_loop(asking()), in_loop(asking(tokens=50))
    one, other = in_loop(asking(), asking())

    assert first.id == second.id == one.id
    assert other.id != one.id
    assert first.id not in {line.id for line in in_loop(asking("Else?"), asking(model="n"))}


def test_a_file_has_one_model_and_no_more_lines_and_bytes_than_fit():
    (line,) = in_loop(asking())
    (big,) = in_loop(asking("x"))
    big.data = b"x" * (MOST_BYTES // 2)
    (other,) = in_loop(asking(model="n"))

    assert [len(file) for file in files_of([line] * (MOST_LINES + 1))] == [MOST_LINES, 1]
    assert [len(file) for file in files_of([big] * 5)] == [2, 2, 1]
    assert [len(file) for file in files_of([line, other, line])] == [2, 1]
    assert list(files_of([])) == []


def test_of_a_file_only_lines_that_are_asked_for_and_can_be_read_are_taken():
    content = b'{"custom_id": "a", "n": 1}\n\nnot JSON\n[]\n{"custom_id": "b"}\n{"custom_id": 5}\n{"custom_id": "c"}'

    assert entries_in(content, frozenset("ac")) == {"a": {"custom_id": "a", "n": 1}, "c": {"custom_id": "c"}}


def test_half_of_every_price_that_is_known():
    price = Price(4.0, 8.0, input_cache_read=1.0, web_search=0.01, overrides=(Override(above=5, prompt=6.0),))

    half = Price(2.0, 4.0, input_cache_read=0.5, web_search=0.01, overrides=(Override(above=5, prompt=3.0),))
    assert halved(price) == half
    assert (halved(UNKNOWN), halved(FREE)) == (UNKNOWN, FREE)
