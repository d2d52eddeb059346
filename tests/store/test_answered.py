"""A row that was answered is found by its key, for as long as its run is there."""

from __future__ import annotations

from datetime import timedelta

from fusion_magic.store import Store
from store.keeping import keep_run


def test_the_run_that_was_named_last_answers(store: Store):
    keep_run(store, "first")
    second = keep_run(store, "second", minutes=1)
    store.keep_answer("key", "first")
    store.keep_answer("key", "second").result(30)

    assert store.answered("key") == second
    assert store.answered("other") is None


def test_what_was_forgotten_or_pruned_answers_no_more(store: Store):
    keep_run(store, "one")
    keep_run(store, "two")
    store.keep_answer("1", "one")
    store.keep_answer("2", "two").result(30)

    store.forget("one")
    assert store.answered("1") is None
    assert store.answered("2") is not None

    store.prune(timedelta(0))
    assert store.answered("2") is None


def test_a_run_that_has_not_ended_answers_nothing(store: Store):
    store.keep_answer("key", "nowhere").result(30)

    assert store.answered("key") is None
