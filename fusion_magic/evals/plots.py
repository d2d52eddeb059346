"""Plots of a report: each is a figure that shows itself, with 95 % intervals (or the report's) as whiskers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..examine.drawing import FAINT, INK, PAPER, QUIET, STAGES, drawn, folded, nothing
from .statistics import Difference, Mean
from .tables import p_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .report import Report
    from .scores import Scores

BLUE, ORANGE, PALE = STAGES["judge"], STAGES["synthesis"], STAGES["panel"]
# Where a point's name may stand, the best first: above the line of the best points nothing else can be.
PLACES = [
    (x, y, across, "bottom" if y > 0 else "top")
    for y in (4, -4, 13, -13, 22, -22, 31, -31)
    for x, across in ((-6, "right"), (6, "left"))
]
TITLE = 30  # characters of a name in a title
ROWS = 40  # rows of a picture; more can't be read, and the frame has all
WIDE = 8  # times the least cost from which an axis in powers of ten reads better


def score_cost(report: Report) -> Figure:
    """Score against US dollars of a task. Filled dots and the line: nothing scores more for the same or less."""
    rows = {row["config"]: row["cost"] for row in report.rows}
    priced = [(cost, report.means[config], config) for config, cost in rows.items() if cost == cost]
    points = sorted((point for point in priced if point[1].n), key=lambda point: (point[0], -point[1].mean))
    if not points:
        return nothing("Score and cost", "No configuration has both a score and a known cost.")
    front = pareto([(cost, found.mean) for cost, found, _ in points])
    left = len(rows) - len(points)
    told = f"; {left} without a known cost" if left else ""
    with drawn(4.4, f"Score against the cost of a task{told}") as (figure, (axes,)):
        costs = [cost for cost, _, _ in points]
        if min(costs) > 0 and max(costs) > WIDE * min(costs):
            axes.set_xscale("log")
        elif not max(costs):
            axes.set_xticks([0])
        for place, (cost, found, _) in enumerate(points):
            _whisker(axes, (cost, cost), (found.low, found.high), QUIET)
            axes.plot([cost], [found.mean], "o", markersize=7, **_dot(place in front))
        line = [points[place] for place in front]
        axes.step([p[0] for p in line], [p[1].mean for p in line], where="post", color=BLUE, linewidth=1.2, zorder=1)
        axes.margins(x=0.22, y=0.12)
        axes.xaxis.set_major_formatter(_as_dollars)
        axes.xaxis.set_minor_formatter("")
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("US dollars of a task")
        axes.set_ylabel("score")
        axes.grid(axis="both")
        _name_points(figure, axes, points)
        _foot(figure, report.scores, "filled, on the line: nothing scores more for the same or less")
    return figure


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points than which none scores as much for less or more for the same, the cheapest first.

    Args:
        points: (cost, score) of each, the cheapest first, and of equal cost the best.
    """
    front, best = list[int](), float("-inf")
    for place, (_, score) in enumerate(points):
        if score > best:
            front.append(place)
            best = score
    return front


