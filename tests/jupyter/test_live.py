"""The live view: what it tells the page of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic.events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Notice,
    PlannedCall,
    RunEnded,
    RunStarted,
    SeatAnswered,
    SeatFailed,
    Warned,
)
from fusion_magic.jupyter.live.card import REASONING_AT_MOST
from fusion_magic.results import Analysis, Call, Contradiction, FailedModel, Response, Stance, Usage

from .live_page import ASKED, PLAN, STARTED, Page, opened


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    page = opened(monkeypatch)
    yield page
    page.view.close()


def ended(stage: Any = "panel", label: str = "A", **parts: Any) -> CallEnded:
    usage = Usage(prompt_tokens=100, completion_tokens=400)
    return CallEnded(Call(**{"stage": stage, "label": label, "model": "m", "usage": usage, "cost": 0.01, **parts}))


def test_the_plan_is_told_before_any_call(page: Page) -> None:
    cards = page.sees(STARTED)

    assert list(cards) == ["A", "B", "judge", "synthesis"]
    assert {card["state"] for card in cards.values()} == {"queued"}
    assert cards["A"]["price"] == "$1.00 / $2.00 per million tokens, or spare/x (free)"
    assert (page.run["title"], page.run["panel"]) == ("Why is it blue?", "budget")


def test_before_the_plan_the_page_is_told_what_takes_time(page: Page) -> None:
    page.sees(Notice("Downloading 12 of 140 MB."))
    during = page.run["notice"]
    page.sees(STARTED)

    assert during == "Downloading 12 of 140 MB."
    assert page.run["notice"] == ""


def test_nothing_new_sends_nothing(page: Page) -> None:
    page.sees(*ASKED)
    sent = len(page.messages)

    page.view.flush()
    page.view.flush()

    assert len(page.messages) == sent


def test_many_deltas_go_out_as_one_message(page: Page) -> None:
    page.says({"hello": 0})
    page.sees(*ASKED)
    sent = len(page.messages)

    cards = page.sees(*[Delta("panel", seat, "word ") for seat in "AB" * 50])

    assert len(page.messages) == sent + 1
    assert (cards["A"]["rest"], cards["B"]["rest"]) == ("word " * 50, "word " * 50)


def test_finished_blocks_come_as_html_and_the_rest_as_text(page: Page) -> None:
    cards = page.sees(*ASKED, Delta("panel", "A", "One *two*.\n\n<b>three</b>"))
    during = cards["A"]["blocks"], cards["A"]["rest"]
    cards = page.sees(SeatAnswered(Response(label="A", model="a/one", content="…")))

    assert during == (["<p>One <em>two</em>.</p>\n"], "<b>three</b>")
    assert cards["A"]["rest"] == ""
    assert cards["A"]["blocks"][1] == "<p>&lt;b&gt;three&lt;/b&gt;</p>\n"


def test_a_seat_goes_from_queued_to_done(page: Page) -> None:
    states = [
        page.sees(event)["A"]["state"]
        for event in (
            STARTED,
            CallStarted("panel", "A", "a/one"),
            Delta("panel", "A", reasoning="Hm."),
            Delta("panel", "A", "Text."),
            CallRetried("panel", "A", "a/one", "Too many requests.", 2.0),
            CallStarted("panel", "A", "a/one", attempt=2),
            Delta("panel", "A", "Text."),
            ended(),
            SeatAnswered(Response(label="A", model="a/one", content="Text.")),
        )
    ]

    assert states == ["queued", "thinking", "thinking", "writing", "waiting", "thinking", "writing", "writing", "done"]


def test_a_retry_says_why_and_begins_from_nothing(page: Page) -> None:
    cards = page.sees(*ASKED, Delta("panel", "A", "Half a\n\nan", "Hm."))
    cards = page.sees(CallRetried("panel", "A", "a/one", "Too many requests.", 2.0))
    waiting = dict(cards["A"])
    cards = page.sees(CallStarted("panel", "A", "spare/x"), Delta("panel", "A", "Anew"))

    assert waiting["note"] == "Again in 2.0 s: Too many requests."
    assert waiting["rest"] == "an"
    assert (cards["A"]["blocks"], cards["A"]["rest"], cards["A"]["thought"]) == ([], "Anew", "")
    assert (cards["A"]["model"], cards["A"]["note"]) == ("spare/x", "")


def test_failed_and_skipped_seats_are_told_apart(page: Page) -> None:
    lost = FailedModel(label="A", model="a/one", error="402, no credit.")
    skipped = FailedModel(label="B", model="b/two", error="Skipped.", skipped=True)

    cards = page.sees(*ASKED, ended(error="402, no credit."), SeatFailed(lost), SeatFailed(skipped))

    assert (cards["A"]["state"], cards["A"]["note"]) == ("failed", "402, no credit.")
    assert (cards["B"]["state"], cards["B"]["note"]) == ("skipped", "")


def test_a_stopped_run_leaves_no_card_going(page: Page) -> None:
    cards = page.sees(*ASKED, ended(error="Cancelled."), RunEnded("cancelled", 3.04, "Stopped."))

    assert {card["state"] for card in cards.values()} == {"stopped"}
    assert page.run["over"] == "3.0 s"


def test_the_judges_json_is_not_shown_but_the_analysis_is(page: Page) -> None:
    stances = (Stance(label="A", model="a/one", stance="Yes <b>."), Stance(label="B", model="b/two", stance="No."))
    analysis = Analysis(consensus=("It *is*.",), contradictions=(Contradiction(topic="T <i>", stances=stances),))

    cards = page.sees(*ASKED, CallStarted("judge", "", "j/udge"), Delta("judge", "", '{"consensus"'))
    during = dict(cards["judge"])
    cards = page.sees(ended("judge", ""), AnalysisReady(analysis))

    assert (during["state"], during["rest"]) == ("writing", "")
    assert cards["judge"]["state"] == "done"
    (shown,) = cards["judge"]["blocks"]
    assert "It <em>is</em>." in shown
    assert "T &lt;i&gt;" in shown
    assert "<strong>A</strong> <p>Yes &lt;b&gt;.</p>" in shown


def test_a_judge_without_an_analysis_has_failed_when_the_answer_begins(page: Page) -> None:
    cards = page.sees(*ASKED, CallStarted("judge", "", "j/udge"), ended("judge", ""))
    cards = page.sees(CallStarted("synthesis", "", "s/ynth"), Delta("synthesis", "", "So"), AnswerReady("So"))

    assert (cards["judge"]["state"], cards["judge"]["note"]) == ("failed", "There is no analysis.")
    assert cards["synthesis"]["state"] == "done"


def test_totals_are_estimates_until_the_servers_numbers_are_there(page: Page) -> None:
    page.sees(*ASKED, Delta("panel", "B", "x" * 400), ended(ttft=0.5, duration=2.5))
    during = page.run["totals"]
    cards = page.sees(ended(label="B", cost=None, usage=None), RunEnded("ok", 3.0))

    assert during == "≈ 600 tokens · $0.0100 so far"
    assert page.run["totals"] == "500 tokens · at least $0.0100"
    assert cards["A"]["figures"] == "first token 0.5 s · 200 tokens/s · 400 tokens · $0.0100 · 2.5 s"


def test_warnings_are_told_once_each(page: Page) -> None:
    page.sees(STARTED, Warned("The judge also sits."), Warned("The judge also sits."))

    assert page.run["warnings"] == ["The judge also sits."]


def test_reasoning_is_bounded_to_its_end(page: Page) -> None:
    cards = page.sees(*ASKED, *[Delta("panel", "A", reasoning=f"{n} " * 100) for n in range(1_000)])

    assert len(cards["A"]["thought"]) == REASONING_AT_MOST
    assert cards["A"]["thought"].endswith("999 ")


def test_what_a_model_wrote_loses_hidden_characters(page: Page) -> None:
    evil = "a\u202eb\x1b[31mc\x00"
    plan = (PlannedCall("panel", "A", evil, None, None), *PLAN[3:])
    started = RunStarted("id", STARTED.created, evil, {"panel": {"name": evil}}, plan)

    cards = page.sees(started, Warned(evil), CallStarted("panel", "A", evil), Delta("panel", "A", evil, evil))
    cards = page.sees(CallRetried("panel", "A", evil, evil, 1.0))

    told = json.dumps([page.run, cards], ensure_ascii=False)
    assert not any(hidden in told for hidden in ("\u202e", "\\u001b", "\\u0000"))
    assert cards["A"]["rest"] == "abc"
