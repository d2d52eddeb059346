"""`rank`: ballots without names, nobody ranks its own, then the synthesizer."""

import pytest

from fusion_magic import fold, fuse, scripted
from fusion_magic.errors import CallError, SettingsError
from fusion_magic.pipeline.strategies.rank import ranking_in
from fusion_magic.votes import Ballot, standing
from pipeline.asking import record

SCRIPT = {
    "v/a": ["Text of one.", "B is sound.\nRanking: B > C"],
    "v/b": ["Text of two.", "Ranking: C > A"],
    "v/c": ["Text of three.", "**Ranking:** B, A"],
    "*": "Fused.",
}


def test_a_ballot_reads_the_others_without_names_and_the_writer_reads_the_ranking():
    with scripted(SCRIPT) as script:
        told = record(models=["v/a", "v/b", "v/c"], judge="j", synthesizer="w", strategy="rank")

    ballot = next(each for each in script.requests if (each.stage, each.label) == ("judge", "A"))
    read = str(ballot.messages)
    assert "Text of two." in read and "Text of three." in read and "Text of one." not in read  # noqa: PT018
    assert "v/b" not in read
    assert "<ranking" in script.requests[-1].messages[-1]["content"]
    assert "B: 1.00\nC: 1.50\nA: 2.00" in script.requests[-1].messages[-1]["content"]
    assert told.kept.ballots == (
        Ballot(label="A", ranking=("B", "C")),
        Ballot(label="B", ranking=("C", "A")),
        Ballot(label="C", ranking=("B", "A")),
    )
    assert standing(told.kept.ballots) == {"B": 1.0, "C": 1.5, "A": 2.0}
    assert [seat.content for seat in told.kept.responses] == ["Text of one.", "Text of two.", "Text of three."]
    assert fold(told.events) == told.kept


def test_a_ballot_that_fails_or_can_t_be_read_is_told_and_does_not_count():
    script = SCRIPT | {"v/b": ["Text of two.", CallError("Dead.")], "v/c": ["Text of three.", "They are all fine."]}

    with scripted(script):
        result = fuse("Why?", models=["v/a", "v/b", "v/c"], judge="j", synthesizer="w", strategy="rank")

    assert [ballot.label for ballot in result.ballots] == ["A"]
    assert result.warnings == (
        "B did not rank the others: Dead.",
        "C: no ranking could be read; its ballot does not count.",
    )
    assert result.answer == "Fused."


def test_two_responses_are_not_ranked():
    with scripted(SCRIPT | {"v/c": CallError("Dead.")}) as script:
        result = fuse("Why?", models=["v/a", "v/b", "v/c"], judge="j", synthesizer="w", strategy="rank")

    assert [request.model for request in script.requests] == ["v/a", "v/b", "v/c", "w"]
    assert result.warnings == ("Fewer than three seats answered; they did not rank each other.",)


def test_a_panel_of_two_is_refused():
    with scripted(SCRIPT), pytest.raises(SettingsError, match="rank needs 3 seats or more"):
        fuse("Why?", models=["a", "b"], judge="j", strategy="rank")


@pytest.mark.parametrize(
    ("text", "ranking"),
    [
        ("Ranking: C > A > B", ("C", "A", "B")),
        ("First thought.\nRanking: A > B > C\nNo:\nFinal ranking: B, A, C", ("B", "A", "C")),
        ("Ranking: [B] > [C] > [A]", ("B", "C", "A")),
        ("Ranking: A > B", ()),
        ("Ranking: A > B > C > D", ()),
        ("A is best.", ()),
    ],
)
def test_a_ranking_is_whole_or_none(text: str, ranking: tuple[str, ...]):
    assert ranking_in(text, ("A", "B", "C")) == ranking
