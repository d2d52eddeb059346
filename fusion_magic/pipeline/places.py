"""The places of a run: every call that it will or may make, and how many calls each of them takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import prompts_small
from ..events import PlannedCall
from ..results import Stage

if TYPE_CHECKING:
    from .plan import Chair, Plan


class Place(NamedTuple):
    """A call that a run will make, or may make: if another one fails (`fallback`), or others answer so (`maybe`).

    `round` tells apart the calls of one chair. A seat's letter with the stage "judge" is a ballot. An `inner` call is
    made by OpenRouter inside ours.
    """

    stage: Stage
    label: str
    chair: Chair
    fallback: bool = False
    round: int = 1
    maybe: bool = False
    inner: bool = False

    def planned(self) -> PlannedCall:
        """The place as the run's first event tells it."""
        price, maybe = self.chair.price, self.maybe or self.inner
        prices = price.prompt, price.completion
        return PlannedCall(self.stage, self.label, self.chair.model, *prices, self.fallback, self.round, maybe)


class Count(NamedTuple):
    """How many calls there will be."""

    least: int
    most: int

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least} call{'s' if self.least != 1 else ''}"
        return f"{self.least} to {self.most} calls"


def seated(chairs: Iterable[Chair], round: int = 1, *, maybe: bool = False) -> Iterator[Place]:
    """The places of seats in a round."""
    for chair in chairs:
        yield from _with_fallback(Place("panel", chair.seat.label, chair, False, round, maybe))


def judging(plan: Plan, *, maybe: bool = False) -> Iterator[Place]:
    """The judge's place."""
    # A panelist that also judges brings its letter along; the judge's call is nobody's seat.
    return _with_fallback(Place("judge", "", plan.judge, maybe=maybe))


def writing(plan: Plan, round: int = 1, *, maybe: bool = False) -> Iterator[Place]:
    """The synthesizer's place."""
    return _with_fallback(Place("synthesis", "", plan.synthesizer, False, round, maybe))


def fusing(plan: Plan, *, maybe: bool = False) -> Iterator[Place]:
    """The places of judge and synthesizer, or the one that is both."""
    if not plan.one_pass:
        yield from judging(plan, maybe=maybe)
    yield from writing(plan, maybe=maybe)


def voting(plan: Plan) -> Iterator[Place]:
    """The ballots of the seats."""
    for chair in plan.seats:
        yield from _with_fallback(Place("judge", chair.seat.label, chair, round=2))


def _with_fallback(place: Place) -> Iterator[Place]:
    yield place
    if spare := place.chair.fallback:
        yield place._replace(chair=spare, fallback=True)


def counted(plan: Plan) -> Count:
    """How many calls a run of the plan makes if each is answered: without retries and fallbacks."""
    planned = [place for place in plan.places() if not (place.fallback or place.inner)]
    takes = [(place, _takes(plan, place)) for place in planned]
    return Count(sum(count.least for at, count in takes if not at.maybe), sum(count.most for _, count in takes))


def _takes(plan: Plan, place: Place) -> Count:
    """How many calls a place takes."""
    steps = plan.settings.max_tool_calls + 1
    if place.stage == "panel" and place.round == 1:
        return Count(1, steps if plan.has_tools and place.chair.takes_tools is not False else 1)
    if place.stage == "synthesis" and plan.one_pass:
        return Count(1, 2)  # again for the answer, if it only compared
    if place.stage != "judge" or place.label:
        return Count(1, 1)
    if place.chair.is_tiny:
        fields = sum(field.applies([seat.seat.label for seat in plan.seats]) for field in prompts_small.FIELDS)
        return Count(fields, fields)
    return Count(1, 2 + (steps if plan.settings.judge_tools and plan.has_tools else 0))
