"""Scores short answers against a target: words by what they have in common, numbers by their distance."""

from __future__ import annotations

import re

from ..pipeline.strategies.choices import choice_in, same_as
from .datasets import Sample

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


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


def _is(target: str | float, text: str, tolerance: float) -> bool:
    if isinstance(target, str):
        return same_as(target) == same_as(text)
    found = _NUMBER.match(same_as(text))  # "72 km/h" is 72; what begins with a word is no number
    return found is not None and abs(float(found[0]) - target) <= tolerance * abs(target)
