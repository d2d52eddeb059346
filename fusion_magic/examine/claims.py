"""The claims ledger: who of the panel says each sentence of the answer, who says otherwise, and what was left out.

No model is asked. A seat supports a sentence if a passage of its response has the sentence's figures, its names and
most of its telling words, in the same places, and neither hedges, denies nor exchanges them. A sentence is called added
only with proof. What that can't see is said at `ledger`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from ..results import Analysis, FusionResult
from .matching import Finding, Matcher, TooMuch, Why
from .sentences import Form, Span, sentences
from .words import Reading

LEAST = 3  # content words and figures that a part of a sentence must have to be looked up alone
FAR = 0.55  # share of a sentence that a seat may have for another's contradiction to prove that nobody says it
MANY = 8  # places of an "and" in a clause that are tried
QUICK = 4_000_000  # steps of the matcher that a display may wait for
REACHED = 0.50  # share of a finding's words in a sentence of the answer with which it has reached the answer

# several: by two seats or more · one: by one · together: by no seat alone, each part by one · partly: a part by a seat,
# the rest not surely by any · added: in no response, with proof · unclear: nothing of that can be told · no claim:
# headings, code, questions, lines that lead in
Origin = Literal["several", "one", "together", "partly", "added", "unclear", "no claim"]

_SPLIT = re.compile(
    r";\s+|\s\|\s|\s*—\s*|\s–\s|\s+(?:while|whereas)\s+"
    r"|,\s+(?:and|but|while|whereas|although|though|und|aber|während|et|mais)\s+"
)
_AND = re.compile(r",?\s+(?:and|und|et)\s+")
_LABEL = re.compile(r"(?:\*\*.+\*\*|__.+__)[.:]?")


@dataclass(frozen=True)
class Passage:
    """A place in a response, `response.content[start:end]`; `score`: its share of the sentence's weight, 0 to 1.

    `why` is set where it contradicts: another figure, the opposite, or things that changed places. `whole` is False
    where it says only a part of the sentence.
    """

    label: str
    start: int
    end: int
    score: float
    why: Why | Literal[""] = ""
    whole: bool = True


@dataclass(frozen=True)
class Stated:
    """A figure of a sentence, as written, and the seats that state it about the same thing."""

    text: str
    seats: tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """A sentence of the answer, `result.answer[start:end]`, and where it comes from."""

    text: str
    start: int
    end: int
    form: Form
    origin: Origin
    supported_by: tuple[Passage, ...] = ()
    contradicted_by: tuple[Passage, ...] = ()
    missing: tuple[str, ...] = ()  # its figures and names that no response has; names as stems, in lower case
    figures: tuple[Stated, ...] = ()
    nearest: float = 1.0  # of a sentence that is unclear or added, the share of it that the nearest passage has

    @property
    def seats(self) -> tuple[str, ...]:
        """The letters of the seats that say it; if none says all of it, of those that say a part."""
        whole = {passage.label for passage in self.supported_by if passage.whole}
        return tuple(sorted(whole or {passage.label for passage in self.supported_by}))


@dataclass(frozen=True)
class Lost:
    """A finding of the analysis that the answer does not have; `number` is its place in the analysis' field.

    `labels` are the seats whose insight or stance is missing; a contradiction of which one side is told is lost too.
    """

    field: Literal["unique_insights", "contradictions"]
    number: int
    labels: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Ledger:
    """Every sentence of the answer in its order, and the findings of the analysis that never reached it."""

    sentences: tuple[Sentence, ...] = ()
    lost: tuple[Lost, ...] = ()

    @property
    def counts(self) -> dict[Origin, int]:
        """How many sentences have which origin."""
        return dict(Counter(sentence.origin for sentence in self.sentences))

    @property
    def added(self) -> tuple[Sentence, ...]:
        """The sentences that are in no response: the synthesizer added them."""
        return tuple(sentence for sentence in self.sentences if sentence.origin == "added")


def ledger(result: FusionResult) -> Ledger:
    """Trace each sentence of the answer to the responses; without an answer the ledger is empty.

    What was traced last is remembered, so that a display, a plot and a frame of one result trace it once.
    It reads words, not meaning, and says "unclear" where words can't tell: most paraphrases, anything converted or
    computed. It needs proof to call a sentence supported or in no response, and still gets wrong: a word exchanged for
    another that no table holds ("posted", "arrives"), names exchanged within a list, a hedge in words of its own, a
    negation without one ("exempt"), and a name that a response has in another form. On texts and labels by another
    hand, unseen when the rules were made, 18 of 23 seats and 17 of 26 additions were right, and they were a fifth and
    two fifths of all there are; tests/examine/test_claims.py prints precision and recall.
    """
    found = quick_ledger(result) or _ledger(*_texts(result), math.inf)
    assert found  # no limit, no None
    return found


def quick_ledger(result: FusionResult) -> Ledger | None:
    """The ledger if it takes no more than `QUICK` steps, which are about a second; None if it would."""
    return _ledger(*_texts(result), QUICK)


def _texts(result: FusionResult) -> tuple[str, tuple[tuple[str, str], ...], Any]:
    """What a ledger is made from, by which it is remembered."""
    return result.answer or "", tuple((seat.label, seat.content) for seat in result.responses), result.analysis


@lru_cache(8)
def _ledger(
    answer: str, responses: tuple[tuple[str, str], ...], analysis: Analysis | None, most: float
) -> Ledger | None:
    try:
        matcher = Matcher(dict(responses), answer, most)
        found = tuple(_traced(span, matcher) for span in sentences(answer))
        return Ledger(found, tuple(_lost(analysis, answer, most)) if analysis and answer else ())
    except TooMuch:
        return None


def _traced(span: Span, matcher: Matcher) -> Sentence:
    reading = matcher.read(span.text)
    place = (span.text, span.start, span.end, span.form)
    if _claims_nothing(span, reading):
        return Sentence(*place, "no claim")
    sought = matcher.seek(span.text)
    stated = tuple(Stated(figure.text, matcher.stating(figure, sought)) for figure in sought.counted)
    whole = matcher.find(sought)
    support, denial = _passages([whole], "support"), _passages([whole], "contradiction")
    if support:
        return Sentence(*place, _by(support), support, denial, figures=stated)
    contradicting = denial
    parts = _parts(span, matcher)
    each_said = False
    if len(parts) > 1:
        each_said, support, denials = _halved(parts, matcher, denial)
        # Of a long sentence the parts decide: what one half denies says nothing of the other.
        denial = tuple(passage for passage in denial if passage.why == "exchanged") or denials
    if said := tuple(passage for passage in support if passage.whole):
        return Sentence(*place, _by(said), support, denial, figures=stated)
    missing = tuple(matcher.nowhere(reading))
    origin: Origin = "together" if each_said and not contradicting else "partly" if support else "unclear"
    if not support and (_is_denied(whole) or matcher.is_absent(sought)):
        origin = "added"
    nearest = max((finding.nearest for finding in whole.values()), default=0.0)
    return Sentence(*place, origin, support, denial, missing, stated, nearest)


def _is_denied(found: dict[str, Finding]) -> bool:
    """Whether a seat contradicts a sentence and no other comes near it: it may say it in other words."""
    others = [finding.nearest for finding in found.values() if not finding.contradiction]
    return any(finding.contradiction for finding in found.values()) and max(others, default=0.0) < FAR


def _claims_nothing(span: Span, reading: Reading) -> bool:
    if span.form in ("heading", "code") or reading.substance < 2:
        return True
    if reading.substance < LEAST and _LABEL.fullmatch(span.text):
        return True
    return span.text.rstrip('*_"” ').endswith(("?", ":")) and not reading.figures


def _by(support: tuple[Passage, ...]) -> Origin:
    return "several" if len(support) > 1 else "one"


def _halved(
    parts: list[str], matcher: Matcher, denial: tuple[Passage, ...]
) -> tuple[bool, tuple[Passage, ...], tuple[Passage, ...]]:
    """Whether each part has a seat; the passages that support parts; those that contradict one.

    A seat says the whole if it says each part and is not in `denial`, the passages that contradict the whole. One that
    has the parts exchanged supports nothing of it.
    """
    exchanged = {passage.label for passage in denial if passage.why == "exchanged"}
    found = [matcher.find(matcher.seek(part)) for part in parts if matcher.read(part).substance >= LEAST]
    supports = [[p for p in _passages([each], "support") if p.label not in exchanged] for each in found]
    said = Counter(passage.label for support in supports for passage in support)
    whole = {label for label, times in said.items() if times == len(parts)} - {passage.label for passage in denial}
    together = {p.label: replace(p, whole=p.label in whole) for support in supports for p in support}
    denials = {p.label: p for p in _passages(found, "contradiction") if p.label not in together}
    return bool(found) and all(supports), tuple(together.values()), tuple(denials.values())


def _parts(span: Span, matcher: Matcher) -> list[str]:
    """What a sentence says one by one: its clauses, or a row's cells each with the row's head."""
    if span.form == "row":
        head, *cells = [cell.strip() for cell in span.text.strip().strip("|").split("|")]
        return [f"{head}: {cell}" for cell in cells if cell]
    clauses = [part for part in _SPLIT.split(span.text) if part.strip()]
    return [half for clause in clauses for half in _around_and(clause, matcher)]


def _around_and(clause: str, matcher: Matcher) -> list[str]:
    """Both sides of an "and" where each has a figure and words of its own: not "36 and 29 solar masses"."""
    for match in islice(_AND.finditer(clause), MANY):
        left, right = clause[: match.start()], clause[match.end() :]
        if not re.match(r"\W*\d", right) and matcher.read(left).figures and matcher.read(right).figures:
            return [left, right]
    return [clause]


def _passages(findings: Iterable[dict[str, Finding]], side: Literal["support", "contradiction"]) -> tuple[Passage, ...]:
    found = (
        (label, each.support if side == "support" else each.contradiction)
        for f in findings
        for label, each in f.items()
    )
    return tuple(Passage(label, place.start, place.end, place.score, place.why) for label, place in found if place)


def _lost(analysis: Analysis, answer: str, most: float) -> Iterable[Lost]:
    """Insights, and contradictions of which not both sides are told, that no sentence of the answer comes near."""
    told = [stance.stance for topic in analysis.contradictions for stance in topic.stances]
    matcher = Matcher({"": answer}, "\n\n".join([*(each.insight for each in analysis.unique_insights), *told]), most)
    for number, insight in enumerate(analysis.unique_insights):
        if not _reached(insight.insight, matcher):
            yield Lost("unique_insights", number, (insight.label,), insight.insight)
    for number, topic in enumerate(analysis.contradictions):
        silent = [stance.label for stance in topic.stances if not _reached(f"{stance.stance}", matcher)]
        if silent and len(topic.stances) - len(silent) < 2:
            yield Lost("contradictions", number, tuple(dict.fromkeys(silent)), topic.topic)


def _reached(finding: str, matcher: Matcher) -> bool:
    """Whether a sentence of the answer says a finding or, in the judge's other words, most of it with its figures."""
    spans = [span for span in sentences(finding) if matcher.read(span.text).substance > 1]
    for span in spans:
        sought = matcher.seek(span.text)
        found = matcher.find(sought)[""]
        near = found.nearest >= REACHED and not found.contradiction
        if found.support or (near and not matcher.nowhere(sought.reading)):
            return True
    return not spans  # a word alone can't be told
