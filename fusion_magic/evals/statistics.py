"""How sure a score is: means and paired differences with intervals, detectable effects, and a grader's own noise.

A task is the unit: passes of a grader are averaged first. Formulas are those of Miller, "Adding Error Bars to Evals"
(arXiv:2411.00640), as in inspect_ai's `stderr`, unless a function names another source. Scores are in points, 0 to 100.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, nan, sqrt
from statistics import NormalDist, fmean
from typing import Literal, get_args

from ..errors import SettingsError
from .distributions import percentiles, resampled, t_quantile, t_within

Interval = Literal["t", "bootstrap"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its interval. What can't be known from so few tasks is nan.

    Attributes:
        n: tasks.
        mean, low, high: points.
        se: standard error.
        sd: standard deviation over tasks.
        clusters: how many groups of tasks the interval rests on; None where it rests on tasks.
        interval: how it was made.
    """

    n: int
    mean: float
    low: float
    high: float
    se: float
    sd: float
    clusters: int | None = None
    interval: Interval = "t"

    def __str__(self) -> str:
        return _told((self.mean, self.low, self.high), ".1f")


@dataclass(frozen=True, slots=True)
class Difference(Mean):
    """A mean paired difference, one less other, with its interval; `n` are the tasks that both have.

    Attributes:
        correlation: Pearson's r of the two scores over the tasks.
        p: of the paired t test, two-sided.
        left_out: tasks that only one of them has.
    """

    correlation: float = nan
    p: float = nan
    left_out: int = 0

    @property
    def is_apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return _told((self.mean, self.low, self.high), "+.1f")


def _told(numbers: tuple[float, float, float], form: str) -> str:
    """A mean with its interval; without what is not known."""
    middle, low, high = ("–" if number != number else format(number, form) for number in numbers)
    return middle if low == "–" else f"{middle} [{low}, {high}]"


def mean(
    scores: Iterable[float],
    clusters: Iterable[Hashable] | None = None,
    *,
    interval: Interval = "t",
    level: float = 0.95,
    seed: int = 0,
) -> Mean:
    """The mean of tasks' scores.

    SE = s / √n; of clusters it is √(C/(C−1) · Σ_g (Σ_{i in g} (s_i − s̄))²) / n: Miller's appendix A with inspect_ai's
    correction for few clusters. The t interval has n − 1 degrees of freedom, or C − 1. The bootstrap's is that of
    percentiles over resampled tasks, or whole clusters.

    Args:
        scores: one for each task.
        clusters: what is drawn together, e.g. each task's domain.
        interval: "t" or "bootstrap", which needs numpy.
        level: of the interval.
        seed: of the bootstrap.

    Raises:
        SettingsError: no such interval or level, or numpy is not installed.
    """
    if interval not in get_args(Interval) or not 0 < level < 1:
        raise SettingsError(f'interval is "t" or "bootstrap", level between 0 and 1; they are {interval!r}, {level}.')
    values = [float(score) for score in scores]
    groups = None if clusters is None else list(clusters)
    n, drawn = len(values), len(set(groups)) if groups is not None else len(values)
    centre = fmean(values) if values else nan
    sd = sqrt(sum((value - centre) ** 2 for value in values) / (n - 1)) if n > 1 else nan
    se = sd / sqrt(n) if groups is None and n > 1 else _clustered_se(values, groups, centre)
    low, high = nan, nan
    if drawn > 1:
        if interval == "bootstrap":
            draws = resampled([values], groups, seed=seed)[0]
            low, high = percentiles(draws, level)
        else:
            half = t_quantile(level, drawn - 1) * se
            low, high = centre - half, centre + half
    return Mean(n, centre, low, high, se, sd, None if groups is None else drawn, interval)


def from_summary(mean: float, sd: float, n: int, *, level: float = 0.95) -> Mean:
    """The t interval of a mean of which no more is published than its standard deviation and the number of tasks.

    Args:
        mean: of scores, or of paired differences.
        sd: their standard deviation; of differences √(s₁² + s₂² − 2·r·s₁·s₂) for scores that correlate by r.
        n: tasks.
        level: of the interval.
    """
    se = sd / sqrt(n) if n > 1 else nan
    half = t_quantile(level, n - 1) * se if n > 1 else nan
    return Mean(n, mean, mean - half, mean + half, se, sd)


def _clustered_se(values: Sequence[float], groups: Sequence[Hashable] | None, centre: float) -> float:
    sums = dict[Hashable, float]()
    for value, group in zip(values, groups or (), strict=bool(groups)):
        sums[group] = sums.get(group, 0.0) + value - centre
    count = len(sums)
    return sqrt(count / (count - 1) * sum(each**2 for each in sums.values())) / len(values) if count > 1 else nan


