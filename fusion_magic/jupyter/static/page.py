"""A finished run as HTML: the answer, the analysis, then each seat folded; pure functions, escaped where values land.

It is read with its style (a trusted notebook, nbconvert), without it (one that is not trusted keeps only inline styles
with literal colours), and flat (where <details> is not honoured). So each part begins with what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from ...examine.claims import Ledger
from ...results import Analysis, FailedModel, FusionResult, Response, Source
from ..markup import code_css, escape, to_html
from .citations import cited_html, link
from .marks import Marks, origins_html
from .origins import traced
from .steps import earlier_line, steps, steps_title
from .words import (
    NEXT,
    Row,
    Use,
    answer_of,
    by_topic,
    counts,
    fate,
    findings,
    judge_line,
    named,
    needs_a_word,
    notices,
    provenance,
    seat_figures,
    short,
    tool_uses,
    tools_title,
    totals,
)

LEFT = 'style="text-align:left;vertical-align:top"'  # JupyterLab would align to the right
WIDE = 'style="overflow-x:auto;word-wrap:break-word"'
BOX = 'style="padding:5px 12px;border:1px solid rgba(127,127,127,.3);border-top:0"'
BOXES = 'style="margin:0 0 10px;border-top:1px solid rgba(127,127,127,.3)"'
KIND = 'style="font-size:1em;font-weight:600;margin:12px 0 3px"'
BAR_WIDTH = 14  # em of the longest bar
SCROLLING = {
    "<table>": '<div class="fm-wide" tabindex="0"><table>',
    "</table>": "</table></div>",
    '<pre class="fm-code">': '<pre class="fm-code" tabindex="0">',
}
_KEPT = re.compile(r'(<pre.*?</pre>|<span class="mathjax_process">.*?</span>)|\n+', re.DOTALL)


def html(result: FusionResult) -> str:
    """The result as HTML that reads with and without its style, and flat where <details> is not honoured."""
    found = traced(result)
    seats = [
        *(_response(result, response) for response in result.responses),
        *(_lost(lost, tool_uses(result, lost.label)) for lost in result.failed_models),
    ]
    parts = [
        *(f'<p class="fm-notice">{escape(line)}</p>' for line in notices(result)),
        _answer(result, found),
        _origins(result, found),
        _steps(result),
        _analysis(result),
        f'<div class="fm-seats" {BOXES}>{"".join(seats)}</div>' if seats else "",
        _sources(result.sources),
        _foot(result),
    ]
    return framed("".join(parts))


def answer_html(result: FusionResult) -> str:
    """The answer alone, below what it must not be taken for."""
    told = notices(result) if needs_a_word(result) else []
    return framed("".join(f'<p class="fm-notice">{escape(line)}</p>' for line in told) + _answer(result))


def framed(body: str) -> str:
    """HTML with the style that it needs, which travels with each output.

    The style stands last, and in a comment: where a sanitizer turns tags into text, as nbconvert's, it is silent.
    """
    return f'<div class="fm-result mathjax_ignore">{body}</div><style><!--{_style("fm-code" in body)}--></style>'


@cache
def _style(with_code: bool) -> str:
    css = files(__spec__.parent).joinpath("style.css").read_text(encoding="utf-8")
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL) + (code_css(".fm-result") if with_code else "")
    return css.replace("\n", "")


def table(head: Iterable[str], rows: Iterable[Iterable[str | float]]) -> str:
    """Plain texts as an HTML table; a number is a share of 1, drawn as a bar."""
    names = "".join(f'<th scope="col" {LEFT}>{escape(name)}</th>' for name in head)
    lines = "".join(f"<tr>{''.join(f'<td {LEFT}>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{names}</tr></thead>" if names else ""
    return f'<div class="fm-wide" {WIDE}><table class="fm-rows">{top}<tbody>{lines}</tbody></table></div>'


def _cell(value: str | float) -> str:
    return _breakable(value) if isinstance(value, str) else _bar(value)


def _bar(share: float) -> str:
    """A bar that reads on white and on black, without the style too; what it shows stands beside it as a number."""
    width = f"width:{BAR_WIDTH * share:.1f}em;height:0.8em;margin-top:0.3em;background-color:#5b8def"
    return f'<div class="fm-bar" style="{width}"></div>' if share else ""


def _breakable(name: str) -> str:
    """A model's name may go on in the next line behind its vendor."""
    return escape(name).replace("/", "/<wbr>")


def _compact(fragment: str) -> str:
    """Without line ends, each of which costs a notebook's file a dozen bytes; code and formulas keep theirs.

    What scrolls can be reached by the keyboard. Tags are replaced as text, which none of the text is: that is escaped.
    """
    for tag, better in SCROLLING.items():
        fragment = fragment.replace(tag, better)
    return _KEPT.sub(lambda found: found[1] or " ", fragment)


def text_html(markdown: str) -> str:
    """What a model wrote, sanitized; what scrolls in it can be reached by the keyboard."""
    return f'<div class="fm-text" {WIDE}>{_compact(to_html(markdown, new_tabs=False))}</div>'


def _details(kind: str, summary: str, body: str, is_open: bool = False) -> str:
    state = " open" if is_open else ""
    return f'<details class="fm-part {kind}" {BOX}{state}><summary>{summary}</summary>{body}</details>'


def _answer(result: FusionResult, found: Ledger | None = None) -> str:
    title, answer = answer_of(result)
    above = f"<p><em>{escape(title)}</em></p>" if title else ""
    shown = _compact(cited_html(result, answer, Marks(answer, found) if found else None))
    return f'{above}<div class="fm-answer" {WIDE}>{shown}</div>' if answer else ""


