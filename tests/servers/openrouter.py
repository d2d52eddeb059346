"""A loopback server that answers as OpenRouter's Chat Completions API does, from scripts a test gives it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Any, Self

from .catalogue import default_models
from .chunks import Asked
from .connection import ClientGone, Connection, Received, listen
from .plans import Piece, Plan, fault, plan
from .scripts import (
    Broken,
    Fault,
    Json,
    RefuseParameter,
    Reply,
    Script,
    analysis_json,
    context_exceeded,
    llama_cpp,
    lm_studio,
    ollama,
    refuses,
)

__all__ = [
    "Broken",
    "Fault",
    "RefuseParameter",
    "Reply",
    "Request",
    "Server",
    "analysis_json",
    "context_exceeded",
    "default_models",
    "llama_cpp",
    "lm_studio",
    "ollama",
    "refuses",
]

STREAMED = ("/chat/completions", "/responses")
_KEY = {
    "label": "sk-or-v1-0e6...1c9",
    "limit": 20.0,
    "limit_remaining": 12.5,
    "usage": 7.5,
    "is_free_tier": False,
}


@dataclass
class Request:
    """One request and what became of its answer; times are time.monotonic()."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: Any
    model: str | None
    arrived: float
    first_byte: float | None = None
    first_token: float | None = None
    """When the first content, reasoning or tool-call delta was written; comments do not count."""
    ended: float | None = None
    closed_by_client: bool = False
    finished: bool = False
    """A complete reply, or a complete error, was sent."""
    status: int | None = None
    usage: Json | None = None
    """The usage object that was sent."""
    id: str = ""
    """The generation id of the answer."""
    response: bytes = field(default=b"", repr=False)
    """The body bytes written so far, chunk framing left out."""


