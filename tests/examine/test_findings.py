"""Which findings of two analyses are the same: by what they say, not by how, and never by the order they stand in."""

from __future__ import annotations

import pytest

from fusion_magic.examine.families import family
from fusion_magic.examine.findings import Finding, findings, gone_and_new, grouped, relettered
from fusion_magic.results import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight


def insight(text: str, label: str = "A") -> Finding:
    return Finding("unique", text, (label,))


# Written for this test: the same in other words, and what must not be taken for the same.
SAME = [
    ("All responses agree that the committee met in Paris in 2019.", "Consensus: in 2019 the committee met in Paris."),
    ("Only B gives the cost of the retrofit, $4.2 million.", "The retrofit's cost ($4.2 million) is given."),
    ("Metformin lowers HbA1c by about one point.", "HbA1c falls by roughly one point with metformin."),
    ("No response discusses the tax treatment of dividends.", "The tax treatment of dividends is not discussed."),
    ("It warns that battery degradation voids the warranty.", "The warranty is void if the battery degrades."),
    ("Names the Kessler study as the only randomised trial.", "Kessler is named as the one randomised trial."),
]
OTHER = [
    ("The committee met in Paris in 2019.", "The committee met in Paris in 2018."),
    ("The drug is safe in pregnancy.", "The drug is not safe in pregnancy."),
    ("Gives the cost of the retrofit.", "Gives the date of the vote."),
    ("Battery degradation voids the warranty.", "Battery swaps are offered in Norway."),
    ("Names the Kessler study.", "Names the regulator in charge."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_in_other_words_is_the_same(one: str, other: str):
    assert len(grouped([[insight(one), insight(OTHER[2][1])], [insight(OTHER[2][1]), insight(other)]])) == 2


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_number_a_denial_and_another_thing_are_not_the_same(one: str, other: str):
    assert len(grouped([[insight(one)], [insight(other)]])) == 2


def test_a_point_that_moves_to_another_field_is_the_same_point():
    before = Analysis(unique_insights=(UniqueInsight(label="A", model="a", insight="It opened in 1932."),))
    after = Analysis(consensus=("It opened in 1932.",))

    assert gone_and_new(before, after) == ((), ())


def test_a_blind_spot_is_no_point():
    before = Analysis(blind_spots=("The cost of waiting.",))
    after = Analysis(consensus=("The cost of waiting.",))

    gone, new = gone_and_new(before, after)

    assert [(finding.kind, finding.text) for finding in (*gone, *new)] == [
        ("blind spot", "The cost of waiting."),
        ("consensus", "The cost of waiting."),
    ]


def test_each_finding_has_one_partner_at_most():
    once, twice = [insight("It opened in 1932.")], [insight("It opened in 1932."), insight("Opened in 1932.", "B")]

    rows = grouped([once, twice])

    assert rows == [[once[0], twice[0]], [None, twice[1]]]


def test_a_row_is_found_again_after_an_analysis_without_it():
    finding = insight("It opened in 1932.")

    assert grouped([[finding], [], [finding]]) == [[finding, None, finding]]


def test_findings_without_words_are_the_same_if_they_are_alike():
    assert len(grouped([[insight("…")], [insight("…")]])) == 1
    assert len(grouped([[insight("…")], [insight("?")]])) == 2


def test_all_fields_are_findings_with_their_seats():
    stances = tuple(Stance(label=label, model="m", stance=f"It is {label}.") for label in "BA")
    analysis = Analysis(
        consensus=("One.",),
        contradictions=(Contradiction(topic="Two", stances=stances),),
        partial_coverage=(PartialCoverage(labels=("C", "A"), models=("m", "m"), point="Three."),),
        unique_insights=(UniqueInsight(label="B", model="m", insight="Four."),),
        blind_spots=("Five.",),
    )

    moved = relettered(analysis, {"B": "C", "C": "D"})

    assert [(finding.kind, finding.seats) for finding in findings(analysis)] == [
        ("consensus", ()),
        ("contradiction", ("A", "B")),
        ("partial", ("A", "C")),
        ("unique", ("B",)),
        ("blind spot", ()),
    ]
    assert [finding.seats for finding in findings(moved)] == [(), ("A", "C"), ("A", "D"), ("C",), ()]


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("~anthropic/claude-opus-latest", "anthropic"),
        ("claude-opus-4.8@anthropic", "anthropic"),
        ("openrouter/openai/gpt-5.5", "openai"),
        ("gpt-5.5@openai", "openai"),
        ("llama3.2@ollama", "meta-llama"),
        ("qwen2.5:7b@ollama", "qwen"),
        ("phi3@ollama", "microsoft"),
        ("philomel@ollama", "philomel"),
        ("smollm2@local", "huggingfacetb"),
    ],
)
def test_a_models_vendor_is_known_from_its_name(model: str, vendor: str):
    assert family(model) == vendor
