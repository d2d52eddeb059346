"""Finds, for a sentence, the passages of each response that say it, and those that say the opposite."""

from __future__ import annotations

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from .absence import EXACT, proven_by_figures, proven_by_names, proven_by_words
from .bindings import another, misplaced, names_reversed, negated_otherwise, same_names, turned_round
from .figures import Figure, same
from .opposites import Why, opposed
from .sentences import Span, sentences
from .words import LIGHT, Lexicon, Reading, read

SAID = 0.70  # share of a sentence's weight that a passage must have to support it
SAID_WITH_FIGURES = 0.65  # the same, where the passage has all its figures, or two of its names
DENIED = 0.60  # share of the words alone that a passage must have to contradict it
SAME_THING = 0.35  # share of a passage's own words that a sentence must have for another figure in it to count
TOLD_ABOVE = 0.6  # weight of a word that stands only in the heading or the sentences before a passage
UNKNOWN = 0.8  # weight of a word that no response has, as a share of the weight of one that stands once
STATED = 0.25  # share of a sentence's words that must stand by a figure for a seat to state it
WORTH_A_LOOK = 0.2  # share of a sentence's weight below which a passage is not compared
HOPELESS = 0.35  # share below which a passage is not read closely, whatever its figures
CANDIDATES = 4  # passages of a response that are looked at closely
READING = 4  # steps for a character, and again for one that is read in a sentence or a part of one
BESIDE = 4  # characters that may stand between two sentences that are read together
LEAST_OWN = 0.3  # share of the words that one of two sentences must have for its figures to count
LITTLE_ELSE = 0.6  # share of a passage's words that a sentence must have for a negation there to count against it
CLAUSE = 3  # content words that make a clause of a sentence
REACHES = 0.34  # share of each clause that a passage must have
NOTHING: frozenset[str] = frozenset()
_CLAUSE = re.compile(r"[,;:|()—]\s|\s(?:and|und|et|but|aber|mais|while|whereas)\s")


@dataclass(frozen=True)
class Place:
    """One or two sentences of a response, and how much of what was looked for they say (0 to 1)."""

    start: int
    end: int
    score: float
    why: Why | Literal[""] = ""  # of one that contradicts


@dataclass(frozen=True)
class Finding:
    """What one response has to say to a sentence."""

    support: Place | None = None
    contradiction: Place | None = None
    nearest: float = 0.0


@dataclass(frozen=True)
class Sought:
    """A sentence that is looked for: what its words weigh, and the weight that each passage of a response shares."""

    text: str
    reading: Reading
    weights: dict[str, float]
    total: float
    shares: dict[int, float]
    counted: tuple[Figure, ...]


@dataclass(frozen=True)
class _Passage:
    """A sentence of a response; `above` are the words in its heading and in the two sentences before it."""

    label: str
    span: Span
    reading: Reading
    above: frozenset[str]
    goes_on: bool  # the next sentence stands right behind it


Verdict = Literal["says", "undecided", ""] | Why


class TooMuch(Exception):
    """The matcher took more steps than it was allowed."""


