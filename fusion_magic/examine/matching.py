"""Finds, for a sentence, the passages of each response that say it, and those that say the opposite."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from .figures import Figure, same
from .opposites import Why, opposed
from .sentences import Span, sentences
from .words import LIGHT, Lexicon, Reading, read, stem

SAID = 0.70  # share of a sentence's weight that a passage must have to support it
SAID_WITH_FIGURES = 0.60  # the same, where the passage has all its figures, or two of its names
DENIED = 0.60  # share of the words alone that a passage must have to contradict it
SAME_THING = 0.35  # share of a passage's own words that a sentence must have for another figure in it to count
TOLD_ABOVE = 0.6  # weight of a word that stands only in the heading or the sentences before a passage
UNKNOWN = 0.8  # weight of a word that no response has, as a share of the weight of one that stands once
STATED = 0.25  # share of a sentence's words that must stand by a figure for a seat to state it
WORTH_A_LOOK = 0.2  # share of a sentence's weight below which a passage is not compared
HOPELESS = 0.35  # share below which a passage is not read closely, whatever its figures
CANDIDATES = 4  # passages of a response that are looked at closely
LEAST_OWN = 0.3  # share of the words that one of two sentences must have for its figures to count


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
class _Window:
    """One or two sentences of a response that are compared with a sentence together; the first is the nearer one."""

    start: int
    end: int
    readings: tuple[Reading, ...]
    text: str
    above: frozenset[str]
    above_figures: tuple[Figure, ...]

    @property
    def hedged(self) -> bool:
        return any(reading.hedged for reading in self.readings)

    def has(self, stem: str) -> bool:
        return any(stem in reading.stems for reading in self.readings)


@dataclass(frozen=True)
class _Sought:
    """A sentence that is looked for, with the weights of its words."""

    text: str
    reading: Reading
    weights: dict[str, float]
    total: float


@dataclass
class _Seat:
    """A response cut into sentences."""

    text: str
    spans: list[Span]
    readings: list[Reading]
    above: list[frozenset[str]] = field(default_factory=list[frozenset[str]])
    stems: frozenset[str] = frozenset()


class Matcher:
    """The responses of a run, indexed: `find` looks a sentence up in all of them."""

    def __init__(self, responses: Mapping[str, str], answer: str) -> None:
        self.lexicon = Lexicon.of([*responses.values(), answer])
        self._seats = {label: self._seat(text) for label, text in responses.items()}
        self._posted: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for label, seat in self._seats.items():
            for number, reading in enumerate(seat.readings):
                for key in (*reading.stems, *_keys(reading.figures)):
                    self._posted[key].append((label, number))
        self._count = 1 + sum(len(seat.spans) for seat in self._seats.values())
        self._unknown = UNKNOWN * math.log(1 + self._count)

    def read(self, text: str) -> Reading:
        """What can be compared of a text, names told by these responses and this answer."""
        return read(text, self.lexicon)

    def weight(self, stem: str) -> float:
        """How much a word tells: rare ones more (inverse document frequency over the passages)."""
        if stem == "~bound":
            return 0.0
        posted = len(self._posted.get(stem, ()))
        weight = math.log(1 + self._count / posted) if posted else self._unknown
        return 0.4 * weight if stem in LIGHT else weight

    def nowhere(self, reading: Reading) -> list[str]:
        """The figures and names of a sentence that no response has at all."""
        figures = [f.text for f in reading.figures if f.counted and not self._held(f, reading.approximate)]
        names = [name for name in reading.names if not any(name in seat.stems for seat in self._seats.values())]
        return [*figures, *sorted(names)]

    def _held(self, figure: Figure, rounded: bool) -> bool:
        """Whether any response has a figure."""
        if rounded:
            readings = (reading for seat in self._seats.values() for reading in seat.readings)
        else:
            places = {place for key in _keys([figure]) for place in self._posted.get(key, ())}
            readings = (self._seats[label].readings[number] for label, number in places)
        return any(same(figure, held, rounded) for reading in readings for held in reading.figures)

    def find(self, text: str, reading: Reading) -> dict[str, Finding]:
        """What each response has to say to a sentence or a part of one; keys are the seats' letters."""
        weights = {stem: self.weight(stem) for stem in reading.stems}
        scores: dict[str, dict[int, float]] = {label: defaultdict(float) for label in self._seats}
        for key in (*reading.stems, *_keys(reading.figures)):
            weight = weights.get(key, 1.0)
            for label, number in self._posted.get(key, ()):
                scores[label][number] += weight
        looked_for = _Sought(text, reading, weights, sum(weights.values()))
        return {label: self._finding(looked_for, self._seats[label], scores[label]) for label in self._seats}

    def stating(self, figure: Figure, reading: Reading) -> tuple[str, ...]:
        """The seats that state a figure in a passage that has something else of the sentence too."""
        weights = {stem: self.weight(stem) for stem in reading.stems}
        least = STATED * sum(weights.values())
        seats: set[str] = set()
        for label, number in {place for key in _keys([figure]) for place in self._posted.get(key, ())}:
            passage, above = self._seats[label].readings[number], self._seats[label].above[number]
            if any(same(figure, held) for held in passage.figures):
                own = sum(weight for stem, weight in weights.items() if stem in passage.stems)
                told = sum(weight for stem, weight in weights.items() if stem in above and stem not in passage.stems)
                if own and own + TOLD_ABOVE * told >= least:
                    seats.add(label)
        return tuple(sorted(seats))

    def _seat(self, text: str) -> _Seat:
        spans = [span for span in sentences(text) if span.form != "code"]
        readings = [self.read(span.text) for span in spans]
        seat = _Seat(text, spans, readings, stems=frozenset(stem for reading in readings for stem in reading.stems))
        headings = {span.text: frozenset(reading.stems) for span, reading in zip(spans, readings, strict=True)}
        seat.above = [
            frozenset().union(headings.get(span.heading, frozenset()), *(r.stems for r in readings[max(0, n - 2) : n]))
            for n, span in enumerate(spans)
        ]
        return seat

    def _finding(self, sought: _Sought, seat: _Seat, scores: dict[int, float]) -> Finding:
        support = denial = None
        nearest = 0.0
        for number, shared in heapq.nlargest(CANDIDATES, scores.items(), key=lambda item: item[1]):
            if shared < WORTH_A_LOOK * sought.total:
                break
            for window in _windows(seat, number):
                score, verdict = self._compare(sought, window)
                nearest = max(nearest, score)
                place = Place(window.start, window.end, round(score, 3))
                if verdict == "says" and (support is None or score > support.score + 0.1):
                    support = place
                if verdict in ("figure", "opposite", "exchanged") and (denial is None or score > denial.score):
                    denial = replace(place, why=verdict)
                if verdict:
                    break  # a neighbour adds nothing, and does not turn back what is denied
        if support and denial:
            support, denial = (None, denial) if denial.score > support.score + 0.1 else (support, None)
        return Finding(support, denial, nearest)

    def _compare(self, sought: _Sought, window: _Window) -> tuple[float, Literal["says", "undecided", ""] | Why]:
        """How much of a sentence a passage says, and whether it "says" it or why it contradicts it ("": neither)."""
        reading, total = sought.reading, sought.total
        shares = [sum(w for stem, w in sought.weights.items() if stem in r.stems) for r in window.readings]
        if shares[0] < max(shares):
            return 0.0, ""  # the other one of the two is looked at for itself
        own = shares[0] if len(shares) == 1 else sum(w for stem, w in sought.weights.items() if window.has(stem))
        above = sum(w for stem, w in sought.weights.items() if stem in window.above and not window.has(stem))
        said = own + min(TOLD_ABOVE * above, own / 2)
        each = 0.8 * math.log(1 + self._count)
        counted = [figure for figure in reading.figures if figure.counted]
        most = (said + len(counted) * each) / max(total + len(counted) * each, 1e-9)
        if most < HOPELESS:
            return most, ""
        near = [r for r, share in zip(window.readings, shares, strict=True) if share >= LEAST_OWN * own]
        held = [figure for passage in near for figure in passage.figures]
        missing = [f for f in counted if not _has(held, window.above_figures, f, reading.approximate)]
        score = (said + (len(counted) - len(missing)) * each) / max(total + len(counted) * each, 1e-9)
        if not _same_names(reading, window):
            return score, ""
        passage = window.text if len(window.readings) == 1 else ""
        why: Why | Literal[""] = ""
        for each_near in near:
            why = why or opposed(sought.text, reading, passage, each_near)
        if missing or why:
            if self._denies(reading, window, missing, bool(why), own, total):
                return score, why or "figure"
            return score, "undecided" if why else ""
        if window.hedged and not reading.softened:
            return score, ""
        anchored = len(window.readings) == 1 and (
            len(counted) > 0 or sum(window.has(name) for name in reading.names) > 1
        )
        return score, "says" if score >= (SAID_WITH_FIGURES if anchored else SAID) else ""

    def _denies(
        self, reading: Reading, window: _Window, missing: list[Figure], opposed: bool, own: float, total: float
    ) -> bool:
        """Whether a sentence that is not said is denied: nearly the same words, and one thing that can't be both."""
        if len(window.readings) > 1 or (missing and opposed) or own < DENIED * total:
            return False
        held = next(iter(window.readings))
        share = SAME_THING if missing else SAME_THING / 2
        if own < share * sum(self.weight(stem) for stem in held.stems):
            return False
        counted = sum(figure.counted for figure in reading.figures)
        if counted > 2 and 2 * len(missing) > counted:  # a row of a table, or a sentence about other figures
            return False
        other = all(_other(held.figures, figure, reading) for figure in missing)
        return other and sum(window.has(stem) for stem in reading.stems) >= 2


