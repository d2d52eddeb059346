"""Agreement and effective votes: formulas checked by hand, bounds that hold for any run, and what they do not see."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examine.eight_seats import bare, crowded, recorded, without
from fusion_magic.errors import SettingsError
from fusion_magic.examine.agreement import agreement, basis, effective_votes, similarity, words
from fusion_magic.results import (
    Analysis,
    Contradiction,
    FusionResult,
    PartialCoverage,
    Response,
    Stance,
    UniqueInsight,
)


def seats(*texts: str, analysis: Analysis | None = None) -> FusionResult:
    labelled = zip("ABCDEFGH", texts, strict=False)
    responses = tuple(Response(label=label, model="a/b", content=text) for label, text in labelled)
    return bare(responses=responses, analysis=analysis)


def contradiction(**stances: str) -> Contradiction:
    told = tuple(Stance(label=label, model="a/b", stance=stance) for label, stance in stances.items())
    return Contradiction(topic="When?", stances=told)


def partial(labels: str) -> PartialCoverage:
    return PartialCoverage(labels=tuple(labels), models=(), point="p")


# --- by points --------------------------------------------------------------------------------------


def test_agreement_is_the_share_of_points_of_two_seats_that_both_make():
    analysis = Analysis(
        consensus=("all say it",),
        partial_coverage=(partial("AB"), partial("AC")),
        unique_insights=(UniqueInsight(label="C", model="a/b", insight="i"),),
        contradictions=(contradiction(A="In 2019.", B="in 2019", C="in 2018"),),
    )

    frame = agreement(seats("x", "y", "z", analysis=analysis))

    # A: consensus, first, second, 2019. B: consensus, first, 2019. C: consensus, second, insight, 2018.
    assert frame.loc["A", "B"] == 3 / 4
    assert frame.loc["A", "C"] == 2 / 6
    assert frame.loc["B", "C"] == 1 / 6


def test_the_frame_is_seat_by_seat_symmetric_and_one_on_the_diagonal():
    frame = agreement(crowded())

    assert list(frame.index) == list(frame.columns) == list("ABCDEH")
    assert frame.equals(frame.T)
    assert [frame.loc[seat, seat] for seat in frame] == [1.0] * 6
    assert frame.index.name == "seat"


def test_a_seat_of_which_the_judge_says_nothing_agrees_with_nobody():
    frame = agreement(seats("x", "x", "x", analysis=Analysis(partial_coverage=(partial("AB"),))))

    assert frame.loc["A", "B"] == 1
    assert frame.loc["A", "C"] == frame.loc["B", "C"] == 0


def test_seats_that_did_not_answer_are_not_in_it():
    frame = agreement(seats("x", "y", analysis=Analysis(partial_coverage=(partial("ABG"),))))

    assert list(frame) == ["A", "B"]


@pytest.mark.parametrize("analysis", [None, Analysis(), Analysis(blind_spots=("money",))])
def test_without_points_it_rests_on_words_and_points_can_t_be_asked_for(analysis: Analysis | None):
    result = seats("the sky is blue", "the sky is blue", analysis=analysis)

    assert basis(result) == "words"
    assert agreement(result).loc["A", "B"] == pytest.approx(1)
    with pytest.raises(SettingsError, match="has no points of a judge"):
        agreement(result, by="points")


# --- by words ---------------------------------------------------------------------------------------


def test_shared_rare_words_make_more_agreement_than_shared_frequent_ones():
    filler = "\n".join(f"the {word} is" for word in ("sea", "sky", "sun", "moon", "rain"))

    rare = similarity(seats("quetzal one", "quetzal two", filler))[0][1]
    frequent = similarity(seats("the one", "the two", filler))[0][1]

    assert rare > 2 * frequent


def test_words_do_not_see_a_negation():
    result = seats("Aspirin is safe in pregnancy.", "Aspirin is not safe in pregnancy.")

    assert similarity(result)[0][1] > 0.7


def test_case_markup_and_full_width_digits_make_no_difference():
    assert words("**Über** 3.5 % \uff11\uff19\uff19\uff19 東京") == ["über", "3.5", "1999", "東", "京"]


def test_answers_to_one_question_agree_more_than_answers_to_different_ones(shared: Path):
    tasks = list(recorded(shared))

    for one, other in pairwise(tasks):
        same = similarity(seats(one.responses[0].content, one.responses[1].content))[0][1]
        different = similarity(seats(one.responses[0].content, other.responses[1].content))[0][1]
        assert same > 1.5 * different


def test_a_panel_of_five_is_worth_between_one_and_five_votes_on_every_recorded_task(shared: Path):
    votes = [effective_votes(task) for task in recorded(shared)]

    assert len(votes) == 20
    assert all(1.2 < vote < 3 for vote in votes)


# --- effective votes --------------------------------------------------------------------------------


def test_effective_votes_are_kishs_sample_size_of_the_mean_agreement():
    result = crowded()
    frame = agreement(result)
    mean = (frame.to_numpy().sum() - 6) / 30

    assert effective_votes(result) == pytest.approx(6 / (1 + 5 * mean))


@pytest.mark.parametrize(
    ("texts", "votes"),
    [
        ((), 0),
        (("one",), 1),
        (("same words", "same words", "same words"), 1),
        (("alpha", "beta", "gamma"), 3),
        (("alpha", "alpha", "beta"), 9 / 5),
    ],
)
def test_effective_votes_run_from_one_for_the_same_to_n_for_nothing_shared(texts: tuple[str, ...], votes: float):
    assert effective_votes(seats(*texts)) == pytest.approx(votes)


def test_a_copy_of_a_seat_adds_no_vote():
    texts = ["the sky is blue", "the sky is grey", "it rains"]

    assert effective_votes(seats(*texts, texts[0])) < effective_votes(seats(*texts))


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=30), min_size=1, max_size=8), st.lists(st.sets(st.sampled_from("ABCDEFGH")), max_size=5)
)
def test_any_run_has_agreement_from_0_to_1_and_votes_from_1_to_n(texts: list[str], points: list[set[str]]):
    analysis = Analysis(partial_coverage=tuple(partial("".join(labels)) for labels in points))
    result = seats(*texts, analysis=analysis)

    matrix, votes = similarity(result), effective_votes(result)

    assert all(0 <= value <= 1 for row in matrix for value in row)
    assert matrix == [list(column) for column in zip(*matrix, strict=True)]
    assert votes + 1e-9 >= 1
    assert votes <= len(texts) + 1e-9


def test_effective_votes_need_no_pandas_and_agreement_says_how_to_get_it():
    done = without(
        "pandas",
        "from fusion_magic.examine.agreement import agreement, effective_votes\n"
        "print(round(effective_votes(run), 1)); agreement(run)",
    )

    assert done.stdout == "2.2\n"
    assert 'need pandas; run `pip install "fusion-magic[data]"`' in done.stderr
