"""What a panel's gain on one model is made of: writing a synthesis at all, and asking different models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..examine.columns import Columns, documented, table
from ..examine.drawing import FAINT, INK, PAPER, QUIET, STAGES, drawn, folded
from ..examine.report import Report as Page
from ..examine.report import Shown, Table
from .distributions import percentiles, resampled
from .scores import Scores
from .statistics import Difference, Mean, mean, paired
from .tables import p_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

COLUMNS: Columns = {
    "part": ("text", "synthesis (one model's own fusion less it alone), diversity (panel less that), or total"),
    "gain": ("number", "points, mean over the tasks that all three have"),
    "low": ("number", "where its interval begins"),
    "high": ("number", "where it ends"),
    "p": ("number", "of the paired t test"),
    "share": ("number", "of the total gain; missing if that can't be told from 0"),
    "share_low": ("number", "where its interval begins"),
    "share_high": ("number", "where it ends"),
    "n": ("count", "tasks that all three have"),
}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the total gain, 0 to 1 (or beyond, where the other part is a loss), with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"


@dataclass(frozen=True, repr=False, eq=False)
class Ablation(Shown):
    """Solo, self-fusion and panel on the tasks that all three have; it shows itself as a table.

    Attributes:
        names: the three configurations, in this order.
        levels: their means.
        synthesis: self-fusion less solo.
        diversity: panel less self-fusion.
        total: panel less solo.
        shares: of synthesis and of diversity in the total; None where the interval of the total holds 0, because a
            ratio to what may be nothing has no meaning.
        level: of the intervals.
        scores: the scores behind it.
        notes: what limits it.
    """

    names: tuple[str, str, str]
    levels: tuple[Mean, Mean, Mean]
    synthesis: Difference
    diversity: Difference
    total: Difference
    shares: tuple[Share, Share] | None
    level: float
    scores: Scores
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Tasks that all three have."""
        return self.total.n

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each part of the gain, and one for all of it."""
        self.scores.warn_if_mixed()
        return table(COLUMNS, (self._row(*part) for part in self._parts))

    @property
    def _parts(self) -> tuple[tuple[str, Difference, Share | None], ...]:
        synthesis, diversity = self.shares or (None, None)
        whole = None if self.shares is None else Share(1.0, nan, nan)
        return (
            ("synthesis", self.synthesis, synthesis),
            ("diversity", self.diversity, diversity),
            ("total", self.total, whole),
        )

    def _row(self, part: str, gain: Difference, share: Share | None) -> dict[str, Any]:
        return {
            "part": part,
            "gain": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "p": gain.p,
            "share": share and share.value,
            "share_low": share and share.low,
            "share_high": share and share.high,
            "n": gain.n,
        }

    @property
    def report(self) -> Page:
        """What is shown."""
        mixed = self.scores.warn_if_mixed()
        percent = f"{100 * self.level:g} %"
        levels = tuple((config, str(level)) for config, level in zip(self.names, self.levels, strict=True))
        solo, self_fusion, panel = self.names
        told = {
            "synthesis": f"{self_fusion} less {solo}",
            "diversity": f"{panel} less {self_fusion}",
            "total": f"{panel} less {solo}",
        }
        parts = tuple(
            (part, told[part], str(gain), p_text(gain.p), str(share) if share and part != "total" else "")
            for part, gain, share in self._parts
        )
        return Page(
            f"Ablation on {self.n} tasks",
            (
                Table("Scores, 0 to 100", ("", f"score [{percent}]"), levels),
                Table("What the gain is made of", ("", "", f"points [{percent}]", "p", f"share [{percent}]"), parts),
            ),
            tuple(filter(None, (mixed, *self.notes))),
        )

    def plot(self) -> Figure:
        """From solo to self-fusion to panel, as steps with their intervals.

        Raises:
            SettingsError: matplotlib is not installed.
        """
        return _waterfall(self)


def ablation_of(
    scores: Scores, *, solo: str, self_fusion: str, panel: str, level: float = 0.95, seed: int = 0
) -> Ablation:
    """The gain of a panel on one model alone, split into synthesis and diversity, on the tasks that all three have.

    Gains are paired, with t intervals. Shares are ratios of mean gains with percentile intervals of a bootstrap that
    draws the same tasks for both (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

    Args:
        scores: of the three configurations, and maybe others.
        solo: the name of the one model alone.
        self_fusion: that model several times, put together as the panel is.
        panel: the panel.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        SettingsError: no such configuration, or fewer than two tasks that all three have.
    """
    names = (solo, self_fusion, panel)
    found = [scores.by_task(config) for config in names]
    tasks = [task for task in found[0] if task in found[1] and task in found[2]]
    if len(tasks) < 2:
        raise SettingsError(
            f"{solo}, {self_fusion} and {panel} have scores of {len(tasks)} of the same tasks; an ablation takes two. "
            f"{_first_without(scores.only(*names))}".rstrip()
        )
    one, own, many = ({task: each[task] for task in tasks} for each in found)
    total = paired(many, one, level=level)
    synthesis, diversity = paired(own, one, level=level), paired(many, own, level=level)
    shares = None
    if total.is_apart:
        shares = _shares([own[t] - one[t] for t in tasks], [many[t] - one[t] for t in tasks], level, seed)
    return Ablation(
        names=names,
        levels=(mean(one.values(), level=level), mean(own.values(), level=level), mean(many.values(), level=level)),
        synthesis=synthesis,
        diversity=diversity,
        total=total,
        shares=shares,
        level=level,
        scores=scores.only(*names),
        notes=tuple(_notes(names, [len(each) for each in found], total)),
    )


def _first_without(scores: Scores) -> str:
    """Why the first task that has no score has none."""
    frame: Any = scores.frame
    lacking = frame[frame["score"].isna() & frame["error"].notna()]
    return "" if lacking.empty else "{config}, task {task}: {error}".format(**lacking.iloc[0])


def _shares(synthesis: Sequence[float], total: Sequence[float], level: float, seed: int) -> tuple[Share, Share]:
    parts, wholes = resampled([synthesis, total], seed=seed)
    value = sum(synthesis) / sum(total)
    is_gain = wholes != 0  # a draw without any gain says nothing of its parts
    low, high = percentiles(parts[is_gain] / wholes[is_gain], level)
    return Share(value, low, high), Share(1 - value, 1 - high, 1 - low)


def _notes(names: Sequence[str], counts: Sequence[int], total: Difference) -> list[str]:
    notes = list[str]()
    if not total.is_apart:
        notes.append(f"The total gain, {total}, can't be told from 0, so no share of it is given.")
    if max(counts) > total.n:
        told = ", ".join(f"{config} {count}" for config, count in zip(names, counts, strict=True))
        notes.append(f"Only tasks with all three scores count; there are scores of {told}.")
    return notes


def _waterfall(found: Ablation) -> Figure:
    solo, own, panel = (level.mean for level in found.levels)
    steps = (("+ synthesis", solo, found.synthesis), ("+ diversity", own, found.diversity))
    first, second, third = (folded(config, 26) for config in found.names)
    title = f"From one model to a panel, {found.n} tasks: {found.total} points"
    with drawn(3.1, title) as (figure, (axes,)):
        for place, level in zip((0, 2, 4), found.levels, strict=True):
            axes.plot([level.low, level.high], [place, place], color=QUIET, linewidth=1.4)
            axes.plot([level.mean], [place], "o", markersize=8, color=STAGES["judge"], zorder=3)
            _beside(axes, place, str(level))
        for (_, begins, gain), share, place in zip(steps, found.shares or (None, None), (1, 3), strict=True):
            _step(axes, place, begins, gain, share)
        for level, top, bottom in ((solo, 0, 1), (own, 1, 3), (panel, 3, 4)):
            axes.plot([level, level], [top, bottom], color=FAINT, linewidth=1, zorder=0)
        axes.set_yticks(range(5), [first, "+ synthesis", second, "+ diversity", third])
        axes.set_ylim(4.6, -0.6)
        axes.margins(x=0.08)
        axes.set_xlabel("score")
        axes.grid(axis="x")
        said = [f"thin lines: {100 * found.level:g} % intervals, of a step that of the paired difference", *found.notes]
        mixed = found.scores.warn_if_mixed(stacklevel=4)
        told = "\n".join(folded(each, 110, 3) for each in (*said, *([mixed] if mixed else [])))
        figure.supxlabel(told, x=0.01, ha="left", fontsize=8, color=QUIET)
    return figure


def _step(axes: Any, place: int, begins: float, gain: Difference, share: Share | None) -> None:
    """A bar from one level to the next, with the difference's interval on its end; hatched where it is a loss."""
    is_loss = gain.mean < 0
    face = PAPER if is_loss else STAGES["panel"]
    hatch = "////" if is_loss else ""
    axes.barh(place, gain.mean, 0.5, begins, color=face, edgecolor=INK, linewidth=0.8, hatch=hatch)
    axes.plot([begins + gain.low, begins + gain.high], [place, place], color=INK, linewidth=1.4)
    _beside(axes, place, f"{gain}\n{share} of the gain" if share else str(gain))


def _beside(axes: Any, place: int, text: str) -> None:
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center")