class Matcher:
    """The responses of a run, indexed: `find` looks a sentence up in all of them.

    Args:
        responses: texts by the seats' letters.
        answer: from it too is learned which words are names.
        most: steps after which `TooMuch` is raised. They stand in for time: characters that are read, and words and
            figures that are compared; prose takes about twelve for each character.
    """

    def __init__(self, responses: Mapping[str, str], answer: str, most: float = math.inf) -> None:
        self._left = most
        self._count_steps(READING * sum(map(len, (*responses.values(), answer))))
        self.lexicon = Lexicon.of([*responses.values(), answer])
        self._labels = tuple(responses)
        self._readings: dict[str, Reading] = {}
        self._passages = [passage for label, text in responses.items() for passage in self._cut(label, text)]
        self._posted: dict[str, list[int]] = defaultdict(list)
        for place, passage in enumerate(self._passages):
            for key in (*passage.reading.stems, *passage.reading.keys):
                self._posted[key].append(place)
        self._figures = tuple({figure for passage in self._passages for figure in passage.reading.figures})
        self._count = 1 + len(self._passages)
        self._unknown = UNKNOWN * math.log(1 + self._count)
        self._each = 0.8 * math.log(1 + self._count)  # what a figure weighs
        self._weights: dict[str, float] = {"~bound": 0.0}

    def read(self, text: str) -> Reading:
        """What can be compared of a text, names told by these responses and this answer."""
        if text not in self._readings:
            self._count_steps(READING * len(text))
            self._readings[text] = read(text, self.lexicon)
        return self._readings[text]

    def weight(self, stem: str) -> float:
        """How much a word tells: rare ones more (inverse document frequency over the passages)."""
        if stem not in self._weights:
            posted = len(self._posted.get(stem, ()))
            weight = math.log(1 + self._count / posted) if posted else self._unknown
            self._weights[stem] = 0.4 * weight if stem in LIGHT else weight
        return self._weights[stem]

    def seek(self, text: str) -> Sought:
        """A sentence, or a part of one, as `find` and `stating` look for it."""
        reading = self.read(text)
        weights = {stem: self.weight(stem) for stem in reading.stems}
        shares: dict[int, float] = defaultdict(float)
        for key, weight in weights.items():
            for place in self._places(key):
                shares[place] += weight
        counted = tuple(figure for figure in reading.figures if figure.counted)
        return Sought(text, reading, weights, sum(weights.values()), shares, counted)

    def _count_steps(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooMuch

    def nowhere(self, reading: Reading) -> list[str]:
        """The figures and names of a sentence that no response has at all."""
        figures = [f.text for f in reading.figures if f.counted and not self._held(f, reading.approximate)]
        return [*figures, *sorted(name for name in reading.names if name not in self._posted)]

    def is_absent(self, sought: Sought) -> bool:
        """Whether a figure, a name or nearly all words of a sentence prove that no response says it."""
        if not self._passages:
            return True
        reading = sought.reading
        missing = [figure for figure in sought.counted if not self._held(figure, figure.kind not in EXACT)]
        self._count_steps(10 * len(missing) * len(self._figures))
        unknown = [stem for stem in sought.weights if stem not in self._posted]
        share = sum(sought.weights[stem] for stem in unknown) / max(sought.total, 1e-9)
        return (
            proven_by_names(sought.text, reading, unknown)
            or proven_by_figures(missing, sought.counted, self._figures)
            or proven_by_words(unknown, share)
        )

    def _held(self, figure: Figure, rounded: bool) -> bool:
        """Whether any response has a figure."""
        places = range(len(self._passages)) if rounded else self._with(figure)
        for reading in (self._passages[place].reading for place in places):
            self._count_steps(len(reading.figures))
            if any(same(figure, held, rounded) for held in reading.figures):
                return True
        return False

    def _places(self, key: str) -> Sequence[int]:
        places = self._posted.get(key, ())
        self._count_steps(len(places))
        return places

    def _with(self, figure: Figure) -> set[int]:
        """Where a figure of this value stands, whatever it measures."""
        return {place for key in figure.keys for place in self._places(key)}

    def stating(self, figure: Figure, sought: Sought) -> tuple[str, ...]:
        """The seats that state a figure in a passage that has something else of the sentence too."""
        least = STATED * sought.total
        seats: set[str] = set()
        for place in self._with(figure):
            passage, own = self._passages[place], sought.shares.get(place, 0.0)
            if not own or passage.label in seats or not any(same(figure, held) for held in passage.reading.figures):
                continue
            if own >= least or own + TOLD_ABOVE * _told(sought, passage.above, passage.reading.stems.keys()) >= least:
                seats.add(passage.label)
        return tuple(sorted(seats))

    def _cut(self, label: str, text: str) -> Iterator[_Passage]:
        """The sentences of a response, without its code."""
        spans = [span for span in sentences(text) if span.form != "code"]
        readings = [self.read(span.text) for span in spans]
        headings = {span.text: frozenset(reading.stems) for span, reading in zip(spans, readings, strict=True)}
        for n, (span, reading) in enumerate(zip(spans, readings, strict=True)):
            above = headings.get(span.heading, NOTHING).union(*(r.stems for r in readings[max(0, n - 2) : n]))
            goes_on = n + 1 < len(spans) and spans[n + 1].start - span.end <= BESIDE
            yield _Passage(label, span, reading, above, goes_on)

    def find(self, sought: Sought) -> dict[str, Finding]:
        """What each response has to say to a sentence or a part of one; keys are the seats' letters."""
        scores = dict(sought.shares)
        for key in sought.reading.keys:
            for place in self._places(key):
                scores[place] = scores.get(place, 0.0) + 1.0
        least = WORTH_A_LOOK * sought.total
        worth: dict[str, list[tuple[float, int]]] = {label: [] for label in self._labels}
        for place, score in scores.items():
            if score >= least:
                worth[self._passages[place].label].append((score, place))
        return {label: self._finding(sought, places) for label, places in worth.items()}

    def _finding(self, sought: Sought, places: list[tuple[float, int]]) -> Finding:
        support = denial = None
        nearest = 0.0
        for _, number in heapq.nlargest(CANDIDATES, places, key=lambda each: each[0]):
            for other in (None, *self._beside(number)):
                score, verdict = self._compare(sought, number, other)
                nearest = max(nearest, score)
                if verdict == "says" and (support is None or score > support.score + 0.1):
                    support = self._place(number, other, score)
                if verdict in ("figure", "opposite", "exchanged") and (denial is None or score > denial.score):
                    denial = self._place(number, other, score, verdict)
                if verdict:
                    break  # a neighbour adds nothing, and does not turn back what is denied
        if support and denial:
            support, denial = (None, denial) if denial.score > support.score + 0.1 else (support, None)
        return Finding(support, denial, nearest)

    def _beside(self, number: int) -> Iterator[int]:
        """The sentence behind one and the one before it, where nothing is between them."""
        if self._passages[number].goes_on:
            yield number + 1
        if number and self._passages[number - 1].goes_on:
            yield number - 1

    def _place(self, number: int, other: int | None, score: float, why: Why | Literal[""] = "") -> Place:
        spans = [self._passages[n].span for n in (number, other) if n is not None]
        return Place(min(span.start for span in spans), max(span.end for span in spans), round(score, 3), why)

    def _compare(self, sought: Sought, number: int, other: int | None) -> tuple[float, Verdict]:
        """How much of a sentence a passage says, and whether it "says" it or why it contradicts it ("": neither).

        The passage is one sentence of a response, or two with the nearer one first.
        """
        reading, counted = sought.reading, len(sought.counted) * self._each
        numbers = (number,) if other is None else (number, other)
        shares = [sought.shares.get(n, 0.0) for n in numbers]
        if shares[0] < shares[-1]:
            return 0.0, ""  # the other one of the two is looked at for itself
        whole = max(sought.total + counted, 1e-9)
        if 1.5 * sum(shares) + counted < HOPELESS * whole:
            return 0.0, ""  # even with all its figures, and as much again above it as counts
        readings = [self._passages[n].reading for n in numbers]
        held = readings[0].stems.keys() | readings[-1].stems.keys() if len(readings) > 1 else readings[0].stems.keys()
        own = shares[0] if other is None else sum(weight for stem, weight in sought.weights.items() if stem in held)
        above = self._passages[min(numbers)].above
        said = own + min(TOLD_ABOVE * _told(sought, above, held), own / 2)
        if (said + counted) / whole < HOPELESS:
            return (said + counted) / whole, ""
        self._count_steps(10 * len(sought.weights) + len(sought.counted) * sum(len(each.figures) for each in readings))
        near = [r for r, share in zip(readings, shares, strict=True) if share >= LEAST_OWN * own]
        missing = [f for f in sought.counted if not self._has(near, min(numbers), f, reading.approximate)]
        score = (said + counted - len(missing) * self._each) / whole
        if not same_names(reading, readings, held, above):
            return score, ""
        text = self._passages[number].span.text
        if self._passages[number].span.form == "heading" or text.rstrip('*_"”) ').endswith("?"):
            return score, ""  # headings and questions say nothing
        passage = text if other is None else ""
        why: Why | Literal[""] = ""
        for each in near:
            why = why or opposed(sought.text, reading, passage, each)
        if missing or why:
            if why == "opposite" and not reading.softened and readings[0].hedges:
                return score, "undecided"
            if other is None and self._denies(sought, readings[0], missing, bool(why), own):
                return score, why or "figure"
            return score, "undecided" if why else ""
        if self._is_doubtful(sought, numbers, near, own, held | above):
            return score, ""
        anchored = other is None and (counted > 0 or sum(name in held for name in reading.names) > 1)
        return score, "says" if score >= (SAID_WITH_FIGURES if anchored else SAID) else ""

    def _is_doubtful(
        self, sought: Sought, numbers: Sequence[int], near: list[Reading], own: float, held: Set[str]
    ) -> bool:
        """Whether a passage with the words and figures of a sentence may still say something else.

        It is hedged or disputed, its names, figures or the sides of a comparison stand otherwise, it has a negation
        more or less, or it has nothing of a clause. `numbers` begin with the nearer sentence of the passage.
        """
        reading, readings = sought.reading, [self._passages[n].reading for n in numbers]
        last, own_figures, figures = max(numbers), len(reading.figures), sum(len(each.figures) for each in readings)
        self._count_steps(own_figures * figures * (own_figures + len(sought.weights)) + len(reading.words) ** 2)
        disputed = self._passages[last].goes_on and self._passages[last + 1].reading.disputes
        hedged = disputed or any(not each.hedges <= reading.hedges for each in readings)
        if (hedged and not reading.softened) or not same_names(reading, readings[:1], readings[0].stems.keys(), held):
            return True
        passage = " ".join(self._passages[n].span.text for n in sorted(numbers))
        if turned_round(sought.text, passage) or misplaced(sought.text, passage):
            return True
        alone = len(near) == 1 and own >= LITTLE_ELSE * sum(map(self.weight, near[0].stems))
        otherwise = any(names_reversed(reading, each) for each in near) or negated_otherwise(reading, near, alone)
        return otherwise or not self._reaches_all(sought.text, held)

    def _reaches_all(self, text: str, held: Set[str]) -> bool:
        """Whether a passage has something of each clause of a sentence."""
        clauses = (self.read(clause).stems.keys() for clause in _CLAUSE.split(text))
        long = (stems for stems in clauses if len(stems) >= CLAUSE)
        return all(sum(map(self.weight, stems & held)) >= REACHES * sum(map(self.weight, stems)) for stems in long)

    def _has(self, near: list[Reading], first: int, figure: Figure, rounded: bool) -> bool:
        """Whether a passage has a figure; the year or month may stand above it if it names none."""
        maybe = near if rounded else [passage for passage in near if not passage.keys.isdisjoint(figure.keys)]
        if any(same(figure, each, rounded) for passage in maybe for each in passage.figures):
            return True
        if figure.kind not in ("year", "month"):
            return False
        if any(each.kind == figure.kind for passage in near for each in passage.figures):
            return False
        label = self._passages[first].label
        above = (each for each in self._passages[max(0, first - 2) : first] if each.label == label)
        return any(same(figure, each) for passage in above for each in passage.reading.figures)

    def _denies(self, sought: Sought, held: Reading, missing: list[Figure], opposed: bool, own: float) -> bool:
        """Whether a sentence that is not said is denied: nearly the same words, and one thing that can't be both."""
        if (missing and opposed) or own < DENIED * sought.total:
            return False
        share = SAME_THING if missing else SAME_THING / 2
        if own < share * sum(self.weight(stem) for stem in held.stems):
            return False
        counted = len(sought.counted)
        if counted > 2 and 2 * len(missing) > counted:  # a row of a table, or a sentence about other figures
            return False
        other = all(another(held.figures, figure, sought.reading) for figure in missing)
        return other and sum(stem in held.stems for stem in sought.reading.stems) >= 2


def _told(sought: Sought, above: frozenset[str], held: Set[str]) -> float:
    """The weight of its words that stand above a passage and not in it."""
    return sum(weight for stem, weight in sought.weights.items() if stem in above and stem not in held)
