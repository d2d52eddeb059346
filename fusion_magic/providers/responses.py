"""OpenRouter's Responses API, on which its own Fusion tells what goes on inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr, TypeAdapter

from ..endpoints import Endpoint
from ..results import Source
from . import ChatRequest, Chunk, Inner, Message, ServerUse
from .asked import headers_of
from .chat_completions import Wire
from .json_values import as_count, as_list, as_object, as_text
from .refusals import sentence
from .wire import ChunkReader

FUSION = "openrouter:fusion"
EVENT = "response.fusion_call."
TEXTS = ("response.output_text.delta", "response.refusal.delta")
THOUGHTS = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
ENDS = ("response.completed", "response.incomplete", "response.failed")
SEATS = ("responses", "failed_models")
CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
PASSING = ("asked", "thought", "wrote", "mused")  # what is not kept, as what follows holds it


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The JSON body; `request.messages` are in the form of Chat Completions, system texts first."""
    told = [str(message["content"]) for message in request.messages if message["role"] == "system"]
    body: dict[str, Any] = {
        "model": request.model,
        "input": [_item(message) for message in request.messages if message["role"] != "system"],
        "instructions": "\n\n".join(told) or None,
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "reasoning": {"effort": request.effort} if request.effort else None,
        "tools": list(request.tools) or None,
        "tool_choice": request.tool_choice,
        "session_id": request.session or None,
        "stream": True,
        "store": False,
    }
    return {name: value for name, value in body.items() if value is not None} | dict(request.extra)


