"""Statistics: small numbers by hand, scipy's values, intervals that hold what they promise, and what a pair brings."""

from __future__ import annotations

import random
from math import isnan, nan, sqrt
from statistics import NormalDist, stdev

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.evals.distributions import resampled, t_quantile, t_within
from fusion_magic.evals.statistics import (
    Interval,
    correlation,
    detectable,
    from_summary,
    grader_noise,
    holm,
    mean,
    paired,
    tasks_needed,
)

# scipy 1.17.1, scipy.stats.t.ppf((1 + level) / 2, degrees)
QUANTILES = {
    (0.9, 1): 6.313751514675037,
    (0.9, 2): 2.9199855803537242,
    (0.9, 99): 1.6603911560169906,
    (0.95, 1): 12.706204736174694,
    (0.95, 2): 4.302652729749462,
    (0.95, 3): 3.1824463052837078,
    (0.95, 5): 2.5705818356363146,
    (0.95, 9): 2.262157162798205,
    (0.95, 24): 2.0638985616280245,
    (0.95, 99): 1.9842169515864174,
    (0.95, 1000): 1.9623390808264083,
    (0.99, 1): 63.656741162871526,
    (0.99, 9): 3.249835541592126,
    (0.99, 1000): 2.580754698065951,
}
ONE = dict(zip("abcdefg", (71.0, 64.5, 80.2, 55.1, 90.0, 62.3, 48.8), strict=True))
OTHER = dict(zip("abcdefg", (69.0, 60.1, 81.0, 50.2, 84.4, 63.0, 45.5), strict=True))


# --- Student's t --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "degrees"), QUANTILES)
def test_quantiles_of_students_t_are_those_of_scipy(level: float, degrees: int):
    assert t_quantile(level, degrees) == pytest.approx(QUANTILES[level, degrees], rel=1e-10)


def test_probabilities_of_students_t_are_those_of_scipy():
    assert t_within(2.5, 7) == pytest.approx(0.959007781414247, rel=1e-12)
    assert t_within(0.3, 4) == pytest.approx(0.22087857172254027, rel=1e-12)
    assert t_within(1.0, 10**6) == pytest.approx(2 * NormalDist().cdf(1) - 1, rel=1e-5)


# --- means --------------------------------------------------------------------------------------------


def test_a_mean_has_its_t_interval():
    found = mean([50, 60, 70])

    assert (found.n, found.mean, found.sd) == (3, 60, 10)
    assert found.se == pytest.approx(10 / sqrt(3))
    assert found.high - found.mean == pytest.approx(4.302652729749462 * 10 / sqrt(3))
    assert str(found) == "60.0 [35.2, 84.8]"


def test_a_mean_over_clusters_has_their_standard_error_and_degrees_of_freedom():
    found = mean([50, 60, 80, 90], ["law", "law", "art", "art"])

    # The sums of deviations from 70 are -30 and 30: SE = sqrt(2 / 1 * (900 + 900)) / 4.
    assert found.se == pytest.approx(15)
    assert found.clusters == 2
    assert found.high - found.mean == pytest.approx(12.706204736174694 * 15)


def test_clusters_of_one_task_each_are_tasks():
    values = list(ONE.values())

    assert mean(values, list(ONE)).se == pytest.approx(mean(values).se)
    assert mean(values, list(ONE)).low == pytest.approx(mean(values).low)


def test_a_published_summary_gives_the_same_interval_as_its_scores():
    found = mean(ONE.values())

    assert from_summary(found.mean, found.sd, found.n) == found
    assert str(from_summary(70.647, 15.522, 100)) == "70.6 [67.6, 73.7]"
    assert isnan(from_summary(70.0, nan, 1).low)


@pytest.mark.parametrize("scores", [[], [70.0]])
@pytest.mark.parametrize("interval", ["t", "bootstrap"])
def test_too_few_tasks_have_no_interval_instead_of_one_of_no_width(scores: list[float], interval: Interval):
    found = mean(scores, interval=interval)

    assert found.n == len(scores)
    assert isnan(found.low)
    assert isnan(found.se)


