"""Student's t and the bootstrap: the two distributions that intervals rest on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from math import atan, cos, pi, sin, sqrt
from typing import Any

from ..errors import SettingsError

RESAMPLES = 10_000  # percentiles of 2.5 % then rest on 250 draws; Efron and Tibshirani ask for 1,000 or more
DRAWN_AT_ONCE = 1_000_000  # numbers of one array, 8 MB


def resampled(
    columns: Sequence[Sequence[float]], clusters: Sequence[Hashable] | None = None, *, seed: int = 0
) -> list[Any]:
    """Bootstrap: the means of columns over tasks that are drawn anew, the same tasks for each column.

    Args:
        columns: values of the same tasks.
        clusters: draws these whole.
        seed: makes it repeatable.

    Returns:
        For each column an array of `RESAMPLES` means.

    Raises:
        SettingsError: numpy, which comes with pandas, is not installed.
    """
    np = _numpy()
    names = list(range(len(columns[0]))) if clusters is None else clusters
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    belongs = np.array([places[name] for name in names])
    sizes = np.bincount(belongs)
    sums = [np.bincount(belongs, weights=np.asarray(column, dtype=float)) for column in columns]
    random, drawn = np.random.default_rng(seed), [list[Any]() for _ in columns]
    edges = [*range(0, RESAMPLES, max(1, DRAWN_AT_ONCE // len(sizes))), RESAMPLES]
    for start, end in pairwise(edges):
        chosen = random.integers(len(sizes), size=(end - start, len(sizes)))
        counts = sizes[chosen].sum(axis=1)
        for means, each in zip(drawn, sums, strict=True):
            means.append(each[chosen].sum(axis=1) / counts)
    return [np.concatenate(means) for means in drawn]


def percentiles(draws: Any, level: float) -> tuple[float, float]:
    """The interval that holds the middle of the draws, such as 95 % of them for level 0.95."""
    low, high = _numpy().percentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _numpy() -> Any:
    try:
        return import_module("numpy")
    except ImportError as exc:
        raise SettingsError('The bootstrap needs numpy; run `pip install "fusion-magic[data]"`.') from exc


def t_within(t: float, degrees: int) -> float:
    """The probability that Student's t lies between −t and t: Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle, odd = atan(t / sqrt(degrees)), degrees % 2
    term, total = (cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    return (2 / pi) * (angle + sin(angle) * total) if odd else sin(angle) * total


@lru_cache(maxsize=256)
def t_quantile(level: float, degrees: int) -> float:
    """The t between whose negative and itself Student's t lies with this probability, e.g. 1.984 for 0.95 and 99."""
    low, high = 0.0, 2.0
    while t_within(high, degrees) < level:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, degrees) < level else (low, middle)
    return high
