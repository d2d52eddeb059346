"""Calls in an endpoint's batches are found by their id until they have come back, or are pruned."""

from __future__ import annotations

from datetime import timedelta

from fusion_magic.store import Store


def test_a_call_is_found_with_its_file_and_then_with_its_batch(store: Store):
    store.keep_lines(["a", "b"], "file-1").result(30)
    before = store.lines(["a", "c"])
    store.name_batch("file-1", "batch_1").result(30)

    assert before == {"a": ("file-1", "")}
    assert store.lines(["a", "b"]) == dict.fromkeys("ab", ("file-1", "batch_1"))


def test_what_has_come_back_or_was_pruned_is_found_no_more(store: Store):
    store.keep_lines(["a", "b"], "file-1")
    store.drop_line("a").result(30)
    assert store.lines(["a", "b"]).keys() == {"b"}

    store.prune(timedelta(0))

    assert store.lines(["a", "b"]) == {}


def test_a_call_that_is_sent_again_is_in_the_later_file(store: Store):
    store.keep_lines(["a"], "file-1")
    store.name_batch("file-1", "batch_1")
    store.keep_lines(["a"], "file-2").result(30)

    assert store.lines(["a"]) == {"a": ("file-2", "")}
