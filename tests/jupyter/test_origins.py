"""Where sentences come from, in the saved output: marks in the answer, passages below it, the same in every form."""

from __future__ import annotations

import re
from html import unescape

import pytest

from fusion_magic.jupyter.static import answer_bundle, html
from fusion_magic.jupyter.static.marks import ROOM
from fusion_magic.jupyter.static.origins import MANY
from fusion_magic.jupyter.static.prose import markdown, text
from fusion_magic.results import Analysis, FusionResult, Source, UniqueInsight

from .hostile import HOSTILE
from .pages import STYLE, UNSEEN, Page
from .samples import page, rendered, response, result

BRIDGE = "The bridge of Sydney was opened in 1932 by the premier."
LENGTH = "Its arch spans 503 metres of the harbour."
LIGHTS = "Nine thousand lamps light the roadway at night."
DIVERS = "Volunteer divers clean its pylons every autumn."
WIDTH = "The deck carries eight lanes of traffic."
OTHER_WIDTH = "The deck carries six lanes of traffic."
ROW = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>")


def ran(answer: str = f"{BRIDGE} {LENGTH} {DIVERS} {WIDTH}", **more: object) -> FusionResult:
    """A says the bridge, the arch and eight lanes; B the bridge and six lanes; nobody the divers."""
    seats = (response("A", content=f"{BRIDGE} {LENGTH} {LIGHTS}"), response("B", content=f"{BRIDGE} {OTHER_WIDTH}"))
    return result(**{"answer": answer, "responses": seats, "analysis": Analysis(), **more})


def answer_of(shown: FusionResult) -> str:
    """The text of the answer's own part, as a page without style shows it."""
    found = re.search(r'<div class="fm-answer"[^>]*>(.*?)</div>(?=<div style="margin)', html(shown))
    assert found
    return re.sub(r"\s+", " ", Page(found[1]).text).strip()


def rows(shown: FusionResult) -> list[tuple[str, str]]:
    """(sentence with who stands by it, passages) of each row of the folded list."""
    return [(Page(head).text, Page(body).text) for head, body in ROW.findall(html(shown))]


def test_a_mark_stands_behind_what_one_seat_says_what_no_seat_says_and_what_a_seat_denies() -> None:
    told = answer_of(ran())

    assert told == f"{BRIDGE} {LENGTH} A {DIVERS} found in no response {WIDTH} found in no response not B?"


def test_a_sentence_of_which_two_seats_say_a_part_each_is_marked_with_both_and_shows_the_parts() -> None:
    both = f"{LENGTH[:-1]}, and {OTHER_WIDTH[0].lower()}{OTHER_WIDTH[1:]}"
    seats = (response("A", content=LENGTH), response("B", content=OTHER_WIDTH))

    shown = ran(both, responses=seats)

    assert answer_of(shown) == f"{both} A + B"
    assert rows(shown) == [(f"A + B {both}", f"A (a part): {LENGTH}B (a part): {OTHER_WIDTH}")]
    assert "1 put together from seats" in text(shown)


def test_marks_are_raised_so_that_they_stay_quiet_where_no_style_is_kept() -> None:
    shown = STYLE.sub("", html(ran()))

    assert shown.count("<sup") == 4
    assert Page(shown).forbidden == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f"**{LENGTH}** It is.", f"{LENGTH} A It is."),
        (f"“{LENGTH}” It is.", f"“{LENGTH}” A It is."),
        (f"- {LENGTH}\n- {DIVERS}", f"{LENGTH} A {DIVERS} found in no response"),
        (f"> {LENGTH}\n>\n> {BRIDGE}", f"{LENGTH} A {BRIDGE}"),
        ("Its arch spans 503 *metres of\nthe harbour.*", f"{LENGTH} A"),
        ("Its arch spans 503 metres of [the harbour](https://b.example/x).", f"{LENGTH} A"),
        ("Its arch spans 503 metres of `the harbour`.", f"{LENGTH} A"),
        ("| Arch |\n|---|\n| Its arch spans 503 metres of the harbour |", f"Arch {LENGTH[:-1]} A"),
        (f"{LENGTH}\n\n{LENGTH}", f"{LENGTH} A {LENGTH} A"),
        (f"\u2028{LENGTH}\r\n\r\n{DIVERS}", f"{LENGTH} A {DIVERS} found in no response"),
    ],
)
def test_a_mark_stands_behind_the_end_of_its_sentence_whatever_it_is_written_in(answer: str, told: str) -> None:
    assert " ".join(answer_of(ran(answer)).split()) == told


