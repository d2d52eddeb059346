"""What servers send becomes chunks, however it is cut and whatever shape it has."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.endpoints import Endpoint
from fusion_magic.providers import Chunk, ToolCall
from fusion_magic.providers.joiners import ThinkSplitter
from fusion_magic.providers.wire import ChunkReader, error_in, model_info
from fusion_magic.results import Source, Usage

TEXTS = st.text(alphabet="<>/think \nab", max_size=40) | st.sampled_from(
    [
        "<think>Hm.</think>\n\nYes.",
        " \n<think>a</think>b",
        "<think>open",
        "<thin",
        "no <think>x</think>",
        "<think></think>",
    ]
)


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def read(*objects: dict[str, Any]) -> list[Chunk]:
    reader = ChunkReader()
    return [found for found in map(reader.read, objects) if found]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def reasoning(chunks: list[Chunk]) -> str:
    return "".join(chunk.reasoning for chunk in chunks)


def split(pieces: list[str]) -> tuple[str, str]:
    splitter = ThinkSplitter()
    fed = [*(splitter.feed(piece) for piece in pieces), splitter.flush()]
    return "".join(text for text, _ in fed), "".join(thought for _, thought in fed)


@given(TEXTS, st.lists(st.integers(0, 40), max_size=8))
def test_a_thought_is_split_off_the_same_wherever_the_stream_is_cut(whole, cuts):
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]

    assert split(pieces) == split([whole])


@given(st.text(max_size=40).filter(lambda text: not text.lstrip().startswith("<")))
def test_text_without_a_thought_passes_unchanged(whole):
    assert split([whole]) == (whole, "")


def test_a_leading_think_block_is_reasoning_and_the_line_breaks_after_it_are_dropped():
    assert split(["<think>Hm.</think>", "\n\n", "Yes."]) == ("Yes.", "Hm.")


def test_a_thought_that_never_ends_is_reasoning_not_text():
    assert split(["<think>On and on"]) == ("", "On and on")


@given(st.text(min_size=1, max_size=20), st.data())
def test_characters_cut_into_utf_16_halves_arrive_whole(whole, data):
    halves = whole.encode("utf-16-le", "surrogatepass")
    units = [halves[n : n + 2].decode("utf-16-le", "surrogatepass") for n in range(0, len(halves), 2)]

    chunks = read(*(chunk({"content": unit}) for unit in units), chunk(finish="stop"))

    assert text(chunks) == whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert text(chunks).encode()


def test_half_a_character_whose_other_half_never_comes_is_replaced():
    chunks = read(chunk({"content": "a\ud83e"}), chunk({"content": "b", "reasoning": "c\udd8a"}, "stop"))

    assert (text(chunks), reasoning(chunks)) == ("a\ufffdb", "c\ufffd")


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm."},
        {"reasoning": None, "reasoning_content": "", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}, {"type": "reasoning.encrypted"}]},
        {"content": "<think>Hm.</think>"},
    ],
    ids=["reasoning", "reasoning_content", "details", "summary", "think"],
)
def test_reasoning_in_each_form_is_kept_apart_from_the_text(delta):
    chunks = read(chunk(delta), chunk({"content": "Yes."}, "stop"))

    assert (text(chunks), reasoning(chunks)) == ("Yes.", "Hm.")


def test_reasoning_sent_both_plain_and_in_details_counts_once():
    chunks = read(chunk({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}))

    assert reasoning(chunks) == "Hm."


@pytest.mark.parametrize(
    "content", ["Yes.", [{"type": "text", "text": "Ye"}, {"type": "text", "text": "s."}, "x", {"type": "image"}]]
)
def test_content_is_a_string_or_a_list_of_parts(content):
    assert text(read(chunk({"content": content}, "stop"))) == "Yes."


def test_a_refusal_is_an_answer_in_words():
    assert text(read(chunk({"content": None, "refusal": "I can't."}, "stop"))) == "I can't."


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("abort", "error"),
        ("insufficient_system_resource", "error"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("tool_calls", "tool_calls"),
        ("a_new_word", "a_new_word"),
    ],
)
def test_a_finish_reason_is_passed_on_in_openai_s_words(said, finish):
    assert read(chunk(finish=said))[-1].finish == finish


@pytest.mark.parametrize("said", [None, "", 7, {}])
def test_what_is_no_word_is_no_finish_reason(said):
    reader = ChunkReader()

    reader.read(chunk(finish=said))

    assert not reader.finished


def test_an_answer_that_the_server_broke_off_is_not_finished():
    reader = ChunkReader()

    reader.read(chunk(finish="error"))

    assert (reader.finished, reader.broken_off) == (False, True)


def call(index: int | None, given: str | None = None, name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    return {"index": index, "id": given, "function": {"name": name, "arguments": arguments}}


def tools(*deltas: dict[str, Any]) -> tuple[ToolCall, ...]:
    return read(*(chunk({"tool_calls": [delta]}) for delta in deltas), chunk(finish="tool_calls"))[-1].tool_calls


def test_tool_call_arguments_are_joined_by_index():
    made = tools(
        call(0, "a", "f"),
        call(1, "b", "g"),
        call(0, None, None, '{"x"'),
        call(1, None, None, "{}"),
        call(0, arguments=":1}"),
    )

    assert made == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))


@pytest.mark.parametrize("index", [0, None])
def test_a_new_id_begins_a_new_call_where_the_index_does_not(index):
    made = tools(call(index, "a", "f", "{}"), call(index, "b", "g", {"x": 1}))

    assert made == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"x": 1}'))


def test_citations_are_read_nested_and_flat_and_only_web_addresses_count():
    annotations = [
        {"type": "url_citation", "url_citation": {"url": "https://a.org", "title": "A"}},
        {"type": "url_citation", "url": "http://b.org", "title": None},
        {"url": "javascript:alert(1)"},
        {"url": 7},
        "nonsense",
    ]

    found = read(chunk({"annotations": annotations}))[0].sources

    assert found == (Source(url="https://a.org", title="A"), Source(url="http://b.org"))


def test_usage_comes_with_empty_choices_or_beside_an_empty_choice():
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "cost": 0.25,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }

    alone, beside = read({"choices": [], "usage": usage}, chunk({"content": ""}, usage=usage))

    assert (
        alone.usage == beside.usage == Usage(prompt_tokens=3, completion_tokens=5, reasoning_tokens=4, cached_tokens=2)
    )
    assert alone.cost == beside.cost == 0.25


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"prompt_tokens": None, "completion_tokens": None}])
def test_usage_that_says_nothing_is_unknown_and_not_zero(usage):
    assert read(chunk({"content": "a"}, usage=usage))[0].usage is None


def test_usage_with_nulls_and_nonsense_keeps_the_numbers_it_has():
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": "many",
        "prompt_tokens_details": None,
        "completion_tokens_details": [],
    }

    assert read(chunk(usage=usage))[0].usage == Usage(prompt_tokens=3)


@pytest.mark.parametrize("cost", [None, "x", -1, float("nan"), True, {}])
def test_a_cost_that_is_no_amount_is_unknown(cost):
    assert read(chunk(usage={"prompt_tokens": 1, "cost": cost}))[0].cost is None


def test_with_a_key_of_one_s_own_the_provider_s_charge_is_part_of_the_cost():
    paid = {"prompt_tokens": 1, "cost": 0.01, "is_byok": True}

    known, unknown = read(chunk(usage={**paid, "cost_details": {"upstream_inference_cost": 0.5}}), chunk(usage=paid))

    assert (known.cost, unknown.cost) == (0.51, None)


def test_a_chunk_without_choices_and_usage_brings_nothing():
    assert read({"choices": [], "debug": {}}, {}, {"choices": None}) == []


def test_a_whole_completion_reads_as_one_chunk():
    data = {
        "id": "g1",
        "model": "m",
        "choices": [{"message": {"content": "Yes.", "reasoning": "Hm."}, "finish_reason": "stop"}],
    }

    assert read(data) == [Chunk("Yes.", "Hm.", served="m", request_id="g1", finish="stop")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["content", "reasoning", "reasoning_details", "annotations", "tool_calls", "refusal"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON, JSON, JSON)
def test_no_shape_of_json_stops_the_reader(delta, finish, usage, other):
    odd = {"choices": [{"delta": delta, "finish_reason": finish}], "usage": usage, "model": other, "id": other}

    read(odd, {"choices": other}, {"choices": [other]}, {"choices": [{"delta": other}], "usage": {"cost": other}})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"error": {"code": 502}}, {"code": 502}),
        ({"error": "down"}, "down"),
        ({"error": None, "choices": []}, None),
        ({"object": "error", "message": "no"}, {"object": "error", "message": "no"}),
        ({"choices": [{"finish_reason": "error", "error": {"code": 429}}]}, {"code": 429}),
        (chunk({"content": "a"}), None),
    ],
)
def test_an_error_is_found_in_each_place_servers_put_it(data, error):
    assert error_in(data) == error


# -- catalogues -------------------------------------------------------------------------------------------

REMOTE = Endpoint(name="work", base_url="https://llm.example/v1")


def test_an_entry_says_what_a_model_reads_and_writes():
    architecture = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}

    seeing = model_info({"id": "a/b", "architecture": architecture}, REMOTE)

    assert (seeing.inputs, seeing.outputs) == ({"text", "image"}, {"text"})


@pytest.mark.parametrize("architecture", [None, "text->text", {}, {"input_modalities": None, "output_modalities": "x"}])
def test_an_entry_that_does_not_say_so_leaves_it_open(architecture: Any):
    bare = model_info({"id": "a/b", "architecture": architecture}, REMOTE)

    assert (bare.inputs, bare.outputs, bare.parameters) == (None, None, None)
