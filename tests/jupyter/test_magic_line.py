"""A panel's line, read by `%%fusion`, asks that very panel; what no line can say is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import Panel, Panelist, save_panel
from fusion_magic.errors import SettingsError
from fusion_magic.jupyter import flags
from fusion_magic.jupyter.picker.magic_line import magic_line
from fusion_magic.presets import choose_panel, panel_named, panels
from fusion_magic.settings import build_settings


def made(**parts: Any) -> Panel:
    return Panel(**parts)


def asked(line: str) -> Panel:
    """The panel that `%%fusion` would ask for the line."""
    return choose_panel(build_settings(flags.parse(line.removeprefix("%%fusion ")).settings))


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
    ],
)
def test_models_are_written_out_and_read_back_as_the_same_panel(panel: Panel, line: str):
    assert magic_line(panel) == line
    assert asked(line) == panel


@pytest.mark.parametrize("name", panels())
def test_a_named_panel_is_asked_by_its_name(name: str):
    assert magic_line(panel_named(name)) == f"%%fusion --panel {name}"


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