def paired(
    one: Mapping[str, float],
    other: Mapping[str, float],
    clusters: Mapping[str, Hashable] | None = None,
    *,
    interval: Interval = "t",
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """One less other on the tasks that both have.

    A task that is hard for one is hard for the other, so differences spread less than scores do (Miller, section 4).

    Args:
        one, other: scores by task; a pandas Series does too. Missing scores (nan) are left out.
        clusters: what is drawn together, by task.
        interval, level, seed: as for `mean`.
    """
    first, second = (known(scores) for scores in (one, other))
    tasks = [task for task in first if task in second]
    left, right = [first[task] for task in tasks], [second[task] for task in tasks]
    groups = None if clusters is None else [clusters[task] for task in tasks]
    gaps = [a - b for a, b in zip(left, right, strict=True)]
    found = mean(gaps, groups, interval=interval, level=level, seed=seed)
    degrees = (found.clusters or found.n) - 1
    return Difference(
        **{name: getattr(found, name) for name in Mean.__dataclass_fields__},
        correlation=correlation(left, right),
        p=_p_value(found.mean, found.se, degrees),
        left_out=len(first.keys() ^ second.keys()),
    )


def known(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that are numbers, by task."""
    return {task: float(score) for task, score in scores.items() if score == score}


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's r; nan for fewer than two values, or where one does not vary."""
    if len(one) < 2:
        return nan
    a, b = fmean(one), fmean(other)
    spread = sqrt(sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other))
    return sum((x - a) * (y - b) for x, y in zip(one, other, strict=True)) / spread if spread else nan


def _p_value(gap: float, se: float, degrees: int) -> float:
    if degrees < 1:
        return nan
    if not se:
        return float(gap == 0)
    return max(0.0, 1 - t_within(abs(gap / se), degrees))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given; nan stays and does not count.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979): the
    k-th smallest of m times m − k + 1, and no less than the one before.
    """
    order = sorted((place for place, p in enumerate(p_values) if p == p), key=lambda place: p_values[place])
    adjusted, least = [nan] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, p_values[place] * (len(order) - rank)))
        adjusted[place] = least
    return adjusted


# --- how many tasks it takes -------------------------------------------------------------------------


def detectable(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The least true difference, in points, that n tasks show with this power: (z(1 − alpha/2) + z(power)) · s / √n.

    Args:
        sd: standard deviation of the paired differences, as `Difference.sd`; 10.6 is the median of recorded pairs of
            panels on DRACO's 100 tasks.
        n: tasks.
        power: how often the difference is found.
        alpha: how often one is found where none is.

    The formula is Miller's section 5. It is the normal approximation; below 20 tasks it promises a little too much.
    """
    return _z(power, alpha) * sd / sqrt(n) if n > 0 else nan


def tasks_needed(gap: float, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many tasks show a true difference of so many points: ((z(1 − alpha/2) + z(power)) · s / gap)².

    Its arguments are those of `detectable`.

    Raises:
        SettingsError: the gap is 0, which no number of tasks shows.
    """
    if not gap:
        raise SettingsError("No number of tasks shows a difference of 0; give the difference that would matter.")
    return ceil((_z(power, alpha) * sd / gap) ** 2)


def _z(power: float, alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)


# --- the grader's part -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GraderNoise:
    """How much of a mean's uncertainty is the grader's, not the choice of tasks.

    Attributes:
        n: tasks that were graded more than once.
        sd_task: between passes, of one task's score (root mean square over tasks).
        sd_mean: between passes, of the mean over these tasks: the ± that DRACO's paper prints.
        sd_between: between tasks, without the grader's part.
        share: of the variance of the reported mean, which averages all passes, 0 to 1.
        flip_rate: criteria whose verdict differs between passes, 0 to 1.
    """

    n: int
    sd_task: float
    sd_mean: float
    sd_between: float
    share: float
    flip_rate: float


def grader_noise(
    scores: Sequence[float], sd_passes: Sequence[float], passes: Sequence[float], flip_rate: Sequence[float] = ()
) -> GraderNoise:
    """Components of variance of one configuration's scores; passes are taken as independent of each other.

    With w_i² between the K_i passes of task i and s² between the tasks' means, the passes bring Σ w_i²/K_i / n² of the
    variance s²/n of the mean, and tasks spread by s² − Σ w_i²/K_i / n without them: the one-way random-effects model
    (Searle, Casella and McCulloch, "Variance Components", 1992, chapter 3), and Miller's section 3 on resampling.

    Args:
        scores: each task's mean over passes.
        sd_passes: each task's standard deviation between passes.
        passes: how often each was graded. Tasks graded once are left out.
        flip_rate: each task's share of criteria with differing verdicts.
    """
    rows = [
        (float(score), float(sd), float(k))
        for score, sd, k in zip(scores, sd_passes, passes, strict=True)
        if score == score and sd == sd and k > 1
    ]
    flips = [float(rate) for rate in flip_rate if rate == rate]
    n = len(rows)
    if n < 2:
        return GraderNoise(n, nan, nan, nan, nan, fmean(flips) if flips else nan)
    centre = fmean(score for score, _, _ in rows)
    spread = sum((score - centre) ** 2 for score, _, _ in rows) / (n - 1)
    within = sum(sd**2 for _, sd, _ in rows)
    averaged = sum(sd**2 / k for _, sd, k in rows) / n
    return GraderNoise(
        n=n,
        sd_task=sqrt(within / n),
        sd_mean=sqrt(within) / n,
        sd_between=sqrt(max(0.0, spread - averaged)),
        share=min(1.0, averaged / spread) if spread else nan,
        flip_rate=fmean(flips) if flips else nan,
    )
