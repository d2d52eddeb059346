"""The accounts say what was spent, and where a part of it is not known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fusion_magic.results import Usage
from fusion_magic.store import CostLine, Place, Points, Store
from fusion_magic.store.accounts import MOST, By
from store.keeping import HERE, USAGE, kept


def book(store: Store, place: Place = HERE, *, made: datetime | None = None, run: str = "run1", **changes: Any) -> None:
    store.keep(kept(made=made, run=run, **changes), place, reusable=False)
    store.settled().result(30)


def test_costs_are_added_up_by_model_the_dearest_first(store: Store):
    book(store, model="cheap", cost=0.01)
    book(store, model="dear", cost=0.5)
    book(store, model="dear", cost=0.25, usage=None)

    assert store.costs("model") == [CostLine("dear", 2, 120, 0.75, 0, 0), CostLine("cheap", 1, 120, 0.01, 0, 0)]


def test_what_is_not_priced_and_what_is_not_reported_are_two_things(store: Store):
    book(store, cost=None)
    book(store, cost=None, usage=None)
    book(store, cost=0.5, unreported=1)
    book(store, cost=0.0, usage=None, model="local")

    assert store.costs("model") == [CostLine("vendor/a", 3, 240, 0.5, 1, 2), CostLine("local", 1, 0, 0.0, 0, 0)]


def test_a_name_of_which_no_call_is_priced_has_no_cost(store: Store):
    book(store, cost=None)

    assert store.costs("preset")[0].cost is None


def test_costs_by_day_begin_with_the_newest(store: Store):
    now = datetime.now(UTC)
    for days in (2, 0, 1):
        book(store, made=now - timedelta(days=days))

    days = [line.name for line in store.costs("day")]

    assert days == sorted(days, reverse=True)
    assert days[0] == now.astimezone().date().isoformat()


@pytest.mark.parametrize(("by", "names"), [("notebook", {"a.ipynb", ""}), ("preset", {"budget", ""})])
def test_costs_by_notebook_and_preset_have_a_line_for_none(store: Store, by: By, names: set[str]):
    book(store, Place("a.ipynb", "budget"))
    book(store, Place())

    assert {line.name for line in store.costs(by)} == names


def test_a_call_is_booked_on_the_day_of_this_machines_clock(store: Store):
    made = datetime(2026, 11, 22, 23, 59, 59, tzinfo=datetime.now().astimezone().tzinfo)
    book(store, made=made.astimezone(UTC), cost=0.5)

    assert store.spent(day=date(2026, 11, 22)) == 0.5
    assert store.spent(day=date(2026, 11, 23)) == 0.0


def test_what_was_spent_is_told_by_day_and_notebook(store: Store):
    today = datetime.now().astimezone().date()
    book(store, Place("a.ipynb"), cost=0.5)
    book(store, Place("b.ipynb"), cost=0.25)
    book(store, Place("a.ipynb"), cost=1.0, made=datetime.now(UTC) - timedelta(days=3))
    book(store, Place("a.ipynb"), cost=None)

    assert store.spent() == 1.75
    assert store.spent(day=today) == 0.75
    assert store.spent(notebook="a.ipynb") == 1.5
    assert store.spent(day=today, notebook="a.ipynb") == 0.5
    assert store.spent(notebook="") == 0.0


def test_in_an_empty_store_nothing_was_spent(store: Store):
    assert store.spent() == 0.0
    assert store.costs("day") == []
    assert store.experience("panel", "vendor/a") is None


# --- experience -------------------------------------------------------------------------------------


def test_experience_is_where_a_fifth_a_half_and_nine_tenths_lie_below(store: Store):
    for number in range(1, 11):
        usage = Usage(completion_tokens=100 * number)
        store.keep(kept(usage=usage, duration=float(number), run=f"run{number}"), HERE, reusable=True)
    store.settled().result(30)

    found = store.experience("panel", "vendor/a")

    assert found is not None
    assert found.n == 10
    assert found.tokens == Points(200, 500, 900)
    assert found.seconds == Points(2, 5, 9)
    assert found.steps == Points(1, 1, 1)


def test_steps_are_the_calls_of_a_seat_in_a_run(store: Store):
    for run, label, calls in (("run1", "A", 3), ("run1", "B", 1), ("run2", "A", 2)):
        for _ in range(calls):
            book(store, run=run, label=label)

    found = store.experience("panel", "vendor/a")

    assert found is not None
    assert found.n == 6
    assert found.steps == Points(1, 2, 3)


def test_experience_without_reported_tokens_has_none(store: Store):
    for _ in range(3):
        book(store, usage=None)

    found = store.experience("panel", "vendor/a")

    assert found is not None
    assert found.tokens is None


def test_hours_in_a_batch_teach_no_seconds_and_tokens_all_the_same(store: Store):
    for _ in range(3):
        book(store, batched=True, duration=7_200.0)
    waited = store.experience("panel", "vendor/a")
    for _ in range(3):
        book(store, duration=2.0)

    found = store.experience("panel", "vendor/a")

    assert waited is not None
    assert (waited.n, waited.seconds) == (3, None)
    assert waited.tokens == Points(*[float(USAGE.completion_tokens)] * 3)
    assert found is not None
    assert (found.n, found.seconds) == (6, Points(2, 2, 2))


def test_a_large_batch_does_not_push_out_what_seconds_are_known(store: Store):
    for _ in range(3):
        book(store, duration=2.0, made=datetime.now(UTC) - timedelta(days=1))
    for _ in range(MOST):
        store.keep(kept(batched=True, duration=7_200.0), HERE, reusable=False)
    store.settled().result(30)

    found = store.experience("panel", "vendor/a")

    assert found is not None
    assert (found.n, found.seconds) == (MOST, Points(2, 2, 2))


@pytest.mark.parametrize(
    "other",
    [
        {"stage": "judge"},
        {"model": "vendor/b"},
        {"error": "It broke.", "finish_reason": None},
        {"made": datetime.now(UTC) - timedelta(days=91)},
    ],
)
def test_other_stages_models_failures_and_old_calls_are_no_experience(store: Store, other: dict[str, Any]):
    book(store)
    book(store)
    book(store, **other)

    assert store.experience("panel", "vendor/a") is None
    book(store)
    found = store.experience("panel", "vendor/a")
    assert found is not None
    assert found.n == 3
    assert found.tokens == Points(*[float(USAGE.completion_tokens)] * 3)
