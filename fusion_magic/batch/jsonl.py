"""The lines of a batch's files: a call as it is sent, and what comes back for it.

As in https://platform.openai.com/docs/api-reference/batch: each line of the input has a `custom_id`, by which the lines
of the output and error files, in any order, are told apart.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from ..errors import CallError, RequestRefused, StreamBroken
from ..prompts import digest
from ..providers import ChatRequest, Chunk
from ..providers.asked import body_of
from ..providers.json_values import as_count, as_object, as_text
from ..providers.refusals import refusal, sentence, stream_refusal
from ..providers.wire import ChunkReader

URL = "/v1/chat/completions"
MOST_LINES, MOST_BYTES = 50_000, 200_000_000  # of a file; both are OpenAI's
STREAMING = ("stream", "stream_options")
AGAIN = "run the same call again to ask it anew"


@dataclass(frozen=True, slots=True)
class Told:
    """What came back for a line: its entry in a file, and the batch that carried it out."""

    batch: str
    entry: dict[str, Any]


@dataclass(eq=False, slots=True)
class Line:
    """A call in a batch.

    Attributes:
        id: its `custom_id`, the same for the same call in another process.
        request: the call.
        data: its line in the file, until that is sent.
        told: what comes back for it.
    """

    id: str
    request: ChatRequest
    data: bytes
    told: asyncio.Future[Told]

    def fail(self, error: CallError) -> None:
        """Let whoever waits know why there is no answer; nobody asks again by himself."""
        if not self.told.done():
            self.told.set_exception(type(error)(str(error), status_code=error.status_code))
            self.told.exception()  # nobody need wait any more


def line_of(request: ChatRequest, tokens: int, taken: Collection[str]) -> Line:
    """The line of a call, in the event loop that waits for it.

    Args:
        request: the call.
        tokens: its limit of output tokens, before a budget made it less.
        taken: ids of the lines there are; seats may be asked the very same.
    """
    body, whole = _body(request), _body(replace(request, max_tokens=tokens))
    same = digest(request.endpoint.base_url, json.dumps(whole, sort_keys=True))[:40]
    name = next(name for number in count(1) if (name := f"{same}-{number}") not in taken)
    sent = {"custom_id": name, "method": "POST", "url": URL, "body": body}
    data = json.dumps(sent, ensure_ascii=False).encode() + b"\n"
    return Line(name, request, data, asyncio.get_running_loop().create_future())


def _body(request: ChatRequest) -> dict[str, Any]:
    return {name: value for name, value in body_of(request).items() if name not in STREAMING}


def files_of(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines by file: one endpoint and one model in each, as OpenAI wants it, and no more than fit."""
    together: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        together[line.request.endpoint.base_url, line.request.model].append(line)
    for same in together.values():
        file, size = list[Line](), 0
        for line in same:
            if file and (len(file) == MOST_LINES or size + len(line.data) > MOST_BYTES):
                yield file
                file, size = [], 0
            file.append(line)
            size += len(line.data)
        yield file


def entries_in(content: bytes, ids: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The entries of a file by the id of their line, of these lines; what can't be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for written in content.splitlines():
        with suppress(ValueError, RecursionError):
            entry = as_object(json.loads(written))
            if (line := as_text(entry.get("custom_id"))) in ids:
                found[line] = entry
    return found


def chunk_in(request: ChatRequest, told: Told) -> Chunk:
    """The whole answer of a line, as one chunk.

    Raises:
        RequestRefused: it was not carried out, so it is not billed.
        CallError: what came back is no whole answer.
    """
    response, entry = as_object(told.entry.get("response")), told.entry
    if not response:
        error = as_object(entry.get("error"))
        said = sentence(as_text(error.get("message")) or as_text(error.get("code")), None).rstrip(".")
        raise RequestRefused(f"{request.name}: the batch {told.batch} did not carry it out ({said}); {AGAIN}.")
    body, status = as_object(response.get("body")), as_count(response.get("status_code"))
    if status != 200:
        exc = refusal(request, status, {}, json.dumps(body).encode(), None)
        exc.retryable = False
        raise exc
    reader = ChunkReader()
    if error := reader.error_in(body):
        raise stream_refusal(request, error, None)
    chunk = reader.read(body)
    if chunk is None or not reader.finished:
        raise StreamBroken(f"{request.name}: the answer in the batch {told.batch} is not whole; {AGAIN}.")
    return replace(chunk, request_id=f"{told.batch}/{as_text(entry.get('id'))}")


def why_missing(state: dict[str, Any], request: ChatRequest) -> CallError:
    """Why a batch that has ended has nothing for a call."""
    batch, status = as_text(state.get("id")), as_text(state.get("status"))
    if status == "completed":  # it may be billed
        return CallError(f"{request.name}: the batch {batch} has ended without an answer to it; {AGAIN}.")
    first = next(iter(as_object(state.get("errors")).get("data") or ()), None)
    said = sentence(as_text(as_object(first).get("message")), None).rstrip(".")
    ended = {"failed": "failed", "expired": "expired", "cancelled": "was cancelled"}[status]
    because = f" ({said})" if said else ""
    return RequestRefused(f"{request.name}: the batch {batch} {ended}{because} before it was answered; {AGAIN}.")
