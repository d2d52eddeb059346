"""One model beside the fusion: how often the price allows, which calls that takes, what only one of them has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from again import New, rebuilt
from examine.auditing import FACTS, asked, shown, stating
from fusion_magic import Panelist
from fusion_magic.errors import FusionError, SettingsError
from fusion_magic.examine.baseline import baseline
from fusion_magic.examine.costs import full_cost
from pipeline.asking import at, chats
from servers.openrouter import Fault, Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with stating() as running:
        yield running


@pytest.mark.parametrize("store", [True, False])
def test_a_seats_model_is_asked_as_often_as_the_panels_price_allows_less_its_own_answer(server: Server, store: bool):
    server.reply("b", Reply(FACTS["b"], cost=0.04))
    first = rebuilt(asked(server, store=store))
    new = New(server)

    found = baseline(first)

    assert new.models == ["b", "judge", "writer"]  # the panel cost 0.08, twice what b did
    assert [each.system for each in found.systems] == ["fusion", "alone", "repeated"]
    assert found.systems[1].result.answer == FACTS["b"]
    assert len(found.systems[2].result.responses) == 2


def test_a_model_from_elsewhere_is_asked_n_times_and_alone_is_one_of_them(server: Server):
    server.reply("x", [Reply(f"Draft {number}.", cost=0.03) for number in range(8)])
    first = asked(server)
    new = New(server)

    found = baseline(first, at(server, "x")[0])

    assert new.models.count("x") == len(found.systems[2].result.responses)
    assert new.models[-2:] == ["judge", "writer"]
    assert found.systems[1].result.answer in [seat.content for seat in found.systems[2].result.responses]


def test_judge_and_synthesizer_are_the_runs_own(server: Server):
    found = baseline(asked(server))

    panels = [each.result.settings["panel"] for each in found.systems]
    chairs = [[told[role]["model"] for role in ("judge", "synthesizer")] for told in panels]
    assert chairs == [list(at(server, "judge", "writer"))] * 3
    assert len(shown(chats(server, "judge")[-1])) == 3


def test_costs_stand_beside_each_other_as_if_nothing_had_been_reused(server: Server):
    found = baseline(asked(server))

    fusion, alone, repeated = (full_cost(each.result) for each in found.systems)
    assert alone == pytest.approx(0.02)
    assert fusion == pytest.approx(repeated, abs=0.001)  # the judge read other texts
    assert repeated == pytest.approx(0.02 * 3 + 0.04, abs=0.01)  # the judge's price is the server's


def test_claims_of_one_alone_are_listed(server: Server):
    found = baseline(asked(server), at(server, "a")[0])

    only = {each.system: set(each.only.sentences) for each in found.systems}
    assert only == {"fusion": {FACTS["b"], FACTS["c"]}, "alone": set(), "repeated": set()}
    assert "Claims that only fusion has" in str(found)
    assert FACTS["c"] in str(found)


def test_without_prices_it_is_asked_as_often_as_there_are_seats(server: Server):
    for name in "abc":
        server.reply(name, Reply(FACTS[name], cost=0.0))
    first = asked(server)
    new = New(server)

    found = baseline(first)

    assert new.models.count("a") == 2
    assert "was asked 3 times, as often as seats answered: prices are not known, or 0." in str(found)


def test_a_cheap_model_is_asked_eight_times_at_most(server: Server):
    server.reply("a", Reply(FACTS["a"], cost=0.0001))

    found = baseline(asked(server), at(server, "a")[0])

    assert len(found.systems[2].result.responses) == 8


def test_a_seat_with_another_system_text_is_another_seat(server: Server):
    first = asked(server)
    new = New(server)

    baseline(first, Panelist(model=at(server, "a")[0], system="Doubt."))

    assert new.models.count("a") == 3


def test_the_price_counts_every_call_that_is_made(server: Server, capsys: pytest.CaptureFixture[str]):
    first = asked(server)
    new = New(server)

    with pytest.raises(FusionError, match="not confirmed"):
        baseline(first, confirm=lambda price: False)

    model = at(server, "a")[0]
    told = f"Baseline, {model} × 3: 2 calls of the panel, 1 call of the judge, 1 call of the synthesizer, "
    assert capsys.readouterr().out.startswith(told)
    assert new.models == []


def test_a_system_without_an_answer_says_why(server: Server):
    first = asked(server)
    server.reply("writer", Fault(401))

    found = baseline(first)

    assert any("repeated has no answer: There is no fused answer" in note for note in found.notes)


def test_a_tool_has_to_be_at_hand_where_a_seat_is_asked(server: Server):
    def depth(river: str) -> float:
        """The depth of a river in metres."""
        return 3.0

    first = rebuilt(asked(server, tools=[depth]))
    new = New(server)

    with pytest.raises(SettingsError, match="The run had depth in `tools`"):
        baseline(first)

    assert new.models == []


def test_the_frame_has_a_row_for_each_system(server: Server):
    pytest.importorskip("pandas")

    frame = baseline(asked(server)).frame

    assert list(frame["system"]) == ["fusion", "alone", "repeated"]
    assert list(frame["seats"]) == [3, 1, 3]
    assert list(frame["claims"]) == [3, 1, 3]
