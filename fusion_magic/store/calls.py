"""Calls that were answered, to be reused, and what tools found on the web."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

from ..results import Call
from .bodies import packed, unpacked, without_pictures
from .kept import KeptCall
from .writer import Statement

WEB_SECONDS = 86_400.0  # pages change


def kept(call: KeptCall, reusable: bool) -> list[Statement]:
    """Keep a call."""
    body = packed([call.call, without_pictures(call.request), call.answer])
    values = (call.key, call.run, call.made.timestamp(), reusable, body)
    return [("INSERT INTO calls (key, run, made, reusable, body) VALUES (?, ?, ?, ?, ?)", values)]


def disowned(key: str) -> list[Statement]:
    """Keep the calls of this key, but reuse them no more."""
    return [("UPDATE calls SET reusable = 0 WHERE key = ? AND reusable", (key,))]


def find(db: sqlite3.Connection, key: str) -> KeptCall | None:
    """The newest reusable call of the key. Raises ValueError if it can't be read."""
    sql = "SELECT run, made, body FROM calls WHERE key = ? AND reusable ORDER BY made DESC, number DESC LIMIT 1"
    row = db.execute(sql, (key,)).fetchone()
    if row is None:
        return None
    call, request, answer = unpacked(row[2])
    return KeptCall(key, Call.model_validate(call), request, answer, datetime.fromtimestamp(row[1], UTC), row[0])


def web_kept(key: str, value: object) -> list[Statement]:
    """Keep what was found on the web, and delete what is older than a day."""
    now = time.time()
    return [
        ("INSERT OR REPLACE INTO web (key, made, body) VALUES (?, ?, ?)", (key, now, packed(value))),
        ("DELETE FROM web WHERE made < ?", (now - WEB_SECONDS,)),
    ]


def web(db: sqlite3.Connection, key: str) -> tuple[datetime, Any] | None:
    """When it was found, UTC, and what; None after a day. Raises ValueError if it can't be read."""
    sql = "SELECT made, body FROM web WHERE key = ? AND made >= ?"
    row = db.execute(sql, (key, time.time() - WEB_SECONDS)).fetchone()
    return (datetime.fromtimestamp(row[0], UTC), unpacked(row[1])) if row else None
