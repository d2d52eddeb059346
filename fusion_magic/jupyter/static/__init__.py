"""A finished run as a MIME bundle: HTML, Markdown and text that say the same, and a record to rebuild it from."""

from __future__ import annotations

from typing import Any

from ...results import RECORD, FusionResult
from .page import answer_html, framed, html, table
from .prose import answer_markdown, answer_text, markdown, text

__all__ = ["answer_bundle", "bundle", "framed", "html", "table"]


def bundle(result: FusionResult, *, record: bool = True) -> dict[str, Any]:
    """The whole result; `record` adds what `FusionResult.from_record` and `from_notebook` rebuild it from."""
    forms = {"text/html": html(result), "text/markdown": markdown(result), "text/plain": text(result)}
    return forms | ({RECORD: result.to_record()} if record else {})


def answer_bundle(result: FusionResult) -> dict[str, str]:
    """The answer alone, for `--quiet`; what it must not be taken for is said above it."""
    return {
        "text/html": answer_html(result),
        "text/markdown": answer_markdown(result),
        "text/plain": answer_text(result),
    }
