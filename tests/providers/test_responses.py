"""Reading OpenRouter's Responses API: events in odd orders, names and shapes, and what the last chunk keeps."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic.endpoints import builtin_endpoints
from fusion_magic.providers import ChatRequest, Chunk, Inner
from fusion_magic.providers.responses import ResponsesReader, body_of, told_again

FUSION = {"type": "openrouter:fusion", "status": "completed"}
ENDED = {"type": "response.completed", "response": {"object": "response", "status": "completed", "output": []}}


def inner(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.fusion_call.{kind}", **more}


def item(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{kind}", "item": {**FUSION, **more}}


def read(*events: dict[str, Any]) -> tuple[list[Inner], list[Chunk], ResponsesReader]:
    reader = ResponsesReader()
    chunks = [chunk for event in events if (chunk := reader.read(event))]
    return [told for chunk in chunks for told in chunk.inner], chunks, reader


def test_a_text_that_comes_whole_is_read_once():
    pieces = [
        {"type": "response.output_text.delta", "delta": "Half "},
        {"type": "response.output_text.done", "text": "Half "},
    ]
    whole = [{"type": "response.output_text.done", "text": "and half."}]

    _, chunks, _ = read(*pieces, *whole, ENDED)

    assert "".join(chunk.text for chunk in chunks) == "Half and half."


def test_a_fusion_that_is_not_announced_begins_with_its_first_event():
    told, _, _ = read({"type": "response.output_text.delta", "delta": "I ask."}, inner("panel.added", model="a"))

    assert [(one.kind, one.text) for one in told] == [("began", "I ask."), ("asked", "")]


def test_an_item_under_full_names_does_not_repeat_what_events_told_under_aliases():
    events = [inner("panel.added", model="~a/latest"), inner("panel.completed", model="~a/latest", content="Yes.")]

    told, _, _ = read(*events, item("done", responses=[{"model": "a/one-4", "content": "Yes."}]))

    assert [one.kind for one in told] == ["began", "asked", "answered", "ended"]


def test_an_item_adds_the_seats_that_events_left_out():
    events = [inner("panel.completed", model="a", content="Yes.")]
    brought = item(
        "done", responses=[{"model": "a", "content": "Yes."}], failed_models=[{"model": "b", "error": "No."}]
    )

    told, _, _ = read(*events, brought)

    assert [(one.kind, one.model) for one in told] == [("began", ""), ("answered", "a"), ("failed", "b"), ("ended", "")]


@pytest.mark.parametrize("seats", [1, 2])
def test_pieces_are_told_while_only_one_seat_of_the_model_is_asked(seats: int):
    added = [inner("panel.added", model="a")] * seats

    told, chunks, _ = read(
        *added, inner("panel.delta", model="a", delta="x"), inner("panel.completed", model="a", content="x")
    )

    assert ("wrote" in [one.kind for one in told]) == (seats == 1)
    assert told[-1] == Inner("answered", "a", "x")
    assert len(chunks) == seats + 2  # what is left out still says that the server works


def test_the_last_chunk_keeps_what_happened_but_for_the_pieces():
    page = {"url": "https://a.org", "title": "A"}
    events = [
        inner("panel.added", model="a"),
        inner("panel.reasoning.delta", model="a", delta="Hm."),
        inner("panel.delta", model="a", delta="Yes."),
        inner("panel.completed", model="a", content="Yes."),
        item("done", sources=[page, {"url": "javascript:x", "title": ""}]),
    ]

    told, chunks, reader = read(*events, ENDED)

    again = told_again(chunks[-1].server_uses[0])
    assert again == [one for one in told if one.kind in ("began", "answered", "ended")]
    assert again[1].reasoning == "Hm."
    assert [source.url for source in again[2].sources] == ["https://a.org"]
    assert reader.finished


def test_a_key_of_ones_own_at_the_provider_is_paid_on_top():
    usage = {"input_tokens": 1, "output_tokens": 2, "cost": 0.1, "is_byok": True}
    response = {**ENDED["response"], "usage": {**usage, "cost_details": {"upstream_inference_cost": 0.4}}}

    _, chunks, _ = read({"type": "response.completed", "response": response})

    assert chunks[-1].cost == 0.5


@pytest.mark.parametrize("event", [{}, {"type": 3}, {"type": "response.fusion_call.panel.completed"}, {"item": []}])
def test_odd_events_do_no_harm(event: dict[str, Any]):
    _, _, reader = read(event, ENDED)

    assert reader.finished
    assert not reader.error_in(event)


def test_the_body_has_only_what_was_chosen():
    endpoint = builtin_endpoints()["openrouter"]
    request = ChatRequest(endpoint, "openrouter/fusion", ({"role": "user", "content": "Why?"},), 9, "hosted")

    assert body_of(request) == {
        "model": "openrouter/fusion",
        "input": [{"type": "message", "role": "user", "content": "Why?"}],
        "max_output_tokens": 9,
        "stream": True,
        "store": False,
    }
