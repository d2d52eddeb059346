"""Writes are kept in their order, whoever waits for them, and never fail the one who asked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from fusion_magic.events import CallEnded
from fusion_magic.store import Store, writer
from store.keeping import HERE, USAGE, alter, call, keep_run, kept, one_seat, started


def test_a_write_is_kept_although_who_waited_was_cancelled(store: Store):
    futures: list[Future[None]] = [store.keep(kept(str(number)), HERE, reusable=True) for number in range(50)]
    for future in futures:
        future.cancel()
    store.settled().result(30)

    assert alter(store, "SELECT count(*) FROM calls") == [(50,)]


def test_who_gives_up_waiting_changes_nothing_of_what_is_kept_and_found(store: Store):
    store.begin(started("abc"), HERE, None).result(30)
    store.note("abc", CallEnded(call())).cancel()
    store.note("abc", CallEnded(call()))
    store.keep(kept("one"), HERE, reusable=True).cancel()

    assert store.find("one") is not None
    assert len(store.load("abc").calls) == 2


def test_writes_are_in_the_order_in_which_they_were_asked_for(store: Store):
    for number in range(200):
        store.keep(kept(str(number)), HERE, reusable=True)
    store.settled().result(30)

    assert alter(store, "SELECT key FROM calls ORDER BY number") == [(str(number),) for number in range(200)]


def test_threads_may_write_and_read_at_once(store: Store):
    missing: list[str] = []

    def use(name: str) -> None:
        for number in range(30):
            store.keep(kept(f"{name} {number}"), HERE, reusable=True).result(30)
            if store.find(f"{name} {number}") is None:
                missing.append(f"{name} {number}")

    threads = [threading.Thread(target=use, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert missing == []
    assert store.size().calls == 180
    assert store.problem is None


def test_a_list_has_what_was_written_before_it(store: Store):
    store.begin(started("abc"), HERE, None)
    store.keep(kept(cost=0.5), HERE, reusable=True)

    assert store.spent() == 0.5
    assert store.history()[0].id == "abc"


def test_the_file_is_opened_again_after_it_was_let_go(store: Store):
    store.keep(kept("first"), HERE, reusable=True).result(30)
    store._writer.let_go()

    store.keep(kept("second"), HERE, reusable=True).result(30)

    assert store.find("first") is not None
    assert store.find("second") is not None
    assert store.problem is None


def test_a_thread_that_has_gone_to_rest_is_woken_by_the_next_write(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "ROUNDS", 1)
    store.keep(kept("first"), HERE, reusable=True).result(30)
    while not store._writer._is_idle:
        time.sleep(0.001)

    store.keep(kept("second"), HERE, reusable=True).result(30)

    assert store._writer._db
    assert alter(store, "SELECT key FROM calls ORDER BY number") == [("first",), ("second",)]


def test_writes_that_nobody_waits_for_share_a_transaction(store: Store):
    said: list[str] = []
    store.begin(started("abc"), HERE, None).result(30)
    assert store._writer._db
    store._writer._db.set_trace_callback(said.append)

    for number in range(20):
        store.keep(kept(str(number)), HERE, reusable=True)
    store.settled().result(30)

    assert [sql for sql in said if sql == "COMMIT"] == ["COMMIT"]


def test_what_is_still_to_be_written_is_found_by_who_looks_for_it(store: Store):
    result = keep_run(store, "abc")
    for number in range(20):
        store.keep(kept(str(number)), HERE, reusable=True)
        assert store.find(str(number)) is not None
        store.disown(str(number))
        assert store.find(str(number)) is None
        store.keep_answer(f"row {number}", "abc")
        assert store.answered(f"row {number}") == result


def test_events_that_follow_each_other_are_written_together(store: Store):
    *events, _ = one_seat(started("abc"))
    store.begin(started("abc"), HERE, None)
    for _ in range(20):
        for event in events:
            store.note("abc", event)
    store.settled().result(30)

    assert alter(store, "SELECT count(*) FROM events") == [(2,)]
    assert len(store.load("abc").calls) == 20


def test_notes_that_could_not_be_written_do_not_hold_back_later_ones(store: Store):
    store.begin(started("abc"), HERE, None).result(30)
    store._writer._is_down = True  # as after a full disk
    store.note("abc", CallEnded(call())).result(30)
    store.begin(started("abc"), HERE, None).result(30)
    store.note("abc", CallEnded(call())).result(30)

    assert len(store.load("abc").calls) == 1


def test_a_value_that_can_t_be_written_costs_its_own_call_only(store: Store):
    store.begin(started("abc"), HERE, None).result(30)
    store.keep(kept("before"), HERE, reusable=True)
    store.keep(kept("odd", usage=USAGE.model_copy(update={"prompt_tokens": -(10**30)})), HERE, reusable=True)
    store.keep(kept("after"), HERE, reusable=True)
    store.settled().result(30)

    assert [bool(store.find(key)) for key in ("before", "odd", "after")] == [True, False, True]
    assert store.problem is not None