def test_a_mark_stands_behind_the_citation_of_its_sentence() -> None:
    shown = html(ran("Its arch spans 503 metres of the harbour [A, B]. It is."))

    assert re.search(r"</details>\. <sup>A</sup> It is\.", shown)


def test_sentences_that_end_alike_keep_their_own_marks() -> None:
    alike = "in the first half of the twentieth century."
    both, nobody = f"German exports of machine tools grew {alike}", f"Silk weaving around Como collapsed {alike}"
    seats = (response("A", content=both), response("B", content=both))

    told = " ".join(answer_of(ran(f"{both} {nobody}", responses=seats)).split())

    assert told.startswith(f"{both} Silk")


def test_a_mark_stands_behind_the_unit_of_a_figure() -> None:
    gain = "The tolls of the bridge rose by 24 %"
    seats = (response("A", content=f"{gain}."), response("B", content=BRIDGE))

    shown = html(ran(f"{gain} [A, B]. {BRIDGE}", responses=seats))

    assert re.search(r"24 %.*</details>\. <sup>A</sup> The bridge", shown)


def test_a_seat_that_its_sentence_cites_is_not_named_again() -> None:
    shown = html(ran("Its arch spans 503 metres of the harbour [A]. It is."))

    assert "<sup" not in shown


def test_code_and_headings_carry_no_marks() -> None:
    shown = ran(f"# {LENGTH}\n\n```\n{LENGTH}\n```\n\n{BRIDGE}")

    assert "<sup" not in html(shown)


def test_each_row_of_the_list_opens_to_the_passages_of_its_seats() -> None:
    found = dict(rows(ran()))

    assert found[f"A, B {BRIDGE}"] == f"A: {BRIDGE}B: {BRIDGE}"
    assert found[f"A {LENGTH}"] == f"A: {LENGTH}"
    assert found[f"found in no response · not B? {WIDTH}"] == f"B (another figure): {OTHER_WIDTH}"


def test_the_list_is_folded_and_reads_flat() -> None:
    shown = html(ran())

    assert '<details class="fm-part fm-origins"' in shown
    assert "fm-origins open" not in shown
    flat = Page(re.sub("</?(details|summary)[^>]*>", " ", STYLE.sub("", shown))).text
    assert re.search(
        rf"Where each sentence comes from: 1 by several seats, 1 by one.*A, B\s+{re.escape(BRIDGE)}", flat, re.DOTALL
    )


@pytest.mark.parametrize("form", ["html", "markdown", "text"])
def test_each_form_counts_and_lists_what_is_in_no_response_what_is_denied_and_what_is_left_out(form: str) -> None:
    lost = UniqueInsight(label="A", model="a/one", insight=LIGHTS)
    shown = ran(analysis=Analysis(unique_insights=(lost,)))

    told = {"html": page(shown).text, "markdown": rendered(shown).text, "text": text(shown)}[form]

    counted = "1 by several seats, 1 by one, 2 found in no response, 1 perhaps contradicted"
    assert f"Where each sentence comes from: {counted}" in told
    assert re.search(rf"In no response\W*{re.escape(DIVERS)}", told)
    assert re.search(rf"Not in the answer\W*A\W+{re.escape(LIGHTS)}", told)
    assert re.search(rf"{re.escape(WIDTH)}\W*B\W+(another figure)?\W*{re.escape(OTHER_WIDTH)}", told)


