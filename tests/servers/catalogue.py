"""The default `GET /models` catalogue: real slugs, plausible numbers, prices as strings of USD per token."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_SAMPLING = ["temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"]
_TOOLS = ["tools", "tool_choice"]
_STRUCTURED = ["response_format", "structured_outputs"]
_REASONING = ["reasoning", "include_reasoning"]
_EVERYTHING = _SAMPLING + _TOOLS + _STRUCTURED + _REASONING
_EFFORTS = ["high", "medium", "low", "minimal"]


def _model(slug: str, name: str, prompt: str, completion: str, context: int, **more: Any) -> Json:
    author = slug.removeprefix("~")
    tokenizer = more.pop("tokenizer", "Other")
    parameters: list[str] = more.pop("parameters", _EVERYTHING)
    reasoning: Json = {"mandatory": False, "default_enabled": True, "default_effort": "medium"}
    entry: Json = {
        "id": slug,
        "canonical_slug": author,
        "hugging_face_id": None,
        "name": name,
        "created": 1769904000,
        "description": f"{name}, as a test catalogue describes it.",
        "context_length": context,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": tokenizer,
            "instruct_type": None,
        },
        "pricing": {"prompt": prompt, "completion": completion, "request": "0", "image": "0"} | more.pop("pricing", {}),
        "top_provider": {"context_length": context, "max_completion_tokens": 65536, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": parameters,
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{author}/endpoints"},
    }
    if "reasoning" in parameters:
        entry["reasoning"] = reasoning | {"supported_efforts": _EFFORTS}
    return entry | more


def _alias(slug: str, name: str, target: Json) -> Json:
    alias_target = {"slug": target["id"], "name": target["name"]}
    return target | {"id": slug, "name": name, "alias_target": alias_target}


def default_models() -> list[Json]:
    """A fresh copy of the catalogue: six concrete models, three aliases, four free models, one router."""
    cached = {"input_cache_read": "0.0000005", "input_cache_write": "0.00000625", "web_search": "0.01"}
    long_prompt = [{"min_prompt_tokens": 200000, "prompt": "0.000004", "completion": "0.000018"}]
    opus = _model(
        "anthropic/claude-opus-4.8",
        "Anthropic: Claude Opus 4.8",
        "0.000005",
        "0.000025",
        1_000_000,
        tokenizer="Claude",
        pricing=cached,
    )
    gpt = _model("openai/gpt-5.5", "OpenAI: GPT-5.5", "0.000005", "0.00003", 1_050_000, tokenizer="GPT")
    gemini = _model(
        "google/gemini-3.1-pro-preview",
        "Google: Gemini 3.1 Pro Preview",
        "0.000002",
        "0.000012",
        1_048_576,
        tokenizer="Gemini",
        pricing={"overrides": long_prompt, "internal_reasoning": "0.000012"},
    )
    return [
        opus,
        gpt,
        gemini,
        _model(
            "google/gemini-3-flash-preview",
            "Google: Gemini 3 Flash Preview",
            "0.0000005",
            "0.000003",
            1_048_576,
            tokenizer="Gemini",
        ),
        _model("moonshotai/kimi-k2.6", "MoonshotAI: Kimi K2.6", "0.00000095", "0.000004", 262_144),
        _model(
            "deepseek/deepseek-v4-pro",
            "DeepSeek: DeepSeek V4 Pro",
            "0.00000174",
            "0.00000348",
            1_048_576,
            tokenizer="DeepSeek",
        ),
        _alias("~anthropic/claude-opus-latest", "Anthropic: Claude Opus Latest", opus),
        _alias("~openai/gpt-sol-latest", "OpenAI: GPT Sol Latest", gpt),
        _alias("~google/gemini-pro-latest", "Google: Gemini Pro Latest", gemini),
        *_free_models(),
        _model(
            "openrouter/fusion",
            "OpenRouter: Fusion",
            "-1",
            "-1",
            128_000,
            tokenizer="Router",
            parameters=_SAMPLING + _TOOLS,
        ),
    ]


def _free_models() -> list[Json]:
    return [
        _model("openai/gpt-oss-20b:free", "OpenAI: gpt-oss-20b (free)", "0", "0", 131_072, tokenizer="GPT"),
        _model(
            "google/gemma-3-27b-it:free",
            "Google: Gemma 3 27B (free)",
            "0",
            "0",
            131_072,
            tokenizer="Gemma",
            parameters=_SAMPLING + _STRUCTURED,
        ),
        _model(
            "qwen/qwen3-coder:free",
            "Qwen: Qwen3 Coder (free)",
            "0",
            "0",
            262_144,
            tokenizer="Qwen3",
            parameters=_SAMPLING + _TOOLS,
        ),
        _model(
            "qwen/qwen3-4b:free",
            "Qwen: Qwen3 4B (free)",
            "0",
            "0",
            40_960,
            tokenizer="Qwen3",
            parameters=_SAMPLING,
        ),
    ]
