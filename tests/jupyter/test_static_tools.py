"""What a finished run says of tools and sources: the same in HTML, Markdown and text, for every seat and the judge."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fusion_magic.jupyter.static import html
from fusion_magic.jupyter.static.prose import markdown, text
from fusion_magic.jupyter.static.words import TOOLS, one_page, totals
from fusion_magic.results import FailedModel, FusionResult, Source, Stage, ToolUse, Usage

from .samples import call, page, rendered, response, result

PAPER = Source(url="corpus:papers/sea%20tides.pdf#page=3", title="On tides", labels=("A", "B"))
SITE = Source(url="https://a.example/x", title="A page", labels=("B",))
FORMS = pytest.mark.parametrize("form", ["html", "markdown", "text"])


def told(result: FusionResult, form: str) -> str:
    """The text of a form, white space as one space."""
    forms = {"html": page(result).text, "markdown": rendered(result).text, "text": text(result)}
    return " ".join(forms[form].split())


def use(label: str = "A", stage: Stage = "panel", **more: Any) -> ToolUse:
    given = {"tool": "web_search", "arguments": '{"query": "tides"}', "size": 1_234, "duration": 0.52}
    return ToolUse(stage=stage, label=label, **(given | more))


# --- tools ------------------------------------------------------------------------------------------


@FORMS
def test_each_seat_says_what_it_called_and_what_came(form: str) -> None:
    said = told(result(tools=(use("A"), use("B", tool="bash", error="It was refused."))), form)

    assert re.search(r"A · a/one.*Tools \(1\).*web_search tides · 0\.5 s · 1,234 characters.*B · b/one", said)
    assert re.search(r"B · b/one.*Tools \(1\).*bash tides · 0\.5 s · failed: It was refused\.", said)
    assert "2 uses of tools" in said


@FORMS
def test_a_failed_seat_says_what_it_had_called(form: str) -> None:
    lost = FailedModel(label="C", model="c/three", error="It is gone.", content="Half an ans")

    said = told(result(failed_models=(lost,), tools=(use("C"),)), form)

    assert re.search(r"C · c/three · no answer.*It is gone\..*web_search tides.*Half an ans", said)


@FORMS
def test_the_judges_calls_stand_with_its_analysis(form: str) -> None:
    said = told(result(tools=(use("", "judge"),)), form)

    assert re.search(r"Analysis by j/x.*Judge: Tools \(1\).*web_search tides.*A · a/one", said)


@FORMS
def test_the_judges_calls_are_told_without_an_analysis_too(form: str) -> None:
    assert "Judge: Tools (1)" in told(result(analysis=None, tools=(use("", "judge"),)), form)


@FORMS
def test_without_tools_nothing_is_said_of_them(form: str) -> None:
    assert "tools" not in told(result(), form).lower()


@FORMS
def test_a_long_list_is_cut_and_says_where_the_rest_is(form: str) -> None:
    uses = tuple(use(arguments=f'{{"query": "number {n}!"}}') for n in range(TOOLS + 5))

    said = told(result(tools=uses), form)

    assert f"number {TOOLS - 1}!" in said
    assert f"number {TOOLS}!" not in said
    assert "and 5 more in _fusion.tools" in said


@FORMS
def test_long_arguments_and_errors_are_cut(form: str) -> None:
    said = told(result(tools=(use(arguments="x" * 2_000, error="y" * 2_000),)), form)

    assert not re.search("x{300}|y{500}", said)


@FORMS
def test_what_a_model_wrote_into_arguments_is_no_markup(form: str) -> None:
    said = told(result(tools=(use(arguments='{"query": "*a* <b>c</b> [d](https://e.example) `f`"}'),)), form)

    assert "web_search *a* <b>c</b> [d](https://e.example) " in said


# --- sources ----------------------------------------------------------------------------------------


@FORMS
def test_a_source_of_a_collection_is_named_by_file_and_page_and_is_no_link(form: str) -> None:
    shown = result(sources=(PAPER, SITE))

    said = told(shown, form)

    assert re.search(r"Sources \(2\).*On tides.{1,3}papers/sea tides\.pdf, page 3.*A page", said)
    assert page(shown).links == ["https://a.example/x"]


@FORMS
def test_sources_say_who_used_them(form: str) -> None:
    assert re.search(r"papers/sea tides\.pdf, page 3\)? · A, B", told(result(sources=(PAPER,)), form))


@FORMS
@pytest.mark.parametrize("url", ["corpus:notes/a.md#part=2", "corpus:notes", "corpus:frame/row 1#x", "ftp://a/b"])
def test_a_source_without_a_title_is_named_once(form: str, url: str) -> None:
    said = told(result(sources=(Source(url=url),)), form)

    place = url.removeprefix("corpus:").replace("#part=2", ", part 2")
    assert said.count(place) == 1


def test_a_seats_own_documents_stand_below_its_response() -> None:
    said = told(result(responses=(response(sources=(PAPER,)),)), "html")

    assert "Paris, says A. SourcesOn tides (papers/sea tides.pdf, page 3)" in said


@FORMS
def test_one_page_below_all_seats_is_said_above_the_answer(form: str) -> None:
    said = told(result(sources=(PAPER,)), form)

    assert said.index("All seats rest on one page: On tides.") < said.index("The capital is")


def test_a_page_without_a_title_is_said_by_its_place() -> None:
    untitled = PAPER.model_copy(update={"title": ""})

    assert one_page(result(sources=(untitled,))) == "All seats rest on one page: papers/sea tides.pdf, page 3."


@pytest.mark.parametrize(
    "more",
    [
        {"sources": (PAPER, SITE)},
        {"sources": (SITE,)},
        {"sources": ()},
        {"sources": (PAPER,), "responses": (response("A"),)},
    ],
)
def test_two_pages_or_a_seat_that_rests_on_none_are_not_one_page(more: dict[str, Any]) -> None:
    assert one_page(result(**more)) == ""


# --- forms ------------------------------------------------------------------------------------------


def test_tools_and_sources_are_folded() -> None:
    shown = html(result(tools=(use("A"), use("", "judge")), sources=(SITE,)))

    assert re.findall(r'<details class="fm-part (fm-tools|fm-sources)"[^>]*?( open)?>', shown) == [
        ("fm-tools", ""),
        ("fm-tools", ""),
        ("fm-sources", ""),
    ]


def test_tools_of_many_seats_leave_the_totals_where_they_are() -> None:
    evil = "```\n<script>` | [x]: y"
    uses = tuple(use(label, arguments=evil, error=evil, tool=evil[:60]) for label in ("A", "B", ""))

    shown = markdown(result(tools=uses))

    assert shown.rstrip().splitlines()[-1].startswith("*4 calls · 3 uses of tools")


@pytest.mark.parametrize(
    ("recorded", "said"), [(0, "3 web searches"), (2, "2 uses of tools · 1 web search ·"), (3, "3 uses of tools ·")]
)
def test_searches_that_a_server_only_counts_are_in_the_totals(recorded: int, said: str) -> None:
    searched = call(usage=Usage(prompt_tokens=1, web_searches=3))
    uses = tuple(use(tool="openrouter:web_search", number=n + 1) for n in range(recorded))

    shown = totals(result(calls=(searched,), tools=uses))

    assert said in shown
    assert ("web search" in shown) is (recorded < 3)
