"""A finished run as HTML, Markdown and text: the three say the same, and nothing hostile gets through."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fusion_magic.jupyter.static import answer_bundle, bundle, html, markdown, seat_line, text
from fusion_magic.results import (
    Analysis,
    Call,
    Contradiction,
    FailedModel,
    FusionResult,
    PartialCoverage,
    Response,
    Source,
    Stance,
    UniqueInsight,
    Usage,
)

from .hostile import HOSTILE
from .pages import MARKDOWN_ATTRIBUTES, STYLE, UNSEEN, Page

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


def forms(result: FusionResult) -> dict[str, str]:
    return {"html": page(result).text, "markdown": rendered(result).text, "text": text(result)}


# --- all forms say the same -------------------------------------------------------------------------

FORMS = pytest.mark.parametrize("form", ["html", "markdown", "text"])


@FORMS
def test_each_form_has_answer_analysis_responses_and_totals(form: str) -> None:
    told = forms(result())[form]

    assert "The capital is" in told
    assert all(word in told for word in [*KINDS, *SAID])
    assert "Analysis by j/x" in told
    assert all(f"{label} · {label.lower()}/one · 1.5 s · 7 tokens · $0.0010" in told for label in "AB")
    assert "Paris, says A." in told
    assert "4 calls · 4,936 tokens · $0.0040 · 12.3 s" in told


@FORMS
def test_a_stance_stands_below_its_topic_with_its_seat(form: str) -> None:
    told = forms(result())[form]

    assert re.search(r"Its age:\s.*?A\W+Celtic\s.*?B\W+Roman", told, re.DOTALL) or (
        form == "html" and "Its age:ACelticBRoman" in told
    )


@FORMS
def test_a_stopped_run_says_so_and_shows_what_was_answered(form: str) -> None:
    stopped = result(status="cancelled", answer=None, unfinished="The capital", error="The run was stopped.")

    told = forms(stopped)[form]

    assert "Stopped. What was answered is kept." in told
    assert "The answer as far as it was written" in told
    assert "Paris, says A." in told


@FORMS
def test_a_run_without_an_answer_says_why(form: str) -> None:
    told = forms(result(status="error", answer=None, error="There is no fused answer: s/x broke."))[form]

    assert "There is no fused answer: s/x broke." in told
    assert "Paris, says B." in told


@FORMS
def test_a_run_without_analysis_says_nothing_of_one(form: str) -> None:
    told = forms(result(analysis=None))[form]

    assert not any(word in told for word in [*KINDS, "Analysis"])


@FORMS
def test_a_seat_that_failed_is_there_with_its_reason(form: str) -> None:
    lost = FailedModel(label="C", model="c/three", error="c/three is gone.", content="Half an ans")

    told = forms(result(failed_models=(lost,)))[form]

    assert "c/three" in told
    assert "no answer" in told
    assert "c/three is gone." in told


@FORMS
def test_warnings_stand_above_the_answer(form: str) -> None:
    told = forms(result(warnings=("The judge also sits on the panel.",)))[form]

    assert told.index("The judge also sits on the panel.") < told.index("The capital is")


@FORMS
def test_the_embedded_model_is_called_a_demo(form: str) -> None:
    told = forms(result(calls=(call(model="smollm2@local"),)))[form]

    assert "Tiny offline demo model" in told


@FORMS
def test_the_model_that_served_stands_beside_the_one_that_was_asked(form: str) -> None:
    told = forms(result(responses=(response(model="a/one", served_model="a/one-20260101"),)))[form]

    assert "a/one → a/one-20260101" in told


def test_a_served_name_without_the_endpoint_is_no_other_model() -> None:
    assert "→" not in seat_line(response(model="llama@ollama", served_model="llama"))


@FORMS
def test_what_has_no_price_is_not_free(form: str) -> None:
    unpriced, partly = result(calls=(call(cost=None),)), result(calls=(call(cost=None), call(cost=0.5)))
    silent = result(responses=(response(cost=None),))

    assert "1 call · 1,234 tokens · not priced" in forms(unpriced)[form]
    assert "at least $0.5000" in forms(partly)[form]
    assert "7 tokens · not priced" in forms(silent)[form]


@FORMS
def test_eight_seats_are_all_there_in_order(form: str) -> None:
    told = forms(result(responses=tuple(map(response, "ABCDEFGH"))))[form]

    places = [told.index(f"Paris, says {label}.") for label in "ABCDEFGH"]
    assert places == sorted(places)


@FORMS
def test_sources_are_listed_with_their_address(form: str) -> None:
    source = Source(url="https://a.example/x?y=1&z=2", title="A page", labels=("A",))

    shown = result(sources=(source,))

    assert "A page" in forms(shown)[form]
    assert "https://a.example/x?y=1&z=2" in (page(shown).links if form == "html" else forms(shown)[form])


def test_quiet_is_the_answer_alone() -> None:
    shown = answer_bundle(result())

    assert shown["text/plain"] == "The capital is **Paris**."
    assert Page(STYLE.sub("", shown["text/html"])).text.strip() == "The capital is Paris."


def test_quiet_says_why_there_is_no_answer() -> None:
    shown = answer_bundle(result(answer=None, status="error", error="s/x broke."))

    assert all("s/x broke." in part for part in shown.values())


def test_an_empty_analysis_says_that_nothing_was_found() -> None:
    assert "No findings." in page(result(analysis=Analysis())).text


def test_a_response_that_is_cut_in_markdown_leaves_no_code_open() -> None:
    long = "Look:\n\n```python\n" + "x = 1\n" * 200 + "```\n"
    shown = result(responses=(response(content=long),))

    last = rendered(shown).text.strip().splitlines()[-1]

    assert "4 calls" in last
    assert "```" not in markdown(shown)


def test_an_answer_that_leaves_code_open_does_not_swallow_what_follows() -> None:
    shown = result(answer="Look:\n\n```python\nx = 1", analysis=None, responses=())

    assert "<em>4 calls" in MarkdownIt().render(markdown(shown))


def test_money_is_not_typeset_and_formulas_are() -> None:
    shown = html(result(answer="It costs $5 and $6, so $x^2$ is less."))

    assert '<span class="mathjax_process">$x^2$</span>' in shown
    assert "It costs $5 and $6" in shown
    assert 'class="fm-result mathjax_ignore"' in shown


def test_details_are_closed_but_for_the_analysis() -> None:
    opened = re.findall(r'<details class="fm-part ([a-z-]*)"( open)?', html(result()))

    assert opened == [("", " open"), ("fm-response", ""), ("fm-response", "")]


# --- hostile texts ----------------------------------------------------------------------------------


def hostile_result(evil: str) -> FusionResult:
    """One text in every place that a model, a server, a page or a prompt can fill."""
    source = Source(url=evil, title=evil, labels=("A",))
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
    linked = Source(url=f"https://a.example/{evil}", title="", labels=("A",))
    return result(
        **parts, sources=(source, linked), calls=(judged,), warnings=(evil,), error=evil, status="error"
    ).model_copy(update={"prompt": evil})


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
def test_hostile_text_in_every_place_hides_nothing(evil: str) -> None:
    told = bundle(hostile_result(evil))

    assert not any(UNSEEN.search(part) for part in told.values())


@hostile
def test_hostile_text_leaves_the_totals_where_they_are(evil: str) -> None:
    told = hostile_result(evil)

    assert "1 call · 1,234 tokens" in page(told).text
    assert "<em>1 call · 1,234 tokens" in MarkdownIt("commonmark").render(markdown(told))
    assert text(told).splitlines()[-1].startswith("1 call · 1,234 tokens")


def test_an_unfinished_answer_is_as_hostile_as_a_whole_one() -> None:
    evil = "<script>alert(1)</script>"
    shown = result(answer=None, unfinished=evil, status="cancelled")

    assert "<script" not in html(shown) + markdown(shown)


def test_only_web_addresses_become_links() -> None:
    urls = ("javascript:alert(1)", "data:text/html,x", "//evil.example", "/hub/logout", "https://a.example/")

    shown = page(result(sources=tuple(Source(url=url, title="x") for url in urls)))

    assert shown.links == ["https://a.example/"]
