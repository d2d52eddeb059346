"""Reading what Chat Completions servers send: deltas, usage, citations, reasoning in its three forms, catalogues."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from ..prices import FREE, UNKNOWN, amount, price_from_catalogue
from ..results import Source, Usage
from ..settings import Endpoint
from . import Chunk, ModelInfo, ToolCall

OPEN, CLOSE = "<think>", "</think>"
# Words outside OpenAI's vocabulary, with who says them.
FINISHES = {
    "abort": "error",  # vLLM and SGLang, of an answer that is not whole
    "insufficient_system_resource": "error",  # DeepSeek
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "model_context_window_exceeded": "length",  # Anthropic
    "end_turn": "stop",  # Anthropic
    "eos": "stop",  # Together
    "eos_token": "stop",  # older text-generation-inference
}


def as_object(value: object) -> dict[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A JSON array; anything else counts as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_text(value: object) -> str:
    """A JSON string without halves of characters; anything else counts as an empty one."""
    return _whole(value) if isinstance(value, str) else ""


def as_count(value: object) -> int:
    """A number of tokens; anything else counts as 0."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0


def _whole(text: str) -> str:
    """`text` with surrogate pairs joined and lone ones replaced: they can be neither sent nor saved."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class CharacterJoiner:
    r"""Joins a character that a server cut into two chunks, as "\ud83e" and "\udd8a"."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """The characters that are whole by now."""
        piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return _whole(piece)

    def flush(self) -> str:
        """What is left of a character whose other half never came."""
        half, self._half = self._half, ""
        return _whole(half)


class ThinkSplitter:
    """Keeps a leading <think>…</think> apart from the text, however the stream cuts it."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """(text, reasoning) that are certain by now."""
        if self._state == "text" or not piece:
            return piece, ""
        if self._state == "after":
            return self._begin(piece), ""
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
            self._state, self._held = "after", ""
            return self._begin(after), before
        # The last characters may be the beginning of the closing tag.
        sure = max(len(self._held) - len(CLOSE) + 1, 0)
        reasoning, self._held = self._held[:sure], self._held[sure:]
        return "", reasoning

    def _begin(self, piece: str) -> str:
        """The text after the thought, without the line breaks between the two."""
        text = piece.lstrip("\n")
        if text:
            self._state = "text"
        return text

    def _release(self) -> str:
        self._state, held, self._held = "text", self._held, ""
        return held

    def flush(self) -> tuple[str, str]:
        """What is still held when the stream ends: text, or the rest of an unclosed thought."""
        thinking, held = self._state == "thinking", self._release()
        return ("", held) if thinking else (held, "")


class ToolCallJoiner:
    """Puts tool calls together from their deltas."""

    def __init__(self) -> None:
        self._calls: list[dict[str, str]] = []
        self._by_index: dict[int, dict[str, str]] = {}

    def feed(self, deltas: list[Any]) -> None:
        """Take in the `tool_calls` of one delta."""
        for position, delta in enumerate(map(as_object, deltas)):
            index, given = delta.get("index"), as_text(delta.get("id"))
            call = self._call(index if isinstance(index, int) else position, given)
            function = as_object(delta.get("function"))
            call["id"] = call["id"] or given
            call["name"] = call["name"] or as_text(function.get("name"))
            arguments = function.get("arguments")
            call["arguments"] += json.dumps(arguments) if isinstance(arguments, dict) else as_text(arguments)

    def _call(self, index: int, given: str) -> dict[str, str]:
        known = self._by_index.get(index)
        # Some servers give every call the index 0, or none: a new id begins a new call.
        if known is None or (given and known["id"] and given != known["id"]):
            known = self._by_index[index] = {"id": "", "name": "", "arguments": ""}
            self._calls.append(known)
        return known

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, in the order they began."""
        return tuple(ToolCall(**call) for call in self._calls)


class ChunkReader:
    """Turns one call's wire objects into chunks.

    Attributes:
        finished: a finish reason has come, so the answer is whole (or at its limit, or filtered).
        broken_off: the server says that it broke the answer off.
    """

    def __init__(self) -> None:
        self.finished = False
        self.broken_off = False
        self._split = ThinkSplitter()
        self._text, self._thought = CharacterJoiner(), CharacterJoiner()
        self._tools = ToolCallJoiner()

    def read(self, data: dict[str, Any]) -> Chunk | None:
        """The chunk in a `chat.completion.chunk` or a whole `chat.completion`, or None if it brings nothing."""
        choices = as_list(data.get("choices"))
        if not choices:
            return _usage_chunk(data)
        choice = as_object(choices[0])
        return self._chunk(data, choice, as_object(choice.get("delta" if "delta" in choice else "message")))

    def _chunk(self, data: dict[str, Any], choice: dict[str, Any], delta: dict[str, Any]) -> Chunk:
        finish = None if self.finished else _finish(choice.get("finish_reason"))
        self._tools.feed(as_list(delta.get("tool_calls")))
        text, thought = self._split.feed(self._text.feed(_text(delta)))
        reasoning = self._thought.feed(_reasoning(delta)) + thought
        if finish:
            self.finished, self.broken_off = finish != "error", finish == "error"
            more, late = self._split.feed(self._text.flush())
            rest, unclosed = self._split.flush()
            text, reasoning = text + more + rest, reasoning + late + unclosed + self._thought.flush()
        return Chunk(
            text=text,
            reasoning=reasoning,
            served=as_text(data.get("model")) or None,
            request_id=as_text(data.get("id")) or None,
            finish=finish,
            usage=_usage(data),
            cost=_cost(data),
            sources=_sources(as_list(delta.get("annotations"))),
            tool_calls=self._tools.calls() if finish else (),
        )