def forest(report: Report, pairs: Sequence[tuple[str, str]]) -> Figure:
    """Paired differences with their intervals; hollow where the interval holds 0."""
    baseline = report.baseline
    if not pairs and baseline is None:
        raise SettingsError('Say what is compared: `Report(scores, baseline="…")`, or pairs: `forest(("a", "b"))`.')
    found = [(f"{one}  less  {other}", report.difference(one, other)) for one, other in pairs] or list(
        report.gains.items()
    )
    rows = [row for row in found if row[1].n > 1]
    title = "Paired differences" if pairs else f"Gains on {folded(str(baseline), TITLE, 1)}"
    if not rows:
        return nothing(title, "No two configurations have two tasks in common.")
    shown = rows if pairs else sorted(rows, key=lambda row: -row[1].mean)[:ROWS]
    adjusted = {} if pairs else {row["config"]: row["holm"] for row in report.rows}
    more = f"; {len(rows) - len(shown)} more are in the frame" if len(rows) > len(shown) else ""
    with drawn(1.25 + 0.33 * len(shown), f"{title}, points on the same tasks{more}") as (figure, (axes,)):
        axes.axvline(0, color=INK, linewidth=1)
        for place, (config, gap) in enumerate(shown):
            _draw_gap(axes, place, gap)
            p = f"   p {p_text(adjusted[config])}" if config in adjusted else ""
            axes.text(1.02, place, f"{gap}   n {gap.n}{p}", transform=axes.get_yaxis_transform(), va="center")
        axes.set_yticks(range(len(shown)), [folded(config, 34) for config, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("points")
        axes.grid(axis="x")
        told = "" if pairs else "; p adjusted by Holm"
        who = dict.fromkeys(config for pair in pairs for config in pair) or report.scores.configs
        _foot(figure, report.scores.only(*who), f"hollow: the {100 * report.level:g} % interval holds 0{told}")
    return figure


def _draw_gap(axes: Any, place: int, gap: Difference) -> None:
    _whisker(axes, (gap.low, gap.high), (place, place), BLUE)
    axes.plot([gap.mean], [place], "o", markersize=7, **_dot(gap.is_apart))


def dumbbells(report: Report, one: str, other: str) -> Figure:
    """Both scores of each task, from the most lost to the most gained."""
    first, second = report.scores.by_task(one), report.scores.by_task(other)
    tasks = sorted((task for task in first if task in second), key=lambda task: first[task] - second[task])
    title = f"{folded(one, TITLE, 1)} and {folded(other, TITLE, 1)}, task by task"
    if not tasks:
        return nothing(title, "They have no task in common.")
    won = sum(first[task] > second[task] for task in tasks)
    lost = sum(first[task] < second[task] for task in tasks)
    counted = (
        f"{folded(one, TITLE, 1)}: {won} of {len(tasks)} tasks won, {lost} lost; mean {report.difference(one, other)}"
    )
    with drawn(4.0, counted) as (figure, (axes,)):
        at = range(len(tasks))
        size = max(2.5, min(7.0, 260 / len(tasks)))
        axes.vlines(at, [first[t] for t in tasks], [second[t] for t in tasks], color=FAINT, linewidth=size / 2)
        for by_task, dot, label in ((first, _dot(True), one), (second, _dot(False), other)):
            axes.plot(at, [by_task[t] for t in tasks], "o", markersize=size, label=folded(label, 60, 1), **dot)
        axes.set_ylim(-3, 103)
        axes.set_ylabel("score")
        axes.set_xticks(
            at if len(tasks) <= ROWS else [], [folded(t, 8, 1) for t in tasks] if len(tasks) <= ROWS else []
        )
        axes.tick_params(axis="x", rotation=90)
        axes.set_xlabel("tasks, from the most lost to the most gained")
        for edge in (lost - 0.5, len(tasks) - won - 0.5):
            axes.axvline(edge, color=QUIET, linewidth=0.8, linestyle=":")
        axes.grid(axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8)
        _foot(figure, report.scores.only(one, other))
    return figure


def sections(report: Report) -> Figure:
    """The mean of each section of the rubric, a row for each configuration."""
    titles = report.scores.axes
    if not titles:
        return nothing("Sections", "These scores have no sections.")
    configs = [config for config, found in report.means.items() if found.n][:ROWS]
    with drawn(1.35 + 0.3 * len(configs), "Score by section of the rubric", len(titles)) as (figure, columns):
        for axes, title in zip(columns, titles, strict=True):
            for place, config in enumerate(configs):
                found = report.section(config, title)
                _whisker(axes, (found.low, found.high), (place, place), QUIET)
                axes.plot([found.mean], [place], "o", markersize=6, **_dot(True))
            axes.set_title(folded(title, 72 // len(titles)), fontsize=9, loc="left", color=QUIET)
            axes.set_yticks(range(len(configs)), [folded(config, 26) for config in configs])
            axes.set_ylim(len(configs) - 0.4, -0.6)
            axes.locator_params(axis="x", nbins=4)
            axes.grid(axis="both")
        limits = [edge for axes in columns for edge in axes.get_xlim()]
        for place, axes in enumerate(columns):
            axes.set_xlim(min(limits), max(limits))
            axes.tick_params(labelleft=not place)
        _foot(figure, report.scores)
    return figure


# --- what they share ----------------------------------------------------------------------------------


def _dot(is_filled: bool) -> dict[str, Any]:
    return {"color": BLUE if is_filled else PAPER, "markeredgecolor": BLUE, "markeredgewidth": 1.4, "zorder": 3}


def _whisker(axes: Any, x: tuple[float, float], y: tuple[float, float], colour: str) -> None:
    axes.plot(x, y, "-", color=colour, linewidth=1.4, zorder=2, solid_capstyle="butt")


def _foot(figure: Any, scores: Scores, says: str = "") -> None:
    """What is said below a picture, and that its scores are not on one scale, if they are not."""
    mixed = scores.warn_if_mixed(stacklevel=5)
    lines = filter(None, (says, mixed and folded(mixed, 110, 3)))
    if told := "\n".join(lines):
        figure.supxlabel(told, x=0.01, ha="left", fontsize=8, color=QUIET)


def _as_dollars(amount: float, _: object) -> str:
    return f"${amount:g}" if amount >= 0 else ""


def _name_points(figure: Any, axes: Any, points: Sequence[tuple[float, Mean, str]]) -> None:
    """Names beside points, each where it covers as little as can be of dots, whiskers and other names."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    taken = list[Any]()
    for cost, found, _ in points:
        (x, low), (_, high), (_, y) = axes.transData.transform([(cost, v) for v in (found.low, found.high, found.mean)])
        taken += [Bbox([[x - 5, y - 6], [x + 5, y + 6]])]
        taken += [Bbox([[x - 2, low], [x + 2, high]])] if found.n > 1 else []
    frame = axes.get_window_extent()
    for cost, found, config in sorted(points, key=lambda point: -point[1].mean):
        said = axes.annotate(folded(config, 30, 1), (cost, found.mean), (0, 0), textcoords="offset points", fontsize=8)

        def covered(place: tuple[float, float, str, str], said: Any = said) -> float:
            x, y, across, down = place
            said.set(position=(x, y), ha=across, va=down)
            box = said.get_window_extent()
            shared = (Bbox.intersection(box, other) for other in taken)
            outside = max(0.0, frame.x0 - box.x0, box.x1 - frame.x1)
            return sum(each.width * each.height for each in shared if each) + 20 * outside

        x, y, across, down = min(PLACES, key=covered)
        said.set(position=(x, y), ha=across, va=down)
        taken.append(said.get_window_extent())