def test_the_answer_itself_is_unchanged_in_markdown_and_text() -> None:
    shown = ran()

    assert markdown(shown).startswith(f"{shown.answer}\n\n*Where")
    assert text(shown).startswith(f"{shown.answer}\n\nWhere")


@pytest.mark.parametrize("evil", [pytest.param(text, id=name) for name, text in HOSTILE.items() if len(text) < 9_000])
def test_hostile_text_in_sentences_passages_and_findings_is_escaped(evil: str) -> None:
    evil = evil.encode("utf-8", "replace").decode()
    content = f"{BRIDGE} {OTHER_WIDTH}\n\nThe premier {evil} opened 77 bridges.\n\n{evil}"
    answer = f"{content}\n\n{WIDTH}\n\n{DIVERS} {evil}"
    analysis = Analysis(unique_insights=(UniqueInsight(label="A", model="m", insight=f"{LIGHTS} {evil}"),))

    shown = ran(answer, responses=(response("A", content=content), response("B", content=content)), analysis=analysis)

    assert "Where each sentence comes from" in text(shown)
    assert page(shown).forbidden == []
    assert rendered(shown).forbidden == []
    assert not UNSEEN.search(html(shown) + text(shown))


def test_a_mark_can_t_be_forged() -> None:
    told = unescape(html(ran(f"\x040\x05 &#4;0&#5;\n\n{LENGTH}")))

    assert told.count("<sup") == 1


@pytest.mark.parametrize("answer", [None, "Yes.", "# Title", "What is it?", "The premier was there."])
def test_without_anything_to_tell_nothing_is_said(answer: str | None) -> None:
    assert "Where each sentence" not in text(ran(answer, status="ok" if answer else "error"))  # type: ignore[arg-type]


def test_one_response_alone_is_not_traced_to_itself() -> None:
    alone = ran(responses=(response("A", content=BRIDGE),))

    assert "Where each sentence" not in html(alone) + markdown(alone) + text(alone)


def test_quiet_has_no_marks() -> None:
    shown = answer_bundle(ran())

    assert "<sup" not in shown["text/html"]
    assert shown["text/plain"] == ran().answer


def test_texts_that_would_take_long_are_not_traced_and_that_is_said() -> None:
    shown = ran(responses=tuple(response(seat, content="Ab cd. " * 30_000) for seat in "ABCDE"))

    for told in (html(shown), markdown(shown), text(shown)):
        assert "Where each sentence comes from" in told
        assert "not traced here, the texts are long" in told
    assert "<sup" not in html(shown)


def test_a_long_answer_lists_what_tells_most_and_says_how_much_more_there_is() -> None:
    said = [f"Bridge {n} of the river was finished by builder {n + 3000} with {n + 7000} stones." for n in range(150)]
    added = [f"Painter {n + 20_000} never saw the lighthouse of {n + 40_000} candles." for n in range(MANY + 9)]
    seats = (response("A", content=" ".join(said)), response("B", content=" ".join([*said[:140], OTHER_WIDTH])))

    shown = ran(" ".join([*said, *added, WIDTH]), responses=seats)

    listed = html(shown).partition('fm-origins"')[2].partition('fm-analysis"')[0]
    heads = [head for head, _ in rows(shown)]
    assert len(listed) < 1.5 * ROOM
    assert sum(head.startswith("A Bridge") for head in heads) == 10
    assert any("not B?" in head for head in heads)
    assert f"{151 - len(heads)} more in" in listed
    assert "and 10 more in _fusion.frames.claims" in page(shown).text
    assert "and 10 more in _fusion.frames.claims" in text(shown)


def test_a_link_that_opens_keeps_its_mark_outside() -> None:
    source = Source(url="https://b.example/x", title="X", labels=("A",))

    shown = html(ran("Its arch spans 503 metres of [the harbour](https://b.example/x). It is.", sources=(source,)))

    assert re.search(r"</div></details>\. <sup>A</sup> It is\.", shown)
