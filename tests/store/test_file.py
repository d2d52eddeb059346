"""The file is its owner's alone, brought to the present shape, and when it can't be used one sentence says why."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.store import Store, open_store
from fusion_magic.store.file import STEPS, connect
from store.keeping import HERE, alter, keep_run, kept, started

KEEPS_NO_MODES = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")


@KEEPS_NO_MODES
def test_file_log_and_folder_are_for_their_owner_alone(store: Store):
    mask = os.umask(0)
    try:
        store.keep(kept(), HERE, reusable=True).result(30)
        files = list(store.path.parent.iterdir())
    finally:
        os.umask(mask)

    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@KEEPS_NO_MODES
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path):
    tmp_path.chmod(0o755)
    Store(tmp_path / "store.sqlite3").keep(kept(), HERE, reusable=True).result(30)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_store_is_new_once_for_who_made_it(store: Store):
    assert store.is_new()
    assert not store.is_new()
    assert not Store(store.path).is_new()


def test_a_store_that_a_write_made_is_new_too(store: Store):
    store.keep(kept(), HERE, reusable=True).result(30)

    assert store.is_new()
    assert not store.is_new()


def test_the_store_lies_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    first = open_store()
    monkeypatch.setenv("FUSION_HOME", str(tmp_path))

    assert open_store().path == tmp_path / "store.sqlite3"
    assert open_store() is open_store()
    assert open_store() is not first


def test_a_store_of_an_older_version_is_brought_to_the_present_one(store: Store):
    keep_run(store, "abc")
    later = (*STEPS, ("ALTER TABLE runs ADD COLUMN stars INTEGER NOT NULL DEFAULT 5", "CREATE TABLE more (x)"))

    with closing(connect(store.path, later)) as db:
        rows = db.execute("SELECT id, stars FROM runs").fetchall()

    assert rows == [("abc", 5)]
    assert alter(store, "PRAGMA user_version") == [(len(later),)]


def test_calls_booked_before_batches_were_told_apart_still_teach_their_seconds(store: Store):
    store.path.parent.mkdir()
    with closing(connect(store.path, STEPS[:3])) as db:
        columns = "run, made, day, notebook, preset, stage, label, model, ended_well, seconds, not_priced, not_reported"
        values = "'r', strftime('%s'), '', '', '', 'panel', 'A', 'vendor/a', true, 2.0, false, false"
        for _ in range(3):
            db.execute(f"INSERT INTO spend ({columns}) VALUES ({values})")

    found = store.experience("panel", "vendor/a")

    assert found is not None
    assert found.seconds == (2, 2, 2)


def test_a_migration_that_fails_leaves_the_file_as_it_was(store: Store):
    keep_run(store, "abc")
    later = (*STEPS, ("CREATE TABLE more (x)", "ALTER TABLE nowhere ADD COLUMN x"))

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        connect(store.path, later)

    assert alter(store, "SELECT name FROM sqlite_master WHERE name = 'more'") == []
    assert store.load("abc").id == "abc"


def test_a_store_of_a_later_version_is_left_alone(store: Store):
    keep_run(store, "abc")
    alter(store, f"PRAGMA user_version={len(STEPS) + 1}")
    later = Store(store.path)

    with pytest.raises(SettingsError, match="was written by a later fusion_magic; update to use it"):
        later.load("abc")
    later.begin(started("new"), HERE, None).result(30)
    assert "was written by a later fusion_magic" in str(later.problem)
    assert alter(store, "SELECT id FROM runs") == [("abc",)]


# --- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage", [b"This is no database, and it is longer than a header is.\n" * 9, b"SQLite format 3\0" * 90]
)
def test_a_damaged_file_is_one_sentence_and_stays(store: Store, damage: bytes):
    store.path.parent.mkdir()
    store.path.write_bytes(damage)

    store.begin(started(), HERE, None).result(30)

    assert "is damaged" in str(store.problem)
    assert "move it away, and a new one is made" in str(store.problem)
    assert store.find("key") is None
    with pytest.raises(SettingsError, match="can't be read"):
        store.history()
    with pytest.raises(SettingsError, match="can't be read"):
        store.spent()
    assert store.path.read_bytes() == damage


def test_a_file_damaged_in_its_midst_is_one_sentence(store: Store):
    for number in range(200):
        store.keep(kept(str(number), answer={"text": os.urandom(2_000).hex()}), HERE, reusable=True)
    store.settled().result(30)
    alter(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    copy = store.path.with_name("copy.sqlite3")
    content = bytearray(store.path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    copy.write_bytes(content)
    damaged = Store(copy)

    assert damaged.find("7") is None
    assert damaged.problem is not None
    with pytest.raises(SettingsError, match=r"can't be read \(.*move it away"):
        damaged.costs("model")


def test_a_folder_that_can_not_be_made_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    store = Store(tmp_path / "file" / "store.sqlite3")

    store.keep(kept(), HERE, reusable=True).result(30)

    assert str(store.problem).endswith(
        "so this run can be neither reused nor resumed; set FUSION_HOME to a folder that you may write to."
    )
    assert not store.is_new()
    assert store.find("key") is None
    assert store.history() == []


def test_after_a_failure_writes_are_dropped_until_the_next_run_begins(tmp_path: Path):
    (tmp_path / "data").write_text("not a folder")
    store = Store(tmp_path / "data" / "store.sqlite3")
    store.keep(kept("lost"), HERE, reusable=True).result(30)
    (tmp_path / "data").unlink()

    store.keep(kept("dropped"), HERE, reusable=True).result(30)
    assert store.problem is not None
    store.begin(started(), HERE, None)
    store.keep(kept("kept"), HERE, reusable=True).result(30)

    assert store.problem is None
    assert store.find("dropped") is None
    assert store.find("kept") is not None


def test_a_store_that_was_deleted_meanwhile_is_made_anew(store: Store):
    store.keep(kept("old"), HERE, reusable=True).result(30)
    store._writer.let_go()
    shutil.rmtree(store.path.parent)

    store.keep(kept("new"), HERE, reusable=True).result(30)

    assert store.problem is None
    assert store.find("new") is not None
    assert store.find("old") is None
