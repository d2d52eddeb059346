"""Rubrics: weighted criteria, and what an answer scores by the verdicts on them, as DRACO counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import fmean, stdev
from typing import Any, cast

from ..errors import SettingsError

# ScreamingFace's rule: with fewer verdicts than this share a grading has no score.
COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a grader looks for.

    Attributes:
        id: unique within its rubric.
        weight: points for an answer that has it; below 0 it is a mistake, which costs points.
        requirement: what is looked for.
        section: title of the part of the rubric that it belongs to.
    """

    id: str
    weight: float
    requirement: str
    section: str = ""

    @property
    def kind(self) -> str:
        """ "positive" or "negative": all that a grader learns of the weight."""
        return "negative" if self.weight < 0 else "positive"


Rubric = tuple[Criterion, ...]
Verdict = bool | str | None  # True or "MET", False or "UNMET", None where the grader gave none


@dataclass(frozen=True, slots=True)
class Graded:
    """What one answer scores, in one pass or as the mean of several.

    Attributes:
        raw: sum of the weights of criteria that are met.
        normalized: 0 to 100; NaN where too few verdicts exist.
        pass_rate: positive criteria met and negative ones not met, in percent of all, without weights.
        negative_penalty: points of the normalized scale that met negative criteria took away, before it is clipped.
        coverage: share of verdicts that exist, 0 to 1.
        sections: normalized score of each section, 0 to 100.
        passes: how many passes have a score.
        sd: standard deviation of `normalized` between passes; NaN for one.
        flip_rate: share of criteria, 0 to 1, whose verdict differs between passes; NaN for one.
    """

    raw: float
    normalized: float
    pass_rate: float
    negative_penalty: float
    coverage: float
    sections: Mapping[str, float] = field(default_factory=dict[str, float])
    passes: int = 1
    sd: float = nan
    flip_rate: float = nan

    @property
    def has_score(self) -> bool:
        """Whether there were verdicts enough."""
        return not isnan(self.normalized)


def score(rubric: Rubric, verdicts: Mapping[str, Verdict], *, least: float = COVERAGE) -> Graded:
    """What one pass of verdicts is worth.

    Raw, normalized and pass rate are those of the DRACO paper (arXiv:2602.11685, section 4.2): raw = Σ weights of what
    is met; normalized = raw / Σ positive weights, clipped to 0 and 1. A rubric of mistakes alone begins at 1, as in the
    reference code (github.com/The-LLM-Data-Company/rubric). A missing verdict is no verdict: its criterion leaves
    numerator and denominator, and with less than `least` of all verdicts there is no score.

    Args:
        rubric: the criteria.
        verdicts: by criterion id.
        least: share of verdicts below which the score is NaN; 1 takes nothing but all of them.

    Raises:
        SettingsError: a verdict is neither MET nor UNMET, or of no criterion of this rubric.
    """
    met = {name: _is_met(name, verdict) for name, verdict in verdicts.items()}
    if unknown := met.keys() - {each.id for each in rubric}:
        raise SettingsError(f"The rubric has no criterion {min(unknown)!r}; verdicts are by criterion id.")
    judged = [(each, met[each.id]) for each in rubric if met.get(each.id) is not None]
    coverage = len(judged) / len(rubric) if rubric else 0.0
    if not judged or coverage < least:
        return Graded(nan, nan, nan, nan, coverage)
    titles = dict.fromkeys(each.section for each, _ in judged if each.section)
    return Graded(
        raw=_raw(judged),
        normalized=_normalized(judged),
        pass_rate=100 * fmean((each.weight < 0) != is_met for each, is_met in judged),
        negative_penalty=_penalty(judged),
        coverage=coverage,
        sections={title: _normalized([pair for pair in judged if pair[0].section == title]) for title in titles},
    )


def over_passes(rubric: Rubric, passes: Sequence[Mapping[str, Verdict]], *, least: float = COVERAGE) -> Graded:
    """The mean over passes, each clipped by itself; a pass without a score is left out, and counts in the coverage."""
    graded = [score(rubric, verdicts, least=least) for verdicts in passes]
    scored = [each for each in graded if each.has_score]
    coverage = fmean(each.coverage for each in graded) if graded else 0.0
    if not scored:
        return Graded(nan, nan, nan, nan, coverage, passes=0)
    titles = dict.fromkeys(title for each in scored for title in each.sections)
    return Graded(
        raw=fmean(each.raw for each in scored),
        normalized=fmean(each.normalized for each in scored),
        pass_rate=fmean(each.pass_rate for each in scored),
        negative_penalty=fmean(each.negative_penalty for each in scored),
        coverage=coverage,
        sections={title: fmean(each.sections[title] for each in scored if title in each.sections) for title in titles},
        passes=len(scored),
        sd=stdev(each.normalized for each in scored) if len(scored) > 1 else nan,
        flip_rate=_flip_rate(rubric, passes),
    )


def rubric_of(sections: Iterable[Mapping[str, Any]]) -> Rubric:
    """Criteria from sections `{"title", "criteria": [{"id", "weight", "requirement"}]}`, as DRACO has them.

    Raises:
        SettingsError: something is missing, or two criteria have one id.
    """
    found: dict[str, Criterion] = {}
    for section in sections:
        for given in cast("Iterable[Mapping[str, Any]]", section["criteria"]):
            made = Criterion(
                str(given["id"]), float(given["weight"]), str(given["requirement"]), str(section.get("title", ""))
            )
            if found.setdefault(made.id, made) is not made:
                raise SettingsError(f"Two criteria of a rubric have the id {made.id!r}; verdicts would be mixed up.")
    return tuple(found.values())


Judged = Sequence[tuple[Criterion, "bool | None"]]


def _is_met(name: str, verdict: Verdict) -> bool | None:
    known = {"MET": True, "UNMET": False}
    if verdict is None or isinstance(verdict, bool):
        return verdict
    if verdict in known:
        return known[verdict]
    raise SettingsError(f"The verdict on {name!r} is {verdict!r}; it is True or MET, False or UNMET, or None.")


def _raw(judged: Judged) -> float:
    return float(sum(each.weight for each, is_met in judged if is_met))


def _normalized(judged: Judged) -> float:
    positive = sum(max(0.0, each.weight) for each, _ in judged)
    negative = -sum(min(0.0, each.weight) for each, _ in judged)
    share = _raw(judged) / positive if positive else 1 + _raw(judged) / negative if negative else 0.0
    return 100 * max(0.0, min(1.0, share))


def _penalty(judged: Judged) -> float:
    """Against the sum of the positive weights, or of the negative ones where there are no others."""
    lost = -sum(each.weight for each, is_met in judged if is_met and each.weight < 0)
    whole = sum(max(0.0, each.weight) for each, _ in judged) or sum(abs(each.weight) for each, _ in judged)
    return 100 * lost / whole if whole else 0.0


def _flip_rate(rubric: Rubric, passes: Sequence[Mapping[str, Verdict]]) -> float:
    given = ([met for each in passes if (met := _is_met(one.id, each.get(one.id))) is not None] for one in rubric)
    several = [verdicts for verdicts in given if len(verdicts) > 1]
    return fmean(len(set(verdicts)) > 1 for verdicts in several) if several else nan
