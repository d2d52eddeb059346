"""The stages of a lesson, each as HTML, Markdown and text; pure functions from a result and what the class said.

No model's name is in them before the last one, and what a model wrote is made safe here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from ...results import RECORD, Analysis, FailedModel, FusionResult
from ..markup import escape, plain, safe_markdown
from ..static.page import findings_html, framed, table, text_html
from ..static.prose import closed
from ..static.words import answer_of, by_topic, findings, notices, totals
from .ballots import Ballots, Standing, Support, standings, supported, tally

TITLES = {
    "predict": "Predict",
    "answers": "The answers, without names",
    "vote": "Vote",
    "judge": "What the judge found",
    "answer": "The answer",
    "reveal": "Who it was",
}
STAGES = tuple(TITLES)
HEADING = 'style="font-size:1.2em;font-weight:600;margin:20px 0 6px"'
PREDICT = "Several models answer this question, each alone. How will their answers stand to each other?"
VOTE = "Which answer is the best one? Count the hands for each."
COLUMNS = ("seat", "model", "votes", "share", "alone", "with others", "in dispute", "in the answer")
COLUMNS_TOLD = (
    "Alone, with others, in dispute: findings of the judge that name the seat. In the answer: sentences of it that the "
    "seat's text supports, found by comparing the texts."
)


class Part(NamedTuple):
    """What one stage shows, in three forms that say the same."""

    html: str
    markdown: str
    text: str


class Block(NamedTuple):
    """A paragraph: our own, a seat's letter, the question that was asked, or what a model wrote in Markdown."""

    text: str
    kind: Literal["own", "seat", "question", "model"] = "own"


def part(stage: str, result: FusionResult, ballots: Ballots, support: Support | None = None) -> Part:
    """A stage as it stands, without the class's ballot, which the page draws itself.

    `support` is that of the result, where it has been computed before.
    """
    match stage:
        case "predict":
            return _part([Block(result.prompt, "question"), Block(PREDICT)])
        case "answers":
            return _part(_answers(result))
        case "vote":
            return _part([Block(VOTE)])
        case "judge":
            return _judge(result.analysis)
        case "answer":
            return _part(_answer(result))
        case _:
            return _reveal(result, ballots, support or supported(result))


def said(stage: str, result: FusionResult, ballots: Ballots) -> list[str]:
    """What the class said in a stage."""
    if stage == "predict":
        note = f"The class wrote: {ballots.note}" if ballots.note.strip() else ""
        return [line for line in (f"The class: {ballots.predicted() or 'no prediction'}", note) if line]
    if stage == "vote":
        labels = tuple(response.label for response in result.responses)
        return [f"The class: {ballots.voted(labels) or 'no votes'}"]
    return []


def lesson_bundle(
    result: FusionResult, ballots: Ballots | None = None, support: Support | None = None, *, record: bool = True
) -> dict[str, Any]:
    """The whole lesson, stage after stage under headings, with what the class said; `record` as for any result."""
    ballots = ballots or Ballots()
    html, markdown, text = list[str](), list[str](), list[str]()
    for number, (stage, title) in enumerate(TITLES.items(), 1):
        shown, lines = part(stage, result, ballots, support), said(stage, result, ballots)
        of_class = _part(map(Block, lines))
        heading = f'<h2 class="fm-stage jp-toc-ignore" tabindex="-1" {HEADING}>{number} · {title}</h2>'
        html += [heading, shown.html, of_class.html]
        markdown += [f"### {number} · {title}", shown.markdown, of_class.markdown]
        text += [f"{number} · {title}", shown.text, of_class.text]
    return {
        "text/html": framed("".join(html)),
        "text/markdown": safe_markdown("\n\n".join(filter(None, markdown))),
        "text/plain": plain("\n\n".join(filter(None, text))),
        **({RECORD: result.to_record()} if record else {}),
    }


def _part(blocks: Iterable[Block]) -> Part:
    known = list(blocks)
    return Part(
        "".join(_html(block) for block in known),
        "\n\n".join(_markdown(block) for block in known),
        "\n\n".join(block.text for block in known),
    )


def _html(block: Block) -> str:
    shown = escape(block.text).replace("\n", "<br>")
    match block.kind:
        case "model":
            return text_html(block.text)
        case "seat":
            return f'<h3 class="fm-seat jp-toc-ignore">{shown}</h3>'
        case "question":
            return f"<blockquote>{shown}</blockquote>"
        case _:
            return f"<p>{shown}</p>"


