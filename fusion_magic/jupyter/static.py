"""What a finished run looks like: HTML, Markdown and plain text that say the same, from pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from markdown_it import MarkdownIt

from ..results import Analysis, Call, FailedModel, FusionResult, Response, cost_text, dollars
from ..settings import split_model
from .markup import MAX_CHARACTERS, code_css, escape, plain, safe_markdown, to_html

LEFT = 'style="text-align:left"'  # stays where <style> is stripped, and JupyterLab would align to the right
UNSAFE_IN_URL = re.compile(r"[\s<>\"'`\\]")
WIDE = 'style="overflow-x:auto;word-wrap:break-word"'  # the same
BEGINNING = 400  # characters of a response in Markdown and plain text
DEMO = "Tiny offline demo model: it shows how fusion works, and its sentences are often wrong."


def bundle(result: FusionResult) -> dict[str, str]:
    """The result as a MIME bundle: text/html, text/markdown and text/plain."""
    return {"text/html": html(result), "text/markdown": markdown(result), "text/plain": text(result)}


def answer_bundle(result: FusionResult) -> dict[str, str]:
    """The answer alone, for `--quiet`; what it must not be taken for is said above it."""
    title, answer = _answer(result)
    told = [*(notices(result) if _needs_a_word(result) else []), title]
    lines = [line for line in told if line]
    notes = "".join(f'<p class="fm-notice">{escape(line)}</p>' for line in lines)
    return {
        "text/html": framed(f'{notes}<div class="fm-answer" {WIDE}>{to_html(answer)}</div>'),
        "text/markdown": safe_markdown("\n\n".join([*(f"> {_line(line)}" for line in lines), answer])),
        "text/plain": plain("\n\n".join([*lines, answer])),
    }


def _needs_a_word(result: FusionResult) -> bool:
    """Whether the answer is not a whole one, or only the tiny model's."""
    written = _stage(result, "synthesis")
    return result.status != "ok" or _is_demo(result) or (written is not None and written.finish_reason != "stop")


# --- what is said, whatever the form ----------------------------------------------------------------


def headline(result: FusionResult) -> str:
    """State of the run in a sentence, or nothing if all is well."""
    match result.status:
        case "ok":
            return ""
        case "cancelled":
            return "Stopped. What was answered is kept."
        case "limited":
            return "Limited by the budget."
        case "error":
            return result.error or "There is no answer."


def notices(result: FusionResult) -> list[str]:
    """State, warnings and labels that belong above the answer."""
    told = [headline(result), DEMO if _is_demo(result) else "", *result.warnings]
    return [line for line in told if line]


def _is_demo(result: FusionResult) -> bool:
    return any(split_model(call.model) == ("smollm2", "local") for call in result.calls)


def totals(result: FusionResult) -> str:
    """Calls, tokens, cost and time in one line."""
    count, usage = len(result.calls), result.usage
    parts = [
        f"{count} call{'s' if count != 1 else ''}",
        f"{usage.total_tokens:,} tokens",
        cost_text([result]),
        f"{result.duration:.1f} s",
    ]
    return " · ".join(parts)


def versions(result: FusionResult) -> str:
    """The prompts that were used, for the record."""
    return ", ".join(sorted({call.prompt_version for call in result.calls if call.prompt_version}))


def seat_line(response: Response) -> str:
    """One seat in one line: letter, model, time, tokens, cost."""
    tokens = f"{response.usage.completion_tokens:,} tokens" if response.usage else "tokens not reported"
    cost = "not priced" if response.cost is None else dollars(response.cost)
    model = named(response.model, response.served_model)
    return f"{response.label} · {model} · {response.duration:.1f} s · {tokens} · {cost}"


def named(model: str, served: str | None) -> str:
    """The model asked for and, if it goes by another name, the one that answered."""
    asked = split_model(model)[0]
    return f"{model} → {served}" if served and served not in (model, asked) else model


