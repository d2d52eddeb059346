"""Runs: the journal of one that is running, the record of one that has ended, history and threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..chosen import nearest
from ..errors import SettingsError
from ..events import Event, Fold, RunStarted
from ..results import FusionResult, Stage
from .bodies import clean, events_body, events_from, packed, unpacked
from .kept import Place, RunLine
from .writer import Statement

LINE = 200  # characters of a prompt that a list shows
SEARCHED = 20_000  # characters of a prompt that a search reads
_RUN = """INSERT OR IGNORE INTO runs
    (id, created, parent, panel, notebook, preset, thread, line, prompt, partial, saved)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, true, 0.0)"""
_OUTCOME = "UPDATE runs SET status = ?, cost = ?, partial = ?, saved = ? WHERE id = ?"
_EVENT = "INSERT INTO events (run, body) VALUES (?, ?)"


def begun(started: RunStarted, place: Place, thread: str | None) -> list[Statement]:
    """A run that has started and is unfinished."""
    return [(_RUN, _row(started, place, thread)), (_EVENT, (started.id, events_body([started])))]


def noted(run: str, events: Iterable[Event]) -> list[Statement]:
    """What has happened in a running run."""
    told = list(events)
    return [(_EVENT, (run, events_body(told)))] if told else []


def drafted(run: str, drafts: Mapping[tuple[Stage, str], str]) -> list[Statement]:
    """What is being written just now, in place of what was."""
    body = packed([[stage, label, text] for (stage, label), text in drafts.items()])
    return [("INSERT OR REPLACE INTO drafts (run, body) VALUES (?, ?)", (run, body))]


def ended(result: FusionResult, place: Place) -> list[Statement]:
    """The record of a run in place of its journal."""
    saved = sum(call.saved or 0.0 for call in result.calls if call.reused)
    record = packed(result)
    return [
        # Once more: where the store was out of reach when the run began it has no journal.
        (_RUN, _row(result, place, result.settings.get("thread"))),
        (_OUTCOME, (result.status, result.cost, result.cost_is_partial, saved, result.id)),
        ("INSERT OR REPLACE INTO records (run, body) VALUES (?, ?)", (result.id, record)),
        ("DELETE FROM events WHERE run = ?", (result.id,)),
        ("DELETE FROM drafts WHERE run = ?", (result.id,)),
    ]


def answering(key: str, run: str) -> list[Statement]:
    """The run that answers what this key stands for."""
    return [("INSERT OR REPLACE INTO answered (key, run) VALUES (?, ?)", (key, run))]


def answered(db: sqlite3.Connection, key: str) -> FusionResult | None:
    """The result of the run that answers it. Raises ValueError if it can't be read."""
    sql = "SELECT body FROM answered JOIN records USING (run) WHERE key = ?"
    row = db.execute(sql, (key,)).fetchone()
    return FusionResult.model_validate(unpacked(row[0])) if row else None


def _row(run: RunStarted | FusionResult, place: Place, thread: str | None) -> tuple[object, ...]:
    line = next((line.strip() for line in run.prompt.splitlines() if line.strip()), "")
    named = (_panel(run.settings), place.notebook, place.preset, thread, line[:LINE], run.prompt[:SEARCHED])
    return (run.id, run.created.timestamp(), run.parent, *(text and clean(text) for text in named))


def _panel(settings: Mapping[str, Any]) -> str:
    """The panel's name, or its models."""
    panel: dict[str, Any] = settings.get("panel") or {}
    seats: list[dict[str, Any]] = panel.get("models") or []
    return panel.get("name") or ", ".join(seat["model"] for seat in seats)


def load(db: sqlite3.Connection, run: str) -> FusionResult:
    """A run's result; of one that was cut off, what its journal tells.

    Raises:
        SettingsError: there is no such run, or it can't be read.
    """
    run = full_id(db, run)
    record = db.execute("SELECT body FROM records WHERE run = ?", (run,)).fetchone()
    try:
        return FusionResult.model_validate(unpacked(record[0])) if record else _told(db, run)
    except ValueError as exc:
        raise SettingsError(f"Run {run} can't be read: it is damaged, or of a later fusion_magic.") from exc


def _told(db: sqlite3.Connection, run: str) -> FusionResult:
    """What the events and the drafts of a run tell. Raises ValueError if they can't be read."""
    state = Fold()
    for (body,) in db.execute("SELECT body FROM events WHERE run = ? ORDER BY number", (run,)):
        for event in events_from(body):
            state.apply(event)
    for (body,) in db.execute("SELECT body FROM drafts WHERE run = ?", (run,)):
        for stage, label, text in unpacked(body):
            state.drafts[stage, label] = max(state.drafts.get((stage, label), ""), text, key=len)
    return state.result()


def full_id(db: sqlite3.Connection, run: str) -> str:
    """The id that is this, or alone begins with it. Raises SettingsError otherwise."""
    sql = "SELECT id FROM runs WHERE id = :run OR substr(id, 1, length(:run)) = :run ORDER BY id = :run DESC LIMIT 4"
    found = [row[0] for row in db.execute(sql, {"run": clean(run)})] if run else []
    if len(found) == 1 or run in found:
        return found[0]
    if found:
        some = ", ".join(found[:3]) + ("" if len(found) < 4 else ", …")
        raise SettingsError(f'"{run}" is the beginning of more than one run: {some}; write more of the id.')
    known = [row[0] for row in db.execute("SELECT id FROM runs ORDER BY created DESC LIMIT 1000")]
    hint = nearest(run, known) if known else "; nothing has been kept yet."
    raise SettingsError(f'The store has no run "{run}"{hint}')


def history(db: sqlite3.Connection, word: str, limit: int) -> list[RunLine]:
    """The newest runs whose id, prompt, panel, notebook or thread has the word in it; all without a word."""
    wanted = clean(word).casefold()
    db.create_function("has", -1, lambda *texts: any(wanted in text.casefold() for text in texts if text))
    where = "WHERE has(id, panel, notebook, thread, prompt)" if wanted else ""
    sql = f"""SELECT id, created, line, status, panel, notebook, partial, saved, thread, parent,
        CASE WHEN status IS NULL THEN (SELECT sum(cost) FROM spend WHERE run = id) ELSE cost END
        FROM runs {where} ORDER BY created DESC, rowid DESC LIMIT ?"""
    return [_line(*row) for row in db.execute(sql, (limit,))]


def _line(
    id: str, created: float, line: str, status: Any, panel: str, notebook: str, partial: int, saved: float,
    thread: str | None, parent: str | None, cost: float | None,
) -> RunLine:  # fmt: skip
    when = datetime.fromtimestamp(created, UTC)
    return RunLine(id, when, line, status or "unfinished", panel, notebook, cost, bool(partial), saved, thread, parent)


def turns(db: sqlite3.Connection, thread: str) -> list[tuple[str, str, str]]:
    """(run, prompt, answer) of a thread's answered turns, in order; one asked again stands in its old place.

    Raises:
        SettingsError: a run of it can't be read.
    """
    sql = "SELECT id FROM runs WHERE thread = ? AND status IS NOT NULL ORDER BY created, rowid"
    found: dict[str, tuple[str, str, str]] = {}
    for (run,) in db.execute(sql, (clean(thread),)).fetchall():
        result = load(db, run)
        if result.answer is not None:
            found[result.prompt] = (run, result.prompt, result.answer)
    return list(found.values())
