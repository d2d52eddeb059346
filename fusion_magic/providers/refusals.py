"""What a server's error status and body mean, as one of our errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import SecretStr

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

RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 522, 524, 529})
OVERFLOW = re.compile(
    r"context[_ ](length|size|window)|maximum context|exceed_context_size|too many tokens", re.IGNORECASE
)
MESSAGE_LIMIT = 300
KINDS: dict[int, type[RequestRefused]] = {
    401: NotAuthorized,
    402: CreditsExhausted,
    403: NotAuthorized,
    404: ModelNotFound,
    429: RateLimited,
}
NEXT = {
    400: "",
    401: "Check the key: `%fusion doctor`, or `%fusion login` for a new one.",
    402: "Add credit to the account, or lower --max-tokens.",
    403: "The key or the region may not use this model.",
    404: "`%fusion models WORD` finds the model's present name.",
    413: "Shorten the prompt.",
    429: "Wait a little, or lower the number of runs at a time.",
}


def refusal(
    request: ChatRequest, status: int, headers: Mapping[str, str], body: bytes, key: SecretStr | None
) -> RequestRefused:
    """The error for a response with an error status."""
    error = _error_object(body)
    return _build(request, status, error, key, _retry_after(headers, error))


def stream_refusal(request: ChatRequest, data: dict[str, Any], key: SecretStr | None) -> RequestRefused:
    """The error for an `error` object inside a stream or a 200 body; its code is a number or a word."""
    error = data["error"] if isinstance(data["error"], dict) else {"message": str(data["error"])}
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    return _build(request, status, error, key, _retry_after({}, error))


def _build(
    request: ChatRequest, status: int, error: dict[str, Any], key: SecretStr | None, wait: float | None
) -> RequestRefused:
    said = redact(_message(error), key)
    kind = KINDS.get(status, RequestRefused)
    hint = NEXT.get(status, "")
    if status in (400, 413, 422) and _is_overflow(error):
        kind, hint = ContextOverflow, "Shorten the prompt, or choose a model with a longer context."
    if request.private and status in (400, 403, 404):
        hint = "No endpoint that keeps and trains on nothing serves this model; drop --private or choose another."
    text = f"{request.name} answered {status}" + (f": {said}" if said else "") + "."
    return kind(
        f"{text} {hint}".strip(), status_code=status, retryable=status in RETRYABLE, retry_after=wait
    )


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}  # an HTML page of a proxy says nothing that belongs into a sentence
    error = data.get("error", data) if isinstance(data, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _message(error: dict[str, Any]) -> str:
    said = " ".join(str(error.get("message") or "").split()).rstrip(".")
    raw = (error.get("metadata") or {}).get("raw") if isinstance(error.get("metadata"), dict) else None
    if isinstance(raw, str) and said.lower() == "provider returned error":
        said = f"{said}: {' '.join(raw.split())}"
    return said if len(said) <= MESSAGE_LIMIT else said[:MESSAGE_LIMIT] + "…"


def _is_overflow(error: dict[str, Any]) -> bool:
    metadata = error.get("metadata") if isinstance(error.get("metadata"), dict) else {}
    words = (error.get("code"), error.get("type"), (metadata or {}).get("error_type"), error.get("message"))
    return any(OVERFLOW.search(str(word)) for word in words if word)


def _retry_after(headers: Mapping[str, str], error: dict[str, Any]) -> float | None:
    availability = error.get("availability") if isinstance(error.get("availability"), dict) else {}
    for value in (headers.get("retry-after"), (availability or {}).get("retry_after")):
        if value is not None and (seconds := _seconds(str(value))) is not None:
            return seconds
    return None


def _seconds(value: str) -> float | None:
    """Retry-After in seconds; the header is a number or a date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
