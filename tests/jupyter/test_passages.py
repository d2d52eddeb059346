"""The passage that a sentence rests on is found by its rare words, in any script, and in bounded time."""

from __future__ import annotations

import pytest

from fusion_magic.jupyter.static.passages import Passages, readable

from .hostile import HOSTILE


def test_rare_words_weigh_more_than_common_ones() -> None:
    text = "The model is good. The model is bad. The model is old. A zebra is here. The model is the model."

    assert Passages(text).best("The model is a zebra", 20) == "A zebra is here."


def test_neighbours_on_the_line_come_along_as_far_as_there_is_room() -> None:
    text = "First.\nOne. Two. The zebra. Four. Five.\nLast."

    assert Passages(text).best("zebra", 18) == "The zebra. Four."
    assert Passages(text).best("zebra", 400) == "One. Two. The zebra. Four. Five."


def test_a_text_without_spaces_between_words_is_searched_too() -> None:
    text = "巴黎位于塞纳河畔。地铁于一九零零年开通。桥很古老。"

    assert Passages(text).best("地铁开通", 12) == "地铁于一九零零年开通。"


def test_without_a_shared_word_it_is_the_beginning() -> None:
    assert Passages("Alpha. Beta.").best("gamma", 7) == "Alpha."
    assert Passages("").best("gamma", 400) == ""


def test_a_passage_is_cut_at_a_word() -> None:
    assert Passages("zebra " * 100).best("zebra", 20) == "zebra zebra zebra …"


def test_markdown_is_read_as_a_reader_sees_it() -> None:
    text = "## A *title*\n- `code` and **bold** [a link](https://a.b/c) snake_case\n| a | b |\n|---|---|\n> quoted"

    assert readable(text).split("\n") == ["A title", "code and bold a link snake_case", "  a   b  ", " ", "quoted"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_passage_of_hostile_text_is_short(text: str) -> None:
    assert len(Passages(text).best("alert script zebra a b", 400)) <= 400