def _item(message: Message) -> dict[str, Any]:
    content: Any = message["content"]
    parts = content if isinstance(content, str) else [_part(part) for part in content]
    return {"type": "message", "role": message["role"], "content": parts}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "image_url":
            return {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
        case "file":
            return {"type": "input_file", **part["file"]}
        case _:
            return {"type": "input_text", "text": part["text"]}


def headers(endpoint: Endpoint, key: SecretStr | None) -> dict[str, str]:
    """Headers without the guard against a fusion inside a fusion, as a fusion is what is asked for."""
    given = headers_of(endpoint, key)
    return {name: value for name, value in given.items() if name != "x-openrouter-fusion-depth"}


class ResponsesReader:
    """Turns one response's events, or its whole body, into chunks.

    Events name a seat by its model only. While several seats of one model are asked, their pieces can't be told apart
    and are left out; each whole answer comes with its end. The last chunk's `server_uses` has what happened inside as
    JSON, for `told_again`.

    Attributes:
        finished: the response is whole (or at its limit, or filtered).
        broken_off: OpenRouter says that it broke the response off.
    """

    def __init__(self, key: SecretStr | None = None) -> None:
        self._key = key  # that nothing told may hold
        self.finished = self.broken_off = False
        self._text: list[str] = []
        self._record: list[Inner] = []
        self._asked, self._settled = Counter[str](), Counter[str]()
        self._thoughts: dict[str, str] = {}
        self._gap = ""
        self._is_said = False  # whether the text that ends now came in pieces

    def error_in(self, data: dict[str, Any]) -> object:
        """The error that an object reports, or None. A response that fails after its fusion began is read instead."""
        response = as_object(data.get("response")) or data
        if data.get("type") == "error":
            return data.get("error") or {"code": data.get("code"), "message": data.get("message")}
        if response.get("status") == "failed" and not self._record:
            return response.get("error") or {"message": "the response failed"}
        return data.get("error") if "type" not in data else None  # a seat's failure has an error too

    def read(self, data: dict[str, Any]) -> Chunk | None:
        """The chunk in an event or a whole response, or None if it brings nothing."""
        kind, item = as_text(data.get("type")), as_object(data.get("item"))
        if data.get("object") == "response":
            return self._end(data)
        if kind in ENDS:
            return self._end(as_object(data.get("response")))
        if kind in TEXTS:
            self._is_said = True
            return Chunk(text=self._say(as_text(data.get("delta"))))
        if kind == "response.output_text.done":
            said, self._is_said = self._is_said, False
            return None if said else Chunk(text=self._say(as_text(data.get("text"))))
        if kind == "response.output_item.added":
            self._gap = "\n\n" if self._text else ""
            return self._told([self._begin()] if item.get("type") == FUSION else [])
        if kind == "response.output_item.done":
            return self._told(self._fusion(item) if item.get("type") == FUSION else [])
        if kind in THOUGHTS:
            thought = as_text(data.get("delta"))
            return self._told([Inner("mused", text=thought)] if thought else [])
        if kind.startswith(EVENT):
            return self._told(self._event(kind.removeprefix(EVENT), data))
        response = as_object(data.get("response"))
        return Chunk(served=as_text(response.get("model")) or None, request_id=as_text(response.get("id")) or None)

    def _say(self, text: str) -> str:
        """Text of the model that was asked; one message after another is a paragraph of its own."""
        said, self._gap = (self._gap + text if text else ""), "" if text else self._gap
        self._text.append(said)
        return said

    def _told(self, happened: list[Inner]) -> Chunk:
        """What happened as a chunk; an empty one for what is left out, as it says that the server still works."""
        self._record += [inner for inner in happened if inner.kind not in PASSING]
        return Chunk(inner=tuple(happened))

    def _begin(self, before: str | None = None) -> Inner:
        self._gap = ""
        return Inner("began", text="".join(self._text) if before is None else before)

    def _event(self, kind: str, data: dict[str, Any]) -> list[Inner]:
        model = as_text(data.get("model"))
        begins = [] if self._record else [self._begin()]
        match kind:
            case "panel.added":
                self._asked[model] += 1
                return [*begins, Inner("asked", model)]
            case "panel.delta" | "panel.reasoning.delta":
                return [*begins, *self._piece(model, kind == "panel.delta", as_text(data.get("delta")))]
            case "panel.completed":
                return [*begins, self._answer(model, as_text(data.get("content")))]
            case "panel.failed":
                return [*begins, self._failure(model, data)]
            case "analysis.in_progress":
                return [*begins, Inner("compares", as_text(data.get("analyst_model") or data.get("judge_model")))]
            case "analysis.completed":
                return [*begins, Inner("compared", analysis=as_object(data.get("analysis")))]
            case _:  # in_progress, and completed, after which the item comes
                return begins

    def _piece(self, model: str, is_text: bool, piece: str) -> Iterator[Inner]:
        if self._asked[model] > 1:
            return
        if not is_text:
            self._thoughts[model] = self._thoughts.get(model, "") + piece
        yield Inner("wrote" if is_text else "thought", model, piece)

    def _answer(self, model: str, content: str) -> Inner:
        self._settle(model)
        return Inner("answered", model, content, self._thoughts.pop(model, ""))

    def _failure(self, model: str, data: Mapping[str, Any]) -> Inner:
        self._settle(model)
        return Inner("failed", model, self._said(data.get("error")), status=as_count(data.get("status_code")) or None)

    def _said(self, error: object) -> str:
        return sentence(as_text(error), self._key)

    def _settle(self, model: str) -> None:
        self._asked[model] = max(0, self._asked[model] - 1)
        self._settled[model] += 1

    def _fusion(self, item: dict[str, Any], before: str | None = None) -> list[Inner]:
        """The end of a fusion, with what no event has told of it; `before` as the text that was written before it."""
        happened: list[Inner] = [] if self._record else [self._begin(before)]
        entries = [as_object(entry) for name in SEATS for entry in as_list(item.get(name))]
        # Counted, because events may name a model by its alias and the item by its full name.
        told, missing = self._settled.copy(), len(entries) - self._settled.total()
        for entry in entries:
            told[model := as_text(entry.get("model"))] -= 1
            if told[model] < 0 < missing:
                missing -= 1
                content = as_text(entry.get("content"))
                happened.append(self._failure(model, entry) if "error" in entry else self._answer(model, content))
        analysis = as_object(item.get("analysis"))
        if analysis and not any(inner.kind == "compared" for inner in self._record):
            happened.append(Inner("compared", analysis=analysis))
        error, reason = self._said(item.get("error")), self._said(item.get("failure_reason"))
        return [*happened, Inner("ended", text=error, reason=reason, sources=_sources(item))]

    def _end(self, response: dict[str, Any]) -> Chunk:
        """The last chunk: what the output has and no event told, and usage and cost of the whole."""
        text, happened, streamed = "", list[Inner](), bool(self._text)
        for item in map(as_object, as_list(response.get("output"))):
            if item.get("type") == FUSION and not any(inner.kind == "ended" for inner in (*self._record, *happened)):
                happened += self._fusion(item, before="" if streamed else None)
            elif item.get("type") == "message" and not streamed:
                self._gap = "\n\n" if self._text else ""
                text += self._say(_text_of(item))
        status = as_text(response.get("status"))
        self.finished, self.broken_off = status != "failed", status == "failed"
        finish = "stop"
        if status == "incomplete":
            finish = CUT.get(as_text(as_object(response.get("incomplete_details")).get("reason")), "incomplete")
        elif status == "failed":
            finish = "error"
            happened.append(Inner("broke", text=self._said(as_object(response.get("error")).get("message"))))
        self._told(happened)
        usage = ChunkReader().read({**response, "choices": [], "usage": _usage(response)})
        uses = (ServerUse(FUSION, "", _RECORD.dump_json(self._record).decode()),) if self._record else ()
        return replace(usage or Chunk(), text=text, inner=tuple(happened), finish=finish, server_uses=uses)


_RECORD = TypeAdapter(list[Inner])
RESPONSES = Wire("/responses", body_of, headers, ResponsesReader)


def told_again(use: ServerUse) -> list[Inner]:
    """What happened inside a fusion, as the last chunk of the response that told it has it."""
    return _RECORD.validate_json(use.result)


def _sources(item: dict[str, Any]) -> tuple[Source, ...]:
    pages = map(as_object, as_list(item.get("sources")))
    named = ((as_text(page.get("url")), as_text(page.get("title"))) for page in pages)
    return tuple(Source(url=url, title=title) for url, title in named if url.startswith(("http://", "https://")))


def _text_of(message: dict[str, Any]) -> str:
    parts = map(as_object, as_list(message.get("content")))
    return "".join(as_text(part.get("text")) or as_text(part.get("refusal")) for part in parts)


def _usage(response: dict[str, Any]) -> dict[str, Any]:
    """The usage under the names of Chat Completions."""
    usage = as_object(response.get("usage"))
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    details = {f"{old}_details": f"{new}_details" for old, new in names.items()}
    return {{**names, **details}.get(name, name): value for name, value in usage.items()}
