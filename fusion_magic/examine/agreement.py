"""How far the seats of a run agree, and how many independent opinions that makes; arithmetic, no model is asked."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from ..errors import SettingsError
from ..results import Analysis, FusionResult
from .columns import pandas

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

By = Literal["points", "words"]
Matrix = list[list[float]]
# Chinese and Japanese are written without spaces, so there a word is a character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\d+(?:[.,]\d+)*|(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W\d_])+")


def agreement(result: FusionResult, by: By | None = None) -> DataFrame:
    """How far each two seats that answered agree: seat × seat, from 0 (nothing shared) to 1 (the same).

    by="points", taken where there is an analysis. Each seat is the set of points that the judge says it makes:
    every consensus (of all seats), every partial coverage that names it, its unique insights, and its stance in each
    contradiction, which two seats share only if the judge gives both in the same words. Agreement is the Jaccard
    index of the two sets: points in both / points in either (Jaccard 1912, New Phytologist 11: 37-50).
    Its limits: it is as good as the judge, who names few points of a long answer and may call "most" a consensus;
    with few points it moves in large steps; a seat of which the judge says nothing agrees with nobody.

    by="words", taken else. Cosine of the responses' word counts, a word weighted (1 + ln tf) · ln(1 + N/df), with tf
    its count in the response, and df of N lines of all responses holding it (Salton and Buckley 1988, Information
    Processing & Management 24: 513-523).
    Its limits: it sees vocabulary, not meaning. "It is safe" and "it is not safe" are nearly the same, a paraphrase
    or another language is far away, and answers to one question always share words. Compare runs, don't read one
    number; never compare it with agreement by points.

    Args:
        by: which of the two; without it as said above.

    Raises:
        SettingsError: pandas is not installed, or by="points" and no point is known.
    """
    seats = [response.label for response in result.responses]
    index = pandas().Index(seats, dtype=pandas().Series([""]).dtype, name="seat")
    return pandas().DataFrame(similarity(result, by), index=index, columns=index, dtype="float64")


def effective_votes(result: FusionResult, by: By | None = None) -> float:
    """How many independent opinions the panel amounted to: from 1 (all say the same) to n (nothing shared).

    n / (1 + (n − 1) · r), where n seats answered and r is the mean agreement of two of them: Kish's effective sample
    size (Survey Sampling, 1965), which "Nine Judges, Two Effective Votes" applies to panels of models
    (arXiv:2605.29800). It equals the diversity of order 2 that takes similarity into account, 1 / Σᵢⱼ pᵢ pⱼ sᵢⱼ with
    pᵢ = 1/n (Leinster and Cobbold 2012, Ecology 93: 477-489), and 1 / (1 − Rao's quadratic entropy). 0 if no seat
    answered.

    Its limits are those of `agreement`, and two more. The paper has the correlation of errors over many questions; one
    run has no errors to correlate, so seats that agree because it is true count as one vote like seats that
    agree because they learned the same. And it describes this question: it does not say which seat to drop.

    Args:
        by: on what `agreement` rests; the number means something only beside others of the same kind.

    Raises:
        SettingsError: by="points" and no point is known.
    """
    return votes(similarity(result, by))


def votes(matrix: Matrix) -> float:
    """The effective votes of seats that agree like this; 0 for no seats."""
    return len(matrix) ** 2 / math.fsum(map(math.fsum, matrix)) if matrix else 0.0


def basis(result: FusionResult) -> By:
    """What agreement rests on where nothing is said: points if the analysis has any of a seat that answered."""
    return "points" if result.analysis and any(_points(result, result.analysis).values()) else "words"


def similarity(result: FusionResult, by: By | None = None) -> Matrix:
    """The matrix behind `agreement`: symmetric, 1 on the diagonal, in the order of the responses."""
    by = by or basis(result)
    if by == "words":
        return _symmetric([response.label for response in result.responses], _cosines(result))
    if result.analysis is None or basis(result) == "words":
        raise SettingsError(f'Run {result.id} has no points of a judge; agreement(by="words") needs none.')
    said = _points(result, result.analysis)
    pairs = {(a, b): _jaccard(said[a], said[b]) for a in said for b in said if a < b}
    return _symmetric(list(said), pairs)


def _symmetric(seats: list[str], pairs: Mapping[tuple[str, str], float]) -> Matrix:
    return [[1.0 if a == b else pairs[min(a, b), max(a, b)] for b in seats] for a in seats]


Point = tuple[str, int, str]


def _points(result: FusionResult, analysis: Analysis) -> dict[str, set[Point]]:
    """What each seat that answered says, by its letter."""
    said: dict[str, set[Point]] = {response.label: set() for response in result.responses}

    def add(labels: Iterable[str], point: Point) -> None:
        for label in labels:
            said.get(label, set[Point]()).add(point)

    for number in range(len(analysis.consensus)):
        add(said, ("consensus", number, ""))
    for number, partial in enumerate(analysis.partial_coverage):
        add(partial.labels, ("partial", number, ""))
    for number, unique in enumerate(analysis.unique_insights):
        add([unique.label], ("unique", number, ""))
    for number, contradiction in enumerate(analysis.contradictions):
        for stance in contradiction.stances:
            add([stance.label], ("stance", number, " ".join(words(stance.stance))))
    return said


def _jaccard(one: set[Point], other: set[Point]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


# --- words --------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Words and numbers of a text, without case; "3.5" is one word."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _cosines(result: FusionResult) -> dict[tuple[str, str], float]:
    vectors = _vectors({response.label: response.content for response in result.responses})
    return {
        (a, b): min(1.0, math.fsum(one[word] * other[word] for word in one.keys() & other.keys()))
        for a, one in vectors.items()
        for b, other in vectors.items()
        if a < b
    }


def _vectors(texts: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Each text's weighted words, as a vector of length 1."""
    lines = [set(words(line)) for text in texts.values() for line in text.splitlines()]
    holding = Counter(word for line in lines for word in line)
    count = sum(map(bool, lines))
    vectors = dict[str, dict[str, float]]()
    for label, text in texts.items():
        vector = {
            word: (1 + math.log(often)) * math.log(1 + count / holding[word])
            for word, often in Counter(words(text)).items()
        }
        length = math.hypot(*vector.values()) or 1.0
        vectors[label] = {word: weight / length for word, weight in vector.items()}
    return vectors
