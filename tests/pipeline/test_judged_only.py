"""Runs that end with the judge: what they plan, ask and leave, and the orders in which a judge may read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from again import New, answering
from fusion_magic import FusionResult, fold, folders, fuse, scripted
from fusion_magic.api import Running, estimate_for
from fusion_magic.errors import SettingsError
from fusion_magic.events import Event, RunStarted
from fusion_magic.examine.extra_runs import judging
from fusion_magic.prompts import CODE, shuffled
from fusion_magic.verbs import load
from pipeline.asking import at, chats, panel
from servers.openrouter import Fault, Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as running:
        yield running


def judged(result: FusionResult, sample: int = 1) -> tuple[FusionResult, list[Event]]:
    told: list[Event] = []
    return Running(judging(result, sample), told.append).wait(), told


def test_the_plan_lists_the_seats_that_are_taken_over_and_the_judge(server: Server):
    _, told = judged(fuse("Why?", **panel(server)))

    planned = next(event for event in told if isinstance(event, RunStarted)).plan
    assert [(call.stage, call.label) for call in planned] == [("panel", "A"), ("panel", "B"), ("judge", "")]


def test_every_beginning_of_its_log_folds_and_the_whole_is_the_result(server: Server):
    result, told = judged(fuse("Why?", **panel(server)))

    assert fold(told) == result
    assert all(fold(told[:end]).status == "cancelled" for end in range(1, len(told)))


def test_it_has_an_analysis_and_no_answer_and_is_well(server: Server):
    result, _ = judged(fuse("Why?", **panel(server)))

    assert (result.status, result.answer, result.analysis is not None) == ("ok", None, True)


def test_resuming_it_asks_the_synthesizer(server: Server):
    result, _ = judged(fuse("Why?", **panel(server)))
    new = New(server)

    answered = load(result.id).resume()

    assert new.models == ["writer"]
    assert answered.analysis == result.analysis


def test_without_an_analysis_it_says_so(server: Server):
    first = fuse("Why?", **panel(server))
    server.reply("judge", Fault(401))

    result, _ = judged(first)

    assert (result.status, result.error) == ("error", "The judge wrote no analysis, which was all that was asked.")


def test_its_estimate_prices_the_judge_alone_and_knows_what_the_store_has(server: Server):
    first = fuse("Why?", **panel(server))
    before = estimate_for(judging(first, 1))

    judged(first)

    after = estimate_for(judging(first, 1))
    assert [(row.stage, row.reused) for row in before.rows] == [("panel", True)] * 2 + [("judge", False)]
    assert [row.reused for row in after.rows] == [True] * 3


@pytest.mark.parametrize("sample", [0, 1, 2])
def test_the_order_and_the_code_belong_to_the_sample_and_are_in_the_call(server: Server, sample: int):
    first = fuse("Why?", **panel(server, "a", "b", "c"))

    result, _ = judged(first, sample)

    call = next(call for call in result.calls if call.stage == "judge")
    text = chats(server, "judge")[-1].body["messages"][1]["content"]
    assert sorted("ABC", key=lambda label: text.index(f"<{label} ")) == shuffled("ABC", call.seed)
    assert f"<A {call.seed[:CODE]}>" in text
    assert call.reused is (sample == 0)  # the plain run's own call


def test_a_repair_is_asked_in_the_same_order(server: Server):
    first = fuse("Why?", **panel(server, "a", "b", "c"))
    server.reply("judge", Reply("No JSON."))

    judged(first, 3)

    one, other = (request.body["messages"][1]["content"] for request in chats(server, "judge")[-2:])
    assert one == other


def test_a_limit_for_which_the_judge_is_too_dear_stops_it_before_it_is_asked(server: Server):
    price = f'[prices."{at(server, "judge")[0]}"]\ninput = 1000.0\noutput = 1000.0\n'
    (folders.config_dir() / "fusion.toml").write_text(price, encoding="utf-8")
    first = fuse("Why?", **panel(server))
    request = judging(first, 1)
    new = New(server)

    with pytest.raises(SettingsError, match="expected to cost"):
        Running(replace(request, settings=request.settings.model_copy(update={"max_usd": 0.01}))).wait()

    assert new.models == []


def test_the_embedded_judge_reads_the_answers_in_the_samples_order():
    with scripted({"*": "None of it."}) as script:
        first = fuse("Why?", models=["a", "b", "c"], judge="smollm2@local")
        before = len(script.requests)

        result, _ = judged(first, 2)

    asked = [request for request in script.requests[before:] if request.stage == "judge"]
    call = next(call for call in result.calls if call.stage == "judge" and not call.reused)
    text = asked[0].messages[-1]["content"]
    assert shuffled("ABC", call.seed) != ["A", "B", "C"]
    assert sorted("ABC", key=lambda label: text.index(f"Answer {label}:")) == shuffled("ABC", call.seed)
