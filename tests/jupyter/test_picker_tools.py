"""The picker's switch for the web: what it sets, what a line, a file and the estimate say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic import Panel
from fusion_magic.jupyter.picker import Picker, pick_panel
from fusion_magic.presets import FREE_MEMBER, panel_named
from servers.openrouter import Server

from .test_picker import GPT, KIMI, OPUS, members, propose, send


@pytest.fixture
def picker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Picker]:
    with Server() as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
        made = pick_panel([GPT, KIMI])
        made.refresh().result(30)
        yield made
        made.close()


def test_the_web_is_switched_on_and_off(picker: Picker):
    propose(picker, GPT, KIMI, tools=["web"])
    on = (picker.panel.tools, picker._state["panel"]["tools"], picker.magic_line())
    propose(picker, GPT, KIMI, number=2)
    off = (picker.panel.tools, picker._state["panel"]["tools"], picker.magic_line())

    line = f"%%fusion -m {GPT} -m {KIMI} --judge {OPUS}"
    assert on == (("web",), ["web"], f"{line} --tools web")
    assert off == ((), [], line)


def test_a_preset_shows_its_web_and_without_it_is_another_panel_without_the_score(picker: Picker):
    send(picker, "named", name="budget")
    shown, own = picker._state["panel"]["tools"], members(picker)

    propose(picker, *own)

    assert shown == ["web"]
    assert (picker.panel.name, picker.panel.score) == ("budget (changed)", None)
    assert picker._state["line"]["text"] == "%%fusion --panel budget --tools none"


def test_web_tools_of_another_name_are_kept_while_seats_change(picker: Picker):
    picker.panel = Panel.model_validate({"models": [GPT], "tools": ["web_search"]})

    propose(picker, GPT, KIMI, tools=picker._state["panel"]["tools"])

    assert picker.panel.tools == ("web_search",)


def test_the_free_panel_keeps_its_web_when_its_members_are_named(picker: Picker):
    send(picker, "named", name="free")

    propose(picker, FREE_MEMBER, GPT, judge=FREE_MEMBER, synthesizer=FREE_MEMBER, tools=["web"])

    assert picker.panel.tools == ("web",)


@pytest.mark.parametrize("tools", [["bash"], ["my_function"], [{"type": "web"}]])
def test_a_page_can_propose_no_other_tools(picker: Picker, tools: list[Any]):
    said = propose(picker, GPT, tools=tools)

    assert said["tone"] == "problem"
    assert picker.panel.tools is None


@pytest.mark.parametrize("tools", [["web"], []])
def test_saving_keeps_whether_it_has_the_web(picker: Picker, tools: list[str]):
    propose(picker, GPT, KIMI, tools=tools)

    send(picker, "save", name="mine")

    assert panel_named("mine").tools == tuple(tools)
    assert picker.panel.tools == tuple(tools)


def test_the_text_says_that_searches_are_not_in_the_estimate(picker: Picker):
    picker.panel = "budget"

    assert " without web searches." in picker._repr_mimebundle_()[0]["text/plain"]
