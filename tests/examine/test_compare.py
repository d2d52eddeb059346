"""Comparisons: who is asked once for several runs, what is printed first, and what stands in frame and picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from again import New
from examine.auditing import stating
from fusion_magic.errors import FusionError, SettingsError
from fusion_magic.examine.compare import compare
from fusion_magic.examine.comparison import Comparison
from pipeline.asking import at, chats, sent
from servers.openrouter import Fault, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with stating() as running:
        yield running


def compared(server: Server, prompts: object = "Why?", seats: tuple[str, ...] = ("ab",), **more: object) -> Comparison:
    judge, writer = at(server, "judge", "writer")
    chosen: dict[str, object] = {"panels": [at(server, *names) for names in seats], "synthesizer": writer}
    return compare(prompts, **{"judges": [judge], **chosen, **more})  # type: ignore[arg-type] - as a user writes it


@pytest.mark.parametrize("store", [True, False])
def test_judges_read_the_same_responses_which_are_asked_for_once(server: Server, store: bool):
    found = compared(server, judges=at(server, "judge", "other-judge"), store=store)

    assert sorted(request.model or "" for request in chats(server)) == sorted(
        ["a", "b", "judge", "other-judge", *(["writer"] if store else ["writer"] * 2)]
    )
    one, other = (run.result for run in found.runs)
    assert [seat.content for seat in one.responses] == [seat.content for seat in other.responses]


def test_every_judge_is_told_of_what_was_attached(server: Server, tmp_path: Path):
    (tmp_path / "notes.md").write_text("The bridge is closed.", encoding="utf-8")

    compared(server, judges=at(server, "judge", "other-judge"), attach=[str(tmp_path / "notes.md")])

    assert "notes.md" in sent(server, "judge")
    assert "notes.md" in sent(server, "other-judge")


def test_panels_that_share_a_seat_ask_it_once(server: Server):
    compared(server, seats=("ab", "ac"))

    assert [request.model for request in chats(server)].count("a") == 1


def test_each_seed_asks_each_seat_anew_with_a_seed_of_its_own(server: Server):
    found = compared(server, seats=("aa",), seeds=[0, 1])

    seeds = [request.body["seed"] for request in chats(server, "a")]
    assert sorted(seeds) == [0, 1, 8, 9]
    assert [run.seed for run in found.runs] == [0, 1]


def test_every_prompt_meets_every_configuration(server: Server):
    found = compared(server, ["Why?", "How?"], seats=("ab", "abc"), judges=at(server, "judge", "other-judge"))

    assert [run.number for run in found.runs] == [1] * 4 + [2] * 4
    assert [len(runs) for runs in found.by_configuration.values()] == [2] * 4


def test_strategies_are_asked_as_they_are_named(server: Server):
    found = compared(server, seats=("a",), strategies=["fusion", "self"], samples=2)

    assert [run.configuration[2] for run in found.runs] == ["fusion", "self"]
    assert [len(run.result.responses) for run in found.runs] == [1, 2]


def test_the_price_of_all_of_it_is_printed_and_a_no_asks_nobody(server: Server, capsys: pytest.CaptureFixture[str]):
    new = New(server)

    with pytest.raises(FusionError, match="not confirmed"):
        compared(server, ["Why?", "How?"], judges=at(server, "judge", "other-judge"), confirm=lambda price: False)

    told = "Comparison: 4 calls of the panel, 4 calls of the judge, 4 calls of the synthesizer, "
    assert capsys.readouterr().out.startswith(told)
    assert new.models == []


def test_a_setting_that_can_not_be_used_is_refused_before_anybody_is_asked(server: Server):
    new = New(server)

    with pytest.raises(SettingsError, match="strategy"):
        compared(server, strategies=["fusion", "fussion"])

    assert new.models == []


def test_a_panel_that_fails_has_its_rows_and_costs_the_others_nothing(server: Server):
    server.reply("c", Fault(401))

    found = compared(server, seats=("c", "ab"), judges=at(server, "judge", "other-judge"))

    assert [run.result.answer is None for run in found.runs] == [True, True, False, False]
    assert "0" in str(found)
    assert "judge" not in [request.model for request in chats(server)][:1]


def test_an_empty_list_is_refused(server: Server):
    with pytest.raises(SettingsError, match="There is nothing to compare"):
        compared(server, judges=[])


def test_the_frame_has_a_row_for_each_run_with_costs_as_if_nothing_was_shared(server: Server):
    pd = pytest.importorskip("pandas")

    frame: Any = compared(server, judges=at(server, "judge", "other-judge")).frame

    assert list(frame["panel"]) == ["a + b"] * 2
    assert list(frame["judge"]) == list(at(server, "judge", "other-judge"))
    assert frame["cost"][1] == pytest.approx(frame["cost"][0], abs=0.01)
    assert frame["paid"][1] < frame["paid"][0]
    assert frame["seed"].isna().all()
    assert isinstance(frame, pd.DataFrame)


def test_the_picture_has_a_row_for_each_configuration_and_a_dot_for_each_run(server: Server):
    pytest.importorskip("matplotlib")
    found = compared(server, ["Why?", "How?"], seats=("ab", "abc"), store=False)

    first: Any = found.plot().axes[0]

    assert [label.get_text() for label in first.get_yticklabels()] == ["a + b", "a + b + c"]
    assert len(first.lines[0].get_xdata()) == 4


def test_a_comparison_without_an_answer_draws_a_sentence(server: Server):
    pytest.importorskip("matplotlib")
    server.reply("a", Fault(401))

    figure = compared(server, seats=("a",)).plot()

    assert figure.axes[0].texts[0].get_text() == "No run has an answer."
