"""Citations in an answer open in place: which, to what, and never out of code, links, formulas or headings."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest

from fusion_magic.jupyter.static.citations import MAX_OPENED, PASSAGE, cited_html
from fusion_magic.results import FusionResult, Response, Source

from .pages import Page

RIVER = "Paris lies on the river Seine. Its oldest bridge is the Pont Neuf, built of stone in 1607."
METRO = "Lyon has two rivers.\n\nThe underground railway of Paris opened in July 1900, with one line."
PAPER = Source(url="https://a.example/paper?x=1&y=2", title="The <b>paper</b>", labels=("A", "B"))
PLACE = "corpus:papers/sea%20tides_2.pdf#page=3"
TIDES = Source(url=PLACE, title="On tides", labels=("B",), quotes=("The moon pulls <b>the</b> sea.", "Twice\na day."))
DETAILS = re.compile(r"<details class=\"fm-cite\"[^>]*><summary>(.*?)</summary><div>(.*?)</div></details>")


def result(**more: Any) -> FusionResult:
    given: dict[str, Any] = {
        "responses": (
            Response(label="A", model="v/one", content=RIVER, sources=(PAPER,)),
            Response(label="B", model="v/two@work", content=METRO),
        ),
        "sources": (PAPER,),
    }
    return FusionResult(id="r", created=datetime(2026, 1, 1, tzinfo=UTC), prompt="?", settings={}, **(given | more))


def opened(answer: str, **more: Any) -> list[tuple[str, str]]:
    """(summary, text inside) of everything that opens in the answer, which must be sound HTML."""
    shown = cited_html(result(**more), answer)
    assert Page(shown).forbidden == []
    return [(unescape(summary), Page(body).text) for summary, body in DETAILS.findall(shown)]


def test_a_citation_opens_to_seat_model_passage_and_sources() -> None:
    ((summary, body),) = opened("The stone bridge of 1607 is the oldest [A].")

    assert summary == "[A]"
    assert body.startswith("A · one")
    assert "Its oldest bridge is the Pont Neuf, built of stone in 1607." in body
    assert body.endswith("Sources: The <b>paper</b>")


def test_the_passage_is_the_one_that_shares_the_rare_words_of_the_cited_sentence() -> None:
    ((_, body),) = opened("The river is wide. Since 1900 there is an underground railway [B]. It is red.")

    assert "The underground railway of Paris opened in July 1900" in body
    assert "Lyon" not in body


def test_a_citation_behind_the_full_stop_belongs_to_the_sentence_before_it() -> None:
    ((_, body),) = opened("There is an underground railway since 1900. [B] Lyon has two rivers, it is said.")

    assert "The underground railway" in body


@pytest.mark.parametrize(
    ("written", "seats"),
    [
        ("[A, B]", "AB"),
        ("[A and B]", "AB"),
        ("[A;B]", "AB"),
        ("[A–B]", "AB"),
        ("[Responses A, B]", "AB"),
        ("[Response B]", "B"),
        ("[B, H]", "B"),
    ],
)
def test_several_seats_in_one_citation_open_together(written: str, seats: str) -> None:
    ((summary, body),) = opened(f"Paris lies on a river {written}.")

    assert summary == written
    assert [letter for letter in "ABCH" if f"{letter} · " in body] == list(seats)


def test_citations_side_by_side_open_one_by_one() -> None:
    assert [summary for summary, _ in opened("On the Seine [A][B].")] == ["[A]", "[B]"]


@pytest.mark.parametrize(
    "answer",
    [
        "No such seat [C], and [a], and [AB].",
        "`x[A]` and\n\n```\n[A]\n```\n\n    [A]",
        "[see [A]](https://b.example/) and [A](https://b.example/)",
        "$x[A]$ and \\([A]\\)",
        "# Heading [A]",
    ],
)
def test_letters_of_no_seat_code_links_formulas_and_headings_are_left_alone(answer: str) -> None:
    assert opened(answer) == []


def test_a_paragraph_that_cites_is_no_p_which_details_would_end() -> None:
    shown = cited_html(result(), "One [A].\n\nTwo.\n\n- three [A]\n")

    assert shown.count("<p>") == 1
    assert shown.count('<div class="fm-p" style="margin:0 0 1em">') == 1


@pytest.mark.parametrize(
    "written", ["[the *paper*](https://a.example/paper?x=1&y=2)", "https://a.example/paper?x=1&y=2"]
)
def test_a_link_to_a_source_opens_to_title_link_and_who_cited_it(written: str) -> None:
    ((summary, body),) = opened(f"As {written} shows.")

    assert summary in ("the <em>paper</em>", "https://a.example/paper?x=1&y=2")
    assert body == "The <b>paper</b> · https://a.example/paper?x=1&y=2 · cited by A, B"


def test_a_link_to_a_source_opens_to_what_it_says_too() -> None:
    quoted = PAPER.model_copy(update={"quotes": ("Stone lasts.", "So it is.", "A third one.")})

    ((_, body),) = opened("As [it](https://a.example/paper?x=1&y=2) shows.", sources=(quoted,))

    assert body.endswith("cited by A, BStone lasts.So it is.")


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (f"The sea rises ({PLACE}).", PLACE),
        (f"The sea rises [{PLACE}], it is said.", PLACE),
        (f"The sea rises, see {PLACE}.", PLACE),
        (f"The sea [rises]({PLACE}).", PLACE),
    ],
)
def test_a_place_in_a_collection_opens_to_its_file_and_page_and_what_it_says(answer: str, written: str) -> None:
    ((summary, body),) = opened(answer, sources=(PAPER, TIDES))

    assert summary == written
    assert body == "On tides · papers/sea tides_2.pdf, page 3 · cited by BThe moon pulls <b>the</b> sea.Twice a day."


def test_pages_of_one_document_are_kept_apart() -> None:
    other = Source(url=PLACE.replace("page=3", "page=4"), labels=("A",), quotes=("Neap tides are low.",))

    first, second = opened(f"{PLACE} and {other.url}", sources=(TIDES, other))

    assert "The moon pulls" in first[1]
    assert "page 4 · cited by ANeap tides are low." in second[1]


def test_a_document_with_an_ending_that_is_also_a_domain_is_no_link() -> None:
    notes = Source(url="corpus:notes/readme.md#part=2", title="Notes")

    shown = cited_html(result(sources=(notes,)), "See corpus:notes/readme.md#part=2 and corpus:notes/else.md.")

    assert shown.count("<details") == 1
    assert Page(shown).links == []


@pytest.mark.parametrize("answer", [f"`{PLACE}`", f"# {PLACE}", f"[{PLACE}](https://b.example/)", "corpus:a/x.pdf"])
def test_places_in_code_headings_and_links_and_unknown_ones_are_left_alone(answer: str) -> None:
    assert opened(answer, sources=(TIDES,)) == []


def test_quotes_of_many_pages_share_the_room() -> None:
    sources = tuple(Source(url=f"corpus:a/{n}.txt", quotes=("word " * 500,) * 3) for n in range(100))

    shown = cited_html(result(sources=sources), "\n\n".join(source.url for source in sources))

    assert shown.count("<details") == 100
    assert len(shown) < 40_000


def test_a_link_to_another_page_stays_a_link() -> None:
    shown = cited_html(result(), "[x](https://b.example/)")

    assert "<details" not in shown
    assert Page(shown).links == ["https://b.example/"]


def test_a_passage_is_escaped_and_at_most_400_characters_long() -> None:
    evil = "<script>alert(1)</script> " + "bridge " * 200
    shown = cited_html(result(responses=(Response(label="A", model="m", content=evil),)), "The bridge [A].")

    (passage,) = re.findall("<blockquote>(.*?)</blockquote>", shown)
    assert Page(shown).forbidden == []
    assert 300 < len(unescape(passage)) <= PASSAGE


def test_many_citations_share_the_room_and_the_last_stay_text() -> None:
    long = " ".join(f"Sentence {n} about the bridge of {n} stones, and more of it." for n in range(400))
    answer = "\n\n".join(f"The bridge has {n} stones [A]." for n in range(MAX_OPENED + 50))

    shown = cited_html(result(responses=(Response(label="A", model="m", content=long),)), answer)

    assert shown.count("<details") == MAX_OPENED
    assert shown.count("[A]") == MAX_OPENED + 50
    assert len(shown) < 4 * len(answer) + 40_000


def test_a_mark_can_t_be_forged() -> None:
    shown = cited_html(result(), "\x020\x03 &#2;0&#3; [A]")

    assert shown.count("<details") == 1
    assert shown.index("<details") > shown.index("0 ")
