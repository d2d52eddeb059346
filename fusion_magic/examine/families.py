"""Who made a model: its vendor, from its name."""

from __future__ import annotations

import re

from ..endpoints import split_model

# Beginnings of names that go without a vendor, as local servers list them.
VENDORS = {
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "gemma": "google",
    "llama": "meta-llama",
    "qwen": "qwen",
    "qwq": "qwen",
    "mistral": "mistralai",
    "mixtral": "mistralai",
    "ministral": "mistralai",
    "devstral": "mistralai",
    "deepseek": "deepseek",
    "kimi": "moonshotai",
    "glm": "z-ai",
    "grok": "x-ai",
    "phi": "microsoft",
    "command": "cohere",
    "nova": "amazon",
    "minimax": "minimax",
    "smollm": "huggingfacetb",
}


def family(model: str) -> str:
    """The vendor of a model: what stands before the slash, else what its name begins with, else its own name.

    "~anthropic/claude-opus-latest" and "claude-opus-4.8@anthropic" are both "anthropic".
    """
    slug = split_model(model)[0].casefold().lstrip("~")
    vendor, slash, name = slug.rpartition("/")
    if slash:
        return vendor.rpartition("/")[2]
    known = (maker for start, maker in VENDORS.items() if re.match(rf"{start}(?![a-z])", name))
    return next(known, name)
