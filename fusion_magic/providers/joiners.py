"""What a stream cuts into pieces is put together here: characters, thoughts, tool calls, reasoning to send back."""

from __future__ import annotations

import json
from typing import Any

from . import ToolCall
from .json_values import as_object, as_text, whole

OPEN, CLOSE = "<think>", "</think>"


class CharacterJoiner:
    r"""Joins a character that a server cut into two chunks, as "\ud83e" and "\udd8a"."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """The characters that are whole by now."""
        piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return whole(piece)

    def flush(self) -> str:
        """What is left of a character whose other half never came."""
        half, self._half = self._half, ""
        return whole(half)


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


class DetailsJoiner:
    """Puts OpenRouter's `reasoning_details` together, which models want back unchanged when their tools answer."""

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []

    def feed(self, deltas: list[Any]) -> None:
        """Take in the `reasoning_details` of one delta."""
        for delta in map(as_object, deltas):
            known = next((detail for detail in self._details if _continues(detail, delta)), None)
            if known is None:
                self._details.append(dict(delta))
                continue
            for name, value in delta.items():
                if name in ("text", "summary", "data", "signature") and isinstance(known.get(name), str):
                    known[name] += as_text(value)
                elif value is not None:
                    known[name] = value

    def details(self) -> list[dict[str, Any]]:
        """The blocks so far, in the order they began."""
        return self._details


def _continues(known: dict[str, Any], delta: dict[str, Any]) -> bool:
    index = delta.get("index")
    return index is not None and (known.get("index"), known.get("type")) == (index, delta.get("type"))