def findings(analysis: Analysis) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The analysis as (kind, [(who, what)]) in reading order; empty kinds are left out."""
    yield from (
        (kind, rows)
        for kind, rows in (
            ("Consensus", [("", point) for point in analysis.consensus]),
            ("Contradictions", list(_contradictions(analysis))),
            ("Partial coverage", [(" ".join(item.labels), item.point) for item in analysis.partial_coverage]),
            ("Unique insights", [(item.label, item.insight) for item in analysis.unique_insights]),
            ("Blind spots", [("", point) for point in analysis.blind_spots]),
        )
        if rows
    )


def _contradictions(analysis: Analysis) -> Iterator[tuple[str, str]]:
    for item in analysis.contradictions:
        yield "", f"{item.topic}:"
        yield from ((stance.label, stance.stance) for stance in item.stances)


def _stage(result: FusionResult, stage: str) -> Call | None:
    return next((call for call in reversed(result.calls) if call.stage == stage), None)


def _judge_line(result: FusionResult) -> str:
    call = _stage(result, "judge")
    return f"Analysis by {named(call.model, call.served_model)}" if call else "Analysis"


def _answer(result: FusionResult) -> tuple[str, str]:
    """(title, text) of the answer, or of what there is of it."""
    if result.answer is not None:
        return "", result.answer
    return ("The answer as far as it was written", result.unfinished) if result.unfinished else ("", "")


# --- HTML -------------------------------------------------------------------------------------------


def html(result: FusionResult) -> str:
    """The result as HTML that reads with and without its <style>, and flat where <details> is not honoured."""
    title, answer = _answer(result)
    parts = [
        *(f'<p class="fm-notice">{escape(line)}</p>' for line in notices(result)),
        f"<p><em>{escape(title)}</em></p>" if title else "",
        f'<div class="fm-answer" {WIDE}>{to_html(answer)}</div>' if answer else "",
        _analysis_html(result),
        *(_response_html(response) for response in result.responses),
        *(_failed_html(lost) for lost in result.failed_models),
        _sources_html(result),
        f'<p class="fm-foot">{escape(_foot(result))}</p>',
    ]
    return framed("".join(parts))


def _foot(result: FusionResult) -> str:
    used = versions(result)
    return f"{totals(result)}{f' · prompts {used}' if used else ''} · .responses, .analysis and .calls have the rest"


def framed(body: str) -> str:
    """HTML with the style that it needs, which travels with each output."""
    return f'{_style()}<div class="fm-result mathjax_ignore">{body}</div>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Plain texts as an HTML table."""
    names = "".join(f"<th {LEFT}>{escape(name)}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(f'<td {LEFT}>{_breakable(cell)}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{names}</tr></thead>" if names else ""
    return f'<div class="fm-wide"><table class="fm-rows">{top}<tbody>{lines}</tbody></table></div>'


def _breakable(name: str) -> str:
    """A model's name may go on in the next line behind its vendor."""
    return escape(name).replace("/", "/<wbr>")


@cache
def _style() -> str:
    css = files(__spec__.parent).joinpath("static.css").read_text(encoding="utf-8")
    return f"<style>{css}{code_css('.fm-result')}</style>"


def _details(summary: str, body: str, kind: str = "", open_: bool = False) -> str:
    return (
        f'<details class="fm-part {kind}"{" open" if open_ else ""} style="margin:6px 0">'
        f"<summary>{escape(summary)}</summary>{body}</details>"
    )


def _analysis_html(result: FusionResult) -> str:
    if result.analysis is None:
        return ""
    rows: list[str] = []
    for kind, points in findings(result.analysis):
        rows.append(f'<tr><th colspan="2" {LEFT}>{kind}</th></tr>')
        rows.extend(f"<tr><td {LEFT}>{escape(who)}</td><td {LEFT}>{_inline(what)}</td></tr>" for who, what in points)
    found = f'<table class="fm-analysis"><tbody>{"".join(rows)}</tbody></table>'
    body = f'<div class="fm-wide">{found}</div>' if rows else "<p>No findings.</p>"
    return _details(_judge_line(result), body, open_=True)


def _inline(markdown_text: str) -> str:
    """A finding as HTML; a lone paragraph loses its <p>."""
    shown = to_html(markdown_text).strip()
    lone = shown.startswith("<p>") and shown.endswith("</p>") and shown.count("<p>") == 1
    return shown[3:-4] if lone else shown


def _response_html(response: Response) -> str:
    thought = _details("Reasoning", f'<div class="fm-text" {WIDE}>{to_html(response.reasoning)}</div>', "fm-reasoning")
    cited = "".join(f"<li>{_link(source.url, source.title)}</li>" for source in response.sources)
    body = (
        (thought if response.reasoning else "")
        + f'<div class="fm-text" {WIDE}>{to_html(response.content)}</div>'
        + (f"<ul>{cited}</ul>" if cited else "")
    )
    return _details(seat_line(response), body, "fm-response")


def _failed_html(lost: FailedModel) -> str:
    written = f'<div class="fm-text" {WIDE}>{to_html(lost.content)}</div>' if lost.content else ""
    return _details(f"{lost.label} · {lost.model} · no answer", f"<p>{escape(lost.error)}</p>{written}", "fm-failed")


def _sources_html(result: FusionResult) -> str:
    if not result.sources:
        return ""
    items = "".join(
        f"<li>{_link(source.url, source.title)} ({escape(' '.join(source.labels))})</li>" for source in result.sources
    )
    return _details(f"Sources ({len(result.sources)})", f"<ul>{items}</ul>", "fm-sources")


def _link(url: str, title: str) -> str:
    if not url.startswith(("http://", "https://")):
        return escape(title or url)
    return f'<a href="{escape(_address(url))}" target="_blank" rel="noopener noreferrer">{escape(title or url)}</a>'


# --- Markdown and plain text ------------------------------------------------------------------------


def markdown(result: FusionResult) -> str:
    """The result as Markdown, safe where a front end lets raw HTML through.

    Made safe as a whole: parts that are harmless alone may turn into HTML side by side, where one leaves code open.
    """
    title, answer = _answer(result)
    parts = [
        *(f"> {_line(note)}" for note in notices(result)),
        f"*{title}*" if title else "",
        _closed(answer),
        *_analysis_markdown(result),
        *(f"**{_line(seat_line(seat))}**\n\n{_closed(_beginning(seat.content))}" for seat in result.responses),
        *(f"**{lost.label} · {_line(lost.model)}: no answer.** {_line(lost.error)}" for lost in result.failed_models),
        *(f"- {_line(source.title or source.url)}: `{_address(source.url)}`" for source in result.sources),
        f"*{_line(totals(result))}*",
    ]
    return safe_markdown("\n\n".join(part for part in parts if part))


def _analysis_markdown(result: FusionResult) -> Iterator[str]:
    if result.analysis is None:
        return
    yield f"### {_line(_judge_line(result))}"
    for kind, points in findings(result.analysis):
        items = "\n".join(f"- {f'**{who}** ' if who else ''}{_line(what)}" for who, what in points)
        yield f"**{kind}**\n\n{items}"


def _line(value: str) -> str:
    """Text on one line of Markdown."""
    return " ".join(plain(value).split())


def _address(url: str) -> str:
    """An address that ends neither an attribute nor code."""
    return UNSAFE_IN_URL.sub(lambda found: quote(found[0]), plain(url))


def _closed(content: str) -> str:
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


def text(result: FusionResult) -> str:
    """The result as plain text."""
    title, answer = _answer(result)
    return "\n\n".join(plain(part) for part in _text_parts(result, title, answer) if part)


def _text_parts(result: FusionResult, title: str, answer: str) -> Iterable[str]:
    yield from notices(result)
    yield title
    yield answer
    if result.analysis:
        yield _judge_line(result)
        for kind, points in findings(result.analysis):
            yield "\n".join([kind, *(f"  {f'[{who}] ' if who else ''}{_line(what)}" for who, what in points)])
    for seat in result.responses:
        yield f"{seat_line(seat)}\n{_beginning(seat.content)}"
    for lost in result.failed_models:
        yield f"{lost.label} · {lost.model}: no answer. {lost.error}"
    yield "\n".join(f"  {source.title or source.url}: {source.url}" for source in result.sources)
    yield totals(result)
