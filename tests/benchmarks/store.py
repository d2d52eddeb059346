"""What the store costs: `python tests/benchmarks/store.py`.

Prints the time to keep a call and to find it again, and to list 10,000 runs, beside plain sqlite3 that does the same
inserts and the same select, in turn in the same run, on the same disk.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fusion_magic.results import Call, FusionResult, Response, Usage
from fusion_magic.store import KeptCall, Place, Store

ROUNDS = 5
CALLS = 500
RUNS = 10_000
PLACE = Place("work/report.ipynb", "budget")
TEXT = Path(__file__).read_text(encoding="utf-8")  # prose and code, as answers are
NOW = datetime.now(UTC)


def kept(number: int) -> KeptCall:
    usage = Usage(prompt_tokens=900, completion_tokens=800)
    call = Call(stage="panel", label="A", model="vendor/model", usage=usage, cost=0.01, finish_reason="stop")
    messages = [{"role": "system", "content": TEXT[:500]}, {"role": "user", "content": TEXT[:1_500]}]
    return KeptCall(f"{number:064}", call, {"messages": messages}, {"text": f"{number} {TEXT[:3_000]}"}, NOW, "run")


def result(number: int) -> FusionResult:
    responses = tuple(Response(label=label, model="vendor/model", content=TEXT[:1_500]) for label in "ABCDE")
    return FusionResult(
        id=f"{number:012x}",
        created=NOW - timedelta(minutes=number),
        prompt=f"Question {number}? {TEXT[:500]}",
        settings={"panel": {"name": "budget"}},
        responses=responses,
        calls=(kept(number).call,) * 7,
        answer=TEXT[:2_000],
    )


class Plain:
    """Plain sqlite3: the same rows in one table each, a transaction for each call, no accounts."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("CREATE TABLE calls (number INTEGER PRIMARY KEY, key TEXT, made REAL, body BLOB)")
        self.db.execute("CREATE INDEX calls_by_key ON calls (key, made)")
        self.db.execute(
            "CREATE TABLE runs (id TEXT PRIMARY KEY, created REAL, status TEXT, line TEXT, cost REAL, body BLOB)"
        )
        self.db.execute("CREATE INDEX runs_by_time ON runs (created)")

    def keep(self, kept: KeptCall) -> None:
        body = zlib.compress(json.dumps([kept.call.model_dump(mode="json"), kept.request, kept.answer]).encode())
        values = (kept.key, kept.made.timestamp(), body)
        self.db.execute("INSERT INTO calls (key, made, body) VALUES (?, ?, ?)", values)

    def end(self, result: FusionResult) -> None:
        body = zlib.compress(result.model_dump_json().encode())
        line = result.prompt.splitlines()[0][:200]
        values = (result.id, result.created.timestamp(), result.status, line, result.cost, body)
        self.db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", values)

    def history(self) -> list[tuple[object, ...]]:
        return self.db.execute("SELECT id, created, status, line, cost FROM runs ORDER BY created DESC").fetchall()


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def keep_one_by_one(store: Store, calls: list[KeptCall]) -> None:
    for call in calls:
        store.keep(call, PLACE, reusable=True).result()


def keep_at_once(store: Store, calls: list[KeptCall], *, wait: bool = True) -> None:
    for call in calls:
        store.keep(call, PLACE, reusable=True)
    if wait:
        store.settled().result()


def measure_calls(folder: Path) -> None:
    took: dict[str, list[float]] = {}

    def note(name: str, work: Callable[[], object]) -> None:
        took.setdefault(name, []).append(timed(work) / CALLS * 1e6)

    for turn in range(ROUNDS):
        calls = [kept(number) for number in range(CALLS)]
        plain, one, many = Plain(folder / f"plain{turn}"), Store(folder / f"one{turn}"), Store(folder / f"many{turn}")
        with closing(plain.db):
            note("plain sqlite3, a transaction each", lambda plain=plain, calls=calls: [plain.keep(x) for x in calls])
        note("store, each awaited", lambda one=one, calls=calls: keep_one_by_one(one, calls))
        note("store, awaited at the end", lambda many=many, calls=calls: keep_at_once(many, calls))
        note(
            "  of which the caller's",
            lambda many=many, calls=calls: [many.keep(x, PLACE, reusable=True) for x in calls],
        )
        many.settled().result()
        note("found again", lambda one=one, calls=calls: [one.find(x.key) for x in calls])
    print(f"A call, in microseconds, median of {ROUNDS} rounds of {CALLS}:")
    for name, values in took.items():
        print(f"  {name:36}{statistics.median(values):8.0f}")


def measure_runs(folder: Path) -> None:
    plain, store = Plain(folder / "plain-runs"), Store(folder / "store-runs")
    began = time.perf_counter()
    for number in range(RUNS):
        plain.end(result(number))
    halfway = time.perf_counter()
    for number in range(RUNS):
        store.end(result(number), PLACE)
    store.settled().result()
    ended = time.perf_counter()
    print(f"{RUNS:,} runs, in milliseconds:")
    print(f"  kept: plain sqlite3 {(halfway - began) * 1e3:.0f}, store {(ended - halfway) * 1e3:.0f}")
    rows = [
        ("all listed, plain sqlite3", plain.history),
        ("all listed", lambda: store.history(limit=RUNS)),
        ("the newest 50", store.history),
        ("those with a word", lambda: store.history("question 99", limit=RUNS)),
        ("costs by day", lambda: store.costs("day")),
    ]
    for name, work in rows:
        print(f"  {name:36}{statistics.median(timed(work) for _ in range(ROUNDS)) * 1e3:8.1f}")
    assert len(store.history(limit=RUNS)) == len(plain.history()) == RUNS
    plain.db.close()
    store.prune(timedelta(days=365))
    print(f"  bytes: plain sqlite3 {(folder / 'plain-runs').stat().st_size:,}, store {store.size().bytes:,}")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        measure_calls(Path(folder))
        measure_runs(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
