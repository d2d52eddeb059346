"""Reading what Chat Completions servers send: deltas, usage, citations, reasoning in its three forms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..results import Source, Usage
from . import Chunk, ToolCall

OPEN, CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Keeps a leading <think>…</think> apart from the text, however the stream cuts it."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """(text, reasoning) that are certain by now."""
        if self._state == "text" or not piece:
            return piece, ""
        self._held += piece
        return self._decide()

    def _decide(self) -> tuple[str, str]:
        if self._state == "start":
            begun = self._held.lstrip()
            if len(begun) < len(OPEN) and OPEN.startswith(begun):
                return "", ""
            if not begun.startswith(OPEN):
                return self._release(), ""
            self._state, self._held = "thinking", begun.removeprefix(OPEN)
        before, found, after = self._held.partition(CLOSE)
        if found:
            self._state, self._held = "text", ""
            return after.lstrip("\n"), before
        # The last characters may be the beginning of the closing tag.
        sure = len(self._held) - len(CLOSE) + 1
        reasoning, self._held = self._held[: max(sure, 0)], self._held[max(sure, 0) :]
        return "", reasoning

    def _release(self) -> str:
        self._state, held, self._held = "text", self._held, ""
        return held

    def flush(self) -> tuple[str, str]:
        """What is still held when the stream ends: text, or the rest of an unclosed thought."""
        thinking, held = self._state == "thinking", self._release()
        return ("", held) if thinking else (held, "")


class ChunkReader:
    """Turns one call's wire objects into chunks; `finished` once a finish reason has come."""

    def __init__(self) -> None:
        self.finished = False
        self._split = ThinkSplitter()
        self._calls: dict[int, dict[str, str]] = {}

    def read(self, data: dict[str, Any]) -> Chunk | None:
        """The chunk in a `chat.completion.chunk`, or None if it brings nothing."""
        choices = data.get("choices") or ()
        if not choices:
            return _usage_chunk(data)
        choice = choices[0] or {}
        return self._chunk(data, choice, choice.get("delta") or {})

    def whole(self, data: dict[str, Any]) -> Chunk:
        """The chunk in a `chat.completion` that came in one piece."""
        choice = (data.get("choices") or [{}])[0] or {}
        return self._chunk(data, choice, choice.get("message") or {})

    def _chunk(self, data: dict[str, Any], choice: dict[str, Any], delta: dict[str, Any]) -> Chunk:
        finish = choice.get("finish_reason")
        self._add_tool_calls(delta.get("tool_calls") or ())
        text, thought = self._split.feed(_text(delta.get("content")))
        reasoning = _reasoning(delta)
        if finish:
            self.finished = True
            rest, unclosed = self._split.flush()
            text, thought = text + rest, thought + unclosed
        return Chunk(
            text=text,
            reasoning=reasoning + thought,
            served=data.get("model"),
            request_id=data.get("id"),
            finish=finish,
            usage=_usage(data),
            cost=_cost(data),
            sources=_sources(delta.get("annotations") or ()),
            tool_calls=self._tool_calls() if finish else (),
        )

    def _add_tool_calls(self, deltas: Iterable[dict[str, Any]]) -> None:
        for position, delta in enumerate(deltas):
            call = self._calls.setdefault(delta.get("index", position), {"id": "", "name": "", "arguments": ""})
            function = delta.get("function") or {}
            call["id"] = call["id"] or delta.get("id") or ""
            call["name"] = call["name"] or function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(**self._calls[index]) for index in sorted(self._calls))


def _text(content: Any) -> str:
    """Content as a string; a few servers send a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _reasoning(delta: dict[str, Any]) -> str:
    plain = delta.get("reasoning") or delta.get("reasoning_content")
    if isinstance(plain, str):
        return plain
    details = delta.get("reasoning_details") or ()
    return "".join(part.get("text") or part.get("summary") or "" for part in details if isinstance(part, dict))


def _usage_chunk(data: dict[str, Any]) -> Chunk | None:
    usage = _usage(data)
    return Chunk(usage=usage, cost=_cost(data), served=data.get("model"), request_id=data.get("id")) if usage else None


def _usage(data: dict[str, Any]) -> Usage | None:
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return None
    given, written = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=written.get("reasoning_tokens") or 0,
        cached_tokens=given.get("cached_tokens") or 0,
    )


def _cost(data: dict[str, Any]) -> float | None:
    cost = (data.get("usage") or {}).get("cost")
    return float(cost) if isinstance(cost, int | float) else None


def _sources(annotations: Iterable[Any]) -> tuple[Source, ...]:
    cited = (item.get("url_citation") or item for item in annotations if isinstance(item, dict))
    return tuple(Source(url=item["url"], title=item.get("title") or "") for item in cited if item.get("url"))
