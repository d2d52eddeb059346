"""What an MCP server sends, as text that a model or the user may read: cleaned, bounded, and never trusted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from ..characters import plain
from ..results import Source
from . import MAX_OUTPUT, Output

if TYPE_CHECKING:
    from mcp import types

MAX_DESCRIPTION = 1_000  # characters of a tool's description, and of one in its schema
CUT = " […]"
WEB = re.compile(r"https?://\S+\Z")


def cleaned(value: Any) -> Any:
    """A schema with its texts cleaned and bounded; names of arguments stay, as the server must know them again."""
    if isinstance(value, dict):
        return {key: cleaned(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [cleaned(item) for item in cast("list[Any]", value)]
    return cut(plain(value), MAX_DESCRIPTION) if isinstance(value, str) else value


def output_of(result: types.CallToolResult) -> Output:
    """What a model reads of a result: its text; the structured form, which repeats it, where there is no text."""
    parts = [_block(block) for block in result.content]
    text = "\n\n".join(text for text, _ in parts if text)
    if not any(block.type == "text" for block in result.content) and result.structured_content is not None:
        text = "\n\n".join(filter(None, [json.dumps(result.structured_content, ensure_ascii=False), text]))
    found = tuple(source for _, source in parts if source)
    return Output(cut(plain(text), MAX_OUTPUT), found=found)


def _block(block: types.ContentBlock) -> tuple[str, Source | None]:
    """A block of a result as text, and the page that it offers."""
    match block.type:
        case "text":
            return block.text, None
        case "image" | "audio":
            return f"[{block.type}, {line(block.mime_type, 60)}; it can't be passed on]", None
        case "resource_link":
            return f"[{block.title or block.name}]({block.uri})\n{block.description or ''}".strip(), _page(
                block.uri, block.name
            )
        case "resource":
            text = getattr(block.resource, "text", "[not text; it can't be passed on]")
            return f"{block.resource.uri}\n{text}", _page(block.resource.uri)


def _page(address: str, title: str = "") -> Source | None:
    """A page of the web; other addresses mean something to the server alone."""
    return Source(url=plain(address)[:2_000], title=line(title, 200)) if WEB.match(address) else None


def line(text: str, length: int) -> str:
    """The text on one line, cleaned and bounded."""
    return cut(" ".join(plain(text).split()), length)


def cut(text: str, length: int) -> str:
    """The text, its end left out visibly where it is longer."""
    return text if len(text) <= length else text[: length - len(CUT)] + CUT
