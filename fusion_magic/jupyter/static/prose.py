"""A finished run as Markdown and as plain text, for front ends without HTML, exports and terminals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import quote

from markdown_it import MarkdownIt

from ...results import FusionResult, Response, Source
from ..markup import MAX_CHARACTERS, plain, safe_markdown
from .origins import origins, origins_title, traced
from .steps import earlier_line, steps, steps_title
from .words import (
    NEXT,
    Row,
    answer_of,
    by_topic,
    counts,
    fate,
    findings,
    is_web,
    judge_line,
    needs_a_word,
    notices,
    provenance,
    seat_line,
    tool_uses,
    tools_title,
    totals,
    where,
)

BEGINNING = 400  # characters of a response
UNSAFE_IN_URL = re.compile(r"[\s<>\"'`\\]")


def address(url: str) -> str:
    """An address that ends neither an attribute nor code."""
    return UNSAFE_IN_URL.sub(lambda found: quote(found[0]), plain(url))


def _line(value: str) -> str:
    """Text on one line."""
    return " ".join(plain(value).split())


# --- Markdown ---------------------------------------------------------------------------------------


def markdown(result: FusionResult) -> str:
    """The result as Markdown, safe where a front end lets raw HTML through.

    Made safe as a whole: parts that are harmless alone may turn into HTML side by side, where one leaves code open.
    """
    title, answer = answer_of(result)
    parts = [
        *(f"> {_line(note)}" for note in notices(result)),
        f"*{title}*" if title else "",
        closed(answer),
        *_origins_markdown(result),
        *_steps_markdown(result),
        *_analysis_markdown(result),
        *(_response_markdown(result, seat) for seat in result.responses),
        *_lost_markdown(result),
        _sources_markdown(result.sources),
        _foot_markdown(result),
    ]
    return safe_markdown("\n\n".join(part for part in parts if part))


def _response_markdown(result: FusionResult, seat: Response) -> str:
    head = f"**{_line(seat_line(result, seat))}**"
    return "\n\n".join(filter(None, (head, _tools_markdown(result, seat.label), closed(_beginning(seat.content)))))


def _tools_markdown(result: FusionResult, label: str, of: str = "") -> str:
    """The calls of tools as a list; what a model wrote stands in code, where nothing is emphasis."""
    if not (uses := tool_uses(result, label)):
        return ""
    rows = (" · ".join(filter(None, (_code(use.call), _line(use.came)))) for use in uses)
    return "\n".join((f"{of}{tools_title(uses)}\n", *(f"- {row}" for row in rows)))


def _code(value: str) -> str:
    """Text as code on one line; a backtick, which would end it, becomes an apostrophe."""
    return f"`{_line(value).replace('`', chr(39))}`" if value else ""


def _sources_markdown(sources: tuple[Source, ...]) -> str:
    lines: list[str] = []
    for source in sources:
        place = f"`{address(source.url)}`" if is_web(source.url) else _code(where(source))
        lines.append(f"- {' · '.join(filter(None, (_title(source), place, _line(', '.join(source.labels)))))}")
    return "\n".join((f"Sources ({len(sources)})\n", *lines)) if lines else ""


def _title(source: Source) -> str:
    """The source's title, where it says more than its address."""
    return "" if source.title in (source.url, where(source)) else _line(source.title)


def answer_markdown(result: FusionResult) -> str:
    """The answer alone, below what it must not be taken for."""
    title, answer = answer_of(result)
    notes = [*(notices(result) if needs_a_word(result) else []), title]
    return safe_markdown("\n\n".join([*(f"> {_line(note)}" for note in notes if note), answer]))


def _origins_markdown(result: FusionResult) -> Iterator[str]:
    """How many sentences come from where, and those that a reader should look at."""
    if found := traced(result):
        yield f"*{origins_title(found)}*"
        for kind, rows in origins(result, found):
            yield f"**{kind}**\n\n" + "\n".join(_items(rows))


def _steps_markdown(result: FusionResult) -> Iterator[str]:
    """What a strategy counted, and the beginnings of what was written in earlier rounds."""
    if title := steps_title(result):
        yield f"### {_line(title)}"
    for kind, rows in steps(result):
        yield f"**{kind}**\n\n" + "\n".join(_items(rows))
    for each in result.earlier:
        yield f"**{_line(earlier_line(each))}**\n\n{closed(_beginning(each.content))}"


def _analysis_markdown(result: FusionResult) -> Iterator[str]:
    tools = _tools_markdown(result, "", of="Judge: ")
    if result.analysis is None:
        yield tools
        return
    yield f"### {_line(judge_line(result))}"
    kinds = list(findings(result.analysis))
    if not kinds:
        yield "No findings."
    for kind, rows in kinds:
        yield f"**{kind}**\n\n" + "\n".join(_items(rows))
    yield tools


