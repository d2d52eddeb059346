"""What was spent, by day, notebook, preset and model, and what calls of a model usually take."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from ..results import Call, Stage
from .bodies import clean
from .kept import CostLine, Experience, KeptCall, Place, Points
from .writer import Statement

RECENT = 90 * 86_400.0  # seconds: models and prompts of a year ago say little about today's
ENOUGH = 3  # calls: fewer say less than a documented default
MOST = 1_000  # calls that an experience rests on, the newest
SANE = 10**12  # tokens of a call: a server may say any number, and SQLite can't add up much larger ones
By = Literal["model", "day", "notebook", "preset"]

_BOOK = """INSERT INTO spend (run, made, day, notebook, preset, stage, label, model, ended_well, read, written, seconds,
    cost, not_priced, not_reported, batched) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def booked(kept: KeptCall, place: Place) -> list[Statement]:
    """Book what a call cost, on the day it was made by the clock of this machine."""
    call, usage = kept.call, kept.call.usage
    values = (
        kept.run,
        kept.made.timestamp(),
        kept.made.astimezone().date().isoformat(),
        clean(place.notebook),
        clean(place.preset),
        call.stage,
        call.label,
        clean(call.model),
        call.error is None,
        min(usage.prompt_tokens, SANE) if usage else None,
        min(usage.completion_tokens, SANE) if usage else None,
        call.duration,
        call.cost,
        call.cost is None and usage is not None,
        is_not_reported(call),
        call.batched,
    )
    return [(_BOOK, values)]


def is_not_reported(call: Call) -> bool:
    """Whether the call, or an attempt of it, may have cost something that no server told."""
    return bool(call.unreported) or (call.cost is None and call.usage is None)


def costs(db: sqlite3.Connection, by: By) -> list[CostLine]:
    """One line for each name: the newest day first, else the dearest."""
    order = "name DESC" if by == "day" else "cost DESC, calls DESC, name"
    sql = f"""SELECT {by} AS name, count(*) AS calls, sum(coalesce(read, 0) + coalesce(written, 0)), sum(cost) AS cost,
        sum(not_priced), sum(not_reported) FROM spend GROUP BY name ORDER BY {order}"""
    return [CostLine(*row) for row in db.execute(sql)]


def spent(db: sqlite3.Connection, day: date | None, notebook: str | None) -> float:
    """US dollars of the calls whose cost is known."""
    chosen = {"day": day.isoformat() if day else None, "notebook": None if notebook is None else clean(notebook)}
    given = {name: value for name, value in chosen.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in given) or "true"
    return float(db.execute(f"SELECT total(cost) FROM spend WHERE {where}", given).fetchone()[0])


def experience(db: sqlite3.Connection, stage: Stage, model: str) -> Experience | None:
    """What calls that ended well took in the last 90 days; None if there are fewer than three."""
    rows = _recent(db, "written, run, label", "ended_well", stage, model)
    if len(rows) < ENOUGH:
        return None
    steps: dict[tuple[str, str], int] = {}
    for _, run, label in rows:
        if run:  # a forgotten run's calls can't be told from another's
            steps[run, label] = steps.get((run, label), 0) + 1
    tokens = [row[0] for row in rows if row[0] is not None]
    # Those of a batch are the hours that it waited.
    seconds = [row[0] for row in _recent(db, "seconds", "ended_well AND NOT batched", stage, model)]
    return Experience(
        len(rows),
        _points(tokens) if tokens else None,
        _points(seconds) if len(seconds) >= ENOUGH else None,
        _points(steps.values() or (1,)),
    )


def _recent(db: sqlite3.Connection, columns: str, which: str, stage: Stage, model: str) -> list[tuple[Any, ...]]:
    sql = f"""SELECT {columns} FROM spend
        WHERE model = ? AND stage = ? AND made >= ? AND {which} ORDER BY made DESC LIMIT ?"""
    return db.execute(sql, (clean(model), stage, time.time() - RECENT, MOST)).fetchall()


def _points(values: Iterable[float]) -> Points:
    """The 20 %, 50 % and 90 % points, each a value that occurred (nearest rank)."""
    ordered = sorted(values)
    return Points(*(float(ordered[max(0, math.ceil(share * len(ordered)) - 1)]) for share in (0.2, 0.5, 0.9)))
