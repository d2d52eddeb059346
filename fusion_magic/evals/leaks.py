"""What runs of an evaluation saw that they should not have: blocked sites, and text of the rubrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..examine.columns import RUN, Columns, Row, documented, table
from ..results import FusionResult
from ..tools.domains import Domains
from ..verbs import load
from .contamination import WITHHELD, Screen
from .datasets import Dataset
from .scores import Scores

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

LEAKS: Columns = {
    **RUN,
    "where": ("text", "arguments or output of a tool, source, response or answer"),
    "seat": ("text", "the seat's letter; empty for judge and answer"),
    "tool": ("text", "the tool's name; missing for what is no call of a tool"),
    "what": ("text", "site (blocked), rubric (text of it), or withheld (rubric text that no model was shown)"),
    "found": ("text", "the address, or the passage"),
}
_URL = re.compile(r"https?://[^\s<>\"'`\[\]{}|\\^)]+", re.IGNORECASE)
_USER = re.compile(r"//[^/?#@]*@")
_AFTER = ".,;:!?…"  # what ends a sentence rather than an address


@documented(LEAKS)
def leak_audit(
    runs: Scores | Iterable[FusionResult | str], dataset: Dataset, blocked: Sequence[str] | None = None
) -> DataFrame:
    """Everything in the runs that touched a blocked site or holds text of the dataset's rubrics; no rows is good news.

    Of each call of a tool it reads what the result keeps: the first 2,000 characters of arguments and of output. The
    screen of `evaluate` has read all of the output of this machine's tools; what OpenRouter's servers search and read
    passes no screen, so there this audit is all there is.

    Args:
        runs: scores whose runs are in the store, or results, or ids of runs.
        dataset: whose rubrics are looked for.
        blocked: sites; None takes those of the dataset.

    Raises:
        SettingsError: a run is not in the store.
    """
    screen = Screen.of(dataset)
    sites = Domains(block=tuple(dataset.blocked if blocked is None else blocked))
    return table(LEAKS, [row for result in _results(runs) for row in _leaks(result, screen, sites)])


def _results(runs: Scores | Iterable[FusionResult | str]) -> Iterator[FusionResult]:
    if isinstance(runs, Scores):
        frame: Any = runs.frame
        found = frame["run"].dropna()
        if not len(found):
            raise SettingsError("These scores name no runs, so there is nothing to audit.")
        runs = [str(run) for run in found]
    for run in runs:
        yield load(run) if isinstance(run, str) else run


def _leaks(result: FusionResult, screen: Screen, sites: Domains) -> Iterator[Row]:
    for where, seat, tool, text in _texts(result):
        row = {"run": result.id, "where": where, "seat": seat, "tool": tool or None}
        if WITHHELD in text:
            yield {**row, "what": "withheld", "found": WITHHELD}
        for passage in screen.found(text):
            yield {**row, "what": "rubric", "found": passage}
        for url in dict.fromkeys(url.rstrip(_AFTER) for url in _URL.findall(text)):
            if sites.blocks(_USER.sub("//", url, count=1)):
                yield {**row, "what": "site", "found": url}


def _texts(result: FusionResult) -> Iterator[tuple[str, str, str, str]]:
    """(where, seat, tool, text) of everything that a model asked for, read, cited or wrote."""
    for use in result.tools:
        yield "arguments", use.label, use.tool, _plain(use.arguments)
        yield "output", use.label, use.tool, use.output
    for response in result.responses:
        for source in response.sources:
            yield "source", response.label, "", "\n".join((source.url, source.title, *source.quotes))
        yield "response", response.label, "", response.content
    if result.answer is not None and len(result.responses) != 1:
        yield "answer", "", "", result.answer


def _plain(arguments: str) -> str:
    """Arguments without JSON's escapes, where they are whole."""
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except ValueError:
        return arguments
