"""Another judge, synthesizer or seat: what was answered is not asked or paid for again, with a store or without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from again import EIGHT, New, answering, rebuilt
from fusion_magic import FusionResult, Panelist, fuse, verbs
from fusion_magic.errors import PanelFailed, SettingsError
from fusion_magic.results import Call
from pipeline.asking import at, panel, sent
from servers.openrouter import Fault, Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as running:
        yield running


# --- rejudge


@pytest.mark.parametrize("store", [True, False])
def test_rejudging_eight_seats_asks_the_judge_and_the_synthesizer_alone(server: Server, store: bool):
    first = rebuilt(fuse("Why?", **panel(server, *EIGHT), store=store))
    new = New(server)

    again = first.rejudge(at(server, "other-judge")[0])

    assert new.models == ["other-judge", "writer"]
    assert again.parent == first.id
    assert [seat.content for seat in again.responses] == [seat.content for seat in first.responses]
    assert [call.reused for call in again.calls] == [True] * 8 + [False] * 2
    assert again.settings["panel"]["judge"]["model"] == at(server, "other-judge")[0]
    assert again.settings["panel"]["synthesizer"] == first.settings["panel"]["synthesizer"]


def test_a_rubric_is_told_to_the_judge(server: Server):
    again = fuse("Why?", **panel(server)).rejudge(rubric="Brevity.")

    assert "Weigh above all: Brevity." in sent(server, "judge")
    assert again.settings["rubric"] == "Brevity."


def test_to_rejudge_without_a_change_asks_the_judge_afresh(server: Server):
    first = fuse("Why?", **panel(server))
    new = New(server)

    first.rejudge()

    assert new.models == ["judge"]  # the same analysis: the synthesizer's call is in the store


def test_what_is_taken_over_costs_nothing_and_says_what_was_saved(server: Server, capsys: pytest.CaptureFixture[str]):
    for name in ("a", "b"):
        server.reply(name, Reply("Answer.", cost=0.055))
    first = fuse("Why?", **panel(server))

    again = first.rejudge(rubric="Brevity.")

    seats = [call for call in again.calls if call.stage == "panel"]
    asked = [call for call in again.calls if call.stage != "panel"]
    assert [(call.cost, call.saved) for call in seats] == [(0.0, 0.055)] * 2
    assert again.cost == sum(call.cost or 0.0 for call in asked)
    assert capsys.readouterr().out == "2 of 4 answers were kept, saved $0.1100; asked: the judge, the synthesizer.\n"


def test_a_seat_that_failed_is_not_asked_by_a_new_judge(server: Server):
    server.reply("b", Fault(401))
    first = fuse("Why?", **panel(server))
    new = New(server)

    again = first.rejudge(rubric="Brevity.")

    assert new.models == ["judge", "writer"]
    assert again.failed_models == first.failed_models


def test_the_answer_is_still_of_the_schema(server: Server):
    class Colour(BaseModel):
        name: str

    server.reply("writer", Reply('{"name": "blue"}'))
    first = fuse("Which?", schema=Colour, **panel(server))

    assert first.rejudge(rubric="Brevity.").parsed == Colour(name="blue")


def test_seats_are_not_changed_in_passing(server: Server):
    with pytest.raises(SettingsError, match=r"add\(\) and drop\(\) change them"):
        fuse("Why?", **panel(server)).rejudge(models=["x"])


def test_an_unknown_setting_is_named(server: Server):
    with pytest.raises(SettingsError, match=r'no setting "rubrik"; did you mean "rubric"\?'):
        fuse("Why?", **panel(server)).rejudge(rubrik="Brevity.")


def test_a_key_in_a_rubric_is_sent_to_nobody(server: Server, monkeypatch: pytest.MonkeyPatch):
    first = fuse("Why?", **panel(server))
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-of-a-test")

    with pytest.raises(SettingsError, match="holds the key in OPENROUTER_API_KEY"):
        first.rejudge(rubric="Weigh sk-of-a-test")


def test_nothing_can_be_judged_where_nobody_answered(server: Server):
    server.reply("*", Fault(401))
    with pytest.raises(PanelFailed) as failed:
        fuse("Why?", **panel(server, "x1", "x2"))
    assert failed.value.result

    with pytest.raises(SettingsError, match="No seat has answered"):
        failed.value.result.rejudge()


# --- resynthesize


@pytest.mark.parametrize("store", [True, False])
def test_resynthesizing_asks_the_synthesizer_alone_and_keeps_the_analysis(server: Server, store: bool):
    first = rebuilt(fuse("Why?", **panel(server), store=store))
    new = New(server)

    again = first.resynthesize(at(server, "author")[0])

    assert new.models == ["author"]
    assert again.analysis == first.analysis
    assert [call.stage for call in again.calls if call.reused] == ["panel", "panel", "judge"]


@pytest.mark.parametrize("rulings", [{"Remedy": "Rest first."}, "Remedy: Rest first."])
def test_rulings_reach_the_synthesizer_and_are_kept_in_the_result(server: Server, rulings: Any):
    again = fuse("Why?", **panel(server)).resynthesize(rulings=rulings)

    assert "Remedy: Rest first.\n</rulings" in sent(server, "writer")
    assert again.warnings == ("The synthesizer was told to take as settled: Remedy: Rest first.",)


def test_the_same_synthesizer_is_asked_afresh(server: Server):
    first = fuse("Why?", **panel(server))
    new = New(server)

    first.resynthesize()

    assert new.models == ["writer"]


# --- add, drop


@pytest.mark.parametrize("store", [True, False])
def test_adding_a_model_asks_it_then_judge_and_synthesizer(server: Server, store: bool):
    first = fuse("Why?", **panel(server), store=store, quorum=1)
    new = New(server)

    more = first.add(Panelist(model=at(server, "x")[0], system="Doubt."))

    assert new.models == ["x", "judge", "writer"]
    assert [(seat.label, seat.content) for seat in more.responses] == [
        ("A", "Answer of a."),
        ("B", "Answer of b."),
        ("C", "Answer of x."),
    ]
    assert more.settings["panel"]["models"][2]["system"] == "Doubt."


def test_a_ninth_seat_is_refused(server: Server):
    first = fuse("Why?", **panel(server, *EIGHT))

    with pytest.raises(SettingsError, match="The panel has 8 seats, which is the most; drop one first"):
        first.add(at(server, "x")[0])


@pytest.mark.parametrize("store", [True, False])
def test_dropping_a_seat_moves_the_later_ones_up_with_all_that_is_theirs(server: Server, store: bool):
    first = fuse("Why?", **panel(server, "a", "b", "c"), store=store)
    new = New(server)

    fewer = first.drop("b")

    assert new.models == ["judge", "writer"]
    assert [(seat.label, seat.content) for seat in fewer.responses] == [("A", "Answer of a."), ("B", "Answer of c.")]
    assert [call.model.split("@")[0] for call in fewer.calls if call.label == "B"] == ["c"]
    assert [seat["label"] for seat in fewer.settings["panel"]["models"]] == ["A", "B"]
    assert "Answer of b." not in sent(server, "writer")


def test_a_seat_that_does_not_exist_is_named_with_those_that_do(server: Server):
    with pytest.raises(SettingsError, match=r'There is no seat "D"; there are A \(a@http.*\), B \(b@'):
        fuse("Why?", **panel(server)).drop("D")


def test_the_last_seat_with_an_answer_is_not_dropped(server: Server):
    server.reply("b", Fault(401))
    first = fuse("Why?", **panel(server))

    with pytest.raises(SettingsError, match="No seat but A has an answer"):
        first.drop("A")


# --- what was saved


def call(stage: Any, label: str = "", **more: Any) -> Call:
    return Call(stage=stage, label=label, model="m", **more)


@pytest.mark.parametrize(
    ("calls", "line"),
    [
        (
            (call("panel", "A", reused=True, saved=0.5), call("judge"), call("synthesis")),
            "1 of 3 answers were kept, saved $0.5000; asked: the judge, the synthesizer.",
        ),
        (
            (call("panel", "A", reused=True, saved=0.5), call("panel", "A", reused=True), call("panel", "B")),
            "1 of 2 answers were kept, saved at least $0.5000; asked: seat B.",
        ),
        ((call("panel", "A", reused=True, saved=0.0),), "1 of 1 answers were kept; asked: nobody."),
        ((call("panel", "A", reused=True), call("panel", "A")), "0 of 1 answers were kept; asked: seat A."),
    ],
)
def test_the_line_counts_who_was_kept_and_names_who_was_asked(calls: tuple[Call, ...], line: str):
    result = FusionResult.model_validate(
        {"id": "r", "created": "2026-11-01T00:00:00Z", "prompt": "Why?", "settings": {}, "calls": calls}
    )

    assert verbs.told(result) == line
