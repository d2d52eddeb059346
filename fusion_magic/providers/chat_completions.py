"""The HTTP client for every OpenAI-compatible endpoint: Chat Completions, always streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import SecretStr

from ..errors import CallError, CallTimeout, EndpointUnreachable, KeyMissing, StreamBroken
from ..keys import find_key
from ..prices import FREE, UNKNOWN, price_from_catalogue
from ..settings import Endpoint
from . import ChatRequest, Chunk, ModelInfo
from .refusals import refusal, stream_refusal
from .wire import ChunkReader

# Kept-alive connections: httpx looks at every idle one for each request, so a large pool is slower.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
# OpenRouter's guard against a fusion inside a fusion, and its attribution headers.
OPENROUTER_HEADERS = {
    "x-openrouter-fusion-depth": "1",
    "HTTP-Referer": "https://github.com/fusion-magic/fusion_magic",
    "X-OpenRouter-Title": "fusion_magic",
}
LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")
ERROR_BODY_LIMIT = 65_536


def require_key(endpoint: Endpoint) -> SecretStr | None:
    """The endpoint's key, or None where none is needed.

    Raises:
        KeyMissing: the endpoint names an environment variable for its key and nothing was found.
    """
    key = find_key(endpoint)
    if key is None and endpoint.key_env:
        raise KeyMissing(
            f"No key for {endpoint.name}: set {endpoint.key_env}, or type `%fusion login {endpoint.name}`; "
            'without one, panel="local" runs a tiny embedded model.'
        )
    return key


class ChatCompletions:
    """One httpx client with one pool; made in the event loop that uses it.

    Args:
        transport: replaces the network, for tests (`httpx.MockTransport`).
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # Proxies and certificates come from the environment, as httpx users expect; loopback goes direct.
        # Timeouts are the caller's: it knows first token from gap, which httpx does not.
        direct: dict[str, httpx.AsyncBaseTransport | None] = {} if transport else dict.fromkeys(LOOPBACK)
        self._http = httpx.AsyncClient(transport=transport, mounts=direct, limits=LIMITS, timeout=None)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Ask, and yield what comes. Raises a CallError, or StreamBroken if the end is missing."""
        key = request.key or require_key(request.endpoint)
        with translated(request.name, request.endpoint):
            async with self._http.stream(
                "POST",
                f"{request.endpoint.base_url}/chat/completions",
                json=body_of(request),
                headers=headers_of(request.endpoint, key),
                timeout=httpx.Timeout(None, connect=request.connect_timeout),
            ) as response:
                if response.status_code != 200:
                    raise refusal(request, response.status_code, response.headers, await _start_of(response), key)
                async for chunk in self._chunks(request, response, key):
                    yield chunk

    async def _chunks(
        self, request: ChatRequest, response: httpx.Response, key: SecretStr | None
    ) -> AsyncIterator[Chunk]:
        reader = ChunkReader()
        if "application/json" in response.headers.get("content-type", ""):
            data = _json(await response.aread(), request)
            if "error" in data:
                raise stream_refusal(request, data, key)
            yield reader.whole(data)
        else:
            try:
                async for event in EventSource(response).aiter_sse():
                    if event.data == "[DONE]":
                        break
                    data = _json(event.data, request)
                    if data.get("error"):
                        if reader.finished:  # a complaint after the complete answer takes nothing away
                            break
                        raise stream_refusal(request, data, key)
                    if chunk := reader.read(data):
                        yield chunk
            except (httpx.TransportError, SSEError):
                if not reader.finished:
                    raise
        if not reader.finished:
            raise StreamBroken(
                f"{request.name}: the stream ended before the answer did; it was not taken for a whole one.",
                retryable=True,
            )

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        """The endpoint's /models. Raises CallError or KeyMissing."""
        data = await self.get(endpoint, "/models")
        free = FREE if endpoint.costs_nothing else UNKNOWN
        return tuple(
            ModelInfo(
                id=str(entry["id"]),
                name=str(entry.get("name") or ""),
                context=entry.get("context_length") or (entry.get("meta") or {}).get("n_ctx"),
                price=price_from_catalogue(entry["pricing"]) if entry.get("pricing") else free,
                parameters=_parameters(entry),
                created=int(entry.get("created") or 0),
            )
            for entry in data.get("data") or ()
            if entry.get("id")
        )

    async def get(self, endpoint: Endpoint, path: str, timeout: float = 10.0) -> dict[str, Any]:
        """GET a JSON object of the endpoint within `timeout` seconds. Raises CallError or KeyMissing."""
        key = find_key(endpoint)
        name = f"{endpoint.name}{path}"
        with translated(name, endpoint):
            response = await self._http.get(
                endpoint.base_url + path, headers=headers_of(endpoint, key), timeout=timeout
            )
            request = ChatRequest(endpoint, path.strip("/"), (), 1)
            if response.status_code != 200:
                raise refusal(request, response.status_code, response.headers, response.content, key)
            return _json(response.content, request)


