"""The bytes of a scripted answer and when each is due: scripts in, a plan for one connection out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from .chunks import (
    Asked,
    choice_of,
    citations_of,
    cut,
    deltas_of,
    details_of,
    finish_of,
    frame_of,
    metadata_of,
    native_of,
    timings_of,
    usage_of,
)
from .scripts import Broken, Fault, Json, Reply

ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    524: "timeout",
    529: "provider_overloaded",
}
MESSAGES = {
    400: "Invalid request",
    401: "User not found.",
    402: "Insufficient credits. Add more to continue.",
    403: "Permission denied",
    404: "Not Found",
    408: "Request timed out",
    413: "Payload too large",
    422: "Unprocessable request",
    429: "Rate limit exceeded",
    500: "Internal Server Error",
    502: "Provider returned error",
    503: "No instances available",
    524: "Edge network timeout",
    529: "Provider overloaded",
}


@dataclass(frozen=True)
class Piece:
    """Bytes due `at` seconds after the request arrived."""

    at: float
    data: bytes
    token: bool = False
    """Brings a part of the reply (content, reasoning or tool call), not a comment or a closing chunk."""
    content: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything one connection is to do for one answer."""

    status: int
    headers: dict[str, str]
    pieces: list[Piece]
    stream: bool = False
    end: Literal["whole", "truncate", "reset"] = "whole"
    usage: Json | None = None
    finished: bool = True
    """Whether a client that reads to the end has a complete reply, or a complete error, in hand."""
    split: int = 0


def plan(script: Reply | Fault | Broken, asked: Asked) -> Plan:
    """How to answer this request by this script."""
    if isinstance(script, Fault):
        return fault(script, asked)
    reply = script.reply if isinstance(script, Broken) else script
    asked = replace(asked, served=reply.served or asked.served)
    whole = not asked.body.get("stream") or reply.plain
    if isinstance(script, Broken):
        return _broken_body(script, asked) if whole else _broken_stream(script, asked)
    return _body(reply, asked) if whole else _stream(reply, asked)


def fault(fault: Fault, asked: Asked) -> Plan:
    """The plain JSON answer of an error before the first token."""
    message = fault.message or MESSAGES.get(fault.status, "Unknown error")
    if fault.echo_key:
        message = f"{message} (key {asked.key})"
    error_type = fault.error_type or ERROR_TYPES.get(fault.status, "unmapped")
    error = {"message": message, "code": fault.status if fault.code is None else fault.code}
    error["metadata"] = {"error_type": error_type} | fault.metadata
    if fault.availability is not None:
        error["availability"] = fault.availability
    data = json.dumps({"error": error}).encode() if fault.body is None else fault.body
    kind = "text/html" if data.lstrip().startswith(b"<") else "application/json"
    headers = {"Content-Type": kind, "X-Generation-Id": asked.generation}
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    return Plan(fault.status, headers | fault.headers, [Piece(fault.delay, data)])