def _items(rows: list[Row]) -> Iterator[str]:
    for topic, stances in by_topic(rows):
        if topic:
            yield f"- {_line(topic)}"
        indent = "  " if topic else ""
        for row in filter(lambda row: row.text, stances):
            yield f"{indent}- {f'**{_line(row.seats)}** ' if row.seats else ''}{_line(row.text)}"


def _lost_markdown(result: FusionResult) -> Iterator[str]:
    for lost in result.failed_models:
        yield f"**{lost.label} · {_line(lost.model)} · {fate(lost)}**\n\n{_line(lost.error)}"
        yield _tools_markdown(result, lost.label)
        yield closed(_beginning(lost.content))


def _foot_markdown(result: FusionResult) -> str:
    names = ", ".join(f"`{name}`" for name in NEXT)
    foot = " · ".join(filter(None, (f"*{totals(result)}*", names, _line(provenance(result)))))
    return "\n\n".join(filter(None, (counts(result), foot)))


def closed(content: str) -> str:
    """Markdown whose last code block is closed, so that it does not swallow what follows."""
    content = plain(content)
    if len(content) > MAX_CHARACTERS or not ("```" in content or "~~~" in content):
        return content
    last = _blocks().parse(f"{content}\n\nx")[-1]
    return f"{content}\n{last.markup}" if last.type == "fence" else content


@cache
def _blocks() -> MarkdownIt:
    """A parser that finds blocks and leaves what is in them."""
    return MarkdownIt("commonmark").disable("inline")


def _beginning(content: str) -> str:
    """The first characters, cut at a word; code that is cut open is closed by ending before its fence."""
    if len(content) <= BEGINNING:
        return content
    cut = content[:BEGINNING].rpartition(" ")[0] or content[:BEGINNING]
    if cut.count("```") % 2:
        cut = cut[: cut.rindex("```")]
    return f"{cut.rstrip()} …"


# --- plain text -------------------------------------------------------------------------------------


def text(result: FusionResult) -> str:
    """The result as plain text."""
    return "\n\n".join(plain(part) for part in _parts(result) if part)


def answer_text(result: FusionResult) -> str:
    """The answer alone, below what it must not be taken for."""
    title, answer = answer_of(result)
    notes = [*(notices(result) if needs_a_word(result) else []), title]
    return plain("\n\n".join([*(note for note in notes if note), answer]))


def _parts(result: FusionResult) -> Iterator[str]:
    yield from notices(result)
    yield from answer_of(result)
    if found := traced(result):
        yield origins_title(found)
        yield from (_kind_text(kind, rows) for kind, rows in origins(result, found))
    yield from _steps_text(result)
    yield from _analysis_text(result)
    for seat in result.responses:
        yield "\n".join((_line(seat_line(result, seat)), *_tools_text(result, seat.label), _beginning(seat.content)))
    for lost in result.failed_models:
        head = (_line(f"{lost.label} · {lost.model} · {fate(lost)}"), _line(lost.error))
        yield "\n".join(filter(None, (*head, *_tools_text(result, lost.label), _beginning(lost.content))))
    yield "\n".join(_sources_text(result.sources))
    yield counts(result)
    yield " · ".join(filter(None, (totals(result), _line(provenance(result)), ", ".join(NEXT))))


def _tools_text(result: FusionResult, label: str, of: str = "") -> list[str]:
    if not (uses := tool_uses(result, label)):
        return []
    return [f"  {of}{tools_title(uses)}", *(f"    {_line(' · '.join(filter(None, use)))}" for use in uses)]


def _sources_text(sources: tuple[Source, ...]) -> Iterator[str]:
    if sources:
        yield f"Sources ({len(sources)})"
    for source in sources:
        parts = (_title(source), _line(where(source)), _line(", ".join(source.labels)))
        yield f"  {' · '.join(filter(None, parts))}"


def _steps_text(result: FusionResult) -> Iterator[str]:
    yield _line(steps_title(result))
    for kind, rows in steps(result):
        yield _kind_text(kind, rows)
    for each in result.earlier:
        yield "\n".join((_line(earlier_line(each)), _beginning(each.content)))


def _analysis_text(result: FusionResult) -> Iterator[str]:
    tools = "\n".join(_tools_text(result, "", of="Judge: "))
    if result.analysis is None:
        yield tools
        return
    yield _line(judge_line(result))
    kinds = list(findings(result.analysis))
    if not kinds:
        yield "No findings."
    for kind, rows in kinds:
        yield _kind_text(kind, rows)
    yield tools


def _kind_text(kind: str, rows: list[Row]) -> str:
    lines = [kind]
    for topic, stances in by_topic(rows):
        lines += [f"  {_line(topic)}"] if topic else []
        indent = "    " if topic else "  "
        for row in filter(lambda row: row.text, stances):
            lines.append(f"{indent}{f'[{_line(row.seats)}] ' if row.seats else ''}{_line(row.text)}")
    return "\n".join(lines)
