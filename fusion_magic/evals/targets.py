"""Scores short answers against a target: words by what they have in common, numbers by their distance."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from ..pipeline.strategies.choices import choice_in, same_as
from .datasets import Sample

_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})s?(?![a-z])", re.IGNORECASE)
_GAP = r"[,\s]"  # between groups of three digits
_NUMBER = re.compile(rf"([+-]?)\s*(\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)")
_POWER = re.compile(
    r"e([+-]?\d{1,3})(?!\d)|\s*(?:[×x*·]|\\times|\\cdot)\s*10\^\{?([+-]?\d{1,3})(?!\d)\}?", re.IGNORECASE
)
_RAISED = re.compile("(?<=10)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_NO_UNIT = re.compile(
    r"[-–/^+*×·=<>½⅓⅔¼¾√π⁺⁻⁰¹²³⁴-⁹]|[ex]\s*[+-]?\d|\(\s*\d|\\(?:times|cdot|sqrt|frac|pi|pm)", re.IGNORECASE
)
_NOT_ALL = re.compile(rf"(?<![a-z])(?:or|to|and|dozen|half|{'|'.join(_SCALES)})s?(?![a-z])", re.IGNORECASE)
_OF_UNIT = re.compile(r"(?<=[^\W\d_])\^?\{?-?\d+")  # the 2 of m/s^2


def protocol_of(sample: Sample) -> str:
    """ "numeric" where every target is a number, else "exact"."""
    return "numeric" if all(isinstance(target, int | float) for target in sample.target) else "exact"


def is_right(sample: Sample, answer: str) -> bool:
    """Whether an answer ends in one of the targets.

    Read are the last "Answer: …" line, a \\boxed{…}, or an answer that is short itself; one that has none of these is
    wrong, as its form was asked for. Case, articles, marks and the writing of numbers don't matter.
    """
    choice = choice_in(answer)
    if choice is None:
        return False
    return any(_is(target, choice.text, sample.tolerance) for target in sample.target)


def number_in(text: str) -> float | None:
    """The one number that a short answer is: "72 km/h" is 72, "€1.5 million" and "1.5e6" are 1500000.

    None where it begins with a word, or says more than one number: "5 or 6", "5-10", "1/2", "2^10".
    """
    text = _plain(text)
    found = _NUMBER.match(text)
    if found is None:
        return None
    value, rest = Decimal(found[1] + re.sub(_GAP, "", found[2])), text[found.end() :]
    if power := _POWER.match(rest):
        value, rest = value.scaleb(int(power[1] or power[2])), rest[power.end() :]
    while scale := _SCALE.match(rest):
        value, rest = value * _SCALES[scale[1].casefold()], rest[scale.end() :]
    return float(value) if _is_unit(rest) else None


def _is(target: str | float, text: str, tolerance: float) -> bool:
    if isinstance(target, str):
        return same_as(target) == same_as(text)
    found = number_in(text)
    return found is not None and abs(found - target) <= tolerance * abs(target)


def _plain(text: str) -> str:
    """A text without the marks of Markdown and LaTeX around a number, and without a currency's sign before it."""
    text = text.replace("−", "-").replace("{,}", ",").replace("\\,", " ").replace("\\ ", " ")
    text = re.sub(r"\^\{?\\circ\}?", "°", text)
    text = re.sub(r"\\[()\[\]]|\\boxed\{|\\(?=[$%]|$)|`|(?<=\S)\*+(?=\s|$)", "", text)
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_LOWERED), text)
    text = re.sub(r"^10\^", "1×10^", text)
    text = re.sub(r"^\s*(?:the|an?)\s+", "", text, flags=re.IGNORECASE)
    sign = re.match(r"\s*[+-]?", text)
    assert sign is not None
    after = text[sign.end() :]
    while after and (after[0].isspace() or unicodedata.category(after[0]) == "Sc"):
        after = after[1:]
    return sign[0].strip() + after


def _is_unit(rest: str) -> bool:
    """Whether nothing follows a number but punctuation and words that leave it as it is."""
    if _NO_UNIT.match(rest.lstrip()) or _NOT_ALL.search(rest):
        return False
    outside = rest.partition("(")[0]  # "72 km/h (45 mph)" is 72
    return not re.search(r"\d", _OF_UNIT.sub("", outside))
