"""Weighs what proves that a sentence is in no response: a figure or a name that none has, or words that none knows.

To miss a sentence is no proof: it may be said in other words, in another unit or rounded. So each proof leaves out what
a paraphrase would change too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .figures import Figure
from .words import Reading

FEW = 12.0  # a number up to this, without a unit, may have been counted by the reader
MISSING = 0.5  # share of a sentence's figures that must be in no response
ROUNDED = 0.05  # by how much a rounder number may be off
UNHEARD = 0.7  # share of a sentence's weight in words of no response, for words alone to prove anything
LEAST_UNHEARD = 5  # how many such words
_POWERS = (1e-9, 1e-6, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e6, 1e9)
_NEAR = 1e-3
EXACT = frozenset(("year", "month", "day", "ref"))  # kinds that are neither rounded nor converted


def proven_by_figures(missing: Sequence[Figure], counted: Sequence[Figure], held: Iterable[Figure]) -> bool:
    """Whether most of a sentence's figures are in no response in any unit or rounding.

    Args:
        missing: its figures that no response has as they are.
        counted: all its figures.
        held: the figures of all responses.
    """
    if not missing or len(missing) < MISSING * len(counted):
        return False
    kept = [figure for figure in held if figure.values]
    return all(_nowhere(figure, kept) for figure in missing)


def _nowhere(figure: Figure, held: Sequence[Figure]) -> bool:
    if not figure.values or (not figure.kind and max(figure.values) <= FEW):
        return False
    if figure.kind and all(figure.kind != each.kind for each in held):
        return False  # in a unit of its own: it may be converted
    return not any(_echoes(a, b, figure.kind, each.kind) for a in figure.values for each in held for b in each.values)


def _echoes(a: float, b: float, kind: str, other: str) -> bool:
    """Whether one number is the other as it is, rounded, or in a unit that differs by a power of ten."""
    if a == b:
        return True
    if kind in EXACT or other in EXACT or not a or not b:
        return False
    if kind != other and any(abs(a - b * power) <= _NEAR * abs(a) for power in _POWERS):
        return True
    return abs(a - b) <= ROUNDED * abs(b) and _digits(a) < _digits(b)


def _digits(value: float) -> int:
    return len(f"{value:.12g}".replace(".", "").strip("0"))


def proven_by_names(text: str, reading: Reading, nowhere: Sequence[str]) -> bool:
    """Whether a name is in no response; acronyms and first names before a known one may be there in another form."""
    unknown = set(nowhere)
    short = {acronym.lower() for acronym in re.findall(r"\b[A-ZÄÖÜ][A-Z0-9ÄÖÜ]{1,5}s?\b", text)}
    for word, following in zip(reading.words, (*reading.words[1:], None), strict=False):
        if word.name != "yes" or word.stem not in unknown or word.stem in short:
            continue
        if following is None or following.name == "no" or following.stem in unknown:
            return True
    return False


def proven_by_words(unknown: Sequence[str], share: float) -> bool:
    """Whether hardly a telling word of a sentence is in any response; `share` is the unknown words' of its weight."""
    return len(unknown) >= LEAST_UNHEARD and share >= UNHEARD
