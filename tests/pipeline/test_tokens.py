"""Tokens are counted without a tokenizer: near enough, in any script, and never as the characters of a picture."""

from __future__ import annotations

import pytest

from fusion_magic.pipeline.tokens import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    PAGE_CHARACTERS,
    PAGE_TOKENS,
    text_tokens,
    tokens_of,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("abcdefgh", 2),
        ("abcdefghi", 3),
        ("12345678", 4),
        ("éééé", 2),
        ("大型语言模型", 6),
        ("๑๒๓", 3),
        ("😀😀", 4),
        ("ab12é大😀", 5),
        ("\ud800", 1),
        ("a\x00b", 1),
    ],
)
def test_a_text_is_counted_by_the_bytes_of_its_characters(text: str, tokens: int):
    assert text_tokens(text) == tokens


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        # cl100k's own count of these sentences.
        ("Why do estimates of difference in differences with staggered adoption go wrong, and what mends them?", 20),
        ("Ein Gremium großer Sprachmodelle beantwortet die Frage gleichzeitig, und jedes Modell darf rechnen.", 27),
        ("def total(calls):\n    return sum(call.cost for call in calls if call.cost is not None)\n", 21),
        ("大型语言模型由一个评审小组并行回答问题", 18),
    ],
)
def test_a_count_is_within_half_of_a_tokenizer_s(text: str, counted: int):
    assert counted / 1.5 <= text_tokens(text) <= counted * 1.5


def test_a_picture_counts_as_a_picture_and_a_pdf_by_its_pages():
    url = "data:image/png;base64," + "A" * 500_000
    content = [
        {"type": "text", "text": "abcd"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "A" * (PAGE_CHARACTERS + 1)}},
    ]

    tokens = tokens_of([{"role": "user", "content": content}])

    assert tokens == MESSAGE_TOKENS + 1 + IMAGE_TOKENS + 2 * PAGE_TOKENS


def test_tool_calls_tools_and_schema_are_counted():
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"arguments": "x" * 400}}]}
    tool = {"type": "function", "function": {"name": "look", "description": "y" * 400}}

    plain, full = tokens_of([said]), tokens_of([said], [tool], {"type": "json_object"})

    assert plain > 100
    assert full > plain + 100
