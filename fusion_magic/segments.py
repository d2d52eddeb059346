r"""Splits prose Markdown into plain text, code and mathematics, losslessly and in linear time.

It answers one question for a prompt: where may `{name}` be meant for us, and where does it belong to code or TeX?
So it leans towards code: a fence may stand at any indentation, in a quote or in a list item, and an unclosed one
runs to the end. Indented code is text here, because prompts are often indented. This is no security boundary.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

Kind = Literal["text", "code", "math"]
Span = tuple[Kind, int, int]

_FENCE = re.compile(
    r"""^(?:[ \t]*+(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))*+[ \t]*+   # quote and list markers
    (?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)""",
    re.MULTILINE | re.VERBOSE,
)
_FENCE_END = re.compile(r"^[ \t>]*+(`{3,}+|~{3,}+)[ \t\r]*+$", re.MULTILINE)
_BLANK = re.compile(r"\n(?:[ \t\r]*+\n)++")
_BACKTICKS = re.compile(r"`++")
_ENVIRONMENT_END = re.compile(r"\\end(\{[A-Za-z]{1,32}\*?\})")
# In order: what opens nothing; the two that close within sight, as a whole; openers whose closer must be looked for.
# For dollars pandoc's rule: no space behind the first or before the last, no digit behind that, no blank line between.
_TOKEN = re.compile(
    r"""(?:\\[^b(\[] | \${3,}+)++
    | (?P<code>`(?!`)[^`\n]++`(?!`))
    | (?P<math>\$(?=[^\s$])(?:[^\\$\n]++|\\[^\n]|\n(?![ \t\r]*+\n))++(?<=\S)\$(?!\d))
    | \\begin(?P<environment>\{[A-Za-z]{1,32}\*?\})
    | (?P<display>\\[(\[] | \$\$)
    | (?P<backticks>`++)
    | \\.""",
    re.DOTALL | re.VERBOSE,
)
# Each matches from just behind its opener, possessively: a missing closer costs one pass and no backtracking.
_CLOSER = {
    "$$": re.compile(r"(?:[^\\$]++|\\.|\$(?!\$))*+\$\$", re.DOTALL),
    r"\(": re.compile(r"(?:[^\\]++|\\[^)])*+\\\)", re.DOTALL),
    r"\[": re.compile(r"(?:[^\\]++|\\[^\]])*+\\\]", re.DOTALL),
}


def segments(text: str) -> Iterator[tuple[Kind, str]]:
    """Yield `(kind, part)` pairs whose parts, joined, are `text` again; no part is empty."""
    done = 0
    for kind, start, end in _spans(text):
        if done < start:
            yield "text", text[done:start]
        yield kind, text[start:end]
        done = end
    if done < len(text):
        yield "text", text[done:]


def _spans(text: str) -> Iterator[Span]:
    position = 0
    while fence := _FENCE.search(text, position):
        start, end = fence.start("fence"), _fence_end(text, fence)
        if position < start:
            yield from _Prose(text, position, start).spans()
        yield "code", start, end
        position = end
    yield from _Prose(text, position, len(text)).spans()


def _fence_end(text: str, fence: re.Match[str]) -> int:
    """Where the fenced code ends: behind a fence of the same character that is at least as long, or with the text."""
    opening = fence["fence"]
    for closing in _FENCE_END.finditer(text, fence.end()):
        if closing[1].startswith(opening):
            return closing.end()
    return len(text)


class _Prose:
    """A stretch between fences, with the closers that it holds indexed on first use, so that no search runs twice."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end
        self.limit = -1  # the end of the current paragraph
        self.unclosed: dict[str, int] = {}  # opener → end of the paragraph that is known to hold no closer for it

    def spans(self) -> Iterator[Span]:
        position = self.start
        while token := _TOKEN.search(self.text, position, self.end):
            kind, position = token.lastgroup, token.end()
            if kind == "code" or kind == "math":
                yield kind, token.start(), position
            elif kind and (end := self._close(kind, token)):
                yield "code" if kind == "backticks" else "math", token.start(), end
                position = end

    def _close(self, kind: str, opener: re.Match[str]) -> int | None:
        """Where the code or mathematics ends that begins with `opener`, if it ends at all."""
        start = opener.end()
        if kind == "environment":  # the only one that may hold blank lines
            return _first(self.environments[opener[kind]], start, self.end)
        if start > self.limit:
            self.limit = _first(self.blanks, start, self.end) or self.end
        if kind == "display":
            return self._close_display(opener[0], start)
        closing = _first(self.backticks[len(opener[0])], start, self.limit)
        return closing and closing + len(opener[0])

    def _close_display(self, opener: str, start: int) -> int | None:
        if self.unclosed.get(opener) == self.limit:
            return None
        closed = _CLOSER[opener].match(self.text, start, self.limit)
        if not closed:
            self.unclosed[opener] = self.limit
        return closed and closed.end()

    @cached_property
    def blanks(self) -> list[int]:
        return [blank.start() for blank in _BLANK.finditer(self.text, self.start, self.end)]

    @cached_property
    def backticks(self) -> defaultdict[int, list[int]]:
        """Length of a run of backticks → where such runs start."""
        runs: defaultdict[int, list[int]] = defaultdict(list)
        for run in _BACKTICKS.finditer(self.text, self.start, self.end):
            runs[len(run[0])].append(run.start())
        return runs

    @cached_property
    def environments(self) -> defaultdict[str, list[int]]:
        r"""`{name}` → behind each `\end{name}`."""
        ends: defaultdict[str, list[int]] = defaultdict(list)
        for closing in _ENVIRONMENT_END.finditer(self.text, self.start, self.end):
            ends[closing[1]].append(closing.end())
        return ends


def _first(ordered: list[int], at_least: int, at_most: int) -> int | None:
    """The first number of a sorted list within the bounds."""
    found = bisect_left(ordered, at_least)
    return ordered[found] if found < len(ordered) and ordered[found] <= at_most else None
