"""The HTTP client for every OpenAI-compatible endpoint: Chat Completions, always streamed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from ..endpoints import Endpoint
from ..errors import CallError, CallTimeout, EndpointUnreachable, KeyMissing, StreamBroken
from ..keys import find_key, is_in_keyring, require_sendable
from . import ChatRequest, Chunk, ModelInfo
from .asked import body_of, headers_of
from .connection import Timeouts
from .event_stream import EventReader
from .json_values import as_list, as_object, as_text
from .network import PacedTransport, client_of, plain_client
from .refusals import refusal, stream_refusal
from .wire import ChunkReader, model_info

ERROR_BODY_LIMIT = 65_536
# Seconds that a server has to end a stream after its [DONE]; nearly always the end came in the same packet.
END_OF_BODY = 0.1
DONE = b"[DONE]"

log = logging.getLogger("fusion_magic")
Send = Callable[[httpx.Request], Awaitable[httpx.Response]]


def sendable_key(endpoint: Endpoint) -> SecretStr | None:
    """The endpoint's key, or None. Raises KeyMissing for one that no header can carry."""
    key = find_key(endpoint)
    require_sendable(endpoint, key)
    return key


def require_key(endpoint: Endpoint) -> SecretStr | None:
    """The endpoint's key, or None where none is needed.

    Raises:
        KeyMissing: the endpoint names an environment variable for its key and nothing was found, or no key.
    """
    key = sendable_key(endpoint)
    if key is None and endpoint.key_env:
        raise KeyMissing(
            f"No key for {endpoint.name}: set {endpoint.key_env}, or type `%fusion login {endpoint.name}`; "
            'without one, panel="local" runs a tiny embedded model.'
        )
    return key


async def off_loop(find: Callable[[Endpoint], SecretStr | None], endpoint: Endpoint) -> SecretStr | None:
    """The key that `find` finds, without holding up the event loop: a locked keychain waits for its user."""
    return await asyncio.to_thread(find, endpoint) if is_in_keyring(endpoint) else find(endpoint)


class Reader(Protocol):
    """Turns one call's wire objects into chunks; see `ChunkReader`."""

    finished: bool
    broken_off: bool

    def read(self, data: dict[str, Any]) -> Chunk | None: ...

    def error_in(self, data: dict[str, Any]) -> object: ...


class Wire(NamedTuple):
    """How an API is spoken: where it is, what is sent, and who reads what comes."""

    path: str
    body: Callable[[ChatRequest], dict[str, Any]]
    headers: Callable[[Endpoint, SecretStr | None], Mapping[str, str]]
    reader: Callable[[SecretStr | None], Reader]


def _wire_of(request: ChatRequest) -> Wire:
    if request.stage == "hosted":
        from .responses import RESPONSES

        return RESPONSES
    return Wire("/chat/completions", body_of, headers_of, _chunk_reader)


def _chunk_reader(_: SecretStr | None) -> ChunkReader:
    return ChunkReader()


