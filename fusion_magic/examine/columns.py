"""The columns of each frame: name, kind and meaning; the frames and their documentation are both made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..errors import SettingsError

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

MISSING = 'Frames need pandas; run `pip install "fusion-magic[data]"`.'
Kind = Literal["text", "number", "count", "count?", "flag", "flag?", "time"]
Columns = Mapping[str, tuple[Kind, str]]
Row = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

# A kind's dtype. Text has the one that pandas itself gives text, which changed with pandas 3.
DTYPES = {
    "number": "float64",
    "count": "int64",
    "count?": "Int64",
    "flag": "bool",
    "flag?": "boolean",
    "time": "datetime64[us, UTC]",
}

RUN: Columns = {"run": ("text", "the run's id")}
SEAT: Columns = {
    "seat": ("text", "the seat's letter"),
    "model": ("text", "the model that was asked for"),
}
TOKENS: Columns = {
    "prompt_tokens": ("count?", "input tokens; missing, as the other tokens, if the server did not report them"),
    "completion_tokens": ("count?", "output tokens, reasoning included"),
    "reasoning_tokens": ("count?", "output tokens spent on reasoning"),
    "cached_tokens": ("count?", "input tokens read from the provider's prompt cache"),
}
COST: Columns = {"cost": ("number", "US dollars; missing if no price is known, never 0 for that")}

RESPONSES: Columns = {
    **RUN,
    **SEAT,
    "served_model": ("text", "the model the server says it used; missing if it does not say"),
    "status": ("text", "ok, failed or skipped"),
    "error": ("text", "why there is no answer; missing where there is one"),
    "content": ("text", "the answer as Markdown, or what a failed seat had written"),
    "reasoning": ("text", "what the model showed of its reasoning"),
    "characters": ("count", "length of the content"),
    "sources": ("count", "pages that the seat rests on"),
    "tools": ("count", "calls of tools"),
    **TOKENS,
    **COST,
    "duration": ("number", "seconds; missing for a seat that was never asked"),
}
CLAIMS: Columns = {
    **RUN,
    "number": ("count", "which sentence of the answer, counted from 1"),
    "sentence": ("text", "the sentence"),
    "start": ("count", "where it begins in the answer, in characters"),
    "end": ("count", "where it ends"),
    "form": ("text", "prose, item, row, heading or code"),
    "origin": (
        "text",
        "several or one (seat), together (no seat has all), partly, added (in no response), unclear, or no claim",
    ),
    "relation": (
        "text",
        "supports, supports a part, or contradicts; missing in the one row of a sentence without any passage",
    ),
    "seat": ("text", "the letter of the seat whose response has the passage; missing without one"),
    "model": ("text", "that seat's model"),
    "quote": ("text", "the passage"),
    "quote_start": ("count?", "where it begins in the response, in characters"),
    "quote_end": ("count?", "where it ends"),
    "score": ("number", "how much of the sentence the passage says, 0 to 1"),
}
CONTRADICTIONS: Columns = {
    **RUN,
    "number": ("count", "which contradiction of the analysis, counted from 1"),
    "topic": ("text", "on what the seats disagree"),
    **SEAT,
    "stance": ("text", "what the judge says that the seat says"),
    "quote": ("text", "the passage of the response that is nearest to the stance; missing if none is near"),
    "quote_start": ("count?", "where it begins in the response, in characters"),
    "quote_end": ("count?", "where it ends"),
}
COVERAGE: Columns = {
    **RUN,
    "number": ("count", "which point, counted from 1: partial coverage first, then unique insights"),
    "kind": ("text", "partial, or unique for an insight of one seat"),
    "point": ("text", "the point; what all or most say is not here, as the judge names no seats for it"),
    **SEAT,
    "covered": ("count", "1 if the judge says that the seat makes the point, else 0"),
}
INSIGHTS: Columns = {
    **RUN,
    **SEAT,
    "insight": ("text", "what this seat alone brings"),
}
SOURCES: Columns = {
    **RUN,
    "url": ("text", "address of the page; corpus:… for a document of a local collection"),
    "title": ("text", "its title, as the model or the search gave it"),
    **SEAT,
    "quotes": ("count", "passages of it that the seat cited or was shown"),
    "quote": ("text", "the first of them; missing if there is none"),
}
TOOLS: Columns = {
    **RUN,
    "stage": ("text", "panel or judge"),
    "seat": ("text", "the seat's letter; empty for the judge"),
    "model": ("text", "the seat's or the judge's model, as it was asked for; missing if no call of it is known"),
    "step": ("count", "which of the model's calls asked for it, counted from 1"),
    "number": ("count", "its place among the calls of that step, counted from 1"),
    "tool": ("text", "the tool's name; openrouter:… ran on OpenRouter's servers"),
    "arguments": ("text", "JSON as the model wrote it; a long one only begins"),
    "output": ("text", "the beginning of what the model read"),
    "size": ("count", "characters that the model read"),
    "error": ("text", "why it failed, as the model read it; missing if it did not"),
    "started": ("number", "seconds after the run's beginning"),
    "duration": ("number", "seconds; missing where a server ran it"),
}
CALLS: Columns = {
    **RUN,
    "stage": ("text", "panel, judge or synthesis"),
    "round": ("count", "1, or 2 for a repair; the field-wise judge counts its fields"),
    "seat": ("text", "the seat's letter; empty for judge and synthesis"),
    "model": ("text", "the model that was asked for, with its endpoint"),
    "served_model": ("text", "the model the server says it used; missing if it does not say"),
    **TOKENS,
    "cache_write_tokens": ("count?", "input tokens written to the provider's prompt cache"),
    "web_searches": ("count?", "searches that the server ran"),
    **COST,
    "started": ("number", "seconds after the run's beginning"),
    "ttft": ("number", "seconds to the first token, of the last attempt; missing if none came"),
    "duration": ("number", "seconds, retries included"),
    "attempts": ("count", "how often it was sent; 0 if it was reused or there was no budget for it"),
    "unreported": ("count", "attempts that had begun to answer, failed, and may be billed"),
    "finish_reason": ("text", "why the model stopped; missing if the call failed"),
    "error": ("text", "why the call failed; missing if it did not"),
    "reused": ("flag", "answered from the store or an earlier result"),
    "made": ("time", "when a reused answer was made; missing for a call that was asked"),
    "saved": ("number", "US dollars that a reused answer had cost; missing if unknown"),
    "request_id": ("text", "the server's id of the generation"),
    "messages_hash": ("text", "SHA-256 of the messages that were sent"),
    "prompt_version": ("text", "version of the prompt that was used"),
    "seed": ("text", "what order and code of the responses came from, for judge and synthesis"),
    "batched": ("flag", "asked in a batch, so its seconds are those of waiting for that"),
}
TIMELINE: Columns = {
    **RUN,
    "kind": ("text", "call or tool"),
    "stage": ("text", "panel, judge or synthesis"),
    "seat": ("text", "the seat's letter; empty for judge and synthesis"),
    "name": ("text", "the model that was asked, or the tool that was called"),
    "start": ("number", "seconds after the run's beginning"),
    "first_token": ("number", "when the first token came; missing for tools, and for calls that were retried"),
    "end": ("number", "when it ended; missing for a tool that a server ran"),
    "attempts": ("count", "how often it was sent, as in calls; 1 for a tool"),
    "reused": ("flag", "answered from the store or an earlier result"),
    "error": ("text", "why it failed; missing if it did not"),
}


def documented(columns: Columns) -> Callable[[F], F]:
    """Add a frame's columns to the docstring of what returns it."""
    lines = [f"    {name} ({KINDS[kind]}): {says}" for name, (kind, says) in columns.items()]

    def add(function: F) -> F:
        function.__doc__ = "\n".join([function.__doc__ or "", "", "Columns:", *lines])
        return function

    return add


KINDS = {"count?": "count or missing", "flag?": "flag or missing"} | {
    kind: kind for kind in ("text", "number", "count", "flag", "time")
}


def pandas() -> Any:
    """The pandas package. Raises SettingsError if it is not installed."""
    try:
        return import_module("pandas")
    except ImportError as exc:
        raise SettingsError(MISSING) from exc


def table(columns: Columns, rows: Iterable[Row]) -> DataFrame:
    """Rows as a DataFrame whose columns and dtypes are the same for any rows, also for none.

    Raises:
        SettingsError: pandas is not installed.
    """
    pd = pandas()
    text, listed = pd.Series([""]).dtype, list(rows)
    return pd.DataFrame(
        {
            name: pd.Series([row[name] for row in listed], dtype=DTYPES.get(kind, text))
            for name, (kind, _) in columns.items()
        }
    )
