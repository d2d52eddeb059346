"""How long a cancelled tool needs to be gone: `python tests/benchmarks/tool_interrupt.py`.

Prints milliseconds from the cancellation to the end of everything that the call had started: the processes of `bash`
and of `data_query`, and the connection of `web_fetch`. The goal is 300 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pandas as pd

from fusion_magic.tools import Tool, processes
from fusion_magic.tools.bash import bash_tool
from fusion_magic.tools.frames import frame_tools
from fusion_magic.tools.sandboxes import find_sandbox

ROUNDS = 10
GOAL = 300


async def cancelled(
    tool: Tool, arguments: dict[str, Any], begun: Callable[[], bool], gone: Callable[[], bool]
) -> float:
    """Milliseconds from a cancellation until the call has ended and nothing of it is left."""
    running = asyncio.ensure_future(tool.call(arguments))
    while not begun():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    at = time.perf_counter()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    while not gone():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return (time.perf_counter() - at) * 1e3


async def rounds(name: str, once: Callable[[], Awaitable[float]]) -> None:
    times = [await once() for _ in range(ROUNDS)]
    print(f"{name}: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {ROUNDS} (goal {GOAL})")


def below() -> int:
    return len(processes.descendants(os.getpid()))


async def main() -> None:
    sandbox = await find_sandbox()
    shell = bash_tool(sandbox)
    busy = {"command": "for each in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; sleep 20"}
    await rounds(f"bash in {sandbox.name}", lambda: cancelled(shell, busy, lambda: below() > 9, lambda: below() == 0))
    query = frame_tools({"data": pd.DataFrame({"a": range(1000)})})[2]
    deaf = {"sql": "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000)) FROM data"}
    await rounds("data_query", lambda: cancelled(query, deaf, lambda: below() > 0, lambda: below() == 0))
    await fetching()


async def fetching() -> None:
    """A page that drips for ever."""
    try:
        from fusion_magic.tools.domains import Domains
        from fusion_magic.tools.web_fetch import Fetcher, Seen, fetch_tool  # type: ignore[import-not-found]
    except ImportError as exc:
        print(f"web_fetch: not measured ({exc})")
        return
    open_now = 0

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        await reader.readuntil(b"\r\n\r\n")
        open_now += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>")
        await reader.read()
        open_now -= 1
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/page"
        seen = Seen()
        seen.add(url)
        tool = fetch_tool(Fetcher(Domains(), trusted=frozenset({("127.0.0.1", port)})), seen)
        await rounds("web_fetch", lambda: cancelled(tool, {"url": url}, lambda: open_now > 0, lambda: open_now == 0))


if __name__ == "__main__":
    asyncio.run(main())
