"""A panel's line, read by `%%fusion`, asks that very panel; what no line can say is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import Panel, Panelist, save_panel
from fusion_magic.errors import SettingsError
from fusion_magic.jupyter import flags
from fusion_magic.magic_line import magic_line
from fusion_magic.pipeline.kit import chosen_tools, web_names
from fusion_magic.presets import choose_panel, panel_named, panels
from fusion_magic.settings import build_settings


def made(**parts: Any) -> Panel:
    return Panel(**parts)


def asked(line: str) -> Panel:
    """The panel that `%%fusion` would ask for the line, with the tools that it would have."""
    settings = build_settings(flags.parse(line.removeprefix("%%fusion ")).settings)
    panel = choose_panel(settings)
    return panel.model_copy(update={"tools": chosen_tools(settings, panel) or None})


@pytest.mark.parametrize(
    ("panel", "line"),
    [
        (made(models=["a/b"]), "%%fusion -m a/b"),
        (made(models=["a/b", "a/b"]), "%%fusion -m a/b -m a/b"),
        (made(models=["~a/b", "c@ollama"], judge="c@ollama"), "%%fusion -m ~a/b -m c@ollama --judge c@ollama"),
        (
            made(models=["a/b:free"], judge="c/d", synthesizer="e@http://localhost:9/v1"),
            "%%fusion -m a/b:free --judge c/d --synthesizer e@http://localhost:9/v1",
        ),
        (made(models=["a/b"], judge="c/d", tools=["web"]), "%%fusion -m a/b --judge c/d --tools web"),
        (
            made(models=["a/b"], tools=["web_search", "web_fetch"]),
            "%%fusion -m a/b --tools web_search,web_fetch",
        ),
    ],
)
def test_models_are_written_out_and_read_back_as_the_same_panel(panel: Panel, line: str):
    assert magic_line(panel) == line
    assert asked(line) == panel


@pytest.mark.parametrize("name", panels())
def test_a_named_panel_is_asked_by_its_name(name: str):
    assert magic_line(panel_named(name)) == f"%%fusion --panel {name}"


@pytest.mark.parametrize(
    ("name", "tools", "line"),
    [
        ("budget", [], "%%fusion --panel budget --tools none"),
        ("budget", None, "%%fusion --panel budget --tools none"),
        ("budget", ["web_fetch"], "%%fusion --panel budget --tools web_fetch"),
        ("budget", ["web_search", "web_fetch"], "%%fusion --panel budget"),
        ("free", ["web"], "%%fusion --panel free --tools web"),
        ("local", [], "%%fusion --panel local"),
    ],
)
def test_a_named_panel_with_other_tools_is_asked_by_its_name_with_these(name: str, tools: Any, line: str):
    panel = panel_named(name).model_copy(update={"tools": None if tools is None else tuple(tools)})

    assert magic_line(panel) == line
    assert web_names(asked(line).tools or ()) == web_names(tools or ())


def test_a_panel_saved_without_the_web_is_not_the_preset_with_it():
    panel = panel_named("budget").model_copy(update={"tools": (), "name": "budget (changed)"})

    save_panel("offline", panel)

    assert magic_line(panel) == "%%fusion --panel offline"
    assert magic_line(panel_named("budget")) == "%%fusion --panel budget"


def test_a_panel_with_a_persona_has_a_line_once_it_is_saved():
    panel = made(models=[Panelist(model="a/b", system="You doubt.", temperature=0.1), "c/d"])
    with pytest.raises(SettingsError, match="the persona, temperature of seat A; save the panel"):
        magic_line(panel)

    save_panel("doubting", panel)

    assert magic_line(panel) == "%%fusion --panel doubting"


@pytest.mark.parametrize("name", ["{__import__('os')}/x", "a/$HOME", "-m", "a b", 'a/"b', "a/b\nimport os", "a/;b"])
def test_a_name_that_the_line_would_carry_out_is_refused(name: str):
    with pytest.raises(SettingsError, match="the name of seat A"):
        magic_line(made(models=[name]))
