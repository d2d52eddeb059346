"""The order in which judge and synthesizer read the responses is recorded with their calls."""

from __future__ import annotations

from fusion_magic import Line, fuse, scripted
from fusion_magic.prompts import run_digest, shuffled
from servers.openrouter import analysis_json


def test_the_seed_of_the_shuffle_is_in_the_calls_that_were_shuffled():
    with scripted({"judge": analysis_json("ABC"), "*": "Text."}) as script:
        result = fuse("Why?", models=["a", "b", "c"])

    seeds = {call.stage: call.seed for call in result.calls}
    assert seeds["judge"] == seeds["synthesis"] == run_digest("Why?", dict.fromkeys("ABC", "Text."))
    assert seeds["panel"] == ""
    content = next(request for request in script.requests if request.stage == "judge").messages[1]["content"]
    assert sorted("ABC", key=lambda label: content.index(f"<{label} ")) == shuffled("ABC", seeds["judge"])


def test_a_free_judge_that_reported_a_cost_is_not_asked_field_by_field():
    with scripted({"judge": Line("No JSON.", cost=0.01), "*": "Text."}) as script:
        result = fuse("Why?", models=["a@ollama"], judge="j@ollama")

    assert [request.stage for request in script.requests].count("judge") == 2
    assert result.analysis is None
