"""Finds the passage of a response on which a stance rests, as the judge gives stances in its own words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from .agreement import words
from .sentences import sentences

NEAR = 0.4  # share of a stance's weight that a passage must hold; below it the passages found were about other things
STEM = 6  # letters: "cost", "costs" and "costing" are not told apart by an ending, and any language has endings
TOPIC = 0.25  # how much the topic's words count: they decide between passages that hold the stance alike


def quote(stance: str, topic: str, response: str) -> tuple[int, int] | None:
    """Where the response says what the judge says it says: `response[start:end]`; None if no sentence is near.

    The sentence that holds most of the stance's words, a word weighing ln(1 + N/df), with df of the response's N
    sentences holding it; all numbers of the stance must stand in it. It sees words, not meaning: a stance that the
    judge put in words of its own is not found.
    """
    spans = sentences(response)
    held = [_stems(span.text) for span in spans]
    often = Counter(stem for stems in held for stem in stems)
    said, about = _stems(stance), _stems(topic)
    numbers = {stem for stem in said if stem[0].isdigit()}
    best, found = 0.0, None
    for span, stems in zip(spans, held, strict=True):
        share = _share(said, stems, often, len(spans))
        score = share + TOPIC * _share(about, stems, often, len(spans))
        if share >= NEAR and numbers <= stems and score > best:
            best, found = score, (span.start, span.end)
    return found


def _stems(text: str) -> set[str]:
    return {word if word[0].isdigit() else word[:STEM] for word in words(text)}


def _share(wanted: Iterable[str], stems: set[str], often: Mapping[str, int], count: int) -> float:
    """Which share of the wanted words' weight a sentence holds; a word that no sentence has weighs most."""
    weights = {stem: math.log(1 + count / max(1, often[stem])) for stem in wanted}
    total = math.fsum(weights.values())
    return math.fsum(weight for stem, weight in weights.items() if stem in stems) / total if total else 0.0