def _windows(seat: _Seat, number: int) -> Iterator[_Window]:
    """The passage alone, then with the one behind it, then with the one before it."""
    for first, last in ((number, number), (number, number + 1), (number - 1, number)):
        if first < 0 or last >= len(seat.spans):
            continue
        start, end = seat.spans[first].start, seat.spans[last].end
        if first != last and seat.spans[last].start - seat.spans[first].end > 4:
            continue
        near = seat.readings[max(0, first - 2) : first]
        readings = (seat.readings[number], *(seat.readings[n] for n in {first, last} - {number}))
        figures = tuple(figure for reading in near for figure in reading.figures)
        yield _Window(start, end, readings, seat.text[start:end], seat.above[first], figures)


def _keys(figures: Iterable[Figure]) -> Iterator[str]:
    for figure in figures:
        if figure.literal:
            yield f"#{figure.literal}"
        else:
            yield from (f"#{value:.6g}" for value in figure.values)


def _has(held: Sequence[Figure], above: Sequence[Figure], figure: Figure, rounded: bool) -> bool:
    """Whether a passage has a figure; the year or month may stand above it if it names none."""
    if any(same(figure, each, rounded) for each in held):
        return True
    dated = figure.kind in ("year", "month") and not any(each.kind == figure.kind for each in held)
    return dated and any(same(figure, each) for each in above)


def _other(held: Sequence[Figure], figure: Figure, reading: Reading) -> bool:
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


def _same_names(reading: Reading, window: _Window) -> bool:
    """Whether a passage speaks of the same names: those it lacks stand just above, and it has no others."""
    others = {name for each in window.readings for name in each.names | each.maybe_names if name not in reading.stems}
    lacking = [name for name in reading.names if not window.has(name)]
    unsure = [name for name in reading.maybe_names if not window.has(name)]
    if not lacking and not unsure:
        return True
    return not others and all(name in window.above for name in lacking)
