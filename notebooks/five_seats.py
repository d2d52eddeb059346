"""A panel of five that disagrees: what `04_disagreement_as_data.ipynb` examines. Town, studies and figures are invented."""

from __future__ import annotations

from typing import Any

from fusion_magic import Line
from fusion_magic.results import Usage

QUESTION = "Should our town of 40,000 close its centre to cars? Name effects, costs and how to begin."

TRADER = """\
**Yes, with a window for deliveries.** In towns of our size that closed their centre, shop turnover rose by 8 % within
two years. Nitrogen dioxide in the main street fell by 24 %.

Lorries need a window from 6 to 10 in the morning; without it the shops run empty. Residents keep their access with a
permit. The signs and bollards cost 600,000, and the state pays half.

Begin with a trial of six months, and count customers before and during it."""

PLANNER = """\
**Yes, but buses come first.** Shop turnover rose by 8 % where two more bus lines ran from the first day; where they did
not, it fell. Two lines cost 400,000 a year, which is the larger part of the bill.

Lorries need a window from 6 to 10 in the morning. The signs and bollards cost 600,000.

Begin with a trial of twelve months: in six one sees only the summer or only the winter."""

SCEPTIC = """\
**No.** Shop turnover fell by 5 % in the first year, and four shops in ten that closed did not come back. Half of our
customers come from villages that no bus serves.

The traffic does not vanish. On the ring road it grew by 15 %, and nitrogen dioxide grew there as much as it fell in the
main street. The signs and bollards cost 600,000, and nobody counts the buses: two lines cost 400,000 a year.

If it must be, begin with a trial of six months and agree beforehand what would end it."""

SURVEYOR = """\
**It depends on parking.** Shop turnover did not change in towns that built parking at the edge of the centre, and
fell in those that did not. Ours would need 500 places at the edge.

Nitrogen dioxide in the main street fell by 9 %, not by more: most of it comes from heating and from the ring road.

Begin with a trial of twelve months. A survey of residents before it costs 20,000."""

LAWYER = """\
**Yes, if the exemptions are right.** People with a disability permit must be let in at any hour; a court stopped a
closure that had forgotten them. The same holds for the fire brigade and for doctors on call.

Lorries need a window from 6 to 10 in the morning. Residents keep their access with a permit.

A trial needs no new plan by law if it ends within twelve months, so begin with one."""

ANALYSIS: dict[str, Any] = {
    "consensus": ["Begin with a trial before anything is built."],
    "contradictions": [
        {
            "topic": "Turnover of the shops",
            "stances": [
                {"label": "A", "stance": "It rose by 8 % within two years."},
                {"label": "B", "stance": "It rose by 8 % only where more buses ran."},
                {"label": "C", "stance": "It fell by 5 % in the first year."},
                {"label": "D", "stance": "It did not change where there was parking at the edge."},
            ],
        },
        {
            "topic": "Nitrogen dioxide in the main street",
            "stances": [
                {"label": "A", "stance": "It fell by 24 %."},
                {"label": "C", "stance": "It fell, and grew as much on the ring road."},
                {"label": "D", "stance": "It fell by 9 %, not by more."},
            ],
        },
        {
            "topic": "Length of the trial",
            "stances": [
                {"label": "A", "stance": "Six months."},
                {"label": "B", "stance": "Twelve months."},
                {"label": "C", "stance": "Six months."},
                {"label": "D", "stance": "Twelve months."},
                {"label": "E", "stance": "Twelve months."},
            ],
        },
    ],
    "partial_coverage": [
        {"labels": ["A", "B", "E"], "point": "Lorries need a window from 6 to 10 in the morning."},
        {"labels": ["A", "B", "C"], "point": "The signs and bollards cost 600,000."},
        {"labels": ["B", "C"], "point": "Two more bus lines cost 400,000 a year."},
        {"labels": ["A", "E"], "point": "Residents keep their access with a permit."},
    ],
    "unique_insights": [
        {"label": "C", "insight": "Agree beforehand what would end the trial."},
        {"label": "D", "insight": "500 parking places at the edge of the centre."},
        {"label": "E", "insight": "People with a disability permit must be let in at any hour."},
    ],
    "blind_spots": ["What the centre is for in the evening."],
}

# The synthesizer makes two mistakes on purpose: what is in no response, and what a response contradicts.
ANSWER = """\
Begin with a trial of twelve months: in six one sees only the summer or only the winter [B]. People with a disability
permit must be let in at any hour [E]. Lorries need a window from 6 to 10 in the morning [A] [B] [E].

Shop turnover rose by 8 % within two years in some towns [A], and fell by 5 % in the first year in others [C]. Nitrogen
dioxide in the main street fell by 24 % [A]. Landlords answer a closure with higher rents.

The signs and bollards cost 600,000 [A] [B] [C]. Two more bus lines cost 400,000 a year [B] [C]."""

WITHOUT_SCEPTIC = """\
Begin with a trial of twelve months: in six one sees only the summer or only the winter [B]. Lorries need a window from
6 to 10 in the morning [A] [B] [D].

Shop turnover rose by 8 % within two years [A]. The signs and bollards cost 600,000 [A] [B]."""

SEATS = {
    "one/trader": (TRADER, 2.1),
    "two/planner": (PLANNER, 1.4),
    "three/sceptic": (SCEPTIC, 2.9),
    "four/surveyor": (SURVEYOR, 1.8),
    "five/lawyer": (LAWYER, 0.9),
}


def without(label: str) -> dict[str, Any]:
    """The analysis as it would be without a seat; later seats move up a letter, as in `r.drop`."""
    left = [letter for letter in "ABCDE" if letter != label]
    letters = dict(zip(left, "ABCD", strict=True))
    contradictions = [
        {
            "topic": found["topic"],
            "stances": [
                {"label": letters[said["label"]], "stance": said["stance"]}
                for said in found["stances"]
                if said["label"] != label
            ],
        }
        for found in ANALYSIS["contradictions"]
    ]
    partial = [
        {"labels": [letters[seat] for seat in found["labels"] if seat != label], "point": found["point"]}
        for found in ANALYSIS["partial_coverage"]
    ]
    unique = [
        {"label": letters[found["label"]], "insight": found["insight"]}
        for found in ANALYSIS["unique_insights"]
        if found["label"] != label
    ]
    changed = {"contradictions": contradictions, "partial_coverage": partial, "unique_insights": unique}
    return {**ANALYSIS, **changed}


def script() -> dict[str, Any]:
    """What each model says, with invented times, tokens and costs; judge and synthesizer also once without seat C."""

    def line(text: Any, seconds: float, read: int, written: int, cost: float) -> Line:
        usage = Usage(prompt_tokens=read, completion_tokens=written)
        return Line(text, first_token=seconds / 6, gap=seconds / 6, usage=usage, cost=cost)

    seats = {
        model: line(text, seconds, 40, len(text) // 4, 0.004 * seconds) for model, (text, seconds) in SEATS.items()
    }
    analyses = [line(found, 1.5, 1_400, 600, 0.03) for found in (ANALYSIS, without("C"))]
    answers = [line(text, 1.2, 2_100, 240, 0.02) for text in (ANSWER, WITHOUT_SCEPTIC)]
    chairs: dict[str, Any] = {"judge": analyses, "synthesis": answers}
    return seats | chairs
