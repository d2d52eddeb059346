r"""Makes hostile Markdown safe as text/markdown, which JupyterLab renders with raw HTML and runs scripts from.

Its pipeline for live output is: take out TeX (its latex.js), render with marked, put the TeX back; nothing sanitizes.
So code may only be kept as it is where every step agrees that it is code. TeX that is taken out can swallow the
backtick that ends code; TeX that is put back brings its quotes, even into an attribute.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from markdown_it import MarkdownIt

from ..characters import plain

MAX_CHARACTERS = 200_000  # of text whose code is kept as it is

_MARKUP = re.compile(
    r"""\\(?P<escaped>.)
    | (?P<tag><)(?=[A-Za-z/!?])
    | (?P<image>!)(?=\[)
    | (?P<definition>\])(?=:)
    | (?P<link>\])(?=\()(?!\(\s*(?:https?://|mailto:))""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_HARMLESS = {"tag": "&lt;", "image": "&#33;", "definition": "&#93;", "link": "&#93;"}
_BLANK = re.compile(r"(\n[ \t]*\n)")  # a line of other spaces ends a paragraph for some and not for others
_TEX = re.compile(r"\$|\\(?:begin|end)\{|\\\\[()\[\]]")
_TEX_IN_CODE = re.compile(r"\\begin\{|\\\\[(\[]")  # JupyterLab hides only dollars in code from its search for TeX
_DOLLAR_TOKEN = re.compile(r"\$\$?|\\[{}$]|[{}]")  # in the order of latex.js
_ATTRIBUTE = re.compile(r"\]\(|://|www\.|@|```|~~~", re.IGNORECASE)  # what is rendered into one
# The form in which marked, latex.js and CommonMark agree: the same fence, at the same place, ends it.
_EXACT_FENCE = re.compile(r"([ >]*)(`{3,}|~{3,})[\w.+# -]*\n(?:.*\n)?\1\2\n?", re.DOTALL)
_FENCE_LINE = re.compile(r"^[\s>*+\-\d.)]*(?:```|~~~)", re.MULTILINE)
_PLAIN_CODE = re.compile(r"(?<!\S)[(*_\"']?(?P<code>`[^`\n\\|~]+`)(?!`)")


class _Fence(NamedTuple):
    start: int
    end: int


def safe_markdown(markdown: str) -> str:
    """The Markdown without raw HTML, images, link definitions, and links to anything but http, https and mailto.

    Code stays byte for byte, unless it cannot be told for sure what JupyterLab takes for code (TeX environments
    or formulas over several lines in the same text, code spans over several lines): then it is treated as prose.
    """
    text = plain(markdown)
    parts: list[str] = []
    done = 0
    for start, end in _certain_code(text):
        parts += [_harmless(text[done:start]), text[start:end]]
        done = end
    return "".join([*parts, _harmless(text[done:])])


def _harmless(prose: str) -> str:
    paragraphs = [_without_quotes_in_tex(part) for part in _BLANK.split(prose)]
    return _MARKUP.sub(_replaced, "".join(paragraphs))


def _without_quotes_in_tex(paragraph: str) -> str:
    """Where JupyterLab might put TeX back into an attribute, no quote may end that."""
    if '"' in paragraph and len(_TEX.findall(paragraph)) > 1 and _ATTRIBUTE.search(paragraph):
        return paragraph.replace('"', "&quot;")
    return paragraph


def _replaced(found: re.Match[str]) -> str:
    if found.lastgroup == "escaped":
        return "&lt;" if found["escaped"] == "<" else found[0]
    return _HARMLESS[str(found.lastgroup)]


def _certain_code(text: str) -> Iterator[tuple[int, int]]:
    """Where every step of JupyterLab's pipeline is sure to see code, in order."""
    if len(text) > MAX_CHARACTERS or not ("`" in text or "~~~" in text):
        return
    fences = _fences(text)
    if not _exact(text, fences) or not _tex_stays_away_from_code(text, fences):
        return
    done = 0
    for fence in fences:
        yield from _certain_spans(text, done, fence.start)
        yield fence.start, fence.end
        done = fence.end
    yield from _certain_spans(text, done, len(text))


def _fences(text: str) -> list[_Fence]:
    starts = [0, *(newline.end() for newline in re.finditer("\n", text)), len(text)]
    return [
        _Fence(starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)])
        for token in _block_parser().parse(text)
        if token.type == "fence" and token.map
    ]


def _exact(text: str, fences: list[_Fence]) -> bool:
    """Whether every fence has the form on which all agree, and no other line looks like one."""
    return len(_FENCE_LINE.findall(text)) == 2 * len(fences) and all(
        _EXACT_FENCE.fullmatch(text, fence.start, fence.end) for fence in fences
    )


@cache
def _block_parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("inline")


def _certain_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Code spans of paragraphs in which every backtick belongs to a span on one line, behind a space."""
    position = start
    for part in _BLANK.split(text[start:end]):
        if "`" in part and "`" not in _PLAIN_CODE.sub("", part):
            for found in _PLAIN_CODE.finditer(part):
                yield position + found.start("code"), position + found.end("code")
        position += len(part)


def _tex_stays_away_from_code(text: str, fences: list[_Fence]) -> bool:
    """Whether no TeX that JupyterLab may take out reaches over a line's end or a backtick."""
    if _TEX_IN_CODE.search(text):
        return False
    for paragraph in _BLANK.split(_without_hidden_dollars(text, fences)):
        lines = [line for line in paragraph.split("\n") if "$" in line]
        if len(_TEX.findall(paragraph)) > 1 and not all(map(_pairs_up, lines)):
            return False
    return True


def _without_hidden_dollars(text: str, fences: list[_Fence]) -> str:
    """The text without the dollars in fenced code where JupyterLab hides them: at the left edge."""
    parts: list[str] = []
    done = 0
    for fence in fences:
        if text[fence.start] in "`~":
            parts += [text[done : fence.start], text[fence.start : fence.end].replace("$", "")]
            done = fence.end
    return "".join([*parts, text[done:]])


def _pairs_up(line: str) -> bool:
    """Whether every formula that opens on this line closes on it, braces balanced, without a backtick near."""
    if "`" in line or "~~~" in line:
        return False
    opened, depth = "", 0
    for token in _DOLLAR_TOKEN.findall(line):
        if not opened:
            opened, depth = (token, 0) if token[0] == "$" else ("", 0)
        elif token == opened and not depth:
            opened = ""
        else:
            depth = max(0, depth + (token == "{") - (token == "}"))
    return not opened
