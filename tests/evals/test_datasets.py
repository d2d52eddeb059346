"""Datasets: read from files with what is wrong in which line, and from the package; DRACO by its checksum."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
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


@pytest.fixture
def published(shared: Path) -> Iterator[tuple[str, bytes, list[str]]]:
    """The address of DRACO's file on a server of ours, the file, and what was asked for."""
    data = (shared / "data" / "draco" / "draco-test.jsonl").read_bytes()
    asked = list[str]()

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Files) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/test.jsonl", data, asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kept", [None, b"the beginning of a fi"])
def test_draco_is_downloaded_once_also_in_place_of_a_damaged_file(
    tmp_path: Path, published: tuple[str, bytes, list[str]], kept: bytes | None
):
    address, data, asked = published
    path = tmp_path / "cache" / "draco.jsonl"
    if kept is not None:
        path.parent.mkdir()
        path.write_bytes(kept)

    found = [draco.kept_or_downloaded(path, address=address) for _ in range(2)]

    assert found == [data, data]
    assert asked == ["/test.jsonl"]
    assert [each.name for each in path.parent.iterdir()] == ["draco.jsonl"]


def test_a_damaged_file_that_may_not_be_downloaded_again_is_an_error():
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / f"draco-{draco.REVISION[:7]}.jsonl").write_bytes(b"the beginning of a fi")

    with pytest.raises(SettingsError, match=r"is not DRACO's test\.jsonl"):
        draco.load(download=False)


def test_a_folder_that_takes_no_file_is_an_error_in_one_sentence(
    tmp_path: Path, published: tuple[str, bytes, list[str]]
):
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")

    with pytest.raises(SettingsError, match="DRACO can't be kept in"):
        draco.kept_or_downloaded(tmp_path / "cache" / "draco.jsonl", address=published[0])


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, published: tuple[str, bytes, list[str]]):
    path = tmp_path / "draco.jsonl"
    path.write_bytes(b"the beginning of a fi")

    with path.open("rb") as reader:
        draco.kept_or_downloaded(path, address=published[0])
        seen = reader.read()

    assert seen == b"the beginning of a fi"  # who reads the old one goes on with it


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


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (72, "€72"),
        (72, r"\(72\)"),
        (72, r"\$72"),
        (72, "$72$"),
        (72, "72 €"),
        (72, "**72** km/h"),
        (72, r"\boxed{72\text{ km/h}}"),
        (72, "72 km/h (45 mph)"),
        (-5, "−5 °C"),
        (-5, "-$5"),
        (90, r"$90^\circ$"),
        (9.81, "9.81 m/s^2"),
        (0.5, ".5"),
        (10_000, "10{,}000 tons"),
        (1_000_000, "10^6"),
        (1_500_000, "1.5e6"),
        (1_500_000, "1.5×10⁶ people"),
        (1_500_000, r"$1.5 \times 10^{6}$"),
        (1_500_000, "$1.5 million"),
        (4_350_000, "4.35 Million"),
        (500_000, "5 hundred thousand"),
    ],
)
def test_a_number_is_right_however_it_is_written(target: float, said: str):
    assert is_right(Sample("a", "?", target=(target,)), f"Answer: {said}")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (5, "5 million"),
        (5, "5, million"),
        (5, "5 or 6"),
        (5, "5 km or 6 km"),
        (5, "5 (or 6)"),
        (5, "5-10"),
        (5, "5–10 km"),
        (5, "5 to 10"),
        (5, "5, 6"),
        (5, "5 and a half"),
        (5, "5 ½"),
        (5, "5x10"),
        (5, "5²"),
        (5, "5:30"),
        (1, "1/2"),
        (1, "1,5"),
        (1, "1e9999"),
        (2, "2^10"),
        (10, "10⁶"),
        (1.5, "1.5e6"),
    ],
)
def test_what_only_begins_with_the_right_number_is_wrong(target: float, said: str):
    assert not is_right(Sample("a", "?", target=(target,)), f"Answer: {said}")


def test_a_task_of_numbers_alone_is_numeric():
    assert protocol_of(Sample("a", "?", target=(2, 2.5))) == "numeric"
    assert protocol_of(Sample("a", "?", target=("two", 2))) == "exact"
