"""A loopback server with files and batches as in OpenAI's published API reference, answering from a function."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
CREATED = 1714508499


@dataclass(frozen=True)
class Refused:
    """What a line meets that its endpoint does not take."""

    status: int = 400
    message: str = "Invalid value."


@dataclass
class Batch:
    """A batch and its lines; `looks` is how often it was asked for."""

    id: str
    file: str
    lines: list[Json]
    status: str = "validating"
    errors: Json | None = None
    output: str | None = None
    error: str | None = None
    done: int = 0
    failed: int = 0
    looks: int = 0

    def wire(self) -> Json:
        counts = {"total": len(self.lines), "completed": self.done, "failed": self.failed}
        moments = {f"{name}_at": None for name in ("finalizing", "failed", "expired", "cancelling", "cancelled")}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "errors": self.errors,
            "input_file_id": self.file,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output,
            "error_file_id": self.error,
            "created_at": CREATED,
            "in_progress_at": CREATED + 39,
            "expires_at": CREATED + 86_400,
            "completed_at": CREATED + 4_194 if self.status == "completed" else None,
            **moments,
            "request_counts": counts if self.status != "validating" else dict.fromkeys(counts, 0),
            "metadata": None,
        }


@dataclass
class BatchServer:
    """Runs from `with` to the end of the block.

    Attributes:
        answer: the text for a line's body, or how it is refused; None: it was not carried out in time.
        looks: how often a batch is asked for before it has ended.
        open: batches end only while this is set.
        ends: the status in which batches end.
        faults: statuses with which the next requests of a path are answered before all else.
    """

    answer: Callable[[Json], str | Refused | None] = lambda body: "An answer."
    looks: int = 0
    ends: str = "completed"
    open: threading.Event = field(default_factory=threading.Event)
    faults: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    batches: dict[str, Batch] = field(default_factory=dict[str, Batch])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    half_way: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self.open.set()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=lambda: self._http.serve_forever(0.05), name="fake-batches", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def bodies(self) -> list[Json]:
        """The body of every line that was sent."""
        return [line["body"] for batch in self.batches.values() for line in batch.lines]

    def reply(self, method: str, path: str, content_type: str, raw: bytes) -> tuple[int, Json | bytes]:
        """The status and the body for a request."""
        with self.lock:
            self.requests.append((method, path))
            if waiting := self.faults.get(f"{method} {path}"):
                return waiting.pop(0), {"error": {"message": "Try again.", "type": "server_error", "code": None}}
            match method, path.strip("/").split("/"):
                case "POST", ["files"]:
                    return self._upload(content_type, raw)
                case "POST", ["batches"]:
                    return 200, self._start(json.loads(raw)).wire()
                case "GET", ["batches"]:
                    listed = [batch.wire() for batch in reversed(self.batches.values())]
                    return 200, {"object": "list", "data": listed, "has_more": False}
                case "GET", ["batches", batch] if batch in self.batches:
                    return 200, self._look(self.batches[batch]).wire()
                case "GET", ["files", file, "content"] if file in self.files:
                    return 200, self.files[file]
                case _:
                    return 404, {"error": {"message": f"No such object: {path}", "type": "invalid_request_error"}}

    def _upload(self, content_type: str, raw: bytes) -> tuple[int, Json]:
        parts = {part.get_param("name", header="content-disposition"): part for part in _parts(content_type, raw)}
        if set(parts) != {"purpose", "file"} or str(parts["purpose"].get_payload()).strip() != "batch":
            return 400, {"error": {"message": "purpose and file are required", "type": "invalid_request_error"}}
        content = parts["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        file = self._file(content)
        told = {"object": "file", "bytes": len(content), "created_at": CREATED, "filename": "x.jsonl"}
        return 200, {"id": file, **told, "purpose": "batch", "status": "processed"}

    def _file(self, content: bytes) -> str:
        name = f"file-abc{len(self.files)}"
        self.files[name] = content
        return name

    def _start(self, asked: Json) -> Batch:
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        batch = Batch(f"batch_abc{len(self.batches)}", asked["input_file_id"], lines)
        self.batches[batch.id] = batch
        return batch

    def _look(self, batch: Batch) -> Batch:
        batch.looks += 1
        if batch.status in ("validating", "in_progress"):
            if wrong := _wrong(batch.lines):
                self._fail(batch, wrong)
            elif batch.looks <= self.looks or not self.open.is_set():
                batch.status, batch.done = "in_progress", len(batch.lines) // 2
                self.half_way.set()
            elif self.ends == "failed":
                self._fail(batch, "Enqueued token limit reached for the model.")
            else:
                self._carry_out(batch)
        return batch

    def _fail(self, batch: Batch, message: str) -> None:
        error = {"code": "token_limit_exceeded", "message": message, "param": None, "line": None}
        batch.status, batch.errors, batch.done = "failed", {"object": "list", "data": [error]}, 0

    def _carry_out(self, batch: Batch) -> None:
        """Answer every line, in another order than they came."""
        good: list[Json] = []
        bad: list[Json] = []
        for number, line in enumerate(reversed(batch.lines)):
            answer = self.answer(line["body"])
            if answer is None and self.ends == "cancelled":  # what was not begun is in neither file
                continue
            entry = _entry(number, line, answer)
            (good if (entry["response"] or {}).get("status_code") == 200 else bad).append(entry)
        batch.output, batch.error = (self._file(_jsonl(entries)) if entries else None for entries in (good, bad))
        batch.status, batch.done, batch.failed = self.ends, len(good), len(bad)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: BatchServer

    def _reply(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0].removeprefix("/v1")
        status, body = self.owner.reply(self.command, path, self.headers.get("content-type", ""), raw)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _reply

    def log_message(self, format: str, *args: object) -> None:
        pass


def _parts(content_type: str, raw: bytes) -> Iterator[Message]:
    whole = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + raw)
    for part in whole.get_payload():
        assert isinstance(part, Message)
        yield part


def _wrong(lines: list[Json]) -> str:
    """What OpenAI would not take in a file."""
    if len({line["custom_id"] for line in lines}) < len(lines):
        return "The custom_id of a line is not unique."
    if len({line["body"]["model"] for line in lines}) > 1:
        return "All requests of a batch must be to one model."
    if any((line["method"], line["url"]) != ("POST", "/v1/chat/completions") for line in lines):
        return "The URL of a line is not the batch's endpoint."
    return "stream is not supported." if any("stream" in line["body"] for line in lines) else ""


def _entry(number: int, line: Json, answer: str | Refused | None) -> Json:
    entry: Json = {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "response": None, "error": None}
    if answer is None:
        return entry | {"error": EXPIRED}
    if isinstance(answer, Refused):
        error = {"message": answer.message, "type": "invalid_request_error", "param": None, "code": None}
        body: Json = {"error": error}
        return entry | {"response": {"status_code": answer.status, "request_id": f"req_{number}", "body": body}}
    message = {"role": "assistant", "content": answer, "refusal": None, "annotations": []}
    body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1711475054,
        "model": line["body"]["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        "system_fingerprint": None,
    }
    return entry | {"response": {"status_code": 200, "request_id": f"req_{number}", "body": body}}


def _jsonl(entries: list[Json]) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
