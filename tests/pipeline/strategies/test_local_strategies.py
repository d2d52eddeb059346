"""Every strategy on the embedded model: it runs to its end, makes the calls it announced, and costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import FusionResult, estimate, fold
from pipeline.asking import record

pytestmark = [pytest.mark.local_model, pytest.mark.thorough]  # 188 s on two busy cores
QUESTION = "Is the sun a star?"
TWO: dict[str, Any] = {"models": ["smollm2@local", "smollm2@local"]}


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("self", {"samples": 2}),
        ("vote", {"models": ["smollm2@local"], "samples": 2}),
        ("moa", TWO),
        ("debate", TWO),
        ("rank", {"panel": "local"}),
        ("scout", {"panel": "local", "threshold": 0}),
        ("guide", TWO),
        ("auto", TWO),
    ],
)
def test_it_runs_offline_and_makes_the_calls_it_announced(strategy: str, settings: dict[str, Any]):
    chosen: dict[str, Any] = {
        "strategy": strategy,
        "max_tokens": 24,
        **(settings if "panel" in settings else TWO | settings),
    }
    before = estimate(QUESTION, **chosen)

    told = record(QUESTION, **chosen)

    result = told.kept
    assert (result.status, result.error) == ("ok", None)
    assert result.answer
    assert before.count is not None
    assert before.count.least <= len(result.calls) <= before.count.most
    assert result.cost == 0
    assert fold(told.events) == result
    assert _second_stage(result, strategy)


def _second_stage(result: FusionResult, strategy: str) -> bool:
    """Whether what makes the strategy one is there."""
    match strategy:
        case "vote":
            return all(vote.choice for vote in result.votes)
        case "moa":
            return {seat.round for seat in result.earlier} == {1} and {seat.round for seat in result.responses} == {2}
        case "debate":
            return len(result.changes) == 2
        case "rank":
            return len(result.ballots) == 3
        case "scout" | "auto":
            return result.decision is not None
        case _:
            return result.analysis is not None
