"""Reads the short answer at the end of a response, and finds which short answers are the same."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

LONGEST = 80  # characters; what is longer is a sentence and no choice
_ANSWER = re.compile(r"^\W*(?:the\s+)?(?:final\s+)?answer\W*[:=]\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_CONFIDENCE = re.compile(r"^\W*confidence\W*[:=]\W*(\d+(?:\.\d+)?)\s*(%?)", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"([-−+]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?|([-−+]?)(\.\d+)")
_AROUND = " \t.,;:!?\"'`*_“”’()[]\N{LEFT SINGLE QUOTATION MARK}"


class Choice(NamedTuple):
    """A short answer as written, and how sure its author is, 0 to 1; None where it does not say."""

    text: str
    confidence: float | None


def choice_in(response: str) -> Choice | None:
    """The last "Answer: …" line, or else the last \\boxed{…}, or else a response that is short itself."""
    found = _ANSWER.findall(response) or _BOXED.findall(response)
    lines = response.strip().splitlines()
    text = found[-1] if found else lines[0] if len(lines) == 1 else ""
    text = _bare(_unboxed(text))
    if not text or len(text) > LONGEST or (not found and len(text.split()) > 3):
        return None
    return Choice(text, _confidence(response))


def _bare(text: str) -> str:
    # A number may begin with its point.
    return text.rstrip(_AROUND).lstrip(_AROUND.replace(".", ""))


def _unboxed(text: str) -> str:
    inner = _BOXED.search(text)
    return (inner[1] if inner else text).strip().strip("$")


def _confidence(response: str) -> float | None:
    found = _CONFIDENCE.findall(response)
    if not found:
        return None
    said, percent = float(found[-1][0]), found[-1][1]
    # Asked for 0 to 100, some models write 0.9.
    share = said if said < 1 and not percent and "." in found[-1][0] else said / 100
    return min(1.0, share)


def same_as(text: str) -> str:
    """What two choices have in common that count as one: case, articles, marks and the writing of numbers don't matter.

    "1,000.0", "1000" and "1 000.00" are one, "5 km" and "5 m" are not.
    """
    text = re.sub(r"(?<=\d)[\s\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}](?=\d{3}\b)", ",", _bare(text))
    words = re.sub(r"^(?:the|an?)\s+", "", _NUMBER.sub(_plainly, text).casefold())
    return re.sub(r"\s+", "", re.sub(r"(?<!\d)[.,;:!?\"'`*_]|[.,;:!?\"'`*_](?!\d)", "", words))


def _plainly(found: re.Match[str]) -> str:
    sign = "-" if (found[1] or found[4]) in ("-", "−") else ""
    digits = f"{(found[2] or '0').replace(',', '')}{found[3] or found[5] or ''}"
    try:
        number = Decimal(digits).normalize()
    except InvalidOperation:
        return found[0]
    return f"{'' if number == 0 else sign}{number:f}"
