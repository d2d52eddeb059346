"""Draws a run over time: who waited, who wrote, which tools ran, what was tried again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..results import FusionResult
from .drawing import FAINT, INK, PAPER, QUIET, STAGES, drawn, name, nothing
from .frames import timeline_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bar = dict[str, Any]  # a row of the timeline frame
WRITING, USING = 0.46, 0.2  # heights of a call and, below it, of its tools; a seat has 1
LONG = 300  # seconds from which an axis in minutes reads better


def timeline(result: FusionResult) -> Figure:
    """The run as a Gantt chart: a row for each seat, for the judge and for the synthesizer.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    bars = timeline_rows(result)
    if not bars:
        return nothing("Timeline", f"Run {result.id} has no calls.")
    rows = _rows(result, bars)
    last = max((bar["end"] or bar["start"] for bar in bars), default=0.0)
    unit, scale = ("minutes", 60.0) if last > LONG else ("seconds", 1.0)
    with drawn(1.15 + 0.42 * len(rows), _title(result, bars)) as (figure, (axes,)):
        keys = list[str]()
        for at, row in enumerate(rows):
            own = [bar for bar in bars if (bar["stage"], bar["seat"]) == row]
            keys += [key for bar in own if bar["kind"] == "call" for key in _draw(axes, bar, at, scale)]
            keys += _draw_tools(axes, [bar for bar in own if bar["kind"] == "tool"], at + 0.36, scale)
        axes.set_yticks(range(len(rows)), [_told(result, *row) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        span = max(last / scale, 1e-3)
        axes.set_xlim(-0.01 * span, 1.03 * span)
        axes.set_xlabel(f"{unit} after the run's beginning")
        axes.grid(axis="x")
        figure.legend(handles=_legend(keys), loc="outside lower left", ncols=4, fontsize=8)
    return figure


def _rows(result: FusionResult, bars: Iterable[Bar]) -> list[tuple[str, str]]:
    """(stage, letter) of each row, from top to bottom."""
    seats = {("panel", seat.label) for seat in (*result.responses, *result.failed_models)}
    stages: list[str] = list(STAGES)
    return sorted(seats | {(bar["stage"], bar["seat"]) for bar in bars}, key=lambda row: (stages.index(row[0]), row[1]))


def _told(result: FusionResult, stage: str, seat: str) -> str:
    if stage != "panel":
        model = next((call.model for call in result.calls if call.stage == stage), "")
        return f"{stage}  {name(model)}".rstrip()
    return next(
        (f"{seat}  {name(one.model)}" for one in (*result.responses, *result.failed_models) if one.label == seat), seat
    )


def _title(result: FusionResult, bars: Sequence[Bar]) -> str:
    calls, tools = ([bar for bar in bars if bar["kind"] == kind] for kind in ("call", "tool"))
    retries = sum(max(0, bar["attempts"] - 1) for bar in calls)
    counts = {"call": len(calls), "call of tools": len(tools), "retry": retries, "reused": _reused(calls)}
    more = {"call": "calls", "call of tools": "calls of tools", "retry": "retries", "reused": "reused"}
    told = [f"{count} {one if count == 1 else more[one]}" for one, count in counts.items() if count]
    return f"Timeline, {result.duration:.1f} s: {', '.join(told)}"


def _reused(calls: Iterable[Bar]) -> int:
    return sum(bar["reused"] for bar in calls)


def _draw(axes: Any, bar: Bar, row: int, scale: float) -> list[str]:
    """Draw one call; returns what of the legend it needs."""
    start, end = bar["start"] / scale, bar["end"] / scale
    if bar["reused"]:
        axes.plot([start], [row], marker="D", markersize=6, color=PAPER, markeredgecolor=INK, clip_on=False)
        return ["reused"]
    first = bar["first_token"]
    written = {"color": STAGES[bar["stage"]], "edgecolor": INK, "linewidth": 0.6}
    if bar["attempts"] > 1:
        axes.barh(row, end - start, WRITING, start, hatch="////", **written)
        axes.text(end, row, f" ×{bar['attempts']}", va="center", fontsize=8)
        keys = ["retried"]
    else:
        first = end if first is None else first / scale
        axes.barh(row, first - start, WRITING, start, color=PAPER, edgecolor=QUIET, linewidth=0.6)
        axes.barh(row, end - first, WRITING, first, **written)
        keys = ["silent", *([bar["stage"]] if first < end else [])]
    if bar["error"]:
        axes.plot([end], [row], marker="X", markersize=8, color=INK, markeredgecolor=PAPER, clip_on=False)
        keys.append("failed")
    return keys


def _draw_tools(axes: Any, bars: Sequence[Bar], height: float, scale: float) -> list[str]:
    """Tools as thin bars, or as strokes where a server ran them and did not say how long."""
    if not bars:
        return []
    places = [(bar["start"] / scale, ((bar["end"] or bar["start"]) - bar["start"]) / scale) for bar in bars]
    axes.broken_barh(places, (height - USING / 2, USING), color=QUIET, edgecolor=INK, linewidth=0.8, alpha=0.7)
    failed = [start + wide for bar, (start, wide) in zip(bars, places, strict=True) if bar["error"]]
    axes.plot(failed, [height] * len(failed), "x", markersize=5, color=INK, clip_on=False)
    return ["tool", *(["tool failed"] if failed else [])]


def _legend(keys: Iterable[str]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(marker: str, size: int, face: str, edge: str, label: str) -> Any:
        return Line2D(
            [], [], linestyle="", marker=marker, markersize=size, color=face, markeredgecolor=edge, label=label
        )

    known = {
        "silent": Patch(facecolor=PAPER, edgecolor=QUIET, label="no text yet"),
        **{stage: Patch(facecolor=STAGES[stage], edgecolor=INK, label=f"writing, {stage}") for stage in STAGES},
        "retried": Patch(facecolor=FAINT, edgecolor=INK, hatch="////", label="sent ×n, waits included"),
        "failed": mark("X", 9, INK, PAPER, "failed"),
        "tool": Patch(facecolor=QUIET, edgecolor=INK, alpha=0.7, label="tool"),
        "tool failed": mark("x", 5, INK, INK, "tool failed"),
        "reused": mark("D", 6, PAPER, INK, "reused"),
    }
    used = set(keys)
    return [handle for key, handle in known.items() if key in used]
