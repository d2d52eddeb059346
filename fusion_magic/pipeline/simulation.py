"""Which places of a plan fail without being asked, and how the reader is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..prices import FREE
from ..providers.simulated import SHORT, WORDS

if TYPE_CHECKING:
    from .plan import Chair, Plan

PLACES = {"judge": "judge", "synthesis": "synthesizer"}  # what the setting calls a stage
SPEAKERS = {"judge": "the judge", "synthesizer": "the synthesizer"}


def simulated(plan: Plan) -> Plan:
    """The plan with the failures that `simulate` asks for; they cost nothing, and their fallbacks are really asked.

    Raises:
        SettingsError: the run has no such place, or the seat's answer is taken over from an earlier result.
    """
    failures = dict(word.split("=") for word in plan.settings.simulate)
    if not failures:
        return plan
    asked = [at for at in plan.places() if at.chair.endpoint.name != "given"]
    here = list(dict.fromkeys(at.label or PLACES[at.stage] for at in asked))
    for place in failures:
        if place not in here:
            raise SettingsError(f"simulate: {place} is not asked in this run; {', '.join(here)} can be made to fail.")

    def failing(chair: Chair, place: str) -> Chair:
        return replace(chair, simulated=failures[place], price=FREE) if place in failures else chair

    return replace(
        plan,
        seats=tuple(failing(chair, chair.seat.label) for chair in plan.seats),
        judge=failing(plan.judge, "judge"),
        synthesizer=failing(plan.synthesizer, "synthesizer"),
    )


def simulations(plan: Plan) -> Iterator[str]:
    """The warning that says who fails, and that nobody is asked for it."""
    failures = [word.split("=") for word in plan.settings.simulate]
    if failures:
        told = "; ".join(f"{SPEAKERS.get(place, place)} {WORDS[failure]}" for place, failure in failures)
        yield f"Simulated: {told}. Nobody is asked for it, and a wait of minutes takes {SHORT:g} s."
