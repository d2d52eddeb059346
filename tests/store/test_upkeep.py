"""Runs can be exported, pruned and forgotten; what is forgotten is in no byte of the file, what it cost stays."""

from __future__ import annotations

import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.events import CallStarted
from fusion_magic.results import FusionResult
from fusion_magic.store import Store, StoreSize
from store.keeping import HERE, NOW, alter, keep_run, kept, started

SECRET = "Velociraptor-Marzipan"
WINDOW = 24  # bytes that do not come twice by chance


def test_the_size_counts_calls_runs_and_bytes(store: Store):
    assert store.size() == StoreSize(store.path, 0, 0, 0, None)
    keep_run(store, "old")
    keep_run(store, "new", minutes=1)

    size = store.size()

    assert (size.path, size.calls, size.runs, size.since) == (store.path, 2, 2, NOW)
    assert size.bytes == sum(
        file.stat().st_size for file in store.path.parent.iterdir() if not file.name.endswith("-shm")
    )


# --- export -----------------------------------------------------------------------------------------


def test_each_line_of_an_export_is_a_result(store: Store, tmp_path: Path):
    results = [keep_run(store, f"run{number}", "Why?\u2028\n", minutes=number) for number in range(3)]
    store.begin(started("half", created=NOW + timedelta(hours=1)), HERE, None)
    target = tmp_path / "runs.jsonl"

    assert store.export(target) == 4

    lines = target.read_bytes().splitlines()
    assert [FusionResult.model_validate_json(line) for line in lines] == [*results, store.load("half")]
    if sys.platform != "win32":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (tmp_path / "one.json").write_bytes(lines[0])
    assert FusionResult.open(tmp_path / "one.json") == results[0]


def test_an_export_that_fails_leaves_the_file_that_was_there(store: Store, tmp_path: Path):
    keep_run(store, "abc")
    alter(store, "UPDATE records SET body = x'00'")
    target = tmp_path / "runs.jsonl"
    target.write_text("precious")

    with pytest.raises(SettingsError, match="Run abc can't be read"):
        store.export(target)
    with pytest.raises(SettingsError, match="name another file"):
        store.export(tmp_path / "nowhere" / "runs.jsonl")

    assert target.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"data", "runs.jsonl"}


# --- prune ------------------------------------------------------------------------------------------


def test_pruning_takes_what_is_old_and_makes_the_file_smaller(store: Store):
    now = datetime.now(UTC)
    for days, run in ((100, "old"), (1, "new")):
        made = now - timedelta(days=days)
        store.begin(started(run, created=made), HERE, None)
        store.note(run, CallStarted("panel", "A", "vendor/a"))
        store.draft(run, {("panel", "A"): os.urandom(50_000).hex()})
        store.keep(kept(run, run=run, made=made, answer={"text": os.urandom(100_000).hex()}), HERE, reusable=True)
    before = store.size().bytes

    assert store.prune(timedelta(days=90)) == 1

    assert [line.id for line in store.history()] == ["new"]
    assert store.find("old") is None
    assert store.find("new") is not None
    assert store.size().bytes < 0.7 * before
    assert store.costs("model")[0].calls == 2
    assert alter(store, "SELECT DISTINCT run FROM events UNION SELECT run FROM drafts") == [("new",)]


def test_pruning_an_empty_store_takes_nothing(store: Store):
    assert store.prune(timedelta(days=90)) == 0
    assert not store.path.exists()


# --- forget -----------------------------------------------------------------------------------------


def files(store: Store) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(store.path.parent.iterdir()))


def windows(content: bytes) -> set[bytes]:
    return {content[at : at + WINDOW] for at in range(len(content))}


def bodies(store: Store) -> list[bytes]:
    rows = alter(
        store,
        "SELECT body FROM calls UNION ALL SELECT body FROM events UNION ALL SELECT body FROM drafts"
        " UNION ALL SELECT body FROM records UNION ALL SELECT body FROM web",
    )
    return [body for (body,) in rows]


def pieces(store: Store) -> set[bytes]:
    """Pieces of every stored body, which stand in the file as they are, but may be broken where a page ends."""
    return {body[at : at + WINDOW] for body in bodies(store) for at in range(0, len(body) - WINDOW, WINDOW)}


def words(store: Store) -> set[bytes]:
    """Whatever can be read in the stored bodies, wherever it begins."""
    return {window for body in bodies(store) for window in windows(body)}


def fill(store: Store, run: str, prompt: str) -> None:
    """A run with bodies of many sizes, some of which make pages split, and one that is unfinished."""
    keep_run(store, run, f"{prompt} in {run}?", f"{prompt} is the answer.", thread=prompt)
    for number in range(25):
        text = f"{prompt} {os.urandom(37 * number * number % 5_000).hex()}"
        store.keep(kept(f"{run} {number}", run=run, answer={"text": text}), HERE, reusable=True)
        store.note(run, CallStarted("panel", "A", text))
    store.draft(run, {("panel", "A"): f"{prompt} {os.urandom(500).hex()}"})
    store.keep_web(run, f"{prompt} {os.urandom(500).hex()}").result(30)


def test_what_is_forgotten_is_in_no_byte_of_the_files(store: Store):
    for number in range(2):
        fill(store, f"before{number}", "Weather")
    others = words(store)
    fill(store, "secret", SECRET)
    fill(store, "after", "Weather")
    secret = {piece for piece in pieces(store) if piece not in others}
    assert SECRET.encode() in files(store)
    assert len(secret & windows(files(store))) > 0.9 * len(secret)
    alter(store, "UPDATE runs SET line = line || '.' WHERE id LIKE 'before%'")

    assert store.forget("secret") == 26

    left = files(store)
    assert SECRET.encode() not in left
    assert b"secret" not in left
    gone = secret - words(store)
    assert len(gone) > 500
    assert gone & windows(left) == set()
    assert store.find("secret 7") is None
    with pytest.raises(SettingsError, match="The store has no run"):
        store.load("secret")


def test_what_a_forgotten_run_cost_stays_and_the_others_stay_whole(store: Store):
    keep_run(store, "abc")
    result = keep_run(store, "def")

    store.forget("ab")

    assert store.load("def") == result
    assert store.find("key of def") is not None
    assert store.spent() == 0.02
    assert [line.calls for line in store.costs("notebook")] == [2]
    assert store.problem is None


def test_forgetting_an_unknown_run_names_the_nearest(store: Store):
    keep_run(store, "3f9a0c2b1d4e")

    with pytest.raises(SettingsError, match='did you mean "3f9a0c2b1d4e"'):
        store.forget("3f9a0c2b1d4f")
    assert store.size().runs == 1


def test_text_in_flight_is_overwritten_when_the_run_ends(store: Store):
    store.begin(started("abc"), HERE, None)
    store.draft("abc", {("panel", "A"): os.urandom(20_000).hex()}).result(30)
    draft = pieces(store)
    keep_run(store, "abc")

    alter(store, "PRAGMA wal_checkpoint(TRUNCATE)")

    gone = draft - words(store)
    assert len(gone) > 500
    assert gone & windows(files(store)) == set()
