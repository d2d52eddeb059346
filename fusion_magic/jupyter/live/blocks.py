"""Cuts Markdown that is still being written into finished parts, so that each is rendered once and the rest is short.

A cut is made where a blank line ends whatever stood before: not in open code, not within a list. Where there are no
lists that is seen from the fences alone; else a Markdown parser decides. Deltas play no part in it, only the text:
however it arrives, the parts are the same. All work together is linear in the text. (Only a fence inside a TeX
environment or formula is not seen for what it is; then the cut is misplaced and the finished result is not.)
"""

from __future__ import annotations

import re
from collections import deque
from functools import cache
from typing import Any

from markdown_it import MarkdownIt

from ...characters import escape, plain
from ..markup import to_html

TEXT_AT_MOST = 64_000  # characters of one text shown live
TAKE_AT_MOST = 4_096  # of them worked on at once, so that a flood does not hold up other texts
CUT_OFF = "<p><em>Too long to go on live; the result has the whole text.</em></p>"

MAX_PART = 12_000  # characters; what grows longer without an end is cut no more
SHARE = 256  # a part is at least this fraction of what came before, so that their number stays bounded
SPARE = 2_000  # characters that the parser may read in vain, beyond a multiple of the text

_UNDECIDED = re.compile(r"[ \t\r]*|[-+*]|\d{1,9}[.)]?")
_ITEM = re.compile(r"[ \t]*(?:[-+*]|\d{1,9}[.)])(?:\s|$)")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t\r]*")


class Parts:
    """The parts of one growing text: `add` what was written, read `rest`."""

    def __init__(self) -> None:
        self.rest = ""
        self._before = 0  # characters in the parts that were cut
        self._line = 0  # where the line begins that is looked at, and how far it was searched for its end
        self._searched = 0
        self._is_behind_blank = False
        self._fence = ""  # what would close the code that seems to be open
        self._has_code = self._has_items = False
        self._is_list = False
        self._read_in_vain = 0

    def add(self, text: str) -> list[str]:
        """Take text in; returns the parts that are now finished. All parts and `rest`, joined, are the text."""
        self.rest += text
        parts: list[str] = []
        while True:
            if self._is_behind_blank and len(self.rest) > self._line:
                line = self.rest[self._line : self._line + 12]
                if _UNDECIDED.fullmatch(line):
                    break
                if self._may_cut(line):
                    parts.append(self._cut())
                self._is_behind_blank = False
            newline = self.rest.find("\n", self._searched)
            if newline < 0:
                self._searched = len(self.rest)
                break
            self._pass(self.rest[self._line : newline])
            self._line = self._searched = newline + 1
        return parts

    def _pass(self, line: str) -> None:
        """Remember what a whole line says about the next."""
        self._has_items = self._has_items or _ITEM.match(line) is not None
        if not line.strip(" \t\r"):
            self._is_behind_blank = self._line > 0
        elif self._fence:
            closes = _FENCE_END.fullmatch(line)
            if closes and closes[1].startswith(self._fence):
                self._fence = ""
        elif opens := _FENCE.match(line):
            self._fence, self._has_code = opens[1], True

    def _may_cut(self, line: str) -> bool:
        """Whether what stands before this line is finished."""
        size, total = self._line, self._before + self._line
        if line[0] in " \t\r\n" or size > MAX_PART or size * SHARE < total:
            return False
        if not self._has_items:
            return not self._fence
        is_item = _ITEM.match(line) is not None
        if not is_item and not self._has_code:
            return True
        if is_item and self._is_list:
            return False
        # Code that seems open is tried too, though less often: in a list its end may have been mistaken.
        if self._read_in_vain + size > (total if self._fence else 4 * total + SPARE):
            return False
        ended, self._is_list = _ended(self.rest[:size])
        if ended and not (is_item and self._is_list):
            return True
        self._read_in_vain += size
        return False

    def _cut(self) -> str:
        part, self.rest = self.rest[: self._line], self.rest[self._line :]
        self._before += self._line
        self._line = self._searched = 0
        self._fence, self._has_code, self._has_items, self._is_list = "", False, False, False
        return part


def _ended(part: str) -> tuple[bool, bool]:
    """Whether text behind the part and a blank line would stand on its own; whether the part ends with a list."""
    closed = [token for token in _parser().parse(f"{part}\n\nx") if token.level == 0 and token.nesting <= 0]
    ended = closed[-1].type == "paragraph_close"
    return ended, len(closed) > 1 and closed[-2].type in ("bullet_list_close", "ordered_list_close")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).disable("inline")


class Text:
    """A text that streams: finished parts as HTML, the rest as plain text, and which of it is news."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.rest = ""
        self._parts = Parts()
        self._coming: deque[str] = deque()
        self._ready: list[str] = []
        self._length = 0
        self._ends = False

    def add(self, text: str) -> None:
        """Keep text for the next `take`."""
        if self._length < TEXT_AT_MOST:
            self._coming.append(text[: TEXT_AT_MOST - self._length])
        self._length += len(text)
        self._ends |= self._length > TEXT_AT_MOST

    def put(self, safe_html: str) -> None:
        """Add a finished part that is HTML already."""
        self._ready.append(safe_html)

    def end(self) -> None:
        """Nothing more will come."""
        self._ends = True

    def take(self) -> dict[str, Any]:
        """Work on what has come; returns what the page lacks: new HTML and the rest, or what to append to the rest."""
        new, self._ready = self._ready, []
        text = self._next()
        parts = self._parts.add(text)
        ends = self._ends and not self._coming and bool(self._parts.rest)
        if ends:
            parts.append(self._parts.rest)
            self._parts = Parts()
        self.rest = self._parts.rest
        new += [_part_html(part) for part in parts if part.strip()]
        if ends and self._length > TEXT_AT_MOST:
            new.append(CUT_OFF)
        self.html += new
        if new or parts:
            return {"blocks": new, "rest": self.rest}
        return {"more": text} if text else {}

    def _next(self) -> str:
        text = "".join(self._coming)
        self._coming.clear()
        size = min(len(text), TAKE_AT_MOST)
        if text[size - 1 : size] == "\r" and not self._ends:
            size -= 1  # its newline may follow, and the two are one line's end
        if text[size:]:
            self._coming.append(text[size:])
        return plain(text[:size])


def _part_html(part: str) -> str:
    """Code is coloured in the result: here that would cost a third of the work and of the page's elements."""
    return to_html(part, coloured=0) if len(part) <= MAX_PART else f'<pre class="fm-plain">{escape(part)}</pre>'