class ChatCompletions:
    """One httpx client with one pool; made in the event loop that uses it.

    Args:
        transport: replaces the network, for tests (`httpx.MockTransport`).
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # Proxies and certificates come from the environment, as httpx users expect; loopback goes direct.
        # Timeouts are the caller's: it knows first token from gap, which httpx does not.
        self._no_way_out = ""
        direct = transport or PacedTransport()
        try:
            self._http, by_proxy = client_of(direct) if transport is None else (plain_client(direct), False)
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as exc:
            # A proxy that can't be used must not stop the embedded model or a server of one's own.
            self._no_way_out, by_proxy = _reason(exc), False
            self._http = plain_client(direct)
        self._headers = dict(self._http.headers)
        self._send: Send = partial(self._http.send, stream=True) if by_proxy else direct.handle_async_request
        self._post = direct.post if isinstance(direct, PacedTransport) and not by_proxy else self._post_by_httpx

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Ask, and yield what comes. Raises KeyMissing or a CallError; StreamBroken if the end is missing."""
        endpoint, key = request.endpoint, request.key
        if key is None:
            key = await off_loop(require_key, endpoint)
        wire = _wire_of(request)
        self._check_way_out(request.name, endpoint)
        with translated(request.name, endpoint):
            async with self._response(
                _address(endpoint.base_url + wire.path),
                wire.body(request),
                wire.headers(endpoint, key),
                request.connect_timeout,
            ) as response:
                if request.hear:
                    request.hear(response.headers)
                if response.status_code != 200:
                    raise refusal(request, response.status_code, response.headers, await _start_of(response), key)
                async with aclosing(_chunks(request, response, key, wire.reader(key))) as chunks:
                    async for chunk in chunks:
                        yield chunk

    @asynccontextmanager
    async def _response(
        self, url: httpx.URL, body: dict[str, Any], headers: Mapping[str, str], connect_timeout: float
    ) -> AsyncGenerator[httpx.Response]:
        """What is answered to a POST; past the client's cookies, redirects and hooks, which take half of its time."""
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
        headers = {**self._headers, **headers, "Content-Type": "application/json"}
        response = await self._post(url, headers, content, {"connect": connect_timeout})
        log.debug("POST %s: %d", url, response.status_code)
        try:
            yield response
        finally:
            await response.aclose()

    async def _post_by_httpx(
        self, url: httpx.URL, headers: Mapping[str, str], content: bytes, timeouts: Timeouts
    ) -> httpx.Response:
        request = httpx.Request("POST", url, headers=headers, content=content, extensions={"timeout": timeouts})
        response = await self._send(request)
        response.request = request
        return response

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        """The endpoint's /models. Raises CallError or KeyMissing."""
        data = await self.get(endpoint, "/models")
        listed = [as_object(entry) for entry in as_list(data.get("data"))]
        return tuple(model_info(entry, endpoint) for entry in listed if as_text(entry.get("id")))

    async def get(self, endpoint: Endpoint, path: str, timeout: float = 10.0) -> dict[str, Any]:
        """GET a JSON object of the endpoint within `timeout` seconds. Raises CallError or KeyMissing."""
        content = await self.send("GET", endpoint, path, timeout)
        return _json(content, ChatRequest(endpoint, path.strip("/"), (), 1))

    async def send(self, method: str, endpoint: Endpoint, path: str, timeout: float, **sent: Any) -> bytes:
        """What the endpoint answers to anything but a chat, within `timeout` seconds; `sent` is as httpx takes it.

        Raises CallError or KeyMissing.
        """
        key = await off_loop(sendable_key, endpoint)
        request = ChatRequest(endpoint, path.partition("?")[0].strip("/"), (), 1)
        self._check_way_out(request.name, endpoint)
        with translated(request.name, endpoint):
            async with asyncio.timeout(timeout):  # httpx's own clock starts anew with every byte
                url, headers = endpoint.base_url + path, headers_of(endpoint, key)
                response = await self._http.request(method, url, headers=headers, timeout=timeout, **sent)
            if response.status_code != 200:
                raise refusal(request, response.status_code, response.headers, response.content, key)
            return response.content

    def _check_way_out(self, name: str, endpoint: Endpoint) -> None:
        if self._no_way_out and not endpoint.is_loopback:
            raise EndpointUnreachable(f"{name}: the environment's proxy settings can't be used ({self._no_way_out}).")


async def _chunks(
    request: ChatRequest, response: httpx.Response, key: SecretStr | None, reader: Reader
) -> AsyncGenerator[Chunk, None]:
    """The chunks of a 200: an event stream, or one JSON body where the server does not stream."""
    kind = response.headers.get("content-type", "").lower()
    if "html" in kind:
        raise StreamBroken(f"{request.name}: a web page came instead of an answer; base_url usually ends in /v1.")
    readings = _whole_body(response) if "json" in kind else _events(response)
    try:
        async with aclosing(readings):
            async for events in readings:
                chunks, error = _told(events, request, key, reader)
                for chunk in joined(chunks):
                    yield chunk
                if error:
                    raise error
    except (httpx.HTTPError, CallError):
        if not reader.finished:  # a complaint after the complete answer takes nothing away
            raise
    if not reader.finished:
        what = "the provider broke off the answer" if reader.broken_off else "the stream ended before the answer did"
        raise StreamBroken(f"{request.name}: {what}; it was not taken for a whole one.", retryable=True)


