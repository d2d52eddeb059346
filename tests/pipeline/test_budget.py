"""The budget: a run within its limit starts, never passes it, and keeps enough back to end with an answer."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fusion_magic import Panelist
from fusion_magic.errors import OverBudget, SettingsError
from fusion_magic.events import CallEnded, SeatAnswered, SeatFailed
from fusion_magic.pipeline.budget import Budget, Limit, limit_of
from fusion_magic.pipeline.estimate import CallEstimate, RunEstimate, estimate_run
from fusion_magic.pipeline.given import Given
from fusion_magic.pipeline.plan import Plan
from fusion_magic.prices import Price
from fusion_magic.results import Call, FailedModel, Response, Stage
from fusion_magic.settings import Panel, Settings
from pipeline.plans import PRICES, SEARCHED, brief, plan_of


def ended(stage: Stage, label: str = "", cost: float | None = 0.0, **more: Any) -> CallEnded:
    return CallEnded(Call(stage=stage, label=label, model="m", cost=cost, **more))


def answered(label: str, tokens: int = 100) -> SeatAnswered:
    return SeatAnswered(Response(label=label, model="m", content="abcd" * tokens))


def failed(label: str) -> SeatFailed:
    return SeatFailed(FailedModel(label=label, model="m", error="Lost."))


def budget_of(plan: Plan, dollars: float, **more: Any) -> tuple[Budget, RunEstimate]:
    estimate = estimate_run(plan, brief(**more))
    return Budget(Limit(dollars, "the limit max_usd"), estimate), estimate


def first(budget: Budget, estimate: RunEstimate, row: int, max_tokens: int = 16_000) -> int:
    """Admit a row's first call with the input that was estimated."""
    asked = estimate.rows[row]
    return budget.admit(asked.stage, asked.label, asked.price, round(asked.input_tokens.low), max_tokens)


# --- which limit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "panel", "limit"),
    [
        ({}, None, None),
        ({"max_usd": 2}, None, Limit(2, "the limit max_usd")),
        ({"max_usd": 2}, 1, Limit(1, "the panel's own limit max_usd")),
        ({"max_usd": 1}, 2, Limit(1, "the limit max_usd")),
        ({"max_usd": 2, "max_usd_day": 5}, None, Limit(1, "what is left of $5.00 for today (max_usd_day)")),
        ({"max_usd_notebook": 7}, None, Limit(0, "what is left of $7.00 for this notebook (max_usd_notebook)")),
    ],
)
def test_the_smallest_limit_is_in_force(settings: dict[str, Any], panel: float | None, limit: Limit | None):
    made: Any = {"models": ["a"], "max_usd": panel}

    assert limit_of(Settings(**settings), Panel(**made), today=4, notebook=9) == limit


# --- before the first call --------------------------------------------------------------------------


def test_a_run_that_is_expected_to_cost_more_does_not_start():
    budget, estimate = budget_of(plan_of("cheap"), 0.01)

    with pytest.raises(SettingsError) as refused:
        budget.check_start()

    assert str(refused.value) == (
        f"The run is expected to cost ${estimate.cost.expected:.4f}, more than $0.0100, the limit max_usd; "
        "raise it, or choose cheaper models (--dry-run shows what each costs)."
    )


def test_a_run_at_the_limit_starts():
    plan = plan_of("cheap")

    budget, _ = budget_of(plan, budget_of(plan, 1)[1].cost.expected)

    budget.check_start()

    assert not budget.is_limited


@pytest.mark.parametrize("seat", ["unknown", Panelist(model="cheap", fallback="unknown")])
def test_a_model_without_a_price_is_refused_under_a_limit(seat: str | Panelist):
    budget, _ = budget_of(plan_of(seat), 100)

    with pytest.raises(
        SettingsError, match=r"^Not priced: unknown; so \$100\.00, the limit max_usd, .*--allow-unpriced"
    ):
        budget.check_start()

    budget.check_start(allow_unpriced=True)


def test_without_a_limit_everything_passes():
    budget = Budget(None, estimate_run(plan_of("unknown"), brief()))

    budget.check_start()

    assert budget.admit("panel", "A", PRICES["dear"], 10**6, 16_000) == 16_000


# --- while it runs ----------------------------------------------------------------------------------


def test_a_seat_gets_its_share_of_what_judge_and_synthesizer_leave():
    plan = plan_of("cheap", "cheap")
    estimate = estimate_run(plan, brief())
    budget = Budget(Limit(estimate.cost.expected * 1.5, "the limit max_usd"), estimate)

    tokens = [first(budget, estimate, row) for row in (0, 1)]

    assert 1_500 < tokens[0] < 16_000
    assert tokens[0] == pytest.approx(tokens[1], abs=2)
    held = sum(n * (2e-6 + 2 * 5e-6) for n in tokens)
    readers = sum(row.cost.expected - 3_000 * 5e-6 for row in estimate.rows[2:] if row.cost)
    inputs = sum(row.input_tokens.expected * 1e-6 for row in estimate.rows[:2])
    assert held + readers + inputs == pytest.approx(estimate.cost.expected * 1.5, abs=1e-4)


