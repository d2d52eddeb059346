"""Tells whether figures, names and the sides of a comparison stand by the same words in a sentence and in a passage."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import lru_cache

from .figures import Figure, comparable, figures, same
from .vocabulary import STOP_WORDS
from .words import Reading, stem

CLAUSE = 4.0  # words that a comma, a bracket, an "and" or a "while" stands for, in distances; a stop counts twice
NEARER = 1.0  # words by which another figure must be nearer for a word to be said of that one
SIDE = 5  # words before and behind "than" that are compared

_TOKEN = re.compile(r"[^\W\d_]+|\d[\d.,]*\d|\d|[,;:.()—|]")
_JOINTS = frozenset("and but while whereas und aber während et mais tandis , ( ) —".split())  # noqa: SIM905
_STOPS = frozenset("; : . |".split())  # noqa: SIM905
_THAN = re.compile(r"\bthan\s+(?!\d|[$€£]|half\b|twice\b|a\b|an\b)", re.IGNORECASE)
_NEAR_TOKEN = re.compile(r"[^\W_]+")

Placed = tuple[tuple[Figure, float], ...]


def misplaced(text: str, passage: str) -> bool:
    """Whether a figure of a sentence stands in a passage, but most of its words there stand nearer to another figure.

    So are "A in 1918 and B in 1931" told from "A in 1931 and B in 1918", and a figure from the same figure of another
    thing. Words as near to one as to the other, or bound to another figure of the sentence, are left out.
    """
    words, own = _layout(text)
    others, held = _layout(passage)
    if len(held) < 2:
        return False
    shared = words.keys() & others.keys()
    for figure, at in own:
        places = [place for each, place in held if same(figure, each, True)]
        rivals = [place for each, place in held if _rival(figure, each)]
        if not places or not rivals:
            continue
        beside = [place for each, place in own if each is not figure and _rival(figure, each)]
        bound = [word for word in shared if not beside or _closer(words[word], [at], beside) > 0]
        sides = [_closer(others[word], places, rivals) for word in bound]
        if sides.count(-1) >= sides.count(1) and (-1 in sides or _reversed(figure, at, places, own, held)):
            return True
    return False


def _reversed(figure: Figure, at: float, places: list[float], own: Placed, held: Placed) -> bool:
    """Whether a figure and another of its kind stand in the other order: "from 3 to 2" and "from 2 to 3"."""
    for other, beside in own:
        if _rival(figure, other):
            theirs = [place for each, place in held if same(other, each, True)]
            if theirs and all((at < beside) != (place < there) for place in places for there in theirs):
                return True
    return False


def names_reversed(reading: Reading, other: Reading) -> bool:
    """Whether two names stand in the other order with words of their own between them, and not only in a list.

    "Was beaten by" turns them back, so it is let pass where one side has it and the other has not.
    """
    first, second = _order(reading), _order(other)
    if reading.passive != other.passive:
        return False
    return any(
        first[a] < first[b] and second[a] > second[b] and _apart(reading, first[a], first[b])
        for a in first.keys() & second.keys()
        for b in first.keys() & second.keys()
    )


def negated_otherwise(reading: Reading, near: Sequence[Reading], alone: bool) -> bool:
    """Whether a sentence has a negation more than a passage; or, where the passage says that `alone`, one fewer."""
    most = max(each.negations for each in near)
    if reading.negations > most or (reading.negates and not any(each.negates for each in near)):
        return True
    return alone and reading.negations < most


def _order(reading: Reading) -> dict[str, int]:
    return {word.stem: n for n, word in reversed(tuple(enumerate(reading.words))) if word.name != "no"}


def _apart(reading: Reading, start: int, end: int) -> bool:
    return any(word.name == "no" for word in reading.words[start + 1 : end])


def turned_round(text: str, passage: str) -> bool:
    """Whether a comparison with "than" is not the passage's: it has none, or another thing stands behind it."""
    behind = _behind(text)
    return bool(behind) and not behind & _behind(passage)


def _behind(text: str) -> set[str]:
    """The words behind each "than" that do not stand before it."""
    found = set[str]()
    for match in _THAN.finditer(text):
        before = [word.lower() for word in _NEAR_TOKEN.findall(text[: match.start()])[-2 * SIDE :]]
        after = [word.lower() for word in _NEAR_TOKEN.findall(text[match.end() :])[:SIDE]]
        found |= {stem(word) for word in after if word not in STOP_WORDS} - {stem(word) for word in before}
    return found


def _rival(figure: Figure, other: Figure) -> bool:
    if not figure.values or not other.values:
        return False
    alike = figure.kind == other.kind or (figure.kind != "year" and other.kind != "year" and comparable(figure, other))
    return alike and not same(figure, other, True) and not same(other, figure, True)


def _closer(word: tuple[float, ...], first: list[float], second: list[float]) -> int:
    """1 where a word stands nearer to the first places, -1 where nearer to the second, 0 where it can't be told."""
    one, other = (min(abs(at - place) for at in word for place in places) for places in (first, second))
    return 0 if abs(one - other) < NEARER else 1 if one < other else -1


@lru_cache(2_000)
def _layout(text: str) -> tuple[dict[str, tuple[float, ...]], Placed]:
    """Where the telling words and the figures of a text stand, in words; the end of a clause counts as several."""
    starts: list[tuple[int, float]] = []
    words: dict[str, tuple[float, ...]] = {}
    at = 0.0
    for match in _TOKEN.finditer(text):
        low = match[0].lower()
        at += 2 * CLAUSE if low in _STOPS else CLAUSE if low in _JOINTS else 1.0
        starts.append((match.start(), at))
        if len(low) > 2 and low[0].isalpha() and low not in STOP_WORDS:
            words[stem(low)] = (*words.get(stem(low), ()), at)
    found: list[tuple[Figure, float]] = []
    cursor = 0
    for figure in figures(text):
        place = text.find(figure.text, cursor)
        if place >= 0 and (figure.values or figure.literal):
            cursor = place + 1
            found.append((figure, next((where for start, where in starts if start >= place), at)))
    return words, tuple(found)


def another(held: Sequence[Figure], figure: Figure, reading: Reading) -> bool:
    """Whether a passage gives another figure in the place of one."""
    return any(
        not any(same(own, each, True) or same(each, own, True) for own in reading.figures)
        and _in_place_of(each, figure)
        for each in held
        if each.counted
    )


def _in_place_of(each: Figure, figure: Figure) -> bool:
    """Whether one figure measures what the other does: the same unit, the same thing counted, or another unit alone."""
    if not each.kind and not figure.kind:
        if set(map(stem, each.of)) & set(map(stem, figure.of)):
            return True
        return figure.values[0] % 1 > 0 < each.values[0] % 1 if figure.values and each.values else False
    if "ref" in (each.kind, figure.kind):
        return False
    return each.kind == figure.kind or bool(each.kind and figure.kind and set(each.values) & set(figure.values))


def same_names(reading: Reading, readings: Sequence[Reading], held: Set[str], above: Set[str]) -> bool:
    """Whether a passage speaks of the same names: those it lacks stand just above, and it has no others."""
    if reading.names <= held and reading.maybe_names <= held:
        return True
    if any(name not in held and name not in above for name in reading.names):
        return False
    return all(name in reading.stems for each in readings for name in each.names | each.maybe_names)