def _told(
    events: list[bytes], request: ChatRequest, key: SecretStr | None, reader: Reader
) -> tuple[list[Chunk], CallError | None]:
    """What has come at once, up to the first error in it."""
    chunks: list[Chunk] = []
    try:
        for event in events:
            data = _json(event, request)
            if error := reader.error_in(data):
                return chunks, stream_refusal(request, error, key)
            if chunk := reader.read(data):
                chunks.append(chunk)
    except CallError as exc:
        return chunks, exc
    return chunks, None


def joined(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Neighbours that bring text alone as one: what came together is told together."""
    for (is_plain, *_), group in groupby(chunks, lambda chunk: (chunk.is_plain, chunk.served, chunk.request_id)):
        several = list(group)
        if is_plain and len(several) > 1:
            text, reasoning = ("".join(parts) for parts in zip(*((c.text, c.reasoning) for c in several), strict=True))
            yield replace(several[0], text=text, reasoning=reasoning)
        else:
            yield from several


async def _whole_body(response: httpx.Response) -> AsyncGenerator[list[bytes], None]:
    yield [await response.aread()]


async def _events(response: httpx.Response) -> AsyncGenerator[list[bytes], None]:
    """The data of an event stream's events up to its [DONE], as they come together."""
    reader = EventReader()
    async with aclosing(_pieces(response)) as pieces:
        async for piece in pieces:
            events = [said for event in reader.feed(piece) if (said := event.strip())]
            is_done = DONE in events
            if events:
                yield events[: events.index(DONE)] if is_done else events
            if is_done:
                break
        # A response that is read to its end leaves its connection to the next call.
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(END_OF_BODY):
                async for _ in pieces:
                    pass


def _pieces(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it comes: past what httpx does with each piece, where nothing is compressed."""
    pieces = response.aiter_bytes() if "content-encoding" in response.headers else aiter(response.stream)  # type: ignore[arg-type]
    return cast("AsyncGenerator[bytes]", pieces)


@lru_cache(64)  # to read an address takes longer than to send a request
def _address(url: str) -> httpx.URL:
    return httpx.URL(url)


def _json(data: bytes, request: ChatRequest) -> dict[str, Any]:
    parsed: object = None
    with suppress(ValueError, RecursionError):  # no cause is kept: it would hold all that was sent
        parsed = json.loads(data.decode("utf-8", "replace").removeprefix("\ufeff"))
    if not isinstance(parsed, dict):
        raise StreamBroken(f"{request.name}: the server sent something that is no JSON object.", retryable=True)
    return cast("dict[str, Any]", parsed)


async def _start_of(response: httpx.Response) -> bytes:
    """The beginning of an error body: enough to read, whatever a proxy sends; a torn one leaves the status."""
    start = b""
    with suppress(httpx.HTTPError):
        async for piece in response.aiter_bytes():
            start += piece
            if len(start) > ERROR_BODY_LIMIT:
                break
    return start


@contextmanager
def translated(name: str, endpoint: Endpoint) -> Generator[None]:
    """Where httpx's exceptions become ours; the only place."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as exc:
        raise _translate(exc, name, endpoint) from exc


def _translate(exc: Exception, name: str, endpoint: Endpoint) -> CallError:
    host = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
    match exc:
        case httpx.ConnectTimeout():  # nothing was sent, so nothing is billed
            return EndpointUnreachable(f"{name}: no connection to {host} in time.", retryable=True)
        case httpx.TimeoutException() | TimeoutError():
            return CallTimeout(f"{name}: {host} did not answer in time.", retryable=True)
        case httpx.ConnectError() | httpx.ProxyError():
            text = f"{name}: {host} can't be reached ({_reason(exc)}); {start_hint(endpoint)}"
            return EndpointUnreachable(text, retryable=True)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | httpx.InvalidURL():
            return EndpointUnreachable(f"{name}: {host} can't be asked ({_reason(exc)}).")
        case httpx.DecodingError():
            return StreamBroken(f"{name}: {host} sent a compressed answer that can't be unpacked.", retryable=True)
        case _:
            return StreamBroken(f"{name}: the connection to {host} broke.", retryable=True)


def _reason(exc: Exception) -> str:
    return str(exc).strip(".") or type(exc).__name__


def start_hint(endpoint: Endpoint) -> str:
    """What to do about an endpoint that can't be reached."""
    if endpoint.is_loopback:
        return f"is the {endpoint.name} server running?"
    return "check the address, the network and the proxy settings."
