"""What the server sends is what OpenRouter and the local servers send: held against schema and facts."""

from __future__ import annotations

import json

import httpx
import pytest

from servers.asking import TEXT, body, chunks, deltas, events, post, text
from servers.openrouter import Broken, Fault, Reply, context_exceeded, llama_cpp, lm_studio, ollama

CITATION = {"url": "https://example.org/a", "title": "A", "content": "…", "start_index": 0, "end_index": 4}
CALLS = [
    ("call_1", "search", '{"query": "tide tables Sylt"}'),
    ("call_2", "read", '{"url": "https://a.b/c"}'),
]
GOOD = {
    "plain text": Reply(TEXT),
    "empty": Reply(""),
    "one delta": Reply(TEXT, chunks=1),
    "one delta a character": Reply(TEXT, chunks=10_000),
    "reasoning": Reply(TEXT, reasoning="First the tide, then the dike."),
    "null first": Reply(TEXT, null_first_content=True),
    "annotations": Reply(TEXT, annotations=[CITATION]),
    "tool calls": Reply("", tool_calls=CALLS),
    "length": Reply(TEXT, finish="length", native_finish="max_tokens"),
    "no finish": Reply(TEXT, finish=None, native_finish=None),
    "comments": Reply(TEXT, comments=True),
    "unknown fields": Reply(TEXT, unknown_fields=True),
    "crlf": Reply(TEXT, crlf=True),
    "single bytes": Reply(TEXT, split_bytes=1, comments=True),
    "seven bytes and crlf": Reply(TEXT, split_bytes=7, crlf=True, unknown_fields=True),
    "usage beside a choice": Reply(TEXT, usage_with_choice=True),
    "served": Reply(TEXT, served="openai/gpt-5.5-20260423", provider="Azure", cost=0.25),
    "llama.cpp": llama_cpp(TEXT, reasoning="Hm."),
    "ollama": ollama(TEXT),
}


@pytest.mark.parametrize("reply", GOOD.values(), ids=GOOD)
def test_every_chunk_and_usage_is_valid_and_the_text_arrives_whole(server, schema, reply):
    server.reply("*", reply)

    stream = chunks(server)

    for chunk in stream:
        schema(chunk, "ChatStreamChunk")
    assert text(stream) == reply.text
    assert server.requests[0].finished


@pytest.mark.parametrize("reply", GOOD.values(), ids=GOOD)
def test_the_answer_to_a_request_without_stream_is_a_valid_chat_result(server, schema, reply):
    server.reply("*", reply)

    result = post(server, stream=False).json()

    schema(result, "ChatResult")
    assert (result["choices"][0]["message"]["content"] or "") == reply.text


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 524, 529])
def test_an_error_before_the_first_token_is_plain_json_that_repeats_the_status(server, schema, status):
    server.reply("*", Fault(status))

    response = post(server)

    error = response.json()["error"]
    schema(error["metadata"]["error_type"], "ApiErrorType")
    assert (response.status_code, error["code"]) == (status, status)
    assert isinstance(error["message"], str)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-generation-id"] == server.requests[0].id


