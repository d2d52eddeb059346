"""One request to a search service: bounded in time and size, with errors that tell no key."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from ..errors import ToolError
from ..providers.json_values import as_object
from ..providers.network import LOOPBACK

ENGINE_TIMEOUT = 10.0  # seconds for one engine; they answer in 1 to 3
MAX_BODY = 2_000_000  # bytes; ten results are some tens of kilobytes
REFUSALS = {
    401: "refused the key",
    402: "has no credit left",
    403: "refused the key",
    429: "has had too many requests",
    432: "has no credit left",  # Tavily's own two: the plan's limit, and that of pay-as-you-go
    433: "has no credit left",
}


async def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    json: object = None,
    refusals: Mapping[int, str] = REFUSALS,
) -> dict[str, Any]:
    """The JSON object that a service answers; redirects are not followed, as they would carry the key along.

    Raises:
        ToolError: the rest of a sentence about the engine. Neither its words nor the key are in it.
    """
    sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    try:
        async with (
            asyncio.timeout(ENGINE_TIMEOUT),
            _client() as client,
            client.stream(method, url, headers=sent, params=params, json=json) as response,
        ):
            if response.status_code != 200:
                raise ToolError(refusals.get(response.status_code, f"answered {response.status_code}"))
            return _object(await _body(response))
    except (TimeoutError, httpx.TimeoutException) as exc:
        raise ToolError(f"did not answer within {ENGINE_TIMEOUT:.0f} s") from exc
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as exc:
        raise ToolError(f"can't be reached ({type(exc).__name__})") from exc


def _client() -> httpx.AsyncClient:
    """A client for one query: nothing stays open, whichever loop asks, and searches are rare.

    Proxies come from the environment, as httpx users expect; a server on this machine is asked directly.
    """
    direct: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(LOOPBACK)
    return httpx.AsyncClient(verify=_certificates(), mounts=direct, timeout=ENGINE_TIMEOUT)


@functools.cache  # reading them takes 20 ms
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


async def _body(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ToolError("answered compressed, unasked")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BODY:
            raise ToolError("answered more than 2 MB")
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return as_object(json.loads(body))
    except (ValueError, RecursionError) as exc:
        raise ToolError("answered no JSON") from exc
