"""Several processes write at once, are forked, are killed at any moment, or fill the disk: nothing kept is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fusion_magic.store import Store
from store.keeping import alter

pytestmark = pytest.mark.thorough

if sys.platform == "win32":
    pytest.skip("these processes fork and kill each other as Windows can't", allow_module_level=True)

SCRIPT = Path(__file__).with_name("writers.py")


def process(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), *map(str, words)]
    env = {"PYTHONPATH": str(SCRIPT.parents[1]), "PATH": ""}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


def output(running: subprocess.Popen[str]) -> str:
    told, _ = running.communicate(timeout=60)
    return told


def is_whole(store: Store) -> bool:
    return alter(store, "PRAGMA integrity_check") == [("ok",)]


def test_a_kill_at_any_moment_loses_no_call_that_was_kept_and_damages_nothing(store: Store):
    assert output(process("killed", store.path, 20)) == "ok\n"
    assert is_whole(store)


def test_four_processes_that_write_500_calls_each_lose_none(store: Store):
    names = ("a", "b", "c", "d")
    running = [process("keeping", store.path, name, 500) for name in names]

    assert [output(each) for each in running] == ["None\n"] * 4

    kept = alter(store, "SELECT key, count(*) FROM calls GROUP BY key")
    assert sorted(kept) == sorted((f"{name} {number}", 1) for name in names for number in range(500))
    assert store.costs("model")[0].calls == 2_000
    assert is_whole(store)


def test_forked_children_write_beside_their_parent(store: Store):
    assert output(process("forking", store.path, 40)) == "[0, 0, 0] None\n"

    kept = alter(store, "SELECT run, count(DISTINCT key) FROM calls GROUP BY run ORDER BY run")
    assert kept == [("a", 40), ("b", 40), ("c", 40), ("parent", 40)]
    assert is_whole(store)


def test_children_that_are_forked_while_events_are_noted_note_theirs(store: Store):
    assert output(process("noting", store.path, 30)) == "[0] None\n"


def test_a_run_that_a_child_of_multiprocessing_made_is_kept_when_the_child_ends(store: Store):
    assert output(process("asking", store.path)) == "['Words.', 'Words.']\n"


def test_what_a_run_has_at_the_end_of_its_process_is_kept(store: Store):
    assert output(process("leaving", store.path)) == ""

    result = store.load(store.history()[0].id)
    assert result.status == "cancelled"
    assert [call.error for call in result.calls] == ["Cancelled."]


def test_a_forked_child_goes_on_when_its_parent_closes_the_file(store: Store):
    assert output(process("outliving", store.path)) == "['before', 'first', 'second'] None\n"
    assert is_whole(store)


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_was_kept(store: Store):
    sentence, all_found, after = output(process("filling", store.path)).splitlines()

    assert sentence.startswith(f"The store {store.path} can't be written (")
    assert sentence.count(". ") == 0
    assert "disk" in sentence or "space" in sentence
    assert all_found == "True"
    assert after == "None True"
    assert is_whole(store)


def test_the_end_of_a_process_waits_for_what_is_still_to_be_written(store: Store):
    assert output(process("ending", store.path)) == ""

    assert alter(store, "SELECT count(*) FROM calls") == [(200,)]