def test_a_prompt_that_may_be_written_to_a_cache_is_held_at_that_price():
    budget, estimate = budget_of(plan_of("cheap", judge="free", writer="free"), 0.02)
    plain = budget.admit("panel", "A", PRICES["cheap"], 4_000, 16_000)
    budget, _ = budget_of(plan_of("cheap", judge="free", writer="free"), 0.02)

    dearer = budget.admit("panel", "A", replace(PRICES["cheap"], input_cache_write=1.25e-6), 4_000, 16_000)

    assert estimate.rows[0].price == PRICES["cheap"]
    assert plain - dearer == pytest.approx(4_000 * 0.25e-6 / 2e-6, abs=2)


def test_a_dear_seat_gets_a_larger_share():
    plan = plan_of("cheap", "dear", judge="free", writer="free")
    budget, estimate = budget_of(plan, 0.06)

    cheap, dear = (first(budget, estimate, row) for row in (0, 1))

    assert cheap * 2e-6 == pytest.approx(0.06 * 2 / 27, rel=0.1)
    assert dear * 2.5e-5 == pytest.approx(0.06 * 25 / 27, rel=0.1)


def test_what_a_seat_did_not_use_is_there_for_the_others():
    budget, estimate = budget_of(plan_of("dear", "dear"), 0.25)
    before = first(budget, estimate, 0)
    budget.take(ended("panel", "A", 0.001))
    budget.take(answered("A", 10))

    after = first(budget, estimate, 1)

    assert after > before * 1.5


def test_a_lost_seat_leaves_its_share():
    budget, estimate = budget_of(plan_of("dear", "dear"), 0.25)
    budget.take(failed("A"))

    alone = first(budget, estimate, 1)

    assert alone > 1.5 * first(budget_of(plan_of("dear", "dear"), 0.25)[0], estimate, 1)


def test_a_call_that_would_be_too_short_is_not_sent():
    budget, estimate = budget_of(plan_of("dear", "dear"), 0.25)
    first(budget, estimate, 0)
    budget.take(ended("panel", "A", 0.15))
    budget.take(answered("A"))

    with pytest.raises(
        OverBudget, match=r"^Of \$0\.2500, the limit max_usd, \$0\.\d+ is left for this call, which needs"
    ):
        first(budget, estimate, 1)

    assert budget.is_limited


def test_a_refused_attempt_is_let_go():
    budget, estimate = budget_of(plan_of("dear"), 0.2)
    once = first(budget, estimate, 0)

    budget.release("panel", "A")

    assert first(budget, estimate, 0) == once


def test_an_attempt_that_reported_nothing_is_held_at_its_worst():
    budget, estimate = budget_of(plan_of("cheap", judge="free", writer="free"), 0.1)
    first(budget, estimate, 0)

    first(budget, estimate, 0, max_tokens=1_000)
    budget.take(ended("panel", "A", 0.001, unreported=1))

    assert budget.spent == pytest.approx(0.001 + 16_000 * 2e-6, abs=1e-4)


@pytest.mark.parametrize(
    ("more", "spent"),
    [
        ({"cost": 0.02}, 0.02),
        ({"cost": 0.02, "error": "Filtered."}, 0.02),
        ({"cost": None}, 0.032),
        ({"cost": None, "error": "Broken.", "unreported": 1}, 0.032),
        ({"cost": 0.0, "error": "Refused."}, 0.0),
        ({"cost": 0.0, "reused": True, "saved": 0.5}, 0.0),
    ],
)
def test_a_call_is_booked_at_what_it_cost_or_may_have_cost(more: dict[str, Any], spent: float):
    budget, estimate = budget_of(plan_of("cheap", judge="free", writer="free"), 0.1)
    first(budget, estimate, 0)

    budget.take(ended("panel", "A", **more))

    assert budget.spent == pytest.approx(spent, abs=1e-4)


def test_an_answer_cut_short_by_the_limit_says_so():
    budget, estimate = budget_of(plan_of("dear"), 0.2)
    first(budget, estimate, 0)

    budget.take(ended("panel", "A", 0.01, finish_reason="length"))

    assert budget.is_limited


def test_an_answer_cut_short_by_its_own_limit_is_not_the_budget_s():
    budget, estimate = budget_of(plan_of("dear"), 1.0)
    assert first(budget, estimate, 0, max_tokens=2_000) == 2_000

    budget.take(ended("panel", "A", 0.01, finish_reason="length"))

    assert not budget.is_limited


def test_free_and_unpriced_models_are_not_limited():
    budget, estimate = budget_of(plan_of("free", "unknown", judge="free", writer="free"), 0.000001)

    assert [first(budget, estimate, row) for row in range(4)] == [16_000] * 4


