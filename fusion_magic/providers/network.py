"""Connections that hand over what a model streams some 25 times a second, not once for each token.

What a token costs is mostly the way from its packet through HTTP, event stream and JSON to whoever waits. A view
redraws ten times a second, so packets may gather; the first of a response and its end are never held back.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

PAUSE = 0.04  # seconds that packets may gather; half of what a view waits between two drawings
AT_ONCE = 3  # readings of a response that come without a pause: its head, and the first token
MOST = 262_144  # bytes that wait here before the other side has to
ENOUGH = 32_768  # bytes that are handed over without a pause
ENDS = (b"0\r\n\r\n", b"[DONE]\n\n", b"[DONE]\r\n\r\n", b"[DONE]\n\n\r\n", b"[DONE]\r\n\r\n\r\n")


class PacedStream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection over asyncio's own transport. One task reads at a time, as httpcore does."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended, self._error = False, None
        self._reader: asyncio.Future[None] | None = None
        self._is_calm = False  # the reader waits for the end of its pause, not for data
        self._writer: asyncio.Future[None] | None = None
        self._is_full = self._is_held = False
        self._readings, self._read_at = 0, 0.0

    # --- what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] - a stream's protocol gets a stream's transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > MOST and not self._is_held and self._transport:
            self._is_held = True
            self._transport.pause_reading()
        if not self._is_calm or self._is_urgent():
            _wake(self._reader)

    def eof_received(self) -> None:
        self._ended = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writer)

    # --- what httpcore asks

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come; b"" at the end. Raises httpcore.ReadTimeout or ReadError."""
        if not self._buffer and not self._ended:
            await self._data(timeout, calm=False)
            if not self._buffer and not self._ended:
                raise httpcore.ReadTimeout
        left = self._read_at + PAUSE - self._loop.time()
        if left > 0 and self._readings >= AT_ONCE and not self._is_urgent():
            await self._data(left, calm=True)
        self._readings, self._read_at = self._readings + 1, self._loop.time()
        if not self._buffer and self._error:
            raise httpcore.ReadError(str(self._error)) from self._error
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        if self._is_held and self._transport and len(self._buffer) < MOST // 2:
            self._is_held = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send. Raises httpcore.WriteTimeout or WriteError."""
        if self._ended or self._transport is None:
            raise httpcore.WriteError("The connection is closed.")
        self._readings = 0
        self._transport.write(buffer)
        if not self._is_full:
            return
        self._writer = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._writer
        except TimeoutError as exc:
            raise httpcore.WriteTimeout from exc
        if self._ended:
            raise httpcore.WriteError(str(self._error or "The connection was closed."))

    async def aclose(self) -> None:
        """Close at once: what was still to be sent is of no use."""
        if self._transport is not None:
            self._transport.close()
            await asyncio.sleep(0)
            self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """This stream, encrypted. Raises httpcore.ConnectTimeout or ConnectError."""
        assert self._transport is not None
        plain = self._transport
        try:
            async with asyncio.timeout(timeout):
                self._transport = await self._loop.start_tls(plain, self, ssl_context, server_hostname=server_hostname)
        except (TimeoutError, OSError, EOFError) as exc:
            plain.abort()
            raise _connecting(exc) from exc
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore wants to know of the connection; an idle one that is readable has been closed."""
        if info == "is_readable":
            return self._ended or bool(self._buffer)
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info)) if self._transport else None

    async def _data(self, seconds: float | None, *, calm: bool) -> None:
        """Wait for data, for something urgent among it if `calm`, or for some seconds."""
        self._reader, self._is_calm = self._loop.create_future(), calm
        alarm = None if seconds is None else self._loop.call_later(seconds, _wake, self._reader)
        try:
            await self._reader
        finally:
            self._reader, self._is_calm = None, False
            if alarm:
                alarm.cancel()

    def _is_urgent(self) -> bool:
        """Whether what is there should not wait: the end, part of a line, or much."""
        buffer = self._buffer
        return self._ended or not buffer.endswith(b"\n") or buffer.endswith(ENDS) or len(buffer) > ENOUGH


class PacedBackend(httpcore.AsyncNetworkBackend):
    """Makes such connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises httpcore.ConnectTimeout or ConnectError."""
        loop = asyncio.get_running_loop()
        own = (local_address, 0) if local_address else None
        try:
            async with asyncio.timeout(timeout):
                # RFC 8305: of a name's addresses the next is tried after a quarter of a second.
                delay = None if _is_address(host) else 0.25
                transport, stream = await loop.create_connection(
                    PacedStream, host, port, local_addr=own, happy_eyeballs_delay=delay
                )
        except (TimeoutError, OSError) as exc:
            raise _connecting(exc) from exc
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return stream

    async def sleep(self, seconds: float) -> None:
        """Between two tries to connect."""
        await asyncio.sleep(seconds)


def paced(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client with such connections.

    httpcore takes a backend and httpx passes none on, so it is set in the pools; others stay as they are.
    """
    for transport in (client._transport, *client._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        pool = getattr(transport, "_pool", None)
        if hasattr(pool, "_network_backend"):
            pool._network_backend = PacedBackend()  # pyright: ignore[reportOptionalMemberAccess]
    return client


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _connecting(exc: TimeoutError | OSError | EOFError) -> Exception:
    """Why there is no connection, as httpcore has it."""
    # What the system calls a timeout has an errno; it is one more way of not getting through.
    is_ours = isinstance(exc, TimeoutError) and exc.errno is None
    return httpcore.ConnectTimeout(str(exc)) if is_ours else httpcore.ConnectError(str(exc))


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None:
        with contextlib.suppress(asyncio.InvalidStateError):
            waiting.set_result(None)
