"""OpenRouter's analysis, which names models, as an analysis that names seats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ...providers.json_values import as_list, as_object, as_text
from ...results import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight
from ..served import same_model

Names = Mapping[str, tuple[str, str]]  # by letter: what OpenRouter calls the seat's model, and what was asked for


def analysis_of(data: Mapping[str, Any], names: Names) -> Analysis:
    """The analysis with seats beside its models; entries of a wrong shape are left out.

    Of a model that sits several times the n-th mention under one heading is the n-th of its seats. A name that is no
    seat's has no letter.
    """
    return Analysis(
        consensus=tuple(_texts(data, "consensus")),
        contradictions=tuple(_contradictions(data, names)),
        partial_coverage=tuple(_partial(data, names)),
        unique_insights=tuple(_unique(data, names)),
        blind_spots=tuple(_texts(data, "blind_spots")),
    )


def _contradictions(data: Mapping[str, Any], names: Names) -> Iterator[Contradiction]:
    for entry in _objects(data, "contradictions"):
        stances = [stance for stance in _objects(entry, "stances") if as_text(stance.get("stance"))]
        models = [as_text(stance.get("model")) for stance in stances]
        told = zip(_labels(models, names), models, stances, strict=True)
        topic = as_text(entry.get("topic"))
        if topic or stances:
            said = (Stance(label=label, model=model, stance=as_text(one["stance"])) for label, model, one in told)
            yield Contradiction(topic=topic, stances=tuple(said))


def _partial(data: Mapping[str, Any], names: Names) -> Iterator[PartialCoverage]:
    for entry in _objects(data, "partial_coverage"):
        models = tuple(_texts(entry, "models"))
        if point := as_text(entry.get("point")):
            labels = tuple(label for label in _labels(models, names) if label)
            yield PartialCoverage(labels=labels, models=models, point=point)


def _unique(data: Mapping[str, Any], names: Names) -> Iterator[UniqueInsight]:
    entries = [entry for entry in _objects(data, "unique_insights") if as_text(entry.get("insight"))]
    for entry in entries:
        model = as_text(entry.get("model"))
        yield UniqueInsight(label=_labels([model], names)[0], model=model, insight=as_text(entry["insight"]))


def _labels(models: tuple[str, ...] | list[str], names: Names) -> list[str]:
    seen, found = Counter[str](), list[str]()
    for model in models:
        seats = [label for label, known in names.items() if model in known]
        seats = seats or [
            label for label, (named, slug) in names.items() if same_model(slug, model) and model and named
        ]
        found.append(seats[min(seen[model], len(seats) - 1)] if seats else "")
        seen[model] += 1
    return found


def _texts(data: Mapping[str, Any], name: str) -> Iterator[str]:
    return (text for text in map(as_text, as_list(data.get(name))) if text)


def _objects(data: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    return (entry for entry in map(as_object, as_list(data.get(name))) if entry)
