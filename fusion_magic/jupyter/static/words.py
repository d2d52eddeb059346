"""What is said of a finished run, whatever the form: plain texts from a result, not yet escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

from ...endpoints import split_model
from ...examine.costs import times_the_dearest
from ...pipeline.tokens import text_tokens
from ...results import (
    Analysis,
    Call,
    Contradiction,
    FailedModel,
    FusionResult,
    Response,
    Source,
    ToolUse,
    cost_text,
)
from .money import counted, reused_line, seat_money, unknown

DEMO = "Tiny offline demo model: it shows how fusion works, and its sentences are often wrong."
ARGUMENTS = 200  # characters of a call of a tool
TOOLS = 60  # calls of tools that are listed of a seat; `_fusion.tools` has all
ERROR = 400  # characters of why one failed
NEXT = ("_fusion.responses", "_fusion.analysis", "_fusion.calls")  # what to type for the rest
_ANCHOR = re.compile(r"#(page|cell|part)=(\d+)$")  # of a place in a local collection


class Use(NamedTuple):
    """A call of a tool: what was called with what, and what came of it."""

    call: str
    came: str


class Row(NamedTuple):
    """One finding: the seats it comes from (none where it is everybody's), the text, and for a stance its topic."""

    seats: str
    text: str
    topic: str = ""


def headline(result: FusionResult) -> str:
    """State of the run in a sentence, or nothing if all is well."""
    match result.status:
        case "ok":
            return ""
        case "cancelled":
            return "Stopped. What was answered is kept."
        case "limited":
            return f"Limited by budget. {result.error or ''}".rstrip()
        case "error":
            return result.error or "There is no answer."


def notices(result: FusionResult) -> list[str]:
    """What was reused, then state, labels and warnings that belong above the answer; who served whom is in the foot."""
    served = set(served_by_another(result))
    warnings = (warning for warning in result.warnings if warning not in served)
    demo = DEMO if _is_demo(result) else ""
    return [line for line in (reused_line(result), headline(result), demo, one_page(result), *warnings) if line]


def one_page(result: FusionResult) -> str:
    """A sentence where every seat rests on the same page and on no other: their agreement is then one voice."""
    if len(result.responses) < 2 or len(result.sources) != 1:
        return ""
    (page,) = result.sources
    seats = {response.label for response in result.responses}
    return f"All seats rest on one page: {page.title or where(page)}." if seats == set(page.labels) else ""


def needs_a_word(result: FusionResult) -> bool:
    """Whether the answer is not a whole one, or only the tiny model's."""
    written = _stage(result, "synthesis") or _stage(result, "hosted")
    return result.status != "ok" or _is_demo(result) or (written is not None and written.finish_reason != "stop")


def _is_demo(result: FusionResult) -> bool:
    return any(split_model(call.model) == ("smollm2", "local") for call in result.calls)


def answer_of(result: FusionResult) -> tuple[str, str]:
    """(title, text) of the answer, or of what there is of it."""
    if result.answer is not None:
        return "", result.answer
    return ("The answer as far as it was written", result.unfinished) if result.unfinished else ("", "")


# --- seats ------------------------------------------------------------------------------------------


def named(model: str, served: str | None) -> str:
    """The model asked for and, if it goes by another name, the one that answered."""
    asked = split_model(model)[0]
    return f"{model} → {served}" if served and served not in (model, asked) else model


def short(model: str) -> str:
    """The model's name without vendor and endpoint."""
    return split_model(model)[0].rpartition("/")[2]


def seat_figures(result: FusionResult, response: Response) -> str:
    """Time, tokens and cost of one seat."""
    return f"{response.duration:.1f} s · {seat_money(result, response)}"


def seat_line(result: FusionResult, response: Response) -> str:
    """One seat in one line: letter, model, time, tokens, cost."""
    return f"{response.label} · {named(response.model, response.served_model)} · {seat_figures(result, response)}"


def tool_uses(result: FusionResult, label: str) -> list[Use]:
    """The calls of tools of a seat, or with no label of the judge, in the order they ended."""
    uses = [use for use in result.tools if use.label == label]
    more = [Use("", f"and {len(uses) - TOOLS} more in _fusion.tools")] if len(uses) > TOOLS else []
    return [*map(_use, uses[:TOOLS]), *more]


def _use(use: ToolUse) -> Use:
    took = "" if use.duration is None else f"{use.duration:.1f} s"
    came = f"failed: {_cut(use.error, ERROR)}" if use.error else f"{use.size:,} characters"
    return Use(_cut(called(use.tool, use.arguments), ARGUMENTS), " · ".join(filter(None, (took, came))))


def tools_title(uses: list[Use]) -> str:
    """What stands above a list of calls of tools."""
    return f"Tools ({len(uses)})" if uses[-1].call else "Tools"


def called(tool: str, arguments: str) -> str:
    """A call of a tool on one line: its name and the values of its arguments, without their JSON."""
    return " ".join(f"{tool} {_in_words(arguments)}".split())


def _in_words(arguments: str) -> str:
    try:
        given: object = json.loads(arguments or "{}")
        values = cast("dict[str, Any]", given).values() if isinstance(given, dict) else [given]
        return ", ".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    except (ValueError, RecursionError):
        return arguments


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


# --- sources ----------------------------------------------------------------------------------------


def is_web(url: str) -> bool:
    """Whether an address is one that a browser may open."""
    return url.startswith(("http://", "https://"))


def where(source: Source) -> str:
    """Where a source is to be found: its address, or the file and page of a local collection in words."""
    if not source.url.startswith("corpus:"):
        return source.url
    path = unquote(_ANCHOR.sub("", source.url.removeprefix("corpus:")))
    anchor = _ANCHOR.search(source.url)
    return f"{path}, {anchor[1]} {anchor[2]}" if anchor else path


def fate(lost: FailedModel) -> str:
    """What became of a seat without a response."""
    return "skipped" if lost.skipped else "no answer"


# --- the analysis -----------------------------------------------------------------------------------


def judge_line(result: FusionResult) -> str:
    """Who compared the responses."""
    call = _stage(result, "judge")
    if call is None and _stage(result, "hosted"):
        return "Analysis by OpenRouter's analyst"
    return f"Analysis by {named(call.model, call.served_model)}" if call else "Analysis"


def _stage(result: FusionResult, stage: str) -> Call | None:
    return next((call for call in reversed(result.calls) if call.stage == stage), None)


def findings(analysis: Analysis) -> Iterator[tuple[str, list[Row]]]:
    """The analysis as (kind, rows) in reading order; empty kinds are left out."""
    kinds = (
        ("Consensus", [Row("", point) for point in analysis.consensus]),
        ("Contradictions", [row for item in analysis.contradictions for row in _stances(item)]),
        ("Partial coverage", [Row(", ".join(item.labels), item.point) for item in analysis.partial_coverage]),
        ("Unique insights", [Row(item.label, item.insight) for item in analysis.unique_insights]),
        ("Blind spots", [Row("", point) for point in analysis.blind_spots]),
    )
    yield from ((kind, rows) for kind, rows in kinds if rows)


def _stances(item: Contradiction) -> list[Row]:
    """The stances on one topic; seats that say the same are named together."""
    seats: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for stance in item.stances:
        same = " ".join(stance.stance.casefold().split()).rstrip(".")
        seats.setdefault(same, []).append(stance.label)
        words.setdefault(same, stance.stance)
    return [Row(", ".join(seats[same]), words[same], item.topic) for same in words] or [Row("", "", item.topic)]


def by_topic(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of contradictions under their topics."""
    topics: dict[str, list[Row]] = {}
    for row in rows:
        topics.setdefault(row.topic, []).append(row)
    return list(topics.items())


# --- the foot ---------------------------------------------------------------------------------------


def counts(result: FusionResult) -> str:
    """What the judge found in numbers, and the run's cost beside its dearest seat's: counts, no verdict.

    "3 contradictions, 2 points only one seat had, 5.1 × the dearest seat alone"; parts that are not known are left out.
    """
    parts: list[str] = []
    if result.analysis is not None:
        contradictions, alone = len(result.analysis.contradictions), len(result.analysis.unique_insights)
        parts = [counted(contradictions, "contradiction"), f"{counted(alone, 'point')} only one seat had"]
    if (times := times_the_dearest(result)) is not None:
        parts.append(f"{times:.1f} × the dearest seat alone")
    return ", ".join(parts)


def totals(result: FusionResult) -> str:
    """Calls, tokens, cost and time in one line."""
    parts = [counted(len(result.calls), "call")]
    if reused := sum(call.reused for call in result.calls):
        parts[0] += f" ({reused:,} reused)"
    if uses := len(result.tools):
        parts.append(f"{counted(uses, 'use')} of tools")
    if searches := _searches_of_servers(result):
        parts.append(f"{searches:,} web search{'es' if searches != 1 else ''}")
    parts += [f"{result.usage.total_tokens:,} tokens", cost_text([result]), *unknown(result)]
    if _stage(result, "hosted") and len(result.calls) == 1:
        parts.append("all in one bill, which OpenRouter does not itemise")
    return " · ".join([*parts, f"{result.duration:.1f} s"])


def _searches_of_servers(result: FusionResult) -> int:
    """Searches that servers report by number alone; those they also record are among the uses of tools."""
    recorded = sum(use.tool == "openrouter:web_search" for use in result.tools)
    return max(0, result.usage.web_searches - recorded)


def provenance(result: FusionResult) -> str:
    """Models that answered for others, and the prompts that were used."""
    versions = ", ".join(sorted({call.prompt_version for call in result.calls if call.prompt_version}))
    used = [f"prompts {versions}"] if versions else []
    used = [*once_not_twice(result), *used]
    return " · ".join([*(line.rstrip(".") for line in served_by_another(result)), *used])


def once_not_twice(result: FusionResult) -> Iterator[str]:
    """What one pass saved: the responses were not read a second time."""
    if any(call.prompt_version.startswith("one-pass") for call in result.calls) and _stage(result, "judge") is None:
        tokens = sum(text_tokens(response.content) for response in result.responses)
        yield f"one pass: {tokens:,} tokens of responses read once, not twice"


def served_by_another(result: FusionResult) -> list[str]:
    """The run's warnings that another model answered than was asked."""
    served = {f"{call.model} was asked, {call.served_model} answered." for call in result.calls}
    return [warning for warning in result.warnings if warning in served]
