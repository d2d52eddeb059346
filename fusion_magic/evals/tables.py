"""A report as tables and sentences: scores, what they consist of, what they cost, how they were graded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from ..examine.report import Report as Page
from ..examine.report import Table
from ..results import dollars
from .scores import AXIS
from .statistics import detectable

if TYPE_CHECKING:
    from .report import Report

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]
UNKNOWN = "–"


def page(report: Report) -> Page:
    """What a report shows."""
    rows = report.rows
    percent, baseline = f"{100 * report.level:g} %", report.baseline
    gained: tuple[Column, ...] = (
        (f"less {baseline} [{percent}]", lambda row: _whole(report.gains.get(row["config"], UNKNOWN))),
        ("on tasks", lambda row: number(row["common"], 0)),
        ("r", lambda row: number(row["correlation"], 2)),
        ("p (Holm)", lambda row: p_text(row["holm"])),
    )
    scored: tuple[Column, ...] = (
        ("tasks", lambda row: str(row["n"])),
        ("failed", lambda row: str(row["failed"] or UNKNOWN)),
        ("ungraded", lambda row: str(row["ungraded"] or UNKNOWN)),
        (f"score [{percent}]", lambda row: _whole(report.means[row["config"]]) if row["n"] else UNKNOWN),
        *(gained if baseline is not None else ()),
    )
    by_cluster = (f"SE by {report.cluster}", _column("se_clustered", 2))
    axes = ((title, _column(AXIS + title, 1)) for title in report.scores.axes)
    tables = (
        _table("Scores, 0 to 100", scored, rows),
        _table("What they consist of", (*CONSIST, *axes), rows),
        _table("What a task takes", TAKES, rows),
        _table("How they were graded", GRADED, rows),
        _table("Where their uncertainty comes from, in points", (SE, by_cluster, *NOISE), rows),
    )
    counted = "1 configuration" if len(rows) == 1 else f"{len(rows)} configurations"
    mixed = "; not on one scale" if report.scores.mixed() else ""
    return Page(f"{counted}, {len(report.scores.tasks)} tasks{mixed}", tables, tuple(_notes(report, rows)))


def number(value: float | None, digits: int) -> str:
    """A number as it is shown, or a dash."""
    return UNKNOWN if value is None or value != value else f"{value:,.{digits}f}"


def p_text(p: float | None) -> str:
    """A p-value as it is shown: "0.17", "0.004", "<0.001"."""
    if p is None or p != p:
        return UNKNOWN
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _whole(value: object) -> str:
    """A mean and its interval, on one line."""
    return str(value).replace(" ", "\xa0")


def _column(name: str, digits: int, times: float = 1) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row[name] is None else number(times * row[name], digits)


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: row[name] or UNKNOWN


def _money(name: str) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row[name] != row[name] else dollars(row[name])


CONSIST: tuple[Column, ...] = (
    ("pass rate", _column("pass_rate", 1)),
    ("taken by negatives", _column("negative_penalty", 1)),
)
TAKES: tuple[Column, ...] = (
    ("cost", _money("cost")),
    ("grading", _money("grading_cost")),
    ("tokens", _column("tokens", 0)),
    ("seconds, median", _column("p50", 1)),
    ("95 of 100", _column("p95", 1)),
)
GRADED: tuple[Column, ...] = (
    ("grader", _text("grader")),
    ("settings", _text("grader_settings")),
    ("protocol", _text("protocol")),
    ("passes", _text("passes")),
    ("verdicts, %", _column("coverage", 1, 100)),
)
SE: Column = ("SE by task", _column("se", 2))
NOISE: tuple[Column, ...] = (
    ("passes: SD of a task", _column("sd_task", 1)),
    ("SD of the mean", _column("sd_mean", 2)),
    ("verdicts that flip, %", _column("flip_rate", 1, 100)),
    ("grader's share, %", _column("grader_share", 1, 100)),
)


def _table(title: str, columns: Iterable[Column], rows: Sequence[Row]) -> Table:
    """The columns in which anything is known; without any, a table without rows, which is not shown."""
    cells = [(head, [told(row) for row in rows]) for head, told in columns]
    shown = [(head, column) for head, column in cells if set(column) - {UNKNOWN}]
    if not shown:
        return Table(title, (), ())
    lines = zip((row["config"] for row in rows), *(column for _, column in shown), strict=True)
    return Table(title, ("", *(head for head, _ in shown)), tuple(tuple(line) for line in lines))


def _notes(report: Report, rows: Sequence[Row]) -> Iterable[str]:
    if mixed := report.scores.mixed():
        yield mixed
    if len({row["n"] for row in rows}) > 1:
        yield "Not all have the same tasks: means are over those that each has, differences over those that both have."
    drawn = f"whole groups by {report.cluster}" if report.unit == "clusters" else "tasks"
    how = "t" if report.interval == "t" else "bootstrap, percentiles"
    yield f"Intervals cover the choice of {drawn} ({how}), not other runs of the models, graders or kinds of questions."
    spreads = [gain.sd for gain in report.gains.values() if gain.sd == gain.sd]
    least = min((gain.n for gain in report.gains.values() if gain.n > 1), default=0)
    if spreads and least:
        gap = detectable(median(spreads), least)
        yield f"A true difference of {gap:.1f} points would be found on {least} tasks in four of five such experiments."
