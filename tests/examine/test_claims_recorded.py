"""The claims ledger on recorded reports and real syntheses: exact places, figures with the seats that state them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fusion_magic.examine.claims import ledger
from fusion_magic.results import FusionResult, Response

pytestmark = pytest.mark.thorough

TASKS = 2  # of 20, so that the suite stays quick; tests/benchmarks/claims.py reads them all


def test_sentences_of_real_syntheses_are_traced_to_real_reports(shared: Path) -> None:
    with gzip.open(shared / "data" / "recorded-panels.jsonl.gz", "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines][3 : 3 + 4 * TASKS : 4]

    for task in tasks:
        texts = {label: each["content"] for label, each in zip("ABCDE", task["responses"], strict=True)}
        responses = tuple(Response(label=label, model="m", content=text) for label, text in texts.items())
        answer = task["syntheses"][0]["content"]
        found = ledger(
            FusionResult(id="r", created=datetime.now(UTC), prompt="p", settings={}, answer=answer, responses=responses)
        )

        origins = Counter(sentence.origin for sentence in found.sentences)
        print(task["domain"], dict(origins))
        assert all(answer[s.start : s.end] == s.text for s in found.sentences)
        passages = [p for s in found.sentences for p in (*s.supported_by, *s.contradicted_by)]
        assert all(0 <= p.start < p.end <= len(texts[p.label]) for p in passages)
        assert origins["several"] + origins["one"] > 0.3 * (len(found.sentences) - origins["no claim"])
        for sentence in found.sentences:
            for figure in sentence.figures:
                if len(figure.text) > 3 and figure.text.isdigit():  # no separators: it stands there as it is
                    assert all(figure.text in texts[seat].replace(",", "") for seat in figure.seats)
