"""Reports: rows, tables and plots of the same numbers; what is missing, mixed or not told apart is said."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from evals.systems import METHODS, SCORES, SECTIONS, drawn, mixed, rows, texts
from fusion_magic.errors import SettingsError
from fusion_magic.evals.report import FRAME, PAIRS, Report
from fusion_magic.evals.scores import MixedGraders, Scores
from fusion_magic.evals.statistics import holm

# --- frames -------------------------------------------------------------------------------------------


def test_a_row_for_each_configuration_the_highest_score_first():
    report = Report(SCORES, baseline="solo")

    frame: Any = report.frame
    row = frame.set_index("config").loc["panel of three"]

    assert list(frame.columns) == [*FRAME, *(f"axis:{title}" for title in SECTIONS)]
    assert frame["score"].is_monotonic_decreasing
    assert row["low"] < row["score"] < row["high"]
    assert (row["n"], row["common"], row["failed"], row["passes"]) == (24, 24, 0, "5")
    assert (row["cost"], row["p50"]) == (1.3, 12.5)
    assert row["p95"] == pytest.approx(22.85)
    assert row["gain"] == pytest.approx(report.difference("panel of three", "solo").mean)
    assert row["sd_task"] == pytest.approx(3.0)
    assert isnan(frame.set_index("config").loc["solo", "gain"])


def test_p_values_are_adjusted_for_the_comparisons_with_the_baseline_and_for_all_pairs():
    report = Report(SCORES, baseline="solo")

    pairs: Any = report.pairs
    frame: Any = report.frame

    assert list(pairs.columns) == list(PAIRS)
    assert len(pairs) == 6
    assert list(pairs["holm"]) == pytest.approx(holm(list(pairs["p"])))
    others = frame[frame["config"] != "solo"]
    assert list(others["holm"]) == pytest.approx(holm(list(others["p"])))


def test_intervals_over_clusters_are_asked_for_and_their_error_is_always_there():
    by_task, by_cluster = Report(SCORES), Report(SCORES, unit="clusters")

    assert by_task.means["solo"].clusters is None
    assert by_cluster.means["solo"].clusters == 6
    assert by_cluster.difference("solo", "self-fusion").clusters == 6
    assert (
        by_task.rows[0]["se_clustered"] == by_cluster.rows[0]["se_clustered"] == by_cluster.means["panel of three"].se
    )


def test_tasks_that_failed_are_counted_and_are_no_0():
    made = rows(6)
    made[0] |= {"score": None, "status": "failed", "error": "Timed out.", "cost": None, "tokens": None}
    made[4] |= {"score": None, "status": "ungraded", "error": "Half of the verdicts are missing."}

    report = Report(Scores.of(made), baseline="self-fusion")
    row = next(row for row in report.rows if row["config"] == "solo")

    assert (row["n"], row["failed"], row["ungraded"], row["common"]) == (4, 1, 1, 4)
    assert row["score"] == pytest.approx(sum(made[place]["score"] for place in (8, 12, 16, 20)) / 4)
    assert row["cost"] == 0.31
    assert "Not all have the same tasks" in str(report)


def test_one_unknown_cost_makes_the_mean_unknown_and_not_smaller():
    made = rows(6)
    made[0]["cost"] = None

    report = Report(Scores.of(made))

    assert isnan(next(row["cost"] for row in report.rows if row["config"] == "solo"))
    assert any("1 without a known cost" in text for text in texts(report.score_cost()))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"baseline": "soli"}, "no scores of 'soli'"),
        ({"cluster": "field"}, "no column 'field' to cluster by"),
        ({"interval": "normal"}, 'interval is "t" or "bootstrap"'),
        ({"unit": "clusters", "cluster": None}, "needs cluster"),
    ],
)
def test_what_can_not_be_reported_is_refused_at_once(wrong: dict[str, Any], told: str):
    with pytest.raises(SettingsError, match=told):
        Report(SCORES, **wrong)


# --- tables -------------------------------------------------------------------------------------------


def test_every_form_has_the_same_figures_and_names_stay_text():
    report = Report(SCORES, baseline="solo")

    bundle = report._repr_mimebundle_()
    gain = str(report.gains["panel of three"]).replace(" ", "\xa0")

    assert "<b>panel" not in bundle["text/html"]
    assert gain in bundle["text/html"]
    assert str(report.gains["panel of three"]) in bundle["text/plain"]
    assert "SE by domain" in bundle["text/html"]
    assert repr(report) == "<Report: 4 configurations, 24 tasks>"


def test_scores_show_themselves_as_a_report():
    assert str(SCORES) == str(Report(SCORES))
    assert repr(SCORES) == "<Scores: 4 configurations, 24 tasks, 0 verdicts>"


def test_columns_of_which_nothing_is_known_are_not_shown():
    known = ("config", "task", "score", "status")

    told = str(Report(Scores.of({name: row[name] for name in known} for row in rows(5))))

    assert "score [95 %]" in told
    assert "What a task takes" not in told
    assert "How they were graded" not in told
    assert "–" not in told


def test_it_says_which_difference_so_many_tasks_would_show():
    report = Report(SCORES, baseline="solo")

    assert "points would be found on 24 tasks in four of five such experiments." in str(report)
    assert "would be found" not in str(Report(SCORES))


def test_scores_of_one_task_have_a_mean_and_no_interval():
    told = str(Report(Scores.of(rows(1)), baseline="solo"))

    assert "nan" not in told


# --- mixed graders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("show", ["frame", "pairs", "report"])
def test_every_table_of_mixed_graders_warns(show: str):
    report = Report(mixed(), baseline="solo")

    with pytest.warns(MixedGraders, match="protocol response_first and official"):
        getattr(report, show)


def test_a_table_of_mixed_graders_says_so():
    with pytest.warns(MixedGraders):
        told = str(Report(mixed()))

    assert "Scores are not on one scale: protocol" in told


@pytest.mark.parametrize("method", METHODS)
def test_every_plot_of_mixed_graders_warns_and_says_so(method: str):
    with pytest.warns(MixedGraders):
        figure = drawn(method, mixed())

    assert any("Scores are not on one scale" in text for text in texts(figure))
