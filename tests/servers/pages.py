"""A web site on loopback that sends whatever bytes a test wrote for a path, and logs who asked."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

HTML = "text/html; charset=utf-8"
MOST = 1 << 17  # bytes of a request's head


@dataclass(frozen=True)
class Reply:
    """What a path answers.

    `body` may be a function whose pieces are sent one by one, without a length. `raw` is the whole answer, head
    included. `pause` is the seconds between two pieces.
    """

    body: bytes | Callable[[], Iterator[bytes]] = b""
    type: str | None = HTML
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | Callable[[], Iterator[bytes]] | None = None
    pause: float = 0.0


def redirect(target: str, status: str = "302 Found") -> Reply:
    return Reply(status=status, headers=(("Location", target),))


@dataclass(frozen=True)
class Request:
    target: str
    headers: dict[str, str]


@dataclass
class Site:
    """Serve `replies` while the block runs; `gone` is set when a client leaves before an answer's end."""

    replies: dict[str, Reply] = field(default_factory=dict)
    address: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        site = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                site._answer(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that leaves in the TLS handshake; what else goes wrong shows in the client."""

        self._server = Server((self.address, self.port), Handler)
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str, host: str | None = None) -> str:
        return f"{'https' if self.tls else 'http'}://{host or self.address}:{self.port}{path}"

    @property
    def trusted(self) -> frozenset[tuple[str, int]]:
        return frozenset({(self.address, self.port)})

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.target for request in self.requests]

    def _answer(self, handler: socketserver.StreamRequestHandler) -> None:
        first = handler.rfile.readline(MOST).decode("latin-1").split()
        lines = iter(lambda: handler.rfile.readline(MOST).decode("latin-1").strip(), "")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(first) < 2:
            return  # someone who connected and said nothing
        self.requests.append(Request(first[1], headers))
        reply = self.replies.get(first[1]) or Reply(b"nothing here", status="404 Not Found")
        try:
            for piece in _pieces(reply):
                handler.connection.sendall(piece)
                self.started.set()
                if reply.pause and self.stopping.wait(reply.pause):
                    return
        except OSError:
            self.gone.set()


def _pieces(reply: Reply) -> Iterator[bytes]:
    if reply.raw is not None:
        yield from (reply.raw,) if isinstance(reply.raw, bytes) else reply.raw()
        return
    lines = [f"HTTP/1.1 {reply.status}", "Connection: close"]
    lines += [f"Content-Type: {reply.type}"] if reply.type is not None else []
    if isinstance(reply.body, bytes):
        lines.append(f"Content-Length: {len(reply.body)}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    yield head + (reply.body if isinstance(reply.body, bytes) else b"")
    if not isinstance(reply.body, bytes):
        yield from reply.body()
