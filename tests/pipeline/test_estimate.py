"""The estimate: every call of the plan with its tokens, cost and time, and never a price that nobody gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fusion_magic import Panelist
from fusion_magic.endpoints import builtin_endpoints
from fusion_magic.pipeline.estimate import ANALYSIS, ANSWER, RESEARCH, SPEED, WAIT, estimate_run
from fusion_magic.pipeline.given import Given, Turn
from fusion_magic.pipeline.kit import Kit
from fusion_magic.pipeline.spans import Span
from fusion_magic.pipeline.tokens import text_tokens
from fusion_magic.prices import SEARCH_FEE, Override, Price, cost_of
from fusion_magic.results import Analysis, FailedModel, Response, Usage
from fusion_magic.store import Experience
from fusion_magic.store.kept import Points
from fusion_magic.tools import Output, Tool
from pipeline.plans import PRICES, SEARCHED, brief, plan_of


def learned(n: int = 12, tokens: Points | None = None, steps: Points | None = None) -> Experience:
    return Experience(n, tokens or Points(100, 200, 300), Points(5, 6, 7), steps or Points(1, 1, 1))


async def nothing(arguments: Mapping[str, Any]) -> Output:
    return Output("")


LOOK = Kit(shared=(Tool("look", "Looks.", {"type": "object"}, nothing),))


def test_there_is_a_row_for_each_seat_the_judge_and_the_synthesizer():
    estimate = estimate_run(plan_of("cheap", "middle"), brief())

    assert [(row.stage, row.label, row.model) for row in estimate.rows] == [
        ("panel", "A", "cheap"),
        ("panel", "B", "middle"),
        ("judge", "", "dear"),
        ("synthesis", "", "dear"),
    ]


def test_a_seat_s_cost_is_its_messages_and_the_usual_answer_at_its_price():
    estimate = estimate_run(plan_of("cheap"), brief("x" * 4_000))

    (seat, *_) = estimate.rows
    assert seat.input_tokens.expected == pytest.approx(1_000, abs=10)
    assert tuple(seat.output_tokens) == tuple(ANSWER)
    assert seat.cost is not None
    assert seat.cost.high == pytest.approx(seat.input_tokens.high * 1e-6 + ANSWER.high * 2e-6)


def test_judge_and_synthesizer_read_what_the_seats_write():
    one, two = (estimate_run(plan_of(*["cheap"] * seats), brief()).rows for seats in (1, 2))

    for few, many in zip(one[-2:], two[-2:], strict=True):
        assert many.input_tokens.expected - few.input_tokens.expected == pytest.approx(ANSWER.expected, abs=60)
    assert one[-1].input_tokens.expected - one[-2].input_tokens.expected == pytest.approx(ANALYSIS.expected, abs=450)


def test_a_repair_of_the_judge_s_json_is_in_the_high_figure_only():
    judge = estimate_run(plan_of("cheap"), brief()).rows[1]

    assert tuple(judge.calls) == (1, 1, 2)
    assert judge.input_tokens.expected == judge.input_tokens.low + ANSWER.expected - ANSWER.low


def test_the_total_is_the_sum_of_the_rows():
    estimate = estimate_run(plan_of("cheap", "middle"), brief())

    costs = [row.cost for row in estimate.rows if row.cost]
    assert len(costs) == 4
    assert tuple(estimate.cost) == pytest.approx(tuple(sum(figures) for figures in zip(*costs, strict=True)))


def test_the_time_is_the_slowest_seat_and_then_the_others():
    estimate = estimate_run(plan_of("cheap", "middle"), brief(), history=lambda stage, model: learned())

    assert tuple(estimate.seconds) == (5 + 5 + 5, 6 + 6 + 6, 7 + 2 * 7 + 7)


def test_limits_of_tokens_bound_the_output():
    estimate = estimate_run(plan_of(Panelist(model="cheap", max_tokens=700), judge="cheap", max_tokens=900), brief())

    assert [row.output_tokens.high for row in estimate.rows] == [700, 1_800, 900]


@pytest.mark.parametrize("label", ["panel", "judge", "synthesis"])
def test_the_user_s_own_calls_go_before_general_figures(label: str):
    estimate = estimate_run(
        plan_of("cheap"), brief(), history=lambda stage, model: learned() if stage == label else None
    )

    (row,) = (row for row in estimate.rows if row.stage == label)
    assert (row.learned, row.output_tokens.expected, row.seconds.expected) == (12, 200, 6)
    assert {row.learned for row in estimate.rows if row.stage != label} == {0}


def test_calls_whose_tokens_nobody_reported_teach_times_alone():
    silent = Experience(5, None, Points(5, 6, 7), Points(1, 1, 1))

    seat = estimate_run(plan_of("cheap"), brief(), history=lambda stage, model: silent).rows[0]

    assert (seat.output_tokens.expected, seat.seconds.expected) == (ANSWER.expected, 6)


def test_calls_that_waited_in_batches_teach_tokens_alone():
    waited = Experience(5, Points(100, 200, 300), None, Points(1, 1, 1))

    seat = estimate_run(plan_of("cheap"), brief(), history=lambda stage, model: waited).rows[0]

    assert (seat.learned, seat.output_tokens.expected) == (5, 200)
    assert seat.seconds.expected == WAIT.expected + 200 / SPEED.expected


# --- tools ------------------------------------------------------------------------------------------


def test_each_step_with_tools_reads_all_that_came_before():
    seat = estimate_run(plan_of("cheap"), brief(kit=LOOK)).rows[0]

    assert tuple(seat.calls) == (1, 3, 5)
    assert seat.output_tokens.expected == RESEARCH.expected
    first = seat.input_tokens.low
    assert seat.input_tokens.expected == pytest.approx(3 * first + (1 + 2) * (4_000 + RESEARCH.expected / 3), abs=3)


def test_steps_end_with_the_run_s_limit():
    seat = estimate_run(plan_of("cheap", max_tool_calls=1), brief(kit=LOOK)).rows[0]

    assert tuple(seat.calls) == (1, 2, 2)


def test_steps_are_the_user_s_own_where_there_are_any():
    history = learned(steps=Points(2, 4, 5))

    seat = estimate_run(plan_of("cheap"), brief(kit=LOOK), history=lambda stage, model: history).rows[0]

    assert tuple(seat.calls) == (2, 4, 5)
    assert seat.output_tokens.expected == 4 * 200
    assert seat.seconds.expected == 4 * 6


def test_searches_of_the_server_are_one_call_with_a_fee_for_each_step():
    free = estimate_run(plan_of("free"), brief(kit=SEARCHED)).rows[0]

    assert tuple(free.calls) == (1, 1, 1)
    assert free.cost is not None
    assert tuple(free.cost) == pytest.approx((0, 2 * SEARCH_FEE, 4 * SEARCH_FEE))


def test_a_long_conversation_is_priced_step_by_step():
    tier = Price(1e-6, 0.0, overrides=(Override(5_000, prompt=1.0),))
    plan = plan_of("cheap")
    dearer = replace(plan, seats=(replace(plan.seats[0], price=tier),))

    seat = estimate_run(dearer, brief(kit=LOOK)).rows[0]

    assert seat.cost is not None
    assert seat.input_tokens.low < 5_000  # the first call's, which the base price is for
    assert seat.cost.expected == pytest.approx(seat.input_tokens.expected - seat.input_tokens.low, abs=1)


# --- prices that nobody knows, and what is free -----------------------------------------------------


def test_an_unknown_price_is_never_a_number():
    estimate = estimate_run(plan_of("cheap", "unknown", "unknown"), brief())

    assert [row.cost is None for row in estimate.rows] == [False, True, True, False, False]
    assert estimate.unpriced == ("unknown",)
    assert "at least" in str(estimate)
    assert "Not priced: unknown." in str(estimate)


def test_a_fallback_is_shown_and_not_in_the_total():
    spare = Panelist(model="cheap", fallback="dear")

    with_spare, without = estimate_run(plan_of(spare), brief()), estimate_run(plan_of("cheap"), brief())

    assert [row.model for row in with_spare.rows if row.fallback] == ["dear"]
    assert with_spare.cost == without.cost
    assert "if A fails" in str(with_spare)


def test_what_is_reused_is_free_and_takes_no_time():
    estimate = estimate_run(plan_of("cheap", "dear"), brief(), reused={("panel", "B")})

    assert [row.reused for row in estimate.rows] == [False, True, False, False]
    assert estimate.rows[1].cost == Span(0, 0, 0)
    assert estimate.rows[2].input_tokens.expected > 2 * ANSWER.expected


def test_what_was_handed_over_is_counted_as_it_is():
    said = Response(label="A", model="cheap", content="word " * 4_000)
    lost = FailedModel(label="B", model="cheap", error="Lost.")
    given = Given(responses=(said,), failed=(lost,), analysis=Analysis(consensus=("x" * 400,)))

    estimate = estimate_run(plan_of("cheap", "cheap"), brief(given=given))

    assert [row.reused for row in estimate.rows] == [True, True, True, False]
    assert estimate.rows[0].output_tokens.high == text_tokens(said.content)
    assert estimate.rows[1].output_tokens.high == 0
    assert estimate.cost == estimate.rows[3].cost
    assert estimate.rows[3].input_tokens.high == pytest.approx(text_tokens(said.content) + 100, abs=500)


def test_a_seat_that_is_asked_alone_has_neither_judge_nor_synthesizer():
    estimate = estimate_run(replace(plan_of("cheap"), alone=True), brief(given=Given(alone=True)))

    assert [row.stage for row in estimate.rows] == ["panel"]


def test_earlier_turns_are_read_by_everybody():
    turns = (Turn("a" * 2_000, "b" * 2_000),)

    first, later = estimate_run(plan_of("cheap"), brief()), estimate_run(plan_of("cheap"), brief(turns=turns))

    for before, after in zip(first.rows, later.rows, strict=True):
        assert after.input_tokens.expected >= before.input_tokens.expected + 1_000


# --- next to one model alone ------------------------------------------------------------------------


def test_the_dearest_model_alone_is_asked_as_a_seat_would_be():
    estimate = estimate_run(plan_of("cheap", "middle", judge="unknown", writer="dear"), brief("x" * 4_000))

    alone = estimate.dearest_alone
    assert alone is not None
    assert alone.model == "dear"
    usage = Usage(prompt_tokens=round(estimate.rows[0].input_tokens.expected), completion_tokens=1_500)
    assert alone.cost == cost_of(usage, PRICES["dear"])


def test_without_any_price_there_is_no_dearest_model():
    estimate = estimate_run(plan_of("unknown", judge="unknown", writer="unknown"), brief())

    assert estimate.dearest_alone is None


def test_the_embedded_model_is_free_and_says_so():
    endpoint = builtin_endpoints()["local"]
    plan = plan_of("free", judge="free", writer="free")
    tiny = [replace(chair, slug="smollm2", endpoint=endpoint) for chair in plan.chairs()]
    local = replace(plan, seats=(tiny[0],), judge=tiny[1], synthesizer=tiny[2])

    estimate = estimate_run(local, brief())

    assert tuple(estimate.cost) == (0, 0, 0)
    assert estimate.rows[1].calls.expected == 5
    said = [line.split().count("free") for line in str(estimate).splitlines()]
    assert said == [0, 2, 2, 2, 1]  # the model is called so too


def test_the_table_has_a_line_for_each_row_a_head_and_a_total():
    text = str(estimate_run(plan_of("cheap", "middle"), brief()))

    lines = text.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["model", "A", "B", "judge", "synthesizer", "total"]
    assert lines[6].startswith("The dearest of these models alone: dear, about $0.03")
    assert max(map(len, lines[:6])) <= 120