def test_one_cluster_has_no_interval():
    found = mean([50, 60, 70], ["law"] * 3)

    assert found.mean == 60
    assert isnan(found.se)
    assert isnan(found.high)


def test_the_bootstrap_is_repeatable_and_near_the_t_interval():
    values = list(ONE.values())

    first, again, other = (mean(values, interval="bootstrap", seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other
    # scipy 1.17.1, scipy.stats.bootstrap(method="percentile"): [58.23, 77.26]; both draw 10,000 times.
    assert (first.low, first.high) == pytest.approx((58.23, 77.26), abs=0.5)


def test_the_bootstrap_draws_whole_clusters():
    scores, groups = [10.0] * 3 + [20.0], ["a", "a", "a", "b"]

    drawn = resampled([scores], groups)[0]

    assert {round(float(value), 6) for value in drawn} == {10.0, 12.5, 20.0}  # aa, ab or ba, bb


def test_the_bootstrap_draws_the_same_tasks_for_each_column():
    values = list(ONE.values())

    one, twice = resampled([values, [2 * value for value in values]])

    assert float(abs(twice - 2 * one).max()) == pytest.approx(0, abs=1e-9)


def test_many_tasks_are_drawn_in_parts():
    whole = resampled([list(range(200))], seed=3)[0]

    assert len(whole) == 10_000  # 5,000 at a time
    assert float(whole.mean()) == pytest.approx(99.5, abs=0.3)


@pytest.mark.parametrize("wrong", [{"interval": "normal"}, {"level": 95}, {"level": 1.0}])
def test_an_unknown_interval_or_level_is_refused(wrong: dict[str, float]):
    with pytest.raises(SettingsError, match="level between 0 and 1"):
        mean([1, 2, 3], **wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.thorough
@pytest.mark.parametrize("interval", ["t", "bootstrap"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(interval: Interval):
    random.seed(7)
    truth, trials = 60.0, 200
    found = (mean([random.gauss(truth, 16) for _ in range(30)], level=0.9, interval=interval) for _ in range(trials))

    share = sum(each.low <= truth <= each.high for each in found) / trials

    assert 0.84 < share < 0.95  # 0.9 ± 2.6 standard errors; percentiles of 30 tasks are a little narrow


def test_intervals_over_clusters_hold_the_truth_where_those_over_tasks_do_not():
    random.seed(8)
    groups = [place // 5 for place in range(100)]
    held = {"tasks": 0, "clusters": 0}
    for _ in range(300):
        shared = [random.gauss(0, 12) for _ in range(20)]
        values = [60 + shared[group] + random.gauss(0, 6) for group in groups]
        for unit, found in (("tasks", mean(values)), ("clusters", mean(values, groups))):
            held[unit] += found.low <= 60 <= found.high

    assert held["clusters"] / 300 == pytest.approx(0.95, abs=0.04)
    assert held["tasks"] / 300 < 0.8


# --- pairs --------------------------------------------------------------------------------------------


def test_paired_differences_are_those_of_scipy():
    found = paired(ONE, OTHER)

    # scipy 1.17.1: stats.ttest_rel(...).confidence_interval(), its p-value, and stats.pearsonr
    assert (found.low, found.high) == pytest.approx((0.25989481333205955, 5.08296232952508))
    assert found.p == pytest.approx(0.03507718560941202)
    assert found.correlation == pytest.approx(0.983893517179698)
    assert found.is_apart


def test_only_tasks_that_both_have_are_compared():
    found = paired({**ONE, "x": 0.0, "y": float("nan")}, {**OTHER, "y": 100.0, "z": 100.0})

    assert found.mean == pytest.approx(paired(ONE, OTHER).mean)
    assert (found.n, found.left_out) == (7, 3)


def test_the_spread_of_a_difference_follows_from_both_spreads_and_their_correlation():
    one, other = list(ONE.values()), list(OTHER.values())

    found = paired(ONE, OTHER)

    r, s, t = correlation(one, other), stdev(one), stdev(other)
    assert found.sd == pytest.approx(sqrt(s**2 + t**2 - 2 * r * s * t))


def test_equal_scores_do_not_differ_and_constant_gaps_always_do():
    same, moved = paired(ONE, ONE), paired(dict.fromkeys("ab", 1.0), dict.fromkeys("ab", 0.0))

    assert (same.mean, same.p, same.is_apart) == (0, 1, False)
    assert (moved.mean, moved.p, moved.is_apart) == (1, 0, True)
    assert isnan(moved.correlation)


def test_nothing_in_common_is_no_difference_of_0():
    found = paired({"a": 1.0}, {"b": 2.0})

    assert found.n == 0
    assert isnan(found.mean)
    assert isnan(found.p)
    assert not found.is_apart


# --- many pairs, and how many tasks -------------------------------------------------------------------


def test_holm_adjusts_the_smallest_the_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_has_no_p_value_does_not_count_as_a_test():
    first, missing, last = holm([0.01, float("nan"), 0.02])

    assert (first, last) == pytest.approx((0.02, 0.02))
    assert isnan(missing)


def test_holm_finds_a_false_difference_in_few_families_of_tests():
    random.seed(9)

    def family() -> list[float]:
        return [paired({str(t): random.gauss(0, 1) for t in range(12)}, NOTHING).p for _ in range(8)]

    families = [family() for _ in range(250)]

    assert sum(min(each) < 0.05 for each in families) / 250 > 0.25
    assert sum(min(holm(each)) < 0.05 for each in families) / 250 < 0.1


NOTHING = {str(task): 0.0 for task in range(12)}


def test_detectable_differences_and_tasks_needed_are_each_others_inverse():
    assert detectable(10, 100) == pytest.approx(2.8016, abs=1e-4)  # 1.95996 + 0.84162
    assert tasks_needed(detectable(10, 100) + 1e-9, 10) == 100
    assert tasks_needed(0.7, 10.39) == 1730  # rounded up: 1,729.2
    with pytest.raises(SettingsError, match="difference that would matter"):
        tasks_needed(0, 10)


def test_the_power_is_what_was_asked_for():
    random.seed(10)
    gap, trials = detectable(10, 40), 400
    names = [str(task) for task in range(40)]

    zero = dict.fromkeys(names, 0.0)
    found = [paired({name: random.gauss(gap, 10) for name in names}, zero).p < 0.05 for _ in range(trials)]

    assert 0.73 < sum(found) / trials < 0.85  # 0.8; t at 39 degrees costs a little


# --- graders ------------------------------------------------------------------------------------------


def test_a_graders_noise_is_told_from_the_choice_of_tasks():
    found = grader_noise([40, 60, 80], [3, 4, 0], [5, 5, 5], [0.1, 0.2, 0.0])

    # Within: 9 + 16 + 0 = 25. Between the tasks' means: 400.
    assert found.n == 3
    assert found.sd_task == pytest.approx(sqrt(25 / 3))
    assert found.sd_mean == pytest.approx(5 / 3)
    assert found.share == pytest.approx(25 / 5 / 3 / 400)
    assert found.sd_between == pytest.approx(sqrt(400 - 5 / 3))
    assert found.flip_rate == pytest.approx(0.1)


def test_components_of_variance_are_found_again():
    random.seed(11)
    tasks = [random.gauss(60, 15) for _ in range(3000)]
    passes = [[task + random.gauss(0, 6) for _ in range(3)] for task in tasks]

    found = grader_noise([sum(each) / 3 for each in passes], [stdev(each) for each in passes], [3] * 3000)

    assert found.sd_task == pytest.approx(6, rel=0.03)
    assert found.sd_between == pytest.approx(15, rel=0.03)
    assert found.share == pytest.approx((36 / 3) / (225 + 36 / 3), rel=0.08)


def test_one_pass_says_nothing_about_the_grader():
    found = grader_noise([40, 60], [float("nan")] * 2, [1, 1])

    assert found.n == 0
    assert isnan(found.share)
    assert isnan(found.flip_rate)
