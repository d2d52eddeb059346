"""What is sent to Chat Completions servers: body and headers, in OpenRouter's form or in the one others share."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from ..endpoints import Endpoint
from . import ChatRequest

# OpenRouter's guard against a fusion inside a fusion, and its attribution headers.
OPENROUTER_HEADERS = {
    "x-openrouter-fusion-depth": "1",
    "HTTP-Referer": "https://github.com/fusion-magic/fusion_magic",
    "X-OpenRouter-Title": "fusion_magic",
}


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
        headers |= {"connection": "close"}  # small, as httpx has its own, which it takes the place of
    return headers | OPENROUTER_HEADERS if endpoint.is_openrouter else headers
