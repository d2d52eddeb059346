"""JSON from servers, whatever shape it has: a value of the wrong kind counts as an empty one."""

from __future__ import annotations

import math
from typing import Any, cast


def as_object(value: object) -> dict[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A JSON array; anything else counts as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_text(value: object) -> str:
    """A JSON string without halves of characters; anything else counts as an empty one."""
    return whole(value) if isinstance(value, str) else ""


def as_count(value: object) -> int:
    """A number of tokens; anything else counts as 0."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0


def whole(text: str) -> str:
    """`text` with surrogate pairs joined and lone ones replaced: they can be neither sent nor saved."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
