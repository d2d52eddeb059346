"""The live view's rows of tools: what a seat calls, how that ends, and how much of it a page is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic.events import CallEnded, CallStarted, Delta, Event, RunEnded, ToolEnded, ToolStarted
from fusion_magic.jupyter.live.card import TOOL_AT_MOST, TOOLS_AT_MOST
from fusion_magic.results import Call, Stage, ToolUse, Usage

from .hostile import HOSTILE
from .live_page import ASKED, Page, opened

SEARCH = '{"query": "tides"}'


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    page = opened(monkeypatch)
    yield page
    page.view.close()


def begins(number: int = 1, *, step: int = 1, stage: Stage = "panel", tool: str = "web_search") -> ToolStarted:
    return ToolStarted(stage, "A" if stage == "panel" else "", step, number, tool, SEARCH)


def ends(number: int = 1, **more: Any) -> ToolEnded:
    given = {"stage": "panel", "label": "A", "step": 1, "tool": "web_search", "arguments": SEARCH}
    return ToolEnded(ToolUse(**(given | {"number": number, "size": 1_234, "duration": 0.52} | more)))


def rows(cards: dict[str, dict[str, Any]], card: str = "A") -> list[tuple[str, str, str]]:
    return [(row["what"], row["state"], row["figures"]) for row in cards[card]["tools"].values()]


def test_a_seat_searches_while_a_tool_runs_and_thinks_once_the_last_has_ended(page: Page) -> None:
    states = [page.sees(*ASKED, begins(1), begins(2))["A"]["state"]]
    states += [page.sees(event)["A"]["state"] for event in (ends(1), ends(2), CallStarted("panel", "A", "a/one"))]
    states += [page.sees(Delta("panel", "A", "So"))["A"]["state"]]

    assert states == ["searching", "searching", "thinking", "thinking", "writing"]


def test_a_row_says_what_is_called_and_then_how_it_went(page: Page) -> None:
    during = rows(page.sees(*ASKED, begins()))
    after = rows(page.sees(ends()))
    failed = rows(page.sees(begins(2), ends(2, error="It was refused.")))

    assert during == [("web_search tides", "going", "")]
    assert after == [("web_search tides", "done", "0.5 s · 1,234 characters")]
    assert failed[1] == ("web_search tides", "failed", "It was refused.")


def test_what_a_server_ran_is_a_row_without_a_time(page: Page) -> None:
    cards = page.sees(*ASKED, ends(tool="openrouter:web_search", duration=None))

    assert rows(cards) == [("openrouter:web_search tides", "done", "1,234 characters")]


def test_only_rows_that_changed_are_sent(page: Page) -> None:
    page.says({"hello": 0})
    page.sees(*ASKED, begins(1), begins(2))

    page.sees(ends(2))

    assert list(page.messages[-1]["cards"]["A"]["tools"]) == ["2"]


def test_rows_stay_in_the_order_of_the_calls_past_the_ninth_step(page: Page) -> None:
    events = [event for step in range(1, 13) for event in (begins(step=step), ends(step=step, size=step))]

    cards = page.sees(*ASKED, *events)

    assert [row[2] for row in rows(cards)] == [f"0.5 s · {step} characters" for step in range(1, 13)]


def test_a_fallbacks_calls_stand_below_those_of_the_model_before_it(page: Page) -> None:
    page.sees(*ASKED, begins(), ends(error="It was refused."))

    cards = page.sees(CallStarted("panel", "A", "spare/x"), begins(), ends())

    assert [row[1] for row in rows(cards)] == ["failed", "done"]


def test_a_page_that_is_loaded_later_has_every_row(page: Page) -> None:
    page.sees(*ASKED, begins(1), ends(1), begins(2))
    later = Page(page.view)

    later.fold(page.view.get_state("state")["state"])

    assert later.cards == page.cards
    assert len(later.cards["A"]["tools"]) == 2


def test_a_page_that_missed_a_message_has_every_row_after_the_whole(page: Page) -> None:
    page.says({"hello": 0})
    page.sees(*ASKED, begins(1))
    page.view.apply(ends(1))
    page.view.flush()
    page.folded = len(page.messages)  # lost on the way

    page.says({"missed": page.number})
    cards = page.sees(begins(2))

    assert [row[1] for row in rows(cards)] == ["done", "going"]


def test_the_list_is_bounded_and_says_how_many_more_there_were(page: Page) -> None:
    count = TOOLS_AT_MOST + 7
    events = [event for step in range(1, count + 1) for event in (begins(step=step), ends(step=step))]

    cards = page.sees(*ASKED, *events, begins(step=99))
    during = cards["A"]["state"]
    cards = page.sees(ends(step=99))

    assert (len(cards["A"]["tools"]), cards["A"]["unlisted"]) == (TOOLS_AT_MOST, 8)
    assert (during, cards["A"]["state"]) == ("searching", "thinking")


def test_the_figures_of_a_seat_are_the_sums_of_its_calls(page: Page) -> None:
    def call(started: float, **more: Any) -> CallEnded:
        given: dict[str, Any] = {"usage": Usage(completion_tokens=300), "cost": 0.01, "ttft": 0.5, "duration": 2.0}
        return CallEnded(Call(stage="panel", label="A", model="a/one", started=started, **(given | more)))

    first = page.sees(*ASKED, call(1.0, finish_reason="tool_calls"), begins(), ends(), RunEnded("ok", 1.0))
    during = first["A"]["figures"]
    cards = page.sees(CallStarted("panel", "A", "a/one"), call(5.0), RunEnded("ok", 9.0))

    assert during == "first token 0.5 s · 200 tokens/s · 300 tokens · $0.0100 · 2.0 s"
    assert cards["A"]["figures"] == "first token 0.5 s · 200 tokens/s · 600 tokens · $0.0200 · 6.0 s"


def test_reasoning_goes_on_after_tools_and_begins_anew_with_another_attempt(page: Page) -> None:
    ended = CallEnded(Call(stage="panel", label="A", model="a/one", finish_reason="tool_calls"))
    begun = CallStarted("panel", "A", "a/one")

    page.sees(*ASKED, Delta("panel", "A", "Let me see.", "First."), ended, begins(), ends())
    cards = page.sees(begun, Delta("panel", "A", "", "Second."))
    during, text = cards["A"]["thought"], cards["A"]["rest"]
    cards = page.sees(begun, Delta("panel", "A", "", "Anew."))

    assert (during, text) == ("First.\n\nSecond.", "")
    assert cards["A"]["thought"] == "Anew."


def test_the_judges_tools_are_on_its_own_card(page: Page) -> None:
    cards = page.sees(*ASKED, CallStarted("judge", "", "j/udge"), begins(stage="judge", tool="web_fetch"))
    during = cards["judge"]["state"]
    cards = page.sees(ends(stage="judge", label="", tool="web_fetch"))

    assert (during, cards["judge"]["state"]) == ("searching", "thinking")
    assert rows(cards, "judge") == [("web_fetch tides", "done", "0.5 s · 1,234 characters")]
    assert cards["A"]["tools"] == {}


def test_a_run_that_is_stopped_in_mid_tool_leaves_no_row_going(page: Page) -> None:
    cards = page.sees(*ASKED, begins(), ends(error="Cancelled."), RunEnded("cancelled", 3.0, "Stopped."))

    assert rows(cards) == [("web_search tides", "failed", "Cancelled.")]
    assert cards["A"]["state"] == "stopped"


@pytest.mark.parametrize("arguments", ['{"query": "tides", "count": 3}', '{"query": "tides\\n", "count": 3}'])
def test_arguments_are_shown_without_their_json_on_one_line(page: Page, arguments: str) -> None:
    cards = page.sees(*ASKED, ends(arguments=arguments))

    assert rows(cards)[0][0].replace(" ,", ",") == "web_search tides, 3"


@pytest.mark.parametrize("arguments", ['{"query": "tid', "", "null", "[" * 2_000, '{"a":' * 300 + "1" + "}" * 300])
def test_arguments_of_any_other_shape_make_a_row_too(page: Page, arguments: str) -> None:
    cards = page.sees(*ASKED, ends(arguments=arguments))

    assert rows(cards)[0][0].startswith("web_search")


def _events(evil: str) -> list[Event]:
    hidden_in_json = json.dumps({"query": evil[:2_000]})
    return [
        ToolStarted("panel", "A", 1, 1, evil, evil),
        ends(1, tool=evil, arguments=evil, error=evil, output=evil),
        ends(2, tool=evil, arguments=hidden_in_json),
    ]


@pytest.mark.parametrize("evil", [pytest.param(evil, id=name) for name, evil in HOSTILE.items()])
def test_hostile_names_arguments_and_errors_are_short_plain_lines(page: Page, evil: str) -> None:
    cards = page.sees(*ASKED, *_events(evil.encode("utf-8", "replace").decode()))

    told = json.dumps(cards["A"]["tools"], ensure_ascii=False)
    assert not any(hidden in told for hidden in ("\u202e", "\u200b", "\\u001b", "\\u0000"))
    assert all("\n" not in what and len(what) < TOOL_AT_MOST + 9 for what, _, _ in rows(cards))
    assert len(told) < 3_000


def test_half_a_surrogate_in_arguments_can_be_sent(page: Page) -> None:
    cards = page.sees(*ASKED, ends(arguments='{"query": "\\ud800"}'))

    assert json.dumps(cards["A"]["tools"], ensure_ascii=False).encode()
