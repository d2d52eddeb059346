"""Hostile text in any place of a result: nothing of it survives in HTML, Markdown or text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fusion_magic.jupyter.static import bundle, html
from fusion_magic.jupyter.static.prose import markdown, text
from fusion_magic.results import (
    RECORD,
    Analysis,
    Contradiction,
    FailedModel,
    FusionResult,
    PartialCoverage,
    Source,
    Stage,
    Stance,
    ToolUse,
    UniqueInsight,
)

from .hostile import HOSTILE
from .pages import UNSEEN
from .samples import call, page, rendered, response, result

pytestmark = pytest.mark.thorough

SEATS: tuple[tuple[Stage, str], ...] = (("panel", "A"), ("panel", "B"), ("judge", ""))


def hostile_result(evil: str) -> FusionResult:
    """One text in every place that a model, a server, a page or a prompt can fill."""
    source = Source(url=evil, title=evil, labels=("A",), quotes=(evil, evil))
    analysis = Analysis(
        consensus=(evil,),
        contradictions=(Contradiction(topic=evil, stances=(Stance(label="A", model=evil, stance=evil),)),),
        partial_coverage=(PartialCoverage(labels=("A",), models=(evil,), point=evil),),
        unique_insights=(UniqueInsight(label="A", model=evil, insight=evil),),
        blind_spots=(evil,),
    )
    seat = response(model=evil, served_model=f"x{evil}", content=evil, reasoning=evil, sources=(source,))
    lost = FailedModel(label="B", model=evil, error=evil, content=evil)
    judged = call("judge", model=evil, served_model=f"y{evil}", prompt_version=evil)
    parts = {"answer": evil, "analysis": analysis, "responses": (seat,), "failed_models": (lost,)}
    pages = [Source(url=f"{start}{evil}", title="", labels=("A",)) for start in ("https://a.example/", "corpus:a/")]
    called: dict[str, Any] = {"tool": evil, "arguments": evil, "output": evil, "error": evil}
    tools = [ToolUse(stage=stage, label=label, **called) for stage, label in SEATS]
    tools.append(ToolUse(stage="panel", label="A", tool="x", arguments=json.dumps({"query": evil})))
    more = {"sources": (source, *pages), "calls": (judged,), "tools": tuple(tools), "warnings": (evil,)}
    return result(**parts, **more, error=evil, status="error").model_copy(update={"prompt": evil})


def sendable(evil: str) -> str:
    """Without lone surrogates, which no result can hold."""
    return evil.encode("utf-8", "replace").decode()


hostile = pytest.mark.parametrize(
    "evil", [pytest.param(sendable(evil), id=name) for name, evil in HOSTILE.items() if len(evil) < 10_000]
)


@hostile
def test_hostile_text_in_every_place_gives_html_with_nothing_forbidden(evil: str) -> None:
    found = page(hostile_result(evil))

    assert found.forbidden == []


@hostile
def test_hostile_text_in_every_place_gives_markdown_with_nothing_forbidden(evil: str) -> None:
    found = rendered(hostile_result(evil))

    assert found.forbidden == []


@hostile
def test_hostile_text_among_citations_gives_html_with_nothing_forbidden(evil: str) -> None:
    told = hostile_result(evil)
    answer = (
        f"[A] {evil} [A]\n\n{evil} [it](https://a.example/{evil}) [A]\n\n[A, B] [x](https://a.example/page)\n\n{evil}"
        f"\n\nSee corpus:a/{evil} and corpus:a/b.pdf#page=3 [y](corpus:a/b.pdf#page=3)."
    )
    page_cited = Source(url="https://a.example/page", title=evil, labels=(evil,), quotes=(evil,))
    document = Source(url="corpus:a/b.pdf#page=3", title=evil, labels=(evil,), quotes=(evil,))
    seats = (told.responses[0], response("B", content=evil, sources=(page_cited,), model=evil))
    cited = told.model_copy(
        update={"answer": answer, "responses": seats, "sources": (*told.sources, page_cited, document), "status": "ok"}
    )

    found = page(cited)

    assert found.forbidden == []
    assert not UNSEEN.search(html(cited))


@hostile
def test_hostile_text_in_every_place_hides_nothing(evil: str) -> None:
    told = bundle(hostile_result(evil))

    assert not any(UNSEEN.search(part) for part in told.values() if isinstance(part, str))
    assert FusionResult.from_record(told[RECORD]).prompt == evil


@hostile
def test_hostile_text_leaves_the_totals_where_they_are(evil: str) -> None:
    told = hostile_result(evil)

    totals = "1 call · 4 uses of tools · 1,234 tokens"
    assert totals in page(told).text
    assert f"<em>{totals}" in MarkdownIt("commonmark").render(markdown(told))
    assert text(told).splitlines()[-1].startswith(totals)


def test_an_unfinished_answer_is_as_hostile_as_a_whole_one() -> None:
    evil = "<script>alert(1)</script>"
    shown = result(answer=None, unfinished=evil, status="cancelled")

    assert "<script" not in html(shown) + markdown(shown)


def test_only_web_addresses_become_links() -> None:
    urls = ("javascript:alert(1)", "data:text/html,x", "//evil.example", "/hub/logout", "https://a.example/")

    shown = page(result(sources=tuple(Source(url=url, title="x") for url in urls)))

    assert shown.links == ["https://a.example/"]
