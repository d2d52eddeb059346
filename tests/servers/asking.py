"""A plain client for the server's own tests: httpx, and an event parser that is not ours."""

from __future__ import annotations

import json
from typing import Any

import httpx
from httpx_sse import EventSource

from servers.openrouter import Server

TEXT = "Zwölf Boxkämpfer jagen 🦊 quer über den großen Sylter Deich, 日本語 too."


def body(model: str = "openai/gpt-5.5", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "How high?"}], "stream": True, **more}


def post(server: Server, model: str = "openai/gpt-5.5", **more: Any) -> httpx.Response:
    return httpx.post(f"{server.base_url}/chat/completions", json=body(model, **more), timeout=10)


def events(server: Server, model: str = "openai/gpt-5.5", **more: Any) -> list[str]:
    """The data of every event, read by a parser that is not ours."""
    with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body(model, **more)) as response:
        return [event.data for event in EventSource(response).iter_sse()]


def chunks(server: Server, **more: Any) -> list[dict[str, Any]]:
    return [json.loads(data) for data in events(server, **more) if data != "[DONE]"]


def deltas(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in stream for choice in chunk["choices"]]


def text(stream: list[dict[str, Any]]) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(stream))
