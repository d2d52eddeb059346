"""Rows a second of `map` beside a gather with a semaphore written by hand: `python tests/benchmarks/batch.py [ROWS]`.

    batch.py memory [ROWS]       megabytes of the process after each fifth of so many rows, 10,000 if not said

Both ask the same server, in turn, in the same run: three seats, a judge and a synthesizer for each row. By hand nothing
is kept, retried, limited or parsed; `map` keeps every call and run in its store.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.speed import QUESTION, ByHand, ModelServer
from fusion_magic.batch import map

ROWS, ROUNDS = 200, 3
CHUNKS, FIRST_TOKEN, GAP = 20, 0.2, 0.005
AT_A_TIME, SEATS = 16, 3
Batch = Callable[[ModelServer, int, int], object]


def ours(server: ModelServer, round: int, rows: int) -> object:
    at = f"@{server.base_url}"
    texts = [f"{QUESTION} Case {round}-{number}" for number in range(rows)]
    out = map(
        texts,
        "{text}",
        models=[f"seat{number}{at}" for number in range(SEATS)],
        judge=f"judge{at}",
        synthesizer=f"writer{at}",
        concurrency=AT_A_TIME,
        progress=False,
    )
    assert {row.status for row in out} == {"ok"}
    return out


async def _gathered(server: ModelServer, rows: int) -> object:
    ask, slots = ByHand(), asyncio.Semaphore(AT_A_TIME)

    async def row() -> object:
        async with slots:
            return await ask(server.base_url, SEATS)

    return await asyncio.gather(*(row() for _ in range(rows)))


def by_hand(server: ModelServer, round: int, rows: int) -> object:
    return asyncio.run(_gathered(server, rows))


def measure(batch: Batch, server: ModelServer, round: int, rows: int) -> tuple[float, float, float]:
    """Rows a second, CPU milliseconds a row, and calls a row."""
    server.calls()
    cpu, begun = time.process_time(), time.perf_counter()
    batch(server, round, rows)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return rows / wall, cpu / rows * 1e3, len(server.calls()) / rows


def memory(rows: int) -> None:
    """Megabytes as the rows go by; each comes from a generator, so that nothing but the answers is held."""
    os.environ["FUSION_HOME"] = tempfile.mkdtemp()
    server, process = ModelServer(CHUNKS, 0.02, 0.0), psutil.Process()

    def texts() -> Iterator[str]:
        for number in range(rows):
            if number and number % (rows // 5) == 0:
                print(f"{number:>7,} rows  {process.memory_info().rss / 1e6:4.0f} MB", flush=True)
            yield f"{QUESTION} Case {number}"

    at, begun = f"@{server.base_url}", time.perf_counter()
    chairs = {"models": [f"seat{number}{at}" for number in range(SEATS)], "judge": f"judge{at}"}
    out = map(texts(), "{text}", **chairs, synthesizer=f"writer{at}", concurrency=AT_A_TIME, progress=False)
    took, held = time.perf_counter() - begun, sum(len(row.answer or "") for row in out)
    print(
        f"{rows:>7,} rows  {process.memory_info().rss / 1e6:4.0f} MB, of which answers {held / 1e6:.1f}; {took:.0f} s"
    )
    server.close()


def main(rows: int) -> None:
    """Ours and by hand in turn, after one round that does not count."""
    os.environ["FUSION_HOME"] = tempfile.mkdtemp()
    server = ModelServer(CHUNKS, FIRST_TOKEN, GAP)
    clients: dict[str, Batch] = {"ours": ours, "by hand": by_hand}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in clients}
    for round in range(ROUNDS + 1):
        for name, client in clients.items():
            measured = measure(partial(client), server, round, rows if round else 2 * AT_A_TIME)
            found[name] += [measured] if round else []
    server.close()
    print(f"{rows} rows, {AT_A_TIME} at a time, {CHUNKS} chunks a call; medians of {ROUNDS}")
    middle = {name: [statistics.median(column) for column in zip(*rounds)] for name, rounds in found.items()}  # noqa: B905
    for name, (speed, cpu, calls) in middle.items():
        print(f"{name:<8} {speed:6.1f} rows/s  {cpu:6.1f} ms CPU a row  {calls:.2f} calls a row")
    (mine, my_cpu, _), (hand, hand_cpu, _) = middle["ours"], middle["by hand"]
    print(f"ours ÷ by hand: rows/s {mine / hand:.2f}, CPU {my_cpu / hand_cpu:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory(int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
