"""The JSON of a scripted reply: deltas, choices, frames, usage, as OpenRouter or a local server has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from .scripts import Json, Reply

PROVIDERS = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "google": "Google",
    "moonshotai": "Moonshot AI",
    "deepseek": "DeepSeek",
    "qwen": "Alibaba",
}


@dataclass(frozen=True)
class Asked:
    """What one answer needs to know about its request."""

    body: Json
    served: str
    prices: tuple[float, float]
    """USD per prompt token and per completion token."""
    key: str
    generation: str
    created: int
    metadata: bool = False

    @property
    def requested(self) -> str:
        return str(self.body.get("model"))


def usage_of(reply: Reply, asked: Asked) -> Json | None:
    """The usage object of this reply, tokens taken as four characters each; None when none is due."""
    options = asked.body.get("stream_options") or {}
    if reply.usage_only_if_asked and asked.body.get("stream") and not options.get("include_usage"):
        return None
    if reply.usage != "computed":
        return reply.usage
    prompt = ceil(len(json.dumps(asked.body.get("messages", []))) / 4)
    reasoning = ceil(len(reply.reasoning) / 4)
    calls = sum(len(name) + len(arguments) for _, name, arguments in reply.tool_calls)
    completion = ceil((len(reply.text) + calls) / 4) + reasoning
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if reply.local == "llama.cpp":
        return tokens | {"prompt_tokens_details": {"cached_tokens": 0}}
    return tokens if reply.local else tokens | _billing(reply, asked, prompt, completion, reasoning)


def _billing(reply: Reply, asked: Asked, prompt: int, completion: int, reasoning: int) -> Json:
    prompt_cost, completion_cost = prompt * asked.prices[0], completion * asked.prices[1]
    cost = prompt_cost + completion_cost if reply.cost is None else reply.cost
    return {
        "cost": round(cost, 10),
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": round(prompt_cost, 10),
            "upstream_inference_completions_cost": round(completion_cost, 10),
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def cut(text: str, parts: int | None) -> list[str]:
    """Text in `parts` pieces of about one length, or after every third word."""
    if not text:
        return []
    if parts is None:
        words = re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", text)
        return ["".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    parts = min(parts, len(text))
    edges = [len(text) * n // parts for n in range(parts + 1)]
    return [text[a:b] for a, b in pairwise(edges)]


def finish_of(reply: Reply) -> str | None:
    if reply.finish != "auto":
        return reply.finish
    return "tool_calls" if reply.tool_calls else "stop"


def native_of(reply: Reply) -> str | None:
    return finish_of(reply) if reply.native_finish == "auto" else reply.native_finish


def timings_of(reply: Reply) -> Json:
    """What llama.cpp adds to its last chunk, asked or not."""
    timings = {"prompt_n": 32, "prompt_ms": 400.949, "predicted_n": 4, "predicted_ms": 63.391}
    return {"timings": timings} if reply.local == "llama.cpp" else {}


def _provider(reply: Reply, asked: Asked) -> str:
    return reply.provider or PROVIDERS.get(asked.served.lstrip("~").partition("/")[0], "Together")


def frame_of(reply: Reply, asked: Asked, kind: str) -> Json:
    """The fields that every chunk, and the whole body, begins with."""
    if reply.local:
        frame: Json = {"id": asked.generation.replace("gen-", "chatcmpl-"), "object": kind}
        fingerprint = {"llama.cpp": "b0-unknown", "ollama": "fp_ollama"}.get(reply.local, asked.served)
        return frame | {"created": asked.created, "model": asked.served, "system_fingerprint": fingerprint}
    frame = {
        "id": asked.generation,
        "provider": _provider(reply, asked),
        "model": asked.served,
        "object": kind,
    }
    frame["created"] = asked.created
    return frame | ({"x_future": {"stage": [1, None, "two"]}} if reply.unknown_fields else {})


def metadata_of(reply: Reply, asked: Asked) -> Json:
    """`openrouter_metadata`, sent when the request has X-OpenRouter-Metadata: enabled."""
    if not asked.metadata or reply.local:
        return {}
    provider = _provider(reply, asked)
    endpoint = {"provider": provider, "model": asked.served, "selected": True}
    return {
        "openrouter_metadata": {
            "requested": asked.requested,
            "strategy": "latest" if asked.requested.startswith("~") else "direct",
            "region": "iad",
            "summary": f"available=1, selected={provider}",
            "attempt": 1,
            "is_byok": False,
            "endpoints": {"total": 1, "available": [endpoint]},
        }
    }


def details_of(text: str) -> list[Json]:
    return [{"type": "reasoning.text", "text": text, "signature": None, "format": "unknown", "index": 0}]


def citations_of(reply: Reply) -> list[Json]:
    return [a if "url_citation" in a else {"type": "url_citation", "url_citation": a} for a in reply.annotations]


def deltas_of(reply: Reply) -> Iterator[tuple[Json, bool]]:
    """The deltas that carry the reply, in order, and whether each is one of content."""
    if reply.details:
        yield {"content": "", "reasoning_details": list(reply.details)}, False
    for part in cut(reply.reasoning, None):
        if reply.reasoning_key == "reasoning_content":
            yield {"reasoning_content": part}, False
        else:
            yield {"content": "", "reasoning": part, "reasoning_details": details_of(part)}, False
    for part in cut(reply.text, reply.chunks):
        yield {"content": part}, True
    if reply.annotations:
        yield {"content": "", "annotations": citations_of(reply)}, False
    for tool_calls in _tool_deltas(reply):
        yield {"content": None, "tool_calls": [tool_calls]}, False


def _tool_deltas(reply: Reply) -> Iterator[Json]:
    """Each call's opening, then pieces of all arguments in turn: `index` alone says where one belongs."""
    for index, (call_id, name, _) in enumerate(reply.tool_calls):
        yield {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [cut(arguments, 3) for _, _, arguments in reply.tool_calls]
    for turn in range(max(map(len, pieces), default=0)):
        for index, parts in enumerate(pieces):
            if turn < len(parts):
                yield {"index": index, "function": {"arguments": parts[turn]}}


def choice_of(reply: Reply, delta: Json, finish: str | None = None, native: str | None = None) -> Json:
    """A chunk's one choice; llama.cpp names the role in its opening only, the others in every delta."""
    role = {} if reply.local == "llama.cpp" else {"role": "assistant"}
    if reply.unknown_fields:
        delta = delta | {"x_confidence": 0.5}
    if reply.blank_finish and finish is None:
        finish = ""
    choice: Json = {"index": 0, "delta": role | delta, "finish_reason": finish}
    return choice if reply.local else choice | {"native_finish_reason": native, "logprobs": None}
