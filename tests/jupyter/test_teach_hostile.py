"""Hostile text in any place of a lesson: nothing of it survives on the page, in HTML, Markdown or text."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from fusion_magic.jupyter.teach import teach
from fusion_magic.jupyter.teach.stages import HEADING

from .hostile import HOSTILE
from .pages import ATTRIBUTES, MARKDOWN_ATTRIBUTES, STYLE, UNSEEN, Page
from .test_static_hostile import hostile_result, sendable

ALLOWED = ATTRIBUTES | {
    "tabindex": re.compile("0|-1"),
    "style": re.compile(f"{ATTRIBUTES['style'].pattern}|{re.escape(HEADING[7:-1])}"),
}
hostile = pytest.mark.parametrize(
    "evil", [pytest.param(sendable(evil), id=name) for name, evil in HOSTILE.items() if len(evil) < 10_000]
)


@hostile
def test_hostile_text_in_every_place_of_a_lesson_is_harmless_in_every_form(evil: str) -> None:
    lesson = teach(hostile_result(evil))
    lesson.note = evil
    for _ in range(5):
        lesson.next()
    told = lesson.bundle()
    sent = [stage["html"] for stage in lesson._stages]
    lesson.close()
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True

    assert Page(STYLE.sub("", told["text/html"], count=1), ALLOWED).forbidden == []
    assert [Page(STYLE.sub("", html, count=1), ALLOWED).forbidden for html in sent] == [[]] * 6
    assert Page(parser.render(told["text/markdown"]), MARKDOWN_ATTRIBUTES).forbidden == []
    assert not any(UNSEEN.search(part) for part in told.values() if isinstance(part, str))
