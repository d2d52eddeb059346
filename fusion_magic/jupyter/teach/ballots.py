"""What a class has said: its prediction, its votes and a note, and how they stand beside judge and answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...results import Analysis, FusionResult

Ballot = Literal["prediction", "votes"]
PREDICTIONS = {
    "agree": "They will agree",
    "differ": "They will differ in points",
    "contradict": "They will contradict each other",
}
HANDS_AT_MOST = 9_999
NOTE_AT_MOST = 2_000  # characters


@dataclass(slots=True)
class Ballots:
    """Hands that were counted, by option; `votes` goes by the seats' letters."""

    prediction: dict[str, int] = field(default_factory=dict[str, int])
    votes: dict[str, int] = field(default_factory=dict[str, int])
    note: str = ""

    def count(self, ballot: Ballot, option: str, hands: int) -> None:
        """Put down how many hands an option has, in place of what was there."""
        (self.prediction if ballot == "prediction" else self.votes)[option] = max(0, min(HANDS_AT_MOST, hands))

    def predicted(self) -> str:
        """The prediction in a line."""
        return _hands((PREDICTIONS[option], self.prediction.get(option, 0)) for option in PREDICTIONS)

    def voted(self, labels: tuple[str, ...]) -> str:
        """The votes in a line."""
        return _hands((label, self.votes.get(label, 0)) for label in labels)


class Standing(NamedTuple):
    """One seat: the class's votes, findings of the judge that name it, sentences of the answer that it supports."""

    label: str
    model: str
    votes: int
    alone: int
    shared: int
    disputed: int
    supports: int


class Support(NamedTuple):
    """How many sentences of the answer claim something, and how many of these each seat supports."""

    claims: int
    seats: Mapping[str, int]


def standings(result: FusionResult, votes: Mapping[str, int], support: Support) -> list[Standing]:
    """Every seat that answered, beside the votes, the judge and the answer."""
    found = result.analysis or Analysis()
    return [
        Standing(
            seat.label,
            seat.model,
            votes.get(seat.label, 0),
            sum(insight.label == seat.label for insight in found.unique_insights),
            sum(seat.label in point.labels for point in found.partial_coverage),
            sum(any(stance.label == seat.label for stance in topic.stances) for topic in found.contradictions),
            support.seats.get(seat.label, 0),
        )
        for seat in result.responses
    ]


def supported(result: FusionResult) -> Support:
    """Computed from the texts, as in the claims ledger; a second or two where they are long."""
    if not result.answer:
        return Support(0, {})
    from ...examine.claims import ledger

    claims = [sentence for sentence in ledger(result).sentences if sentence.origin != "no claim"]
    seats = Counter(label for each in claims for label in {said.label for said in each.supported_by if said.whole})
    return Support(len(claims), seats)


def tally(result: FusionResult, ballots: Ballots, rows: list[Standing], claims: int) -> Iterator[str]:
    """What the class said beside what the judge and the answer say, a sentence each; without a verdict."""
    if predicted := ballots.predicted():
        yield f"The class expected: {predicted}."
    yield f"The judge {_found(result.analysis)}."
    yield f"Most votes of the class: {_most((row.label, row.votes) for row in rows)}."
    if result.analysis is not None:
        yield f"Most insights that no other seat had, says the judge: {_most((row.label, row.alone) for row in rows)}."
    if claims:
        supports = _most(((row.label, row.supports) for row in rows), f" of {claims}")
        yield f"Most sentences of the answer supported, says a comparison of the texts: {supports}."


def _found(analysis: Analysis | None) -> str:
    if analysis is None:
        return "brought no analysis"
    parts = (
        (len(analysis.consensus), "point of consensus", "points of consensus"),
        (len(analysis.contradictions), "contradiction", "contradictions"),
        (len(analysis.partial_coverage), "point that only some have", "points that only some have"),
        (len(analysis.unique_insights), "that only one has", "that only one has"),
    )
    return "found " + ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in parts)


def _most(counts: Iterable[tuple[str, int]], of: str = "") -> str:
    """The seats with the highest count, which may be several."""
    known = list(counts)
    most = max((count for _, count in known), default=0)
    return f"{', '.join(label for label, count in known if count == most)} ({most}{of})" if most else "none"


def _hands(counts: Iterable[tuple[str, int]]) -> str:
    known = list(counts)
    return " · ".join(f"{name}: {count}" for name, count in known) if any(count for _, count in known) else ""
