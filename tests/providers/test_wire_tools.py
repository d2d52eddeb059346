"""What servers send for tools: calls, signed reasoning to send back, tools they ran themselves, quotes."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic.providers import Chunk, ServerUse
from fusion_magic.providers.wire import ChunkReader

CALL = [{"index": 0, "id": "1", "function": {"name": "look", "arguments": "{}"}}]


def read(*deltas: dict[str, Any], usage: Any = None) -> list[Chunk]:
    """The chunks of a stream with these deltas, the last of which ends it."""
    reader = ChunkReader()
    finishes = [*[None] * (len(deltas) - 1), "tool_calls"]
    frames = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in zip(deltas, finishes, strict=True)
    ]
    frames[-1] |= {"usage": usage} if usage else {}
    return [chunk for frame in frames if (chunk := reader.read(frame))]


def detail(**more: Any) -> dict[str, Any]:
    return {"reasoning_details": [{"type": "reasoning.text", "index": 0, **more}]}


def test_reasoning_in_pieces_goes_back_as_one_block_with_its_signature():
    *_, last = read(detail(text="Let me "), detail(text="look."), detail(signature="c2ln"), {"tool_calls": CALL})

    block = {"type": "reasoning.text", "index": 0, "text": "Let me look.", "signature": "c2ln"}
    assert last.echo == {"reasoning_details": [block]}


def test_blocks_of_different_index_or_kind_stay_apart():
    encrypted = {"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "data": "eA=="}]}

    *_, last = read(detail(text="One."), encrypted, detail(index=1, text="Two."), {"tool_calls": CALL})

    kinds = [(block["type"], block["index"]) for block in last.echo["reasoning_details"]]
    assert kinds == [("reasoning.text", 0), ("reasoning.encrypted", 0), ("reasoning.text", 1)]


def test_a_signature_of_null_does_not_wipe_out_what_came():
    *_, last = read(detail(text="One.", signature="c2ln"), detail(text=None, signature=None), {"tool_calls": CALL})

    assert last.echo["reasoning_details"][0] == {
        "type": "reasoning.text",
        "index": 0,
        "text": "One.",
        "signature": "c2ln",
    }


def test_reasoning_content_goes_back_under_its_own_name():
    *_, last = read({"reasoning_content": "Hm, "}, {"reasoning_content": "so."}, {"tool_calls": CALL})

    assert last.echo == {"reasoning_content": "Hm, so."}


def test_a_server_that_shows_no_reasoning_gets_nothing_back():
    *_, last = read({"content": "Hm."}, {"tool_calls": CALL})

    assert last.echo == {}


def test_tools_that_the_server_ran_are_told_once():
    use = {"type": "reasoning.server_tool_call", "tool_name": "openrouter:web_fetch", "arguments": "{}", "result": "x"}

    found = read({"reasoning_details": [use]}, {"content": "So."})

    assert [chunk.server_uses for chunk in found] == [(ServerUse("openrouter:web_fetch", "{}", "x"),), ()]


@pytest.mark.parametrize("name", ["server_tool_use_details", "server_tool_use"])
def test_searches_are_counted_under_either_name(name: str):
    (chunk,) = read({"content": "So."}, usage={"prompt_tokens": 1, name: {"web_search_requests": 3}})

    assert chunk.usage is not None
    assert chunk.usage.web_searches == 3


@pytest.mark.parametrize("nested", [True, False])
def test_a_citation_brings_what_it_quotes_but_not_all_of_a_long_page(nested: bool):
    cited = {"url": "https://a.example/x", "title": "X", "content": "y" * 5000}
    note = {"type": "url_citation", **({"url_citation": cited} if nested else cited)}

    (chunk,) = read({"annotations": [note]})

    (quote,) = chunk.sources[0].quotes
    assert 0 < len(quote) <= 400


@pytest.mark.parametrize("junk", [None, 3, "x", [None], [{"type": 5, "text": {}}], [{"index": []}], [[1]]])
def test_reasoning_details_of_another_shape_are_no_error(junk: Any):
    *_, last = read({"reasoning_details": junk}, {"reasoning_details": junk}, {"tool_calls": CALL})

    assert last.tool_calls[0].name == "look"
