"""What a test tells the server to answer: replies, faults, broken streams, refused parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One model's answer and the way it goes over the wire; times in seconds."""

    text: str = "Hello world."
    chunks: int | None = None
    """How many content deltas; None cuts after every third word."""
    reasoning: str = ""
    reasoning_key: Literal["reasoning", "reasoning_content"] = "reasoning"
    first_token: float = 0.0
    gap: float = 0.0
    served: str | None = None
    """The concrete model in the answer; None is the requested one, or the target of a `~` alias."""
    provider: str | None = None
    finish: str | None = "auto"
    """"auto" is "tool_calls" when there are tool calls, else "stop"; None leaves finish_reason null."""
    native_finish: str | None = "auto"
    usage: Json | Literal["computed"] | None = "computed"
    """A dict is sent as it is; None sends no usage at all."""
    cost: float | None = None
    """US dollars in the computed usage; None takes the catalogue's prices."""
    annotations: Sequence[Json] = ()
    """url_citation objects: {"url", "title", "content", "start_index", "end_index"}."""
    tool_calls: Sequence[tuple[str, str, str]] = ()
    """(id, function name, arguments as JSON text)."""
    details: Sequence[Json] = ()
    """reasoning_details of a first delta: signed or encrypted thoughts, records of server tools."""
    comments: bool = False
    comment_every: float = 0.25
    unknown_fields: bool = False
    crlf: bool = False
    split_bytes: int = 0
    """Bytes in each piece written to the socket; 0 writes whole events, True writes single bytes."""
    plain: bool = False
    usage_only_if_asked: bool = False
    null_first_content: bool = False
    usage_with_choice: bool = False
    """The usage chunk brings an empty delta along, as recorded streams of 2025 did, instead of no choices."""
    blank_finish: bool = False
    """Deltas say finish_reason "" instead of null, as some Ollama versions do."""
    done: bool = True
    local: Literal["llama.cpp", "ollama", "lm studio"] | None = None
    """Leave out what only OpenRouter sends and shape chunks as this local server does."""


@dataclass(frozen=True)
class Fault:
    """An error answered before the first token: plain JSON with an HTTP status, never an event stream."""

    status: int = 500
    message: str | None = None
    code: int | str | None = None
    """What stands in the body; None repeats the status, as OpenRouter does."""
    error_type: str | None = None
    metadata: Json = field(default_factory=dict)
    availability: Json | None = None
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """These bytes instead of the error body, e.g. a proxy's HTML page."""
    echo_key: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Broken:
    """A reply whose stream goes wrong after `after` content deltas."""

    reply: Reply = field(default_factory=Reply)
    after: int = 5
    kind: Literal["disconnect", "truncate", "malformed", "stall", "error"] = "disconnect"
    error: Json = field(
        default_factory=lambda: {
            "code": 502,
            "message": "Provider disconnected unexpectedly",
            "metadata": {"error_type": "provider_unavailable"},
        }
    )
    stall: float = 20.0
    """Seconds of silence (or of comments, if the reply has them) before the stream goes on."""


@dataclass(frozen=True)
class RefuseParameter:
    """Refuses a request that has the parameter `name`, else answers `then`.

    `name` is a body key ("tools"), a dotted path ("reasoning.effort") or a type of
    response_format ("json_object").
    """

    name: str
    then: Any = field(default_factory=Reply)
    status: int = 400
    message: str | None = None
    body: bytes | None = None

    def answer(self, body: Json) -> Any:
        """The script that answers this request body."""
        if not _asks_for(body, self.name):
            return self.then
        message = self.message or f"Unsupported parameter: '{self.name}' is not supported with this model."
        return Fault(self.status, message, error_type="invalid_request", body=self.body)


Step = Reply | Fault | Broken | RefuseParameter
Script = Step | Sequence[Step] | Callable[[Any], Step]


def refuses(name: str, then: Any = None, *, status: int = 400, message: str | None = None) -> RefuseParameter:
    """Short for RefuseParameter."""
    return RefuseParameter(name, then if then is not None else Reply(), status, message)


def lm_studio(text: str, **more: Any) -> RefuseParameter:
    """LM Studio: a JSON answer only by json_schema; json_object is a 400 whose `error` is a bare string."""
    quirks: Json = {"usage_only_if_asked": True}
    refusal = json.dumps({"error": "'response_format.type' must be 'json_schema' or 'text'"}).encode()
    reply = Reply(text, local="lm studio", **(quirks | more))
    return RefuseParameter("json_object", reply, body=refusal)


def llama_cpp(text: str, **more: Any) -> Reply:
    """llama-server: a null first content, usage only if asked, thinking in `reasoning_content`, `timings`."""
    quirks: Json = {
        "null_first_content": True,
        "usage_only_if_asked": True,
        "reasoning_key": "reasoning_content",
    }
    return Reply(text, local="llama.cpp", **(quirks | more))


def context_exceeded(prompt: int = 5031, context: int = 2048) -> Fault:
    """llama-server's 400 for a prompt that is too long, as it was recorded."""
    message = f"request ({prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
    error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return Fault(400, body=json.dumps({"error": error | {"n_prompt_tokens": prompt, "n_ctx": context}}).encode())


def ollama(text: str, **more: Any) -> Reply:
    """Ollama's /v1: usage only if asked, thinking in `reasoning`, no price."""
    quirks: Json = {"usage_only_if_asked": True}
    return Reply(text, local="ollama", **(quirks | more))


def analysis_json(labels: Sequence[str] = ("A", "B", "C")) -> str:
    """A judge's reply with all five fields, its panelists named by label."""
    first, last = labels[0], labels[-1]
    stances = [{"label": label, "stance": f"Answer {label} takes position {n}."} for n, label in enumerate(labels, 1)]
    return json.dumps(
        {
            "consensus": ["All answers name the same cause."],
            "contradictions": [{"topic": "Which remedy comes first", "stances": stances}],
            "partial_coverage": [{"labels": list(labels[:2]), "point": "The cost of waiting."}],
            "unique_insights": [{"label": last, "insight": f"Only answer {last} gives a date."}],
            "blind_spots": [f"No answer, not even {first}, says how to measure success."],
        }
    )


def _asks_for(body: Json, name: str) -> bool:
    response_format = body.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") == name:
        return True
    value: Any = body
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value is not None
