"""What an audit of a judge found: findings over readings, credit by place, and each judge's own family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..results import Analysis, FusionResult
from .columns import Columns, Row, documented, table
from .families import family
from .findings import Finding
from .report import Report, Shown, Table

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

COLUMNS: Columns = {
    "number": ("count", "the finding, counted from 1"),
    "finding": ("text", "as the first reading that has it tells it"),
    "reading": ("count", "the reading, counted from 1"),
    "run": ("text", "id of the run the reading is from"),
    "judge": ("text", "who read"),
    "order": ("text", "the seats' letters in the order in which they were read"),
    "found": ("flag", "whether this reading has the finding"),
    "kind": ("text", "the field in which it stands there; missing if it is not found"),
    "seats": ("text", "the seats it names there; missing if it is not found"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One judge's analysis of the responses in one order.

    Attributes:
        judge: the model.
        order: the seats' letters as they were read.
        analysis: what it found; None if it failed.
        run: id of the run.
        stored: it is the audited run's own.
    """

    judge: str
    order: tuple[str, ...]
    analysis: Analysis | None
    run: str
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Same:
    """One finding as each reading has it, or None."""

    by_reading: tuple[Finding | None, ...]

    @property
    def first(self) -> Finding:
        """As the first reading that has it tells it."""
        return next(finding for finding in self.by_reading if finding)


@dataclass(frozen=True, slots=True)
class Place:
    """What seats got when they were read in one place: points credited to them alone or to some.

    `expected` is what the same seats got on average over all places; the two differ where the place matters.
    """

    place: int
    readings: int
    credited: int
    expected: float


@dataclass(frozen=True, slots=True)
class Favour:
    """Of all points that a judge credits to seats, the share that goes to the seats of one vendor.

    Attributes:
        judge: who credits.
        family: the vendor.
        own: whether it is the judge's own.
        seats: letters of the vendor's seats.
        of_seats: their share of the seats.
        of_points: their share of the points; None if the judge credits none.
    """

    judge: str
    family: str
    own: bool
    seats: tuple[str, ...]
    of_seats: float
    of_points: float | None


