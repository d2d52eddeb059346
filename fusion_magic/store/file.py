"""The store's SQLite file: made for its owner alone, opened, and brought to the present shape."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SettingsError

PATIENCE = 30.0  # seconds that a write waits for those of other processes
LOG = 8_000_000  # bytes that the log of writes keeps once they are in the file
# Each step brings the file from one version to the next. A step that has been released is never changed.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE calls (
            number INTEGER PRIMARY KEY, key TEXT NOT NULL, run TEXT NOT NULL, made REAL NOT NULL,
            reusable INTEGER NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX calls_by_key ON calls (key, made) WHERE reusable",
        "CREATE INDEX calls_by_run ON calls (run)",
        # Apart from the calls, as it stays when they go.
        """CREATE TABLE spend (
            number INTEGER PRIMARY KEY, run TEXT NOT NULL, made REAL NOT NULL, day TEXT NOT NULL,
            notebook TEXT NOT NULL, preset TEXT NOT NULL, stage TEXT NOT NULL, label TEXT NOT NULL,
            model TEXT NOT NULL, ended_well INTEGER NOT NULL, read INTEGER, written INTEGER, seconds REAL NOT NULL,
            cost REAL, not_priced INTEGER NOT NULL, not_reported INTEGER NOT NULL)""",
        "CREATE INDEX spend_by_day ON spend (day)",
        "CREATE INDEX spend_by_notebook ON spend (notebook)",
        "CREATE INDEX spend_by_model ON spend (model, stage, made)",
        "CREATE INDEX spend_by_run ON spend (run)",
        # Without a status the run is unfinished. Its record lies apart, so that a list of runs reads little.
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, created REAL NOT NULL, status TEXT, panel TEXT NOT NULL, notebook TEXT NOT NULL,
            preset TEXT NOT NULL, thread TEXT, cost REAL, partial INTEGER NOT NULL, saved REAL NOT NULL,
            parent TEXT, line TEXT NOT NULL, prompt TEXT NOT NULL)""",
        "CREATE TABLE records (run TEXT PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE INDEX runs_by_time ON runs (created)",
        "CREATE INDEX runs_by_thread ON runs (thread, created) WHERE thread IS NOT NULL",
        "CREATE TABLE events (number INTEGER PRIMARY KEY, run TEXT NOT NULL, body BLOB NOT NULL)",
        "CREATE INDEX events_by_run ON events (run)",
        "CREATE TABLE drafts (run TEXT PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE TABLE web (key TEXT PRIMARY KEY, made REAL NOT NULL, body BLOB NOT NULL)",
        "CREATE INDEX web_by_time ON web (made)",
    ),
    # Which run answered a row of a batch.
    (
        "CREATE TABLE answered (key TEXT PRIMARY KEY, run TEXT NOT NULL)",
        "CREATE INDEX answered_by_run ON answered (run)",
    ),
    # Calls that were sent to an endpoint's batches and have not come back; without a batch only the file is known.
    (
        """CREATE TABLE lines (
            id TEXT PRIMARY KEY, file TEXT NOT NULL, batch TEXT NOT NULL, made REAL NOT NULL)""",
        "CREATE INDEX lines_by_file ON lines (file)",
    ),
    # Whether a call's seconds are those of waiting for a batch.
    ("ALTER TABLE spend ADD COLUMN batched INTEGER NOT NULL DEFAULT 0",),
    (),  # short bodies are not compressed any more, which earlier versions would take for damage
)


def create(path: Path) -> bool:
    """Make an empty file of mode 600, in a folder of mode 700; False if there is one. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def advice(exc: BaseException) -> str:
    """What to do about an error of the file."""
    name = getattr(exc, "sqlite_errorname", None) or ""
    return next((told for code, told in _ADVICE.items() if name.startswith(code)), _ELSE)


_ELSE = "set FUSION_HOME to a folder that you may write to."
_ADVICE = {
    "SQLITE_FULL": "free some space.",
    "SQLITE_IOERR": "see whether the disk is full.",
    "SQLITE_CORRUPT": "it is damaged: move it away, and a new one is made.",
    "SQLITE_NOTADB": "it is damaged or another program's: move it away, and a new one is made.",
    "SQLITE_BUSY": "another process is using it: try again when that has ended.",
    "SQLITE_LOCKED": "another process is using it: try again when that has ended.",
}


def connect(path: Path | str, steps: Sequence[Sequence[str]] = STEPS) -> sqlite3.Connection:
    """Open the file in its present shape; ":memory:" is a store with nothing in it.

    Raises:
        sqlite3.Error: it can't be opened, or is no database.
        SettingsError: a later version wrote it.
    """
    # Not bound to a thread: a fork closes the connection of the thread that writes.
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA secure_delete=ON")
        # A killed process loses what was still gathering; a power cut may lose the last seconds, and damages nothing.
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(f"PRAGMA journal_size_limit={LOG}")
        _migrate(db, steps, path)
        # Refused while another process does the same, and on network folders; then it goes without, only slower.
        with suppress(sqlite3.OperationalError):
            db.execute("PRAGMA journal_mode=WAL")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """All that is written in the block, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")  # not deferred: a read that becomes a write fails at once instead of waiting
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _migrate(db: sqlite3.Connection, steps: Sequence[Sequence[str]], path: Path | str) -> None:
    if _version(db, steps, path) == len(steps):
        return
    with transaction(db):
        for step in steps[_version(db, steps, path) :]:  # again: another process may have been quicker
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version={len(steps)}")


def _version(db: sqlite3.Connection, steps: Sequence[Sequence[str]], path: Path | str) -> int:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > len(steps):
        raise SettingsError(f"The store {path} was written by a later fusion_magic; update to use it.")
    return found
