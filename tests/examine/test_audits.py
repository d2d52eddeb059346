"""Audits of a stored run: which calls they make, what they print first, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from again import New, rebuilt
from examine.auditing import FACTS, analysis, asked, first_wins, shown, stating
from fusion_magic import fuse
from fusion_magic.errors import FusionError, SettingsError
from fusion_magic.examine.audits import audit_judge, leave_one_out
from fusion_magic.examine.extra_runs import AuditPrice
from pipeline.asking import at, chats, panel
from servers.openrouter import Fault, Reply, Request, Server

pytestmark = pytest.mark.thorough


@pytest.fixture
def server() -> Iterator[Server]:
    with stating() as running:
        yield running


# --- the judge


@pytest.mark.parametrize("store", [True, False])
def test_an_audit_of_a_saved_run_asks_the_judge_alone_in_k_new_orders(server: Server, store: bool):
    first = rebuilt(asked(server, store=store))
    new = New(server)

    audit = audit_judge(first, k=4)

    orders = [tuple(shown(request)) for request in chats(server, "judge")]
    assert new.models == ["judge"] * 4
    assert len(set(orders)) == 5
    assert sorted(reading.order for reading in audit.readings) == sorted(orders)


def test_a_second_judge_reads_the_first_order(server: Server):
    first = asked(server)
    new = New(server)

    audit = audit_judge(first, k=1, judge=at(server, "other-judge")[0])

    assert sorted(filter(None, new.models)) == ["judge", "other-judge"]
    assert tuple(shown(chats(server, "other-judge")[0])) == tuple(shown(chats(server, "judge")[0]))
    assert audit.readings[-1].judge == at(server, "other-judge")[0]


def test_the_same_audit_again_asks_nobody(server: Server, capsys: pytest.CaptureFixture[str]):
    first = asked(server)
    audit_judge(first)
    capsys.readouterr()
    new = New(server)

    again = audit_judge(first)

    assert new.models == []
    assert len(again.held) == 3
    assert capsys.readouterr().out == "Audit of the judge: nobody is asked; all of it is at hand.\n"


def test_a_run_without_an_analysis_is_first_judged_in_its_own_order(server: Server):
    server.reply("judge", Fault(401))
    first = asked(server)
    server.reply("judge", first_wins)
    new = New(server)

    audit = audit_judge(first, k=2)

    assert new.models == ["judge"] * 3
    assert [reading.stored for reading in audit.readings] == [False] * 3


def test_seats_that_have_gone_are_not_missed(server: Server):
    with stating() as elsewhere:
        judge, writer = at(server, "judge", "writer")
        first = fuse("What?", models=at(elsewhere, "a", "b"), judge=judge, synthesizer=writer)

    audit = audit_judge(first, k=1)

    assert len(audit.readings) == 2


def test_of_two_seats_there_is_one_other_order(server: Server):
    first = fuse("What?", **panel(server, "a", "b"))

    audit = audit_judge(first, k=3)

    assert {reading.order for reading in audit.readings} == {("A", "B"), ("B", "A")}


def test_each_seat_is_read_in_every_place_as_soon_as_there_are_orders_enough(server: Server):
    audit = audit_judge(asked(server), k=2)

    for place in range(3):
        assert {reading.order[place] for reading in audit.readings} == set("ABC")


def test_a_judge_that_names_whom_it_reads_first_flips_and_credits_the_first_place(server: Server):
    server.reply("judge", first_wins)

    audit = audit_judge(asked(server), k=2)

    assert [each.first.text for each in audit.flips] == ["Gives the date of the opening."]
    assert [place.credited for place in audit.places] == [3, 0, 0]
    assert [round(place.expected, 6) for place in audit.places] == [1, 1, 1]


def test_a_judge_that_goes_by_what_is_said_does_not_flip(server: Server):
    audit = audit_judge(asked(server), k=3)

    assert len(audit.held) == 3
    assert audit.flips == ()
    assert all(place.credited == place.expected for place in audit.places)


def test_a_second_judge_that_names_another_seat_is_no_flip_of_the_first(server: Server):
    server.reply("other-judge", analysis(unique_insights=[{"label": "B", "insight": FACTS["a"]}]))

    audit = audit_judge(asked(server), k=1, judge=at(server, "other-judge")[0])

    assert audit.flips == ()
    assert sum(place.credited for place in audit.places) == 6  # three by each reading of the audited judge


def test_what_a_second_judge_does_not_find_is_not_held(server: Server):
    server.reply("other-judge", analysis(unique_insights=[{"label": "A", "insight": FACTS["a"]}]))

    audit = audit_judge(asked(server), k=1, judge=at(server, "other-judge")[0])

    assert [finding.text for finding in audit.held] == [FACTS["a"]]
    assert len(audit.findings) == 3


def test_a_judge_of_a_seats_family_is_set_beside_the_other_judge(server: Server):
    server.reply("*/*", first_wins)
    server.reply("acme/judge", analysis(unique_insights=[{"label": "A", "insight": FACTS["a"]}]))
    server.reply("acme/seat", Reply(FACTS["a"]))
    seats = at(server, "acme/seat", "b")
    first = fuse("What?", models=seats, judge=at(server, "acme/judge")[0], synthesizer=at(server, "writer")[0])

    audit = audit_judge(first, k=1, judge=at(server, "other-judge")[0])

    own, other = audit.favours
    assert (own.family, own.own, own.seats, own.of_seats, own.of_points) == ("acme", True, ("A",), 0.5, 1.0)
    assert (other.own, other.of_points) == (False, 0.5)


def test_a_reading_that_failed_is_named_and_left_out(server: Server):
    first = asked(server)
    server.reply("judge", Fault(401))

    audit = audit_judge(first, k=1)

    assert audit.judged == (0,)
    assert audit.warnings[0].startswith("There is no analysis: ")
    assert audit.warnings[0] in str(audit)


def test_the_frame_has_a_row_for_each_finding_and_reading(server: Server):
    pytest.importorskip("pandas")
    server.reply("judge", first_wins)

    frame = audit_judge(asked(server), k=2).frame

    assert list(frame["found"]) == [True] * 3
    assert sorted(frame["seats"]) == ["A", "B", "C"]
    assert list(frame["reading"]) == [1, 2, 3]


@pytest.mark.parametrize(("k", "names", "why"), [(0, "abc", "at least one other order"), (1, "a", "needs two")])
def test_what_can_not_be_audited_is_refused(server: Server, k: int, names: str, why: str):
    first = fuse("What?", **panel(server, *names))
    new = New(server)

    with pytest.raises(SettingsError, match=why):
        audit_judge(first, k=k)

    assert new.models == []


# --- the price


@pytest.mark.parametrize(
    ("audit", "calls"),
    [
        (audit_judge, "Audit of the judge: 3 calls of the judge, "),
        (leave_one_out, "Leave one out: 3 calls of the judge, 3 calls of the synthesizer, "),
    ],
)
def test_the_price_is_printed_before_anybody_is_asked_and_a_no_asks_nobody(
    server: Server, capsys: pytest.CaptureFixture[str], audit: Callable[..., object], calls: str
):
    first = asked(server)
    new, prices = New(server), list[AuditPrice]()

    with pytest.raises(FusionError, match="Nobody was asked, as the price was not confirmed"):
        audit(first, confirm=prices.append)

    assert new.models == []
    assert str(prices[0]).startswith(calls)
    assert capsys.readouterr().out == f"{prices[0]}\n"


def test_a_yes_asks(server: Server):
    first = asked(server)
    new = New(server)

    audit_judge(first, k=1, confirm=lambda price: price.calls == (("judge", 1),))

    assert new.models == ["judge"]


def test_where_nobody_can_type_a_price_is_not_confirmed(server: Server, monkeypatch: pytest.MonkeyPatch):
    first = asked(server)
    monkeypatch.setattr("sys.stdin", open("/dev/null", encoding="utf-8"))  # noqa: SIM115 - closed with the test's end

    with pytest.raises(FusionError, match="can't be confirmed here"):
        audit_judge(first, confirm=True)


# --- one seat less


@pytest.mark.parametrize("store", [True, False])
def test_leaving_each_seat_out_asks_judge_and_synthesizer_alone(server: Server, store: bool):
    first = rebuilt(asked(server, store=store))
    new = New(server)

    leave_one_out(first)

    assert sorted(filter(None, new.models)) == ["judge"] * 3 + ["writer"] * 3
    for stage in ("judge", "writer"):
        read = [frozenset(shown(request).values()) for request in chats(server, stage)[1:]]
        assert set(read) == {frozenset(FACTS.values()) - {fact} for fact in FACTS.values()}


def test_without_a_seat_its_finding_and_its_sentence_go_and_no_other(server: Server):
    found = leave_one_out(asked(server))

    assert [seat.label for seat in found.seats] == ["A", "B", "C"]
    assert [[gone.text for gone in seat.gone] for seat in found.seats] == [[fact] for fact in FACTS.values()]
    assert [[gone.seats for gone in seat.gone] for seat in found.seats] == [[("A",)], [("B",)], [("C",)]]
    assert [seat.new for seat in found.seats] == [()] * 3
    assert [seat.sentences and seat.sentences.sentences for seat in found.seats] == [(fact,) for fact in FACTS.values()]


def test_what_is_new_without_a_seat_names_the_others_by_their_letters_in_the_run(server: Server):
    def judge(request: Request) -> Reply:
        seen = {said: label for label, said in shown(request).items()}
        told = [] if FACTS["a"] in seen else [{"label": seen[FACTS["c"]], "insight": "It cost lives."}]
        return analysis(unique_insights=told, consensus=["It is a bridge."])

    server.reply("judge", judge)

    found = leave_one_out(asked(server))

    assert [(new.text, new.seats) for new in found.seats[0].new] == [("It cost lives.", ("C",))]


def test_where_judge_and_synthesizer_fail_nothing_is_said_to_be_gone(server: Server):
    first = asked(server)
    server.reply("judge", Fault(401))
    server.reply("writer", Fault(401))

    found = leave_one_out(first)

    assert [(seat.gone, seat.sentences) for seat in found.seats] == [((), None)] * 3
    assert str(found).count("not known") == 9
    assert any(warning.startswith("There is no analysis: ") for warning in found.warnings)


def test_a_seat_that_failed_is_not_left_out(server: Server):
    server.reply("c", Fault(401))
    first = asked(server)
    new = New(server)

    found = leave_one_out(first)

    assert [seat.label for seat in found.seats] == ["A", "B"]
    assert new.models.count("judge") == 2


def test_the_answer_of_a_thread_stays_that_of_the_run(server: Server):
    first = asked(server, thread="bridges")
    leave_one_out(first)
    server.reply("a", Reply("And then?"))

    fuse("And then?", **panel(server, "a", "b"), thread="bridges")

    assert first.answer in [message["content"] for message in chats(server, "a")[-1].body["messages"]]


def test_a_functions_seats_are_audited_without_the_function(server: Server):
    def depth(river: str) -> float:
        """The depth of a river in metres."""
        return 3.0

    first = rebuilt(asked(server, tools=[depth]))
    new = New(server)

    leave_one_out(first)
    audit_judge(first, k=1)

    assert set(new.models) == {"judge", "writer"}


@pytest.mark.parametrize("strategy", ["moa", "debate", "self"])
def test_a_run_of_another_strategy_is_judged_and_written_without_asking_its_seats_again(server: Server, strategy: str):
    first = asked(server, strategy=strategy)
    new = New(server)

    leave_one_out(first)
    audit_judge(first, k=1)

    assert set(new.models) == {"judge", "writer"}


def test_nothing_is_left_out_of_a_run_without_an_answer_or_with_one_seat(server: Server):
    alone = fuse("What?", **panel(server, "a"))
    server.reply("writer", Fault(401))
    unanswered = asked(server)

    with pytest.raises(SettingsError, match="leave_one_out needs two"):
        leave_one_out(alone)
    with pytest.raises(SettingsError, match="has no answer"):
        leave_one_out(unanswered)


def test_the_frame_of_leave_one_out_lists_what_goes(server: Server):
    pytest.importorskip("pandas")

    frame = leave_one_out(asked(server)).frame

    assert list(zip(frame["seat"], frame["what"], frame["change"], strict=True)) == [
        (seat, what, "gone") for seat in "ABC" for what in ("finding", "sentence")
    ]


def test_what_is_shown_names_seats_and_what_they_brought(server: Server):
    bundle = leave_one_out(asked(server))._repr_mimebundle_()

    for form in ("text/html", "text/markdown", "text/plain"):
        assert all(bundle[form].count(fact) == 2 for fact in FACTS.values())