def test_a_mid_stream_error_is_a_valid_chunk_that_ends_the_stream(server, schema):
    server.reply("*", Broken(Reply(TEXT), after=2, kind="error"))

    stream = events(server)

    last = json.loads(stream[-1])
    schema(last, "ChatStreamChunk")
    assert last["error"]["code"] == 502
    assert last["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
    assert len(stream) == 3
    assert not server.requests[0].finished


def test_the_catalogue_is_valid_and_prices_are_strings_per_token(server, schema):
    listed = httpx.get(f"{server.base_url}/models").json()

    by_id = {entry["id"]: entry for entry in listed["data"]}
    for entry in by_id.values():
        schema(entry, "Model")
    assert by_id["openrouter/fusion"]["pricing"]["prompt"] == "-1"
    alias = by_id["~anthropic/claude-opus-latest"]
    assert alias["pricing"] == by_id[alias["alias_target"]["slug"]]["pricing"]
    free = [slug for slug in by_id if slug.endswith(":free")]
    assert (len(free), len({slug.split("/")[0] for slug in free})) == (4, 3)


def test_router_metadata_comes_only_when_asked_for(server, schema):
    server.reply("*", Reply(TEXT))
    url, headers = f"{server.base_url}/chat/completions", {"X-OpenRouter-Metadata": "enabled"}

    asked = httpx.post(url, json=body(stream=False), headers=headers).json()
    unasked = httpx.post(url, json=body(stream=False)).json()

    schema(asked["openrouter_metadata"], "OpenRouterMetadata")
    assert "openrouter_metadata" not in unasked


def test_usage_comes_once_in_the_last_chunk_with_no_choices_and_the_catalogue_s_price(server):
    server.reply("*", Reply("x" * 400))

    stream = events(server)

    used = [json.loads(data) for data in stream if '"usage"' in data]
    usage = used[0]["usage"]
    assert len(used) == 1
    assert stream[-1] == "[DONE]"
    assert json.loads(stream[-2])["choices"] == []
    assert usage["completion_tokens"] == 100
    assert usage["cost"] == pytest.approx(usage["prompt_tokens"] * 5e-6 + 100 * 3e-5)
    assert server.requests[0].usage == usage


def test_an_alias_is_answered_with_the_concrete_model(server):
    server.reply("*", Reply(TEXT))

    stream = chunks(server, model="~openai/gpt-sol-latest")

    assert {chunk["model"] for chunk in stream} == {"openai/gpt-5.5"}


def test_reasoning_comes_first_both_as_text_and_as_details(server):
    server.reply("*", Reply(TEXT, reasoning="First the tide, then the dike."))

    stream = deltas(chunks(server))

    thought = [delta for delta in stream if "reasoning" in delta]
    assert stream[: len(thought)] == thought
    assert "".join(delta["reasoning"] for delta in thought) == "First the tide, then the dike."
    assert all(delta["reasoning_details"][0]["text"] == delta["reasoning"] for delta in thought)


def test_tool_call_arguments_come_in_pieces_that_only_the_index_joins(server):
    server.reply("*", Reply("", tool_calls=CALLS))

    stream = chunks(server)

    joined: dict[int, list[str]] = {}
    for delta in deltas(stream):
        for call in delta.get("tool_calls", []):
            slot = joined.setdefault(call["index"], ["", "", ""])
            parts = (
                call.get("id", ""),
                call["function"].get("name", ""),
                call["function"].get("arguments", ""),
            )
            joined[call["index"]] = [a + b for a, b in zip(slot, parts, strict=True)]
    assert [tuple(joined[index]) for index in sorted(joined)] == CALLS
    assert stream[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_annotations_are_nested_url_citations(server):
    server.reply("*", Reply(TEXT, annotations=[CITATION]))

    found = [delta["annotations"] for delta in deltas(chunks(server)) if "annotations" in delta]

    assert found == [[{"type": "url_citation", "url_citation": CITATION}]]


def test_comments_come_before_the_first_token_and_between_tokens(server):
    server.reply("*", Reply(TEXT, comments=True, comment_every=0.02, first_token=0.1))

    lines = post(server).text.split("\n\n")

    first = next(n for n, line in enumerate(lines) if line.startswith("data:"))
    assert lines[:first] == [": OPENROUTER PROCESSING"] * 5
    assert ": OPENROUTER PROCESSING" in lines[first:]


def test_small_pieces_cut_characters_and_event_boundaries(server):
    server.reply("*", Reply(TEXT, split_bytes=1))

    with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body()) as response:
        pieces = list(response.iter_raw())

    assert {len(piece) for piece in pieces} == {1}
    assert b"".join(pieces) == server.requests[0].response


def test_crlf_ends_every_line(server):
    server.reply("*", Reply(TEXT, crlf=True, comments=True))

    raw = post(server).content

    assert raw.count(b"\r\n") == raw.count(b"\n") > 0


def test_a_reply_can_leave_out_usage_and_the_done_line(server):
    server.reply("*", Reply(TEXT, usage=None, done=False))

    stream = events(server)

    assert json.loads(stream[-1])["choices"][0]["finish_reason"] == "stop"
    assert server.requests[0].usage is None


def test_an_unknown_slug_is_a_400_and_an_unknown_route_a_404(server):
    url = server.base_url

    unknown, lost = post(server, "vendor/none"), httpx.get(f"{url}/nowhere")

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, 400)
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, 404)


