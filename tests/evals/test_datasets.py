"""Datasets: read from files with what is wrong in which line, and from the package; DRACO by its checksum."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import evals
from fusion_magic.errors import SettingsError
from fusion_magic.evals import draco
from fusion_magic.evals.datasets import Dataset, Sample
from fusion_magic.evals.targets import is_right, protocol_of
from fusion_magic.folders import cache_dir

GOOD = {"id": "one", "prompt": "1 + 1?", "target": 2}
SECTIONS = [{"title": "Facts", "criteria": [{"id": "a", "weight": 1, "requirement": "Says A."}]}]


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return path


def test_a_jsonl_file_becomes_a_dataset(tmp_path: Path):
    rubric = {"id": "two", "prompt": "Why\u2028?", "domain": "Law", "sections": SECTIONS, "metadata": {"level": 3}}

    found = evals.read_dataset(written(tmp_path, GOOD, "", rubric))

    assert (found.name, len(found)) == ("tasks", 2)
    assert found["one"].target == (2,)
    assert [(each.id, each.section) for each in found["two"].rubric] == [("a", "Facts")]
    assert found["two"].metadata == {"level": 3}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Line 2 of .* is no sample"),
        ("[1]", "Line 2 of .*: it is no JSON object"),
        ({"id": "two"}, "Line 2 of .*: 'prompt' is missing"),
        ({**GOOD, "id": "two", "answer": 1}, "there is no field 'answer'"),
        ({**GOOD, "id": "two", "sections": [{"criteria": [{"id": "a"}]}]}, "'weight' is missing"),
        ({**GOOD, "id": "two", "sections": SECTIONS * 2}, "Two criteria of a rubric have the id 'a'"),
        (GOOD, "two samples with the id 'one'"),
    ],
)
def test_what_is_no_sample_is_said_with_its_line(tmp_path: Path, line: Any, says: str):
    path = written(tmp_path, GOOD, line)

    with pytest.raises(SettingsError, match=says):
        evals.read_dataset(path)


def test_a_file_that_is_not_there_is_an_error_in_one_sentence(tmp_path: Path):
    with pytest.raises(SettingsError, match="can't be read"):
        evals.read_dataset(tmp_path / "none.jsonl")


# --- choosing ---------------------------------------------------------------------------------------


def numbered(count: int) -> Dataset:
    return Dataset("numbers", tuple(Sample(f"task-{number:02}", "?") for number in range(count)))


def test_tasks_are_chosen_by_id_by_its_beginning_or_by_number():
    tasks = numbered(20)

    assert [each.id for each in tasks.select(["task-19", "task-00", "task-19"])] == ["task-19", "task-00"]
    assert [each.id for each in tasks.select(4)] == ["task-00", "task-05", "task-10", "task-15"]
    assert tasks.select("task-07").samples == (tasks["task-07"],)
    assert tasks.select(None) is tasks


@pytest.mark.parametrize(("tasks", "says"), [(["tusk-01"], "no task"), (["task-0"], "beginning of 10"), (21, "has 20")])
def test_a_choice_that_means_nothing_is_an_error(tasks: Any, says: str):
    with pytest.raises(SettingsError, match=says):
        numbered(20).select(tasks)


# --- DRACO ------------------------------------------------------------------------------------------


def test_draco_is_what_the_paper_says_it_is(shared: Path):
    tasks = draco.load(shared / "data" / "draco" / "draco-test.jsonl")

    criteria = [each for task in tasks for each in task.rubric]
    assert (len(tasks), len(criteria)) == (100, 3934)
    assert sum(each.weight < 0 for each in criteria) == 415
    assert Counter(each.section for each in criteria).most_common(1) == [("Factual Accuracy", 2048)]
    assert Counter(task.domain for task in tasks)["Finance"] == 20


def test_another_file_than_the_published_one_is_refused(shared: Path, tmp_path: Path):
    changed = tmp_path / "test.jsonl"
    changed.write_bytes((shared / "data" / "draco" / "draco-test.jsonl").read_bytes().replace(b"-500", b"-5"))

    with pytest.raises(SettingsError, match=r"is not DRACO's test\.jsonl of revision ce07674"):
        draco.load(changed)


def test_draco_comes_from_the_cache_folder_once_it_is_there(shared: Path):
    with pytest.raises(SettingsError, match="downloads it"):
        draco.load(download=False)

    cache_dir().mkdir(parents=True, exist_ok=True)
    kept = cache_dir() / f"draco-{draco.REVISION[:7]}.jsonl"
    kept.write_bytes((shared / "data" / "draco" / "draco-test.jsonl").read_bytes())

    assert len(draco.load(download=False)) == 100


# --- short answers ----------------------------------------------------------------------------------


def test_every_mini_task_can_be_scored_and_takes_its_own_target():
    tasks = evals.mini()

    assert (len(tasks), sum(bool(task.target) for task in tasks)) == (16, 12)
    for task in tasks:
        assert bool(task.target) != bool(task.rubric)
        for target in task.target:
            assert is_right(task, f"Let me think.\n\nAnswer: **{target}**.")


@pytest.mark.parametrize(
    ("id", "answer", "right"),
    [
        ("thimphu", "Bhutan", True),
        ("thimphu", "It is the Kingdom of Bhutan, of course.\nAnswer: Nepal", False),
        ("odd-sum", "Answer: 10,000", True),
        ("odd-sum", "Answer: 10 000", True),
        ("odd-sum", "100² = 10000, so that is it.", False),  # no short answer where one was asked for
        ("mean-speed", r"\boxed{72}", True),
        ("mean-speed", "Answer: 72 km/h", True),
        ("mean-speed", "Answer: 72.2", False),
        ("standard-gravity", "Answer: 9.81 m/s²", True),
        ("standard-gravity", "Answer: 9.7", False),
        ("kolkata-utc", "Answer: 9:00", True),
        ("february-1900", "Answer: 29", False),
        ("february-1900", "", False),
    ],
)
def test_short_answers_are_right_or_wrong(id: str, answer: str, right: bool):
    assert is_right(evals.mini()[id], answer) is right


def test_a_task_of_numbers_alone_is_numeric():
    assert protocol_of(Sample("a", "?", target=(2, 2.5))) == "numeric"
    assert protocol_of(Sample("a", "?", target=("two", 2))) == "exact"
