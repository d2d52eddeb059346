"""What a strategy is: whom it asks, which calls it makes, what it does with the answers, and what is known of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ...endpoints import split_model
from ...errors import SettingsError
from ...settings import LABELS, Panel, Panelist, Settings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..panel import Task
    from ..places import Count, Place
    from ..plan import Plan
    from ..stages import Ending, Work

# Settings that only some strategies read.
OPTIONS = ("samples", "rounds", "weights", "threshold", "must_ask", "one_pass")


class Evidence(NamedTuple):
    """What was found about a strategy, and where that is published."""

    speaks: str  # "for" or "against"
    finding: str
    source: str


def as_it_is(panel: Panel, settings: Settings) -> Panel:
    """The panel that was chosen."""
    return panel


class Strategy(NamedTuple):
    """A way of putting models together.

    Attributes:
        name: what `--strategy` calls it.
        does: one sentence.
        cost: relative to one call, in words; N is the number of seats.
        evidence: what speaks for it and against it, with the source of each.
        places: every call that it will or may make.
        carry_out: makes them.
        arrange: the panel that it asks, from the one that was chosen; it changes nothing in one that it made itself.
        task: what it asks of the seats beside the prompt.
        options: the settings among `OPTIONS` that it reads.
        least: how many seats it needs.
        takes_schema: whether the synthesizer always writes the answer, as JSON of a schema if one is given.
        is_judged: whether judge and synthesizer should not sit on the panel.
    """

    name: str
    does: str
    cost: str
    evidence: tuple[Evidence, ...]
    places: Callable[[Plan], Iterator[Place]]
    carry_out: Callable[[Work], Awaitable[Ending]]
    arrange: Callable[[Panel, Settings], Panel] = as_it_is
    task: Task | None = None
    options: tuple[str, ...] = ()
    least: int = 1
    takes_schema: bool = True
    is_judged: bool = True

    def seat(self, panel: Panel, settings: Settings) -> Panel:
        """The panel that is asked. Raises SettingsError if it has too few seats, or would have too many."""
        panel = self.arrange(panel, settings)
        if settings.one_pass and "one_pass" in self.options:
            _check_one_pass(panel, settings)
        if len(panel.models) < self.least:
            raise SettingsError(
                f"The strategy {self.name} needs {self.least} seats or more; the panel has {len(panel.models)}."
            )
        return panel

    def check(self, schema: type[BaseModel] | None) -> None:
        """Raise SettingsError for a schema where no synthesizer may come to write it."""
        if schema is not None and not self.takes_schema:
            raise SettingsError(f"The strategy {self.name} takes no schema: its answer may be a seat's own words.")

    def calls(self, plan: Plan) -> Count:
        """How many calls a plan of this strategy makes; see `Plan.count`."""
        return plan.count()

    def unread(self, settings: Settings) -> Iterator[str]:
        """A warning for the settings that were chosen and change nothing here."""
        fields = Settings.model_fields
        given = [name for name in OPTIONS if getattr(settings, name) != fields[name].default]
        if unread := [name for name in given if name not in self.options]:
            yield f"The strategy {self.name} does not use {', '.join(unread)}."


def _check_one_pass(panel: Panel, settings: Settings) -> None:
    judge, writer = panel.judge.model, panel.synthesizer.model
    if judge != writer:
        raise SettingsError(
            f"One pass needs one model as judge and synthesizer, and here {judge} compares and {writer} writes; "
            "name one of them for both, or leave one_pass out."
        )
    if split_model(writer) == ("smollm2", "local"):
        raise SettingsError("The embedded model can't compare and write in one pass; leave one_pass out.")
    if settings.judge_tools:
        raise SettingsError("In one pass the judge has no tools; leave out judge_tools or one_pass.")


def repeated(panel: Panel, seats: tuple[Panelist, ...], times: int) -> Panel:
    """The panel with these seats, each as often. Raises SettingsError if that is more than a panel has."""
    if len(seats) * times > len(LABELS):
        raise SettingsError(
            f"{len(seats)} models asked {times} times each are more than {len(LABELS)} seats; lower --samples."
        )
    models = tuple(seat for seat in seats for _ in range(times))
    if [_bare(seat) for seat in panel.models] == [_bare(seat) for seat in models]:
        return panel
    return Panel.model_validate({**panel.model_dump(exclude={"models", "name"}), "models": models})


def distinct(panel: Panel) -> tuple[Panelist, ...]:
    """The panel's seats, the very same only once."""
    return tuple(dict.fromkeys(map(_bare, panel.models)))


def _bare(seat: Panelist) -> Panelist:
    return seat.model_copy(update={"label": ""})
