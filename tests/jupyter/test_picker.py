"""A picker without a browser: Python sets, estimates, saves and runs, and answers what a page would propose."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

import fusion_magic
from fusion_magic import FusionError, Panel, Panelist
from fusion_magic.errors import SettingsError, UnknownPanel
from fusion_magic.jupyter.picker import Picker, pick_panel
from fusion_magic.presets import FREE_MEMBER, panel_named
from servers.openrouter import Server

OPUS, GPT, KIMI = "anthropic/claude-opus-4.8", "openai/gpt-5.5", "moonshotai/kimi-k2.6"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
        yield running


@pytest.fixture
def picker(server: Server) -> Iterator[Picker]:
    made = pick_panel([GPT, KIMI])
    made.refresh().result(30)
    yield made
    made.close()


def send(picker: Picker, do: str, **content: Any) -> dict[str, Any]:
    """What the page would send; returns what Python then says to the reader."""
    picker._handle_custom_msg({"do": do, "page": "1", **content}, [])
    return picker._message


def propose(
    picker: Picker, *models: str | dict[str, Any], number: int = 1, tools: Sequence[str] = (), **chairs: str
) -> dict[str, Any]:
    seats = [{"model": model} if isinstance(model, str) else model for model in models]
    who = {name: {"model": chairs.get(name, OPUS)} for name in ("judge", "synthesizer")}
    return send(picker, "propose", view="v", number=number, panel={"models": seats, "tools": list(tools), **who})


def members(picker: Picker) -> list[str]:
    return [seat.model for seat in picker.panel.models]


# --- from Python ------------------------------------------------------------------------------------


def test_it_is_there_before_anybody_has_answered(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENROUTER_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/v1")

        picker = pick_panel("budget")

        assert picker.panel == panel_named("budget")
        assert picker._asking
        picker.close()


def test_the_models_come_when_they_are_asked_for(picker: Picker, server: Server):
    server.models.append({"id": "brand/new", "created": 2_000_000_000, "pricing": {"prompt": "0", "completion": "0"}})
    before = [row[0] for row in picker._rows]

    picker.refresh().result(30)

    assert "brand/new" not in before
    assert picker._rows[1][0] == "brand/new"  # the newest of OpenRouter, behind the embedded model
    assert not picker._asking


def test_a_price_that_comes_later_changes_the_estimate(picker: Picker, server: Server):
    picker.panel = ["brand/new"]
    before = picker._state["cost"]
    server.models.append({"id": "brand/new", "pricing": {"prompt": "0", "completion": "0"}})

    picker.refresh().result(30)

    assert (before, picker._state["cost"]) == ("not priced", "no cost")


def test_a_second_one_shows_the_kept_models_at_once_and_asks_nobody(picker: Picker, server: Server):
    asked = len(server.requests)

    second = pick_panel("budget")

    assert {row[0] for row in second._rows} == {row[0] for row in picker._rows}
    second.refresh(max_age=3600).result(30)
    assert len(server.requests) == asked
    second.close()


def test_its_panel_is_a_panel_whatever_it_is_set_to(picker: Picker):
    for value in ("budget", panel_named("budget"), panel_named("budget").model_dump(exclude_none=True)):
        picker.panel = value

        assert picker.panel == panel_named("budget")
    picker.panel = [Panelist(model=GPT, temperature=0.1), KIMI, KIMI]
    assert members(picker) == [GPT, KIMI, KIMI]


@pytest.mark.parametrize("value", ["bugdet", [], ["a/b"] * 9, 5, None, {"models": ["a/b"], "jugde": "c/d"}])
def test_what_is_no_panel_is_refused_and_changes_nothing(picker: Picker, value: object):
    before = picker.panel

    with pytest.raises(SettingsError):
        picker.panel = value

    assert picker.panel is before


def test_an_unknown_name_is_an_error_before_anything_is_shown(server: Server):
    with pytest.raises(UnknownPanel, match="budget"):
        pick_panel("bugdet")


def test_without_a_choice_it_begins_with_the_panel_that_a_cell_would_ask(server: Server, monkeypatch):
    without_key = pick_panel()
    monkeypatch.setenv("OPENROUTER_API_KEY", "nobodys-secret")
    with_key = pick_panel()

    assert (without_key.panel.name, with_key.panel.name) == ("local", "budget")
    without_key.close()
    with_key.close()


def test_a_change_can_be_observed(picker: Picker):
    seen: list[Panel] = []
    picker.observe(lambda change: seen.append(change.new), "panel")

    propose(picker, KIMI)

    assert [[seat.model for seat in panel.models] for panel in seen] == [[KIMI]]


def test_the_estimate_and_what_the_page_shows_follow_the_panel(picker: Picker):
    picker.panel = ["smollm2@local"]
    free = picker._state["cost"]
    picker.panel = [KIMI]

    assert free == "no cost"
    assert picker._state["cost"] == str(picker.estimate()) == "about $0.023"
    assert picker.doubts() == picker._state["doubts"] != []


def test_a_picker_sits_inside_other_widgets(picker: Picker):
    box = ipywidgets.VBox([picker])

    assert box.children == (picker,)


def test_a_place_that_shows_no_widgets_gets_the_panel_as_text(picker: Picker):
    text = picker._repr_mimebundle_()[0]["text/plain"]

    assert text.startswith(f"Picker({GPT}, {KIMI}), a run: about $")
    assert ".panel" in text
    assert "searches" not in text


def test_the_package_offers_it_without_importing_widgets_first():
    assert fusion_magic.pick_panel is pick_panel


# --- what the page proposes -------------------------------------------------------------------------


def test_a_proposal_becomes_the_panel_and_is_answered_by_its_number(picker: Picker):
    propose(picker, GPT, GPT, {"model": KIMI, "system": "You doubt.", "effort": "high"}, number=7)

    assert members(picker) == [GPT, GPT, KIMI]
    assert (picker.panel.models[2].system, picker.panel.models[2].effort) == ("You doubt.", "high")
    assert picker._state["answered"] == ["v", 7]
    assert picker._state["panel"]["models"][2] == {"model": KIMI, "system": "You doubt.", "effort": "high"}


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([], "at least one"),
        ([GPT] * 9, "at most 8"),
        ([{"model": GPT, "temperature": 3}], "less than or equal to 2"),
        ([{"model": GPT, "effort": "huge"}], "effort"),
        ([{"model": GPT, "nonsense": 1}], "nonsense"),
        ([{"model": ""}], "model"),
    ],
)
def test_a_proposal_that_is_no_panel_is_refused_in_a_sentence_and_the_page_told_the_truth(
    picker: Picker, models: list[Any], words: str
):
    said = propose(picker, *models, number=9)

    assert words in said["text"]
    assert said["tone"] == "problem"
    assert members(picker) == [GPT, KIMI]
    assert picker._state["answered"] == ["v", 9]
    assert [seat["model"] for seat in picker._state["panel"]["models"]] == [GPT, KIMI]


@pytest.mark.parametrize(
    "content", [{}, {"do": "dance"}, {"do": "save"}, {"do": "propose"}, {"do": "named", "name": 5}]
)
def test_a_message_of_another_shape_changes_nothing(picker: Picker, content: dict[str, Any]):
    before = picker.panel

    picker._handle_custom_msg(content, [])

    assert picker.panel == before
    assert picker._message["tone"] == "problem"


def test_a_changed_preset_loses_its_score_and_has_it_again_when_it_is_changed_back(picker: Picker):
    send(picker, "named", name="budget")
    own = [seat.model for seat in panel_named("budget").models]

    propose(picker, own[0], tools=["web"])
    changed = (picker.panel.name, picker.panel.score, picker.panel.source)
    propose(picker, *own, tools=["web"])

    assert changed == ("budget (changed)", None, "")
    assert picker.panel == panel_named("budget")


def test_the_free_panel_is_named_model_by_model_once_another_sits_beside_it(picker: Picker):
    send(picker, "named", name="free")
    alone = members(picker)

    propose(picker, FREE_MEMBER, GPT, judge=FREE_MEMBER, synthesizer=FREE_MEMBER)

    assert alone == [FREE_MEMBER]
    assert all(model.endswith(":free") for model in members(picker)[:-1])
    assert members(picker)[-1] == GPT
    assert picker.panel.judge.model == members(picker)[0]


def test_settings_of_a_seat_that_the_page_does_not_show_are_kept(picker: Picker):
    picker.panel = [Panelist(model=GPT, max_tokens=7, fallback=KIMI)]
    seat = picker._state["panel"]["models"][0]

    propose(picker, seat, KIMI)

    assert (picker.panel.models[0].max_tokens, picker.panel.models[0].fallback) == (7, KIMI)


# --- saving and running -----------------------------------------------------------------------------


def test_saving_gives_the_panel_a_name_and_a_line(picker: Picker):
    said = send(picker, "save", name=" mine ")

    assert "Saved in" in said["text"]
    assert [seat.model for seat in panel_named("mine").models] == [GPT, KIMI]
    assert picker.magic_line() == picker._state["line"]["text"] == "%%fusion --panel mine"
    assert {"name": "mine", "score": None, "own": True} in picker._named


def test_a_taken_name_is_asked_about_before_it_is_replaced(picker: Picker):
    picker.save("mine")
    picker.panel = [OPUS]

    asked = send(picker, "save", name="mine")
    kept = panel_named("mine")
    send(picker, "save", name="mine", replace=True)

    assert asked["replace"] == "mine"
    assert kept.models[0].model == GPT
    assert panel_named("mine").models[0].model == OPUS


@pytest.mark.parametrize(
    ("name", "words"), [("budget", "comes with the package"), ("two words", "begin with a letter")]
)
def test_a_name_that_can_t_be_used_is_one_sentence(picker: Picker, name: str, words: str):
    said = send(picker, "save", name=name)

    assert words in said["text"]
    assert said["tone"] == "problem"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="these rights hold nobody back here")
def test_a_file_that_can_t_be_written_is_one_sentence(picker: Picker):
    home = Path(os.environ["FUSION_HOME"])
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)

    said = send(picker, "save", name="mine")

    home.chmod(stat.S_IRWXU)
    assert "can't be written" in said["text"]


def test_run_hands_panel_and_prompt_to_whoever_was_named(server: Server):
    asked: list[tuple[Panel, str]] = []
    picker = pick_panel([GPT], "Why?", run=lambda panel, prompt: asked.append((panel, prompt)))

    picker.run()
    send(picker, "run", prompt="How?")

    assert asked == [(picker.panel, "Why?"), (picker.panel, "How?")]
    assert picker.prompt == "How?"
    picker.close()


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(picker: Picker, prompt: str):
    with pytest.raises(FusionError, match="prompt"):
        picker.run(prompt)


def test_an_error_of_whoever_runs_it_is_shown(server: Server):
    def fail(panel: Panel, prompt: str) -> None:
        raise OSError("no room")

    picker = pick_panel([GPT], run=fail)

    assert send(picker, "run", prompt="Why?")["text"] == "OSError: no room"
    picker.close()


def test_outside_ipython_run_says_what_to_do_instead(picker: Picker):
    with pytest.raises(FusionError, match="fuse"):
        picker.run("Why?")
