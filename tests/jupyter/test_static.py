"""A finished run as HTML, Markdown and text: the three say the same."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from nbconvert.filters import clean_html

from fusion_magic.jupyter.static import answer_bundle, bundle, html
from fusion_magic.jupyter.static.prose import markdown, text
from fusion_magic.jupyter.static.words import seat_line
from fusion_magic.results import (
    RECORD,
    Analysis,
    Contradiction,
    FailedModel,
    FusionResult,
    Source,
    Stance,
)

from .pages import STYLE, Page
from .samples import KINDS, SAID, call, page, rendered, response, result


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

    assert re.search(r"Its age\W*A\W*Celtic\W*B\W*Roman", told)


@FORMS
def test_seats_that_take_the_same_stance_are_named_together(form: str) -> None:
    stances = [("A", "Yes."), ("B", "No"), ("C", "yes")]
    topic = Contradiction(
        topic="Is it?", stances=tuple(Stance(label=seat, model="m", stance=text) for seat, text in stances)
    )

    told = forms(result(analysis=Analysis(contradictions=(topic,))))[form]

    assert re.search(r"Is it\?\W*A, C\W*Yes\.\W*B\W*No", told)
    assert told.count("Is it?") == 1


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
def test_a_seat_that_failed_is_there_with_its_reason_and_what_it_had_written(form: str) -> None:
    lost = FailedModel(label="C", model="c/three", error="c/three is gone.", content="Half an ans")

    told = forms(result(failed_models=(lost,)))[form]

    assert "C · c/three · no answer" in told
    assert "c/three is gone." in told
    assert "Half an ans" in told


@FORMS
def test_a_seat_that_was_skipped_is_called_so(form: str) -> None:
    lost = FailedModel(label="C", model="c/three", error="Skipped.", skipped=True)

    told = forms(result(failed_models=(lost,)))[form]

    assert "C · c/three · skipped" in told
    assert "no answer" not in told


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


@FORMS
def test_who_answered_for_another_model_is_said_in_the_foot_with_prompts_and_what_to_type(form: str) -> None:
    calls = (call(served_model="z/other", prompt_version="panel-1"), call("judge", prompt_version="judge-1"))
    told = forms(result(calls=calls, warnings=("a/one was asked, z/other answered.",)))[form]

    foot = told[told.index("2 calls") :]
    assert "a/one was asked, z/other answered" in foot
    assert "prompts judge-1, panel-1" in foot
    assert all(f"_fusion.{name}" in foot for name in ("responses", "analysis", "calls"))
    assert told.count("z/other answered") == 1


@FORMS
def test_the_answer_comes_first_then_analysis_responses_lost_seats_sources_and_the_foot(form: str) -> None:
    source = Source(url="https://a.example/x", title="A page", labels=("A",))
    lost = FailedModel(label="C", model="c/three", error="Gone.")

    told = forms(result(sources=(source,), failed_models=(lost,)))[form]

    parts = ["The capital is", *KINDS, "A · a/one", "B · b/one", "C · c/three", "A page", "4 calls"]
    places = [told.index(part) for part in parts]
    assert places == sorted(places)


def test_a_served_name_without_the_endpoint_is_no_other_model() -> None:
    assert "→" not in seat_line(result(), response(model="llama@ollama", served_model="llama"))


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
    folded = re.findall(r'<details class="fm-part ([a-z-]*)"[^>]*?( open)?>', html(result()))

    assert folded == [("fm-analysis", " open"), ("fm-response", ""), ("fm-response", "")]


def test_contradictions_are_a_table_whose_headers_say_what_they_head() -> None:
    shown = html(result())

    assert re.findall(r'<th scope="col"[^>]*>(\w+)</th>', shown) == ["Topic", "Seats", "Stance"]
    assert re.search(r'<th scope="rowgroup" rowspan="2"[^>]*>Its age</th>', shown)


def test_a_long_address_is_shown_short_and_linked_whole() -> None:
    url = "https://www.example.org/a/very/long/way/to/the/paper/that/is/meant/final-version.pdf"

    shown = page(result(answer=f"See {url}."))

    assert shown.links == [url]
    assert "See www.example.org/…/is/meant/final-version.pdf." in shown.text


def test_the_record_rebuilds_the_result_and_can_be_left_out() -> None:
    made = result()

    with_record, without = bundle(made), bundle(made, record=False)

    assert FusionResult.from_record(with_record[RECORD]) == made
    assert list(without) == ["text/html", "text/markdown", "text/plain"]
    assert without.items() <= with_record.items()


def test_a_sanitizer_that_turns_tags_into_text_does_not_show_the_style() -> None:
    shown = clean_html(html(result()))

    assert "The capital is <strong>Paris</strong>." in shown
    assert "fm-result ." not in shown
    assert "{" not in shown
