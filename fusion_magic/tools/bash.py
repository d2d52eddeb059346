"""`bash`: a shell command in a sandbox, with limits on time, memory, processes, files and output."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from ..characters import plain
from . import MAX_OUTPUT, Output, Tool, typed
from .sandboxes import MEMORY, PROCESSES, SCRATCH, Running, Sandbox

SECONDS = 30.0
LOOK = 0.05  # seconds between two looks at the memory
ABOUT = (
    f"Runs a command in bash on Linux, without network, in an empty folder of {SCRATCH >> 20} MB that is gone "
    f"afterwards; {SECONDS:.0f} s, {MEMORY >> 20} MB of memory, {PROCESSES} processes. Use it to compute."
)


class Command(BaseModel):
    """Arguments of `bash`."""

    command: str = Field(min_length=1, max_length=20_000, pattern="^[^\0]*$", description="what bash runs")


def bash_tool(sandbox: Sandbox) -> Tool:
    """The tool `bash`, in a sandbox of `find_sandbox()`. Each call begins with an empty folder."""

    async def call(asked: Command) -> Output:
        return Output(await run(sandbox, asked.command))

    return typed("bash", ABOUT, Command, call, timeout=SECONDS + 15)


async def run(sandbox: Sandbox, command: str, seconds: float = SECONDS) -> str:
    """What a command wrote on both streams, and how it ended. A cancellation kills all it has started."""
    running = await sandbox.start(command)
    said = bytearray()
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            reading = group.create_task(_read(running, said))
            watching = group.create_task(_watch(running, reading))
            reading.add_done_callback(lambda _: watching.cancel())
        ended = f"stopped: more than {MEMORY >> 20} MB of memory" if reading.cancelled() else reading.result()
    except TimeoutError:
        ended = f"stopped after {seconds:.0f} s"
    finally:
        await _ended(running)
    text = plain(said.decode("utf-8", "replace"))[: MAX_OUTPUT - 100]
    return f"{text.rstrip()}\n({ended})".lstrip()


async def _read(running: Running, said: bytearray) -> str:
    """Add what the command writes to `said`; returns how it ended."""
    stream = running.process.stdout
    assert stream is not None
    while chunk := await stream.read(65536):
        said += chunk
        if len(said) > MAX_OUTPUT:
            return f"stopped: more than {MAX_OUTPUT:,} characters of output"
    return f"exit code {await running.process.wait()}"


async def _watch(running: Running, reading: asyncio.Task[str]) -> None:
    """Ends the reading once the command uses too much memory."""
    while running.used() <= MEMORY:  # noqa: ASYNC110  # memory has no event
        await asyncio.sleep(LOOK)
    reading.cancel()


async def _ended(running: Running) -> None:
    """Its end, awaited even where the seat is cancelled twice."""
    ending = asyncio.ensure_future(running.end())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise
