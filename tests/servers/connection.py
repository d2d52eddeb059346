"""One HTTP/1.1 connection over asyncio streams: requests in, whole or chunked responses out."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

_LIMIT = 1 << 20


class ClientGone(Exception):
    """The client closed its side, or reset the connection, while a response was under way."""


@dataclass(frozen=True)
class Received:
    """One request as it came off the wire; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    raw: bytes


class _WatchedReader(asyncio.StreamReader):
    """A StreamReader that tells at once, without anybody reading, that the peer has closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_LIMIT, loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        self.gone.set()
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        self.gone.set()
        super().set_exception(exc)


class Connection:
    """What the server does with one socket."""

    def __init__(self, reader: _WatchedReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.keep_alive = True
        writer.transport.set_write_buffer_limits(high=0)  # drain() then waits until the kernel has it all

    async def receive(self) -> Received | None:
        """The next request, or None when the client has closed or does not speak HTTP."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, version = head[0].split(" ")
            fields = [line.partition(":") for line in head[1:-2]]
            headers = {name.strip().lower(): value.strip() for name, _, value in fields}
            raw = await self._body(headers)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            return None
        self.keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return Received(method, target, headers, raw)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        parts: list[bytes] = []
        while size := int((await self._reader.readline()).partition(b";")[0], 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        while (await self._reader.readline()).strip():
            pass  # trailers
        return b"".join(parts)

    async def until(self, deadline: float) -> None:
        """Wait for a moment of the loop's clock; raise ClientGone the moment the client closes."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._reader.gone.wait()
        except TimeoutError:
            return
        raise ClientGone

    def head(self, status: int, headers: dict[str, str]) -> None:
        """Write the status line and headers; the caller says how the body is framed."""
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Connection: {'keep-alive' if self.keep_alive else 'close'}", "", ""]
        self._write("\r\n".join(lines).encode("latin-1"))

    def chunk(self, data: bytes) -> None:
        """Write one chunk of a chunked body; b"" ends the body."""
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def torn_chunk(self, data: bytes) -> None:
        """Write a chunk that announces more bytes than it brings."""
        self._write(b"%x\r\n%s" % (len(data) + 64, data))

    def whole(self, data: bytes) -> None:
        """Write body bytes framed by Content-Length."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._reader.gone.is_set() or self._writer.transport.is_closing():
            raise ClientGone
        self._writer.write(data)

    async def flush(self) -> None:
        """Let the kernel take what was written; raise ClientGone if the client closes first."""
        await asyncio.sleep(0)
        if not self._writer.transport.get_write_buffer_size():
            return
        drain, gone = asyncio.create_task(self._writer.drain()), asyncio.create_task(self._reader.gone.wait())
        try:
            await asyncio.wait({drain, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drain.cancel()
            gone.cancel()
            await asyncio.gather(drain, gone, return_exceptions=True)
        if self._reader.gone.is_set():
            raise ClientGone

    def reset(self) -> None:
        """Drop the connection with a TCP RST: lingering for zero seconds makes the kernel send one."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


async def listen(handle) -> asyncio.Server:
    """Serve `handle(Connection)` for every connection to a free port of 127.0.0.1."""
    loop = asyncio.get_running_loop()

    async def connected(reader: _WatchedReader, writer: asyncio.StreamWriter) -> None:
        # asyncio's own callback complains about a connection task that ends cancelled, as at the server's stop.
        try:
            await handle(Connection(reader, writer))
        except asyncio.CancelledError:
            writer.transport.abort()  # or its socket would be left to the garbage collector

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(_WatchedReader(loop), connected, loop=loop)  # pyright: ignore[reportArgumentType]

    return await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
