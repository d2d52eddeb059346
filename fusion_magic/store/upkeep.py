"""How large the store is, and ways to take runs out of it."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import SettingsError
from .file import transaction
from .kept import StoreSize
from .runs import full_id, load


def size(db: sqlite3.Connection, path: Path) -> StoreSize:
    """What is in the store, its log of writes included."""
    on_disk = sum(file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists())
    calls, first_call = db.execute("SELECT count(*), min(made) FROM calls").fetchone()
    runs, first_run = db.execute("SELECT count(*), min(created) FROM runs").fetchone()
    since = min((when for when in (first_call, first_run) if when is not None), default=None)
    return StoreSize(path, on_disk, calls, runs, None if since is None else datetime.fromtimestamp(since, UTC))


def prune(db: sqlite3.Connection, older: timedelta) -> int:
    """Delete runs and calls older than this; returns how many runs. What they cost stays in the accounts."""
    before = (datetime.now(UTC) - older).timestamp()
    with transaction(db):
        db.execute("DELETE FROM calls WHERE made < ?", (before,))
        db.execute("DELETE FROM web WHERE made < ?", (before,))
        db.execute("DELETE FROM lines WHERE made < ?", (before,))
        for table in ("events", "drafts", "records", "answered"):
            db.execute(f"DELETE FROM {table} WHERE run IN (SELECT id FROM runs WHERE created < ?)", (before,))
        runs = db.execute("DELETE FROM runs WHERE created < ?", (before,)).rowcount
    _wipe(db)
    return runs


def forget(db: sqlite3.Connection, run: str) -> int:
    """Delete a run with all its calls; returns how many calls. What they cost stays in the accounts, without the run.

    What tools found on the web goes too, all of it: it does not say for which run it was looked up.
    """
    run = full_id(db, run)
    with transaction(db):
        calls = db.execute("DELETE FROM calls WHERE run = ?", (run,)).rowcount
        for table in ("events", "drafts", "records", "answered"):
            db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
        db.execute("DELETE FROM web")
        db.execute("UPDATE spend SET run = '' WHERE run = ?", (run,))
        db.execute("DELETE FROM runs WHERE id = ?", (run,))
    _wipe(db)
    return calls


def _wipe(db: sqlite3.Connection) -> None:
    """Build the file anew and empty its log: pages that were split keep copies that secure_delete does not reach."""
    db.execute("VACUUM")
    if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise SettingsError(
            "It is deleted, but another process is reading the store: its bytes are gone from the disk when the other "
            "notebooks are closed."
        )


def export(db: sqlite3.Connection, path: Path) -> int:
    """Write one line of JSON for each run, oldest first, for the owner alone; returns how many.

    Raises:
        SettingsError: the file can't be written, or a run can't be read.
    """
    runs = [row[0] for row in db.execute("SELECT id FROM runs ORDER BY created, rowid")]
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            for run in runs:
                file.write(load(db, run).model_dump_json() + "\n")
        beside.replace(path)
    except OSError as exc:
        raise SettingsError(f"{path} can't be written ({exc.strerror}); name another file.") from exc
    finally:
        beside.unlink(missing_ok=True)
    return len(runs)