def _origins(result: FusionResult, found: Ledger | None) -> str:
    if not found:
        return ""
    title, body = origins_html(result, found)
    shown = _details("fm-origins", title, body) if body else f'<p class="fm-legend">{title}</p>'
    return f"<div {BOXES}>{shown}</div>" if body else shown


# --- what a strategy counted -------------------------------------------------------------------------


def _steps(result: FusionResult) -> str:
    if not (title := steps_title(result)):
        return ""
    kinds = (f'<h2 class="fm-kind jp-toc-ignore" {KIND}>{kind}</h2>{_rows(rows)}' for kind, rows in steps(result))
    before = (_details("fm-response", escape(earlier_line(each)), text_html(each.content)) for each in result.earlier)
    body = "".join((*kinds, *before))
    return f"<div {BOXES}>{_details('fm-steps', f'<strong>{escape(title)}</strong>', body, is_open=True)}</div>"


# --- the analysis -----------------------------------------------------------------------------------


def _analysis(result: FusionResult) -> str:
    tools = _tools(tool_uses(result, ""), of="Judge: ")
    if result.analysis is None:
        return f"<div {BOXES}>{tools}</div>" if tools else ""
    found = findings_html(result.analysis)
    body = f"{_legend(result.responses)}{found}" if found else "<p>No findings.</p>"
    made = _details("fm-analysis", f"<strong>{escape(judge_line(result))}</strong>", body + tools, is_open=True)
    return f"<div {BOXES}>{made}</div>"


def findings_html(analysis: Analysis) -> str:
    """The findings with the letters of their seats, and no model's name; nothing if there are none."""
    kinds = findings(analysis)
    return "".join(f'<h2 class="fm-kind jp-toc-ignore" {KIND}>{kind}</h2>{_rows(rows)}' for kind, rows in kinds)


def _legend(responses: Iterable[Response]) -> str:
    """Which letter is which model."""
    seats = " · ".join(f"{_seat(response.label)} {escape(short(response.model))}" for response in responses)
    return f'<p class="fm-legend">{seats}</p>' if seats else ""


def _rows(rows: list[Row]) -> str:
    if rows[0].topic:
        return _contradictions(rows)
    items = "".join(f"<li>{f'{_seat(row.seats)} ' if row.seats else ''}{_inline(row.text)}</li>" for row in rows)
    return f'<ul class="fm-points">{items}</ul>'


def _contradictions(rows: list[Row]) -> str:
    """Topic × stance, each topic once."""
    lines: list[str] = []
    for topic, stances in by_topic(rows):
        first = f'<th scope="rowgroup" rowspan="{len(stances)}" {LEFT}>{_inline(topic)}</th>'
        for row in stances:
            lines.append(f"<tr>{first}<td {LEFT}>{_seat(row.seats)}</td><td {LEFT}>{_inline(row.text)}</td></tr>")
            first = ""
    names = "".join(f'<th scope="col" {LEFT}>{name}</th>' for name in ("Topic", "Seats", "Stance"))
    return (
        f'<div class="fm-wide" {WIDE}><table class="fm-stances"><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _seat(labels: str) -> str:
    return f'<strong class="fm-seat">{escape(labels)}</strong>'


def _inline(markdown_text: str) -> str:
    """A finding as HTML; a lone paragraph loses its <p>."""
    shown = _compact(to_html(markdown_text, new_tabs=False)).strip()
    lone = shown.startswith("<p>") and shown.endswith("</p>") and shown.count("<p>") == 1
    return shown[3:-4] if lone else shown


# --- seats, sources, foot ---------------------------------------------------------------------------


def _summary(label: str, model: str, rest: str) -> str:
    return f'{_seat(label)} · {escape(model)} · <span class="fm-figures">{escape(rest)}</span>'


def _response(result: FusionResult, response: Response) -> str:
    thought = _details("fm-reasoning", "Reasoning", text_html(response.reasoning)) if response.reasoning else ""
    cited = f"<p>Sources</p>{_links(response.sources)}" if response.sources else ""
    summary = _summary(response.label, named(response.model, response.served_model), seat_figures(result, response))
    tools = _tools(tool_uses(result, response.label))
    return _details("fm-response", summary, thought + tools + text_html(response.content) + cited)


def _tools(uses: list[Use], of: str = "") -> str:
    if not uses:
        return ""
    items = "".join(f"<li>{escape(' · '.join(filter(None, use)))}</li>" for use in uses)
    return _details("fm-tools", f"{of}{tools_title(uses)}", f'<ul class="fm-links">{items}</ul>')


def _lost(lost: FailedModel, tools: list[Use]) -> str:
    written = text_html(lost.content) if lost.content else ""
    summary = _summary(lost.label, lost.model, fate(lost))
    return _details("fm-response fm-lost", summary, f"<p>{escape(lost.error)}</p>{_tools(tools)}{written}")


def _sources(sources: tuple[Source, ...]) -> str:
    if not sources:
        return ""
    listed = _details("fm-sources", f"<strong>Sources ({len(sources)})</strong>", _links(sources, with_seats=True))
    return f"<div {BOXES}>{listed}</div>"


def _links(sources: Iterable[Source], with_seats: bool = False) -> str:
    items: list[str] = []
    for source in sources:
        seats = f" · {_seat(', '.join(source.labels))}" if with_seats and source.labels else ""
        items.append(f"<li>{link(source)}{seats}</li>")
    return f'<ul class="fm-links">{"".join(items)}</ul>'


def _foot(result: FusionResult) -> str:
    names = ", ".join(f"<code>{name}</code>" for name in NEXT)
    told = " · ".join(filter(None, (totals(result), provenance(result))))
    counted = f'<p class="fm-counts">{escape(line)}</p>' if (line := counts(result)) else ""
    return f'{counted}<p class="fm-foot">{escape(told)} · {names}</p>'
