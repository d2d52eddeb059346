"""Ablation: parts add up to the whole, shares have intervals or a reason, and nobody is paid twice for one answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.evals.ablation import ablation, ablation_systems
from fusion_magic.evals.datasets import Dataset, Sample
from fusion_magic.evals.gains import Share, ablation_of
from fusion_magic.evals.scores import Scores
from fusion_magic.settings import Panel, Panelist
from pipeline.asking import at, chats, judged
from servers.openrouter import Reply, Request, Server

SOLO = [50.0, 60.0, 40.0, 70.0, 55.0, 65.0, 45.0, 52.0]
SELF = [57.0, 66.0, 47.0, 77.0, 60.0, 73.0, 52.0, 59.0]
PANEL = [58.0, 69.0, 50.0, 79.0, 63.0, 74.0, 53.0, 61.0]


def scores(**columns: list[float]) -> Scores:
    return Scores.of(
        {"config": config, "task": f"t{place}", "score": score, "status": "ok"}
        for config, column in columns.items()
        for place, score in enumerate(column)
    )


def split(found: Scores) -> Any:
    return ablation_of(found, solo="solo", self_fusion="own", panel="panel")


def test_the_parts_of_the_gain_add_up_to_it():
    found = split(scores(solo=SOLO, own=SELF, panel=PANEL))

    assert found.synthesis.mean == pytest.approx(6.75)
    assert found.diversity.mean == pytest.approx(2.0)
    assert found.total.mean == pytest.approx(8.75)
    assert found.shares[0].value == pytest.approx(6.75 / 8.75)
    assert found.shares[1].value == pytest.approx(2.0 / 8.75)
    assert found.shares[0].low < 6.75 / 8.75 < found.shares[0].high < 1
    assert found.shares[1].low == pytest.approx(1 - found.shares[0].high)


def test_the_published_points_give_the_published_shares():
    # OpenRouter, June 2026: Opus alone 58.8, twice 65.5, with GPT-5.5 67.6, panel of three 68.3.
    level = {"solo": [58.8] * 3, "own": [65.5] * 3}

    two, three = (split(scores(**level, panel=[points] * 3)) for points in (67.6, 68.3))

    assert two.shares[0].value == pytest.approx(0.76, abs=0.005)
    assert three.shares[0].value == pytest.approx(0.71, abs=0.005)


def test_where_the_gain_may_be_nothing_no_share_of_it_is_given():
    found = split(scores(solo=SOLO, own=SELF, panel=[s + (-1) ** place for place, s in enumerate(SOLO)]))

    assert found.shares is None
    assert "can't be told from 0, so no share of it is given." in str(found)
    assert found.frame["share"].isna().all()


def test_a_synthesis_that_loses_has_a_negative_share():
    found = split(scores(solo=SELF, own=SOLO, panel=PANEL))

    assert found.shares[0].value == pytest.approx(-6.75 / 2)
    assert found.shares[1].value == pytest.approx(1 + 6.75 / 2)
    assert str(Share(-0.5, -0.9, -0.1)) == "-50 % [-90, -10]"


def test_only_tasks_that_all_three_have_count():
    found = split(scores(solo=SOLO[:5], own=SELF, panel=[float("nan"), *PANEL[1:]]))

    assert found.n == 4
    assert {level.n for level in found.levels} == {4}
    assert "there are scores of solo 5, own 8, panel 7." in str(found)


def test_too_few_common_tasks_are_an_error():
    failed = {"config": "solo", "task": "t1", "score": None, "status": "failed", "error": "The key is wrong."}
    few = scores(solo=SOLO[:1], own=SELF, panel=PANEL) + Scores.of([failed])

    with pytest.raises(SettingsError, match=r"have scores of 1 of the same tasks.* solo, task t1: The key is wrong\."):
        split(few)


def test_an_unknown_configuration_is_named():
    with pytest.raises(SettingsError, match="no scores of 'panel'; there are scores of solo, own"):
        split(scores(solo=SOLO, own=SELF))


# --- carried out --------------------------------------------------------------------------------------

TASKS = Dataset("letters", tuple(Sample(f"t{n}", f"What is letter {n}?", target=(f"w{n}",)) for n in range(8)))
KNOWN = {"alone": 2, "own": 5, "panel": 8}  # how many of the letters come out right


def letter(request: Request) -> int:
    return int(str(request.body["messages"]).rpartition("What is letter ")[2].partition("?")[0])


def says(request: Request, known: int) -> Reply:
    number = letter(request)
    return Reply(f"Answer: w{number if number < known else 99}", cost=0.01)


def written(request: Request) -> Reply:
    """A writer that knows more where the responses are not all alike."""
    text = str(request.body["messages"])
    return says(request, KNOWN["panel" if "From b." in text else "own"])


@pytest.fixture
def server() -> Any:
    with Server() as running:
        running.reply("a", lambda request: says(request, KNOWN["alone"]))
        running.reply("b", lambda request: Reply(f"From b. {says(request, 0).text}", cost=0.02))
        running.reply("judge", lambda request: judged("A", "B", cost=0.01))
        running.reply("writer", written)
        yield running


def members(server: Server, *names: str) -> dict[str, Any]:
    judge, writer = at(server, "judge", "writer")
    return {"models": at(server, *names), "judge": judge, "synthesizer": writer, "progress": False}


def asked(server: Server) -> Counter[str | None]:
    return Counter(request.model for request in chats(server))


def test_no_answer_is_paid_twice(server: Server):
    found = ablation(TASKS, **members(server, "a", "b"), copies=3)

    # For each task: a three times (alone, its first copy and the panel's seat are one), b once, and two fusions.
    assert asked(server) == {"a": 24, "b": 8, "judge": 16, "writer": 16}
    assert found.names == ("a", "a × 3", "a + b")
    assert [level.mean for level in found.levels] == [25.0, 62.5, 100.0]
    assert (found.synthesis.mean, found.diversity.mean) == (37.5, 37.5)
    assert found.shares is not None
    assert found.shares[0].value == pytest.approx(0.5)


def test_the_same_call_again_asks_nobody(server: Server):
    first = ablation(TASKS, **members(server, "a", "b"))
    before = asked(server)

    again = ablation(TASKS, **members(server, "a", "b"))

    assert asked(server) == before
    assert str(again) == str(first)


def test_it_says_who_writes_and_who_is_not_on_the_panel(server: Server):
    (other,) = at(server, "b")

    found = ablation(TASKS, **members(server, "a", "a"), solo=other)

    assert found.names[0] == "b"
    assert any("is not on the panel" in note for note in found.notes)
    assert any("writes both fusions" in note for note in found.notes)


def test_a_seat_of_the_panel_is_asked_alone_as_it_sits_there(server: Server):
    (a, b), (judge, writer) = at(server, "a", "b"), at(server, "judge", "writer")
    models = (b, Panelist(model=a, temperature=0.2))
    seats = Panel.model_validate({"models": models, "judge": judge, "synthesizer": writer, "name": "two"})

    found = ablation(TASKS, panel=seats, solo=a, progress=False)

    assert {request.body.get("temperature") for request in chats(server) if request.model == "a"} == {0.2}
    assert asked(server)["a"] == 16
    assert found.names == ("a", "a × 2", "two")


def test_one_task_is_refused_before_anybody_is_asked(server: Server):
    with pytest.raises(SettingsError, match="takes two tasks or more"):
        ablation(TASKS, **members(server, "a", "b"), tasks=1)

    assert not asked(server)


def test_a_panel_named_like_its_model_is_told_from_it(server: Server):
    models, (judge, writer) = at(server, "a", "b"), at(server, "judge", "writer")
    panel = Panel.model_validate({"models": models, "judge": judge, "synthesizer": writer, "name": "a"})

    assert list(ablation_systems(panel=panel)) == ["a", "a × 2", "a (panel)"]


def test_its_systems_can_be_priced_before_anybody_is_asked(server: Server):
    systems = ablation_systems(**{**members(server, "a", "b"), "progress": None}, copies=3)

    assert list(systems) == ["a", "a × 3", "a + b"]
    assert [each.label for each in systems["a × 3"]["panel"].models] == ["A", "B", "C"]
    assert not asked(server)


@pytest.mark.parametrize(("names", "copies"), [(("a",), None), (("a", "b"), 1), (("a", "b"), 9)])
def test_a_panel_of_one_and_copies_that_do_not_fit_are_refused(server: Server, names: Any, copies: int | None):
    with pytest.raises(SettingsError, match="An ablation needs a panel of two or more seats and 2 to 8 copies"):
        ablation(TASKS, **members(server, *names), copies=copies)

    assert not asked(server)
