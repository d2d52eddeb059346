"""What a strategy asks of every seat beside the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Task(NamedTuple):
    """Words that follow the prompt.

    Attributes:
        words: for full-sized models.
        version: of these words.
        tiny_words: for the embedded model.
        tiny_sampling: body fields in place of its usual ones.
    """

    words: str
    version: str
    tiny_words: str = ""
    tiny_sampling: Mapping[str, Any] = {}
