"""Tells when a passage with nearly the words of a sentence says something else: denied, turned round, exchanged."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from .figures import same
from .vocabulary import STOP_WORDS
from .words import THAN, Reading, stem

# Why a passage contradicts: another figure in the same place, a negation or direction, things that changed places.
Why = Literal["figure", "opposite", "exchanged"]

_SIDES = re.compile(r"[;,:]\s|\s(?:while|whereas|but|und|aber|während|mais|tandis que)\s")
_LEFT_OUT = STOP_WORDS - {"over", "under"}


def opposed(text: str, reading: Reading, other: str, near: Reading) -> Why | Literal[""]:
    """Why a passage with the words of a sentence can't support it, by negation, direction or order; "" if it can.

    Args:
        text: the sentence, and `reading` what was read of it.
        other: the passage; empty where it is not looked at as a whole. `near` is what was read of it.
    """
    if _negates(reading, near) or _turned(reading, near) != _flipped(reading, near):
        return "opposite"
    return "exchanged" if _exchanged(reading, near) or _crossed(text, other) else ""


def _turned(reading: Reading, other: Reading) -> bool:
    """Whether both say of the same thing where it goes, and not the same way."""
    for axis, sides in reading.ways.items():
        if len(sides) == 1 and len(other.ways.get(axis, ())) == 1 and sides != other.ways[axis]:
            beside, others = _beside(reading, axis), _beside(other, axis)
            if beside & others or not beside or not others:
                return True
    return False


def _beside(reading: Reading, axis: str) -> set[str]:
    """The words next to those that stand on an axis."""
    words = [word for word in reading.words if word is not THAN]
    at = [n for n, word in enumerate(words) if word.axis == axis]
    return {word.stem for n in at for word in words[max(0, n - 2) : n + 4] if not word.axis}


def _negates(reading: Reading, other: Reading) -> bool:
    """Whether a shared word or figure stands under a negation on one side only.

    Where both sides negate something, their words must have changed places: "x, not y" and "y, not x".
    """
    if _puts_away(reading, other) or _puts_away(other, reading):
        return True
    if not reading.denied and not other.denied:
        return False
    shared = [stem for stem in reading.stems if stem in other.stems and not stem.startswith("~")]
    only = any(_only(reading, stem, True) and _only(other, stem, False) for stem in shared)
    others = any(_only(reading, stem, False) and _only(other, stem, True) for stem in shared)
    if reading.negates and other.negates:
        return only and others and reading.contrasts and other.contrasts
    return only or others


def _only(reading: Reading, stem: str, negated: bool) -> bool:
    return reading.stems[stem] == frozenset((negated,))


def _puts_away(one: Reading, other: Reading) -> bool:
    """Whether one has "rather than 49" where the other has 49 itself."""
    return any(
        any(same(figure, held) for held in other.figures) and not any(same(figure, held) for held in other.contrasted)
        for figure in one.contrasted
    )


def _flipped(reading: Reading, other: Reading) -> bool:
    """Whether the sides of a comparison with "than" have changed places."""
    if not reading.compares or not other.compares:
        return False
    before, behind = _around_than(reading)
    other_before, other_behind = _around_than(other)
    return bool(before & other_behind and behind & other_before) and not behind & other_behind


def _around_than(reading: Reading) -> tuple[set[str], set[str]]:
    at = reading.words.index(THAN)
    return {w.stem for w in reading.words[:at] if not w.axis}, {
        w.stem for w in reading.words[at + 1 : at + 5] if not w.axis
    }


def _exchanged(reading: Reading, other: Reading) -> bool:
    """Whether two names have changed places: who beats whom. "Was beaten by" changes them back."""
    own, their = reading.acting, other.acting
    shared = [name for name in own if name in their]
    changed = any(
        own[a] < own[b]
        and their[b] < their[a]
        and _between(reading, own[a], own[b]) & _between(other, their[b], their[a])
        for a in shared
        for b in shared
    )
    return changed and reading.passive == other.passive


def _between(reading: Reading, first: int, last: int) -> set[str]:
    return {word.stem for word in reading.words[first + 1 : last] if word.name == "no"}


def _crossed(text: str, other: str) -> bool:
    """Whether two halves of a sentence have exchanged what they say: "A is x, B is y" and "A is y, B is x"."""
    halves, others = _halves(text), _halves(other)
    if len(halves) != 2 or len(others) != 2:
        return False
    (left, right), (first, second) = halves, others
    return all(side & only for side in (left - right, right - left) for only in (first - second, second - first))


@lru_cache(10_000)
def _halves(text: str) -> list[set[str]]:
    sides = _SIDES.split(text)
    if len(sides) != 2:
        return []
    return [{stem(word) for word in re.findall(r"\w{3,}", side) if word.lower() not in _LEFT_OUT} for side in sides]
