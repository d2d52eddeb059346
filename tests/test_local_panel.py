"""The embedded model, from `fuse` to the answer: no key, no network, a real model."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fusion_magic import FusionResult, fuse

pytestmark = pytest.mark.local_model
QUESTION = "Should I water my tomato plants in the morning or in the evening?"


@pytest.fixture(scope="module")
def result() -> FusionResult:
    return fuse(QUESTION, panel="local")


def test_all_three_seats_answer_with_text_of_their_own(result: FusionResult):
    texts = [response.content for response in result.responses]

    assert result.status == "ok"
    assert [response.label for response in result.responses] == ["A", "B", "C"]
    assert all(len(text.split()) > 5 for text in texts)
    assert len(set(texts)) > 1


def test_the_judge_gives_a_valid_analysis_that_names_seats_of_the_panel(result: FusionResult):
    analysis = result.analysis

    assert analysis is not None
    assert any(analysis.model_dump().values())
    assert {stance.label for item in analysis.contradictions for stance in item.stances} <= {"A", "B", "C"}


def test_the_synthesizer_writes_an_answer(result: FusionResult):
    assert result.answer is not None
    assert len(result.answer.split()) > 5


def test_every_call_is_accounted_for_and_costs_nothing(result: FusionResult):
    assert [call.stage for call in result.calls].count("panel") == 3
    assert all(call.usage and call.usage.completion_tokens > 0 for call in result.calls)
    assert result.cost == 0
    assert not result.cost_is_partial


def test_a_script_gets_the_same_without_leaving_a_process_behind():
    code = (
        "from fusion_magic import fuse; from fusion_magic.providers import local\n"
        f"r = fuse({QUESTION!r}, panel='local'); print(r.status, len(r.responses), r.answer is not None)\n"
        "print(local.start(notify=print).base_url)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)

    state, base_url = done.stdout.strip().splitlines()
    assert (state, done.stderr) == ("ok 3 True", "")
    assert not _answers(base_url)


def _answers(base_url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{base_url}/models", timeout=2).is_success
    except httpx.TransportError:
        return False