def test_a_call_with_tools_of_the_server_holds_its_whole_share():
    left: list[int] = []
    for has_server_tools in (False, True):
        budget, estimate = budget_of(plan_of("cheap", "cheap"), 0.8, kit=SEARCHED)
        one, two = estimate.rows[:2]
        budget.admit("panel", "A", one.price, 100, 4_000, has_server_tools=has_server_tools)
        left.append(budget.admit("panel", "B", two.price, 100, 10**9))

    assert left[1] < left[0] * 0.75


def test_responses_that_were_handed_over_are_read_and_not_asked():
    given = Given(responses=(answered("A", 20_000).response,))
    plan = plan_of("dear", "dear")
    budget, estimate = budget_of(plan, 0.6, given=given)
    budget.take(answered("A", 20_000))

    tokens = first(budget, estimate, 1)

    readers = sum(row.cost.expected - 1_500 * 5e-6 for row in estimate.rows[2:] if row.cost)
    left = 0.6 - readers - estimate.rows[1].input_tokens.expected * 5e-6
    assert tokens == pytest.approx(left / (2.5e-5 + 2 * 5e-6), rel=0.01)


# --- any run ----------------------------------------------------------------------------------------


@dataclass
class Server:
    """Bills what it is asked, and answers, fails or says nothing of its bill as chance has it."""

    chance: random.Random
    budget: Budget
    billed: float = 0.0
    answers: dict[str, int] = field(default_factory=dict[str, int])

    def seat(self, row: CallEstimate) -> Iterator[None]:
        """One to three calls of a seat; stops at each moment at which other seats may go on."""
        label, written = row.label, 0
        try:
            for step in range(1, self.chance.randint(2, 4)):
                written = yield from self.call(label, row.price, step * round(row.input_tokens.expected))
                yield
        except OverBudget:
            written = 0
        if written:
            self.answers[label] = written
        self.budget.take(answered(label, written) if written else failed(label))

    def call(self, label: str, price: Price, tokens: int) -> Generator[None, None, int]:
        """A call with its retries; returns the tokens of its answer, 0 if it came to nothing."""
        unreported = 0
        try:
            for _ in range(3):
                most = self.budget.admit("panel", label, price, tokens, 16_000)
                yield
                written = self.chance.randint(1, max(1, most))
                end = self.chance.choice(["well", "well", "well", "refused", "broken"])
                bill = tokens * (price.prompt or 0) + written * (price.completion or 0) if end != "refused" else 0.0
                self.billed += bill
                if end == "well":
                    self.budget.take(ended("panel", label, bill, unreported=unreported))
                    return written
                if end == "refused":
                    self.budget.release("panel", label)
                unreported += end == "broken"
        except OverBudget:
            self.budget.take(ended("panel", label, None, unreported=unreported, error="Over budget."))
            raise
        self.budget.take(ended("panel", label, None if unreported else 0.0, unreported=unreported, error="Lost."))
        return 0


@pytest.mark.parametrize("seed", range(100))
def test_no_run_passes_its_limit_and_what_was_answered_can_be_judged(seed: int):
    chance = random.Random(seed)
    models = chance.choices(["cheap", "middle", "dear", "free"], k=chance.randint(1, 8))
    plan = plan_of(*models, judge=chance.choice(["cheap", "dear"]), writer=chance.choice(["cheap", "dear"]))
    estimate = estimate_run(plan, brief("x" * chance.randint(1, 40_000)))
    limit = estimate.cost.expected * chance.uniform(1, 4)
    budget = Budget(Limit(limit, "the limit max_usd"), estimate)
    server = Server(chance, budget)
    budget.check_start()
    *seats, judge, writer = estimate.rows

    _interleaved([server.seat(row) for row in seats], chance)
    longer = sum(server.answers.values()) - sum(seat.output_tokens.expected for seat in seats)
    may_judge = _may(budget, judge, longer)
    may_write = _may(budget, writer, longer)

    assert server.billed <= limit * (1 + 1e-9)
    assert budget.spent >= server.billed * (1 - 1e-9)
    assert (may_judge, may_write) == (True, True)


def _interleaved(going: list[Iterator[None]], chance: random.Random) -> None:
    while going:
        one = chance.choice(going)
        if next(one, "over") == "over":
            going.remove(one)


def _may(budget: Budget, row: CallEstimate, longer: float) -> bool:
    """Whether the call would be sent, with responses so much longer than expected; it then writes what it may."""
    read = round(row.input_tokens.expected + longer)
    try:
        written = budget.admit(row.stage, "", row.price, read, 16_000)
    except OverBudget:
        return False
    expected = min(written, row.output_tokens.expected)
    budget.take(ended(row.stage, "", read * (row.price.prompt or 0) + expected * (row.price.completion or 0)))
    return True
