"""Reading what Chat Completions servers send: deltas, usage, citations, reasoning in its three forms, catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..endpoints import Endpoint
from ..prices import FREE, UNKNOWN, amount, price_from_catalogue
from ..results import Source, Usage
from . import Chunk, ModelInfo, ServerUse
from .joiners import CharacterJoiner, DetailsJoiner, ThinkSplitter, ToolCallJoiner
from .json_values import as_count, as_list, as_object, as_text

QUOTE = 400  # characters kept of a cited passage
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
        self._tools, self._details = ToolCallJoiner(), DetailsJoiner()
        self._reasoning_content = ""  # DeepSeek's models refuse a tool's result without it

    def read(self, data: dict[str, Any]) -> Chunk | None:
        """The chunk in a `chat.completion.chunk` or a whole `chat.completion`, or None if it brings nothing."""
        choices = as_list(data.get("choices"))
        if not choices:
            return _usage_chunk(data)
        choice = as_object(choices[0])
        if (plain := self._plain(data, choice)) is not None:
            return plain
        return self._chunk(data, choice, as_object(choice.get("delta" if "delta" in choice else "message")))

    def _plain(self, data: dict[str, Any], choice: dict[str, Any]) -> Chunk | None:
        """The chunk of a delta that brings text and nothing else, as nearly all do; None for any other."""
        delta: object = choice.get("delta")
        if not isinstance(delta, dict) or choice.get("finish_reason") or data.get("usage"):
            return None
        said = cast("dict[str, Any]", delta)
        content = said.get("content")
        if not isinstance(content, str) or any(said[name] for name in said if name not in ("content", "role")):
            return None
        text, thought = self._split.feed(self._text.feed(content))
        return Chunk(
            text, thought, served=as_text(data.get("model")) or None, request_id=as_text(data.get("id")) or None
        )

    def _chunk(self, data: dict[str, Any], choice: dict[str, Any], delta: dict[str, Any]) -> Chunk:
        finish = None if self.finished else _finish(choice.get("finish_reason"))
        self._tools.feed(as_list(delta.get("tool_calls")))
        details = as_list(delta.get("reasoning_details"))
        self._details.feed(details)
        self._reasoning_content += as_text(delta.get("reasoning_content"))
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
            server_uses=_server_uses(details),
            echo=self._echo() if finish else {},
        )

    def error_in(self, data: dict[str, Any]) -> object:
        """The error that an object reports, or None."""
        return error_in(data)

    def _echo(self) -> Mapping[str, Any]:
        """Fields that the model's message must have when its tool calls are answered."""
        if details := self._details.details():
            return {"reasoning_details": details}
        return {"reasoning_content": self._reasoning_content} if self._reasoning_content else {}


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
        cache_write_tokens=as_count(given.get("cache_write_tokens")),
        web_searches=_searches(usage),
    )


def _searches(usage: dict[str, Any]) -> int:
    """OpenRouter's schema has one name for this, its guide another."""
    ran = as_object(usage.get("server_tool_use_details")) or as_object(usage.get("server_tool_use"))
    return as_count(ran.get("web_search_requests"))


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
    return tuple(
        Source(url=url, title=as_text(item.get("title")), quotes=_quotes(as_text(item.get("content"))))
        for item in cited
        if (url := as_text(item.get("url"))).lower().startswith(("http://", "https://"))
    )


def _quotes(content: str) -> tuple[str, ...]:
    return (content[:QUOTE],) if content.strip() else ()


def _server_uses(details: list[Any]) -> tuple[ServerUse, ...]:
    """Tools that OpenRouter ran, as it records them among the reasoning."""
    records = (detail for detail in map(as_object, details) if detail.get("type") == "reasoning.server_tool_call")
    return tuple(
        ServerUse(as_text(record.get("tool_name")), as_text(record.get("arguments")), as_text(record.get("result")))
        for record in records
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
