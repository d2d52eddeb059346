"""Scores: rows that never count twice, tasks without a score are no 0, and graders are not mixed in silence."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.evals.scores import SCORES, VERDICTS, MixedGraders, Scores, read_scores

ROW: dict[str, Any] = {"config": "solo", "task": "t1", "score": 60.0, "status": "ok"}


def graded(config: str, task: str = "t1", **more: Any) -> Scores:
    return Scores.of([{**ROW, "config": config, "task": task, "grader": "g", "protocol": "official", **more}])


def test_the_frame_has_all_columns_and_their_dtypes_also_without_rows():
    some: Any = Scores.of([ROW]).frame
    none: Any = Scores.of([]).frame

    assert list(some.columns) == list(none.columns) == list(SCORES)
    assert some.dtypes.equals(none.dtypes)
    assert list(Scores.of([]).verdicts.columns) == list(VERDICTS)


def test_sections_are_columns_of_their_own():
    scores = Scores.of([{**ROW, "axis:Citations": 50.0}, {**ROW, "task": "t2"}])

    assert scores.axes == ("Citations",)
    assert scores.by_task("solo", "axis:Citations") == {"t1": 50.0}


def test_a_missing_verdict_is_neither_met_nor_not():
    verdict = {"config": "solo", "task": "t1", "criterion": "c", "passno": 1}

    verdicts: Any = Scores.of([ROW], [{**verdict, "met": value} for value in (True, False, None)]).verdicts

    assert list(verdicts["met"].isna()) == [False, False, True]
    assert verdicts["met"].sum() == 1


def test_a_column_that_does_not_exist_is_named():
    with pytest.raises(SettingsError, match="no column 'scores'"):
        Scores.of([{**ROW, "scores": 1}])


def test_the_same_task_twice_is_refused():
    with pytest.raises(SettingsError, match="solo has task t1 twice"):
        Scores.of([ROW, ROW])
    with pytest.raises(SettingsError, match="solo has task t1 twice"):
        _ = graded("solo") + graded("solo")


def test_scores_of_two_evaluations_are_joined():
    with warnings.catch_warnings(record=True) as caught:
        both = graded("solo") + graded("panel")

    assert not caught
    assert both.configs == ("solo", "panel")
    assert both.only("panel").configs == ("panel",)
    assert repr(both) == "<Scores: 2 configurations, 1 tasks, 0 verdicts>"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"grader": "h"}, "grader g and h"),
        ({"grader": None}, "grader g and not known"),
        ({"protocol": "response_first"}, "protocol official and response_first"),
        ({"passes": 5}, "passes not known and 5"),
        ({"grader_settings": "T 1"}, "grader settings not known and T 1"),
    ],
)
@pytest.mark.parametrize("task", ["t1", "t2"])
def test_scores_that_were_graded_differently_warn_when_they_are_joined(other: Any, told: str, task: str):
    with pytest.warns(MixedGraders, match=f"not on one scale: {told}."):
        both = graded("solo") + graded("panel", task, **other)

    assert told in (both.mixed() or "")


def test_tasks_with_a_target_may_stand_beside_graded_ones():
    exact = {"grader": None, "protocol": "exact"}

    both = graded("solo") + graded("solo", "t2", **exact) + graded("panel") + graded("panel", "t2", **exact)

    assert both.mixed() is None


def test_one_task_compared_with_a_target_here_and_graded_there_is_a_mix():
    with pytest.warns(MixedGraders, match="protocol official and exact"):
        _ = graded("solo") + graded("panel", grader=None, protocol="exact")


def test_what_has_no_score_does_not_make_a_mix():
    failed = {"score": None, "status": "failed", "grader": None, "protocol": None}

    assert (graded("solo") + graded("panel", **failed)).mixed() is None


def test_an_unknown_configuration_is_an_error():
    with pytest.raises(SettingsError, match="no scores of 'panel'; there are scores of solo"):
        graded("solo").by_task("panel")


# --- from a file --------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(
        "run,config,task_id,domain,score\n1,solo,a,Law,50\n1,solo,b,,\n1,solo,b,,40\n1,solo,c,Law,\n1,panel,a,Law,70\n"
    )
    return path


def test_a_file_of_scores_is_read(file: Path):
    scores = read_scores(file, grader="g", protocol="official", passes=1)

    assert scores.by_task("solo") == {"a": 50, "b": 40}
    assert scores.groups() == {"a": "Law", "b": "b", "c": "Law"}
    assert set(scores.frame["grader"].dropna()) == {"g"}


def test_a_task_that_was_tried_again_counts_once_and_one_without_a_score_is_ungraded(file: Path):
    rows = read_scores(file).rows("solo").set_index("task")

    assert dict(rows["status"]) == {"a": "ok", "b": "ok", "c": "ungraded"}
    assert rows.loc["c", "error"] == "no score is recorded"
    assert pd.isna(rows.loc["c", "score"])


def test_other_names_of_columns_and_two_that_make_a_name():
    frame = pd.DataFrame({"model": ["m"], "run": [3], "id": [7], "points": [12.5]})

    scores = read_scores(frame, config=("model", "run"), task="id", score="points", domain=None)

    assert scores.by_task("m · 3") == {"7": 12.5}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"score": "points"}, "no column 'points'; they have run, config"),
        ({"score": "domain"}, "'Law' is no score"),
        ({"source": "nowhere.csv"}, "No scores can be read from nowhere.csv"),
    ],
)
def test_what_can_not_be_read_is_one_sentence(file: Path, changed: dict[str, Any], told: str):
    with pytest.raises(SettingsError, match=told):
        read_scores(**{"source": file, **changed})


def test_two_scores_for_one_task_ask_for_two_names(file: Path):
    file.write_text(file.read_text() + "2,solo,a,Law,90\n")

    with pytest.raises(SettingsError, match=r"solo has task a twice\. Give two runs of it two names"):
        read_scores(file)

    assert set(read_scores(file, config=("run", "config")).configs) == {"1 · solo", "2 · solo", "1 · panel"}
