"""A recipe's line and script ask the same again, and nothing that a server or a stranger wrote becomes code in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion_magic import FusionResult, Panel, Panelist, fuse, save_panel
from fusion_magic.jupyter import flags
from fusion_magic.presets import choose_panel
from fusion_magic.prompts import JUDGE_VERSION
from fusion_magic.results import Call, Usage
from fusion_magic.settings import Settings, build_settings
from pipeline.asking import chats, judged, panel
from servers.openrouter import Fault, Reply, Server

SAID: dict[str, Any] = {
    "max_tokens": 4000,
    "temperature": 0.0,
    "effort": "low",
    "system": 'It\'s -kind, "always".',
    "rubric": "--brevity",
    "timeout": 1.5,
    "quorum": 2,
    "private": True,
    "tools": ("web", "look"),
    "max_tool_calls": 2,
    "web": "client",
    "allow_domains": ("a.org", "b.org"),
    "block_domains": ("c.org",),
    "corpus": ("my papers, old",),
    "data": ("frame",),
    "attach": ("-chart.png", "b.pdf"),
    "mcp": ("lab",),
    "store": False,
    "reuse": "never",
    "max_age": "12h",
    "max_usd": 0.5,
    "thread": "trip to Rome",
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged())
        running.reply("writer", Reply("The fused answer."))
        yield running


def made(seats: Panel, prompt: str = "Why?", **more: Any) -> FusionResult:
    chosen = build_settings(more).model_dump(mode="json", exclude={"panel", "models", "judge", "synthesizer"})
    told: Any = {"panel": seats.model_dump(mode="json"), **chosen}
    return FusionResult.model_validate(
        {"id": "0a1b2c", "created": "2026-11-01T12:00:00Z", "prompt": prompt, "settings": told}
    )


def read(line: str) -> tuple[Panel, Settings]:
    """What `%%fusion` makes of a line."""
    given = build_settings(flags.parse(line.removeprefix("%%fusion ")).settings)
    return choose_panel(given), given


PLAIN = Panel(models=["a/b", "c@ollama"], judge="e/f", synthesizer="g@http://localhost:9/v1")  # type: ignore[arg-type]


def test_the_line_asks_the_same_models_with_the_same_settings():
    asked, chosen = read(made(PLAIN, **SAID).recipe().line)

    assert (asked.models, asked.judge, asked.synthesizer) == (PLAIN.models, PLAIN.judge, PLAIN.synthesizer)
    assert {name: getattr(chosen, name) for name in SAID} == SAID


@pytest.mark.parametrize("tools", [("web",), (), None])
def test_the_line_has_the_panels_tools_unless_the_run_had_its_own(tools: Any):
    seats = PLAIN.model_copy(update={"tools": ("web_search",)})

    _, chosen = read(made(seats, tools=tools).recipe().line)

    assert chosen.tools == (("web_search",) if tools is None else tools)


def test_settings_as_they_come_are_not_repeated():
    assert made(PLAIN).recipe().line == (
        "%%fusion -m a/b -m c@ollama --judge e/f --synthesizer g@http://localhost:9/v1"
    )


def test_a_prompt_with_braces_is_sent_as_it_is():
    assert flags.parse(made(PLAIN, "What is {x}?").recipe().line.removeprefix("%%fusion ")).raw


@pytest.mark.parametrize("text", ["Two\nlines", "It costs {price}", "It costs $price"])
def test_what_a_line_can_t_hold_is_left_to_the_script_and_named(text: str):
    written = made(PLAIN, system=text).recipe()

    assert "--system" not in written.line
    assert "# The magic line lacks system" in written.script
    assert f"    system={text!r},\n" in written.script


def test_seats_with_settings_of_their_own_are_saved_by_the_script_for_the_line():
    seats = Panel(models=(Panelist(model="a/b", system="Doubt."),), judge="e/f")  # type: ignore[arg-type]
    written = made(seats).recipe()
    save_panel("run-0a1b2c", seats)

    asked, _ = read(written.line)

    assert asked.models == seats.models
    assert 'save_panel("run-0a1b2c", PANEL, replace=True)' in written.script


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "recipe.py"]
    return subprocess.run(
        command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False
    )


def test_the_script_asks_the_same_again_and_prints_the_answer(server: Server, tmp_path: Path):
    server.reply("b", Reply("Mine."))
    seat = Panelist(model=f"b@{server.base_url}", system='Say "x".\nNo more.', temperature=0.3)
    asked: Any = {**panel(server), "models": (panel(server)["models"][0], seat)}
    first = fuse("Why {so}?\n\tReally?", **asked, rubric="Brevity.", max_tokens=99, store=False)
    before = [request.body for request in chats(server)]

    done = run_script(first.recipe().script, tmp_path)

    def told(body: Any) -> tuple[str, str]:
        return body["model"], str({name: part for name, part in body.items() if name != "session_id"})

    again = [request.body for request in chats(server)][len(before) :]
    assert (done.stdout, done.stderr) == ("The fused answer.\n", "")
    assert sorted(map(told, again)) == sorted(map(told, before))


def test_the_comments_say_who_answered_what_it_cost_and_what_was_sent(server: Server):
    server.reply("a", Reply("Hi.", served="a-2026", cost=0.25))
    server.reply("b", Fault(401))
    first = fuse("Why?", **panel(server))
    sent = next(call.usage for call in first.calls if call.label == "A")
    assert sent

    script = first.rejudge(rubric="Brevity.").recipe().script

    assert (
        f"# seat A: a@{server.base_url}; answered as a-2026; {sent.prompt_tokens} + {sent.completion_tokens} tokens"
        in script
    )
    assert " tokens, $0.2500; prompt panel-1\n" in script
    assert f"# seat B: b@{server.base_url} did not answer: " in script
    assert f"prompt {JUDGE_VERSION}; order and codes from " in script
    assert f"# It was made from run {first.id}, whose calls it reused; the script asks everything anew.\n" in script


def test_functions_and_frames_are_named_as_what_has_to_be_defined():
    script = made(PLAIN, tools=("web", "look"), data=("frame",)).recipe().script

    assert "# Define first what the notebook of the run had: look, frame.\n" in script
    assert "    tools=['web', look],\n" in script
    assert "    data={'frame': frame},\n" in script


def test_what_is_no_name_does_not_become_code(tmp_path: Path):
    evil = "__import__('pathlib').Path('broken').touch()"
    written = made(PLAIN, tools=(evil,), data=(evil,), thread=evil).recipe()
    script = written.script.replace("import Panel, Panelist, fuse", "import Panel, Panelist\nfuse = dict")

    run_script(script.replace("PROMPT,\n", "", 1).replace("print(result.answer)", ""), tmp_path)

    assert not (tmp_path / "broken").exists()
    assert repr(evil) in script


HOSTILE = st.text(st.sampled_from("'\"\\\n\r\t\x0b\x0c\x00\x85\u2028#{}$ \ud800é") | st.characters(), max_size=20)


@given(HOSTILE, HOSTILE)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_is_python_with_that_prompt_whatever_was_written_into_it(prompt: str, name: str):
    call = Call(stage="panel", label="A", model="m", served_model=name, usage=Usage(), prompt_version=name, seed=name)
    result = made(PLAIN, prompt).model_copy(update={"calls": (call,), "id": name, "parent": name})

    script = result.recipe().script

    found: dict[str, Any] = {}
    exec(compile(script.partition("PANEL = ")[0].encode(), "recipe", "exec"), found)
    assert found["PROMPT"] == prompt


def test_an_own_recipe_shows_both():
    written = made(PLAIN).recipe()

    assert str(written) == repr(written) == f"{written.line}\n\n{written.script}"
