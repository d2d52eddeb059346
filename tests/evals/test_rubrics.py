"""Scores by a rubric: as the published library counts, as graded answers of others came out, and never for nothing."""

from __future__ import annotations

import asyncio
import json
import random
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import evals
from fusion_magic.errors import SettingsError
from fusion_magic.evals import draco
from fusion_magic.evals.datasets import Dataset
from fusion_magic.evals.graders import Marking, system_prompt
from fusion_magic.evals.rubrics import Criterion, over_passes, score

SMALL = (
    Criterion("a", 10, "Says A.", "Facts"),
    Criterion("b", 5, "Says B.", "Facts"),
    Criterion("c", 5, "Is short.", "Form"),
    Criterion("d", -8, "Says that A is wrong.", "Facts"),
)


@pytest.fixture(scope="session")
def tasks(shared: Path) -> Dataset:
    return draco.load(shared / "data" / "draco" / "draco-test.jsonl")


@pytest.fixture
def graded(shared: Path) -> Any:
    """A function that reads what others graded."""
    return lambda name: json.loads((shared / "data" / "draco" / name).read_text(encoding="utf-8"))


# --- as published -----------------------------------------------------------------------------------


class Reference:
    """The published library, whose grader replies what it is told; it also keeps what it asked."""

    def __init__(self) -> None:
        library = pytest.importorskip("rubric", reason="the reference library is not installed: pip install rubric")
        self.library: Any = library
        self.autograders: Any = pytest.importorskip("rubric.autograders")
        self.schemas: Any = pytest.importorskip("rubric.autograders.schemas")
        self.asked: list[tuple[str, str]] = []

    def grade(self, criteria: Any, met: dict[str, bool], query: str = "Why?", answer: str = "Because.") -> Any:
        said = {each.requirement: "MET" if met[each.id] else "UNMET" for each in criteria}

        async def reply(system_prompt: str, user_prompt: str, **_: Any) -> Any:
            self.asked.append((system_prompt, user_prompt))
            wanted = user_prompt.partition("<criterion>\n")[2].partition("\n</criterion>")[0]
            return self.schemas.PerCriterionOutput(criterion_status=said[wanted], explanation="As told.")

        grader = self.autograders.PerCriterionGrader(generate_fn=reply)
        theirs = [self.library.Criterion(weight=each.weight, requirement=each.requirement) for each in criteria]
        return asyncio.run(grader.grade(answer, theirs, query))


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


def test_all_draco_tasks_under_random_verdicts_score_as_the_published_library_says(
    tasks: Dataset, reference: Reference
):
    chance = random.Random(7)

    assert len(tasks) == 100
    for task in tasks:
        share = chance.random()
        met = {each.id: chance.random() < share for each in task.rubric}
        theirs, ours = reference.grade(task.rubric, met), draco.score(task, met)

        assert ours.raw == pytest.approx(theirs.raw_score, abs=1e-9)
        assert ours.normalized / 100 == pytest.approx(theirs.score, abs=1e-9)
        for title, normalized in ours.sections.items():
            of_section = [each for each in task.rubric if each.section == title]
            assert normalized / 100 == pytest.approx(reference.grade(of_section, met).score, abs=1e-9)


@pytest.mark.parametrize("met", [set[str](), {"x"}, {"x", "y"}])
def test_a_rubric_of_mistakes_alone_scores_as_the_published_library_says(reference: Reference, met: set[str]):
    mistakes = (Criterion("x", -3, "Says X."), Criterion("y", -7, "Says Y."))
    verdicts = {each.id: each.id in met for each in mistakes}

    assert score(mistakes, verdicts).normalized / 100 == pytest.approx(reference.grade(mistakes, verdicts).score)


def test_the_official_prompts_are_to_the_byte_what_the_published_library_asks(reference: Reference):
    reference.asked.clear()
    query, answer = "Why?\nAnd how?", "Because <b>so</b>.\n"

    reference.grade(SMALL, {each.id: True for each in SMALL}, query, answer)

    ours = [(system_prompt(), str(Marking("s", "t", each, query, answer))) for each in SMALL]
    assert sorted(reference.asked) == sorted(ours)


def test_openrouters_own_graded_answer_comes_out_as_it_published_it(tasks: Dataset, graded: Any):
    (run,) = graded("openrouter-gpt55-solo.verdicts.json")["runs"]
    published = graded("openrouter-gpt55-solo.score.json")
    task = tasks[published["task_id"]]

    ours = draco.score(task, {each["criterion_id"]: each["verdict"] for each in run["verdicts"]})

    theirs = published["run_scores"][0]
    assert (ours.raw, ours.normalized, ours.pass_rate) == (
        theirs["raw_score"],
        theirs["normalized_score"],
        theirs["pass_rate"],
    )
    assert ours.coverage == 1.0


