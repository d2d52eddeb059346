"""One HTTP/1.1 connection that hands over what a model streams some 25 times a second, not once for each token.

What a token costs is mostly the way from its packet through HTTP, event stream and JSON to whoever waits. A view
redraws ten times a second, so packets may gather; the first of a response and its end are never held back. asyncio
carries the bytes, and httptools (llhttp, the parser of Node.js) reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import cast

import httptools
import httpx

PAUSE = 0.04  # seconds that packets may gather; half of what a view waits between two drawings
AT_ONCE = 3  # readings of a body that come without a pause: the first tokens
MOST = 262_144  # bytes that wait here before the other side has to
ENOUGH = 32_768  # bytes that are handed over without a pause
LIMIT_OF_HEAD = 131_072  # bytes of a response's head
DONE = (b"[DONE]\n\n", b"[DONE]\r\n\r\n")
Timeouts = Mapping[str, float | None]  # seconds for "connect", "read" and "write", as in httpx
UNSENDABLE = re.compile(rb"[\r\n\0]")


class Incoming:
    """A response as it comes; the parser tells it what it reads."""

    def __init__(self, *, has_body: bool = True) -> None:
        self._has_body = has_body
        self.status, self.reason = 0, b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.has_head = self.is_whole = self.keeps_alive = False
        self._ends_with_connection = False
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        # Not every server ends its lines as the standard says, or keeps to ASCII.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_chunked_length=True,
            lenient_spaces_after_chunk_size=True,
        )

    def feed(self, data: bytes) -> None:
        """Take bytes in. Raises httpx.RemoteProtocolError for what is no HTTP."""
        if self.is_whole:
            self.keeps_alive = False  # nobody asked for more
            return
        if not self.has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self.keeps_alive = False
            if not self.is_whole:
                raise httpx.RemoteProtocolError(str(exc) or "not HTTP") from exc
        if not self.has_head and self._head_bytes > LIMIT_OF_HEAD:
            raise httpx.RemoteProtocolError("the head of the response is too long")

    def feed_end(self) -> None:
        """The connection has ended. Raises httpx.RemoteProtocolError if that was too early."""
        self.keeps_alive = False
        if self.has_head and self._ends_with_connection:
            self.is_whole = True
        if not self.is_whole:
            raise httpx.RemoteProtocolError("the server closed the connection before the response was whole")

    # --- what the parser says

    def on_message_begin(self) -> None:
        if self.is_whole:  # a second response in the same packet
            self.keeps_alive = False

    def on_status(self, status: bytes) -> None:
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # else a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_whole:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers, self.reason = [], b""
            return
        self.has_head = True
        self.keeps_alive = self._parser.should_keep_alive()
        names = {name.lower() for name, _ in self.headers}
        self._ends_with_connection = names.isdisjoint((b"content-length", b"transfer-encoding"))
        if not self._has_body:
            self.is_whole, self.keeps_alive = True, False

    def on_body(self, data: bytes) -> None:
        if not self.is_whole:
            self.body += data

    def on_message_complete(self) -> None:
        self.is_whole = self.is_whole or self.has_head


class Connection(asyncio.Protocol):
    """One connection: a request goes out, its response comes in, one after the other. One task reads at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming: Incoming | None = None
        self._error: httpx.TransportError | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._is_calm = False  # the reader waits for the end of its pause, not for data
        self._writer: asyncio.Future[bool] | None = None
        self._is_full = self._is_held = self._is_sent = False
        self._readings, self._read_at = 0, 0.0
        self.is_open = True
        self.idle_since = 0.0

    # --- what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] - a stream's protocol gets a stream's transport

    def data_received(self, data: bytes) -> None:
        if self._incoming is None:
            return self.close()  # nobody asked
        try:
            self._incoming.feed(data)
        except httpx.RemoteProtocolError as exc:
            return self._fail(exc)
        if len(self._incoming.body) > MOST and not self._is_held and self._transport:
            self._is_held = True
            self._transport.pause_reading()
        if not self._is_calm or self._is_urgent():
            _wake(self._reader)
        if self._incoming.has_head:
            _wake(self._writer)  # an answer before all was sent

    def eof_received(self) -> None:
        self.connection_lost(None)  # which asyncio holds back until all is sent, to a server that may never take it

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if exc is not None:
            self._fail(httpx.ReadError(str(exc)))
        elif self._incoming and self._error is None:
            try:
                self._incoming.feed_end()
            except httpx.RemoteProtocolError as early:
                self._error = early
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writer)

    # --- what a request needs

    async def ask(self, request: httpx.Request) -> Incoming:
        """Send the request; returns its response as soon as the head is there. Raises httpx.TransportError."""
        timeouts: Timeouts = request.extensions.get("timeout", {})
        incoming = self._expect(has_body=request.method != "HEAD")
        pending = head_of(request.method, request.url, request.headers.raw)
        async for part in cast("AsyncIterable[bytes]", request.stream):
            if len(pending) + len(part) > ENOUGH:
                await self._send(pending, timeouts.get("write"))
                pending = b""
            if incoming.has_head:  # the rest need not be sent
                break
            pending += part
        return await self._answer(pending, timeouts)

    async def ask_whole(self, request: bytes, timeouts: Timeouts) -> Incoming:
        """The same for a request that is there with head and body."""
        self._expect()
        return await self._answer(request, timeouts)

    def _expect(self, *, has_body: bool = True) -> Incoming:
        self._incoming = Incoming(has_body=has_body)
        self._readings, self._is_sent = 0, False
        return self._incoming

    async def _answer(self, rest: bytes, timeouts: Timeouts) -> Incoming:
        """The response as soon as its head is there, once the rest of the request is sent."""
        assert self._incoming is not None
        incoming = self._incoming
        if not incoming.has_head:
            await self._send(rest, timeouts.get("write"))
            self._is_sent = not self._is_full
        while not incoming.has_head:
            await self._more(timeouts.get("read"))
        return incoming

    async def body(self, timeout: float | None) -> AsyncGenerator[bytes]:
        """The pieces of the body that is coming. Raises httpx.TransportError."""
        incoming = self._incoming
        assert incoming is not None
        while True:
            while not incoming.body and not incoming.is_whole:
                await self._more(timeout)
            left = self._read_at + PAUSE - self._loop.time()
            if left > 0 and self._readings >= AT_ONCE and not self._is_urgent():
                await self._woken(left, calm=True)
            self._readings, self._read_at = self._readings + 1, self._loop.time()
            if not incoming.body:
                return
            piece = bytes(incoming.body)
            incoming.body.clear()
            if self._is_held and self._transport:
                self._is_held = False
                self._transport.resume_reading()
            yield piece

    def finished(self) -> bool:
        """Whether the response is whole and the connection can take another request, which it then waits for."""
        incoming = self._incoming
        is_over = incoming and incoming.is_whole and incoming.keeps_alive and not incoming.body
        if not (is_over and self._is_sent and self.is_open):
            return False
        self._incoming = None
        return True

    def close(self) -> None:
        """Close at once: what was still to be sent is of no use."""
        self.is_open = False
        if self._incoming is not None and self._transport is not None:
            with contextlib.suppress(OSError):  # a forked child may hold it open, and the server would write on
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        if self._transport is not None:
            self._transport.close()
            self._loop.call_soon(self._transport.abort)

    async def _send(self, data: bytes, timeout: float | None) -> None:
        if not self.is_open or self._transport is None:
            raise httpx.WriteError("the connection is closed")
        self._transport.write(data)
        if not self._is_full:
            return
        self._writer = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._writer
        except TimeoutError as exc:
            raise httpx.WriteTimeout("the server takes nothing") from exc

    async def _more(self, timeout: float | None) -> None:
        """Wait for more of the response. Raises httpx.TransportError: there is none, or not in time."""
        if self._error is not None:
            raise self._error
        if not await self._woken(timeout, calm=False):
            raise httpx.ReadTimeout("nothing came in time")

    async def _woken(self, seconds: float | None, *, calm: bool) -> bool:
        """Wait for data, for something urgent among it if `calm`; whether it came within these seconds."""
        self._reader, self._is_calm = self._loop.create_future(), calm
        alarm = None if seconds is None else self._loop.call_later(seconds, _wake, self._reader, False)
        try:
            return await self._reader
        finally:
            self._reader, self._is_calm = None, False
            if alarm:
                alarm.cancel()

    def _is_urgent(self) -> bool:
        """Whether what is there should not wait: the end, part of a line, or much."""
        incoming = self._incoming
        if incoming is None or incoming.is_whole or self._error or not self.is_open:
            return True
        body = incoming.body
        return not body.endswith(b"\n") or body.endswith(DONE) or len(body) > ENOUGH

    def _fail(self, error: httpx.TransportError) -> None:
        self._error = self._error or error
        _wake(self._reader)
        _wake(self._writer)


def head_of(method: str, url: httpx.URL, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The request line and the headers. Raises httpx.LocalProtocolError for what can't be sent."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), url.raw_path)]
    for header in headers:
        if header[0].lower() == b"transfer-encoding":
            raise httpx.LocalProtocolError("a body of unknown length can't be sent")
        lines.append(b"%s: %s" % header)
    if any(map(UNSENDABLE.search, lines)):
        raise httpx.LocalProtocolError("a header has a line break in it")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _wake(waiting: asyncio.Future[bool] | None, for_data: bool = True) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(for_data)
