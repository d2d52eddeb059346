"""What a strategy counts beside responses: votes, ballots, changes of mind, and whether the panel was asked."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from .values import Value


class Vote(Value):
    """The short answer that one seat gave, as it was counted."""

    label: str = Field(description="the seat's letter")
    choice: str | None = Field(description="the answer in the spelling that was counted; None if none could be read")
    weight: float = Field(default=1.0, description="what it counts; 0 without a choice")
    confidence: float | None = Field(default=None, description="0 to 1, as the seat said; None if it did not")


class Ballot(Value):
    """How one seat ranked the others' responses, without knowing whose they are."""

    label: str = Field(description="the letter of the seat that voted")
    ranking: tuple[str, ...] = Field(default=(), max_length=8, description="the others' letters, best first")


class Change(Value):
    """Whether a seat changed its mind in a round of a debate, as it says itself."""

    label: str = Field(description="the seat's letter")
    round: int = Field(description="the round after which it stands there, from 2")
    changed: bool | None = Field(description="None if it did not say")
    reason: str = Field(default="", description="why, in its words")


class Decision(Value):
    """Whether the panel, or the rest of it, was asked, and why."""

    asked: bool = Field(description="whether it was")
    reason: str = Field(description="one sentence")
    agreement: float | None = Field(default=None, description="of the two scouts, 0 to 1")
    threshold: float | None = Field(default=None, description="from which agreement on nobody else is asked")


Counted = Vote | Ballot | Change | Decision


def tally(votes: Iterable[Vote]) -> dict[str, float]:
    """The weight of each choice, the heaviest first; of equals the one that the earliest seat chose."""
    sums: dict[str, float] = {}
    for vote in votes:
        if vote.choice is not None:
            sums[vote.choice] = sums.get(vote.choice, 0.0) + vote.weight
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def standing(ballots: Iterable[Ballot]) -> dict[str, float]:
    """The mean place of each seat on the ballots that rank it, the best first: 1 is the first place.

    A mean of places and not a sum of points, as seats that could not be read would else cost those they left out.
    """
    places: dict[str, list[int]] = {}
    for ballot in ballots:
        for place, label in enumerate(ballot.ranking, 1):
            places.setdefault(label, []).append(place)
    means = {label: sum(found) / len(found) for label, found in sorted(places.items())}
    return dict(sorted(means.items(), key=lambda item: item[1]))
