"""What scores show: each configuration with its interval, what it gains on a baseline, and what that cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import nan
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SettingsError
from ..examine.columns import Columns, Row, documented, table
from ..examine.report import Report as Page
from ..examine.report import Shown
from .scores import AXIS, Scores
from .statistics import Difference, GraderNoise, Interval, Mean, detectable, grader_noise, holm, mean, paired

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

FRAME: Columns = {
    "config": ("text", "name of what was evaluated"),
    "n": ("count", "tasks with a score; the others are no 0"),
    "score": ("number", "mean over them, 0 to 100"),
    "low": ("number", "where its interval begins"),
    "high": ("number", "where it ends"),
    "se": ("number", "standard error, over tasks"),
    "se_clustered": ("number", "standard error over whole clusters, such as domains; missing with one"),
    "common": ("count?", "tasks that the baseline has too"),
    "gain": ("number", "mean paired difference from the baseline on those, in points"),
    "gain_low": ("number", "where its interval begins"),
    "gain_high": ("number", "where it ends"),
    "correlation": ("number", "Pearson's r with the baseline's scores"),
    "p": ("number", "of the paired t test against the baseline"),
    "holm": ("number", "p adjusted by Holm for the number of configurations"),
    "pass_rate": ("number", "criteria that hold, in percent, without weights"),
    "negative_penalty": ("number", "points that negative criteria took away, mean"),
    "coverage": ("number", "share of verdicts that exist, 0 to 1"),
    "cost": ("number", "US dollars of a task, mean over those answered; missing if one's is not known"),
    "grading_cost": ("number", "US dollars to grade a task, as cost"),
    "tokens": ("number", "tokens of a task, mean over those known"),
    "p50": ("number", "seconds to the answer, median"),
    "p95": ("number", "seconds in which 95 of 100 were answered"),
    "failed": ("count", "tasks without an answer"),
    "ungraded": ("count", "answers without a score"),
    "grader": ("text", "who graded"),
    "grader_settings": ("text", "with which settings"),
    "protocol": ("text", "how it was asked"),
    "passes": ("text", "how often"),
    "sd_task": ("number", "between passes, of one task's score"),
    "sd_mean": ("number", "between passes, of the mean: the ± of DRACO's paper, not that of the interval"),
    "flip_rate": ("number", "criteria whose verdict differs between passes, 0 to 1"),
    "grader_share": ("number", "of the variance of the mean that is the grader's, 0 to 1"),
}
PAIRS: Columns = {
    "one": ("text", "a configuration"),
    "other": ("text", "another"),
    "n": ("count", "tasks that both have"),
    "left_out": ("count", "tasks that only one has"),
    "difference": ("number", "one less other, in points"),
    "low": ("number", "where its interval begins"),
    "high": ("number", "where it ends"),
    "sd": ("number", "standard deviation of the differences"),
    "correlation": ("number", "Pearson's r of the scores"),
    "p": ("number", "of the paired t test"),
    "holm": ("number", "p adjusted by Holm for the number of pairs"),
    "detectable": ("number", "the least true difference that so many tasks show with a power of 80 %"),
}


@dataclass(frozen=True, repr=False, eq=False)
class Report(Shown):
    """Scores as a frame, tables and plots; it shows itself as tables.

        Report(scores, baseline="solo")          # in a notebook: tables
        Report(scores, baseline="solo").forest() # a figure

    Every table and plot of scores that were not graded alike says so, and warns with `MixedGraders`.

    Attributes:
        scores: what was measured.
        baseline: the configuration that others are compared with; without it none is.
        cluster: the column of what may belong together, for a second standard error. None: no second one.
        unit: what intervals rest on: "tasks", or whole "clusters". DRACO's ten domains are too few to rest on, and were
            not drawn by chance: their standard error shows how sensitive the first is.
        interval: "t" or "bootstrap".
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        SettingsError: no such baseline, column or interval.
    """

    scores: Scores
    baseline: str | None = None
    cluster: str | None = "domain"
    unit: Literal["tasks", "clusters"] = "tasks"
    interval: Interval = "t"
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        mean((), interval=self.interval, level=self.level)
        if self.baseline is not None:
            self.scores.rows(self.baseline)
        if self.cluster is not None and self.cluster not in self.scores.frame.columns:
            raise SettingsError(f"The scores have no column {self.cluster!r} to cluster by; leave cluster out.")
        if self.unit == "clusters" and self.cluster is None:
            raise SettingsError('unit="clusters" needs cluster, the column that says what belongs together.')

    @cached_property
    def means(self) -> dict[str, Mean]:
        """Each configuration's score, the highest first."""
        found = {config: self._mean(by_task) for config, by_task in self._scored.items()}
        return dict(sorted(found.items(), key=lambda each: -each[1].mean if each[1].n else float("inf")))

    @cached_property
    def gains(self) -> dict[str, Difference]:
        """What each other configuration gains on the baseline; empty without one."""
        if self.baseline is None:
            return {}
        return {config: self.difference(config, self.baseline) for config in self.means if config != self.baseline}

    @cached_property
    def noise(self) -> dict[str, GraderNoise]:
        """The grader's part in each configuration's uncertainty."""
        rows = {config: self.scores.rows(config) for config in self.means}
        names = ("score", "sd_passes", "passes", "flip_rate")
        return {config: grader_noise(*(_numbers(each[name]) for name in names)) for config, each in rows.items()}

    def difference(self, one: str, other: str) -> Difference:
        """One configuration less another on the tasks that both have.

        Raises:
            SettingsError: there is none of that name.
        """
        for config in (one, other):
            self.scores.rows(config)
        first, second = self._scored[one], self._scored[other]
        return paired(first, second, self._groups if self.unit == "clusters" else None, **self._how)

    @property
    @documented(FRAME)
    def frame(self) -> DataFrame:
        """One row for each configuration, the highest score first. A section's mean is in "axis:" and its title."""
        self.scores.warn_if_mixed()
        axes: Columns = dict.fromkeys((AXIS + title for title in self.scores.axes), ("number", "a section's mean"))
        return table({**FRAME, **axes}, self.rows)

    @cached_property
    def _pairs(self) -> list[Row]:
        found = [(pair, self.difference(*pair)) for pair in combinations(self.means, 2)]
        adjusted = holm([difference.p for _, difference in found])
        return [_pair_row(*pair, gap, p) for (pair, gap), p in zip(found, adjusted, strict=True)]

    @property
    @documented(PAIRS)
    def pairs(self) -> DataFrame:
        """One row for each two configurations."""
        self.scores.warn_if_mixed()
        return table(PAIRS, self._pairs)

    @property
    def report(self) -> Page:
        """What is shown."""
        from .tables import page

        self.scores.warn_if_mixed()
        return page(self)

    # --- plots ------------------------------------------------------------------------------------

    def score_cost(self) -> Figure:
        """Score against US dollars of a task, with intervals, and the line of what none does better for less."""
        from . import plots

        return plots.score_cost(self)

    def forest(self, *pairs: tuple[str, str]) -> Figure:
        """Paired differences with intervals: of these pairs (one less other), or of all from the baseline.

        Raises:
            SettingsError: neither pairs nor a baseline.
        """
        from . import plots

        return plots.forest(self, pairs)

    def waterfall(self, solo: str, self_fusion: str, panel: str) -> Figure:
        """From one model alone to its own fusion to the panel; see `ablation_of`."""
        from .gains import ablation_of

        return ablation_of(self.scores, solo=solo, self_fusion=self_fusion, panel=panel, level=self.level).plot()

    def dumbbells(self, one: str, other: str) -> Figure:
        """Both scores of every task that both have, from the most lost to the most gained."""
        from . import plots

        return plots.dumbbells(self, one, other)

    def axes(self) -> Figure:
        """The rubric's sections: each configuration's mean with its interval."""
        from . import plots

        return plots.sections(self)

    # --- from scores to rows ----------------------------------------------------------------------

    @property
    def _how(self) -> dict[str, Any]:
        return {"interval": self.interval, "level": self.level, "seed": self.seed}

    @cached_property
    def _scored(self) -> dict[str, dict[str, float]]:
        return {config: self.scores.by_task(config) for config in self.scores.configs}

    @cached_property
    def _groups(self) -> dict[str, str]:
        return self.scores.groups(self.cluster) if self.cluster else {}

    def _mean(self, by_task: dict[str, float]) -> Mean:
        clusters = [self._groups[task] for task in by_task] if self.unit == "clusters" else None
        return mean(by_task.values(), clusters, **self._how)

    def section(self, config: str, title: str) -> Mean:
        """A configuration's mean in a section of the rubric."""
        return self._mean(self.scores.by_task(config, AXIS + title))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the frame."""
        return list(self._rows())

    def _rows(self) -> Iterator[dict[str, Any]]:
        adjusted = dict(zip(self.gains, holm([gain.p for gain in self.gains.values()]), strict=True))
        for config, found in self.means.items():
            rows, by_task, noise = self.scores.rows(config), self._scored[config], self.noise[config]
            scored, answered = rows[rows["score"].notna()], rows[rows["status"] != "failed"]
            yield {
                "config": config,
                **{name: getattr(found, name) for name in ("n", "low", "high")},
                "score": found.mean,
                "se": mean(by_task.values()).se,
                "se_clustered": mean(by_task.values(), map(self._groups.get, by_task)).se if self.cluster else nan,
                **_gain(self.gains.get(config), adjusted.get(config, nan)),
                **{name: scored[name].mean() for name in ("pass_rate", "negative_penalty", "coverage")},
                **{name: _whole(answered[name]) for name in ("cost", "grading_cost")},
                "tokens": answered["tokens"].astype("float64").mean(),
                "p50": answered["seconds"].quantile(0.5),
                "p95": answered["seconds"].quantile(0.95),
                "failed": int((rows["status"] == "failed").sum()),
                "ungraded": int((rows["status"] == "ungraded").sum()),
                **{name: _listed(scored[name]) for name in ("grader", "grader_settings", "protocol", "passes")},
                **{name: getattr(noise, name) for name in ("sd_task", "sd_mean", "flip_rate")},
                "grader_share": noise.share,
                **{AXIS + title: scored[AXIS + title].mean() for title in self.scores.axes},
            }


def _gain(gain: Difference | None, adjusted: float) -> Row:
    if gain is None:
        return dict.fromkeys(("common", "gain", "gain_low", "gain_high", "correlation", "p", "holm"))
    return {
        "common": gain.n,
        "gain": gain.mean,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "correlation": gain.correlation,
        "p": gain.p,
        "holm": adjusted,
    }


def _pair_row(one: str, other: str, gap: Difference, adjusted: float) -> Row:
    same = {name: getattr(gap, name) for name in ("n", "left_out", "low", "high", "sd", "correlation", "p")}
    found = {"difference": gap.mean, "holm": adjusted, "detectable": detectable(gap.sd, gap.n)}
    return {"one": one, "other": other, **same, **found}


def _whole(values: Any) -> float:
    """The mean if all are known."""
    return float(values.mean()) if len(values) and values.notna().all() else nan


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values.astype("Float64").to_numpy(dtype=float, na_value=nan)]


def _listed(values: Any) -> str | None:
    """The different values, in the order in which they come."""
    return ", ".join(str(value) for value in values.dropna().unique()) or None
