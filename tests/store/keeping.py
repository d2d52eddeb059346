"""Calls and runs as the pipeline would keep them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from fusion_magic.events import CallEnded, CallStarted, Event, PlannedCall, RunEnded, RunStarted, SeatAnswered, fold
from fusion_magic.results import Call, FusionResult, Response, Usage
from fusion_magic.store import KeptCall, Place, Store

NOW = datetime(2025, 3, 5, 12, 30, 15, 123457, UTC)
HERE = Place("work/report.ipynb", "budget")
USAGE = Usage(prompt_tokens=100, completion_tokens=20)


def call(**changes: Any) -> Call:
    known: dict[str, Any] = {"stage": "panel", "label": "A", "model": "vendor/a", "usage": USAGE, "cost": 0.01}
    return Call(**{**known, "finish_reason": "stop", "duration": 2.0, **changes})


def kept(key: str = "key", *, run: str = "run1", made: datetime | None = None, **changes: Any) -> KeptCall:
    answer = changes.pop("answer", {"text": "An answer."})
    request = changes.pop("request", {"messages": [{"role": "user", "content": "Why?"}]})
    return KeptCall(key, call(**changes), request, answer, made or datetime.now(UTC), run)


def started(run: str = "run1", prompt: str = "Why?", **changes: Any) -> RunStarted:
    settings = {"panel": {"name": "budget", "models": [{"model": "vendor/a"}]}, "thread": None}
    plan = (PlannedCall("panel", "A", "vendor/a", 1e-6, None), PlannedCall("judge", "", "vendor/j", None, None))
    return RunStarted(**{"id": run, "created": NOW, "prompt": prompt, "settings": settings, "plan": plan, **changes})


def one_seat(begun: RunStarted, text: str = "An answer.") -> list[Event]:
    """A run in which one seat answered and nobody else was asked."""
    return [
        begun,
        CallStarted("panel", "A", "vendor/a"),
        CallEnded(call()),
        SeatAnswered(Response(label="A", model="vendor/a", content=text)),
    ]


def keep_run(
    store: Store, run: str, prompt: str = "Why?", answer: str | None = "Because.", *, minutes: int = 0, **changes: Any
) -> FusionResult:
    """A run that has ended, `minutes` after noon, in the store."""
    thread = changes.pop("thread", None)
    begun = started(run, prompt, created=NOW + timedelta(minutes=minutes))
    store.begin(begun, HERE, thread)
    result = fold([*one_seat(begun), RunEnded("ok", 2.0)]).model_copy(update={"answer": answer, **changes})
    store.keep(kept(f"key of {run}", run=run), HERE, reusable=True)
    store.end(result, HERE)
    store.settled().result(30)
    return result


def alter(store: Store, sql: str, *values: Any) -> list[Any]:
    """Run a statement on the store's file from outside; returns its rows."""
    with closing(sqlite3.connect(store.path)) as db, db:
        return db.execute(sql, values).fetchall()