def _markdown(block: Block) -> str:
    lines = [_line(line) for line in block.text.splitlines() if line.strip()]
    match block.kind:
        case "model":
            return closed(block.text)
        case "seat":
            return "\n".join(f"**{line}**" for line in lines)
        case "question":
            return "\n".join(f"> {line}" for line in lines)
        case _:
            return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(plain(text).split())


def _answers(result: FusionResult) -> Iterator[Block]:
    lost = {seat.label: seat for seat in result.failed_models}
    texts = {seat.label: seat.content for seat in result.responses}
    for label in sorted({*lost, *texts}):
        yield Block(f"Answer {label}", "seat")
        yield Block(texts[label], "model") if label in texts else Block(_fate(lost[label]))
    if not lost and not texts:
        yield Block("Nobody answered.")
    yield from (Block(warning) for warning in result.warnings if warning.startswith("Simulated: "))


def _fate(seat: FailedModel) -> str:
    return "This seat was skipped." if seat.skipped else "This seat gave no answer; why is told at the end."


def _judge(analysis: Analysis | None) -> Part:
    if analysis is None:
        return _part([Block("There is no analysis; why is told at the end.")])
    lines = list(_findings(analysis))
    if not lines:
        return _part([Block("The judge found nothing to say.")])
    markdown = "\n".join(f"\n**{text}**\n" if not row else f"- {text}" for text, row in lines).strip()
    text = "\n".join(f"  {text}" if row else text for text, row in lines)
    return Part(findings_html(analysis), markdown, text)


def _findings(analysis: Analysis) -> Iterator[tuple[str, bool]]:
    """Every kind and every finding on a line; whether it is a finding."""
    for kind, rows in findings(analysis):
        yield kind, False
        for topic, stances in by_topic(rows):
            for row in stances:
                named = f"[{row.seats}] " if row.seats else ""
                yield _line(f"{f'{topic}: ' if topic else ''}{named}{row.text}"), True


def _answer(result: FusionResult) -> Iterator[Block]:
    title, text = answer_of(result)
    if title or not text:
        yield Block(title or "There is no answer; why is told at the end.")
    if text:
        yield Block(text, "model")


# --- the last stage ---------------------------------------------------------------------------------


def _reveal(result: FusionResult, ballots: Ballots, support: Support) -> Part:
    rows, claims = standings(result, ballots.votes, support), support.claims
    told = [*tally(result, ballots, rows, claims)]
    people = [*_chairs(result), *_lost(result), *notices(result), totals(result)]
    of_class, names = _part(map(Block, told)), _part(map(Block, people))
    seats = [f"- {line}" for line in _seats(rows, claims)]
    return Part(
        f"{of_class.html}{_table(rows, claims)}{names.html}",
        "\n\n".join(filter(None, (of_class.markdown, "\n".join(map(_line, seats)), names.markdown))),
        "\n\n".join(filter(None, (of_class.text, "\n".join(seats), names.text))),
    )


def _table(rows: list[Standing], claims: int) -> str:
    if not rows:
        return ""
    total = sum(row.votes for row in rows) or 1
    cells = [
        [row.label, row.model, str(row.votes), row.votes / total, *map(str, row[3:6]), f"{row.supports} of {claims}"]
        for row in rows
    ]
    return table(COLUMNS, cells) + f"<p>{escape(COLUMNS_TOLD)}</p>"


def _seats(rows: list[Standing], claims: int) -> Iterator[str]:
    """The table's rows as lines."""
    for row in rows:
        found = f"judge: alone {row.alone}, with others {row.shared}, in dispute {row.disputed}"
        supports = f"supports {row.supports} of {claims} sentences of the answer"
        yield f"{row.label} · {row.model} · votes: {row.votes} · {found} · {supports}"


def _chairs(result: FusionResult) -> Iterator[str]:
    for stage, name in (("judge", "Judge"), ("synthesis", "Synthesizer"), ("hosted", "OpenRouter")):
        asked = dict.fromkeys(call.model for call in result.calls if call.stage == stage)
        if asked:
            yield f"{name}: {', '.join(asked)}"


def _lost(result: FusionResult) -> Iterator[str]:
    for seat in result.failed_models:
        yield f"{seat.label}: {seat.model} did not answer. {seat.error}"
