"""The network below httpx: where connections come from, which is used again, and when it goes by a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from urllib.request import getproxies

import httpx

from .connection import Connection, Incoming, Timeouts, head_of

KEPT = 64  # idle connections to one server; the next request takes the last one, so their number costs nothing
KEPT_SECONDS = 4.0  # uvicorn and Node.js close what has been idle for 5 s; one that closes as it is used is a lost call
PORTS = {"http": 80, "https": 443}
LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://0.0.0.0", "all://[::1]")

Origin = tuple[str, str, int]


class PacedTransport(httpx.AsyncBaseTransport):
    """Such connections for an httpx client, kept alive; without proxies."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._context = tls
        self._idle: dict[Origin, list[Connection]] = {}
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's body is still to come. Raises httpx.TransportError."""
        timeouts: Timeouts = request.extensions.get("timeout", {})
        is_last = request.headers.get("connection", "").lower() == "close"
        return await self._exchange(request.url, timeouts, lambda connection: connection.ask(request), is_last=is_last)

    async def post(
        self, url: httpx.URL, headers: Mapping[str, str], content: bytes, timeouts: Timeouts
    ) -> httpx.Response:
        """The same for a POST whose content is there, without what httpx makes of a request.

        Args:
            url: where to.
            headers: all but those of address and length; names in any case.
            content: the body.
            timeouts: seconds, by name as in httpx.
        """
        lines = [(b"Host", url.netloc), (b"Content-Length", b"%d" % len(content))]
        lines += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        sent = head_of("POST", url, lines) + content
        is_last = headers.get("connection", "").lower() == "close"
        return await self._exchange(
            url, timeouts, lambda connection: connection.ask_whole(sent, timeouts), is_last=is_last
        )

    async def _exchange(
        self, url: httpx.URL, timeouts: Timeouts, ask: Callable[[Connection], Awaitable[Incoming]], *, is_last: bool
    ) -> httpx.Response:
        origin = _origin(url)
        connection = self._take(origin) or await self._connect(origin, timeouts)
        try:
            incoming = await ask(connection)
        except BaseException:
            connection.close()
            raise
        return httpx.Response(
            incoming.status,
            headers=incoming.headers,
            stream=_Body(self, origin, connection, timeouts.get("read"), is_last=is_last),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": incoming.reason},
        )

    async def aclose(self) -> None:
        """Close what is idle; what is in use ends with its response."""
        self._is_closed = True
        for connection in (connection for idle in self._idle.values() for connection in idle):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)

    def put_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request."""
        if self._is_closed:
            return connection.close()
        idle = self._idle.setdefault(origin, [])
        connection.idle_since = asyncio.get_running_loop().time()
        idle.append(connection)
        while len(idle) > KEPT or idle[0].idle_since < connection.idle_since - KEPT_SECONDS:
            idle.pop(0).close()

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last, if it still is one."""
        idle = self._idle.get(origin, ())
        oldest = asyncio.get_running_loop().time() - KEPT_SECONDS
        while idle:
            connection = idle.pop()
            if connection.is_open and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin, timeouts: Timeouts) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        tls = self._tls() if scheme == "https" else None
        try:
            async with asyncio.timeout(timeouts.get("connect")):
                # RFC 8305: of a name's addresses the next is tried after a quarter of a second.
                delay = None if _is_address(host) else 0.25
                _, connection = await loop.create_connection(
                    Connection, host, port, ssl=tls, happy_eyeballs_delay=delay
                )
        except (OSError, UnicodeError) as exc:
            # What the system calls a timeout has an errno; it is one more way of not getting through.
            if isinstance(exc, TimeoutError) and exc.errno is None:
                raise httpx.ConnectTimeout("no connection in time") from exc
            raise httpx.ConnectError(str(exc)) from exc
        return connection

    def _tls(self) -> ssl.SSLContext:
        """Made when the first server needs it: reading the certificates takes longer than a whole local call."""
        if self._context is None:
            try:
                self._context = httpx.create_ssl_context()
            except OSError as exc:
                raise httpx.UnsupportedProtocol(f"the environment's certificate settings can't be used: {exc}") from exc
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


class _Body(httpx.AsyncByteStream):
    """The body of a response, and what becomes of its connection."""

    def __init__(
        self, owner: PacedTransport, origin: Origin, connection: Connection, timeout: float | None, *, is_last: bool
    ) -> None:
        self._owner, self._origin, self._connection = owner, origin, connection
        self._timeout, self._is_last, self._is_closed = timeout, is_last, False

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._connection.body(self._timeout)

    async def aclose(self) -> None:
        """Leave the connection to the next request, or close it where more would come."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._connection.finished() and not self._is_last:
            self._owner.put_back(self._origin, self._connection)
        else:
            self._connection.close()
            await asyncio.sleep(0)


def client_of(direct: httpx.AsyncBaseTransport) -> tuple[httpx.AsyncClient, bool]:
    """A client that goes `direct`, but through httpx's own connections to a proxy of the environment; whether one is.

    Raises ImportError, ValueError, OSError or httpx.InvalidURL for a proxy that can't be used.
    """
    if {"http", "https", "all"}.isdisjoint(getproxies()):
        return plain_client(direct), False
    return httpx.AsyncClient(mounts=dict.fromkeys(LOOPBACK, direct), timeout=None), True


def plain_client(direct: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """A client that goes `direct`, without any proxy; timeouts are the caller's."""
    return httpx.AsyncClient(transport=direct, timeout=None, trust_env=False)


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in PORTS or not url.raw_host:
        raise httpx.UnsupportedProtocol(f"an address begins with http:// or https://, not {str(url)[:40]!r}")
    return url.scheme, url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False
