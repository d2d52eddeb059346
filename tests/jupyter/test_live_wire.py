"""The live view's wire: late pages, lost messages, clicks, the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic.events import Delta
from fusion_magic.jupyter.live.widget import ENDED_KEPT

from .live_page import ASKED, Page, opened


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    page = opened(monkeypatch)
    yield page
    page.view.close()


def test_a_page_that_connects_later_gets_what_the_first_one_has(page: Page) -> None:
    page.sees(*ASKED, Delta("panel", "A", "One.\n\nTw", "Hm."), Delta("panel", "B", "x"))
    later = Page(page.view)

    later.fold(page.view.get_state("state")["state"])
    page.view.apply(Delta("panel", "A", "o."))  # not sent yet, so not in the state either
    state = page.view.get_state("state")["state"]
    page.view.flush()
    page.catch_up()
    later.fold(page.messages[-1])

    assert state["cards"]["A"]["rest"] == "Tw"
    assert (later.cards, later.run, later.number) == (page.cards, page.run, page.number)
    assert later.cards["A"]["rest"] == "Two."


def test_a_page_that_missed_a_message_gets_the_whole(page: Page) -> None:
    page.says({"hello": 0})
    page.sees(*ASKED)
    page.view.apply(Delta("panel", "A", "One.\n\nTwo"))
    page.view.flush()
    page.folded = len(page.messages)  # lost on the way
    cards = page.sees(Delta("panel", "A", ", three"))
    before = cards["A"]["rest"]

    page.says({"missed": page.number})
    page.catch_up()

    assert before == ""
    assert (cards["A"]["blocks"], cards["A"]["rest"]) == (["<p>One.</p>\n"], "Two, three")


def test_a_page_that_says_hello_late_gets_the_whole_and_one_in_time_gets_nothing(page: Page) -> None:
    page.sees(*ASKED)
    sent = len(page.messages)

    page.says({"hello": page.number})
    in_time = len(page.messages)
    page.says({"hello": 0})

    assert in_time == sent
    assert page.messages[-1]["whole"] is True


def test_a_page_that_can_not_speak_yet_gets_the_whole_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(monkeypatch, can_click=False)
    page.sees(*ASKED)
    late = Page(page.view)

    for _ in range(40):
        page.sees(Delta("panel", "A", "word "))
    for message in page.messages[9:]:  # it listens from here on
        late.fold(message)

    wholes = [message["number"] for message in page.messages if message.get("whole")]
    assert wholes == [1, 2, 4, 8, 16, 32]
    assert late.cards == page.cards
    assert page.messages[0]["click"] is False


def test_clicks_reach_python_and_nonsense_does_not(page: Page) -> None:
    page.sees(*ASKED)

    for said in (
        {"skip": "B"},
        {"stop": True},
        {"skip": "Z"},
        {"skip": 1},
        {"stop": "x"},
        {"hello": "x"},
        "x",
        None,
        {},
    ):
        page.says(said)

    assert page.clicks == ["B", "stop"]


def test_only_one_widget_is_opened_and_it_is_lean(page: Page) -> None:
    (opened,) = [data for kind, data in page.published if kind == "comm_open"]

    assert opened["state"]["layout"] is None
    assert len(json.dumps(opened)) < 20_000


def test_the_result_goes_only_to_a_page_that_was_reloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [opened(monkeypatch) for _ in range(2)]
    for page, loads in zip(pages, (1, 2), strict=True):
        page.sees(*ASKED)
        for _ in range(loads):
            page.says({"hello": page.number})

        page.view.finish("<p>Result</p>")
        page.catch_up()

    assert [page.html for page in pages] == [None, "<p>Result</p>"]
    assert [page.view.get_state("state")["state"]["html"] for page in pages] == ["<p>Result</p>"] * 2


def test_the_last_ended_runs_can_still_be_asked_for_and_older_ones_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [opened(monkeypatch) for _ in range(ENDED_KEPT + 1)]
    for page in pages:
        page.view.finish("<p>Result</p>")

    assert [page.published[-1][0] for page in pages] == ["comm_close"] + ["comm_open"] * ENDED_KEPT

    pages[-1].says({"hello": 0})
    pages[-1].catch_up()
    assert pages[-1].html == "<p>Result</p>"


def test_applying_and_connecting_at_the_same_time_loses_nothing(page: Page) -> None:
    page.sees(*ASKED)
    states: list[Any] = []
    reader = threading.Thread(target=lambda: states.extend(page.view.get_state("state")["state"] for _ in range(300)))

    reader.start()
    for _ in range(300):
        page.sees(Delta("panel", "A", "w\n\n"))
    reader.join()

    for state in states:
        late = Page(page.view)
        late.fold(state)
        for message in page.messages:
            late.fold(message)
        assert late.cards == page.cards
