"""Calls that were sent to an endpoint's batches: which file each is in, and which batch carries that out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

from .writer import Statement

KEPT = 30 * 86_400.0  # seconds; OpenAI deletes a batch's output after 30 days


def kept(ids: Iterable[str], file: str) -> list[Statement]:
    sql = "INSERT OR REPLACE INTO lines (id, file, batch, made) VALUES (?, ?, '', ?)"
    return [(sql, (line, file, time.time())) for line in ids]


def named(file: str, batch: str) -> list[Statement]:
    return [("UPDATE lines SET batch = ? WHERE file = ?", (batch, file))]


def dropped(line: str) -> list[Statement]:
    return [("DELETE FROM lines WHERE id = ?", (line,))]


def found(db: sqlite3.Connection, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(file, batch) of those of these calls that were kept and may still be fetched."""
    sql, since = "SELECT file, batch FROM lines WHERE id = ? AND made >= ?", time.time() - KEPT
    rows = ((line, db.execute(sql, (line, since)).fetchone()) for line in ids)
    return {line: (row[0], row[1]) for line, row in rows if row}
