"""What becomes of each strategy when a seat, its judge or its synthesizer is made to fail."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import PanelFailed, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.results import FusionResult

SAID = "In short: {}\nAnswer: 7\nPosition: kept\nRanking: A > B > C"
FOUND: dict[str, Any] = {name: [] for name in ("contradictions", "partial_coverage", "unique_insights", "blind_spots")}
SCRIPT = {
    "judge": FOUND | {"consensus": ["Seven."]},
    "synthesis": "Fused.",
    **{name: SAID.format(name) for name in "abc"},
}


def ask(strategy: str, simulate: str) -> FusionResult:
    """Three seats of different models; `self` asks the first one three times."""
    samples = 3 if strategy == "self" else None
    with scripted(SCRIPT):
        return fuse(
            "Why?", models=["a", "b", "c"], judge="j", synthesizer="w", strategy=strategy, simulate=simulate,
            samples=samples, must_ask=strategy == "auto", retries=0,
        )  # fmt: skip


@pytest.mark.parametrize("strategy", ["fusion", "self", "vote", "moa", "debate", "rank", "scout", "guide"])
def test_a_seat_that_fails_costs_its_seat_and_no_more(strategy: str):
    result = ask(strategy, "B=down")

    assert (result.status, [lost.label for lost in result.failed_models]) == ("ok", ["B"])
    assert [response.label for response in result.responses] == ["A", "C"]
    assert result.answer


@pytest.mark.parametrize("strategy", ["fusion", "self", "debate", "scout", "guide"])
def test_a_judge_that_fails_costs_the_analysis_and_no_more(strategy: str):
    result = ask(strategy, "judge=badjson")

    assert (result.status, result.analysis, result.answer) == ("ok", None, "Fused.")
    assert any("There is no analysis" in warning for warning in result.warnings)


@pytest.mark.parametrize("strategy", ["fusion", "self", "moa", "debate", "rank", "scout", "guide"])
def test_a_synthesizer_that_fails_costs_the_answer_and_no_response(strategy: str):
    result = ask(strategy, "synthesizer=filter")

    assert (result.status, result.answer, len(result.responses)) == ("error", None, 3)


def test_an_outer_model_that_fails_is_said_to_be_the_reason():
    with pytest.raises(PanelFailed, match=r"There is no fused answer: .*content filter"):
        ask("auto", "synthesizer=filter")


@pytest.mark.parametrize(
    ("strategy", "simulate"),
    [("vote", "judge=down"), ("vote", "synthesizer=down"), ("moa", "judge=down"), ("rank", "judge=badjson")],
)
def test_who_a_strategy_does_not_ask_can_not_be_made_to_fail(strategy: str, simulate: str):
    with pytest.raises(SettingsError, match="is not asked in this run; A, B, C"):
        ask(strategy, simulate)
