"""Plots of a result: static figures of matplotlib that show themselves, on light and dark pages and in grey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from ..results import Call, FusionResult, Stage, Usage, cost_text, dollars
from ..store import open_store
from . import timeline as gantt
from .agreement import By, basis, similarity, votes
from .drawing import FAINT, INK, PAPER, QUIET, STAGES, drawn, folded, name, nothing, seats_told

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 40  # points in a picture; more can't be read, and the frame has all
BLUE = STAGES["judge"]
RESTS_ON = {"points": "points of the analysis", "words": "words of the responses"}


class Plots:
    """The plots of one run. Each method returns a figure of its own: the last value of a cell is shown, once.

    `figure.savefig("timeline.svg")` writes it. Every method raises SettingsError if matplotlib is not installed.
    """

    def __init__(self, result: FusionResult) -> None:
        self._result = result

    def timeline(self) -> Figure:
        """The run over time: for each seat, the judge and the synthesizer waiting, writing, tools and retries."""
        return gantt.timeline(self._result)

    def agreement(self, by: By | None = None) -> Figure:
        """How far each two seats agree, and the effective votes; see `fusion_magic.examine.agreement`.

        Args:
            by: points of the analysis or words of the responses; without it points where there are any.

        Raises:
            SettingsError: by="points" and no point is known.
        """
        return _agreement(self._result, by)

    def coverage(self) -> Figure:
        """Which seat makes which point: partial coverage first, then what one seat alone brings."""
        return _coverage(self._result)

    def claims(self) -> Figure:
        """Sentences of the answer by where they come from, and by the seats that support them."""
        return _claims(self._result)

    def cost(self) -> Figure:
        """US dollars and tokens of panel, judge and synthesis; of calls that were asked, not of reused ones."""
        return _cost(self._result)


def _agreement(result: FusionResult, by: By | None) -> Figure:
    seats, by = result.responses, by or basis(result)
    if len(seats) < 2:
        return nothing("Agreement", f"{len(seats) or 'No'} seat answered; agreement needs two.")
    matrix = similarity(result, by)
    counted = f"{votes(matrix):.1f} effective votes of {len(seats)} seats"
    with drawn(1.2 + 0.5 * len(seats), f"Agreement by {RESTS_ON[by]}: {counted}") as (figure, (axes,)):
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")  # up to 1.25: the darkest blue hides text
        for row, values in enumerate(matrix):
            for column, value in enumerate(values):
                ink = PAPER if value > 0.8 else INK
                told = "–" if row == column else f"{value:.2f}"
                axes.text(column, row, told, ha="center", va="center", color=ink)
        axes.set_xticks(range(len(seats)), [seat.label for seat in seats])
        axes.set_yticks(range(len(seats)), [f"{seat.label}  {name(seat.model)}" for seat in seats])
        axes.spines[:].set_visible(False)
        axes.set_xlabel("0 nothing shared · 1 the same")
    return figure


def _coverage(result: FusionResult) -> Figure:
    analysis = result.analysis
    partial = [(each.point, each.labels) for each in analysis.partial_coverage] if analysis else []
    unique = [(each.insight, (each.label,)) for each in analysis.unique_insights] if analysis else []
    points, seats = [*partial, *unique], result.responses
    if not points:
        why = "no points that only some seats make" if analysis else "no analysis"
        return nothing("Coverage", f"Run {result.id} has {why}.")
    shown = points[:POINTS]
    told = [folded(point, 72) for point, _ in shown]
    left = f"; {len(points) - POINTS} more are in frames.coverage" if len(points) > POINTS else ""
    title = f"Coverage: {_counted(len(partial), 'point')} of some seats, {len(unique)} of one{left}"
    with drawn(1.3 + sum(0.2 + 0.15 * text.count("\n") for text in told) * 1.1, title) as (figure, (axes,)):
        _squares(axes, shown, [seat.label for seat in seats])
        axes.set_yticks(range(len(shown)), told)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        if 0 < len(partial) < len(shown):
            axes.axhline(len(partial) - 0.5, color=INK, linewidth=0.8)
        told_seats = seats_told((seat.label, seat.model) for seat in seats)
        figure.supxlabel(told_seats, x=0.01, ha="left", fontsize=8, color=QUIET)
    return figure


def _squares(axes: Any, points: Iterable[tuple[str, tuple[str, ...]]], seats: list[str]) -> None:
    """A filled square where a seat makes the point, a small dot where it does not."""
    cells = [(seats.index(seat), row, seat in labels) for row, (_, labels) in enumerate(points) for seat in seats]
    for covers, marker, size, colour in ((True, "s", 9, BLUE), (False, ".", 3, QUIET)):
        at = [(column, row) for column, row, is_covered in cells if is_covered is covers]
        axes.plot([x for x, _ in at], [y for _, y in at], marker, markersize=size, color=colour)
    axes.set_xticks(range(len(seats)), seats)
    axes.set_xlim(-0.6, max(len(seats), 4) - 0.4)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    axes.grid(axis="y")


def _claims(result: FusionResult) -> Figure:
    from .claims import ledger

    claims = [entry for entry in ledger(result).sentences if entry.origin != "no claim"]
    if not claims:
        return nothing("Claims", f"Run {result.id} has no answer with a claim in it.")
    origins = Counter(entry.origin for entry in claims)
    denied = Counter(entry.origin for entry in claims if entry.contradicted_by)
    known = [origin for origin in ORIGINS if origins[origin]]
    supported = [{passage.label for passage in entry.supported_by if passage.whole} for entry in claims]
    seats = result.responses
    height = 1.5 + 0.36 * max(len(known), len(seats))
    with drawn(height, f"Claims: {_counted(len(claims), 'sentence')} by origin, and by seats that say them", 2) as (
        figure,
        (left, right),
    ):
        _bars(left, [origins[origin] for origin in known], [denied[origin] for origin in known], "contradicted")
        left.set_yticks(range(len(known)), [ORIGINS[origin] for origin in known])
        said = [sum(seat.label in labels for labels in supported) for seat in seats]
        alone = [sum(labels == {seat.label} for labels in supported) for seat in seats]
        _bars(right, said, alone, "alone")
        right.set_yticks(range(len(seats)), [f"{seat.label}  {name(seat.model)}" for seat in seats])
        for axes, hatched in ((left, "contradicted by a seat"), (right, "by that seat alone")):
            axes.set_xlabel(f"hatched: {hatched}")
    return figure


# Words for the ledger's origins, from the most to the least supported.
ORIGINS = {
    "several": "several seats",
    "one": "one seat",
    "together": "put together from seats",
    "partly": "in part",
    "unclear": "unclear",
    "added": "found in no response",
}


def _bars(axes: Any, counts: list[int], hatched: list[int], word: str) -> None:
    """A bar for each row with its count, and over its beginning the hatched part with its own."""
    rows = range(len(counts))
    axes.barh(rows, counts, 0.6, color=STAGES["panel"], edgecolor=INK, linewidth=0.6)
    axes.barh(rows, hatched, 0.6, color=STAGES["panel"], edgecolor=INK, linewidth=0.6, hatch="////")
    for row, count, part in zip(rows, counts, hatched, strict=True):
        axes.text(count, row, f"  {count}" + (f", {part} {word}" if part else ""), va="center")
    axes.set_ylim(len(counts) - 0.4, -0.6)
    _leave_room(axes, 0.5)
    axes.locator_params(axis="x", integer=True)


def _leave_room(axes: Any, share: float) -> None:
    """Scale bars that begin at 0 so that behind them is room for numbers."""
    axes.use_sticky_edges = False  # else no room is left behind a bar of no length
    axes.margins(x=share)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x")


# --- money --------------------------------------------------------------------------------------------


def _cost(result: FusionResult) -> Figure:
    stages: list[Stage] = [stage for stage in STAGES if _calls(result, stage)]
    if not stages:
        return nothing("Cost", f"Run {result.id} has no calls.")
    with drawn(1.3 + 0.5 * len(stages), f"Cost {cost_text([result])}, {result.usage.total_tokens:,} tokens", 2) as (
        figure,
        (money, tokens),
    ):
        for row, stage in enumerate(stages):
            calls = _calls(result, stage)
            _draw_costs(money, row, calls)
            _draw_tokens(tokens, row, sum((call.usage for call in calls if call.usage and not call.reused), Usage()))
        money.set_yticks(range(len(stages)), stages)
        tokens.set_yticks([])
        money.set_xlabel("US dollars, the panel's by seat")
        tokens.set_xlabel("tokens of calls that reported them")
        for axes in (money, tokens):
            axes.set_ylim(len(stages) - 0.4, -0.6)
            _leave_room(axes, 0.3)
        tokens.locator_params(axis="x", integer=True)
        money.xaxis.set_major_formatter(_as_dollars)
        tokens.xaxis.set_major_formatter("{x:,.0f}")
        figure.legend(handles=_kinds(), loc="outside lower right", ncols=3, fontsize=8)
    return figure


def _calls(result: FusionResult, stage: Stage) -> list[Call]:
    return [call for call in result.calls if call.stage == stage]


def _draw_costs(axes: Any, row: int, calls: list[Call]) -> None:
    """The known costs side by side, each seat's in a box with its letter; behind them the sum in words."""
    left, known = 0.0, sum(call.cost or 0.0 for call in calls)
    for label in sorted({call.label for call in calls}):
        cost = sum(call.cost or 0.0 for call in calls if call.label == label)
        axes.barh(row, cost, 0.55, left, color=STAGES[calls[0].stage], edgecolor=INK, linewidth=0.6)
        if cost > 0.05 * known:
            axes.text(left + cost / 2, row, label, ha="center", va="center", fontsize=8)
        left += cost
    is_partial = any(call.cost is None or call.unreported for call in calls)
    is_known = any(call.cost is not None for call in calls)
    told = f"at least {dollars(left)}" if is_partial else dollars(left)
    if all(call.reused for call in calls):
        told = "reused"
    axes.text(left, row, f"  {told if is_known else 'not priced'}", va="center")


