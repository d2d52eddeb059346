"""The HTTP client for every OpenAI-compatible endpoint: Chat Completions, always streamed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httpx
from httpx_sse import EventSource
from pydantic import SecretStr

from ..endpoints import Endpoint
from ..errors import CallError, CallTimeout, EndpointUnreachable, KeyMissing, StreamBroken
from ..keys import find_key, require_sendable
from . import ChatRequest, Chunk, ModelInfo
from .json_values import as_list, as_object, as_text
from .network import paced
from .refusals import refusal, stream_refusal
from .wire import ChunkReader, model_info

# Kept-alive connections: httpx looks at every idle one for each request, so a large pool is slower.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
# OpenRouter's guard against a fusion inside a fusion, and its attribution headers.
OPENROUTER_HEADERS = {
    "x-openrouter-fusion-depth": "1",
    "HTTP-Referer": "https://github.com/fusion-magic/fusion_magic",
    "X-OpenRouter-Title": "fusion_magic",
}
LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://0.0.0.0", "all://[::1]")
ERROR_BODY_LIMIT = 65_536
# Seconds that a server has to end a stream after its [DONE]; nearly always the end came in the same packet.
END_OF_BODY = 0.1


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
    if endpoint.key_env and os.environ.get(endpoint.key_env, "").strip():
        return find(endpoint)
    return await asyncio.to_thread(find, endpoint)


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
        direct: dict[str, httpx.AsyncBaseTransport | None] = {} if transport else dict.fromkeys(LOOPBACK)
        self._no_way_out = ""
        try:
            self._http = paced(httpx.AsyncClient(transport=transport, mounts=direct, limits=LIMITS, timeout=None))
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as exc:
            # A proxy or certificate that can't be used must not stop the embedded model or a server of one's own.
            self._no_way_out = _reason(exc)
            self._http = paced(httpx.AsyncClient(limits=LIMITS, timeout=None, trust_env=False))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Ask, and yield what comes. Raises KeyMissing or a CallError; StreamBroken if the end is missing."""
        endpoint, key = request.endpoint, request.key or await off_loop(require_key, request.endpoint)
        wire = _wire_of(request)
        self._check_way_out(request.name, endpoint)
        with translated(request.name, endpoint):
            async with self._http.stream(
                "POST",
                f"{endpoint.base_url}{wire.path}",
                json=wire.body(request),
                headers=wire.headers(endpoint, key),
                timeout=httpx.Timeout(None, connect=request.connect_timeout),
            ) as response:
                if request.hear:
                    request.hear(response.headers)
                if response.status_code != 200:
                    raise refusal(request, response.status_code, response.headers, await _start_of(response), key)
                async with aclosing(_chunks(request, response, key, wire.reader(key))) as chunks:
                    async for chunk in chunks:
                        yield chunk

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
            raise EndpointUnreachable(
                f"{name}: the environment's proxy or certificate settings can't be used ({self._no_way_out})."
            )


async def _chunks(
    request: ChatRequest, response: httpx.Response, key: SecretStr | None, reader: Reader
) -> AsyncGenerator[Chunk, None]:
    """The chunks of a 200: an event stream, or one JSON body where the server does not stream."""
    kind = response.headers.get("content-type", "").lower()
    if "html" in kind:
        raise StreamBroken(f"{request.name}: a web page came instead of an answer; base_url usually ends in /v1.")
    response.encoding = "utf-8-sig"  # event streams are UTF-8 whatever the header says, perhaps with a mark
    objects = _whole_body(request, response) if "json" in kind else _events(request, response)
    try:
        async with aclosing(objects):
            async for data in objects:
                if error := reader.error_in(data):
                    raise stream_refusal(request, error, key)
                if chunk := reader.read(data):
                    yield chunk
    except (httpx.HTTPError, CallError):
        if not reader.finished:  # a complaint after the complete answer takes nothing away
            raise
    if not reader.finished:
        what = "the provider broke off the answer" if reader.broken_off else "the stream ended before the answer did"
        raise StreamBroken(f"{request.name}: {what}; it was not taken for a whole one.", retryable=True)


async def _whole_body(request: ChatRequest, response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    yield _json(await response.aread(), request)


async def _events(request: ChatRequest, response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of an event stream, up to its [DONE]."""
    response.headers["content-type"] = "text/event-stream"  # gateways say text/plain, or nothing
    async with aclosing(EventSource(response).aiter_sse()) as events:
        async for event in events:
            said = event.data.strip()
            if said == "[DONE]":
                break
            if said:  # once an event had an id, httpx-sse makes an empty event of each comment
                yield _json(said, request)
        # A response that is read to its end leaves its connection to the next call.
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(END_OF_BODY):
                async for _ in events:
                    pass


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The JSON body of a request, in OpenRouter's form or in the one other servers share."""
    body: dict[str, Any] = {"model": request.model, "messages": list(request.messages), "stream": True}
    optional = {
        "temperature": request.temperature,
        "seed": request.seed,
        "response_format": request.response_format,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if request.tools:
        body |= {"tools": list(request.tools)} | ({"tool_choice": request.tool_choice} if request.tool_choice else {})
    if request.endpoint.is_openrouter:
        body |= _openrouter_body(request)
    else:
        # OpenAI's own models take only the new name; other servers know the old one.
        limit = "max_completion_tokens" if request.endpoint.name == "openai" else "max_tokens"
        body |= {limit: request.max_tokens, "stream_options": {"include_usage": True}}
        if request.effort:
            body["reasoning_effort"] = request.effort
    return body | dict(request.extra)


def _openrouter_body(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"max_completion_tokens": request.max_tokens}
    if request.effort:
        body["reasoning"] = {"effort": request.effort}
    if request.private:
        body["provider"] = {"data_collection": "deny", "zdr": True}
    if request.steps and any(str(tool["type"]).startswith("openrouter:") for tool in request.tools):
        # After these steps OpenRouter makes one turn without tools, so that the answer is text.
        body["stop_server_tools_when"] = [{"type": "step_count_is", "step_count": request.steps}]
    if request.session:
        body["session_id"] = request.session
    if _goes_on(request):
        body["cache_control"] = {"type": "ephemeral"}
    return body


def _goes_on(request: ChatRequest) -> bool:
    """Whether a longer request is likely to begin like this one, with a model that caches only what it is told to.

    Others cache by themselves. Judge and synthesizer begin alike too, but a schema for the reply, which only the judge
    has, makes Anthropic's models cache anew; writing a cache that nobody reads costs a quarter more.
    """
    model = request.model.removeprefix("~")
    return model.startswith("anthropic/") and (bool(request.tools) or len(request.messages) > 2)


def headers_of(endpoint: Endpoint, key: SecretStr | None) -> dict[str, str]:
    """Headers of a request; OpenRouter's own go to OpenRouter only."""
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    if endpoint.is_local:
        # The embedded server closes some kept-alive connections just as they are used again: 3 % of calls failed.
        headers |= {"Connection": "close"}
    return headers | OPENROUTER_HEADERS if endpoint.is_openrouter else headers


def _json(data: str | bytes, request: ChatRequest) -> dict[str, Any]:
    parsed: object = None
    with suppress(ValueError, RecursionError):  # no cause is kept: it would hold all that was sent
        parsed = json.loads(data)
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
