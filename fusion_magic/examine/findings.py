"""Findings of an analysis as a flat list, and which of them another analysis has too, in whatever words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..results import Analysis
from .agreement import words
from .vocabulary import NEGATORS, STOP_WORDS
from .words import stem

Kind = Literal["consensus", "contradiction", "partial", "unique", "blind spot"]
# A judge that sees the seats differently moves a point between these three.
POINTS: tuple[Kind, ...] = ("consensus", "partial", "unique")
# Cosine of two findings' weighted words from which they are taken for the same. Among the labelled sentences of
# tests/examine/claims.jsonl it joins 88 of 100 that say the same, and 4 of 100 that do not.
SAME = 0.35
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of an analysis: a point, or a contradiction with all its stances.

    Attributes:
        kind: the field it stands in.
        text: the point, or the topic.
        seats: letters of the seats it names; none where it is everybody's.
        detail: of a contradiction, the stances.
    """

    kind: Kind
    text: str
    seats: tuple[str, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.detail}" if self.detail else self.text


def findings(analysis: Analysis | None) -> tuple[Finding, ...]:
    """All findings of an analysis in reading order."""
    if analysis is None:
        return ()
    return (
        *(Finding("consensus", point) for point in analysis.consensus),
        *(
            Finding(
                "contradiction",
                item.topic,
                tuple(dict.fromkeys(sorted(stance.label for stance in item.stances))),
                " / ".join(f"{stance.label}: {stance.stance}" for stance in item.stances),
            )
            for item in analysis.contradictions
        ),
        *(Finding("partial", item.point, tuple(sorted(item.labels))) for item in analysis.partial_coverage),
        *(Finding("unique", item.insight, (item.label,)) for item in analysis.unique_insights),
        *(Finding("blind spot", point) for point in analysis.blind_spots),
    )


def grouped(analyses: Sequence[Sequence[Finding]]) -> list[list[Finding | None]]:
    """Each finding that any analysis has once, with what each analysis has of it, or None.

    Deterministic: two findings are the same if they stand in fields of one sort (points; contradictions; blind spots),
    no number or negation tells them apart, and their words, weighted by how rare they are among all findings
    (log(1 + N / n)), have a cosine of at least 0.35. Pairs are made from the most to the least alike, one to one. It
    finds other words for the same only as far as stems and some synonyms go: a finding that is told anew
    altogether counts as gone and as new.

    Args:
        analyses: the findings of each analysis.
    """
    everything = [finding for found in analyses for finding in found]
    likeness = _Likeness(everything)
    rows: list[list[Finding | None]] = []
    for column, found in enumerate(analyses):
        pairs = sorted(
            (
                (-max(likeness(finding, known) for known in row if known), place, number)
                for number, row in enumerate(rows)
                for place, finding in enumerate(found)
            ),
        )
        taken: set[int] = set()
        for alike, place, number in pairs:
            if -alike >= SAME and place not in taken and len(rows[number]) == column:
                rows[number].append(found[place])
                taken.add(place)
        for row in rows:
            if len(row) == column:
                row.append(None)
        rows += [[*[None] * column, finding] for place, finding in enumerate(found) if place not in taken]
    return rows


def gone_and_new(before: Analysis | None, after: Analysis | None) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings that only the first analysis has, and those that only the second has."""
    rows = grouped([findings(before), findings(after)])
    gone = tuple(one for one, other in rows if one and not other)
    return gone, tuple(other for one, other in rows if other and not one)


def relettered(analysis: Analysis | None, letters: Mapping[str, str]) -> Analysis | None:
    """The analysis with other letters for its seats; letters that are not among them stay."""
    if analysis is None:
        return None

    def of(label: str) -> dict[str, str]:
        return {"label": letters.get(label, label)}

    return analysis.model_copy(
        update={
            "contradictions": tuple(
                item.model_copy(update={"stances": tuple(s.model_copy(update=of(s.label)) for s in item.stances)})
                for item in analysis.contradictions
            ),
            "partial_coverage": tuple(
                item.model_copy(update={"labels": tuple(letters.get(label, label) for label in item.labels)})
                for item in analysis.partial_coverage
            ),
            "unique_insights": tuple(item.model_copy(update=of(item.label)) for item in analysis.unique_insights),
        }
    )


class _Likeness:
    """How alike two findings are, 0 to 1, by the weights of the words of all of them."""

    def __init__(self, everything: Iterable[Finding]) -> None:
        self._stems = {finding: _stems(str(finding)) for finding in everything}
        often = Counter(word for stems in self._stems.values() for word in stems)
        self._weights = {word: math.log(1 + len(self._stems) / count) ** 2 for word, count in often.items()}
        self._norms = {finding: math.sqrt(self._sum(stems)) for finding, stems in self._stems.items()}

    def __call__(self, one: Finding, other: Finding) -> float:
        if _sort(one) != _sort(other) or _told_apart(one, other):
            return 0.0
        norms = self._norms[one] * self._norms[other]
        return self._sum(self._stems[one] & self._stems[other]) / norms if norms else float(one.text == other.text)

    def _sum(self, stems: Iterable[str]) -> float:
        return math.fsum(self._weights[word] for word in sorted(stems))


def _sort(finding: Finding) -> str:
    return "point" if finding.kind in POINTS else finding.kind


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text) if word not in STOP_WORDS and (len(word) > 1 or word.isdigit()))


def _told_apart(one: Finding, other: Finding) -> bool:
    """Whether both have numbers and none in common, or one of two points is a denial."""
    ours, theirs = (_numbers(str(finding)) for finding in (one, other))
    if ours and theirs and not ours & theirs:
        return True
    return _sort(one) == "point" and _denies(one) != _denies(other)


def _numbers(text: str) -> set[str]:
    return {word for word in words(text) if _NUMBER.search(word)}


def _denies(finding: Finding) -> bool:
    return any(word in NEGATORS or word.endswith(("n't", "n’t")) for word in finding.text.casefold().split())