def _as_dollars(amount: float, _: object) -> str:
    return dollars(amount)


def _draw_tokens(axes: Any, row: int, usage: Usage) -> None:
    cached = min(usage.cached_tokens, usage.prompt_tokens)  # a server may say any number
    counts = {"read": usage.prompt_tokens - cached, "cached": cached, "written": usage.completion_tokens}
    left = 0
    for kind, count in counts.items():
        axes.barh(row, count, 0.55, left, **KINDS[kind])
        left += count
    axes.text(left, row, f"  {left:,}", va="center")


KINDS: dict[str, dict[str, Any]] = {
    "read": {"color": FAINT, "edgecolor": INK, "linewidth": 0.6},
    "cached": {"color": PAPER, "edgecolor": QUIET, "linewidth": 0.6, "hatch": "...."},
    "written": {"color": QUIET, "edgecolor": INK, "linewidth": 0.6},
}


def _kinds() -> list[Any]:
    from matplotlib.patches import Patch

    told = {"read": "read", "cached": "read from the provider's cache", "written": "written"}
    return [
        Patch(**{("facecolor" if key == "color" else key): value for key, value in KINDS[kind].items()}, label=label)
        for kind, label in told.items()
    ]


def spending() -> Figure:
    """US dollars of each day, from the store: what all calls cost, also of runs that were pruned or forgotten.

    Raises:
        SettingsError: the store can't be read, or matplotlib is not installed.
    """
    lines = sorted(open_store().costs("day"), key=lambda line: line.name)
    if not lines:
        return nothing("Spending", "The store has no calls yet.")
    days = [date.fromisoformat(line.name) for line in lines]
    costs = [line.cost or 0.0 for line in lines]
    is_least = [bool(line.not_priced or line.not_reported) for line in lines]
    calls = sum(line.calls for line in lines)
    least = "at least " if any(is_least) else ""
    with drawn(2.8, f"Spending, {least}{dollars(sum(costs))} for {_counted(calls, 'call')}") as (figure, (axes,)):
        bars = axes.bar(days, costs, 0.8, color=STAGES["panel"], edgecolor=INK, linewidth=0.6)
        for bar, least in zip(bars, is_least, strict=True):
            bar.set_hatch("////" if least else "")
        for day, line in zip(days, lines, strict=True):
            if line.cost is None:
                axes.text(day, 0, "?", ha="center", va="bottom", color=QUIET)
        axes.set_ylabel("US dollars")
        axes.grid(axis="y")
        _draw_days(axes, days, any(is_least))
    return figure


def _draw_days(axes: Any, days: list[date], some_least: bool) -> None:
    from datetime import timedelta

    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=1, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlim(min(days[0], days[-1] - timedelta(6)) - timedelta(1), days[-1] + timedelta(1))
    axes.set_xlabel("hatched: at least, as calls of that day have no known cost" if some_least else "")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