def error_in(data: dict[str, Any]) -> object:
    """The error that an event or a body reports, or None; `"error": null` is none."""
    if data.get("error"):
        return data["error"]
    if data.get("object") == "error":  # vLLM's older form
        return data
    choice = as_object(next(iter(as_list(data.get("choices"))), None))
    return choice.get("error") if choice.get("finish_reason") == "error" else None


def _finish(value: object) -> str | None:
    word = as_text(value)
    return FINISHES.get(word, word) or None


def _text(delta: dict[str, Any]) -> str:
    """Content as a string; a few servers send a list of parts, and a refusal is an answer in words."""
    content: object = delta.get("content")
    if isinstance(content, list):
        parts = (as_object(part).get("text") for part in as_list(delta["content"]))
        content = "".join(part for part in parts if isinstance(part, str))
    said = content or delta.get("refusal")
    return said if isinstance(said, str) else ""


def _reasoning(delta: dict[str, Any]) -> str:
    for name in ("reasoning", "reasoning_content"):
        if (plain := delta.get(name)) and isinstance(plain, str):
            return plain
    details = map(as_object, as_list(delta.get("reasoning_details")))
    parts = (part.get("text") or part.get("summary") for part in details)
    return "".join(part for part in parts if isinstance(part, str))


def _usage_chunk(data: dict[str, Any]) -> Chunk | None:
    usage, cost = _usage(data), _cost(data)
    if usage is None and cost is None:
        return None
    served, request_id = as_text(data.get("model")) or None, as_text(data.get("id")) or None
    return Chunk(usage=usage, cost=cost, served=served, request_id=request_id)


def _usage(data: dict[str, Any]) -> Usage | None:
    usage = as_object(data.get("usage"))
    if not any(isinstance(usage.get(name), int | float) for name in ("prompt_tokens", "completion_tokens")):
        return None
    given, written = as_object(usage.get("prompt_tokens_details")), as_object(usage.get("completion_tokens_details"))
    return Usage(
        prompt_tokens=as_count(usage.get("prompt_tokens")),
        completion_tokens=as_count(usage.get("completion_tokens")),
        reasoning_tokens=as_count(written.get("reasoning_tokens")),
        cached_tokens=as_count(given.get("cached_tokens")),
    )


def _cost(data: dict[str, Any]) -> float | None:
    """US dollars; with a key of one's own at the provider, what the provider charges is added."""
    usage = as_object(data.get("usage"))
    cost = amount(usage.get("cost"))
    if cost is None or usage.get("is_byok") is not True:
        return cost
    upstream = amount(as_object(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else cost + upstream


def _sources(annotations: list[Any]) -> tuple[Source, ...]:
    """Citations, nested as OpenRouter sends them or flat; only web addresses are links."""
    items = map(as_object, annotations)
    cited = [as_object(item.get("url_citation")) or item for item in items]
    found = ((as_text(item.get("url")), as_text(item.get("title"))) for item in cited)
    return tuple(
        Source(url=url, title=title) for url, title in found if url.lower().startswith(("http://", "https://"))
    )


def model_info(entry: dict[str, Any], endpoint: Endpoint) -> ModelInfo:
    """An entry of the endpoint's /models: OpenRouter says nearly everything, other servers little beside the id."""
    pricing, architecture = as_object(entry.get("pricing")), as_object(entry.get("architecture"))
    free = FREE if endpoint.costs_nothing else UNKNOWN
    context = as_count(entry.get("context_length")) or as_count(as_object(entry.get("meta")).get("n_ctx"))
    return ModelInfo(
        id=as_text(entry["id"]),
        name=as_text(entry.get("name")),
        context=context or None,
        price=price_from_catalogue(pricing) if pricing else free,
        parameters=_words(entry.get("supported_parameters")),
        created=as_count(entry.get("created")),
        canonical=as_text(entry.get("canonical_slug")),
        inputs=_words(architecture.get("input_modalities")),
        outputs=_words(architecture.get("output_modalities")),
    )


def _words(value: object) -> frozenset[str] | None:
    """The strings of a JSON array; None for anything else."""
    return frozenset(map(as_text, cast("list[Any]", value))) if isinstance(value, list) else None
