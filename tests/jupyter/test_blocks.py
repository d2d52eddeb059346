"""Cutting Markdown into finished parts while it is being written."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fusion_magic.jupyter.live.blocks import CUT_OFF, MAX_PART, SHARE, TEXT_AT_MOST, Parts, Text
from fusion_magic.jupyter.markup import to_html

from .hostile import HOSTILE
from .pages import Page

LINES = [
    "# Title",
    "word",
    "more *words*",
    "- a",
    "  b",
    "    c",
    "1. x",
    "10. y",
    "---",
    "- - -",
    "> quote",
    "",
    "",
    "",
]
LINES += ["```", "```py", "````", "~~~", "  ```", "- ```", "| a | b |", "|---|---|", " ", "\t", "2)", "-", "*", "12"]
LINES += ["**bold**", "x" * 300]
documents = st.lists(st.sampled_from(LINES), max_size=40).map("\n".join)
CODE = "```py\na = 1\n\n\nb = 2\n```\n\n"


def parts_of(text: str, *cuts: int) -> list[str]:
    """The parts and the rest of a text that arrives cut at these places."""
    parts, arriving = list[str](), Parts()
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(places):
        parts += arriving.add(text[start:end])
    return [*parts, arriving.rest]


def drawn(text: Text) -> list[dict[str, object]]:
    """Everything that a text has to tell until it has nothing more."""
    return list(iter(text.take, {}))


@given(documents, st.lists(st.integers(0, 10_000), max_size=20))
@example("- a\n\n1", [7])
@example("a\n\n\n\nb", [3, 4, 5])
def test_the_parts_do_not_depend_on_how_the_text_arrives(text: str, cuts: list[int]) -> None:
    whole, by_character, in_pieces = parts_of(text), parts_of(text, *range(len(text))), parts_of(text, *cuts)

    assert in_pieces == whole
    assert by_character == whole
    assert "".join(whole) == text


@given(documents)
@example("- a\n\n- b\n\nc")
@example("- a\n\n  ```\n  x\n\n  y\n  ```\n\nz")
@example("10. a\n   ```\n\nb\n   ```\n\nc")
@example("    code\n\n    code\n\na")
def test_parts_rendered_one_by_one_are_the_whole_rendered_at_once(text: str) -> None:
    parts = parts_of(text)

    assert "".join(to_html(part) for part in parts) == to_html(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("# Title\n\nOne\ntwo\n\nThree", ["# Title\n\n", "One\ntwo\n\n", "Three"]),
        (CODE + "Then", [CODE, "Then"]),
        ("- a\n\n- b\n\n  more\n\nThen", ["- a\n\n- b\n\n  more\n\n", "Then"]),
        ("Like so:\n\n- a\n- b\n\nThen", ["Like so:\n\n", "- a\n- b\n\n", "Then"]),
        ("| a |\n|---|\n| 1 |\n\nThen", ["| a |\n|---|\n| 1 |\n\n", "Then"]),
        ("\\begin{align}\n- a\n\\end{align}\n\nThen", ["\\begin{align}\n- a\n\\end{align}\n\n", "Then"]),
        ("```\nnever\n\nclosed\n\nbut long", ["```\nnever\n\nclosed\n\nbut long"]),
        ("2\n\n2", ["2\n\n2"]),
        ("2\n\n2 ", ["2\n\n", "2 "]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_part_ends_where_nothing_can_continue_it(text: str, parts: list[str]) -> None:
    assert parts_of(text) == parts


def test_a_part_is_there_with_the_first_letter_behind_it() -> None:
    parts = Parts()

    before = parts.add("One paragraph.\n\n")
    then = parts.add("T")

    assert (before, then) == ([], ["One paragraph.\n\n"])


def test_a_long_text_of_tiny_parts_is_cut_into_a_bounded_number() -> None:
    parts = parts_of("a\n\n" * 20_000)

    assert 100 < len(parts) < SHARE * 8


def test_what_grows_beyond_the_limit_without_an_end_is_left_as_it_is() -> None:
    code = "```\n" + "x\n\n" * MAX_PART

    parts = parts_of("Before\n\n" + code + "```\n\nBehind\n\nit")

    assert parts[0] == "Before\n\n"
    assert len(parts) == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_safely_and_no_more_than_the_limit(name: str) -> None:
    text = Text()
    text.add(HOSTILE[name])
    text.end()

    news = drawn(text)
    page = Page(re.sub(r' (class|style)="[^"]*"', "", "".join(text.html)))

    assert page.forbidden == []
    assert text.rest == ""
    assert len(page.text) <= TEXT_AT_MOST * 1.1
    assert (CUT_OFF in text.html) == (len(HOSTILE[name]) > TEXT_AT_MOST)
    assert not drawn(text)
    assert news


def test_news_put_together_are_what_the_text_holds() -> None:
    text, html, rest = Text(), list[object](), ""

    for piece in ("## Ti", "tle\n\nOne ", "*two*.\n\nTh", "ree \x1b[31mred", "\r", "\nfour"):
        text.add(piece)
        for news in drawn(text):
            html += news.get("blocks", [])  # type: ignore[arg-type]
            rest = news.get("rest", rest + str(news.get("more", "")))  # type: ignore[assignment]

    assert (html, rest) == (text.html, text.rest)
    assert rest == "Three red\nfour"
    assert "".join(text.html) == to_html("## Title\n\nOne *two*.\n\n")


def test_a_flood_is_worked_off_in_several_draws_without_loss() -> None:
    text = Text()
    text.add("Some words. " * 4_000)
    text.end()

    news = drawn(text)

    assert len(news) > 10
    assert Page("".join(text.html)).text.count("Some words.") == 4_000
