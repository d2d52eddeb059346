"""The statistics on 2,577 scores that were published: the means and intervals that were computed from them elsewhere.

Source: github.com/Lore-Hex/TrustedRouter-Fusion-Draco (Apache-2.0), tr-per-task-scores.csv and docs/FINDINGS.md.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pytest

from fusion_magic.evals.gains import ablation_of
from fusion_magic.evals.report import Report
from fusion_magic.evals.scores import Scores, read_scores
from fusion_magic.evals.statistics import Difference, detectable, mean, paired

MEANS = {
    "fusion_frontier_minimaxm3": 71.6,
    "fusion_sota5_opus": 70.6,
    "fusion_frontier_kimi": 67.0,
    "fusion_frontier_dsv4": 65.7,
    "fusion_sota5_gpt55": 62.2,
    "fusion_frontier_gemma4": 54.0,
}
SMALL = "finance20-secfacts"  # a run of 20 tasks; all others are named by their configuration


@pytest.fixture(scope="module")
def recorded(shared: Path) -> Any:
    return pd.read_csv(shared / "data" / "draco" / "recorded-scores.csv")


@pytest.fixture(scope="module")
def scores(recorded: Any) -> Scores:
    return read_scores(recorded[recorded["run"] != SMALL], grader="google/gemini-3.1-pro-preview", passes=1)


def less(scores: Scores, one: str, other: str) -> Difference:
    return paired(scores.by_task(f"fusion_{one}"), scores.by_task(f"fusion_{other}"))


def test_the_published_means_come_out(scores: Scores):
    means = Report(scores.only(*MEANS)).means

    assert {config: round(found.mean, 1) for config, found in means.items()} == MEANS
    assert {found.n for found in means.values()} == {100}
    assert list(means) == list(MEANS)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("frontier_minimaxm3", "sota5_opus", "+0.9 [-0.4, +2.2]"),
        ("sota5_opus", "sota5_gpt55", "+8.4 [+6.5, +10.3]"),
        ("m3_x10_selffusion", "m3_selffusion", "+3.1 [+1.5, +4.8]"),
        ("m3_selffusion", "m3_selffusion_hi", "+0.1 [-1.6, +1.8]"),
    ],
)
def test_paired_intervals_are_those_found_before(scores: Scores, one: str, other: str, told: str):
    assert str(less(scores, one, other)) == told


def test_the_interval_of_the_bootstrap_is_nearly_the_same(scores: Scores):
    one, other = scores.by_task("fusion_sota5_opus"), scores.by_task("fusion_sota5_gpt55")

    found = paired(one, other, interval="bootstrap")

    assert (found.low, found.high) == pytest.approx((6.5, 10.3), abs=0.2)


def test_the_standard_error_by_domain_is_the_larger_one(scores: Scores):
    opus, domains = scores.by_task("fusion_sota5_opus"), scores.groups("domain")

    by_task, by_domain = mean(opus.values()), mean(opus.values(), [domains[task] for task in opus])

    assert (by_task.se, by_domain.se) == pytest.approx((1.55, 2.43), abs=0.005)
    assert by_domain.clusters == 10


def test_what_so_many_tasks_can_show(scores: Scores):
    by_task = [scores.by_task(config) for config in scores.configs]
    whole = [found for found in by_task if len(found) >= 93]
    spreads = [paired(one, other).sd for one, other in combinations(whole, 2)]

    typical = median(spreads)

    assert len(spreads) == 210
    assert (min(spreads), typical, max(spreads)) == pytest.approx((6.68, 10.39, 14.78), abs=0.005)
    # With the median of all 30 configurations, 10.6, these were 3.0, 4.2, 6.7 and 9.4.
    assert [detectable(10.6, n) for n in (100, 50, 20, 10)] == pytest.approx([3.0, 4.2, 6.7, 9.4], abs=0.07)


def test_tasks_without_a_score_are_left_out_and_counted(scores: Scores):
    row = next(row for row in Report(scores).rows if row["config"] == "fusion_opus_selffusion")

    assert (row["n"], row["ungraded"]) == (94, 1)


def test_from_opus_alone_to_a_panel_on_the_tasks_that_all_have(recorded: Any, scores: Scores):
    small = read_scores(recorded[recorded["run"] == SMALL], grader="google/gemini-3.1-pro-preview", passes=1)
    both = small.only("solo_opus_4_8_tooled") + scores.only("fusion_opus_selffusion", "fusion_sota5_opus")

    found = ablation_of(
        both, solo="solo_opus_4_8_tooled", self_fusion="fusion_opus_selffusion", panel="fusion_sota5_opus"
    )

    assert found.n == 18
    assert str(found.total) == "+12.5 [+6.3, +18.6]"
    assert found.shares is not None
    assert found.shares[0].value == pytest.approx(0.5, abs=0.005)
    assert found.shares[0].high - found.shares[0].low > 0.5  # 18 tasks say little about shares
