"""An MCP server as a child process: its pipes as streams of messages, its last words, and an end that leaves nothing.

The `mcp` package has a transport for this. It waits two seconds for a server that ignores the end of its input, does
not reach the children of a server that has already gone, and writes the server's stderr into the notebook.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..characters import plain

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

MAX_MESSAGE = 10_000_000  # bytes of one message; a longer one ends the session
TAIL = 4_000  # bytes that are kept of what the server writes beside its messages
GRACE = 0.5  # seconds to exit once its input has ended, as the protocol asks
TERM_GRACE = 0.2  # seconds between SIGTERM and SIGKILL
POLL = 0.01  # seconds; `Process.wait` would also wait for pipes that grandchildren hold open


class Child:
    """A server's process, in a session of its own so that a signal reaches its children too."""

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: SubprocessStreamProtocol) -> None:
        self._transport = transport
        self._process = asyncio.subprocess.Process(transport, protocol, asyncio.get_running_loop())
        self._tail = b""

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str], cwd: Path | None) -> Child:
        """Start it. Raises OSError if the program can't be run."""
        loop = asyncio.get_running_loop()
        # As asyncio.create_subprocess_exec does it, which gives no way to close pipes that a grandchild holds open.
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=MAX_MESSAGE, loop=loop),
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        return cls(transport, protocol)

    @property
    def last_words(self) -> str:
        """The last line of what it wrote beside its messages, at most 200 characters."""
        lines = [line.strip() for line in plain(self._tail.decode(errors="replace")).splitlines()]
        return next((line for line in reversed(lines) if line), "")[:200]

    async def read(self, messages: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand on its messages until it ends; closing the stream then tells the session."""
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp.types import jsonrpc_message_adapter

        assert self._process.stdout
        async with messages:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the session is over
                while line := await self._line(self._process.stdout):
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:  # many servers print to stdout
                        self._keep(line)
                    else:
                        await messages.send(SessionMessage(message))

    async def _line(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:
            self._keep(b"\nit sent a message of more than 10 MB")
            self.kill()
            return b""

    async def write(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Send it the session's messages; one that no longer reads is ended, so that nobody waits for its answers."""
        assert self._process.stdin
        async with messages:
            try:
                async for item in messages:
                    text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._process.stdin.write(text.encode() + b"\n")
                    await self._process.stdin.drain()
            except ConnectionError:
                self.kill()

    async def listen(self) -> None:
        """Keep the end of its stderr, and nothing of it in the notebook."""
        assert self._process.stderr
        while data := await self._process.stderr.read(TAIL):
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]

    async def end(self, *, hurry: bool = False) -> None:
        """End it with all its children, in a second at most; a second cancellation kills at once."""
        family = _family(self._transport.get_pid())
        try:
            if self._process.stdin:
                self._process.stdin.close()
            if not hurry:
                await self._gone_within(GRACE)
            self._signal(signal.SIGTERM)
            await self._gone_within(TERM_GRACE)
            self.kill()
            await self._gone_within(TERM_GRACE)  # closing the transport sooner would make asyncio complain
            async with asyncio.timeout(POLL):
                await self.listen()  # to the last of its last words
        except TimeoutError:
            pass  # a grandchild holds its stderr open
        finally:
            self.kill()
            for pid, began in family.items():
                _kill_again(pid, began)
            self._transport.close()

    async def _gone_within(self, seconds: float) -> None:
        for _ in range(round(seconds / POLL)):
            if self._transport.get_returncode() is not None:
                return
            await asyncio.sleep(POLL)

    def kill(self) -> None:
        """Kill it and its process group, also what is left of the group after it."""
        self._signal(_KILL)

    def _signal(self, number: int) -> None:
        pid = self._transport.get_pid()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(pid, number)  # never by getpgid: that fails once the leader is gone and its children are not
            elif self._transport.get_returncode() is None:
                subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)


_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has none


def _family(leader: int | None) -> dict[int, str]:
    """Every process below `leader`, and when it began, on Linux: a browser that a server starts has its own group."""
    children: dict[int | None, list[tuple[int, str]]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(folder):
            children.setdefault(int(fields[1]), []).append((int(folder.name), fields[19]))
    found, waiting = dict[int, str](), [leader]
    while waiting:
        below = dict(children.get(waiting.pop(), ()))
        found |= below
        waiting += below
    return found


def _stat(folder: Path) -> list[str]:
    """What /proc says of a process, from its state on; nothing if it is gone."""
    try:
        return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _kill_again(pid: int, began: str) -> None:
    """Kill a process of the family, unless its number has gone to another."""
    fields = _stat(Path(f"/proc/{pid}"))
    if fields and fields[19] == began:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, _KILL)
