"""What a server's error status and body mean, as one of our errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from ..endpoints import Endpoint
from ..errors import (
    ContextOverflow,
    CreditsExhausted,
    ModelNotFound,
    NotAuthorized,
    RateLimited,
    RequestRefused,
)
from ..keys import redact
from . import ChatRequest
from .json_values import as_list, as_object
from .limits import closed_for

OVERFLOW = re.compile(
    r"context[_ ](length|size|window)|maximum context|exceed_context_size|prompt is too long|token_limit_exceeded"
    r"|too many tokens|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
UNKNOWN_MODEL = re.compile(r"not a valid model|model_not_found", re.IGNORECASE)
NO_PRIVATE_ENDPOINT = re.compile(r"privacy|data policy|no endpoints|zdr|constraint_filtered", re.IGNORECASE)
MESSAGE_LIMIT = 300
KINDS: dict[int, type[RequestRefused]] = {
    401: NotAuthorized,
    402: CreditsExhausted,
    403: NotAuthorized,
    404: ModelNotFound,
    429: RateLimited,
}
# What a word in a stream's error stands for: OpenRouter's error types and OpenAI's codes. A word that is not here
# is the server's or the provider's trouble, and asking again may help.
WORDS = {
    "context_length_exceeded": 400,
    "max_tokens_exceeded": 400,
    "token_limit_exceeded": 400,
    "string_too_long": 400,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "authentication": 401,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "payment_required": 402,
    "insufficient_quota": 402,
    "permission_denied": 403,
    "content_policy_violation": 403,
    "refusal": 403,
    "not_found": 404,
    "model_not_found": 404,
    "timeout": 408,
    "precondition_failed": 412,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_exceeded": 429,
    "server": 500,
    "server_error": 500,
    "provider_unavailable": 502,
    "provider_overloaded": 503,
}
NEXT = {
    402: "Add credit to the account, or lower --max-tokens.",
    403: "The key or the region may not use this model.",
    413: "Shorten the prompt.",
    429: "Wait a little, or lower the number of runs at a time.",
}


def refusal(
    request: ChatRequest, status: int, headers: Mapping[str, str], body: bytes, key: SecretStr | None
) -> RequestRefused:
    """The error for a response with an error status."""
    if 300 <= status < 400:
        return _redirected(request, status, headers.get("location", ""))
    error = _error_object(body)
    return _build(request, status, error, key, _retry_after(headers, error))


def stream_refusal(request: ChatRequest, error: object, key: SecretStr | None) -> RequestRefused:
    """The error for what a stream or a 200 body reports as `error`; its code is a number or a word."""
    told = as_object(error) or {"message": str(error)}
    return _build(request, _status(told), told, key, _retry_after({}, told))


def is_retryable(status: int) -> bool:
    """Whether asking again may help: 408, 409, 429 and the server's own trouble."""
    return status in (408, 409, 429) or 500 <= status < 600


def _status(error: dict[str, Any]) -> int:
    for word in (error.get("code"), error.get("http_status"), *_words(error)):
        if isinstance(word, str) and word.lower() in WORDS:
            return WORDS[word.lower()]
        if str(word).isdecimal() and 400 <= int(str(word)) < 600:
            return int(str(word))
    return 502


def _redirected(request: ChatRequest, status: int, location: str) -> RequestRefused:
    """A redirect is not followed: the key would go along."""
    try:
        to = urlsplit(location).hostname
    except ValueError:
        to = None
    where = f" to {_plain(to)}" if to else ""
    told = f"{request.name} answered {status}, a redirect{where}, which is not followed"
    return RequestRefused(f"{told}; put the right address in base_url.", status_code=status)


def sentence(said: str, key: SecretStr | None) -> str:
    """What a server said, on one line, of bounded length and without the key."""
    return _shortened(redact(_plain(said), key))


def _build(
    request: ChatRequest, status: int, error: dict[str, Any], key: SecretStr | None, wait: float | None
) -> RequestRefused:
    said = _shortened(redact(_message(error), key))
    kind, hint = _kind_and_hint(request, status, error)
    text = f"{request.name} answered {status}" + (f": {said}" if said else "") + "."
    again = is_retryable(status) and as_object(error.get("availability")).get("retryable") is not False
    return kind(f"{text} {hint}".strip(), status_code=status, retryable=again, retry_after=wait)


def _kind_and_hint(request: ChatRequest, status: int, error: dict[str, Any]) -> tuple[type[RequestRefused], str]:
    words = " ".join(_words(error))
    if status in (400, 413, 422) and OVERFLOW.search(words):
        return ContextOverflow, "Shorten the prompt, or choose a model with a longer context."
    kind = KINDS.get(status, RequestRefused)
    if request.private and status in (400, 403, 404) and NO_PRIVATE_ENDPOINT.search(words):
        return kind, "No endpoint that keeps and trains on nothing serves this model; drop --private or choose another."
    if status == 404 or (status == 400 and UNKNOWN_MODEL.search(words)):
        return ModelNotFound, _present_name(request.endpoint)
    if status == 401:
        return kind, f"Check the key: `%fusion doctor`, or `%fusion login {request.endpoint.name}` for a new one."
    return kind, NEXT.get(status, "")


def _present_name(endpoint: Endpoint) -> str:
    if endpoint.is_openrouter:
        return "`%fusion models WORD` finds the model's present name."
    return "Check that the server has this model, and its base_url, which usually ends in /v1."


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}  # an HTML page of a proxy says nothing that belongs into a sentence
    told = as_object(next(iter(as_list(data)), None)) or as_object(data)  # Google wraps its error in a list
    error: object = told.get("error") or told.get("detail") or told
    return as_object(error) or {"message": error if isinstance(error, str) else ""}


def _plain(text: str) -> str:
    """`text` on one line, without characters that steer a terminal."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _message(error: dict[str, Any]) -> str:
    said = _plain(str(error.get("message") or "")).rstrip(".")
    raw = as_object(error.get("metadata")).get("raw")
    if isinstance(raw, str) and said.lower() == "provider returned error":
        said = f"{said}: {_plain(raw)}"
    return said


def _shortened(said: str) -> str:
    return said if len(said) <= MESSAGE_LIMIT else said[:MESSAGE_LIMIT] + "…"


def _words(error: dict[str, Any]) -> list[str]:
    """Everything in an error that may say what it is about, its exact words first."""
    metadata, availability = as_object(error.get("metadata")), as_object(error.get("availability"))
    exact = (error.get("code"), error.get("error_type"), metadata.get("error_type"), availability.get("code"))
    loose = (error.get("type"), error.get("message"), metadata.get("raw"))
    return [str(word) for word in (*exact, *loose) if word]


def _retry_after(headers: Mapping[str, str], error: dict[str, Any]) -> float | None:
    """Seconds that the server asks to wait: in so many words, else until what it allows is there again."""
    # OpenRouter hands on the headers of the provider behind it.
    theirs = as_object(as_object(error.get("metadata")).get("headers"))
    behind = {name.lower(): str(value) for name, value in theirs.items()}
    availability = as_object(error.get("availability"))
    for value in (headers.get("retry-after"), availability.get("retry_after"), behind.get("retry-after")):
        if value is not None and (seconds := _seconds(str(value))) is not None:
            return seconds
    return closed_for(headers) or closed_for(behind)


def _seconds(value: str) -> float | None:
    """Retry-After in seconds; the header is a number or a date."""
    try:
        seconds = float(value)
    except ValueError:
        return _until(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
