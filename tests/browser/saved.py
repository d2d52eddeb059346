"""Results as a person saved them: what a notebook holds, says at once, and folds away."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat

from fusion_magic import FusionResult
from fusion_magic.jupyter.static import bundle
from fusion_magic.results import (
    Analysis,
    Call,
    Contradiction,
    FailedModel,
    PartialCoverage,
    Response,
    Source,
    Stance,
    UniqueInsight,
    Usage,
)

HOSTILE = runpy.run_path(str(Path(__file__).parents[1] / "jupyter" / "hostile.py"))["HOSTILE"]
PAPER = Source(url="https://a.example/paper", title="The paper", labels=("A",))
COLUMNS = 40
ANSWER = "\n".join(
    [
        "# Answer",
        "",
        "The oldest bridge is of stone [A], and the railway came in 1900 [A, B]. See [the paper](https://a.example/paper).",
        "It costs $5 and $6, and $x^2$ is a formula; " + "supercalifragilistic" * 20 + ".",
        "",
        "|" + "|".join(f"column{n}" for n in range(COLUMNS)) + "|",
        "|" + "---|" * COLUMNS,
        "|" + "|".join(map(str, range(COLUMNS))) + "|",
        "",
        "```python",
        "@cached  # once",
        "def area(r: float) -> float:",
        '    return 3.14 * r**2 if r else float("nan")',
        "```",
    ]
)
SAYS = [  # in this order, whatever the form and however it is read
    "The judge also sits on the panel.",
    "The oldest bridge is of stone",
    "It costs $5 and $6",
    "Analysis by j/udge",
    "Both name Paris.",
    "Its age",
    "Celtic",
    "The river",
    "It moved in 1871.",
    "Nobody says since when.",
    "A · v/one",
    "B · v/two",
    "C · v/three · no answer",
    "D · v/four · skipped",
    "3 calls",
]
INSIDE = ["Its oldest bridge is the Pont Neuf", "The underground railway of Paris", "v/three is gone."]  # of what folds


def result(**more: Any) -> FusionResult:
    given: dict[str, Any] = {
        "answer": ANSWER,
        "responses": (
            Response(
                label="A",
                model="v/one",
                content="Paris is old.\n\nIts oldest bridge is the Pont Neuf, built of stone in 1607.",
                reasoning="Hm.",
                sources=(PAPER,),
                usage=Usage(completion_tokens=7),
                cost=0.001,
            ),
            Response(label="B", model="v/two", content="The underground railway of Paris came in 1900."),
        ),
        "failed_models": (
            FailedModel(label="C", model="v/three", error="v/three is gone."),
            FailedModel(label="D", model="v/four", error="Skipped.", skipped=True),
        ),
        "analysis": Analysis(
            consensus=("Both name Paris.",),
            contradictions=(
                Contradiction(
                    topic="Its age",
                    stances=(
                        Stance(label="A", model="v/one", stance="Celtic, at `250 BC`"),
                        Stance(label="B", model="v/two", stance="Roman"),
                    ),
                ),
            ),
            partial_coverage=(PartialCoverage(labels=("A", "B"), models=("v/one", "v/two"), point="The river"),),
            unique_insights=(UniqueInsight(label="B", model="v/two", insight="It moved in 1871."),),
            blind_spots=("Nobody says since when.",),
        ),
        "sources": (PAPER,),
        "calls": (
            Call(stage="panel", label="A", model="v/one", cost=0.001, prompt_version="panel-1"),
            Call(stage="panel", label="B", model="v/two"),
            Call(stage="judge", model="j/udge", prompt_version="judge-1"),
        ),
        "warnings": ("The judge also sits on the panel.",),
    }
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return FusionResult(id="0123456789ab", created=created, prompt="?", settings={}, **(given | more))


def hostile_results() -> list[FusionResult]:
    """The corpus, one text in every place of a result."""
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE.values() if len(text) < 10_000]
    return [
        result(
            answer=f"[A] {evil}\n\n{evil} [x](https://a.example/paper) [A]",
            responses=(Response(label="A", model=evil, content=evil, sources=(Source(url=evil, title=evil),)),),
            failed_models=(FailedModel(label="B", model=evil, error=evil, content=evil),),
            analysis=Analysis(
                consensus=(evil,),
                contradictions=(Contradiction(topic=evil, stances=(Stance(label="A", model=evil, stance=evil),)),),
            ),
            sources=(PAPER.model_copy(update={"title": evil}), Source(url=f"https://a.example/{evil}", title=evil)),
            warnings=(evil,),
        )
        for evil in texts
    ]


def write(path: Path, *results: FusionResult) -> Path:
    """A notebook that was saved with these results, and names no kernel."""
    cells = [
        nbformat.v4.new_code_cell("%%fusion\n?", outputs=[nbformat.v4.new_output("display_data", bundle(shown))])
        for shown in results
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path
