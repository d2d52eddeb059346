"""What a comparison found: a row for each run, a table by configuration and a picture; no verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..results import FusionResult, dollars
from ..verbs import panel_of
from .columns import Columns, Row, documented, table
from .costs import full_cost, full_seconds
from .drawing import INK, QUIET, STAGES, drawn, folded, name, nothing
from .report import Report, Shown, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

COLUMNS: Columns = {
    "number": ("count", "the prompt, counted from 1"),
    "prompt": ("text", "the prompt"),
    "panel": ("text", "the panel's name, or its models"),
    "judge": ("text", "who compared"),
    "synthesizer": ("text", "who wrote the answer"),
    "strategy": ("text", "how they were put together"),
    "engine": ("text", "who ran the fusion: kernel, this machine, or openrouter"),
    "seed": ("count?", "the seed that was given; missing without one"),
    "run": ("text", "the run's id"),
    "status": ("text", "ok, cancelled, limited or error"),
    "error": ("text", "why there is no answer; missing if there is one"),
    "seats": ("count", "seats that answered"),
    "failed": ("count", "seats that did not"),
    "contradictions": ("count?", "topics on which responses disagree; missing, as the next two, without an analysis"),
    "partial": ("count?", "points of some seats"),
    "unique": ("count?", "points of one seat"),
    "characters": ("count", "of the answer"),
    "paid": ("number", "US dollars that this run cost now; missing if no price is known"),
    "cost": ("number", "US dollars with nothing reused; missing if a call's price is not known"),
    "seconds": ("number", "the slowest seat, then judge and synthesizer; missing if the store answered a call"),
}
Configuration = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """One run of a comparison: the prompt's number from 1, the seed that was given, and the result."""

    number: int
    seed: int | None
    result: FusionResult

    @property
    def panel(self) -> str:
        """The panel's name, or its models."""
        panel = panel_of(self.result)
        return panel.name.removesuffix(" (changed)") or " + ".join(name(seat.model) for seat in panel.models)

    @property
    def configuration(self) -> Configuration:
        """(panel, judge, strategy, engine)"""
        chosen = self.result.settings
        way = str(chosen.get("strategy", "fusion")), str(chosen.get("engine", "kernel"))
        return self.panel, panel_of(self.result).judge.model, *way


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Runs side by side. `runs` holds each with its result; means are over prompts and seeds."""

    runs: tuple[Compared, ...]

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each run."""
        return table(COLUMNS, map(_row, self.runs))

    @property
    def by_configuration(self) -> dict[Configuration, list[Compared]]:
        """The runs of each panel, judge, strategy and engine, in the order in which they were asked for."""
        found: dict[Configuration, list[Compared]] = {}
        for run in self.runs:
            found.setdefault(run.configuration, []).append(run)
        return found

    @property
    def report(self) -> Report:
        """What is shown: a line for each configuration, with the means of its runs."""
        head = ("panel", "judge", "strategy", "engine", "runs", "answered", *MEASURES)
        rows = tuple(
            (
                *configuration,
                str(len(runs)),
                str(sum(run.result.answer is not None for run in runs)),
                *(_mean(runs, measure) for measure in MEASURES),
            )
            for configuration, runs in self.by_configuration.items()
        )
        prompts = len({run.number for run in self.runs})
        return Report(f"{len(self.runs)} runs of {prompts} prompts", (Table("", head, rows),), (MEANS,))

    def plot(self) -> Figure:
        """Cost, time and findings of every configuration: a dot for each run and a line at their mean.

        Raises:
            SettingsError: matplotlib is not installed.
        """
        found = self.by_configuration
        measured = {measure: [_values(runs, measure) for runs in found.values()] for measure in MEASURES}
        shown = [measure for measure, rows in measured.items() if any(rows)]
        if not shown:
            return nothing("Comparison", "No run has an answer.")
        title = f"Comparison of {len(found)} configurations over {len(self.runs)} runs"
        with drawn(1.4 + 0.5 * len(found), title, len(shown)) as (figure, columns):
            for axes, measure in zip(columns, shown, strict=True):
                _dots(axes, measured[measure])
                axes.set_xlabel(measure)
            columns[0].set_yticks(range(len(found)), _names(list(found)))
            for axes in columns[1:]:
                axes.set_yticks([])
        return figure


MEANS = "Means over the runs that were answered, where the figure is known. None of them says which answer is better."


def _row(run: Compared) -> Row:
    result, panel = run.result, panel_of(run.result)
    analysis = result.analysis
    fields = {
        "contradictions": analysis and len(analysis.contradictions),
        "partial": analysis and len(analysis.partial_coverage),
        "unique": analysis and len(analysis.unique_insights),
    }
    return {
        "number": run.number,
        "prompt": result.prompt,
        "panel": run.panel,
        "judge": panel.judge.model,
        "synthesizer": panel.synthesizer.model,
        "strategy": run.configuration[2],
        "engine": run.configuration[3],
        "seed": run.seed,
        "run": result.id,
        "status": result.status,
        "error": result.error,
        "seats": len(result.responses),
        "failed": len(result.failed_models),
        **fields,
        "characters": len(result.answer or ""),
        "paid": result.cost,
        "cost": full_cost(result),
        "seconds": full_seconds(result),
    }


def _findings(result: FusionResult) -> float | None:
    analysis = result.analysis
    return None if analysis is None else float(len(analysis.contradictions) + len(analysis.unique_insights))


MEASURES: dict[str, Callable[[FusionResult], float | None]] = {
    "US dollars": full_cost,
    "seconds": full_seconds,
    "contradictions + unique": _findings,
    "characters": lambda result: float(len(result.answer or "")),
}


def _values(runs: list[Compared], measure: str) -> list[float]:
    """The known values of a measure over the runs that were answered."""
    found = (MEASURES[measure](run.result) for run in runs if run.result.answer is not None)
    return [value for value in found if value is not None]


def _mean(runs: list[Compared], measure: str) -> str:
    values = _values(runs, measure)
    if not values:
        return "not known"
    mean = fmean(values)
    return dollars(mean) if measure == "US dollars" else f"{mean:,.0f}" if measure == "characters" else f"{mean:.1f}"


def _names(found: list[Configuration]) -> list[str]:
    """What tells the configurations apart."""
    differing = [place for place in range(4) if len({configuration[place] for configuration in found}) > 1] or [0]
    shown = ([c[0], name(c[1]), *c[2:]] for c in found)
    return [folded(" · ".join(parts[place] for place in differing), 30) for parts in shown]


def _dots(axes: Any, rows: list[list[float]]) -> None:
    """A dot for each value, and a line at the mean of each row."""
    at = [(value, row) for row, values in enumerate(rows) for value in values]
    axes.plot([x for x, _ in at], [y for _, y in at], "o", markersize=5, color=STAGES["panel"], markeredgecolor=QUIET)
    for row, values in enumerate(rows):
        if values:
            axes.plot([fmean(values)] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=1.6)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=3)
    axes.grid(axis="x")
