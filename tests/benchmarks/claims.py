"""What the claims ledger costs and tells, beside a naive one: `python tests/benchmarks/claims.py [recorded-panels]`.

On the labelled sets of tests/examine, and in the same run, the naive baseline calls a sentence supported by
a seat if a sentence of its response has 60 % of its words, and added if none has 30 %. Then the time for an answer of
25 kB and five responses of 25 kB; with a path to recorded panels, of those, one by one and three joined, else of the
labelled texts repeated.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusion_magic.examine.claims import ledger
from fusion_magic.results import FusionResult, Response

LABELLED = [Path(__file__).parents[1] / "examine" / name for name in ("claims.jsonl", "claims_fresh.jsonl")]
SIZE = 25_000  # characters of the answer and of each response


def result(answer: str, responses: dict[str, str]) -> FusionResult:
    kept = tuple(Response(label=label, model="m", content=text) for label, text in responses.items())
    return FusionResult(id="r", created=datetime.now(UTC), prompt="p", settings={}, answer=answer, responses=kept)


def ours(case: dict[str, Any]) -> list[tuple[set[str], bool]]:
    answer = "\n\n".join(sentence["text"] for sentence in case["sentences"])
    found = ledger(result(answer, case["responses"])).sentences
    return [({passage.label for passage in s.supported_by if passage.whole}, s.origin == "added") for s in found]


def naive(case: dict[str, Any]) -> list[tuple[set[str], bool]]:
    told: list[tuple[set[str], bool]] = []
    for sentence in case["sentences"]:
        words = set(re.findall(r"\w+", sentence["text"].lower()))
        shares = {
            label: max(len(words & set(re.findall(r"\w+", each.lower()))) for each in re.split(r"(?<=[.!?])\s", text))
            / len(words)
            for label, text in case["responses"].items()
        }
        told.append(({label for label, share in shares.items() if share >= 0.6}, max(shares.values()) < 0.3))
    return told


def score(cases: list[dict[str, Any]], name: str, told: list[list[tuple[set[str], bool]]]) -> None:
    right = said = true = both = called = added = 0
    for case, answers in zip(cases, told, strict=True):
        for sentence, (seats, new) in zip(case["sentences"], answers, strict=True):
            want = set(sentence["supported_by"])
            right, said, true = right + len(seats & want), said + len(seats), true + len(want)
            both, called, added = both + (new and sentence["added"]), called + new, added + sentence["added"]
    print(
        f"{name:9} supported: precision {right / max(1, said):.3f} recall {right / true:.3f}"
        f"   added: precision {both / max(1, called):.3f} recall {both / added:.3f}"
    )


def texts(cases: list[dict[str, Any]], recorded: str | None) -> list[list[str]]:
    """An answer and five responses, each as long as SIZE where there is enough text."""
    if recorded:
        with gzip.open(recorded, "rt", encoding="utf-8") as lines:
            tasks = [json.loads(line) for line in lines]
        groups = [[task["syntheses"][0]["content"], *(each["content"] for each in task["responses"])] for task in tasks]
        # One task alone is shorter than SIZE; three joined are as long.
        joined = zip(groups[::3], groups[1::3], groups[2::3], strict=False)
        return groups + [["\n\n".join(each) for each in zip(*three, strict=True)] for three in joined]
    seats = [" ".join(text for case in cases for text in case["responses"].values())] * 5
    answer = "\n\n".join(sentence["text"] for case in cases for sentence in case["sentences"])
    return [[(text + "\n\n") * (1 + SIZE // len(text)) for text in (answer, *seats)]]


def main(recorded: str | None = None) -> None:
    cases = [json.loads(line) for path in LABELLED for line in path.read_text(encoding="utf-8").splitlines()]
    for part in ("dev", "heldout", "fresh dev", "fresh heldout"):
        chosen = [case for case in cases if case["part"] == part]
        print(part)
        score(chosen, "ledger", [ours(case) for case in chosen])
        score(chosen, "naive", [naive(case) for case in chosen])
    print("answer, responses (characters), sentences, seconds, seconds of CPU")
    for answer, *responses in texts(cases, recorded):
        run = result(answer[:SIZE], {label: text[:SIZE] for label, text in zip("ABCDE", responses, strict=True)})
        began, worked = time.perf_counter(), time.process_time()
        found = ledger(run)
        taken, work = time.perf_counter() - began, time.process_time() - worked
        size = sum(len(each.content) for each in run.responses)
        print(f"{len(run.answer or ''):7,} {size:9,} {len(found.sentences):5} {taken:7.2f} {work:7.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