def _event(reply: Reply, value: Json | str) -> bytes:
    """One server-sent event; the JSON keeps its UTF-8 characters, as OpenRouter's does."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    lines = [f"data: {text}", "", ""]
    if reply.unknown_fields:
        lines = ["event: message", "id: 7", "retry: 3000", *lines]
    return ("\r\n" if reply.crlf else "\n").join(lines).encode()


def _comment(reply: Reply) -> bytes:
    return b": OPENROUTER PROCESSING" + (b"\r\n\r\n" if reply.crlf else b"\n\n")


def _comments(reply: Reply, begin: float, end: float) -> list[Piece]:
    """Comments at `begin` and then every `comment_every` seconds, before `end`."""
    if not reply.comments:
        return []
    count = max(1, ceil((end - begin) / reply.comment_every))
    return [Piece(begin + n * reply.comment_every, _comment(reply)) for n in range(count)]


def _stream(reply: Reply, asked: Asked) -> Plan:
    """The whole event stream of a reply that goes well."""
    usage, frame = usage_of(reply, asked), frame_of(reply, asked, "chat.completion.chunk")
    at, pieces = reply.first_token, _comments(reply, 0.0, reply.first_token)
    if reply.null_first_content:
        opening = choice_of(reply, {"role": "assistant", "content": None})
        pieces.append(Piece(at, _event(reply, frame | {"choices": [opening]})))
    for n, (delta, content) in enumerate(deltas_of(reply)):
        if n == 1 or (n and reply.gap > reply.comment_every):
            pieces += _comments(reply, at - reply.gap, at)
        event = _event(reply, frame | {"choices": [choice_of(reply, delta)]})
        pieces.append(Piece(at, event, token=True, content=content))
        at += reply.gap
    pieces += [Piece(at, _event(reply, chunk)) for chunk in _closing(reply, asked, frame, usage)]
    pieces += [Piece(at, _event(reply, "[DONE]"))] if reply.done else []
    headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
    headers |= {"Cache-Control": "no-cache"} | _generation(reply, asked)
    return Plan(200, headers, pieces, True, usage=usage, split=int(reply.split_bytes))


def _closing(reply: Reply, asked: Asked, frame: Json, usage: Json | None) -> Iterator[Json]:
    """The chunk with the finish reason, then the one with the usage if there is any."""
    delta = {} if reply.local == "llama.cpp" else {"content": ""}
    last = frame | {"choices": [choice_of(reply, delta, finish_of(reply), native_of(reply))]}
    extra = metadata_of(reply, asked) | timings_of(reply)
    if usage is None:
        yield last | extra
        return
    yield last
    choices = [choice_of(reply, delta)] if reply.usage_with_choice else []
    yield frame | {"choices": choices, "usage": usage} | extra


def _generation(reply: Reply, asked: Asked) -> dict[str, str]:
    return {} if reply.local else {"X-Generation-Id": asked.generation}


def _body(reply: Reply, asked: Asked, error: Json | None = None) -> Plan:
    """The whole reply as one JSON body, due when its last delta would have been."""
    message: Json = {"role": "assistant", "content": reply.text or None}
    message |= {} if reply.local else {"refusal": None}
    if reply.reasoning:
        message[reply.reasoning_key] = reply.reasoning
    if reply.details or (reply.reasoning and reply.reasoning_key == "reasoning"):
        message["reasoning_details"] = [*reply.details, *details_of(reply.reasoning)]
    if reply.annotations:
        message["annotations"] = citations_of(reply)
    if reply.tool_calls:
        message["tool_calls"] = [
            {"index": n, "id": i, "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (i, name, arguments) in enumerate(reply.tool_calls)
        ]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_of(reply),
        "native_finish_reason": native_of(reply),
    }
    if error is not None:
        choice |= {"finish_reason": "error", "native_finish_reason": None, "error": error}
    usage = usage_of(reply, asked) if error is None else None
    frame = frame_of(reply, asked, "chat.completion") | {"choices": [choice], "system_fingerprint": None}
    whole = frame | ({"usage": usage} if usage is not None else {}) | metadata_of(reply, asked)
    at = reply.first_token + reply.gap * len(list(deltas_of(reply)))
    headers = {"Content-Type": "application/json"} | _generation(reply, asked)
    return Plan(200, headers, [Piece(at, json.dumps(whole, ensure_ascii=False).encode(), token=True)], usage=usage)


def _broken_body(broken: Broken, asked: Asked) -> Plan:
    """What a fault in mid-reply looks like to a client that waits for one JSON body."""
    kept = "".join(cut(broken.reply.text, broken.reply.chunks)[: broken.after])
    if broken.kind == "error":
        return replace(_body(replace(broken.reply, text=kept), asked, broken.error), finished=False)
    good = _body(broken.reply, asked)
    piece = good.pieces[0]
    half = piece.data[: len(piece.data) // 2]
    match broken.kind:
        case "malformed":
            return replace(good, pieces=[replace(piece, data=half)], finished=False)
        case "stall":
            return replace(good, pieces=[replace(piece, at=piece.at + broken.stall)])
        case _:
            return replace(good, pieces=[], end="reset", finished=False, usage=None)


def _broken_stream(broken: Broken, asked: Asked) -> Plan:
    good, reply = _stream(broken.reply, asked), broken.reply
    edge = _edge(good.pieces, broken.after)
    before, rest = good.pieces[:edge], good.pieces[edge:]
    at = rest[0].at if rest else before[-1].at
    frame = frame_of(reply, asked, "chat.completion.chunk")
    match broken.kind:
        case "malformed":
            torn = _event(reply, frame | {"choices": [choice_of(reply, {"content": "cut in the middle"})]})
            before.append(Piece(at, torn[: len(torn) // 2] + torn[-2 if not reply.crlf else -4 :]))
            return replace(good, pieces=before + rest)
        case "stall":
            later = [replace(piece, at=piece.at + broken.stall) for piece in rest]
            return replace(good, pieces=before + _comments(reply, at, at + broken.stall) + later)
        case "error":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            chunk = frame | {"error": broken.error, "choices": [choice]}
            return replace(good, pieces=[*before, Piece(at, _event(reply, chunk))], usage=None, finished=False)
        case "truncate":
            return replace(good, pieces=before, end="truncate", usage=None, finished=False)
        case "disconnect":
            torn = [Piece(at, rest[0].data[:40])] if before and rest else []
            return replace(good, pieces=before + torn, end="reset", usage=None, finished=False)


def _edge(pieces: list[Piece], after: int) -> int:
    """Where the pieces stop when `after` content deltas have gone, or all of them if there are fewer."""
    places = [n for n, piece in enumerate(pieces) if piece.content]
    if after <= 0 or not places:
        return next((n for n, piece in enumerate(pieces) if piece.token), len(pieces))
    return places[min(after, len(places)) - 1] + 1