def _parameters(entry: dict[str, Any]) -> frozenset[str] | None:
    listed = entry.get("supported_parameters")
    return frozenset(listed) if isinstance(listed, list) else None


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The JSON body of a request, in OpenRouter's form or in the one other servers share."""
    body: dict[str, Any] = {"model": request.model, "messages": list(request.messages), "stream": True}
    optional = {
        "temperature": request.temperature,
        "seed": request.seed,
        "response_format": request.response_format,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
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
    if request.session:
        body["session_id"] = request.session
    return body


def headers_of(endpoint: Endpoint, key: SecretStr | None) -> dict[str, str]:
    """Headers of a request; OpenRouter's own go to OpenRouter only."""
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    return headers | OPENROUTER_HEADERS if endpoint.is_openrouter else headers


def _json(data: str | bytes, request: ChatRequest) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError as exc:
        raise StreamBroken(f"{request.name}: the server sent something that is not JSON.", retryable=True) from exc
    if not isinstance(parsed, dict):
        raise StreamBroken(f"{request.name}: the server sent JSON that is no object.", retryable=True)
    return parsed


async def _start_of(response: httpx.Response) -> bytes:
    """The beginning of an error body: enough to read, whatever a proxy sends."""
    start = b""
    async for piece in response.aiter_bytes():
        start += piece
        if len(start) > ERROR_BODY_LIMIT:
            break
    return start


@contextmanager
def translated(name: str, endpoint: Endpoint) -> Iterator[None]:
    """Where httpx's exceptions become ours; the only place."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, SSEError) as exc:
        raise _translate(exc, name, endpoint) from exc


def _translate(exc: Exception, name: str, endpoint: Endpoint) -> CallError:
    host = httpx.URL(endpoint.base_url).netloc.decode(errors="replace").rpartition("@")[2]
    match exc:
        case httpx.ConnectTimeout():
            return CallTimeout(f"{name}: no connection to {host} in time.", retryable=True)
        case httpx.TimeoutException():
            return CallTimeout(f"{name}: {host} did not answer in time.", retryable=True)
        case httpx.ConnectError() | httpx.ProxyError():
            text = f"{name}: {host} can't be reached ({_reason(exc)}); {start_hint(endpoint)}"
            return EndpointUnreachable(text, retryable=True)
        case SSEError():
            return StreamBroken(f"{name}: {host} did not answer with a stream of events.")
        case httpx.TransportError():
            return StreamBroken(f"{name}: the connection to {host} broke.", retryable=True)
        case _:
            return EndpointUnreachable(f"{name}: {host} can't be asked ({_reason(exc)}).")


def _reason(exc: Exception) -> str:
    return str(exc).strip(".") or type(exc).__name__


def start_hint(endpoint: Endpoint) -> str:
    """What to do about an endpoint that can't be reached."""
    if endpoint.is_loopback:
        return f"is the {endpoint.name} server running?"
    return "check the address, the network and the proxy settings."

