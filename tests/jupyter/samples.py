"""Results to draw, and what a front end finds in their HTML and Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markdown_it import MarkdownIt

from fusion_magic.jupyter.static import html
from fusion_magic.jupyter.static.prose import markdown
from fusion_magic.results import (
    Analysis,
    Call,
    Contradiction,
    FusionResult,
    PartialCoverage,
    Response,
    Stance,
    UniqueInsight,
    Usage,
)

from .pages import MARKDOWN_ATTRIBUTES, STYLE, Page

ANALYSIS = Analysis(
    consensus=("Both name Paris.",),
    contradictions=(
        Contradiction(
            topic="Its age",
            stances=(
                Stance(label="A", model="a/one", stance="Celtic"),
                Stance(label="B", model="b/two", stance="Roman"),
            ),
        ),
    ),
    partial_coverage=(PartialCoverage(labels=("A", "B"), models=("a/one", "b/two"), point="The river"),),
    unique_insights=(UniqueInsight(label="B", model="b/two", insight="It moved in 1871."),),
    blind_spots=("Nobody says since when.",),
)
SAID = ["Both name Paris.", "Its age", "Celtic", "Roman", "The river", "It moved in 1871.", "Nobody says since when."]
KINDS = ["Consensus", "Contradictions", "Partial coverage", "Unique insights", "Blind spots"]


def response(label: str = "A", **more: Any) -> Response:
    given: dict[str, Any] = {"model": f"{label.lower()}/one", "content": f"Paris, says {label}.", "cost": 0.001}
    return Response(label=label, usage=Usage(prompt_tokens=5, completion_tokens=7), duration=1.5, **(given | more))


def call(stage: Any = "panel", **more: Any) -> Call:
    given: dict[str, Any] = {"model": "a/one", "cost": 0.001, "usage": Usage(prompt_tokens=1000, completion_tokens=234)}
    return Call(stage=stage, **(given | more))


def result(**more: Any) -> FusionResult:
    given: dict[str, Any] = {
        "answer": "The capital is **Paris**.",
        "responses": (response("A"), response("B")),
        "analysis": ANALYSIS,
        "calls": (call(), call(), call("judge", model="j/x"), call("synthesis")),
        "duration": 12.34,
    }
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return FusionResult(id="0123456789ab", created=created, prompt="What?", settings={}, **(given | more))


def page(result: FusionResult) -> Page:
    """The HTML as an untrusted notebook shows it: without its style."""
    return Page(STYLE.sub("", html(result), count=1))


def rendered(result: FusionResult) -> Page:
    """The Markdown in a front end that lets raw HTML and every link through."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True
    found = Page(parser.render(markdown(result)), MARKDOWN_ATTRIBUTES)
    return found