def test_the_worked_example_comes_out_exactly(tasks: Dataset, graded: Any):
    example = graded("worked-example-ca0edd2d.json")
    rubric = tasks[example["task_id"]].rubric
    met = {rubric[place].id for place in example["met_criterion_indexes_0based_in_rubric_order"]}

    ours = draco.score(rubric, {each.id: each.id in met for each in rubric})

    expected = example["expected"]
    assert ours.raw == expected["raw_score"]
    assert ours.normalized / 100 == pytest.approx(expected["normalized_score"], abs=1e-15)
    assert ours.pass_rate / 100 == pytest.approx(expected["pass_rate"], abs=1e-15)


def test_degenerate_graders_score_what_was_measured_of_them(tasks: Dataset):
    everything = [draco.score(task, {each.id: True for each in task.rubric}) for task in tasks]
    nothing = [draco.score(task, {each.id: False for each in task.rubric}) for task in tasks]

    assert sum(each.normalized for each in everything) / 100 == pytest.approx(77.8, abs=0.05)
    assert sum(each.normalized == 0 for each in everything) == 4
    assert {each.normalized for each in nothing} == {0.0}
    assert sum(each.pass_rate for each in nothing) / 100 == pytest.approx(11.2, abs=0.05)


# --- by hand ----------------------------------------------------------------------------------------


def test_a_score_by_hand():
    ours = score(SMALL, {"a": "MET", "b": "UNMET", "c": True, "d": True})

    assert ours.raw == 10 + 5 - 8
    assert ours.normalized == pytest.approx(100 * 7 / 20)
    assert ours.pass_rate == 50.0  # a and c are right; b is missing, d is a mistake that was made
    assert ours.negative_penalty == pytest.approx(100 * 8 / 20)
    assert ours.sections == {"Facts": pytest.approx(100 * 2 / 15), "Form": 100.0}


def test_each_pass_is_clipped_before_the_mean():
    bad = {"a": False, "b": False, "c": False, "d": True}  # raw -8, so 0 and not -40
    good = {"a": True, "b": True, "c": True, "d": False}

    ours = over_passes(SMALL, [bad, good])

    assert ours.normalized == 50.0
    assert ours.sd == pytest.approx(70.7106781)
    assert ours.flip_rate == 1.0
    assert ours.passes == 2


def test_one_pass_has_no_spread():
    ours = over_passes(SMALL, [dict.fromkeys("abcd", True)])

    assert isnan(ours.sd)
    assert isnan(ours.flip_rate)


# --- never for nothing ------------------------------------------------------------------------------


def test_a_missing_verdict_leaves_numerator_and_denominator():
    many = tuple(Criterion(str(number), 1 if number else -5, "…") for number in range(40))
    verdicts: dict[str, Any] = {each.id: each.weight > 0 for each in many}

    ours = score(many, {**verdicts, "0": None, "1": None})

    assert ours.coverage == 38 / 40
    assert ours.normalized == 100.0
    assert ours.pass_rate == 100.0
    assert ours.raw == 38  # neither the missing negative nor the missing positive is a point


def test_with_too_few_verdicts_there_is_no_score():
    ours = score(SMALL, {"a": True, "b": True, "c": True})

    assert ours.coverage == 0.75
    assert not ours.has_score
    assert isnan(ours.raw)
    assert not score(SMALL, {}).has_score
    assert score(SMALL, {"a": True, "b": True, "c": True}, least=0.75).normalized == 100.0


def test_a_pass_without_a_score_does_not_count_and_shows():
    ours = over_passes(SMALL, [dict.fromkeys("abcd", True), {"a": True}])

    assert ours.passes == 1
    assert ours.coverage == (1 + 0.25) / 2
    assert ours.normalized == pytest.approx(100 * 12 / 20)
    assert not over_passes(SMALL, [{}, {}]).has_score


@pytest.mark.parametrize(
    ("verdicts", "says"), [({"z": True}, "no criterion 'z'"), ({"a": "maybe"}, "is 'maybe'; it is True or MET")]
)
def test_a_verdict_that_is_none_is_an_error(verdicts: Any, says: str):
    with pytest.raises(SettingsError, match=says):
        score(SMALL, verdicts)


def test_criteria_of_the_mini_tasks_can_be_scored():
    rubrics = [sample.rubric for sample in evals.mini() if sample.rubric]

    assert len(rubrics) == 4
    for rubric in rubrics:
        assert score(rubric, {each.id: each.weight > 0 for each in rubric}).normalized == 100.0
        assert any(each.weight < 0 for each in rubric)
