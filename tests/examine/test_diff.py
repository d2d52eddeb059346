"""What changed between two results: what differs is told once, and what says the same is no change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examine.auditing import FACTS, stating
from fusion_magic import fuse
from fusion_magic.examine.diff import diff
from pipeline.asking import at, panel
from servers.openrouter import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with stating() as running:
        yield running


def test_a_result_does_not_differ_from_itself(server: Server):
    first = fuse("What?", **panel(server))

    assert diff(first, first).changes == ()
    assert "nothing differs" in str(diff(first, first))


def test_a_dropped_seat_takes_its_model_its_finding_and_its_sentence_with_it(server: Server):
    first = fuse("What?", **panel(server, "a", "b", "c"))

    found = diff(first, first.drop("A"))

    told = [(change.what, change.change, change.before) for change in found.of("seat", "finding", "sentence")]
    assert told == [
        ("seat", "gone", at(server, "a")[0]),
        ("finding", "gone", FACTS["a"]),
        ("sentence", "gone", FACTS["a"]),
    ]


def test_an_added_seat_is_new_the_other_way_round(server: Server):
    first = fuse("What?", **panel(server, "a", "b", "c"))

    found = diff(first.drop("A"), first)

    assert {change.change for change in found.of("seat", "finding", "sentence")} == {"new"}


def test_settings_are_named_with_both_values(server: Server):
    first = fuse("What?", **panel(server))

    found = diff(first, first.rejudge(at(server, "other-judge")[0], rubric="Brevity."))

    assert [(change.name, change.before, change.after) for change in found.of("setting")] == [
        ("judge", at(server, "judge")[0], at(server, "other-judge")[0]),
        ("rubric", None, "Brevity."),
    ]


def test_another_prompt_and_another_cost_are_told(server: Server):
    found = diff(fuse("What?", **panel(server)), fuse("Who?", **panel(server, "a", "b", "c")))

    assert [(change.before, change.after) for change in found.of("prompt")] == [("What?", "Who?")]
    (cost,) = found.of("cost")
    assert (cost.before or "").startswith("$0.08")
    assert (cost.after or "").startswith("$0.10")


def test_a_seat_that_fails_in_one_is_not_the_same(server: Server):
    first = fuse("What?", **panel(server, "a", "b"))
    other = fuse("What?", **panel(server, "a", "nobody"))

    told = [(change.before, change.after) for change in diff(first, other).of("seat")]

    assert told == [(at(server, "b")[0], None), (None, at(server, "nobody")[0])]


def test_text_html_and_frame_tell_the_same(server: Server):
    pytest.importorskip("pandas")
    first = fuse("What?", **panel(server, "a", "b", "c"))
    found = diff(first, first.drop("B"))

    bundle = found._repr_mimebundle_()

    assert FACTS["b"] in bundle["text/html"]
    assert FACTS["b"] in bundle["text/plain"]
    assert list(found.frame["what"])[:3] == ["seat", "finding", "sentence"]
