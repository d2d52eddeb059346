"""Reads the judge's reply: JSON wherever it stands in a text, with letters that become seats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError

from ..results import Analysis

# A reply of braces alone would take a second to search, in the loop that serves every run.
BRACES_AT_MOST = 1000


def read_analysis(text: str, models: Mapping[str, str]) -> Analysis:
    """The analysis in a judge's reply, models' names put in by their letters.

    Raises:
        ValueError: no JSON object in it, or not of this shape; the message tells the model what is wrong.
    """
    data = first_object(text, Analysis.model_fields)
    missing = [name for name in Analysis.model_fields if name not in data]
    if missing:
        raise ValueError(f"the JSON lacks {', '.join(missing)}.")
    return validated(data, models)


def validated(data: Mapping[str, Any], models: Mapping[str, str]) -> Analysis:
    """The five fields as an analysis. Raises ValueError that says what is wrong with them."""
    try:
        return Analysis.model_validate(_named({name: data[name] for name in Analysis.model_fields}, models))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from exc
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError("a list holds something of another shape.") from exc


def first_object(text: str, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """The first JSON object in a text that has one of the wanted names, else the first one.

    Raises:
        ValueError: there is no whole one.
    """
    found = list(_objects(text))
    if not found:
        raise ValueError("there is no whole JSON object in it.")
    return next((data for data in found if not set(wanted).isdisjoint(data)), found[0])


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object in a text, whatever stands around it."""
    decoder, start = json.JSONDecoder(), text.find("{")
    for _ in range(BRACES_AT_MOST):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except RecursionError:
            return
        except ValueError:
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _named(data: dict[str, Any], models: Mapping[str, str]) -> dict[str, Any]:
    """The judge's letters with the models they stand for.

    Some judges write OpenRouter's `model` and `models` for our `label` and `labels`, with the letter in them.
    """

    def seats(items: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        return [
            {"label": label, "model": models[label], text: item[text]}
            for item in items
            for label in _seats(item, "label", "model", models)
        ]

    def covered(item: dict[str, Any]) -> dict[str, Any]:
        labels = _seats(item, "labels", "models", models)
        return {"labels": labels, "models": [models[label] for label in labels], "point": item["point"]}

    return {
        "consensus": data["consensus"],
        "contradictions": [
            {"topic": item["topic"], "stances": seats(item["stances"], "stance")} for item in data["contradictions"]
        ],
        "partial_coverage": [covered(item) for item in data["partial_coverage"]],
        "unique_insights": seats(data["unique_insights"], "insight"),
        "blind_spots": data["blind_spots"],
    }


def _seats(item: Mapping[str, Any], ours: str, theirs: str, models: Mapping[str, str]) -> list[str]:
    """The seats that an item names under our key or OpenRouter's.

    Raises:
        ValueError: a list of letters is no list, or our key names nobody's letter. Under OpenRouter's a stranger is
            dropped: it may be the name of a model, which is what that key is for.
    """
    key = ours if ours in item else theirs
    given = item[key] if key.endswith("s") else [item[key]]
    if not isinstance(given, list):
        raise ValueError(f'{key} must be a list of letters, such as ["{min(models)}"].')
    found: dict[str, None] = {}
    for name in cast("list[Any]", given):
        letters = _letters(name)
        if letters and all(letter in models for letter in letters):
            found |= dict.fromkeys(letters)
        elif key == ours:
            raise ValueError(
                f'{key}: "{str(name)[:20]}" is not the letter of a response ({", ".join(sorted(models))}).'
            )
    return list(found)


def _letters(name: Any) -> list[str]:
    """ "Response B" and "b" are B; "A, B" and "Responses A and B" are A and B."""
    parts = str(name).upper().replace(" AND ", ",").replace("&", ",").split(",")
    bare = (re.sub(r"^RESPONSES? ", "", part.strip("[]() ")).strip("[]() ") for part in parts)
    return [letter for letter in bare if letter]
