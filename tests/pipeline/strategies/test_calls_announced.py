"""Every strategy makes the calls that it announced, tells its whole story, and pays for nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fusion_magic import FusionResult, estimate, fold, fuse
from fusion_magic.events import RunStarted, Told
from fusion_magic.pipeline.estimate import RunEstimate
from fusion_magic.pipeline.strategies import strategy_named
from fusion_magic.settings import Settings, StrategyName
from fusion_magic.store.bodies import events_body, events_from
from fusion_magic.votes import Ballot, Change, Counted, Decision, Vote
from pipeline.asking import chats, panel, record
from pipeline.plans import plan_of
from pipeline.strategies.ensembles import CASES, Case, name, play
from servers.openrouter import Server

each = pytest.mark.parametrize("case", CASES, ids=name)


def settings_of(server: Server, case: Case) -> dict[str, Any]:
    play(server, full=case.full)
    return {**panel(server, "a", "b", "c"), "strategy": case.name, **case.settings}


@each
def test_it_makes_as_many_calls_as_it_announces_and_no_other(server: Server, case: Case):
    settings = settings_of(server, case)
    before: RunEstimate = estimate("Why?", **settings)

    told = record("Why?", **settings)

    assert before.count is not None
    assert len(chats(server)) == len(told.kept.calls) == case.calls
    assert before.count.least <= case.calls <= before.count.most
    planned = told.of(RunStarted)[0].plan
    asked = Counter((call.stage, call.label, call.model) for call in told.kept.calls)
    assert asked <= Counter((call.stage, call.label, call.model) for call in planned)
    assert asked >= Counter((call.stage, call.label, call.model) for call in planned if not call.maybe)
    assert (told.kept.status, told.kept.error) == ("ok", None)
    assert told.kept.answer


@each
def test_every_prefix_of_its_log_folds_to_a_result_and_the_whole_to_the_run_s(server: Server, case: Case):
    told = record("Why?", **settings_of(server, case))

    for end in range(1, len(told.events)):
        assert FusionResult.model_validate_json(fold(told.events[:end]).model_dump_json())
    assert fold(told.events) == told.kept
    assert FusionResult.model_validate_json(told.kept.model_dump_json()) == told.kept


@each
def test_asked_again_it_pays_for_nothing_and_says_the_same(server: Server, case: Case):
    settings = settings_of(server, case)
    first = fuse("Why?", **settings)
    paid = len(chats(server))

    before, again = estimate("Why?", **settings), fuse("Why?", **settings)

    assert len(chats(server)) == paid
    assert all(call.reused for call in again.calls)
    kept = ("answer", "responses", "earlier", "votes", "ballots", "changes", "decision")
    for field in kept[3:]:
        assert getattr(again, field) == getattr(first, field)
    assert [each.content for each in again.earlier] == [each.content for each in first.earlier]
    assert again.answer == first.answer
    assert [row for row in before.planned if not row.reused and not row.maybe] == []


@each
def test_the_estimate_prices_every_call_of_the_plan(server: Server, case: Case):
    found = estimate("Why?", **settings_of(server, case))

    assert [(row.stage, row.label, row.round) for row in found.rows]
    assert all(row.input_tokens.expected > 0 and row.output_tokens.expected > 0 for row in found.rows)
    total = str(found).splitlines()[len(found.rows) + 1].split()
    assert total[:2] == ["total", "–".join(map(str, sorted({*(found.count or ())})))]


def test_every_strategy_that_can_be_chosen_is_there_with_what_it_costs_and_what_is_known():
    from typing import get_args

    names = get_args(StrategyName)
    assert set(names) == set(Settings.model_fields["strategy"].annotation.__args__)  # type: ignore[union-attr]
    assert [strategy_named(name).name for name in names] == list(names)
    for made in map(strategy_named, names):
        assert made.does.endswith(".")
        assert "call" in made.cost
        assert made.evidence
        assert any(finding.speaks == "against" for finding in made.evidence)
        assert all(finding.source and finding.finding.endswith((".", "first.")) for finding in made.evidence)


@pytest.mark.parametrize(
    ("strategy", "settings", "words"),
    [
        ("fusion", {}, "5 to 6 calls"),
        ("vote", {}, "3 calls"),
        ("moa", {"rounds": 3}, "10 calls"),
        ("debate", {"rounds": 2}, "8 to 9 calls"),
        ("rank", {}, "7 calls"),
        ("scout", {}, "2 to 6 calls"),
        ("guide", {}, "5 to 6 calls"),
        ("auto", {}, "1 to 7 calls"),
        ("vote", {"tools": "web"}, "3 to 15 calls"),
    ],
)
def test_the_number_of_calls_is_announced_exactly_or_between_two(strategy: Any, settings: dict[str, Any], words: str):
    from dataclasses import replace

    plan = plan_of("cheap", "middle", "dear", strategy=strategy, **settings)
    plan = replace(plan, strategy=strategy_named(strategy))

    assert str(strategy_named(strategy).calls(plan)) == words


@pytest.mark.parametrize(
    "what",
    [
        Vote(label="A", choice="red", weight=0.9, confidence=0.9),
        Vote(label="A", choice=None, weight=0.0),
        Ballot(label="A", ranking=("B", "C")),
        Change(label="A", round=2, changed=None),
        Decision(asked=True, reason="They disagree.", agreement=0.1, threshold=0.6),
    ],
)
def test_what_was_counted_survives_a_crash_in_the_journal(what: Counted):
    assert events_from(events_body([Told(what)])) == [Told(what)]


def test_the_recipe_of_a_strategy_asks_the_same_again(server: Server):
    play(server)
    result = fuse("Why?", **panel(server, "a", "b", "c"), strategy="rank")

    recipe = result.recipe()

    assert "--strategy=rank" in recipe.line
    assert "# ballot of A: a@" in recipe.script
