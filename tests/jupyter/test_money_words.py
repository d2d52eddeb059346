"""What a result says of money: what was reused, what each seat cost, and what of the total nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fusion_magic.jupyter.static import bundle
from fusion_magic.jupyter.static.money import age, reused_line, unknown
from fusion_magic.jupyter.static.words import seat_line, totals
from fusion_magic.results import Call, Usage

from .samples import call, response, result

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)  # of the sample result


def reused(stage: str = "panel", minutes: float = 12, saved: float | None = 0.02, **more: object) -> Call:
    given = {"reused": True, "cost": 0.0, "saved": saved, "made": BEGUN - timedelta(minutes=minutes)}
    return call(stage, **(given | more))


def first_lines(**parts: object) -> list[str]:
    """The first line of each form; HTML begins with it as a notice."""
    shown = bundle(result(**parts), record=False)
    html = shown["text/html"].partition("</p>")[0].rpartition(">")[2]
    return [html, shown["text/markdown"].splitlines()[0].removeprefix("> "), shown["text/plain"].splitlines()[0]]


# --- the first line ---------------------------------------------------------------------------------


def test_a_result_that_was_reused_says_so_on_its_first_line_in_every_form() -> None:
    calls = (*(reused() for _ in range(3)), reused("judge", saved=0.03), reused("synthesis"))

    assert set(first_lines(calls=calls)) == {
        "Reused 5 of 5 calls from 12 minutes ago, $0, saved $0.1100; --fresh asks again."
    }


def test_a_result_that_was_asked_anew_says_nothing_of_reuse() -> None:
    assert reused_line(result()) == ""
    assert all("Reused" not in line for line in first_lines())


@pytest.mark.parametrize(
    ("calls", "line"),
    [
        (
            [reused(), reused(), call("judge", cost=0.01), call("synthesis", cost=0.02)],
            "Reused 2 of 4 calls from 12 minutes ago, $0.0300, saved $0.0400; --fresh asks again.",
        ),
        (
            [reused(minutes=12), reused(minutes=60 * 50)],
            "Reused 2 of 2 calls from up to 2 days ago, $0, saved $0.0400; --fresh asks again.",
        ),
        (
            [reused(), reused(saved=None)],
            "Reused 2 of 2 calls from 12 minutes ago, $0, saved at least $0.0200; --fresh asks again.",
        ),
        ([reused(saved=None)], "Reused 1 of 1 call from 12 minutes ago, $0; --fresh asks again."),
        ([reused(saved=0.0)], "Reused 1 of 1 call from 12 minutes ago, $0; --fresh asks again."),
        ([reused(made=None)], "Reused 1 of 1 call, $0, saved $0.0200; --fresh asks again."),
        (
            [reused(), call(cost=None)],
            "Reused 1 of 2 calls from 12 minutes ago, at least $0, saved $0.0200; --fresh asks again.",
        ),
    ],
    ids=["some", "of several ages", "partly unknown", "unknown", "free", "of no date", "with an unpriced one"],
)
def test_the_line_tells_how_many_how_old_and_what_was_saved(calls: list[Call], line: str) -> None:
    assert reused_line(result(calls=tuple(calls))) == line


def test_a_result_made_from_another_names_no_flag_that_would_not_help() -> None:
    made = result(calls=(reused(), call("judge")), parent="0123456789ab")

    assert reused_line(made) == "Reused 1 of 2 calls from 12 minutes ago, $0.0010, saved $0.0200."


def test_a_clock_that_was_set_back_and_a_time_without_a_zone_do_not_break_the_line() -> None:
    made = result(calls=(reused(minutes=-5), reused(made=datetime(2025, 12, 31, 23, 59, 59))))

    assert "from 1 second ago" in reused_line(made)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (7199, "1 hour"), (86_400 * 40, "40 days")],
)
def test_an_age_is_told_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


# --- seats and totals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "calls", "line"),
    [
        ({"cost": 0.0123}, [], "7 tokens · $0.0123"),
        ({"cost": None}, [], "7 tokens · not priced"),
        ({"cost": None, "usage": None}, [], "tokens and cost not reported"),
        ({"cost": 0.0, "usage": None}, [], "tokens not reported · $0"),
        ({"cost": 0.0}, [reused(label="A")], "7 tokens · reused, saved $0.0200"),
        ({"cost": 0.0}, [reused(label="A", saved=0.0)], "7 tokens · reused, $0"),
        ({"cost": 0.01}, [reused(label="A"), call(label="A", cost=0.01)], "7 tokens · $0.0100"),
        ({"cost": None}, [call(label="A", cost=0.01), call(label="A", cost=None)], "7 tokens · at least $0.0100"),
        ({"cost": 0.01}, [call(label="A", cost=0.01, unreported=1)], "7 tokens · at least $0.0100"),
        ({"cost": None}, [call(label="A", cost=None)], "7 tokens · not priced"),
        ({"cost": 0.01}, [call(label="B", cost=None)], "7 tokens · $0.0100"),
        ({"cost": 0.01}, [call("judge", cost=None)], "7 tokens · $0.0100"),
    ],
)
def test_a_seat_says_what_it_cost_or_why_that_is_not_known(
    given: dict[str, object], calls: list[Call], line: str
) -> None:
    seat = response("A").model_copy(update=given)

    assert seat_line(result(responses=(seat,), calls=tuple(calls)), seat).endswith(f"1.5 s · {line}")


def test_totals_name_reused_calls_and_what_they_do_not_hold() -> None:
    lost = call(cost=None, usage=None, unreported=1)
    cut = call(cost=0.01, usage=Usage(prompt_tokens=1), unreported=1)

    told = totals(result(calls=(reused(), call(cost=0.02), call(cost=None), lost, cut)))

    assert told.startswith("5 calls (1 reused) · ")
    assert "at least $0.0300 · 1 call not reported · 1 failed attempt not reported · 1 call not priced" in told


def test_totals_of_a_run_whose_cost_is_known_name_nothing_unknown() -> None:
    free = call(cost=0.0, usage=None)

    assert unknown(result(calls=(free, call()))) == []


@pytest.mark.parametrize("form", ["text/html", "text/markdown", "text/plain"])
def test_a_run_that_its_budget_stopped_says_so_with_the_reason(form: str) -> None:
    shown = bundle(result(status="limited", error="Seat B was not asked: $0.01 is left."))

    assert "Limited by budget. Seat B was not asked: $0.01 is left." in shown[form]