def test_a_wrong_key_is_a_401_on_every_route(server):
    server.key = "sk-or-test-right"
    server.reply("*", Reply(TEXT))

    wrong = httpx.get(f"{server.base_url}/key", headers={"Authorization": "Bearer sk-or-test-wrong"})
    right = httpx.get(f"{server.base_url}/key", headers={"Authorization": "Bearer sk-or-test-right"})

    assert wrong.json()["error"]["metadata"] == {"error_type": "authentication"}
    assert wrong.status_code == post(server).status_code == 401
    assert set(right.json()["data"]) == {"label", "limit", "limit_remaining", "usage", "is_free_tier"}


def test_a_fault_says_when_to_come_back_and_may_echo_the_key(server):
    server.reply("*", Fault(429, retry_after=0.05, echo_key=True, headers={"X-RateLimit-Limit": "20"}))

    headers = {"Authorization": "Bearer sk-or-test-1"}
    response = httpx.post(f"{server.base_url}/chat/completions", json=body(), headers=headers)

    assert response.headers["retry-after"] == "0.05"
    assert response.headers["x-ratelimit-limit"] == "20"
    assert "sk-or-test-1" in response.json()["error"]["message"]


def test_a_proxy_s_page_is_sent_as_it_is(server):
    server.reply("*", Fault(502, body=b"<html>Bad gateway</html>"))

    response = post(server)

    assert response.content == b"<html>Bad gateway</html>"
    assert response.headers["content-type"] == "text/html"


@pytest.mark.parametrize("make", [llama_cpp, ollama])
def test_a_local_server_sends_usage_only_if_asked_and_never_a_price(server, make):
    server.reply("*", make("Hello there."))

    silent = chunks(server)
    asked = chunks(server, stream_options={"include_usage": True})

    assert not any("usage" in chunk for chunk in silent)
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(asked[-1]["usage"])
    assert "cost" not in asked[-1]["usage"]
    assert "provider" not in asked[0]


def test_llama_cpp_begins_with_null_and_thinks_in_reasoning_content(server):
    server.reply("*", llama_cpp("Hello.", reasoning="Hm."))

    stream = deltas(chunks(server))

    assert stream[0] == {"role": "assistant", "content": None}
    assert stream[1] == {"reasoning_content": "Hm."}
    assert stream[-1] == {}


def test_lm_studio_refuses_json_object_with_a_bare_string_and_takes_json_schema(server):
    server.reply("*", lm_studio("{}"))

    refused = post(server, response_format={"type": "json_object"})
    taken = post(server, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}})

    assert (refused.status_code, type(refused.json()["error"])) == (400, str)
    assert taken.status_code == 200


def test_a_server_may_answer_a_stream_request_with_one_body(server):
    server.reply("*", Reply(TEXT, plain=True))

    response = post(server)

    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["content"] == TEXT


def test_a_context_overflow_is_llama_cpp_s_own_400(server):
    server.reply("*", context_exceeded(prompt=5031, context=2048))

    response = post(server)

    error = response.json()["error"]
    assert (response.status_code, error["type"], error["n_ctx"]) == (400, "exceed_context_size_error", 2048)


def test_a_recorded_usage_chunk_with_an_empty_choice_can_be_sent(server):
    server.reply("*", Reply(TEXT, usage_with_choice=True))

    last = chunks(server)[-1]

    assert last["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0]["finish_reason"] is None
    assert last["usage"]


def test_an_empty_string_may_stand_for_no_finish_reason(server):
    server.reply("*", ollama(TEXT, blank_finish=True))

    stream = chunks(server)

    assert {chunk["choices"][0]["finish_reason"] for chunk in stream[:-1]} == {""}
    assert stream[-1]["choices"][0]["finish_reason"] == "stop"