class Server:
    """Runs on its own thread from `with` to the end of the block; see `reply` for what it answers."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self.models = default_models()
        self.key_info: Json = dict(_KEY)
        self.base_url = ""
        self.most_open_streams = 0
        self.script_errors: list[BaseException] = []
        self._scripts: dict[str, tuple[Script, Any]] = {}
        self._requests: list[Request] = []
        self._open: list[Request] = []
        self._changed = threading.Condition()
        self._numbers = count(1)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake-openrouter", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        with self._changed:
            if not self._changed.wait_for(lambda: self.base_url, timeout=10):
                raise RuntimeError("the loopback server did not start within 10 s")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)
        if self.script_errors and kind is None:
            raise self.script_errors[0]

    def reply(self, model: str, script: Script) -> None:
        """Answer calls of `model`, or of every model matching the fnmatch pattern, by `script`.

        An exact slug goes before patterns, a later pattern before an earlier one, "*" last. A model that
        nothing matches is answered as OpenRouter answers an unknown slug: 400.
        """
        turns = count() if isinstance(script, list | tuple) else None
        with self._changed:
            self._scripts.pop(model, None)
            self._scripts[model] = (script, turns)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def open_streams(self) -> int:
        """How many chat answers are under way, those that wait for their first token included."""
        with self._changed:
            return len(self._open)

    def wait_open(self, streams: int = 1, timeout: float = 5) -> None:
        """Block until that many chat answers are under way at one time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._open) >= streams, timeout):
                raise TimeoutError(f"{len(self._open)} of {streams} streams open after {timeout} s")

    def wait_closed(self, timeout: float = 5) -> list[Request]:
        """Block until no chat answer is under way; the requests whose client closed before the end."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, timeout):
                still = ", ".join(str(request.model) for request in self._open)
                raise TimeoutError(f"still open after {timeout} s: {still}")
            return [request for request in self._requests if request.closed_by_client]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = await listen(self._converse)
        with self._changed:
            self.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/v1"
            self._changed.notify_all()
        await self._stop.wait()
        listener.close()

    async def _converse(self, connection: Connection) -> None:
        """Answer one request after the other on one connection."""
        try:
            while connection.keep_alive and (received := await connection.receive()):
                await self._answer(connection, received)
        finally:
            connection.close()

    async def _answer(self, connection: Connection, received: Received) -> None:
        request = self._record(received)
        chat = request.path.endswith(STREAMED)
        try:
            await self._play(connection, request, self._plan(request))
        except (ClientGone, ConnectionError):
            request.closed_by_client = request.ended is None
            connection.keep_alive = False
        finally:
            request.ended = request.ended or time.monotonic()
            if chat:
                self._closed(request)

    def _record(self, received: Received) -> Request:
        try:
            body = json.loads(received.raw) if received.raw else None
        except ValueError:
            body = None
        model = body.get("model") if isinstance(body, dict) else None
        path = received.target.partition("?")[0]
        request = Request(
            received.method,
            path,
            received.headers,
            received.raw,
            body,
            model,
            time.monotonic(),
            id=f"gen-{int(time.time())}-{next(self._numbers):020d}",
        )
        with self._changed:
            self._requests.append(request)
            if path.endswith(STREAMED):
                self._open.append(request)
                self.most_open_streams = max(self.most_open_streams, len(self._open))
            self._changed.notify_all()
        return request

    def _closed(self, request: Request) -> None:
        with self._changed:
            if request in self._open:
                self._open = [other for other in self._open if other is not request]
            self._changed.notify_all()

    def _plan(self, request: Request) -> Plan:
        """Which answer a request gets: the key first, then the route, then the script."""
        asked = self._asked(request)
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return fault(Fault(401), asked)
        route = request.path.removeprefix("/api").removeprefix("/v1")
        match request.method, route:
            case "GET", "/models":
                entries = self.models
                return _json({"data": entries, "total_count": len(entries), "links": {"next": None}})
            case "GET", "/key":
                return _json({"data": self.key_info})
            case "POST", "/chat/completions":
                return self._chat(request, asked)
            case _:
                return fault(Fault(404), asked)

    def _chat(self, request: Request, asked: Asked) -> Plan:
        if not isinstance(request.body, dict) or not isinstance(request.body.get("messages"), list):
            return fault(Fault(400, 'Input required: specify "messages"'), asked)
        try:
            return plan(self._script(request), asked)
        except Exception as exc:  # a script is test code: the test fails, the server lives
            self.script_errors.append(exc)
            return fault(Fault(500, f"the script for {request.model} raised {exc!r}"), asked)

    def _script(self, request: Request) -> Reply | Fault | Broken:
        script = self._next(str(request.model))
        while not isinstance(script, Reply | Fault | Broken):
            script = script.answer(request.body) if isinstance(script, RefuseParameter) else script(request)
        return script

    def _next(self, model: str) -> Any:
        with self._changed:
            patterns = sorted(self._scripts, key=lambda pattern: pattern == "*")
            patterns = [p for p in patterns if p != "*"][::-1] + [p for p in patterns if p == "*"]
            fits = [p for p in patterns if p == model] + [p for p in patterns if fnmatchcase(model, p)]
            if not fits:
                return Fault(400, f"{model} is not a valid model ID")
            script, turns = self._scripts[fits[0]]
        return script if turns is None else script[min(next(turns), len(script) - 1)]  # pyright: ignore[reportIndexIssue, reportArgumentType]

    def _asked(self, request: Request) -> Asked:
        body = request.body if isinstance(request.body, dict) else {}
        entry = next((m for m in self.models if m.get("id") == request.model), {})
        pricing = entry.get("pricing", {})
        prices = [float(pricing.get(name, default)) for name, default in (("prompt", 1e-6), ("completion", 5e-6))]
        return Asked(
            body=body,
            served=entry.get("alias_target", {}).get("slug") or str(request.model),
            prices=(max(prices[0], 0.0), max(prices[1], 0.0)),
            key=request.headers.get("authorization", "").removeprefix("Bearer "),
            generation=request.id,
            created=int(time.time()),
            metadata=request.headers.get("x-openrouter-metadata") == "enabled",
        )

    async def _play(self, connection: Connection, request: Request, what: Plan) -> None:
        """Write the plan's pieces, each at its moment counted from the request's arrival."""
        start = asyncio.get_running_loop().time()
        pieces = _small(what) if what.split else what.pieces
        for place, piece in enumerate(pieces):
            await connection.until(start + piece.at)
            last = place == len(pieces) - 1
            self._write(connection, request, what, piece, last)
            await connection.flush()
        if what.end == "reset":
            connection.reset()
            connection.keep_alive = False
        elif not pieces:
            self._write(connection, request, what, Piece(0, b""), True)

    def _write(self, connection: Connection, request: Request, what: Plan, piece: Piece, last: bool) -> None:
        """One piece, its bookkeeping before its bytes: a client never knows more than `requests` says."""
        now = time.monotonic()
        if request.first_byte is None:
            request.first_byte, request.status = now, what.status
            length = {} if what.stream else {"Content-Length": str(len(piece.data))}
            connection.head(what.status, what.headers | length)
        if piece.token and request.first_token is None:
            request.first_token = now
        if last and what.end != "reset":
            request.usage, request.finished, request.ended = what.usage, what.finished, now
            self._closed(request)
        request.response += piece.data
        if not what.stream:
            connection.whole(piece.data)
        elif last and what.end == "reset":
            connection.torn_chunk(piece.data)
        elif piece.data:
            connection.chunk(piece.data)
        if what.stream and last and what.end != "reset":
            connection.chunk(b"")


def _json(value: Json) -> Plan:
    return Plan(200, {"Content-Type": "application/json"}, [Piece(0, json.dumps(value).encode())])


def _small(what: Plan) -> list[Piece]:
    """The same bytes in pieces of `split` bytes, which may span events due at one time."""
    pieces: list[Piece] = []
    moment: list[Piece] = []
    for piece in [*what.pieces, Piece(-1, b"")]:
        if moment and piece.at != moment[0].at:
            data, token = b"".join(p.data for p in moment), any(p.token for p in moment)
            cuts = range(0, len(data), what.split)
            pieces += [Piece(moment[0].at, data[n : n + what.split], token) for n in cuts]
            moment = []
        moment.append(piece)
    return pieces
