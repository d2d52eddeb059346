"""What the pipeline adds to the models' own time: `python tests/benchmarks/speed.py`.

Prints wall time ÷ critical path (the slowest seat, the judge, the synthesizer, by the server's clock), CPU per 1,000
streamed chunks and import time, beside a gather written by hand on httpx, in turn in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fusion_magic import fuse_async

ROUNDS = 5
CHUNKS, FIRST_TOKEN, GAP = 300, 0.3, 0.005
SEATS = (3, 8)
QUESTION = "Should a small team adopt a monorepo or several repositories? Compare cost, risk and speed."
HERE = Path(__file__).parent
Fuse = Callable[[str, int], Awaitable[object]]


class ModelServer:
    """The server's process; `calls` is its log since it was last asked."""

    def __init__(self, chunks: int, first_token: float, gap: float) -> None:
        command = [sys.executable, HERE / "serve.py", str(chunks), str(first_token), str(gap)]
        env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.base_url = self._line()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def calls(self) -> list[dict[str, Any]]:
        assert self._process.stdin
        self._process.stdin.write("log\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def critical_path(calls: list[dict[str, Any]]) -> float:
    """Seconds that no client can go below: the slowest seat, then the judge, then the synthesizer."""
    took = [(call["model"], call["ended"] - call["arrived"]) for call in calls]
    panel = max(seconds for model, seconds in took if model.startswith("seat"))
    return panel + sum(seconds for model, seconds in took if not model.startswith("seat"))


async def ours(base_url: str, seats: int) -> object:
    at = f"@{base_url}"
    models = [f"seat{number}{at}" for number in range(seats)]
    # Asked anew each time, but kept in the store, as a user's run is.
    return await fuse_async(QUESTION, models=models, judge=f"judge{at}", synthesizer=f"writer{at}", fresh="all")


class ByHand:
    """Thirty lines that a careful user would write: no retries, no record, no partial answers."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=60)

    async def __call__(self, base_url: str, seats: int) -> object:
        answers = await asyncio.gather(*(self._ask(base_url, f"seat{n}", QUESTION) for n in range(seats)))
        told = "\n\n".join(answers)
        judged = await self._ask(base_url, "judge", f"Compare as JSON.\n{told}\n{QUESTION}")
        return await self._ask(base_url, "writer", f"{told}\n{judged}\n{QUESTION}")

    async def _ask(self, base_url: str, model: str, text: str) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
        pieces: list[str] = []
        async with self._http.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    choices = json.loads(line[6:])["choices"]
                    pieces.extend(choice["delta"].get("content") or "" for choice in choices)
        return "".join(pieces)


@dataclass
class Measured:
    """Rounds of one client: seconds beyond the critical path, the ratio to it, CPU per 1,000 chunks."""

    ratio: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


async def measure(fuse: Fuse, server: ModelServer, seats: int, into: Measured) -> None:
    server.calls()
    cpu, begun = time.process_time(), time.perf_counter()
    await fuse(server.base_url, seats)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    calls = server.calls()
    path = critical_path(calls)
    into.ratio.append(wall / path)
    into.over.append(wall - path)
    into.cpu.append(cpu / (len(calls) * CHUNKS) * 1000)


async def streams() -> None:
    """Ours and by hand in turn, each size of panel on its own server."""
    print(f"{CHUNKS} chunks a call, {GAP * 1e3:g} ms apart, {FIRST_TOKEN * 1e3:g} ms to the first; medians of {ROUNDS}")
    for seats in SEATS:
        server = ModelServer(CHUNKS, FIRST_TOKEN, GAP)
        clients: dict[str, tuple[Fuse, Measured]] = {"ours": (ours, Measured()), "by hand": (ByHand(), Measured())}
        for number in range(ROUNDS + 1):
            for fuse, into in clients.values():
                await measure(fuse, server, seats, Measured() if number == 0 else into)
        server.close()
        _report(seats, {name: into for name, (_, into) in clients.items()})


def _report(seats: int, clients: dict[str, Measured]) -> None:
    middle = statistics.median
    for name, rows in clients.items():
        print(
            f"{seats} seats  {name:<8} wall ÷ critical path {middle(rows.ratio):.4f}  "
            f"over {middle(rows.over) * 1e3:5.1f} ms  CPU per 1,000 chunks {middle(rows.cpu) * 1e3:5.0f} ms"
        )
    mine, hand = clients["ours"], clients["by hand"]
    print(
        f"{seats} seats  ours ÷ by hand: over {middle(mine.over) / middle(hand.over):.2f}, "
        f"CPU {middle(mine.cpu) / middle(hand.cpu):.2f}"
    )


def imports() -> None:
    """Milliseconds to import, each in fresh processes, in turn."""
    modules = ("fusion_magic", "fusion_magic.api", "httpx, pydantic")
    took: dict[str, list[float]] = {module: [] for module in modules}
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    for _ in range(ROUNDS + 2):
        for module in modules:
            command = [sys.executable, "-c", code.format(module)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took[module].append(float(done.stdout))
    package, doors, others = (statistics.median(took[module]) * 1e3 for module in modules)
    print(f"import fusion_magic {package:.1f} ms; from fusion_magic import fuse {doors:.0f} ms")
    print(f"httpx, pydantic {others:.0f} ms; ratios {package / others:.2f} and {doors / others:.2f}")


if __name__ == "__main__":
    imports()
    asyncio.run(streams())
