"""The claims ledger on two labelled sets: precision and recall are printed (`pytest -s`), and held at what was reached.

The rules were made on "dev" and "fresh dev" alone. On "fresh heldout", of texts and labels by another hand, they miss
the 0.9 that they reach on the other parts: measured were 0.78 for supported (18 of 23) and 0.65 for added (17 of 26).
That is what they are worth on texts they have not seen; the floor there is no aim.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.examine.claims import Ledger, ledger, quick_ledger
from fusion_magic.examine.sentences import sentences
from fusion_magic.results import Analysis, Contradiction, FusionResult, Response, Stance, UniqueInsight

LABELLED = tuple(map(Path(__file__).with_name, ("claims.jsonl", "claims_fresh.jsonl")))
PARTS = ("dev", "heldout", "fresh dev", "fresh heldout")
# At least, as (supported, added).
PRECISION = {"dev": (0.9, 0.9), "heldout": (0.9, 0.9), "fresh dev": (0.9, 0.9), "fresh heldout": (0.7, 0.6)}
RECALL = {"dev": (0.6, 0.6), "heldout": (0.6, 0.6), "fresh dev": (0.2, 0.5), "fresh heldout": (0.2, 0.4)}


def traced(answer: str, analysis: Analysis | None = None, **responses: str) -> tuple[FusionResult, Ledger]:
    result = FusionResult(
        id="run",
        created=datetime.now(UTC),
        prompt="p",
        settings={},
        answer=answer,
        analysis=analysis,
        responses=tuple(Response(label=label, model="m", content=text) for label, text in responses.items()),
    )
    return result, ledger(result)


def labelled(part: str) -> Iterator[tuple[Any, Any]]:
    """Each traced sentence of a part of the set with its label."""
    for case in filter(lambda case: case["part"] == part, cases()):
        _, found = traced("\n\n".join(each["text"] for each in case["sentences"]), **case["responses"])
        yield from zip(found.sentences, case["sentences"], strict=True)


def cases() -> list[Any]:
    return [json.loads(line) for path in LABELLED for line in path.read_text(encoding="utf-8").splitlines()]


def share(right: int, of: int) -> float:
    return right / of if of else 1.0


@pytest.mark.parametrize("part", PARTS)
def test_support_and_additions_are_told_with_precision(part: str) -> None:
    pairs = list(labelled(part))

    said = [({p.label for p in s.supported_by if p.whole}, set(label["supported_by"])) for s, label in pairs]
    added = [(s.origin == "added", label["added"]) for s, label in pairs]
    denied = [({p.label for p in s.contradicted_by}, set(label["contradicted_by"])) for s, label in pairs]

    right, told, true = (sum(map(len, sets)) for sets in zip(*((a & b, a, b) for a, b in said), strict=True))
    both = sum(a and b for a, b in added)
    precision = {"supported": share(right, told), "added": share(both, sum(a for a, _ in added))}
    recall = {"supported": share(right, true), "added": share(both, sum(b for _, b in added))}
    d_right, d_told, d_true = (sum(map(len, sets)) for sets in zip(*((a & b, a, b) for a, b in denied), strict=True))
    for name in precision:
        print(f"{part}, {len(pairs)} sentences, {name}: precision {precision[name]:.3f}, recall {recall[name]:.3f}")
    print(f"{part}, contradicted: precision {share(d_right, d_told):.3f}, recall {share(d_right, d_true):.3f}")
    assert all(reached >= least for reached, least in zip(precision.values(), PRECISION[part], strict=True))
    assert all(reached >= least for reached, least in zip(recall.values(), RECALL[part], strict=True))


def test_the_labelled_set_is_large_and_a_third_of_it_is_held_out() -> None:
    sizes = {part: sum(len(case["sentences"]) for case in cases() if case["part"] == part) for part in PARTS}

    assert sizes["dev"] + sizes["heldout"] >= 220
    assert sizes["fresh dev"] + sizes["fresh heldout"] >= 200
    assert sizes["heldout"] + sizes["fresh heldout"] >= 0.29 * sum(sizes.values())


def test_places_are_those_of_the_answer_and_of_the_responses() -> None:
    answer = (
        "# Title\n\nThe **yield** was 4.25 % on Friday.\nGold rose.\n\n- Oil fell, e.g. Brent to $70. It stayed there."
    )
    result, found = traced(answer, A="Before.\n\nThe yield was 4.25 percent on Friday. Brent oil fell to $70.")

    assert all(answer[s.start : s.end] == s.text for s in found.sentences)
    (passage,) = found.sentences[1].supported_by
    assert result.responses[0].content[passage.start : passage.end] == "The yield was 4.25 percent on Friday."


def test_a_changed_figure_is_added_and_contradicted() -> None:
    _, found = traced("The trial had 34,548 participants.", A="The trial had 43,548 participants in Brazil.")

    (sentence,) = found.sentences
    assert (sentence.origin, sentence.missing) == ("added", ("34,548",))
    assert [(p.label, p.why) for p in sentence.contradicted_by] == [("A", "figure")]


def test_figures_are_attributed_to_the_seats_that_state_them() -> None:
    _, found = traced(
        "Cell prices fell to $53 per kWh in China, and LFP cells last 5,000 cycles.",
        A="Cell prices in China fell to $53 per kWh.",
        B="LFP cells last 5,000 cycles. A house costs $53 a night.",
    )

    (sentence,) = found.sentences
    assert {stated.text: stated.seats for stated in sentence.figures} == {"$53": ("A",), "5,000": ("B",)}
    assert (sentence.origin, sentence.seats) == ("together", ("A", "B"))
    assert not any(passage.whole for passage in sentence.supported_by)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Zuazo distinguishes five. Bonaparte counted eight.", "Zuazo distinguishes eight and Bonaparte counted five."),
        ("Five-year deals are cheaper than two-year ones.", "Two-year deals are cheaper than five-year ones."),
        ("Sales fell from March 2022 to March 2023.", "Sales fell from March 2023 to March 2022."),
        ("The reef may bleach again this year.", "The reef will bleach again this year."),
        ("The tablet reads good luck. That has been challenged.", "The tablet reads good luck."),
        ("In May Port Edda won. Halvern lost just once, to Marrow.", "Port Edda lost just once, to Marrow."),
        ("The canal was dug in 1859.", "The canal was dug in 1859, and Brazilian insurers quickly copied the scheme."),
    ],
)
def test_what_is_exchanged_hedged_disputed_or_half_said_is_not_supported(said: str, answer: str) -> None:
    _, found = traced(answer, A=said)

    assert not any(passage.whole for passage in found.sentences[0].supported_by)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("The fee is 0.35 % of the loan.", "Brokers take £3.50 for every £1,000."),
        ("The gap is 78 mm wide.", "Between the plates lie 7.8 cm."),
        ("The ride takes 12 h 10.", "One travels for 730 minutes."),
        ("The ship weighed 11,600 tonnes.", "Her displacement was nearly 12,000 tonnes."),
        ("The cost exceeded twice the estimate.", "The final bill was more than double what was budgeted."),
    ],
)
def test_what_may_be_said_in_other_words_units_or_roundings_is_not_called_added(said: str, answer: str) -> None:
    _, found = traced(answer, A=said)

    assert [sentence.origin for sentence in found.sentences] == ["unclear"]


def test_a_sentence_of_which_half_is_said_is_partly_supported() -> None:
    _, found = traced(
        "The bridge was opened in 1932 by the premier, and dolphins visited the harbour during regattas.",
        A="The bridge was opened by the premier in 1932.",
    )

    assert (found.sentences[0].origin, found.sentences[0].seats) == ("partly", ("A",))


def test_headings_code_and_lead_ins_claim_nothing() -> None:
    _, found = traced("## What the panel found\n\nIn short:\n\n```\nx = 41\n```\n\nWhat next?", A="Nothing of this.")

    assert {s.origin for s in found.sentences} == {"no claim"}


def test_a_row_of_a_table_is_traced_as_one_sentence() -> None:
    _, found = traced(
        "| Fund | Yield |\n|---|---|\n| Alpha | 4.2 % |\n| Beta | 9.9 % |", A="Alpha yields 4.2 %; Beta 5.1 %."
    )

    assert [(s.form, s.origin) for s in found.sentences] == [("heading", "no claim"), ("row", "one"), ("row", "added")]


def test_findings_that_never_reached_the_answer_are_listed() -> None:
    analysis = Analysis(
        unique_insights=(
            UniqueInsight(label="A", model="m", insight="Vitamin B12 should be checked after several years."),
            UniqueInsight(label="B", model="m", insight="Statins do not cause dementia."),
        ),
        contradictions=(
            Contradiction(
                topic="Maximum fine",
                stances=(
                    Stance(label="A", model="m", stance="The maximum fine is €10 million."),
                    Stance(label="B", model="m", stance="The maximum fine is €20 million."),
                ),
            ),
        ),
    )
    answer = "Vitamin B12 should be checked after several years of use. The maximum fine is €20 million."

    _, found = traced(answer, analysis, A="x", B="y")

    assert [(lost.field, lost.number, lost.labels) for lost in found.lost] == [
        ("unique_insights", 1, ("B",)),
        ("contradictions", 0, ("A",)),
    ]


def test_headings_and_questions_neither_support_nor_contradict() -> None:
    _, found = traced(
        "The buyer did not reject the widgets.",
        A="# Did the buyer reject the widgets",
        B="Did the buyer not reject the widgets?",
        C="# The buyer did not reject the widgets",
    )

    (sentence,) = found.sentences
    assert (sentence.supported_by, sentence.contradicted_by) == ((), ())


def test_a_stance_of_one_word_is_not_called_lost() -> None:
    stances = (Stance(label="A", model="m", stance="Yes."), Stance(label="B", model="m", stance="No"))
    analysis = Analysis(contradictions=(Contradiction(topic="Does gold rust?", stances=stances),))

    _, found = traced("Gold does not rust in air.", analysis, A="x", B="y")

    assert found.lost == ()


def test_what_was_traced_is_remembered_by_its_texts() -> None:
    result, found = traced("Gold does not rust in air.", A="Gold does not rust in air.")

    assert quick_ledger(result) is found
    assert ledger(result.model_copy(update={"id": "another"})) is found
    assert ledger(result.model_copy(update={"answer": "Gold rusts in air."})) is not found


def test_a_report_of_25_kb_and_five_of_its_kind_are_traced_within_the_steps_of_a_display() -> None:
    draw = random.Random(5)
    letters = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(3, 9))) for _ in range(2000)]
    told = [f"{' '.join(draw.choices(letters, k=12)).capitalize()} in {draw.randint(10, 9999)}." for _ in range(300)]
    answer, *responses = (" ".join(draw.choices(told, k=280))[:25_000] for _ in range(6))

    result, found = traced(answer, None, **dict(zip("ABCDE", responses, strict=True)))

    assert min(map(len, (answer, *responses))) > 20_000
    assert quick_ledger(result) is found
    assert found.counts["several"] > 100


@pytest.mark.parametrize("text", ["Ab cd. ", "12 ", "ab 1 cd; ", "1,111", "May 1 ", "x 1 and y 2 and ", "~1{n} "])
def test_a_text_that_would_take_minutes_is_given_up(text: str) -> None:
    long = "".join(text.replace("{n}", str(n)) for n in range(150_000 // len(text)))

    result = FusionResult(
        id="r",
        created=datetime.now(UTC),
        prompt="p",
        settings={},
        answer=long,
        responses=(Response(label="A", model="m", content=long), Response(label="B", model="m", content=f"{long} x")),
    )

    assert quick_ledger(result) is None


@pytest.mark.parametrize(
    "text", ["." * 60_000 + "x", "|" + " " * 60_000 + "|\n|" + " " * 60_000 + "x", ".[a](" * 12_000]
)
def test_sentences_are_cut_in_time_from_texts_without_an_end(text: str) -> None:
    assert "".join(span.text for span in sentences(text)).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_a_sentence_without_end_is_cut_at_a_space() -> None:
    spans = sentences("word " * 1000)

    assert [len(span.text) for span in spans] == [1999, 1999, 999]


def test_without_an_answer_or_responses_the_ledger_has_nothing_to_say() -> None:
    assert traced("", A="Something.")[1].sentences == ()
    assert traced("Water boils at 100 °C at sea level.")[1].sentences[0].origin == "added"
