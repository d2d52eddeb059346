"""Cuts Markdown into the sentences it is made of, each with its place in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .vocabulary import listed

Form = Literal["prose", "item", "row", "heading", "code"]

_FENCE = re.compile(r"\s*(?:>\s*)*(```+|~~~+|\$\$)")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]+[^*.!?]\*\*:?\s*$|__[^_]+[^_.!?]__:?\s*$)")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}$")
_DELIMITERS = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_BEFORE = re.compile(r"\s*(?:>\s*)*(?P<item>(?:[-*+•]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?)?")
_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+(?:\s?\[[^\]\n]{1,60}\](?:\([^)\s]{0,1000}\))?)*(?=\s|$)|[\u3002\uff01\uff1f]+[\u201d\u300d\u300f\uff09]*"
)
LONGEST = 2_000  # characters of a sentence; what has no end for longer is cut at a space
_GOES_ON = re.compile(r"\s*[a-zà-ÿ]")
# A dot behind one of these ends no sentence. Ordinals ("14. Juli") and initials ("J. Smith") are found by their shape.
_ABBREVIATIONS = frozenset(
    listed("""
    dr prof mr mrs ms st sr jr vs v ed eds al etc ca cf approx dept inc ltd co corp e.g i.e u.s u.k a.m p.m z.b d.h
    u.a bzw ggf inkl usw mio mrd bspw evtl vgl resp gov rs
""")
)
_BEFORE_A_NUMBER = frozenset(
    listed("""
    no nos nr art arts sec secs para paras fig figs eq eqs ch chap vol vols p pp s abs min max avg est approx jan
    feb mar apr jun jul aug sep sept oct nov dec
""")
)
# Those behind which a sentence may end all the same, if a capital follows.
_MAY_END = frozenset(("etc", "al", "inc", "ltd", "co", "corp", "u.s", "u.k", "a.m", "p.m", "usw"))


@dataclass(frozen=True)
class Span:
    """A sentence: `text[start:end]`, the form of the block it stands in, and the headings above it."""

    text: str
    start: int
    end: int
    form: Form
    block: int  # sentences of one paragraph, list or table share it
    heading: str = ""


@dataclass(frozen=True)
class _Block:
    start: int
    end: int
    form: Form
    number: int


def sentences(markdown: str) -> list[Span]:
    """The sentences of a Markdown text in its order; `markdown[s.start:s.end] == s.text` for each.

    A heading, a row of a table and a block of code are one sentence each; a list item is cut like a paragraph.
    Rules and the line under a table's head are left out. A table's head has the form of a heading.
    """
    found: list[Span] = []
    heading = ""
    for block in _blocks(markdown):
        for start, end in _cuts(markdown, block):
            text = markdown[start:end]
            if block.form == "heading" and "|" not in text:
                heading = text
            found.append(Span(text, start, end, block.form, block.number, heading))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    place = 0
    for line in text.splitlines(keepends=True):
        yield place, line.rstrip("\r\n")
        place += len(line)


def _blocks(markdown: str) -> Iterator[_Block]:
    """Where code, headings, rows, items and paragraphs begin and end."""
    lines = list(_lines(markdown))
    number = at = 0
    table = False
    while at < len(lines):
        begin, line = lines[at]
        at += 1
        head = at < len(lines) and "|" in line and "|" in lines[at][1] and _is_delimiters(lines[at][1])
        table = head or (table and "|" in line)
        if not line.strip() or _RULE.match(line):
            number += 1
        elif fence := _FENCE.match(line):
            last = _closing(lines, at, fence[1])
            yield _Block(begin, lines[last][0] + len(lines[last][1]), "code", number := number + 1)
            at = last + 1
        elif table or _is_row(line):
            if not _is_delimiters(line):
                yield _Block(begin, begin + len(line), "heading" if head else "row", number)
        elif _HEADING.match(line):
            yield _Block(begin, begin + len(line), "heading", number := number + 1)
        else:
            first = _BEFORE.match(line)
            assert first
            last = at - 1
            while at < len(lines) and _continues(lines[at][1]):
                last, at = at, at + 1
            end = lines[last][0] + len(lines[last][1])
            yield _Block(begin + first.end(), end, "item" if first["item"] else "prose", number)


def _closing(lines: list[tuple[int, str]], at: int, fence: str) -> int:
    """The line that ends the code or formula whose fence stands before `at`: the last one if nothing does."""
    if lines[at - 1][1].strip().endswith("$$") and len(lines[at - 1][1].strip()) > 2:
        return at - 1
    closing = (
        n for n in range(at, len(lines)) if lines[n][1].strip(" >").startswith(fence) or fence == "$$" in lines[n][1]
    )
    return next(closing, len(lines) - 1)


def _is_row(line: str) -> bool:
    return line.lstrip(" >").startswith("|")


def _is_delimiters(line: str) -> bool:
    """Whether it is the line under a table's head."""
    return len(line) <= LONGEST and bool(_DELIMITERS.match(line))


def _continues(line: str) -> bool:
    """Whether a line goes on with the paragraph above it."""
    before = _BEFORE.match(line)
    ends = not line.strip() or _RULE.match(line) or _FENCE.match(line) or _is_row(line) or _HEADING.match(line)
    return not ends and not (before and before["item"])


def _cuts(markdown: str, block: _Block) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence of a block, without the space around it."""
    start = block.start
    if block.form in ("prose", "item"):
        for stop in _END.finditer(markdown, block.start, block.end):
            if _ends(markdown[start : stop.end()], stop[0], markdown[stop.end() : min(stop.end() + 40, block.end)]):
                yield from _trimmed(markdown, start, stop.end())
                start = stop.end()
    yield from _trimmed(markdown, start, block.end)


def _trimmed(markdown: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        stop = end if end - start <= LONGEST else markdown.rfind(" ", start + 1, start + LONGEST) + 1 or start + LONGEST
        text = markdown[start:stop]
        if text.strip():
            yield start + len(text) - len(text.lstrip()), start + len(text.rstrip())
        start = stop


def _ends(text: str, stop: str, rest: str) -> bool:
    """Whether the stop at the end of `text` ends a sentence; `rest` is what follows."""
    if _GOES_ON.match(rest):
        return False
    if not stop.startswith(".") or stop.startswith(".."):
        return True
    before = text[: len(text) - len(stop)][-LONGEST:]
    word = "" if not before or before[-1].isspace() else before.rsplit(maxsplit=1)[-1].lstrip("([\"'“*_").lower()
    if word in _ABBREVIATIONS:
        return word in _MAY_END and bool(re.match(r"\s+[A-ZÀ-Þ]", rest))
    if word in _BEFORE_A_NUMBER:
        return not re.match(r"\s+[\d§IVX(]", rest)
    if word.isdigit():  # an ordinal in German, or a number at the end
        return len(word) > 2 or not re.match(r"\s+(?:[A-ZÄÖÜ][a-zäöü]+)", rest) or _is_english(text)
    return not re.fullmatch(r"[a-z]|(?:[a-z]\.)+[a-z]", word) or not re.match(r"\s+\S", rest)


def _is_english(text: str) -> bool:
    """Whether a sentence has the small words of English: there "14." ends it, elsewhere it may be an ordinal."""
    return bool(re.search(r"\b(?:the|of|and|to|is|was|in a|by)\b", text))