@dataclass(frozen=True, repr=False)
class JudgeAudit(Shown):
    """Readings of the same responses, and what differs between them.

    Findings are matched as `fusion_magic.examine.findings.grouped` says: a judge that tells a finding in other words
    altogether seems to have lost it, so `held` is a lower bound.
    """

    result: FusionResult
    readings: tuple[Reading, ...]
    findings: tuple[Same, ...]
    warnings: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[int, ...]:
        """The readings that brought an analysis, as indices."""
        return tuple(place for place, reading in enumerate(self.readings) if reading.analysis)

    @property
    def own(self) -> tuple[int, ...]:
        """Those of the audited judge; a second judge's are not among them."""
        judge = self.readings[0].judge
        return tuple(place for place in self.judged if self.readings[place].judge == judge)

    @property
    def held(self) -> tuple[Finding, ...]:
        """The findings that every reading has, of every judge."""
        return tuple(each.first for each in self.findings if all(each.by_reading[place] for place in self.judged))

    @property
    def flips(self) -> tuple[Same, ...]:
        """The findings for which the audited judge names other seats, or another field, in another order."""
        return tuple(each for each in self.findings if len(self._told(each)) > 1)

    def _told(self, each: Same) -> set[tuple[str, tuple[str, ...]]]:
        there = (each.by_reading[place] for place in self.own)
        return {(finding.kind, finding.seats) for finding in there if finding}

    @property
    def places(self) -> tuple[Place, ...]:
        """Credit by the place in which a seat is read, over the audited judge's readings, first place first."""
        credits = {place: credit(self.readings[place].analysis) for place in self.own}
        if not credits:
            return ()
        labels = [response.label for response in self.result.responses]
        usual = {label: sum(each[label] for each in credits.values()) / len(credits) for label in labels}
        standing = [[(place, self.readings[place].order[at]) for place in self.own] for at in range(len(labels))]
        return tuple(
            Place(at, len(those), sum(credits[place][label] for place, label in those), sum(usual[s] for _, s in those))
            for at, those in enumerate(standing, 1)
        )

    @property
    def favours(self) -> tuple[Favour, ...]:
        """For each vendor that judges and sits on the panel: its share of the points, judge by judge."""
        judges = list(dict.fromkeys(self.readings[place].judge for place in self.judged))
        vendors = {response.label: family(response.model) for response in self.result.responses}
        makers = [maker for maker in dict.fromkeys(map(family, judges)) if maker in vendors.values()]
        return tuple(self._favour(judge, maker, vendors) for maker in makers for judge in judges)

    def _favour(self, judge: str, maker: str, vendors: dict[str, str]) -> Favour:
        seats = tuple(label for label, vendor in vendors.items() if vendor == maker)
        read = [self.readings[place].analysis for place in self.judged if self.readings[place].judge == judge]
        points = sum((credit(analysis) for analysis in read), Counter[str]())
        share = sum(points[label] for label in seats) / points.total() if points.total() else None
        return Favour(judge, maker, family(judge) == maker, seats, len(seats) / len(vendors), share)

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each finding and reading; readings without an analysis are left out."""
        return table(COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for number, each in enumerate(self.findings, 1):
            for place in self.judged:
                reading, there = self.readings[place], each.by_reading[place]
                yield {
                    "number": number,
                    "finding": str(each.first),
                    "reading": place + 1,
                    "run": reading.run,
                    "judge": reading.judge,
                    "order": " ".join(reading.order),
                    "found": there is not None,
                    "kind": there.kind if there else None,
                    "seats": ", ".join(there.seats) if there else None,
                }

    @property
    def report(self) -> Report:
        """What is shown: readings, findings, credit by place, and the judges' own families."""
        told = f"{len(self.held)} of {len(self.findings)} findings are in every reading, {len(self.flips)} flip"
        return Report(
            f"Audit of the judge of run {self.result.id}: {told}",
            (self._readings_table(), self._findings_table(), self._places_table(), self._favours_table()),
            (METHOD, *self.warnings),
        )

    def _readings_table(self) -> Table:
        rows = [
            (str(place), reading.judge, " ".join(reading.order), self._origin(reading))
            for place, reading in enumerate(self.readings, 1)
        ]
        return Table("Readings", ("", "judge", "read in the order", ""), tuple(rows))

    def _origin(self, reading: Reading) -> str:
        return "the run's own" if reading.stored else "" if reading.analysis else "no analysis"

    def _findings_table(self) -> Table:
        flips = set(map(id, self.flips))
        rows = [
            (
                each.first.kind,
                ", ".join(each.first.seats),
                str(each.first),
                "".join("●" if each.by_reading[place] else "·" for place in self.judged),
                "flips" if id(each) in flips else "",
            )
            for each in self.findings
        ]
        return Table("Findings", ("kind", "seats", "finding", "readings", ""), tuple(rows))

    def _places_table(self) -> Table:
        rows = [(str(each.place), str(each.credited), f"{each.expected:.1f}") for each in self.places]
        head = ("read as number", "points credited", "the same seats' average")
        return Table("Credit by place, of the audited judge", head, tuple(rows))

    def _favours_table(self) -> Table:
        rows = [
            (
                each.judge,
                f"{each.family}{' (its own)' if each.own else ''}",
                ", ".join(each.seats),
                f"{each.of_seats:.0%}",
                "none credited" if each.of_points is None else f"{each.of_points:.0%}",
            )
            for each in self.favours
        ]
        head = ("judge", "vendor", "seats", "of the seats", "of the points")
        return Table("Judges and their own family", head, tuple(rows))


METHOD = (
    "Findings are the same where their rarer words are: one told in other words altogether counts as lost and as new. "
    "One question has few points; shares of few points say little."
)


def credit(analysis: Analysis | None) -> Counter[str]:
    """How many points an analysis credits to each seat: those of one seat alone and those of some."""
    if analysis is None:
        return Counter()
    some = (label for point in analysis.partial_coverage for label in point.labels)
    return Counter((*some, *(insight.label for insight in analysis.unique_insights)))
